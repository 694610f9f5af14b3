import Foundation
import Kernel

/// Times of the week and the year, by a clock on a wall: when alerts are told, or are not
/// (prometheus.io/docs/alerting/0.25/configuration, "time_interval").
public struct AlertTimes: Sendable, Equatable {
    /// Minutes of a day, the end left out.
    public var minutes: [Range<Int>] = []
    /// 0 for Sunday.
    public var weekdays: [ClosedRange<Int>] = []
    public var days: [Days] = []
    public var months: [ClosedRange<Int>] = []
    public var years: [ClosedRange<Int>] = []
    public var zone: TimeZone = .gmt

    /// Days of a month, from 1; below zero from its end, which is -1.
    public struct Days: Sendable, Equatable {
        public let first: Int
        public let last: Int
    }

    public init() {}

    /// Whether a moment lies in them: in one of each kind that is named.
    public func contains(_ moment: Timestamp) -> Bool {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let date = Date(timeIntervalSince1970: Double(moment.microseconds) / 1_000_000)
        let parts = calendar.dateComponents([.year, .month, .day, .weekday, .hour, .minute], from: date)
        guard let year = parts.year, let month = parts.month, let day = parts.day, let weekday = parts.weekday,
            let hour = parts.hour, let minute = parts.minute
        else { return false }
        let length = calendar.range(of: .day, in: .month, for: date)?.count ?? 31
        return (minutes.isEmpty || minutes.contains { $0.contains(hour * 60 + minute) })
            && (weekdays.isEmpty || weekdays.contains { $0.contains(weekday - 1) })
            && (days.isEmpty || days.contains { Self.contains(day, $0, length) })
            && (months.isEmpty || months.contains { $0.contains(month) })
            && (years.isEmpty || years.contains { $0.contains(year) })
    }

    /// A month may be shorter than its range.
    private static func contains(_ day: Int, _ range: Days, _ length: Int) -> Bool {
        func place(_ end: Int) -> Int { end < 0 ? length + end + 1 : end }
        return max(1, place(range.first)) <= day && day <= min(length, place(range.last))
    }
}

// MARK: Reading

extension AlertTimes {
    private static let weekdayNames = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
    private static let monthNames = [
        "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
        "december",
    ]

    /// `09:00` to `17:00`, up to `24:00`.
    public static func minutes(from start: String, to end: String) -> Range<Int>? {
        guard let start = minute(start), let end = minute(end), start < end else { return nil }
        return start..<end
    }

    private static func minute(_ text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 && $0.allSatisfy(\.isWholeNumber) }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), minute < 60, hour < 24 || hour == 24 && minute == 0
        else { return nil }
        return hour * 60 + minute
    }

    /// `monday:friday`, or one day.
    public static func weekdays(_ text: String) -> ClosedRange<Int>? {
        range(text) { weekdayNames.firstIndex(of: $0) }
    }

    /// `1:5`, `-3:-1`, `10:-1`, or one day.
    public static func days(_ text: String) -> Days? {
        let ends = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
            [first, last].allSatisfy({ (1...31).contains($0.magnitude) }),
            first <= last || first > 0 && last < 0
        else { return nil }
        return Days(first: first, last: last)
    }

    /// `january:march`, `1:3`, or one month.
    public static func months(_ text: String) -> ClosedRange<Int>? {
        range(text) { name in
            if let place = monthNames.firstIndex(of: name) { return place + 1 }
            return Int(name).flatMap { (1...12).contains($0) ? $0 : nil }
        }
    }

    public static func years(_ text: String) -> ClosedRange<Int>? {
        range(text) { Int($0).flatMap { (1...9_999).contains($0) ? $0 : nil } }
    }

    private static func range(_ text: String, _ one: (String) -> Int?) -> ClosedRange<Int>? {
        let ends = text.lowercased().split(separator: ":", omittingEmptySubsequences: false).map { one(String($0)) }
        guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1], low <= high else {
            return nil
        }
        return low...high
    }
}
