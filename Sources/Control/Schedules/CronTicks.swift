import Foundation
import Kernel

/// The moments of an expression in a time zone, across the changes to and from summer time.
///
/// A time that a change leaves out fires once, right behind the gap; a time that comes twice fires the first time. An
/// expression whose hour begins with `*` follows elapsed time instead, as Vixie cron has it: it neither pauses in the
/// repeated hour nor makes up for the one left out, as no hour of its is missing.
public struct CronTicks: Sendable {
    private static let minute: Int64 = 60_000_000
    /// No zone moves its clock by more in one change (Samoa skipped a day in 2011).
    private static let changeMax = 26 * 3_600 * Int64(1_000_000)
    /// How far around a change local times may repeat; daylight changes take two hours at most.
    private static let repeatMax = 3 * 3_600 * Int64(1_000_000)

    public let expression: CronExpression
    private let zone: TimeZone

    /// - Parameter timeZone: A name of the IANA database, such as `Europe/Berlin`; offsets and abbreviations, which
    ///   know no summer time, are refused but for `UTC`.
    public init(_ expression: CronExpression, timeZone: String, field: String = "timezone") throws {
        guard Self.isName(timeZone), let zone = TimeZone(identifier: timeZone) else {
            throw Problem.invalid(
                field, "\"\(timeZone.prefix(64))\" is no time zone", hint: "Name one such as UTC or Europe/Berlin.")
        }
        self.expression = expression
        self.zone = zone
    }

    /// The database is a folder of files, so the letters of a name are checked before it is opened.
    private static func isName(_ text: String) -> Bool {
        guard text == "UTC" || text.contains("/"), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy { byte in
            (65...90).contains(byte & 0xDF) || (48...57).contains(byte) || "_+-/".utf8.contains(byte)
        }
    }

    /// The first tick strictly behind a moment; `nil` where none comes within 41 years.
    public func next(after moment: Timestamp) -> Timestamp? {
        let start = moment.microseconds
        // Far from what any clock shows, the calendar is not asked.
        guard (0...253_000_000_000_000_000).contains(start) else { return nil }
        let found = expression.followsElapsedTime ? nextElapsed(after: start) : nextOnTheWall(after: start)
        return found.map(Timestamp.init(microseconds:))
    }

    /// The newest ticks behind `start` up to `end`, at most `limit`, and whether older ones were left out.
    ///
    /// Looks back from the end, and so costs the same after a year of missed minutes as after an hour.
    public func newest(
        after start: Timestamp, through end: Timestamp, limit: Int
    ) -> (ticks: [Timestamp], leftOut: Bool) {
        let countMax = limit * 4 + 100
        // Behind `few` there are too few ticks, behind `many` more than are worth counting.
        var few = end
        var many: Timestamp?
        var span = Span.minutes(Int64(limit) + 1)
        while true {
            let from: Timestamp
            if let many {
                from = many + Span(microseconds: (few - many).microseconds / 2)
            } else {
                from = max(start, end - span)
                span = span * 4
            }
            let ticks = ticks(after: from, through: end, countMax: countMax)
            if ticks.count == countMax, from > many ?? .init(microseconds: .min), few - from > Span(microseconds: 1) {
                many = from
            } else if ticks.count > limit || from <= start {
                return (Array(ticks.suffix(limit)), ticks.count > limit)
            } else {
                few = from
            }
        }
    }

    private func ticks(after start: Timestamp, through end: Timestamp, countMax: Int) -> [Timestamp] {
        var ticks: [Timestamp] = []
        var last = start
        while ticks.count < countMax, let tick = next(after: last), tick <= end {
            ticks.append(tick)
            last = tick
        }
        return ticks
    }

    // MARK: Local time

    /// Microseconds east of UTC.
    private func offset(at moment: Int64) -> Int64 {
        // Rounded down: Foundation rounds a fraction just before a change up to it.
        let seconds = moment >= 0 ? moment / 1_000_000 : (moment - 999_999) / 1_000_000
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))) * 1_000_000
    }

    private func localMinute(of moment: Int64) -> Int64 {
        let local = moment + offset(at: moment)
        return local >= 0 ? local / Self.minute : (local - Self.minute + 1) / Self.minute
    }

    /// The moments at which clocks show a local minute: one, two where it comes twice, none in a gap.
    private func moments(of localMinute: Int64) -> [Int64] {
        let (before, after) = offsets(around: localMinute)
        let local = localMinute * Self.minute
        let candidates = before == after ? [local - before] : [local - before, local - after]
        return candidates.filter { offset(at: $0) == local - $0 }.sorted()
    }

    private func offsets(around localMinute: Int64) -> (before: Int64, after: Int64) {
        let local = localMinute * Self.minute
        let near = local - offset(at: local)
        return (offset(at: near - Self.changeMax), offset(at: near + Self.changeMax))
    }

    /// The moment of the change that left a local minute out.
    private func change(over localMinute: Int64) -> Int64 {
        let (before, after) = offsets(around: localMinute)
        let local = localMinute * Self.minute
        var low = local - max(before, after) - Self.changeMax
        var high = local - min(before, after) + Self.changeMax
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(at: middle) == before { low = middle } else { high = middle }
        }
        return high
    }

    // MARK: The two readings

    /// Each local time once: the first time it comes, or right behind the gap that it fell in.
    private func nextOnTheWall(after start: Int64) -> Int64? {
        var local = localMinute(of: start)
        // In a repeated hour the local times that are left have all fired; the loop passes over them.
        while let candidate = expression.next(afterMinute: local) {
            let moment = moments(of: candidate).first ?? change(over: candidate)
            if moment > start { return moment }
            local = candidate
        }
        return nil
    }

    /// Each moment whose local time matches.
    private func nextElapsed(after start: Int64) -> Int64? {
        let here = offset(at: start)
        let local = localMinute(of: start)
        let isPlain = offset(at: start + Self.repeatMax) == here && offset(at: start - Self.repeatMax) == here
        if isPlain {
            var last = local
            while let candidate = expression.next(afterMinute: last) {
                if let moment = moments(of: candidate).first(where: { $0 > start }) { return moment }
                last = candidate
            }
            return nil
        }
        // Near a change local time may run back, so every candidate around it is looked at.
        var best: Int64?
        var last = local - Self.repeatMax / Self.minute
        while let candidate = expression.next(afterMinute: last) {
            if let best, candidate > localMinute(of: best) + Self.repeatMax / Self.minute { break }
            if let moment = moments(of: candidate).first(where: { $0 > start }) { best = min(best ?? moment, moment) }
            last = candidate
        }
        return best
    }
}
