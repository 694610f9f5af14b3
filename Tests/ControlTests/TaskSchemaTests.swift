import Kernel
import TestSupport
import Testing

@testable import Control

/// A store that an earlier Reeve made keeps its tasks when their tables are made anew.
@Suite struct TaskSchemaTests {
    private static let live = "task_00000000000000000000000000000001"
    private static let ended = "task_00000000000000000000000000000002"

    private static func insert(_ id: String, into table: SQLText, state: String) -> SQLText {
        """
        INSERT INTO \(sql: table) (id, project, queue, type, title, input, requires, lease_us, start_within_us,
          on_lease_lost, on_exhausted, created_by, created_at, state, priority, max_attempts, fence, claims, attempts,
          lease_losses, snoozes, review_rounds, pending_dependencies, hold_count, wait, checkpoint, output,
          usage_before, usage_now, updated_at, event_count, lane, order_key, wake_at, model, traceparent, tracestate)
        VALUES (\(id), 'shop', 'orders', 'noop', 'Count', '{"n":1}', '[]', 60000000, 30000000, 'hold', 'hold',
          'key:one', 11, \(state), 3, 4, 5, 6, 7, 1, 2, 3, 0, 0, 'null', 'null', '"out"', '{}', '{}', 12, 8, 'lane-1',
          13, 14, 'mini', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 'a=1')
        """
    }

    @Test("tasks stay what they were", arguments: TestEngine.available)
    func keeps(_ engine: TestEngine) async throws {
        let anew = "0146_tasks_compared"
        let before = TaskSchema.migrations.filter { $0.id < anew }
        #expect(before.count < TaskSchema.migrations.count)
        try await TestStorage.withLocation(engine) { location in
            let old = try StorageOpener.open(
                location, migrations: before, world: .test(), limits: TestStorage.limits)
            try await old.write {
                try $0.run(Self.insert(Self.live, into: "tasks", state: "ready"))
                try $0.run(Self.insert(Self.ended, into: "tasks_finished", state: "done"))
            }
            let stood = try await old.read { try Self.rows($0) }
            await old.close()

            let new = try StorageOpener.open(
                location, migrations: TaskSchema.migrations, world: .test(), limits: TestStorage.limits)
            #expect(try await new.read { try Self.rows($0) } == stood)
            let task = try await new.read { try TaskStore().task(TaskID(stored: Self.live), in: $0) }
            #expect(task?.model == "mini" && task?.tracestate == "a=1" && task?.fence == 5)
            for (table, id) in [("tasks", "task_3"), ("tasks_finished", "task_4")] as [(SQLText, String)] {
                await #expect(throws: Problem.self) {
                    try await new.write { try $0.run(Self.insert(id, into: table, state: "lost")) }
                }
            }
            await new.close()
        }
    }

    /// The values of both tables, by the names of their columns.
    private static func rows(_ transaction: Transaction) throws -> [[String: SQLValue]] {
        let columns = AgentTask.requestColumns + AgentTask.standingColumns
        return try ["SELECT * FROM tasks", "SELECT * FROM tasks_finished"].flatMap { (sql: SQLText) in
            try transaction.rows(sql).map { row in
                Dictionary(uniqueKeysWithValues: columns.map { ($0, row[$0]) })
            }
        }
    }
}
