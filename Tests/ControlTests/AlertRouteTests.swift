import Foundation
import Kernel
import Telemetry
import Testing

@testable import Control

@Suite("Where alerts go, and when they are told")
struct AlertRouteTests {
    private static func route(
        _ key: String, _ matchers: String = "", goesOn: Bool = false, _ routes: [AlertRoute] = []
    ) throws -> AlertRoute {
        AlertRoute(
            key: key, matchers: try AlertMatcherText.parse(matchers, field: "matchers"), receiver: key,
            grouping: .by(["alertname"]), groupWait: .seconds(30), groupInterval: .minutes(5),
            repeatInterval: .hours(4), muteTimes: [], activeTimes: [], goesOn: goesOn, routes: routes)
    }

    @Test(
        "an alert goes to the first route that matches, and on where that says so",
        arguments: [
            ([("team", "a")], ["a"]), ([("team", "b"), ("severity", "critical")], ["audit", "b-critical"]),
            ([("team", "b"), ("severity", "warning")], ["audit", "b"]), ([("team", "c")], ["root"]),
            ([], ["root"]),
        ] as [([(String, String)], [String])])
    func matching(_ labels: [(String, String)], _ receivers: [String]) throws {
        let root = try Self.route(
            "root", "",
            [
                Self.route("a", #"team="a""#),
                Self.route("audit", #"team=~"b|d""#, goesOn: true),
                Self.route("b", #"team="b""#, [Self.route("b-critical", #"severity="critical""#)]),
                Self.route("never", #"team="b""#),
            ])
        #expect(root.matching(LabelSet(labels)).map(\.receiver) == receivers)
    }

    struct Telling: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var last: (firing: Set<UInt64>, resolved: Set<UInt64>, minutes: Int64)?
        let firing: Set<UInt64>
        var resolved: Set<UInt64> = []
        var sendsResolved = true
        let reason: AlertNotice.Reason?
    }

    @Test(
        "what is new is told, and what is old only now and then",
        arguments: [
            Telling(testDescription: "the first alert", firing: [1], reason: .first),
            Telling(testDescription: "one that ended before anybody heard", firing: [], resolved: [1], reason: nil),
            Telling(testDescription: "nothing new", last: ([1], [], 10), firing: [1], reason: nil),
            Telling(testDescription: "another one", last: ([1], [], 10), firing: [1, 2], reason: .newAlerts),
            Telling(
                testDescription: "one of two ended", last: ([1, 2], [], 10), firing: [1], resolved: [2],
                reason: .someResolved),
            Telling(
                testDescription: "one of two ended, and ends are not told", last: ([1, 2], [], 10), firing: [1],
                resolved: [2], sendsResolved: false, reason: nil),
            Telling(testDescription: "all ended", last: ([1], [], 10), firing: [], resolved: [1], reason: .allResolved),
            Telling(testDescription: "all had ended", last: ([], [1], 10), firing: [], resolved: [1], reason: nil),
            Telling(testDescription: "for four hours", last: ([1], [], 240), firing: [1], reason: nil),
            Telling(testDescription: "for longer", last: ([1], [], 241), firing: [1], reason: .repetition),
        ])
    func telling(_ row: Telling) {
        let now = Timestamp(microseconds: 1_000_000_000_000_000)
        let last = row.last.map {
            AlertNotice(firing: $0.firing, resolved: $0.resolved, at: now - .minutes($0.minutes))
        }
        let reason = AlertNotice.reason(
            after: last, firing: row.firing, resolved: row.resolved, sendsResolved: row.sendsResolved,
            repeatInterval: .hours(4), now: now)
        #expect(reason == row.reason)
    }

    @Test("an alert keeps others of the same labels quiet, but not its like")
    func inhibition() throws {
        let rule = AlertInhibition(
            sources: try AlertMatcherText.parse(#"severity="critical""#, field: "s"),
            targets: try AlertMatcherText.parse(#"severity=~"critical|warning""#, field: "t"), equal: ["provider"])
        let source = LabelSet([("severity", "critical"), ("provider", "p")])
        #expect(rule.mutes(LabelSet([("severity", "warning"), ("provider", "p")]), by: source))
        #expect(!rule.mutes(LabelSet([("severity", "warning"), ("provider", "q")]), by: source))
        #expect(!rule.mutes(LabelSet([("severity", "info"), ("provider", "p")]), by: source))
        #expect(!rule.mutes(source, by: source))
        #expect(rule.mutes(LabelSet([("severity", "warning")]), by: LabelSet([("severity", "critical")])))
    }

    @Test(
        "matchers are read as Alertmanager reads them",
        arguments: [
            (#"a="b""#, #"a="b""#), ("{a=b}", #"a="b""#), (#" { a = "b" , c =~ "d.*" , } "#, #"a="b",c=~"d.*""#),
            (#"a!="x, y",b!~z"#, #"a!="x, y",b!~"z""#), (#"a="say \"hi\"\n""#, #"a="say \"hi\"\n""#),
            (#"a=~\d+"#, #"a=~"\\d+""#), ("", ""), ("{}", ""), ("a=", #"a="""#),
        ])
    func matchers(_ text: String, _ wanted: String) throws {
        let found = try AlertMatcherText.parse(text, field: "matchers")
        #expect(found.map(\.description).joined(separator: ",") == wanted)
    }

    @Test(
        "what is no matcher is refused", arguments: ["a", "=b", "{a=b", #"a="b"#, #"a="b"c""#, "1a=b", "a=~(", "a b=c"])
    func noMatchers(_ text: String) {
        #expect(throws: Problem.self) { try AlertMatcherText.parse(text, field: "matchers") }
    }

    // 2026-11-23 is a Monday.
    @Test(
        "times of the week and the year",
        arguments: [
            ("2026-11-23T08:59:59Z", false), ("2026-11-23T09:00:00Z", true), ("2026-11-23T16:59:59Z", true),
            ("2026-11-23T17:00:00Z", false), ("2026-11-28T10:00:00Z", false), ("2026-11-27T10:00:00Z", true),
        ])
    func officeHours(_ moment: String, _ isInside: Bool) throws {
        var times = AlertTimes()
        times.minutes = [try #require(AlertTimes.minutes(from: "09:00", to: "17:00"))]
        times.weekdays = [try #require(AlertTimes.weekdays("monday:friday"))]
        #expect(times.contains(try #require(Timestamp(rfc3339: moment))) == isInside)
        // An hour earlier on the wall of London's winter is the same; Berlin's is one hour ahead.
        times.zone = try #require(TimeZone(identifier: "Europe/Berlin"))
        #expect(times.contains(try #require(Timestamp(rfc3339: moment)) - .hours(1)) == isInside)
    }

    // Berlin leaves out 02:00-03:00 on 2026-03-29, and has it twice on 2026-10-25.
    @Test(
        "times go by the clock on the wall where it changes",
        arguments: [
            ("02:00", "03:00", "2026-03-29T00:59:59Z", false), ("02:00", "03:00", "2026-03-29T01:00:00Z", false),
            ("01:30", "03:30", "2026-03-29T00:30:00Z", true), ("01:30", "03:30", "2026-03-29T01:29:59Z", true),
            ("01:30", "03:30", "2026-03-29T01:30:00Z", false), ("09:00", "17:00", "2026-03-28T08:00:00Z", true),
            ("09:00", "17:00", "2026-03-29T07:00:00Z", true), ("09:00", "17:00", "2026-03-29T15:00:00Z", false),
            ("02:00", "03:00", "2026-10-24T23:59:59Z", false), ("02:00", "03:00", "2026-10-25T00:00:00Z", true),
            ("02:00", "03:00", "2026-10-25T01:59:59Z", true), ("02:00", "03:00", "2026-10-25T02:00:00Z", false),
            ("09:00", "17:00", "2026-10-25T07:59:59Z", false), ("09:00", "17:00", "2026-10-25T08:00:00Z", true),
        ])
    func clockChanges(_ from: String, _ to: String, _ moment: String, _ isInside: Bool) throws {
        var times = AlertTimes()
        times.minutes = [try #require(AlertTimes.minutes(from: from, to: to))]
        times.zone = try #require(TimeZone(identifier: "Europe/Berlin"))
        #expect(times.contains(try #require(Timestamp(rfc3339: moment))) == isInside)
    }

    @Test(
        "days count from either end of a month",
        arguments: [
            ("-3:-1", "2026-02-25T12:00:00Z", false), ("-3:-1", "2026-02-26T12:00:00Z", true),
            ("-1", "2028-02-29T12:00:00Z", true), ("10:-2", "2026-11-29T12:00:00Z", true),
            ("10:-2", "2026-11-30T12:00:00Z", false), ("31", "2026-11-30T12:00:00Z", false),
            ("1:31", "2026-02-28T12:00:00Z", true),
        ])
    func days(_ text: String, _ moment: String, _ isInside: Bool) throws {
        var times = AlertTimes()
        times.days = [try #require(AlertTimes.days(text))]
        #expect(times.contains(try #require(Timestamp(rfc3339: moment))) == isInside)
    }

    @Test("what is no time is refused")
    func noTimes() {
        for (start, end) in [("9:00", "17:00"), ("17:00", "09:00"), ("09:00", "24:01"), ("09:60", "10:00"), ("a", "b")]
        {
            #expect(AlertTimes.minutes(from: start, to: end) == nil)
        }
        #expect(AlertTimes.minutes(from: "00:00", to: "24:00") == 0..<1_440)
        #expect(AlertTimes.weekdays("friday:monday") == nil && AlertTimes.weekdays("someday") == nil)
        #expect(AlertTimes.days("0") == nil && AlertTimes.days("32") == nil && AlertTimes.days("-1:-3") == nil)
        #expect(AlertTimes.months("march:5") == 3...5 && AlertTimes.months("13") == nil)
        #expect(AlertTimes.years("2026:2028") == 2_026...2_028)
    }
}
