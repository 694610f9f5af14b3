import Kernel
import TestSupport
import Testing

@testable import Control

/// Knows what two agents run with.
private struct TwoBundles: AgentBundles {
    func bundles(of agents: [String], in transaction: Transaction) throws -> [String: String] {
        ["writer": "aa", "clerk": "bb"].filter { agents.contains($0.key) }
    }

    func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String] {
        ["task_new": "cc"].filter { tasks.contains($0.key) }
    }
}

@Suite("Calls keep what their agents ran with")
struct CallBundleTests {
    @Test("a call has its agent's bundle, unless it names another", arguments: TestEngine.available)
    func named(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let service = CallService(
                bundles: TwoBundles(), retentionDays: 90, events: Events(world: fixture.world),
                audit: AuditService(world: fixture.world), world: fixture.world)
            let calls = [
                fixture.call(), fixture.call { $0.agent = "clerk" }, fixture.call { $0.agent = "nobody" },
                fixture.call { $0.agent = nil }, fixture.call { $0.bundle = "release-7" },
                fixture.call { $0.taskID = "task_new" }, fixture.call { $0.taskID = "task_old" },
            ]
            _ = try await fixture.storage.write { try service.record(calls, in: $0) }
            var kept: [String?] = []
            for call in calls { kept.append(try await fixture.kept(call.id).bundle) }
            #expect(kept == ["aa", "bb", nil, nil, "release-7", "cc", "aa"])
        }
    }
}
