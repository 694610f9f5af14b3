import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// A store that a process uses until it is killed: before the write with a number, or behind it.
final class MortalStorage: Storage {
    struct Killed: Error {}

    private let base: any Storage
    private let dyingWrite: Int
    /// Whether that write is kept, and only its caller does not hear of it.
    private let isKept: Bool
    private let state = Mutex<(writes: Int, isDead: Bool)>((0, false))

    init(_ base: any Storage, dyingAt write: Int, isKept: Bool) {
        (self.base, dyingWrite, self.isKept) = (base, write, isKept)
    }

    var hasDied: Bool { state.withLock { $0.isDead } }

    var dialect: SQLDialect { base.dialect }

    @discardableResult
    func write<Value: Sendable>(
        _ urgency: WriteUrgency, _ body: @escaping @Sendable (Transaction) throws -> Value
    ) async throws -> Value {
        let dies = try state.withLock { state -> Bool in
            guard !state.isDead else { throw Killed() }
            state.writes += 1
            state.isDead = state.writes == dyingWrite
            return state.isDead
        }
        guard dies else { return try await base.write(urgency, body) }
        if isKept { _ = try await base.write(urgency, body) }
        throw Killed()
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> Value) async throws -> Value {
        guard !hasDied else { throw Killed() }
        return try await base.read(body)
    }

    func close() async {}
}

@Suite("A process that is killed in the middle of a containment")
struct ContainmentCrashTests {
    private static let runbook = """
        name: all
        diagnosis:
          - {title: Look, query: up}
        actions:
          - {action: holdTask, parameters: {agents: "{{agents}}", evidence: round and round}}
          - {action: holdDownstream, parameters: {agents: "{{agents}}"}}
          - {action: killProcess, parameters: {agents: "{{agents}}"}}
          - {action: pauseAgent, parameters: {agents: "{{agents}}"}}
          - {action: cutBudget, parameters: {scopes: "{{scopes}}"}}
          - {action: quarantineSession, parameters: {agents: "{{agents}}"}}
        verify:
          - {title: It holds, query: up, expect: present}
        verifyAfter: 0s
        """

    /// Everything that a process makes anew when it starts, over what the store kept.
    private struct Process {
        let fixture: ContainmentFixture
        let runs: RunbookService
        let loops: (acts: ContainmentLoop, runs: RunbookLoop)

        init(_ storage: any Storage, door: TestDoor, seed: UInt64) throws {
            fixture = ContainmentFixture(storage: storage, doors: ContainmentDoors(sessions: door), seed: seed)
            let world = fixture.base.world
            runs = RunbookService(
                library: try RunbookLibrary([try Runbook(ContainmentCrashTests.runbook)]),
                containments: fixture.service, events: fixture.base.events, audit: AuditService(world: world),
                world: world)
            loops = (
                ContainmentLoop(service: fixture.service, storage: storage),
                RunbookLoop(service: runs, reader: StillReader([1]), storage: storage)
            )
        }

        func go() async throws {
            for _ in 0..<10 {
                try await loops.runs.act()
                try await loops.acts.act()
            }
        }
    }

    /// What can be seen from outside, in its order.
    private struct Outcome: Equatable {
        var events: [String] = []
        var timeline: [String] = []
        var audit: [String] = []
        var fences: [Int64] = []
        var holds: [[String]] = []
        var limit: Int64?
        var claims = 0
        var acted = 0
        var isPaused = false
    }

