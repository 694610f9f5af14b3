import Kernel

/// When a schedule fires: the five fields of cron, minute hour day-of-month month day-of-week.
///
/// Fields take `*`, numbers, names (`jan`, `mon`), ranges, lists and steps; weekday 0 and 7 are Sunday. As in Vixie
/// cron, a day matches when day-of-month *or* day-of-week does, unless one of the two begins with `*`: then both must.
/// `@hourly @daily @midnight @weekly @monthly @yearly @annually` stand for their usual expressions.
public struct CronExpression: Sendable, Equatable {
    /// Characters of an expression.
    public static let charactersMax = 200

    /// The expression as it was written, its spaces evened out.
    public let text: String
    /// Bit n stands for the value n.
    let minutes: UInt64
    let hours: UInt64
    let days: UInt64
    let months: UInt64
    let weekdays: UInt64
    /// Whether a day needs both fields to match.
    let needsBothDays: Bool
    /// Whether the hour begins with `*`: such a schedule follows the time that passes, as an hourly job is meant to run
    /// each hour; others follow the clock on the wall. See ``CronTicks``.
    let followsElapsedTime: Bool

    /// - Parameter field: The name that an error gives to the field.
    /// - Throws: ``Problem`` `invalid` for what is no expression, and for one that never comes, such as 30 February.
    public init(_ expression: String, field: String = "cron") throws {
        guard expression.unicodeScalars.count <= Self.charactersMax else {
            throw Problem.invalid(field, "at most \(Self.charactersMax) characters are allowed")
        }
        let words = expression.split(whereSeparator: \.isWhitespace).map(String.init)
        text = words.joined(separator: " ")
        let fields = try Self.fields(words, field: field)
        minutes = try CronField.minute.parse(fields[0], field: field)
        hours = try CronField.hour.parse(fields[1], field: field)
        days = try CronField.day.parse(fields[2], field: field)
        months = try CronField.month.parse(fields[3], field: field)
        let parsed = try CronField.weekday.parse(fields[4], field: field)
        weekdays = (parsed | parsed >> 7) & 0x7F
        needsBothDays = fields[2].hasPrefix("*") || fields[4].hasPrefix("*")
        followsElapsedTime = fields[1].hasPrefix("*")
        // The calendar repeats after 400 years, and the rarest day, 29 February on a given weekday, within 40.
        let start = Timestamp.days(year: 2000, month: 1, day: 1) * 1_440
        guard next(afterMinute: start - 1) != nil else {
            throw Problem.invalid(
                field, "\"\(text)\" never comes: no month in it has such a day",
                hint: "Choose a day that one of the months has, such as 28 for February.")
        }
    }

    private static func fields(_ words: [String], field: String) throws -> [String] {
        if words.count == 1, let word = words.first, word.hasPrefix("@") {
            guard let expanded = shorthands[word.lowercased()] else {
                throw Problem.invalid(
                    field, "\"\(word.prefix(40))\" is none of \(shorthands.keys.sorted().joined(separator: ", "))")
            }
            return expanded.split(separator: " ").map(String.init)
        }
        guard words.count == 5 else {
            throw Problem.invalid(
                field, "five fields are expected, and \(words.count) are there",
                hint: "Write minute hour day-of-month month day-of-week, such as \"0 9 * * mon-fri\".")
        }
        return words
    }

    static let shorthands = [
        "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
    ]

    // MARK: Matching, in minutes of a calendar without time zones

    /// Whether a day, counted from 1970-01-01, is one of the expression's.
    func matches(day: Int64) -> Bool {
        let date = Timestamp.civil(fromDays: day)
        guard months & 1 << UInt64(date.month) != 0 else { return false }
        let isDay = days & 1 << UInt64(date.day) != 0
        // 1970-01-01 was a Thursday.
        let weekday = UInt64(((day + 4) % 7 + 7) % 7)
        let isWeekday = weekdays & 1 << weekday != 0
        return needsBothDays ? isDay && isWeekday : isDay || isWeekday
    }

    /// Whether a minute, counted from 1970-01-01 00:00, is one of the expression's.
    func matches(minute: Int64) -> Bool {
        let day = Self.day(of: minute)
        let inDay = minute - day * 1_440
        return hours & 1 << UInt64(inDay / 60) != 0 && minutes & 1 << UInt64(inDay % 60) != 0 && matches(day: day)
    }

