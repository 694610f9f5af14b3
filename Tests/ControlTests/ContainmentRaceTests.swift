import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// A door that fails as often as a test says, for some names.
final class FlakyDoor: MemoryDoor {
    private let state: Mutex<(failures: Int, asked: [String])>
    private let ill: Set<String>

    init(failures: Int, of ill: Set<String>) {
        state = Mutex((failures, []))
        self.ill = ill
    }

    var asked: [String] { state.withLock { $0.asked } }

    func act(_ errand: ContainmentErrand) async throws -> String {
        let fails = state.withLock { state in
            state.asked.append(errand.key)
            guard ill.contains(errand.name), state.failures > 0 else { return false }
            state.failures -= 1
            return true
        }
        if fails { throw Problem(.overloaded, "the store of memory is busy") }
        return "read-only"
    }

    func reverse(_ errand: ContainmentErrand) async throws -> String { "back" }
}

@Suite("Containments among others")
struct ContainmentRaceTests {
    // MARK: Half-way

    @Test("what fails half-way is shown, tried again, and ends whole", arguments: TestEngine.available)
    func retried(_ engine: TestEngine) async throws {
        let door = FlakyDoor(failures: 2, of: ["editor"])
        try await ContainmentFixture.on(engine, doors: ContainmentDoors(memory: door)) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("MemoryErrors", [("agent", "writer")])
            let done = try await fixture.propose(.memoryReadOnly, [.agents: ["writer", "editor"]], for: incident)
            try await fixture.act()
            var now = try await fixture.containment(done.id)
            #expect(now.state == .acting && now.steps[0].state == .started)
            #expect(now.steps[0].outcomes.map(\.target) == ["memory:writer"])
            // Not at once: the others have their turn.
            try await fixture.act()
            #expect(door.asked.count == 2)
            fixture.time.advance(by: ContainmentLoop.retryAfter)
            try await fixture.act()
            fixture.time.advance(by: ContainmentLoop.retryAfter * 2)
            try await fixture.act()
            now = try await fixture.containment(done.id)
            #expect(now.state == .acted && now.steps[0].state == .done && now.reason.isEmpty)
            #expect(Set(door.asked).count == 2, "each under its own key")
        }
    }

    @Test("what fails for good is given up after a number of tries, and the rest stays done and can be undone")
    func givenUp() async throws {
        let door = FlakyDoor(failures: .max, of: ["editor"])
        try await ContainmentFixture.on(.sqlite, doors: ContainmentDoors(memory: door)) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("MemoryErrors", [("agent", "writer")])
            let done = try await fixture.propose(.memoryReadOnly, [.agents: ["writer", "editor"]], for: incident)
            for _ in 0..<20 {
                try await fixture.act()
                fixture.time.advance(by: .minutes(5))
            }
            let now = try await fixture.containment(done.id)
            #expect(now.state == .acted && now.steps[0].state == .partial && now.canReverse)
            #expect(now.reason.contains("1 of 2 could not be changed"))
            #expect(now.steps[0].outcomes.map(\.word) == [.acted, .refused])
            #expect(now.steps[0].outcomes[1].detail.contains("busy"))
            #expect(door.asked.count == 2 * Int(ContainmentLoop.triesMax))
            try await fixture.reverse(done.id)
            #expect(try await fixture.containment(done.id).state == .reversed)
        }
    }

    @Test("one that fails again and again keeps nobody waiting")
    func poison() async throws {
        let door = FlakyDoor(failures: .max, of: ["writer"])
        try await ContainmentFixture.on(.sqlite, doors: ContainmentDoors(memory: door)) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("MemoryErrors", [("agent", "writer")])
            let ill = try await fixture.propose(.memoryReadOnly, [.agents: ["writer"]], for: incident)
            let well = try await fixture.propose(.pauseAgent, [.agents: ["editor"]], for: incident)
            try await fixture.act()
            #expect(try await fixture.containment(well.id).state == .acted)
            #expect(try await fixture.containment(ill.id).state == .acting)
        }
    }

    // MARK: Others

    @Test("what an operator lets go while it is contained stays so, also for the other containment")
    func byHand() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let task = try await fixture.base.create(["title": "a"])
            var done: [Containment] = []
            for (alert, label) in [("HighErrorRate", "agent"), ("QueueBackup", "queue")] {
                let incident = try await fixture.fire(alert, [(label, "writer")])
                done.append(try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident))
                done.append(try await fixture.propose(.holdTask, [.tasks: [task.id.text]], for: incident))
            }
            try await fixture.act()
            try await fixture.direct(.resume, "writer")
            try await fixture.direct(.pause, "writer", reason: "mine")
            _ = try await fixture.base.change {
                try $0.resume(
                    task.id.text, .incident, answer: .null, token: nil, by: TaskFixture.operatorKey, in: $1)
            }
            for one in done { try await fixture.reverse(one.id) }
            #expect(try await fixture.agent("writer").pausedReason == "mine")
            #expect(try await fixture.holds(task.id).isEmpty)
            let claims = try await fixture.storage.read { try $0.rows("SELECT kind FROM containment_claims").count }
            #expect(claims == 0)
            for one in done { #expect(try await fixture.containment(one.id).state == .reversed) }
        }
    }

    @Test("the way back goes past an agent that was removed")
    func removed() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let done = try await fixture.propose(.pauseAgent, [.agents: ["writer", "editor"]], for: incident)
            try await fixture.act()
            try await fixture.storage.write { [agents = fixture.base.agents] in
                _ = try agents.delete("writer", ifMatch: nil, by: TaskFixture.operatorKey, in: $0)
            }
            try await fixture.reverse(done.id)
            let now = try await fixture.containment(done.id)
            #expect(now.state == .reversed && now.steps[0].outcomes.map(\.word) == [.left, .restored])
            #expect(try await fixture.agent("editor").isPaused == false)
        }
    }

    @Test("what is done against an incident goes on with the one that it becomes a part of")
    func merged() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            let labels = [("agent", "writer")]
            let first = try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop)
            let second = try await fixture.fire("QueueBackup", [("queue", "q")])
            try await fixture.act()
            try await fixture.storage.write { [incidents = fixture.incidents] in
                _ = try incidents.merge(first, into: second, by: TaskFixture.operatorKey, in: $0)
            }
            fixture.time.advance(by: .minutes(5))
            try await fixture.loop.rampBack()
            try await fixture.act()
            #expect(try await fixture.agent("writer").isPaused, "its alert fires still")
            #expect(try await fixture.containments(second).map(\.state) == [.acted])
            try await fixture.end("ToolStorm", labels, mode: .infiniteLoop)
            try await fixture.end("QueueBackup", [("queue", "q")])
            fixture.time.advance(by: .minutes(5))
            try await fixture.loop.rampBack()
            try await fixture.act()
            #expect(try await fixture.agent("writer").isPaused == false)
        }
    }

    @Test("who let it act, refused and took it back is in the audit and in the timeline")
    func written() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let done = try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident)
            try await fixture.act()
            try await fixture.reverse(done.id)
            let other = try await fixture.propose(.quarantineAgent, [.agents: ["writer"]], for: incident, acts: false)
            try await fixture.storage.write { [service = fixture.service] in
                _ = try service.refuse(other.id.text, reason: "no", by: TaskFixture.operatorKey, in: $0)
            }
            let audit = try await fixture.storage.read { transaction in
                try AuditService(world: fixture.base.world).list(after: 0, limit: 500, in: transaction)
                    .filter { $0.action.hasPrefix("containment.") }.map { "\($0.action) \($0.actor)" }
            }
            let actor = TaskFixture.operatorKey.actor
            #expect(
                audit == [
                    "containment.proposed \(actor)", "containment.approved \(actor)", "containment.acted reeve",
                    "containment.reversal_ordered \(actor)", "containment.reversed reeve",
                    "containment.proposed \(actor)", "containment.refused \(actor)",
                ])
            let story = try await fixture.timeline(incident).filter { $0.kind == "containment" }.map(\.action)
            #expect(
                story == [
                    "proposed", "approved", "pauseAgent", "acted", "reversal_ordered", "pauseAgent_reversed",
                    "reversed",
                    "proposed", "refused",
                ])
        }
    }

    // MARK: Loops

    @Test("a round looks up what is due by an index, and nothing else", arguments: TestEngine.available)
    func plans(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            let now = fixture.base.world.now
            for (query, index) in [
                (ContainmentStore.dueList(at: now, limit: 50), "containments_due"),
                (ContainmentStore.wantedList(after: "", limit: 50), "containments_in_force"),
                (ContainmentStore.heldList(before: nil, limit: 50), "containments_held"),
                (RunbookStore.dueList(at: now, limit: 50), "runbook_runs_due"),
                (IncidentProofStore.dueList(at: now, limit: 50), "incidents_unproven"),
            ] {
                let plan = try await fixture.storage.read { transaction -> [String] in
                    if engine == .sqlite {
                        return try transaction.rows("EXPLAIN QUERY PLAN" + query).map { $0.text("detail") }
                    }
                    // A planner that knows of empty tables only would read them whole.
                    _ = try transaction.rows("SELECT set_config('enable_seqscan', 'off', true) AS value")
                    return try transaction.rows("EXPLAIN " + query).map { $0.text("QUERY PLAN") }
                }
                #expect(plan.contains { $0.contains(index) }, "\(plan)")
            }
        }
    }

    @Test("plans in force are looked at without a write, and all of them are taken back")
    func fair() async throws {
        try await ContainmentFixture.on(
            .sqlite,
            policy: try ContainmentPolicy([
                "containment": [
                    "default": "act", "limits": ["perHour": 1_000],
                ]
            ])
        ) { fixture in
            let count = ContainmentLoop.roundMax + 10
            for number in 0..<count {
                try await fixture.register("a\(number)")
                try await fixture.fire("ToolStorm", [("agent", "a\(number)")], mode: .infiniteLoop)
            }
            for _ in 0..<3 { try await fixture.act() }
            let writes = CountingStorage(fixture.storage)
            let loop = ContainmentLoop(service: fixture.service, storage: writes)
            for _ in 0..<10 {
                try await loop.rampBack()
                try await loop.act()
            }
            #expect(writes.count == 0, "nothing is due")
            // The newest alone is over: those before it do not stand in its way.
            let last = "a\(count - 1)"
            try await fixture.end("ToolStorm", [("agent", last)], mode: .infiniteLoop)
            fixture.time.advance(by: .minutes(2))
            try await loop.rampBack()
            try await loop.act()
            #expect(try await fixture.agent(last).isPaused == false)
            #expect(try await fixture.agent("a0").isPaused)
        }
    }
}

/// Counts writes.
final class CountingStorage: Storage {
    private let base: any Storage
    private let writes = Atomic(0)

    init(_ base: any Storage) { self.base = base }

    var count: Int { writes.load(ordering: .relaxed) }
    var dialect: SQLDialect { base.dialect }

    @discardableResult
    func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        writes.add(1, ordering: .relaxed)
        return try await base.write(urgency, body)
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        try await base.read(body)
    }

    func close() async {}
}
