import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// A ground that is cleared when it is told to be.
private final class TestGround: DrillGround {
    private let state = Mutex((isClear: true, refuses: false, cleared: 0, prepared: 0))

    var cleared: Int { state.withLock { $0.cleared } }
    var prepared: Int { state.withLock { $0.prepared } }
    func keep(_ isKept: Bool) { state.withLock { $0.isClear = !isKept } }
    func refuse(_ refuses: Bool) { state.withLock { $0.refuses = refuses } }

    func prepare(_ drill: Drill, in transaction: Transaction) throws { state.withLock { $0.prepared += 1 } }

    func clear(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        state.withLock { $0.cleared += 1 }
        guard state.withLock({ $0.refuses }) else { return state.withLock { $0.isClear } }
        return try transaction.isAllowed { throw Problem(.conflict, "The task is done already.") }
    }

    func mendModel() {}
}

@Suite("Drills on the server")
struct DrillServiceTests {
    private static let ada = TaskFixture.operatorKey

    private struct Bench {
        let base: ContainmentFixture
        let ground = TestGround()
        let service: DrillService

        init(_ base: ContainmentFixture) {
            self.base = base
            service = DrillService(
                ground: ground, incidents: base.incidents, containments: base.service, model: DrillNames.model,
                events: base.base.events, audit: AuditService(world: base.base.world), world: base.base.world)
        }

        func start(_ kind: Drill.Kind) async throws -> Drill {
            try await base.storage.write { [service] in try service.start(kind, by: DrillServiceTests.ada, in: $0) }
        }

        @discardableResult
        func end(_ drill: Drill) async throws -> Drill {
            try await base.storage.write { [service] in
                try service.end(drill.id, by: DrillServiceTests.ada, in: $0)
            }
        }

        func sweep() async throws {
            guard try await base.storage.read({ [service] in try service.needsSweep(in: $0) }) else { return }
            try await base.storage.write { [service] in try service.sweep(in: $0) }
        }

        func running() async throws -> [String] {
            try await base.storage.read { [service] in try service.temporaryRules(in: $0).map(\.name) }
        }

        func incident(_ id: String) async throws -> Incident {
            try await base.storage.read { [base] in try base.incidents.known(id, in: $0) }
        }

        func containments(_ incident: String) async throws -> [Containment] { try await base.containments(incident) }

        func isSwept() async throws -> Bool {
            try await !base.storage.read { [service] in try service.needsSweep(in: $0) }
        }
    }

    private static func on(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        try await withStorage(engine, migrations: ContainmentFixture.migrations) { storage in
            try await body(Bench(ContainmentFixture(storage: storage)))
        }
    }

    private static func labels(_ drill: Drill, agent: String) -> [(String, String)] {
        [("agent", agent), ("drill", drill.id.text)]
    }

