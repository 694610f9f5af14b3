import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("A process that is killed in the middle of any one action")
struct ContainmentActionCrashTests {
    /// What each action is given. Of one that is not here it is not known what a kill leaves.
    private static func table(_ task: AgentTask) -> [ContainmentAction: [ContainmentParameter: [String]]] {
        let agents: [ContainmentParameter: [String]] = [.agents: ["alpha"]]
        let tasks: [ContainmentParameter: [String]] = [.tasks: [task.id.text]]
        return [
            .pauseDispatch: [.models: ["m"]], .openBreaker: [.models: ["m"]],
            .useFallback: [.models: ["m"], .to: ["spare"]],
            .holdTask: [.tasks: [task.id.text], .evidence: ["round and round"]], .killProcess: agents,
            .reassign: [.tasks: [task.id.text], .to: ["beta"]], .holdDownstream: tasks,
            .pauseAgent: agents, .resumeAgent: [.agents: ["beta"]], .quarantineAgent: agents,
            .pauseQueue: [.queues: ["inbox"]], .cutBudget: [.scopes: ["agent:alpha"]],
            .clearContext: agents, .quarantineSession: agents, .restoreContext: agents,
            .memoryReadOnly: agents, .offerMemoryRestore: agents, .goldenSetRun: agents,
            .pinBack: [.agents: ["alpha"], .version: ["v2"]],
        ]
    }

    /// What an action may change.
    private struct Ground: Equatable {
        var agents: [String] = []
        var holds: [[String]] = []
        var pinned: [String?] = []
        var isQueuePaused = false
        var limit: Int64?
        var models = ModelHoldings()
        var claims = 0
    }

    /// What can be seen from outside, in its order.
    private struct Outcome: Equatable {
        var before = Ground()
        var after = Ground()
        var events: [String] = []
        var timeline: [String] = []
        var audit: [String] = []
        var fences: [Int64] = []
        var state = Containment.State.failed
        var isInForce = false
        var words: [ContainmentOutcome.Word] = []
        var doors: [Int] = []
    }

    private static let models = StillModels(["m": ["main/x"], "spare": ["backup/x"]])

    private static func ground(_ fixture: ContainmentFixture, _ tasks: [AgentTask]) async throws -> Ground {
        var ground = Ground()
        for name in ["alpha", "beta"] {
            let agent = try await fixture.agent(name)
            ground.agents.append(
                "\(agent.pausedReason ?? "") \(agent.isPaused) \(agent.isQuarantined) \(agent.configDesired ?? "")")
        }
        for task in tasks {
            ground.holds.append(try await fixture.holds(task.id))
            ground.pinned.append(try await fixture.base.task(task.id).pinnedAgent)
        }
        ground.limit = try await fixture.budget("agent:alpha")?.limit.nanoUSD
        return try await fixture.storage.read { [ground, queues = fixture.base.queues] transaction in
            var ground = ground
            ground.isQueuePaused = try queues.queue("inbox", in: transaction)?.pause != nil
            ground.models = try ModelHoldings(in: transaction)
            ground.claims = try transaction.rows("SELECT kind FROM containment_claims").count
            return ground
        }
    }

    private static func go(_ fixture: ContainmentFixture) async throws {
        for _ in 0..<3 {
            try await fixture.act()
            try await fixture.loop.release()
        }
    }

