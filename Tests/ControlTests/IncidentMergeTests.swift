import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Incidents: two become one, and one becomes two")
struct IncidentMergeTests {
    /// Incidents with containments and runbooks that follow them.
    struct Bench {
        let base: ContainmentFixture
        let runbooks: RunbookService
        let incidents: IncidentService
        let alerts: AlertService

        init(_ base: ContainmentFixture) {
            self.base = base
            let (events, world) = (base.base.events, base.base.world)
            let audit = AuditService(world: world)
            runbooks = RunbookService(containments: base.service, events: events, audit: audit, world: world)
            incidents = IncidentService(
                events: events, audit: audit, world: world, followers: [base.service, runbooks])
            alerts = AlertService(events: events, world: world, follower: incidents)
        }

        func fire(_ name: String, _ agent: String, mode: FailureMode? = nil) async throws -> String {
            let post = AlertPost(labels: Self.labels(name, agent, mode), endsAt: base.base.world.now + .hours(48))
            let changes = try await base.storage.write { [alerts] in
                try alerts.take([post], origin: .rule, from: "test", in: $0)
            }
            return changes.first?.alert.incidentID ?? ""
        }

        func end(_ name: String, _ agent: String, mode: FailureMode? = nil) async throws {
            let post = AlertPost(labels: Self.labels(name, agent, mode), endsAt: base.base.world.now)
            try await base.storage.write { [alerts] in _ = try alerts.take([post], origin: .rule, from: "test", in: $0)
            }
        }

        static func labels(_ name: String, _ agent: String, _ mode: FailureMode? = nil) -> LabelSet {
            LabelSet(
                [("alertname", name), ("severity", "critical"), ("agent", agent)]
                    + (mode.map { [("failure_mode", $0.rawValue)] } ?? []))
        }

        func merge(_ id: String, into other: String) async throws -> Incident {
            try await base.storage.write { [incidents] in
                try incidents.merge(id, into: other, by: IncidentFixture.ada, in: $0)
            }
        }

        func split(_ id: String, _ labels: [LabelSet]) async throws -> Incident {
            try await base.storage.write { [incidents] in
                try incidents.split(
                    id, alerts: labels.map(\.fingerprintText), title: nil, by: IncidentFixture.ada, in: $0)
            }
        }

        func run(on id: String) async throws -> RunbookRun {
            try await base.storage.write { [runbooks] in
                try runbooks.start(nil, on: id, approves: false, by: IncidentFixture.ada, in: $0).run
            }
        }

        func read<Value: Sendable>(
            _ body: @escaping @Sendable (IncidentService, Transaction) throws -> Value
        ) async throws -> Value { try await base.storage.read { [incidents] in try body(incidents, $0) } }

        /// Fingerprints by both of the places that say whose alerts are: they say the same.
        func alerts(of id: String) async throws -> Set<String> {
            try await read { [alerts] incidents, transaction in
                let rows = try alerts.alerts(ofIncident: id, limit: 100, in: transaction).map(\.fingerprint)
                let kept = try incidents.links.alerts(of: Identifier(stored: id), limit: 100, in: transaction)
                #expect(Set(rows) == Set(kept.map(\.fingerprint)))
                return Set(rows)
            }
        }
    }

    static func on(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        try await ContainmentFixture.on(engine, policy: try ContainmentFixture.acting([.infiniteLoop])) { base in
            try await base.register("a", "b")
            try await body(Bench(base))
        }
    }

