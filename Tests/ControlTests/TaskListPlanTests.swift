import Kernel
import TestSupport
import Testing

@testable import Control

/// Lists of states that few tasks are in do not walk past all the others: SQLite says which index it takes.
@Suite struct TaskListPlanTests {
    @Test(
        arguments: [
            ([.held], "tasks_apart"), ([.waiting, .inReview], "tasks_apart"), ([.claimed, .running], "tasks_owner"),
            ([.running], "tasks_owner"),
        ] as [([TaskState], String)])
    func liveTasks(states: [TaskState], index: String) async throws {
        try await expect(index, for: states) { TaskStore().liveList($0, Page(limit: 50)) }
    }

    @Test(arguments: [[.failed], [.canceled, .expired]] as [[TaskState]])
    func finishedTasks(states: [TaskState]) async throws {
        try await expect("tasks_finished_apart", for: states) { TaskStore().finishedList($0, Page(limit: 50)) }
    }

    private func expect(
        _ index: String, for states: [TaskState], _ statement: @escaping @Sendable (TaskFilter) -> SQLText
    ) async throws {
        var filter = TaskFilter()
        filter.states = states
        let asked = filter
        try await TaskFixture.on(.sqlite) { fleet in
            let plan = try await fleet.storage.read { transaction in
                try transaction.rows("EXPLAIN QUERY PLAN" + statement(asked)).map { $0.text("detail") }
            }
            #expect(plan.contains { $0.contains("USING INDEX \(index) ") }, "\(plan)")
        }
    }
}