    /// One action, killed at a write and gone on with by another process; `nil` where it was over before.
    private static func outcome(
        _ engine: TestEngine, _ action: ContainmentAction, dyingAt write: Int, isKept: Bool, reverses: Bool
    ) async throws -> Outcome? {
        try await withStorage(engine, migrations: ContainmentFixture.migrations) { storage in
            let door = TestDoor()
            func process(_ storage: any Storage, seed: UInt64) -> ContainmentFixture {
                ContainmentFixture(
                    storage: storage, doors: ContainmentDoors(sessions: door, memory: door, goldenSets: door),
                    models: models, seed: seed)
            }
            let fixture = process(storage, seed: 1)
            try await fixture.register("alpha", "beta")
            try await fixture.direct(.pause, "beta", reason: "holiday")
            let tasks = try await fixture.base.graph([
                ["ref": "a", "title": "a", "queue": "inbox"],
                ["ref": "b", "title": "b", "queue": "inbox", "dependsOn": ["a"]],
            ])
            _ = try await fixture.base.claim("alpha", queues: ["inbox"])
            try await fixture.put("agent:alpha", ["limit": ["usd": 5]])
            let incident = try await fixture.fire("ToolStorm", [("agent", "alpha")])
            var outcome = Outcome()
            outcome.before = try await ground(fixture, tasks)
            let values = try #require(table(tasks[0])[action], "what does a kill leave of \(action)?")
            let done = try await fixture.propose(action, values, for: incident)
            if reverses {
                try await go(fixture)
                if try await fixture.containment(done.id).canReverse {
                    try await storage.write { [service = fixture.service] in
                        _ = try service.reverse(done.id.text, by: TaskFixture.operatorKey, in: $0)
                    }
                }
            }
            let mortal = MortalStorage(storage, dyingAt: write, isKept: isKept)
            do { try await go(process(mortal, seed: 2)) } catch is MortalStorage.Killed {}
            guard mortal.hasDied || write == .max else { return nil }
            try await go(process(storage, seed: 3))
            let now = try await fixture.containment(done.id)
            (outcome.state, outcome.isInForce) = (now.state, now.isInForce)
            outcome.words = now.steps[0].outcomes.map(\.word)
            outcome.after = try await ground(fixture, tasks)
            outcome.events = try await fixture.eventTypes("")
            outcome.timeline = try await fixture.timeline(incident).map { "\($0.kind) \($0.action) \($0.target)" }
            outcome.audit = try await storage.read { transaction in
                try AuditService(world: fixture.base.world).list(after: 0, limit: 500, in: transaction).map(\.action)
            }
            for task in tasks { outcome.fences.append(try await fixture.base.task(task.id).fence) }
            outcome.doors = [door.acted.count, door.reversed.count]
            return outcome
        }
    }

    @Test(
        "wherever it is killed, it acts once, and is taken back once", arguments: TestEngine.available,
        ContainmentAction.allCases)
    func killed(_ engine: TestEngine, _ action: ContainmentAction) async throws {
        for reverses in [false, true] {
            let expected = try #require(
                try await Self.outcome(engine, action, dyingAt: .max, isKept: false, reverses: reverses))
            let isBack = reverses && action.isReversible
            #expect(expected.state == (isBack ? .reversed : .acted))
            #expect(expected.isInForce == (action.isReversible && !isBack))
            #expect(expected.words.contains(isBack ? .restored : .acted), "\(expected.words)")
            if isBack { #expect(expected.after == expected.before) }
            if action.isReversible, action.door == nil, !isBack { #expect(expected.after != expected.before) }
            #expect(expected.doors == (action.door == nil ? [0, 0] : [1, isBack ? 1 : 0]))
            // Before it begins, before and behind what it does, and at its end. A database of its own for each kill
            // takes a while where it is a server's.
            var kills = 0
            for isKept in engine == .sqlite ? [false, true] : [true] {
                for write in engine == .sqlite ? Array(1..<100) : [2] {
                    guard
                        let outcome = try await Self.outcome(
                            engine, action, dyingAt: write, isKept: isKept, reverses: reverses)
                    else { break }
                    kills += 1
                    #expect(outcome == expected, "killed at write \(write), kept: \(isKept), back: \(reverses)")
                }
            }
            let isMoving = !reverses || action.isReversible
            #expect(kills >= (!isMoving ? 0 : engine == .sqlite ? 6 : 1), "\(kills)")
        }
    }
}
