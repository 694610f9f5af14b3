import Kernel

/// Queries over tasks for those who look at what an act would reach.
extension TaskStore {
    /// Ready tasks that ask for one of these models, by all names that tasks have for them.
    func readyCount(models: [String], in transaction: Transaction) throws -> Int64 {
        guard !models.isEmpty else { return 0 }
        return try transaction.first(
            "SELECT count(*) AS n FROM tasks WHERE state = 'ready' AND model IN \(list: models)")?.int("n") ?? 0
    }

    /// Ready tasks that only these agents may take, or may take first.
    func readyCount(agents: [String], in transaction: Transaction) throws -> Int64 {
        guard !agents.isEmpty else { return 0 }
        return try transaction.first(
            """
            SELECT count(*) AS n FROM tasks WHERE state = 'ready'
              AND lane IN (SELECT id FROM lanes WHERE agent IN \(list: agents))
            """)?.int("n") ?? 0
    }

    func readyCount(queues: [String], in transaction: Transaction) throws -> Int64 {
        guard !queues.isEmpty else { return 0 }
        return try transaction.first(
            "SELECT count(*) AS n FROM tasks WHERE queue IN \(list: queues) AND state = 'ready'")?.int("n") ?? 0
    }

    /// The tasks that these agents worked on at last, the newest first: those in hand, and those that failed.
    func recent(of agents: [String], limit: Int, in transaction: Transaction) throws -> [TaskID] {
        guard !agents.isEmpty else { return [] }
        let live = try transaction.rows(
            "SELECT id FROM tasks WHERE owner IN \(list: agents) ORDER BY id DESC LIMIT \(limit)")
        let ended = try transaction.rows(
            """
            SELECT id FROM tasks_finished WHERE owner IN \(list: agents) AND state = 'failed'
            ORDER BY id DESC LIMIT \(limit)
            """)
        return (live + ended).map { $0.id("id") }
    }
}
