import Kernel

/// Attempts as roll-outs look at them: many at once.
public protocol TaskAttempts: Sendable {
    /// Each task's attempt under a fence, by the task; those that are gone are left out.
    func attempts(
        _ wanted: [(task: TaskID, fence: Int64)], in transaction: Transaction
    ) throws -> [String: TaskAttempt]

    /// What an agent's attempts cost that went well lately, in nano-dollars: of those that ran with a version, or did
    /// not say with which.
    func attemptCosts(
        of agent: String, bundle: String, limit: Int, in transaction: Transaction
    ) throws -> [Int64]

    /// The version that the newest attempt of each task runs with, where that is known.
    func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String]
}

extension TaskStore: TaskAttempts {
    /// Attempts of one look.
    private static let lookupMax = 500

    public func attempts(
        _ wanted: [(task: TaskID, fence: Int64)], in transaction: Transaction
    ) throws -> [String: TaskAttempt] {
        let fences = Dictionary(wanted.map { ($0.task.text, $0.fence) }) { _, last in last }
        var found: [String: TaskAttempt] = [:]
        for some in wanted.map(\.task.text).chunks(of: Self.lookupMax) {
            let rows = try transaction.rows("SELECT * FROM task_attempts WHERE task_id IN \(list: Array(some))")
            for row in rows where fences[row.text("task_id")] == row.int("fence") {
                found[row.text("task_id")] = TaskAttempt(row: row)
            }
        }
        return found
    }

    public func bundles(ofTasks tasks: [String], in transaction: Transaction) throws -> [String: String] {
        var found: [String: String] = [:]
        for some in tasks.chunks(of: Self.lookupMax) {
            let rows = try transaction.rows(
                """
                SELECT task_id, bundle FROM task_attempts WHERE task_id IN \(list: Array(some)) AND bundle IS NOT NULL
                ORDER BY task_id, fence
                """)
            for row in rows { found[row.text("task_id")] = row.text("bundle") }
        }
        return found
    }

    public func attemptCosts(
        of agent: String, bundle: String, limit: Int, in transaction: Transaction
    ) throws -> [Int64] {
        let tasks = try transaction.rows(
            """
            SELECT id FROM tasks_finished WHERE owner = \(agent) AND state = 'done'
            ORDER BY finished_at DESC LIMIT \(limit)
            """
        ).map { $0.text("id") }
        guard !tasks.isEmpty else { return [] }
        return try transaction.rows(
            """
            SELECT usage FROM task_attempts WHERE task_id IN \(list: tasks) AND agent = \(agent)
              AND state IN ('succeeded', 'late_succeeded') AND (bundle IS NULL OR bundle = \(bundle))
            """
        ).map { TaskUsage(stored: $0.json("usage")).nanoUSD }
    }
}
