import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Cron across time zones")
struct CronTicksTests {
    private func ticks(_ expression: String, _ zone: String, from: String, to: String) throws -> [String] {
        let ticks = try CronTicks(CronExpression(expression), timeZone: zone)
        let end = try #require(Timestamp(rfc3339: to))
        var found: [String] = []
        var last = try #require(Timestamp(rfc3339: from)) - Span(microseconds: 1)
        while let tick = ticks.next(after: last), tick < end {
            #expect(tick > last)
            found.append(String(tick.rfc3339.dropFirst(5).prefix(11)))
            last = tick
        }
        return found
    }

    @Test(
        "a time that the change leaves out fires once behind the gap; one that comes twice fires once",
        arguments: [
            // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00Z.
            (
                "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z",
                ["03-28T01:30", "03-29T01:00", "03-30T00:30"]
            ),
            ("0,30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", ["03-29T01:00"]),
            ("0 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", ["03-29T01:00"]),
            (
                "0 1-4 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z",
                ["03-29T00:00", "03-29T01:00", "03-29T02:00", "03-29T23:00"]
            ),
            ("0 0 29 3 *", "Europe/Berlin", "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z", ["03-28T23:00"]),
            // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00Z.
            (
                "30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z",
                ["10-24T00:30", "10-25T00:30", "10-26T01:30"]
            ),
            (
                "0,30 2-3 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T12:00:00Z",
                ["10-25T00:00", "10-25T00:30", "10-25T02:00", "10-25T02:30"]
            ),
            // New York, 8 March and 1 November 2026.
            (
                "15 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z",
                ["03-07T07:15", "03-08T07:00", "03-09T06:15"]
            ),
            (
                "15 1 * * *", "America/New_York", "2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z",
                ["10-31T05:15", "11-01T05:15", "11-02T06:15"]
            ),
            // Lord Howe moves by half an hour: 4 October 02:00 becomes 02:30, 5 April 02:00 becomes 01:30.
            (
                "15 2 * * *", "Australia/Lord_Howe", "2026-10-02T00:00:00Z", "2026-10-05T00:00:00Z",
                ["10-02T15:45", "10-03T15:30", "10-04T15:15"]
            ),
            (
                "45 1 * * *", "Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z",
                ["04-03T14:45", "04-04T14:45", "04-05T15:15"]
            ),
            ("30 2 * * *", "UTC", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z", ["03-29T02:30"]),
        ] as [(String, String, String, String, [String])])
    func wall(expression: String, zone: String, from: String, to: String, expected: [String]) throws {
        #expect(try ticks(expression, zone, from: from, to: to) == expected)
    }

    @Test(
        "an expression for every hour follows elapsed time through both changes",
        arguments: [
            ("Europe/Berlin", "2026-03-28T23:00:00Z", 23), ("Europe/Berlin", "2026-10-24T22:00:00Z", 25),
            ("America/New_York", "2026-03-08T05:00:00Z", 23), ("America/New_York", "2026-11-01T04:00:00Z", 25),
            ("UTC", "2026-03-29T00:00:00Z", 24),
        ])
    func elapsed(zone: String, midnight: String, hours: Int) throws {
        let start = try #require(Timestamp(rfc3339: midnight))
        let end = (start + .hours(Int64(hours))).rfc3339
        #expect(try ticks("0 * * * *", zone, from: midnight, to: end).count == hours)
        #expect(try ticks("*/15 * * * *", zone, from: midnight, to: end).count == hours * 4)
        #expect(try ticks("* * * * *", zone, from: midnight, to: end).count == hours * 60)
        #expect(try ticks("30 0-23 * * *", zone, from: midnight, to: end).count == 24)
    }

    @Test("every quarter of an hour passes evenly where clocks move by half an hour")
    func lordHowe() throws {
        for midnight in ["2026-10-03T13:30:00Z", "2026-04-04T13:00:00Z"] {
            let zone = try CronTicks(CronExpression("*/15 * * * *"), timeZone: "Australia/Lord_Howe")
            var last = try #require(Timestamp(rfc3339: midnight))
            for _ in 0..<100 {
                let next = try #require(zone.next(after: last))
                #expect(next - last == .minutes(15))
                last = next
            }
        }
    }

    @Test("the next tick agrees with a look at every minute, around the changes of several zones")
    func property() throws {
        let entropy = SeededEntropy(seed: 11)
        let changes = [
            ("Europe/Berlin", "2026-03-29T01:00:00Z"), ("Europe/Berlin", "2026-10-25T01:00:00Z"),
            ("America/New_York", "2026-03-08T07:00:00Z"), ("America/New_York", "2026-11-01T06:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"), ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
            ("Asia/Kathmandu", "2026-04-04T15:00:00Z"), ("America/St_Johns", "2026-11-01T04:30:00Z"),
        ]
        for _ in 0..<300 {
            let (zone, change) = entropy.pick(changes)
            let minute = entropy.pick(["0", "30", "*/20", "*", "5,45", "59"])
            let hour = entropy.pick(["*", "*/2", "1", "2", "3", "1-3", "0,2", "2,3"])
            let expression = try CronExpression("\(minute) \(hour) * * *")
            let ticks = try CronTicks(expression, timeZone: zone)
            let middle = try #require(Timestamp(rfc3339: change))
            let start = middle + .seconds(Int64(entropy.int(in: -14_400...14_400)))
            let expected = try Self.slowNext(expression, zone: zone, after: start)
            #expect(ticks.next(after: start) == expected, "\(expression.text) in \(zone) after \(start)")
        }
    }

    /// What ``CronTicks`` promises, by the slowest way: all minutes from two days before, one after the other.
    private static func slowNext(
        _ expression: CronExpression, zone name: String, after start: Timestamp
    ) throws -> Timestamp? {
        let zone = try #require(TimeZone(identifier: name))
        let minute: Int64 = 60_000_000
        func offset(_ moment: Int64) -> Int64 {
            Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(moment / 1_000_000)))) * 1_000_000
        }
        var fired: Set<Int64> = []
        var moment = (start.microseconds / minute - 2 * 1_440) * minute
        var highest = (moment + offset(moment)) / minute - 1
        while moment < start.microseconds + 4 * 1_440 * minute {
            let local = (moment + offset(moment)) / minute
            var isDue = expression.matches(minute: local)
            if !expression.followsElapsedTime {
                isDue = isDue && fired.insert(local).inserted
                // Local minutes that were jumped over count here.
                if local > highest + 1 {
                    for left in highest + 1..<local where expression.matches(minute: left) { isDue = true }
                }
            }
            highest = max(highest, local)
            if isDue, moment > start.microseconds { return Timestamp(microseconds: moment) }
            moment += minute
        }
        return nil
    }

    @Test("the newest ticks come without walking through all the others")
    func newest() throws {
        let start = try #require(Timestamp(rfc3339: "2020-01-01T00:00:00Z"))
        let end = try #require(Timestamp(rfc3339: "2026-12-31T12:00:30Z"))
        for text in ["* * * * *", "* * * 1 *", "0 0 1 1 *", "0 0 29 2 *", "*/7 3 * * 1"] {
            let ticks = try CronTicks(CronExpression(text), timeZone: "Europe/Berlin")
            for limit in [1, 100] {
                let (found, leftOut) = ticks.newest(after: start, through: end, limit: limit)
                #expect(found.count <= limit && found == found.sorted() && Set(found).count == found.count)
                #expect(leftOut || found.count < limit || text == "0 0 29 2 *" || text == "0 0 1 1 *")
                let last = try #require(found.last)
                #expect(ticks.next(after: last).map { $0 > end } == true, "\(text)")
                if let first = found.first, !leftOut { #expect(ticks.next(after: start) == first) }
                for (one, two) in zip(found, found.dropFirst()) { #expect(ticks.next(after: one) == two) }
            }
        }
        let hourly = try CronTicks(CronExpression("@hourly"), timeZone: "UTC")
        #expect(hourly.newest(after: end - .minutes(30), through: end, limit: 5).ticks.count == 1)
        #expect(hourly.newest(after: end - .seconds(10), through: end, limit: 5).ticks.isEmpty)
    }

    @Test(
        "what is no zone is refused",
        arguments: ["", "Europe/Nowhere", "CEST", "GMT+2", "../../etc/passwd", "a/\u{0}"])
    func zones(name: String) throws {
        let expression = try CronExpression("@daily")
        #expect(throws: Problem.self) { try CronTicks(expression, timeZone: name) }
    }

    @Test("the ends of time have no next tick, and do not trap")
    func ends() throws {
        let ticks = try CronTicks(CronExpression("@daily"), timeZone: "Europe/Berlin")
        #expect(ticks.next(after: .distantFuture) == nil)
        #expect(ticks.next(after: Timestamp(microseconds: .min)) == nil)
        #expect(ticks.next(after: Timestamp(microseconds: 0)) != nil)
    }
}
