import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

/// A receiver's rounds under a clock that the test moves: what is told, and when.
private final class PlannerBench {
    private let settings: NotificationSettings
    private let receiver: AlertReceiver
    private(set) var now: Timestamp
    private let begin: Timestamp
    private var groups: [NotificationGroup] = []
    private var firing: [Alert] = []
    private var ended: [Alert] = []
    private var silences: [Silence] = []
    /// Who leaned on the providers that are out.
    var dependents = ProviderDependents()
    /// Whether attempts go well.
    var isUp = true
    private var ids = 0
    private let world = World.test()
    /// What was told: seconds since the beginning, why, and the alerts with `!` for ends.
    private(set) var told: [String] = []

    init(_ document: JSONValue) throws {
        settings = try NotificationSettings(document)
        receiver = try #require(settings.receivers.first)
        begin = world.now
        now = begin
    }

    func fire(
        _ name: String, _ more: [(String, String)] = [], ago seconds: Int64 = 0, origin: Alert.Origin = .rule
    ) {
        firing.append(
            Alert(
                id: Identifier(world), labels: LabelSet([("alertname", name)] + more), annotations: [:], value: nil,
                origin: origin, activeAt: now - .seconds(seconds), startsAt: now - .seconds(seconds), updatedAt: now,
                generatorURL: ""))
    }

    func end(_ name: String) {
        for index in firing.indices.reversed() where firing[index].name == name {
            var alert = firing.remove(at: index)
            (alert.endsAt, alert.updatedAt) = (now, now)
            ended.append(alert)
        }
    }

    func silence(_ name: String, seconds: Int64) throws {
        silences.append(
            Silence(
                id: name, matchers: [try LabelMatcher("alertname", .equal, name)], startsAt: now,
                endsAt: now + .seconds(seconds), updatedAt: now, createdBy: "ada", comment: ""))
    }

    /// Lets seconds go by, with a round in each.
    func run(_ seconds: Int) {
        for _ in 0..<seconds {
            round()
            now = now + .seconds(1)
        }
    }

    private func round() {
        let standings = AlertStandings(
            firing: firing, silences: silences.filter { $0.state(at: now) == .active },
            inhibitions: settings.inhibitions,
            dependents: Dictionary(firing.map { ($0.id, dependents) }) { first, _ in first })
        let plan = NotificationPlanner(settings: settings, receiver: receiver, standings: standings, now: now)
            .plan(firing: firing, ended: ended, groups: groups)
        groups += plan.added
        for group in plan.removed { groups.removeAll { $0.key == group.key } }
        for group in plan.passed { keep(group) }
        for job in plan.jobs {
            guard isUp else {
                var group = job.group
                group.attempts += 1
                group.nextAt = now + NotificationService.backoff(group.attempts)
                told.append("\(Int((now - begin).seconds)) failed")
                keep(group)
                continue
            }
            let names = job.items.map { "\($0.isFiring ? "" : "!")\($0.labels["alertname"])\($0.labels["n"])" }
            told.append("\(Int((now - begin).seconds)) \(job.reason) \(names.sorted().joined(separator: ","))")
            keep(job.after)
        }
    }

    private func keep(_ group: NotificationGroup) {
        for index in groups.indices where groups[index].key == group.key { groups[index] = group }
    }

    var groupCount: Int { groups.count }
}

@Suite("When receivers of alerts are told")
struct NotificationPlannerTests {
    private static func document(
        kind: String = "webhook", sendResolved: Bool = true, route: JSONValue = [:], more: [(String, JSONValue)] = []
    ) -> JSONValue {
        var routed = route.object ?? JSONObject()
        routed.append("receiver", "a")
        var object = JSONObject([
            .init(
                name: "receivers",
                value: [
                    [
                        "name": "a", "kind": .string(kind), "url": "https://example.org/hook",
                        "sendResolved": .bool(sendResolved),
                    ]
                ]), .init(name: "route", value: .object(routed)),
        ])
        for member in more { object.append(member.0, member.1) }
        return .object(object)
    }

    private static let drill = "drill_" + String(repeating: "0", count: 32)
    private static let brief: JSONValue = ["groupWait": "10s", "groupInterval": "60s", "repeatInterval": "5m"]

    @Test("a group waits for others, then for its interval, then repeats")
    func intervals() throws {
        let bench = try PlannerBench(Self.document(route: Self.brief))
        bench.fire("A", [("n", "1")])
        bench.run(5)
        bench.fire("A", [("n", "2")])
        bench.run(10)
        #expect(bench.told == ["10 first A1,A2"])
        bench.fire("A", [("n", "3")])
        bench.run(60)
        #expect(bench.told.last == "70 newAlerts A1,A2,A3")
        bench.run(360)
        // Told again with the first look after the time, as Alertmanager does.
        #expect(bench.told.last == "430 repetition A1,A2,A3")
        #expect(bench.told.count == 3)
    }

