import Foundation
import Kernel

/// The clock on the wall of a time zone, as people who hand over to each other read it: it shows the highest time that
/// it has shown so far.
///
/// In an hour that comes twice it stands until the second pass is through, so nobody hands over twice; over an hour
/// that is left out it jumps, so a turn that was to begin in it begins right behind. ``reading(at:)`` and
/// ``moment(of:)`` belong together: a reading has been reached exactly from its moment on.
public struct WallClock: Sendable, Equatable {
    /// Microseconds of a minute, an hour, and a day without a change of the clock.
    static let minute: Int64 = 60_000_000
    static let hour = 60 * minute
    static let day = 24 * hour
    /// No zone moves its clock by more in one change (Samoa skipped a day in 2011).
    private static let changeMax = 26 * hour
    /// How far a clock is set back at most: an hour nearly everywhere, two at Troll.
    private static let repeatMax = 3 * hour

    /// A name of the IANA database.
    public let name: String
    private let zone: TimeZone

    public static let utc = WallClock(name: "UTC", zone: .gmt)

    private init(name: String, zone: TimeZone) {
        self.name = name
        self.zone = zone
    }

    /// - Parameter name: Such as `Europe/Berlin`; offsets and abbreviations, which know no summer time, are no zones
    ///   but for `UTC`.
    public init?(_ name: String) {
        guard Self.isName(name), let zone = TimeZone(identifier: name) else { return nil }
        self.init(name: name, zone: zone)
    }

    /// The database is a folder of files, so the letters of a name are checked before it is opened.
    private static func isName(_ text: String) -> Bool {
        guard text == "UTC" || text.contains("/"), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { byte in
            (65...90).contains(byte & 0xDF) || (48...57).contains(byte) || "_+-/".utf8.contains(byte)
        }
    }

    /// What the clock shows, in microseconds since 1970-01-01T00:00 of its own.
    func reading(at time: Timestamp) -> Int64 {
        let moment = time.microseconds
        let here = offset(at: moment)
        let before = offset(at: moment - Self.repeatMax)
        guard before > here else { return moment + here }
        let change = change(between: moment - Self.repeatMax, and: moment, from: before)
        return max(moment + here, change + before - 1)
    }

    /// The first moment at which the clock shows a time or a later one.
    func moment(of reading: Int64) -> Timestamp {
        let near = reading - offset(at: reading)
        let (before, after) = (offset(at: near - Self.changeMax), offset(at: near + Self.changeMax))
        for offset in before >= after ? [before, after] : [after, before]
        where self.offset(at: reading - offset) == offset {
            return Timestamp(microseconds: reading - offset)
        }
        let low = reading - max(before, after) - Self.changeMax
        let high = reading - min(before, after) + Self.changeMax
        return Timestamp(microseconds: change(between: low, and: high, from: before))
    }

    /// What the clock really shows, also while an hour comes again: for people's eyes.
    func shown(at time: Timestamp) -> Int64 { time.microseconds + offset(at: time.microseconds) }

    /// Microseconds east of UTC.
    private func offset(at moment: Int64) -> Int64 {
        // Rounded down: Foundation rounds a fraction just before a change up to it.
        let seconds = moment >= 0 ? moment / 1_000_000 : (moment - 999_999) / 1_000_000
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))) * 1_000_000
    }

    /// The first moment that has another offset than the one before it.
    private func change(between start: Int64, and end: Int64, from before: Int64) -> Int64 {
        var (low, high) = (start, end)
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(at: middle) == before { low = middle } else { high = middle }
        }
        return high
    }
}

extension WallClock {
    /// Days since 1970-01-01 of a reading, and microseconds into its day.
    static func parts(of reading: Int64) -> (day: Int64, inDay: Int64) {
        let (quotient, remainder) = reading.quotientAndRemainder(dividingBy: day)
        return remainder < 0 ? (quotient - 1, remainder + day) : (quotient, remainder)
    }

    /// 0 for Sunday: 1970-01-01 was a Thursday.
    static func weekday(ofDay day: Int64) -> Int { Int(((day + 4) % 7 + 7) % 7) }

    /// `Mon`.
    static func weekdayText(ofDay day: Int64) -> String {
        ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][weekday(ofDay: day)]
    }

    /// `2026-11-20T09:00` of a reading.
    static func text(of reading: Int64) -> String { String(Timestamp(microseconds: reading).rfc3339.prefix(16)) }

    /// `2026-11-20T09:00` as a reading; `2026-11-20` alone is its midnight.
    static func reading(_ text: String) -> Int64? {
        let parts = text.split(whereSeparator: { "Tt ".contains($0) })
        guard (1...2).contains(parts.count), parts[0].utf8.count == 10, text.utf8.count <= 16 else { return nil }
        let time = parts.count == 2 ? parts[1] : "00:00"
        guard time.utf8.count == 5 else { return nil }
        return Timestamp(rfc3339: "\(parts[0])T\(time):00Z")?.microseconds
    }
}
