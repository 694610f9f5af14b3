import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Where failures of tasks began")
struct TaskRootsTests {
    /// The agents and types of the roots of those of these tasks that ended badly.
    private func roots(_ ids: [TaskID], _ fleet: TaskFixture) async throws -> [String] {
        try await fleet.storage.read { transaction in
            let ended = try fleet.tasks.store.finished(ids.map(\.text), in: transaction)
            let spoilt = ended.filter { $0.state == .failed || $0.state == .skipped }
            return try fleet.tasks.roots(of: spoilt, in: transaction).map { "\($0.agent) \($0.type)" }
        }
    }

    @Test("A task that fails is the root of what is skipped for it, and not of itself", arguments: TestEngine.available)
    func ownFault(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let made = try await fleet.graph([
                ["ref": "a", "type": "draft", "onExhausted": "fail"],
                ["ref": "b", "type": "review", "dependsOn": [["task": "a", "ifUnmet": "skip"]]],
                ["ref": "c", "type": "print", "dependsOn": [["task": "b", "ifUnmet": "skip"]]],
            ])
            let claimed = try await fleet.claimOne()
            _ = try await fleet.fail(claimed, .permanent)
            #expect(try await fleet.task(made[2].id).state == .skipped)
            #expect(try await roots(made.map(\.id), fleet) == ["alpha draft", "alpha draft"])
        }
    }

    @Test("What was accepted and fails those that build on it is the root", arguments: TestEngine.available)
    func badInput(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let made = try await fleet.graph([
                ["ref": "z", "type": "plan"],
                ["ref": "a", "type": "draft", "dependsOn": ["z"]],
                ["ref": "b", "type": "review", "onExhausted": "fail", "dependsOn": ["a"]],
                ["ref": "c", "type": "print", "dependsOn": [["task": "b", "ifUnmet": "skip"]]],
            ])
            for _ in 0..<2 { _ = try await fleet.complete(try await fleet.claimOne()) }
            _ = try await fleet.fail(try await fleet.claimOne("beta"), .permanent, "beta")
            #expect(try await roots(made.map(\.id), fleet) == ["alpha draft", "alpha draft"])
        }
    }

    @Test("Who takes a task over is not at it for as long as the one before", arguments: TestEngine.available)
    func takenOver(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["type": "draft"])
            _ = try await fleet.claimOne()
            fleet.time.advance(by: .hours(3))
            try await fleet.storage.write { transaction in
                _ = try fleet.tasks.reassign(task.id.text, to: nil, by: TaskFixture.operatorKey, in: transaction)
            }
            fleet.time.advance(by: .minutes(1))
            _ = try await fleet.claimOne("beta")
            try await fleet.storage.read { transaction in
                let held = try fleet.tasks.store.inHandForLongest(limit: 10, in: transaction)
                #expect(held.map(\.agent) == ["beta"] && held.map(\.since) == [fleet.world.now])
            }
        }
    }

    @Test("Who depends on nothing has no root", arguments: TestEngine.available)
    func alone(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["type": "draft", "onExhausted": "fail"])
            _ = try await fleet.fail(try await fleet.claimOne(), .permanent)
            #expect(try await fleet.task(task.id).state == .failed)
            #expect(try await roots([task.id], fleet).isEmpty)
        }
    }
}