    /// The first matching minute behind another; `nil` where none comes within 41 years.
    func next(afterMinute minute: Int64) -> Int64? {
        var day = Self.day(of: minute + 1)
        var inDay = minute + 1 - day * 1_440
        let last = day + 41 * 366
        while day <= last {
            if matches(day: day), let found = firstMinute(from: inDay) { return day * 1_440 + found }
            day += 1
            inDay = 0
        }
        return nil
    }

    /// The first matching minute of a day from one on.
    private func firstMinute(from inDay: Int64) -> Int64? {
        var hour = inDay / 60
        var minute = inDay % 60
        while hour < 24 {
            if hours & 1 << UInt64(hour) != 0 {
                let rest = (minutes >> UInt64(minute)) << UInt64(minute)
                if rest != 0 { return hour * 60 + Int64(rest.trailingZeroBitCount) }
            }
            hour += 1
            minute = 0
        }
        return nil
    }

    private static func day(of minute: Int64) -> Int64 {
        minute >= 0 ? minute / 1_440 : (minute - 1_439) / 1_440
    }
}

/// One of the five fields.
enum CronField: String {
    case minute
    case hour
    case day = "day-of-month"
    case month
    case weekday = "day-of-week"

    var range: ClosedRange<Int> {
        switch self {
        case .minute: 0...59
        case .hour: 0...23
        case .day: 1...31
        case .month: 1...12
        case .weekday: 0...7
        }
    }

    static let monthNames = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    static let weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// The values of a field as bits. Every number is checked against the field's range before anything is counted, so
    /// that `1--100000000` costs nothing.
    func parse(_ text: String, field: String) throws -> UInt64 {
        var bits: UInt64 = 0
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count), let first = parts.first else { throw refusal(item, field) }
            let values = try range(String(first), isStepped: parts.count == 2, field: field)
            var step = 1
            if parts.count == 2 {
                guard let number = number(parts[1]), (1...range.upperBound).contains(number) else {
                    throw Problem.invalid(
                        field, "\"\(item.prefix(40))\" has no step of 1 to \(range.upperBound) in its \(rawValue)")
                }
                step = number
            }
            for value in stride(from: values.lowerBound, through: values.upperBound, by: step) {
                bits |= 1 << UInt64(value)
            }
        }
        return bits
    }

    private func range(_ text: String, isStepped: Bool, field: String) throws -> ClosedRange<Int> {
        // A star covers Sunday once.
        if text == "*" { return range.lowerBound...(self == .weekday ? 6 : range.upperBound) }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(ends.count), let low = ends.first.flatMap(value) else { throw refusal(text[...], field) }
        guard ends.count == 2 else { return low...(isStepped ? range.upperBound : low) }
        guard var high = value(ends[1]) else { throw refusal(text[...], field) }
        // `fri-sun` ends on the seventh day.
        if self == .weekday, high == 0, low > 0 { high = 7 }
        guard low <= high else {
            throw Problem.invalid(
                field, "the range \"\(text.prefix(40))\" of the \(rawValue) runs backwards",
                hint: "Write two ranges, such as 22-23,0-5.")
        }
        return low...high
    }

    private func value(_ text: Substring) -> Int? {
        let names = self == .month ? Self.monthNames : self == .weekday ? Self.weekdayNames : []
        if let index = names.firstIndex(of: text.lowercased()) { return index + range.lowerBound }
        guard let number = number(text), range.contains(number) else { return nil }
        return number
    }

    private func number(_ text: Substring) -> Int? {
        guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }

    private func refusal(_ text: Substring, _ field: String) -> Problem {
        let names = self == .month ? " or jan to dec" : self == .weekday ? " or sun to sat" : ""
        return Problem.invalid(
            field,
            "\"\(text.prefix(40))\" is no \(rawValue): numbers from \(range.lowerBound) to "
                + "\(range.upperBound)\(names), *, ranges, lists and steps are",
            hint: "Write minute hour day-of-month month day-of-week, such as \"0 9 * * mon-fri\".")
    }
}