    @Test("all that belongs to the one is the other's, and what contains it stays", arguments: TestEngine.available)
    func merges(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            // What its runbook would do needs a task, which is not named: nothing is planned.
            let (first, second) = (try await bench.fire("TaskStuck", "a"), try await bench.fire("TaskStuck", "b"))
            let pause = try await bench.base.propose(.pauseAgent, [.agents: ["b"]], for: second)
            try await bench.base.act()
            let run = try await bench.run(on: second)
            let edit = IncidentService.ActionEdit(summary: "do", owner: "ada")
            try await bench.base.storage.write { [incidents = bench.incidents] in
                for id in [first, second] {
                    _ = try incidents.addAction(edit, to: id, by: IncidentFixture.ada, in: $0)
                }
            }
            _ = try await bench.merge(second, into: first)

            #expect(try await bench.alerts(of: first).count == 2)
            #expect(try await bench.alerts(of: second).isEmpty)
            #expect(try await bench.base.containments(second).isEmpty)
            #expect(try await bench.base.containments(first).map(\.id) == [pause.id])
            let runs = try await bench.base.storage.read { try RunbookStore().run(run.id, in: $0)?.incidentID }
            #expect(runs == first)
            let items = try await bench.read { try $0.postmortems.items(of: Identifier(stored: first), in: $1) }
            #expect(items.map(\.number) == [1, 2])
            let story = try await bench.base.timeline(first).map { "\($0.kind) \($0.action)" }
            #expect(story.contains("containment pauseAgent") && story.contains("runbook started"))
            #expect(try await bench.base.timeline(second).map(\.action) == ["merged"])

            // The incident of the containment is over, and its alerts are not: it stays in force.
            try await bench.base.loop.rampBack()
            #expect(try await bench.base.agent("b").isPaused)
            try await bench.end("TaskStuck", "a")
            bench.base.time.advance(by: .hours(1))
            try await bench.base.loop.rampBack()
            #expect(try await bench.base.containment(pause.id).overAt == nil)
            try await bench.end("TaskStuck", "b")
            #expect(try await bench.read { try $0.known(first, in: $1).state } == .mitigated)
            // What is told of it late is told where it went.
            try await bench.base.storage.write { [incidents = bench.incidents] in
                try incidents.record(
                    IncidentEntry(kind: "note", action: "late", target: "x", actor: "ada", at: incidents.world.now),
                    in: Identifier(stored: second), $0)
            }
            #expect(try await bench.base.timeline(first).last?.action == "late")
        }
    }

    @Test("what acts by itself goes on in the one that is left, once", arguments: TestEngine.available)
    func plans(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let second = try await bench.fire("ToolStorm", "b", mode: .infiniteLoop)
            let first = try await bench.fire("Unwell", "a")
            try await bench.base.act()
            let plan = try #require(try await bench.base.containments(second).first)
            #expect(try await bench.base.containment(plan.id).state == .acted)
            _ = try await bench.merge(second, into: first)
            bench.base.time.advance(by: .hours(2))
            try await bench.base.loop.rampBack()
            #expect(try await bench.base.containment(plan.id).state == .acted)
            // The same again is the same plan.
            try await bench.end("ToolStorm", "b", mode: .infiniteLoop)
            #expect(try await bench.fire("ToolStorm", "b", mode: .infiniteLoop) == first)
            #expect(try await bench.base.containments(first).map(\.id) == [plan.id])
            try await bench.end("ToolStorm", "b", mode: .infiniteLoop)
            try await bench.end("Unwell", "a")
            bench.base.time.advance(by: .hours(2))
            try await bench.base.loop.rampBack()
            try await bench.base.act()
            #expect(try await bench.base.containment(plan.id).state == .reversed)
        }
    }

    @Test("a part that is split off takes along what is about it alone", arguments: TestEngine.available)
    func splits(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let (first, second) = (try await bench.fire("Unwell", "a"), try await bench.fire("TaskStuck", "b"))
            _ = try await bench.merge(second, into: first)
            let mine = try await bench.base.propose(.pauseAgent, [.agents: ["a"]], for: first)
            let theirs = try await bench.base.propose(.pauseAgent, [.agents: ["b"]], for: first)
            let both = try await bench.base.propose(.pauseAgent, [.agents: ["a", "b"]], for: first)
            try await bench.base.act()
            let run = try await bench.base.storage.write { [runbooks = bench.runbooks] in
                let name = runbooks.library.runbooks.first { $0.alerts.contains("TaskStuck") }?.name
                return try runbooks.start(name, on: first, approves: false, by: IncidentFixture.ada, in: $0).run
            }
            let other = try await bench.split(first, [Bench.labels("TaskStuck", "b")]).id.text
            #expect(other != second)
            #expect(try await bench.alerts(of: first).count == 1)
            #expect(try await bench.alerts(of: other).count == 1)
            #expect(try await bench.base.containments(other).map(\.id) == [theirs.id])
            #expect(try await Set(bench.base.containments(first).map(\.id)) == [mine.id, both.id])
            #expect(try await bench.base.storage.read { try RunbookStore().run(run.id, in: $0)?.incidentID } == other)
            #expect(try await bench.read { try $0.known(first, in: $1).subjects } == ["agent:a"])
            let story = try await bench.base.timeline(other).map { "\($0.kind) \($0.action)" }
            #expect(story.contains("alert fired") && story.contains("containment pauseAgent"))
            #expect(story.contains("runbook started"))
            // The same condition comes back to where it is now.
            try await bench.end("TaskStuck", "b")
            #expect(try await bench.read { try $0.known(other, in: $1).state } == .mitigated)
            #expect(try await bench.fire("TaskStuck", "b") == other)
            #expect(try await bench.read { try $0.known(first, in: $1).state } == .contained)
        }
    }

    @Test("a drill and the fleet stay apart, whoever asks")
    func drills() async throws {
        try await IncidentFixture.on(.sqlite) { bench in
            let name = "drill_" + String(repeating: "0", count: 32)
            let drill = try await bench.fire("DrillDown", ["agent": "a", "drill": name])
            let own = try await bench.fire("AgentDown", ["agent": "b"])
            for (one, other) in [(drill, own), (own, drill)] {
                #expect(
                    await code {
                        try await bench.change { try $0.merge(one, into: other, by: IncidentFixture.ada, in: $1) }
                    } == "conflict")
            }
        }
    }

    @Test("neither into itself, nor into what is over, nor in a circle", arguments: TestEngine.available)
    func refusals(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            var ids: [String] = []
            for name in ["a", "b", "c", "d"] { ids.append(try await bench.fire("AgentDown", ["agent": name])) }
            let known = ids
            @Sendable func merge(_ one: Int, _ other: Int) async -> String? {
                await code {
                    try await bench.change {
                        try $0.merge(known[one], into: known[other], by: IncidentFixture.ada, in: $1)
                    }
                }
            }
            #expect(await merge(0, 0) == "invalid")
            // All at once: each pair both ways, and a circle of three.
            await withTaskGroup(of: Void.self) { group in
                for (one, other) in [(0, 1), (1, 0), (1, 2), (2, 0)] { group.addTask { _ = await merge(one, other) } }
            }
            let open = try await bench.storage.read { [incidents = bench.incidents] transaction in
                try known.map { try incidents.known($0, in: transaction) }.filter(\.isOpen).map(\.id.text)
            }
            #expect(open.count == 2)
            let survivor = try #require(open.first { $0 != known[3] })
            // Whatever the order was, each leads to the one that is left.
            for id in known where id != survivor && id != known[3] {
                #expect(try await bench.incident(id).mergedInto == survivor)
                #expect(try await bench.story(id).last?.hasSuffix("merged incident:\(survivor)") != nil)
                // The same again is no error, and anything else is.
                let again = try await bench.change { try $0.merge(id, into: survivor, by: IncidentFixture.ada, in: $1) }
                #expect(again.id.text == survivor)
                #expect(
                    await code {
                        try await bench.change {
                            try $0.merge(id, into: known[3], by: IncidentFixture.ada, in: $1)
                        }
                    } == "conflict")
                #expect(
                    await code {
                        try await bench.change { try $0.remark(id, "x", by: IncidentFixture.ada, in: $1) }
                    } == "conflict")
            }
            try await bench.state(.resolved, of: known[3])
            #expect(
                await code {
                    try await bench.change { try $0.merge(survivor, into: known[3], by: IncidentFixture.ada, in: $1) }
                } == "conflict")
            #expect(try await bench.events("incident.merged").count == 2)
        }
    }

    @Test("an event that both were told of is told once, and none is lost", arguments: TestEngine.available)
    func timelines(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let (first, second) = (
                try await bench.fire("AgentDown", ["agent": "a"]), try await bench.fire("AgentDown", ["agent": "b"])
            )
            try await bench.note("deploy.finished", agent: "ci")
            try await bench.note("agent.paused", agent: "b")
            try await bench.timelines.follow()
            try await bench.note("agent.resumed", agent: "b")
            _ = try await bench.change { try $0.merge(second, into: first, by: IncidentFixture.ada, in: $1) }
            try await bench.timelines.follow()
            let story = try await bench.story(first)
            for entry in [
                "change deploy.finished agent:ci", "agent agent.paused agent:b", "agent agent.resumed agent:b",
            ] {
                #expect(story.count { $0 == entry } == 1, "\(entry): \(story)")
            }
        }
    }

    @Test("what people wrote is kept where two long timelines become one", arguments: TestEngine.available)
    func full(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            var ids: [String] = []
            for name in ["a", "b"] {
                let id = try await bench.open(["title": .string(name), "severity": "info"]).id
                ids.append(id.text)
                let entry = IncidentEntry(
                    kind: "task", action: "task.held", target: "task:\(name)", actor: "reeve", at: bench.world.now)
                try await bench.change { incidents, transaction in
                    for _ in 0..<2_600 { try incidents.record(entry, in: id, transaction) }
                    _ = try incidents.remark(id.text, "of \(name)", by: IncidentFixture.ada, in: transaction)
                }
            }
            let known = ids
            _ = try await bench.change { try $0.merge(known[1], into: known[0], by: IncidentFixture.ada, in: $1) }
            let story = try await bench.story(known[0])
            #expect(story.count == IncidentService.entriesMax)
            #expect(story.count { $0.hasPrefix("note") } == 2)
            #expect(try await bench.story(known[1]).count > 100)
        }
    }
}
