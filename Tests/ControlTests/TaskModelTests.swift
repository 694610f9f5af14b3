import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control

/// Tasks that ask for a model, while it is well and while it is not.
@Suite("Tasks and the models that they ask for")
struct TaskModelTests {
    /// Models as a test wants them.
    final class FixedModels: TaskModels {
        struct State {
            /// What may go of each model that is not well.
            var left: [String: Int] = [:]
            var probes: Set<String> = []
            var confirmed: [String] = []
            var asked = 0
        }

        let state = Mutex(State())

        func model(ofType type: String) -> String? { type == "draft" ? "tier:cheap" : nil }
        func check(_ model: String, path: String) throws {
            if model == "none-such" { throw Problem.invalid(path, "there is no such model") }
        }
        var isHoldingBack: Bool { state.withLock { !$0.left.isEmpty } }
        func heldBack() -> [String] { state.withLock { $0.left.filter { $0.value == 0 }.map(\.key) } }
        func admit(_ model: String, count: Int) -> ModelAdmission {
            state.withLock { state in
                state.asked += 1
                guard let left = state.left[model] else { return .tasks(count) }
                let allowed = min(count, left)
                state.left[model] = left - allowed
                return state.probes.contains(model) && allowed > 0 ? .probe : .tasks(allowed)
            }
        }
        func probeLeft(_ model: String) { state.withLock { $0.confirmed.append(model) } }
        func standing(of model: String) -> ModelDispatch? {
            state.withLock { state in
                state.left[model].map { left in
                    ModelDispatch(
                        model: model, state: left == 0 ? .outage : .ramping, share: left == 0 ? 0 : 0.25,
                        since: Timestamp(microseconds: 1_795_161_600_000_000))
                }
            }
        }

        /// So many of a model's tasks may go; `nil` for all.
        func allow(_ count: Int?, of model: String, isProbe: Bool = false) {
            state.withLock { state in
                state.left[model] = count
                if isProbe { state.probes.insert(model) }
            }
        }
    }

    private func on(_ engine: TestEngine, _ body: (TaskFixture, FixedModels) async throws -> Void) async throws {
        try await withStorage(engine, migrations: TaskFixture.migrations) { storage in
            let models = FixedModels()
            try await body(TaskFixture(storage: storage, models: models), models)
        }
    }

    private func hasWork(_ fixture: TaskFixture) async throws -> Bool {
        try await fixture.storage.read { [tasks = fixture.tasks] in
            try tasks.hasWork(queues: ["default"], agent: "alpha", in: $0)
        }
    }