    @Test("a drill that nobody ends is over in its time, and the next may begin", arguments: TestEngine.available)
    func time(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.costSpike)
            #expect(bench.ground.prepared == 1)
            #expect(try await bench.running() == [drill.id.text])
            for kind in [Drill.Kind.costSpike, .hungAgent] {
                let refusal = try await #require(throws: Problem.self) { _ = try await bench.start(kind) }
                #expect(refusal.code == .conflict && refusal.detail.contains(drill.id.text))
            }
            bench.base.time.advance(by: .seconds(39))
            try await bench.sweep()
            #expect(try await bench.running() == [drill.id.text])
            bench.base.time.advance(by: .seconds(1))
            try await bench.sweep()
            #expect(try await bench.running().isEmpty)
            #expect(try await bench.isSwept())
            let next = try await bench.start(.costSpike)
            #expect(next.id != drill.id)
        }
    }

    @Test("what is refused does not keep a drill from ending, and is done later", arguments: TestEngine.available)
    func refused(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            let incident = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: "\(drill.prefix)hung"))
            bench.ground.refuse(true)
            #expect(try await bench.end(drill).endedAt != nil)
            #expect(try await bench.running().isEmpty)
            #expect(try await !bench.isSwept())
            #expect(try await !bench.incident(incident).isOpen)
            bench.ground.refuse(false)
            bench.ground.keep(true)
            try await bench.sweep()
            #expect(try await !bench.isSwept())
            bench.ground.keep(false)
            try await bench.sweep()
            #expect(try await bench.isSwept())
        }
    }

    @Test("what was done against the fault is taken back before its incident ends", arguments: TestEngine.available)
    func takenBack(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            let agent = "\(drill.prefix)hung"
            try await bench.base.register(agent, "writer")
            let incident = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: agent))
            let made = try await bench.base.propose(.pauseAgent, [.agents: [agent]], for: incident)
            let open = try await bench.base.propose(.pauseAgent, [.agents: ["writer"]], for: incident, acts: false)
            try await bench.base.act()
            #expect(try await bench.base.containment(made.id).state == .acted)
            try await bench.end(drill)
            #expect(try await bench.incident(incident).isOpen)
            #expect(try await bench.base.containment(open.id).state == .refused)
            try await bench.base.act()
            try await bench.sweep()
            #expect(try await bench.base.containment(made.id).state == .reversed)
            #expect(try await !bench.incident(incident).isOpen)
            #expect(try await bench.base.agent(agent).isPaused == false)
            #expect(try await bench.isSwept())
        }
    }

    @Test("what reaches a drill's own agents alone acts without anybody's yes", arguments: TestEngine.available)
    func ownPolicy(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            let agent = "\(drill.prefix)hung"
            try await bench.base.register(agent, "writer")
            let incident = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: agent))
            try await bench.sweep()
            try await bench.sweep()
            let made = try await bench.containments(incident)
            #expect(made.map(\.state) == [.acting] && made[0].origin == .plan)
            #expect(made[0].decidedBy == drill.policy.actor)
            try await bench.base.act()
            #expect(try await bench.base.agent(agent).isPaused)
            #expect(try await !bench.base.agent("writer").isPaused)
            // It is none of what Reeve may do alone to the fleet within an hour.
            let alone = try await bench.base.storage.read { [bench] in
                try bench.base.service.store.actedAlone(since: drill.startedAt, in: $0)
            }
            #expect(alone == 0)
            // What was taken back is not done again while the alert fires on.
            try await bench.base.storage.write { [base = bench.base] in
                _ = try base.service.reverse(made[0].id.text, by: Self.ada, in: $0)
            }
            try await bench.base.act()
            try await bench.sweep()
            #expect(try await bench.containments(incident).map(\.state) == [.reversed])
            #expect(try await !bench.base.agent(agent).isPaused)
        }
    }

    @Test("what would reach others waits for somebody", arguments: TestEngine.available)
    func others(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.loopingAgent)
            let agent = "\(drill.prefix)looper"
            try await bench.base.register(agent, "writer")
            let incident = try await bench.base.fire(
                "DrillLoopingAgent", Self.labels(drill, agent: agent), mode: .infiniteLoop)
            _ = try await bench.base.fire(
                "DrillLoopingAgent", Self.labels(drill, agent: "writer"), mode: .infiniteLoop)
            try await bench.sweep()
            try await bench.base.act()
            #expect(try await bench.base.agent(agent).isPaused)
            #expect(try await !bench.base.agent("writer").isPaused)
            let waiting = try await bench.containments(incident).filter(\.state.isOpen)
            #expect(waiting.count == 1 && waiting[0].steps.allSatisfy { $0.order[.agents] != [agent] })
        }
    }

    @Test("what takes back a person's act is asked of a person", arguments: TestEngine.available)
    func asks(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.queueBackup)
            let worker = "\(drill.prefix)worker"
            try await bench.base.storage.write { [agents = bench.base.base.agents] in
                var draft = AgentDraft(name: worker)
                draft.project = drill.project
                _ = try agents.register(draft, by: Self.ada, in: $0)
                _ = try agents.direct(.pause, worker, reason: "by mistake", by: Self.ada, in: $0)
            }
            _ = try await bench.base.base.create([
                "queue": .string("\(drill.prefix)piles"), "project": .string(drill.project),
            ])
            let incident = try await bench.base.fire(
                "DrillQueueBackup", [("queue", "\(drill.prefix)piles"), ("drill", drill.id.text)])
            try await bench.sweep()
            try await bench.sweep()
            let asked = try await bench.containments(incident)
            #expect(asked.map(\.state) == [.asked] && asked[0].steps.map(\.order.action) == [.resumeAgent])
            #expect(try await bench.base.agent(worker).isPaused)
            try await bench.base.storage.write { [base = bench.base] in
                _ = try base.service.approve(asked[0].id.text, by: Self.ada, in: $0)
            }
            try await bench.base.act()
            #expect(try await !bench.base.agent(worker).isPaused)
        }
    }

    @Test("a drill and the fleet never share an incident, and nor do two drills", arguments: TestEngine.available)
    func apart(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let first = try await bench.start(.modelOutage)
            let model = [("model", DrillNames.model), ("provider", DrillNames.model)]
            func fire(_ name: String, _ drill: String?) async throws -> String {
                try await bench.base.fire(
                    name, model + (drill.map { [("drill", $0)] } ?? []), mode: .llmOutage)
            }
            let real = try await fire("ProviderOutage", nil)
            let drilled = try await fire("DrillModelOutage", first.id.text)
            #expect(drilled != real)
            // What is about the same model joins what is of its own kind.
            #expect(try await fire("ModelTimeouts", nil) == real)
            #expect(try await fire("DrillCostSpike", first.id.text) == drilled)
            // A killed drill's incident may be open still.
            let second = try await fire("DrillModelOutage", Identifier<Drill>(bench.base.base.world).text)
            #expect(second != drilled && second != real)
            try await bench.end(first)
            #expect(try await bench.incident(real).isOpen)
            #expect(try await bench.incident(second).isOpen)
            // A word that is no drill's is a label as any other.
            #expect(try await fire("Named", "fire") == real)
            let subjects = try await bench.incident(real).subjects
            #expect(!subjects.contains { $0.hasPrefix("drill:") })
        }
    }

    @Test("who started it says yes in the drill's name, and the audit log says so", arguments: TestEngine.available)
    func actor(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            let agent = "\(drill.prefix)hung"
            try await bench.base.register(agent)
            let incident = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: agent))
            try await bench.sweep()
            #expect(drill.policy.actor == "operator:olga in \(drill.id.text)")
            #expect(drill.json["policy"] == .string(drill.policy.actor))
            #expect(try await bench.containments(incident).map(\.decidedBy) == [drill.policy.actor])
            let entries = try await bench.base.storage.read {
                try AuditStore().list(after: 0, limit: 100, in: $0)
            }
            #expect(entries.filter { $0.action == "containment.approved" }.map(\.actor) == [drill.policy.actor])
        }
        for (starter, actor) in [
            ("admin:ada:b", "admin:ada:b in "), ("reeve", "operator:reeve in "), ("", "operator:nobody in "),
        ] {
            let drill = Drill(
                id: Identifier(World.test()), kind: .hungAgent, startedAt: World.test().now, startedBy: starter)
            #expect(drill.policy.actor == actor + drill.id.text)
        }
    }

    @Test("what would reach tasks or sessions of others waits, and costs no write", arguments: TestEngine.available)
    func othersTasks(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            let agent = "\(drill.prefix)hung"
            try await bench.base.register(agent)
            let own = try await bench.base.base.create(
                ["queue": .string("\(drill.prefix)q"), "project": .string(drill.project)])
            let made = try await bench.base.base.create(["project": "books", "dependsOn": [.string(own.id.text)]])
            _ = try await bench.base.base.claim(agent, queues: ["\(drill.prefix)q"])
            let incident = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: agent))
            try await bench.sweep()
            #expect(try await bench.containments(incident).map(\.state) == [.proposed])
            #expect(try await bench.isSwept(), "it waits for a person, and nothing is left to be done")
            let (owned, foreign) = try await bench.base.storage.read { [service = bench.service] transaction in
                var radius = BlastRadius()
                radius.tasksHeld = [own.id.text]
                radius.sessions = ["\(drill.prefix)session"]
                let owned = try service.owns(drill, radius, in: transaction)
                let foreign = try [\BlastRadius.tasksInProgress, \.tasksHeld, \.downstream].map { path in
                    var other = radius
                    other[keyPath: path].append(made.id.text)
                    return try service.owns(drill, other, in: transaction)
                }
                radius.sessions.append("theirs")
                return (owned, foreign + [try service.owns(drill, radius, in: transaction)])
            }
            #expect(owned && foreign == [false, false, false, false])
        }
    }

    @Test("what was contained is written once, however long the drill goes on", arguments: TestEngine.available)
    func quiet(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let drill = try await bench.start(.hungAgent)
            #expect(try await bench.isSwept())
            let agent = "\(drill.prefix)hung"
            try await bench.base.register(agent)
            _ = try await bench.base.fire("DrillHungAgent", Self.labels(drill, agent: agent))
            #expect(try await !bench.isSwept())
            try await bench.sweep()
            #expect(try await bench.isSwept())
            try await bench.base.act()
            #expect(try await bench.isSwept())
            // What cannot be cleared is tried each second, and after a minute less often.
            bench.ground.keep(true)
            try await bench.end(drill)
            try await bench.base.act()
            func needs(after span: Span?) async throws -> Bool {
                let last = span.map { bench.base.base.world.now - $0 }
                return try await bench.base.storage.read { [service = bench.service] in
                    try service.needsSweep(after: last, in: $0)
                }
            }
            #expect(try await needs(after: .seconds(1)))
            bench.base.time.advance(by: Drill.clearsAtOnceFor)
            #expect(try await !needs(after: .seconds(1)))
            #expect(try await needs(after: Drill.clearsLaterEvery))
            #expect(try await needs(after: nil))
        }
    }

    @Test("a drill and the fleet have each their own allowance", arguments: TestEngine.available)
    func allowance(_ engine: TestEngine) async throws {
        let policy = try ContainmentPolicy(
            ["containment": ["default": "act", "limits": ["perHour": 1]]])
        try await withStorage(engine, migrations: ContainmentFixture.migrations) { storage in
            let bench = Bench(ContainmentFixture(storage: storage, policy: policy))
            let drill = try await bench.start(.loopingAgent)
            let agent = "\(drill.prefix)looper"
            try await bench.base.register(agent, "writer", "editor", "reader")
            func fire(_ name: String, _ labels: [(String, String)]) async throws -> [Containment] {
                try await bench.containments(bench.base.fire(name, labels, mode: .infiniteLoop))
            }
            // The settings let nothing of a drill act: its own policy does, a moment later.
            #expect(try await fire("DrillLoopingAgent", Self.labels(drill, agent: agent)).map(\.state) == [.proposed])
            try await bench.sweep()
            try await bench.base.act()
            #expect(try await bench.base.agent(agent).isPaused)
            #expect(try await fire("ToolStorm", [("agent", "writer")]).map(\.state) == [.acting])
            #expect(try await fire("ToolStorm", [("agent", "editor")]).map(\.state) == [.asked])
            // The fleet's is used up; the drill goes on until it used up its own.
            var names: [String] = []
            for number in 0..<Drill.actsMax + 2 {
                let other = "\(drill.prefix)looper-\(number)"
                try await bench.base.register(other)
                names.append(other)
                _ = try await fire("DrillLoopingAgent", Self.labels(drill, agent: other))
                try await bench.sweep()
                try await bench.base.act()
            }
            var paused = 0
            for name in names where try await bench.base.agent(name).isPaused { paused += 1 }
            #expect(paused == Drill.actsMax - 1)
            #expect(try await !bench.base.agent("reader").isPaused)
        }
    }

    @Test("what others post is no drill, whatever they call it")
    func posted() async throws {
        try await Self.on(.sqlite) { bench in
            let drill = try await bench.start(.hungAgent)
            let labels = [("alertname", "Theirs"), ("severity", "critical")] + Self.labels(drill, agent: "writer")
            let post = AlertPost(labels: LabelSet(labels), endsAt: bench.base.base.world.now + .hours(1))
            let alert = try await bench.base.storage.write { [alerts = bench.base.alerts] in
                try alerts.take([post], origin: .external, from: "other", in: $0)
            }[0].alert
            #expect(alert.drill == nil)
            try await bench.end(drill)
            #expect(try await bench.incident(alert.incidentID ?? "").isOpen)
            let report = try await bench.base.storage.read { [incidents = bench.base.incidents] in
                try incidents.report(days: 1, in: $0)
            }
            #expect(report.incidents == 1)
        }
    }
}
