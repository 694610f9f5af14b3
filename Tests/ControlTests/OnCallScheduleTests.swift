import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Who is on call when")
struct OnCallScheduleTests {
    /// A moment, and who has the duty then.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let zone: String
        let layers: String
        var more = ""
        /// Moments and people; `-` for nobody.
        let expected: [(String, String)]

        var testDescription: String { name }
    }

    static let daily = "- {name: daily, people: [ada, grace], starts: 2026-03-01T09:00, length: 1d}"

    static let rows: [Row] = [
        Row(
            name: "a week's turns go round, and nobody is on before the first", zone: "Europe/Berlin",
            layers: OnCallFixture.weekly,
            expected: [
                ("2026-11-02T07:59:59Z", "-"), ("2026-11-02T08:00:00Z", "ada"), ("2026-11-09T07:59:59Z", "ada"),
                ("2026-11-09T08:00:00Z", "grace"), ("2026-11-16T08:00:00Z", "linus"), ("2026-11-23T08:00:00Z", "ada"),
            ]),
        // Europe/Berlin goes to summer time on 2026-03-29 at 01:00Z, and back on 2026-10-25 at 01:00Z.
        Row(
            name: "the handoff is at 09:00 on both sides of a change in spring", zone: "Europe/Berlin", layers: daily,
            expected: [
                ("2026-03-28T07:59:00Z", "ada"), ("2026-03-28T08:00:00Z", "grace"), ("2026-03-29T06:59:00Z", "grace"),
                // 23 hours.
                ("2026-03-29T07:00:00Z", "ada"), ("2026-03-30T06:59:00Z", "ada"), ("2026-03-30T07:00:00Z", "grace"),
            ]),
        Row(
            name: "and in autumn", zone: "Europe/Berlin", layers: daily,
            expected: [
                ("2026-10-24T06:59:00Z", "ada"), ("2026-10-24T07:00:00Z", "grace"), ("2026-10-25T07:59:00Z", "grace"),
                // 25 hours.
                ("2026-10-25T08:00:00Z", "ada"),
            ]),
        // America/New_York: 2026-03-08 and 2026-11-01, at 02:00 of its own.
        Row(
            name: "New York", zone: "America/New_York", layers: daily,
            expected: [
                ("2026-03-07T14:00:00Z", "ada"), ("2026-03-08T12:59:00Z", "ada"), ("2026-03-08T13:00:00Z", "grace"),
                ("2026-11-01T13:59:00Z", "ada"), ("2026-11-01T14:00:00Z", "grace"),
            ]),
        // Lord Howe moves by half an hour: back on 2026-04-05 at 02:00 (15:00Z), on 2026-10-04 at 02:00.
        Row(
            name: "Lord Howe, half an hour", zone: "Australia/Lord_Howe",
            layers: "- {name: d, people: [ada, grace], starts: 2026-04-01T01:45, length: 1d}",
            expected: [
                // 01:45 comes twice: the first one counts, and the second changes nothing.
                ("2026-04-04T14:44:00Z", "grace"), ("2026-04-04T14:45:00Z", "ada"), ("2026-04-04T15:00:00Z", "ada"),
                ("2026-04-04T15:15:00Z", "ada"), ("2026-04-05T15:14:00Z", "ada"), ("2026-04-05T15:15:00Z", "grace"),
            ]),
        Row(
            name: "a handoff in an hour that is left out comes right behind it", zone: "Europe/Berlin",
            layers: "- {name: d, people: [ada, grace], starts: 2026-03-28T02:30, length: 1d}",
            expected: [
                ("2026-03-28T01:30:00Z", "ada"), ("2026-03-29T00:59:59Z", "ada"), ("2026-03-29T01:00:00Z", "grace"),
                ("2026-03-30T00:29:59Z", "grace"), ("2026-03-30T00:30:00Z", "ada"),
            ]),
        Row(
            name: "half a day's turns keep to the clock", zone: "Europe/Berlin",
            layers: "- {name: d, people: [ada, grace], starts: 2026-10-24T09:00, length: 12h}",
            expected: [
                ("2026-10-24T18:59:00Z", "ada"), ("2026-10-24T19:00:00Z", "grace"), ("2026-10-25T07:59:00Z", "grace"),
                ("2026-10-25T08:00:00Z", "ada"),
            ]),
        Row(
            name: "the leap day is a day", zone: "UTC",
            layers: "- {name: d, people: [ada, grace], starts: 2028-02-28T00:00, length: 1d}",
            expected: [
                ("2028-02-28T23:59:59Z", "ada"), ("2028-02-29T00:00:00Z", "grace"), ("2028-03-01T00:00:00Z", "ada"),
            ]),
        Row(
            name: "a handoff by its day and its time", zone: "Europe/Berlin",
            layers: """
                - name: h
                  people: [ada, grace]
                  starts: 2026-03-24
                  handoff: {at: "10:30", on: friday}
                """,
            expected: [
                ("2026-03-27T09:29:00Z", "-"), ("2026-03-27T09:30:00Z", "ada"), ("2026-04-03T08:29:00Z", "ada"),
                ("2026-04-03T08:30:00Z", "grace"),
            ]),
        Row(
            name: "times of the day, past midnight too, and the higher priority", zone: "Europe/Berlin",
            layers: """
                - {name: all, people: [ada], starts: 2026-01-01, length: 1w}
                - name: nights
                  people: [grace]
                  starts: 2026-01-01
                  length: 1w
                  priority: 1
                  only: [{from: "22:00", to: "06:00", on: "monday:friday"}]
                """,
            expected: [
                // Monday 2026-06-01: nights begin at 22:00 (20:00Z).
                ("2026-06-01T03:00:00Z", "ada"), ("2026-06-01T19:59:00Z", "ada"), ("2026-06-01T20:00:00Z", "grace"),
                ("2026-06-02T03:59:00Z", "grace"), ("2026-06-02T04:00:00Z", "ada"),
                // Friday's night ends on Saturday, and Saturday has none.
                ("2026-06-06T03:59:00Z", "grace"), ("2026-06-06T20:30:00Z", "ada"), ("2026-06-08T01:00:00Z", "ada"),
            ]),
        Row(
            name: "an override across a change, and who wrote last", zone: "Europe/Berlin", layers: daily,
            more: """
                overrides:
                  - {from: 2026-10-24T12:00, until: 2026-10-25T12:00, person: linus}
                  - {from: "2026-10-25T00:30:00Z", until: "2026-10-25T01:30:00Z", person: ada}
                """,
            expected: [
                ("2026-10-24T09:59:00Z", "grace"), ("2026-10-24T10:00:00Z", "linus"), ("2026-10-25T00:29:00Z", "linus"),
                ("2026-10-25T00:30:00Z", "ada"), ("2026-10-25T01:30:00Z", "linus"), ("2026-10-25T10:59:00Z", "linus"),
                ("2026-10-25T11:00:00Z", "ada"),
            ]),
    ]

    @Test("has the duty as the table says", arguments: rows)
    func duty(_ row: Row) throws {
        let schedule = try OnCallFixture.schedule(zone: row.zone, layers: row.layers, more: row.more)
        for (text, person) in row.expected {
            let time = OnCallFixture.time(text)
            let duty = schedule.duty(at: time)
            #expect(duty.person ?? "-" == person, "\(text)")
            // What lists shifts says the same.
            #expect(schedule.shift(at: time).shift.duty == duty, "\(text)")
        }
    }

    @Test("it says what says so")
    func reasons() throws {
        let schedule = try OnCallFixture.schedule(
            layers: OnCallFixture.weekly,
            more: "overrides:\n  - {from: 2026-11-04T09:00, until: 2026-11-05T09:00, person: grace}")
        #expect(schedule.duty(at: OnCallFixture.time("2026-11-03T12:00:00Z")).reason == .layer("weekly"))
        #expect(schedule.duty(at: OnCallFixture.time("2026-11-04T12:00:00Z")).reason == .override("line 11"))
        #expect(schedule.duty(at: OnCallFixture.time("2026-11-01T12:00:00Z")).reason == .nobody)
    }

    @Test("shifts follow each other without a hole, and turns of a day have 23, 24 or 25 hours")
    func lengths() throws {
        let schedule = try OnCallFixture.schedule(layers: Self.daily)
        let range = OnCallFixture.time("2026-03-01T08:00:00Z")..<OnCallFixture.time("2026-11-30T08:00:00Z")
        let shifts = schedule.shifts(in: range)
        #expect(shifts.first?.from == range.lowerBound)
        #expect(shifts.last?.until == range.upperBound)
        for (one, next) in zip(shifts, shifts.dropFirst()) { #expect(one.until == next.from) }
        let hours = Dictionary(grouping: shifts, by: { Int(($0.until - $0.from).seconds) / 3_600 }).mapValues(\.count)
        #expect(hours == [23: 1, 24: 272, 25: 1])
    }

    @Test("the clock stands while an hour comes again, and jumps over one that is left out")
    func readings() throws {
        let clock = try #require(WallClock("Europe/Berlin"))
        func reading(_ text: String) -> String { WallClock.text(of: clock.reading(at: OnCallFixture.time(text))) }
        #expect(reading("2026-10-25T00:59:00Z") == "2026-10-25T02:59")
        #expect(reading("2026-10-25T01:00:00Z") == "2026-10-25T02:59")
        #expect(reading("2026-10-25T01:59:59Z") == "2026-10-25T02:59")
        #expect(reading("2026-10-25T02:00:00Z") == "2026-10-25T03:00")
        #expect(reading("2026-03-29T00:59:00Z") == "2026-03-29T01:59")
        #expect(reading("2026-03-29T01:00:00Z") == "2026-03-29T03:00")
        let shown = clock.shown(at: OnCallFixture.time("2026-10-25T01:15:00Z"))
        #expect(WallClock.text(of: shown) == "2026-10-25T02:15")
    }

    @Test("what is no zone is none", arguments: ["CET", "+01:00", "../../etc/passwd", "Europe/Nowhere", "", "Europe/"])
    func zones(_ name: String) { #expect(WallClock(name) == nil) }
}

/// Random plans, minute by minute, beside a reference that shares nothing with what is tested.
@Suite("Who is on call, minute by minute")
struct OnCallReferenceTests {
    private static let zones = [
        "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu", "America/St_Johns",
    ]
    /// Quarters with and without a change of the clock.
    private static let starts = ["2026-01-10", "2026-03-01", "2026-09-15", "2027-10-01", "2028-02-01"]

    /// Walks through the minutes with the system's calendar, and keeps the highest time that it has shown.
    private struct Walk {
        var calendar = Calendar(identifier: .gregorian)
        var utc = Calendar(identifier: .gregorian)
        var highest = Int.min

        init(_ zone: String) throws {
            calendar.timeZone = try #require(TimeZone(identifier: zone))
            utc.timeZone = .gmt
        }

        /// Minutes since 1970 of what a clock shows, as if it were in Greenwich.
        mutating func show(_ minute: Int) throws -> Int {
            let date = Date(timeIntervalSince1970: Double(minute) * 60)
            let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute], from: date)
            highest = max(highest, Int(try #require(utc.date(from: parts)).timeIntervalSince1970) / 60)
            return highest
        }
    }

    private struct Turn {
        let people: [String]
        let starts: Int
        let length: Int
        let priority: Int
        /// Minutes of the day and days of the week (1 for Sunday, as the calendar has them).
        let only: (from: Int, to: Int, on: ClosedRange<Int>)?

        func person(_ wall: Int) -> String? {
            guard wall >= starts else { return nil }
            if let only {
                let (day, minute) = (wall / 1_440, wall % 1_440)
                // 1970-01-01 was a Thursday, the fifth day.
                func isOn(_ day: Int) -> Bool { only.on.contains((day + 4) % 7 + 1) }
                let isIn =
                    only.from < only.to
                    ? isOn(day) && minute >= only.from && minute < only.to
                    : isOn(day) && minute >= only.from || isOn(day - 1) && minute < only.to
                guard isIn else { return nil }
            }
            var (turn, place) = (starts, 0)
            let skipped = (wall - starts) / length
            turn += skipped * length
            place = skipped % people.count
            return wall < turn ? nil : people[place]
        }
    }

    private static let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

    private static func text(_ minute: Int) -> String {
        String(Timestamp(microseconds: Int64(minute) * 60_000_000).rfc3339.prefix(16))
    }

    private static func clock(_ minute: Int) -> String {
        "\(minute / 60 < 10 ? "0" : "")\(minute / 60):\(minute % 60 < 10 ? "0" : "")\(minute % 60)"
    }

    /// Turns, and the lines of the file that say the same.
    private static func layers(_ seed: SeededEntropy, from start: Int) -> (turns: [Turn], text: String) {
        var (turns, lines): ([Turn], [String]) = ([], [])
        for index in 0..<seed.int(in: 1...4) {
            let people = (0..<seed.int(in: 1...3)).map { _ in seed.pick(["ada", "grace", "linus"]) }
            let length = seed.pick([60, 90, 7 * 60, 12 * 60, 1_440, 2 * 1_440, 7 * 1_440])
            let starts = start - seed.int(in: -20...40) * 1_440 + seed.int(in: 0...1_439)
            var only: (Int, Int, ClosedRange<Int>)?
            if seed.int(in: 0...2) > 0 {
                let from = seed.int(in: 0...47) * 30
                let to = (from + seed.int(in: 1...47) * 30) % 1_440
                let first = seed.int(in: 1...7)
                only = (from, to, first...seed.int(in: first...7))
            }
            let turn = Turn(people: people, starts: starts, length: length, priority: seed.int(in: 0...2), only: only)
            turns.append(turn)
            let window = only.map { from, to, on in
                ", only: [{from: \"\(clock(from))\", to: \"\(clock(to))\", on: "
                    + "\"\(names[on.lowerBound - 1]):\(names[on.upperBound - 1])\"}]"
            }
            lines.append(
                "- {name: l\(index), people: [\(people.joined(separator: ", "))], starts: \(text(starts)), "
                    + "length: \(length)m, priority: \(turn.priority)\(window ?? "")}")
        }
        return (turns, lines.joined(separator: "\n"))
    }

    private static func covers(
        _ seed: SeededEntropy, from start: Int, minutes: Int
    ) -> (covers: [(from: Int, until: Int, person: String)], text: String) {
        let covers = (0..<seed.int(in: 0...6)).map { _ in
            let from = start + seed.int(in: -1_440...minutes)
            return (
                from: from, until: from + seed.int(in: 1...4 * 1_440), person: seed.pick(["ada", "grace", "linus"])
            )
        }
        let lines = covers.map { "  - {from: \"\(text($0))Z\", until: \"\(text($1))Z\", person: \($2)}" }
            .map { $0.replacingOccurrences(of: "Z\"", with: ":00Z\"") }
        return (covers, covers.isEmpty ? "" : "overrides:\n" + lines.joined(separator: "\n"))
    }

    @Test("each minute of a quarter has exactly the person that the reference says", arguments: 1...6)
    func quarter(_ number: Int) throws {
        let seed = SeededEntropy(seed: UInt64(number))
        let zone = Self.zones[(number - 1) % Self.zones.count]
        let start = Int(OnCallFixture.time("\(seed.pick(Self.starts))T00:00:00Z").microseconds / 60_000_000)
        let minutes = 92 * 1_440
        let (turns, layers) = Self.layers(seed, from: start)
        let (covers, overrides) = Self.covers(seed, from: start, minutes: minutes)
        let schedule = try OnCallFixture.schedule(zone: zone, layers: layers, more: overrides)
        func moment(_ minute: Int) -> Timestamp { Timestamp(microseconds: Int64(minute) * 60_000_000) }
        let shifts = schedule.shifts(in: moment(start)..<moment(start + minutes))
        var walk = try Walk(zone)
        for minute in start - 180..<start { _ = try walk.show(minute) }
        var (place, wrong) = (0, 0)
        for minute in start..<start + minutes {
            let wall = try walk.show(minute)
            let on = turns.filter { $0.person(wall) != nil }
            let top = on.map(\.priority).max()
            let expected =
                covers.last { $0.from <= minute && minute < $0.until }?.person
                ?? on.last { $0.priority == top }?.person(wall)
            while shifts[place].until <= moment(minute) { place += 1 }
            let isRight =
                shifts[place].from <= moment(minute) && shifts[place].duty.person == expected
                && (minute % 37 > 0 || schedule.duty(at: moment(minute)).person == expected)
            guard !isRight else { continue }
            wrong += 1
            if wrong < 4 {
                Issue.record("\(Self.text(minute))Z in \(zone): \(expected ?? "nobody")\n\(layers)\n\(overrides)")
            }
        }
        #expect(wrong == 0)
        #expect(place == shifts.count - 1)
    }
}