    @Test("Where nothing is out, nobody is asked", arguments: TestEngine.available)
    func well(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, models in
            let task = try await fixture.create(["model": "small"])
            #expect(task.model == "small")
            let claimed = try await fixture.claimOne()
            #expect(claimed.id == task.id && claimed.model == "small")
            #expect(models.state.withLock { $0.asked } == 0)
            // It is kept with the finished ones, and by a task that follows it.
            _ = try await fixture.complete(claimed)
            #expect(try await fixture.task(task.id).model == "small")
        }
    }

    @Test("What is out stays ready, unspent, and keeps nobody behind it", arguments: TestEngine.available)
    func outage(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, models in
            models.allow(0, of: "small")
            let first = try await fixture.create(["model": "small", "priority": 1_000])
            #expect(try await hasWork(fixture) == false)
            let plain = try await fixture.create(["title": "plain"])
            let other = try await fixture.create(["model": "other", "project": "elsewhere"])
            let more = try await fixture.create(["model": "small", "project": "elsewhere", "priority": 1_000])
            #expect(try await hasWork(fixture))
            let claimed = try await fixture.claim(limit: 10)
            #expect(Set(claimed.map(\.id)) == [plain.id, other.id])
            #expect(try await fixture.claim(limit: 10).isEmpty)
            #expect(try await hasWork(fixture) == false)
            for id in [first.id, more.id] {
                let task = try await fixture.task(id)
                #expect(task.state == .ready && task.attempts == 0 && task.claims == 0 && task.fence == 0)
                #expect(task.leaseExpiresAt == nil)
                #expect(try await fixture.history(id) == ["task.created"])
            }
            models.allow(nil, of: "small")
            #expect(try await fixture.claim(limit: 10).count == 2)
        }
    }

    @Test("A share goes, also of what several projects have ready", arguments: TestEngine.available)
    func ramp(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, models in
            for project in ["a", "a", "a", "b", "b", "b"] {
                _ = try await fixture.create(["model": "small", "project": .string(project)])
            }
            _ = try await fixture.create(["project": "b"])
            models.allow(2, of: "small")
            let claimed = try await fixture.claim(limit: 10)
            #expect(claimed.count == 3 && claimed.count { $0.model == "small" } == 2)
            models.allow(3, of: "small")
            #expect(try await fixture.claim(limit: 2).count == 2)
            #expect(try await fixture.claim(limit: 10).count == 1)
            models.allow(nil, of: "small")
            #expect(try await fixture.claim(limit: 10).count == 1)
        }
    }

    @Test("A probe is one task, and told once it is an agent's", arguments: TestEngine.available)
    func probe(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, models in
            for _ in 0..<5 { _ = try await fixture.create(["model": "small"]) }
            models.allow(1, of: "small", isProbe: true)
            #expect(try await hasWork(fixture))
            #expect(try await fixture.claim(limit: 10).count == 1)
            #expect(models.state.withLock { $0.confirmed } == ["small"])
            #expect(try await fixture.claim(limit: 10).isEmpty)
        }
    }

    @Test("It is said why a task waits", arguments: TestEngine.available)
    func explained(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, models in
            let task = try await fixture.create(["model": "small"])
            let explain = { try await fixture.storage.read { try fixture.tasks.explain(task.id.text, in: $0) } }
            let before = try await explain()
            #expect(!before.unmet.contains { $0.code.hasPrefix("model") })
            models.allow(0, of: "small")
            let unmet = try await explain().unmet
            let out = try #require(unmet.first { $0.code == "model_outage" })
            let since = "2026-11-20T08:00:00.000000Z"
            #expect(out.detail == "it waits for the model small, none of whose targets takes calls since \(since)")
            #expect(out.liftedBy == "its recovery, or an operator: POST /api/v1/models/small/reset")
            models.allow(1, of: "small")
            let later = try await explain().unmet
            let back = try #require(later.first { $0.code == "model_ramp" })
            #expect(back.detail == "the model small is coming back: 25 % of the claims of its tasks are let through")
        }
    }

    @Test("The task says it, else its type, else its queue", arguments: TestEngine.available)
    func wishes(_ engine: TestEngine) async throws {
        try await on(engine) { fixture, _ in
            #expect(try await fixture.create().model == nil)
            #expect(try await fixture.create(["type": "draft"]).model == "tier:cheap")
            try await fixture.storage.write { [queues = fixture.queues] in
                _ = try queues.setModel(
                    "small", queue: "default", ifMatch: nil, by: TaskFixture.operatorKey, in: $0)
            }
            #expect(try await fixture.create().model == "small")
            #expect(try await fixture.create(["type": "draft"]).model == "tier:cheap")
            #expect(try await fixture.create(["type": "draft", "tier": "premium"]).model == "tier:premium")
            #expect(try await fixture.create(["queue": "else"]).model == nil)
            #expect(await code { try await fixture.create(["model": "none-such"]) } == "invalid")
            #expect(await code { try await fixture.graph([["model": "none-such"]]) } == "invalid")
        }
    }

    @Test func lanesWithoutAModelAreCalledWhatTheyWere() {
        let plain = Lane(queue: "q", project: "p", agent: nil, requires: ["b", "a"], model: nil)
        #expect(plain.id == String(Digest.sha256("q\u{1F}p\u{1F}\u{1F}[\"a\",\"b\"]").prefix(32)))
        let small = Lane(queue: "q", project: "p", agent: nil, requires: ["b", "a"], model: "small")
        #expect(small.id != plain.id)
    }
}
