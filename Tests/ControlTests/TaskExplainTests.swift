import Control
import Kernel
import TestSupport
import Testing

/// Why a task is not running, as users are told.
@Suite struct TaskExplainTests {
    @Test("Of several with one concurrency key one goes first, and the others say so", arguments: TestEngine.available)
    func concurrencyKey(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let first = try await fleet.create(["concurrencyKey": "customer-7"])
            let second = try await fleet.create(["concurrencyKey": "customer-7"])
            let claimed = try await fleet.claim(limit: 5)
            #expect(claimed.map(\.id) == [first.id])
            #expect(try await fleet.claim("beta").isEmpty)
            let explanation = try await fleet.storage.read { [tasks = fleet.tasks] in
                try tasks.explain(second.id.text, in: $0)
            }
            let codes = explanation.unmet.map(\.code)
            #expect(codes.contains("concurrency_key"))
            _ = try await fleet.complete(claimed[0])
            #expect(try await fleet.claimOne("beta").id == second.id)
        }
    }

    @Test("Every unmet condition is told with who lifts it", arguments: TestEngine.available)
    func explanations(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let made = try await fleet.graph([
                ["ref": "a", "requires": ["gpu"], "scheduledFor": (fleet.world.now + .hours(1)).json],
                ["ref": "b", "dependsOn": ["a"]],
            ])
            _ = try await fleet.change {
                try $0.hold(made[0].id.text, .pausedTask, reason: "look first", by: TaskFixture.operatorKey, in: $1)
            }
            let found = try await fleet.storage.read { [tasks = fleet.tasks] transaction in
                try made.map { try tasks.explain($0.id.text, in: transaction).unmet }
            }
            let codes = found.map { conditions in conditions.map(\.code) }
            #expect(codes == [["schedule", "paused_task", "no_eligible_agent"], ["dependency", "no_eligible_agent"]])
            #expect(found[1].first?.taskID == made[0].id)
            let isTold = found.joined().allSatisfy { !$0.liftedBy.isEmpty && !$0.detail.isEmpty }
            #expect(isTold)
        }
    }
}