    @Test("what has waited elsewhere waits no more")
    func overdue() throws {
        let bench = try PlannerBench(Self.document(route: Self.brief))
        bench.fire("A", ago: 11)
        bench.run(1)
        #expect(bench.told == ["0 first A"])
    }

    @Test("what ends before it was told of is never told of")
    func silentEnd() throws {
        let bench = try PlannerBench(Self.document(route: Self.brief))
        bench.fire("A")
        bench.run(5)
        bench.end("A")
        bench.run(120)
        #expect(bench.told.isEmpty)
        #expect(bench.groupCount == 0)
    }

    @Test("ends are told with the group, and the last one forgets it")
    func ends() throws {
        let bench = try PlannerBench(Self.document(route: ["groupWait": "10s", "groupInterval": "60s", "groupBy": []]))
        bench.fire("A")
        bench.fire("B")
        bench.run(15)
        bench.end("A")
        bench.run(60)
        #expect(bench.told.last == "70 someResolved !A,B")
        bench.end("B")
        bench.run(60)
        #expect(bench.told.last == "130 allResolved !B")
        bench.run(120)
        #expect(bench.told.count == 3)
        #expect(bench.groupCount == 0)
    }

    @Test("who does not want ends hears of none, and of the next beginning again")
    func withoutEnds() throws {
        let bench = try PlannerBench(Self.document(sendResolved: false, route: Self.brief))
        bench.fire("A")
        bench.run(15)
        bench.end("A")
        bench.run(60)
        bench.fire("A")
        bench.run(130)
        // A group outlives its last end for an interval: what comes and goes is not told each time.
        #expect(bench.told == ["10 first A", "130 newAlerts A"])
    }

    @Test("groups differ by the labels that they are made by")
    func grouping() throws {
        let route: JSONValue = ["groupWait": "1s", "groupBy": ["alertname"]]
        let bench = try PlannerBench(Self.document(route: route))
        bench.fire("A", [("n", "1")])
        bench.fire("A", [("n", "2")])
        bench.fire("B")
        bench.run(3)
        #expect(bench.told == ["1 first A1,A2", "1 first B"])
        let alone = try PlannerBench(Self.document(route: ["groupWait": "1s", "groupBy": ["..."]]))
        alone.fire("A", [("n", "1")])
        alone.fire("A", [("n", "2")])
        alone.run(3)
        #expect(alone.told == ["1 first A1", "1 first A2"])
    }

    @Test("a silence keeps beginnings back, and no end of what was told")
    func silences() throws {
        let bench = try PlannerBench(Self.document(route: Self.brief))
        try bench.silence("A", seconds: 30)
        bench.fire("A")
        bench.run(69)
        #expect(bench.told.isEmpty)
        bench.run(10)
        #expect(bench.told == ["70 first A"])
        try bench.silence("A", seconds: 1_000)
        bench.run(10)
        bench.end("A")
        bench.run(60)
        #expect(bench.told == ["70 first A", "130 allResolved !A"])
    }