    /// A run of the runbook, killed at a write and gone on with by another process; `nil` where it was over before.
    private static func outcome(
        _ engine: TestEngine, dyingAt write: Int, isKept: Bool, reverses: Bool
    ) async throws -> Outcome? {
        try await withStorage(engine, migrations: ContainmentFixture.migrations) { storage in
            let door = TestDoor()
            let first = try Process(storage, door: door, seed: 1)
            let fixture = first.fixture
            try await fixture.register("alpha", "beta")
            let graph = try await fixture.base.graph([
                ["ref": "a", "title": "a"], ["ref": "b", "title": "b", "dependsOn": ["a"]],
                ["ref": "c", "title": "c", "dependsOn": ["b"]],
            ])
            _ = try await fixture.base.claimOne("alpha")
            try await fixture.put("agent:alpha", ["limit": ["usd": 5]])
            let incident = try await fixture.fire("ToolStorm", [("agent", "alpha")])
            let id = try await storage.write { transaction in
                try first.runs.start(
                    "all", on: incident, approves: true, by: TaskFixture.operatorKey, in: transaction
                ).run.id
            }
            // What is verified only counts once no alert fires.
            try await fixture.end("ToolStorm", [("agent", "alpha")])
            if reverses {
                try await first.go()
                try await storage.write { transaction in
                    for done in try fixture.service.containments(of: incident, in: transaction)
                    where done.canReverse {
                        _ = try fixture.service.reverse(done.id.text, by: TaskFixture.operatorKey, in: transaction)
                    }
                }
            }
            let mortal = MortalStorage(storage, dyingAt: write, isKept: isKept)
            do { try await Process(mortal, door: door, seed: 2).go() } catch is MortalStorage.Killed {}
            guard mortal.hasDied || write == .max else { return nil }
            let second = try Process(storage, door: door, seed: 3)
            try await second.go()
            #expect(try await storage.read { try second.runs.run(id.text, in: $0) }.state == .done)
            return try await look(second.fixture, graph, incident, door)
        }
    }

    private static func look(
        _ fixture: ContainmentFixture, _ graph: [AgentTask], _ incident: String, _ door: TestDoor
    ) async throws -> Outcome {
        var outcome = Outcome()
        outcome.events = try await fixture.eventTypes("")
        outcome.timeline = try await fixture.timeline(incident).map { "\($0.kind) \($0.action) \($0.target)" }
        outcome.audit = try await fixture.storage.read { transaction in
            try AuditService(world: fixture.base.world).list(after: 0, limit: 500, in: transaction).map(\.action)
        }
        for task in graph {
            outcome.fences.append(try await fixture.base.task(task.id).fence)
            outcome.holds.append(try await fixture.holds(task.id))
        }
        outcome.limit = try await fixture.budget("agent:alpha")?.limit.nanoUSD
        outcome.claims = try await fixture.storage.read {
            try $0.rows("SELECT kind FROM containment_claims").count
        }
        outcome.acted = door.acted.count + door.reversed.count * 100
        outcome.isPaused = try await fixture.agent("alpha").isPaused
        return outcome
    }

    @Test("wherever it is killed, each step acts once, and is taken back once", arguments: TestEngine.available)
    func killed(_ engine: TestEngine) async throws {
        for reverses in [false, true] {
            let expected = try #require(
                try await Self.outcome(engine, dyingAt: .max, isKept: false, reverses: reverses))
            #expect(expected.isPaused == !reverses && expected.claims == (reverses ? 0 : 5))
            #expect(expected.limit == (reverses ? 5_000_000_000 : 0) && expected.acted == (reverses ? 101 : 1))
            #expect(expected.fences == [2, 0, 0])
            // A database of its own for each kill takes a while where it is a server's.
            let stride = engine == .sqlite ? 1 : 7
            // What is kept before one write is what is kept after the one before: fewer of them do.
            var kills = 0
            for isKept in [false, true] {
                for write in Swift.stride(from: 1, to: 1_000, by: isKept ? 5 * stride : stride) {
                    guard
                        let outcome = try await Self.outcome(
                            engine, dyingAt: write, isKept: isKept, reverses: reverses)
                    else { break }
                    kills += 1
                    #expect(outcome == expected, "killed at write \(write), kept: \(isKept), back: \(reverses)")
                }
            }
            #expect(kills >= (engine == .sqlite ? 12 : 3), "\(kills)")
        }
    }
}