    @Test("what follows from a cause is not told while the cause fires")
    func inhibition() throws {
        let bench = try PlannerBench(Self.document(route: ["groupWait": "10s", "groupInterval": "60s"]))
        bench.fire("ProviderOutage", [("provider", "acme")])
        // An agent does not say which provider it leans on; timeouts name theirs.
        bench.dependents.agents = ["writer"]
        bench.fire("HighErrorRate", [("agent", "writer")])
        bench.fire("ModelTimeouts", [("provider", "acme")])
        bench.fire("ModelTimeouts", [("provider", "other")])
        // It never called that provider: its failure is its own.
        bench.fire("HighErrorRate", [("agent", "loner"), ("agent_type", "other")])
        bench.run(12)
        #expect(
            bench.told == ["10 first HighErrorRate", "10 first ModelTimeouts", "10 first ProviderOutage"])
        let without = try PlannerBench(
            Self.document(route: ["groupWait": "10s"], more: [("shippedInhibitions", false)]))
        without.fire("ProviderOutage", [("provider", "acme")])
        without.fire("HighErrorRate", [("provider", "acme")])
        without.run(12)
        #expect(without.told.count == 2)
    }

    @Test("what somebody posts under a cause's name keeps nobody quiet, nor does a drill")
    func falseCauses() throws {
        let inhibit: JSONValue = [["source": ["severity=critical"], "target": ["severity=warning"]]]
        let bench = try PlannerBench(
            Self.document(route: ["groupWait": "10s", "groupBy": ["alertname"]], more: [("inhibit", inhibit)]))
        bench.fire("ProviderOutage", origin: .external)
        bench.fire("DrillOutage", [("severity", "critical"), ("drill", Self.drill)])
        bench.fire("HighErrorRate", [("agent", "writer"), ("severity", "warning")])
        bench.run(12)
        #expect(bench.told == ["10 first HighErrorRate", "10 first ProviderOutage"])
    }

    @Test("a drill tells nobody but another Alertmanager; what others call one is none")
    func drills() throws {
        let express: JSONValue = ["groupWait": "1s", "routes": [["matchers": ["alertname=DrillDown"]]]]
        let bench = try PlannerBench(Self.document(route: express))
        bench.fire("DrillDown", [("drill", Self.drill)])
        bench.fire("Posted", [("drill", Self.drill)], origin: .external)
        bench.run(3)
        #expect(bench.told == ["1 first Posted"])
        let stream = try PlannerBench(Self.document(kind: "alertmanager"))
        stream.fire("DrillDown", [("drill", Self.drill)])
        stream.run(3)
        #expect(stream.told == ["0 first DrillDown"])
    }

    @Test("the severity none is told where a route asks for it, or for the alert by its name")
    func none() throws {
        func told(_ route: JSONValue, kind: String = "webhook") throws -> [String] {
            let bench = try PlannerBench(Self.document(kind: kind, route: route))
            bench.fire("FleetPaused", [("severity", "none")])
            bench.fire("Watchdog", [("severity", "none")], origin: .external)
            bench.run(3)
            return bench.told
        }
        func route(_ matchers: JSONValue) -> JSONValue {
            ["groupWait": "1s", "groupBy": [], "routes": [["matchers": matchers, "routes": [["matchers": []]]]]]
        }
        #expect(try told(["groupWait": "1s"]).isEmpty)
        #expect(try told(route([#"severity!="critical""#])).isEmpty)
        #expect(try told(route([#"alertname=~".*""#])).isEmpty)
        #expect(try told(route([#"severity="none""#])) == ["1 first FleetPaused,Watchdog"])
        #expect(try told(route([#"alertname=~"Fleet.*""#])) == ["1 first FleetPaused"])
        #expect(try told([:], kind: "alertmanager") == ["0 first FleetPaused,Watchdog"])
    }

    @Test("nothing is told at muted times, and all of it after them")
    func mutedTimes() throws {
        // The clock begins at 08:00.
        let times: JSONValue = [["name": "early", "times": ["08:00-08:01"]]]
        let route: JSONValue = [
            "groupWait": "1s", "groupInterval": "30s", "routes": [["matchers": [], "muteTimes": ["early"]]],
        ]
        let bench = try PlannerBench(Self.document(route: route, more: [("times", times)]))
        bench.fire("A")
        bench.run(100)
        #expect(bench.told == ["61 first A"])
    }

    @Test("one that does not answer is tried again, later each time, and then hears of all")
    func retries() throws {
        let bench = try PlannerBench(Self.document(route: Self.brief))
        bench.isUp = false
        bench.fire("A")
        bench.run(30)
        #expect(bench.told == ["10 failed", "12 failed", "16 failed", "24 failed"])
        bench.isUp = true
        bench.run(20)
        #expect(bench.told.last == "40 first A")
    }

    @Test("another Alertmanager is told at once, again each minute, and of the end")
    func stream() throws {
        let bench = try PlannerBench(Self.document(kind: "alertmanager"))
        bench.fire("A")
        bench.run(10)
        bench.fire("B")
        bench.run(55)
        bench.end("A")
        bench.run(5)
        bench.end("B")
        bench.run(120)
        #expect(
            bench.told == [
                "0 first A", "10 newAlerts B", "60 repetition A,B", "65 someResolved !A", "70 someResolved !B",
            ])
        #expect(bench.groupCount == 0)
    }

    @Test("an alert that began anew between two rounds is told anew to another Alertmanager")
    func flapping() throws {
        let bench = try PlannerBench(Self.document(kind: "alertmanager"))
        bench.fire("A")
        bench.run(1)
        bench.end("A")
        bench.fire("A")
        bench.run(1)
        #expect(bench.told.count == 2)
    }

    @Test("the Watchdog is told at each of its intervals, and nothing else is there")
    func watchdog() throws {
        let bench = try PlannerBench(
            Self.document(more: [("watchdog", ["receiver": "a", "interval": "20s"])]))
        bench.fire("Watchdog")
        bench.run(65)
        #expect(
            bench.told == ["0 first Watchdog"] + [20, 40, 60].map { "\($0) repetition Watchdog" })
    }

    @Test("groups are so many, and what is beyond is counted")
    func bound() throws {
        let settings = try NotificationSettings(Self.document(route: ["groupBy": ["..."]]))
        let world = World.test()
        let alerts = (0..<NotificationGroup.groupsMax + 3).map { number in
            Alert(
                id: Identifier(world), labels: LabelSet([("alertname", "A"), ("n", "\(number)")]), annotations: [:],
                value: nil, origin: .rule, activeAt: world.now, startsAt: world.now, updatedAt: world.now,
                generatorURL: "")
        }
        let plan = NotificationPlanner(
            settings: settings, receiver: try #require(settings.receivers.first),
            standings: AlertStandings(firing: alerts, silences: [], inhibitions: []), now: world.now
        ).plan(firing: alerts, ended: [], groups: [])
        #expect(plan.added.count == NotificationGroup.groupsMax)
        #expect(plan.crowded == 3)
    }
}
