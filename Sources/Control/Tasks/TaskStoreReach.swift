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

    /// Tasks that build on one of these, whether those have ended or not, each once; some of them where there are more
    /// than the limit. One that nobody has in hand, and that has not ended, may be held without taking it from anybody.
    func dependents(
        on ids: [TaskID], limit: Int, in transaction: Transaction
    ) throws -> [(id: TaskID, isIdle: Bool)] {
        guard !ids.isEmpty else { return [] }
        let idle: [TaskState] = [.scheduled, .blocked, .ready, .waiting, .held]
        return try transaction.rows(
            """
            SELECT DISTINCT task_dependencies.task_id AS id, tasks.state AS state
            FROM task_dependencies LEFT JOIN tasks ON tasks.id = task_dependencies.task_id
            WHERE task_dependencies.depends_on IN \(list: ids) ORDER BY task_dependencies.task_id LIMIT \(limit)
            """
        ).map { row in
            (row.id("id"), row.optionalText("state").flatMap(TaskState.init).map(idle.contains) ?? false)
        }
    }

    /// The task of a type that somebody has had in hand for longest.
    func oldestInProgress(of type: String, in transaction: Transaction) throws -> AgentTask? {
        try transaction.first(
            """
            SELECT * FROM tasks WHERE owner > '' AND state IN ('claimed', 'running') AND type = \(type)
            ORDER BY COALESCE(started_at, updated_at), id LIMIT 1
            """
        ).map(AgentTask.init(row:))
    }

    /// Tasks that failed, or were skipped for what they depended on, since a moment; the newest first.
    func failed(since time: Timestamp, limit: Int, in transaction: Transaction) throws -> [TaskID] {
        try transaction.rows(
            """
            SELECT id FROM tasks_finished WHERE state = 'failed' AND finished_at >= \(time)
            ORDER BY finished_at DESC LIMIT \(limit)
            """
        ).map { $0.id("id") }
    }

    /// The tasks that these agents worked on at last, the newest first: those in hand, and those that ended since a
    /// moment with a result, good or bad.
    func recent(
        of agents: [String], since time: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [TaskID] {
        guard !agents.isEmpty else { return [] }
        let live = try transaction.rows(
            "SELECT id FROM tasks WHERE owner IN \(list: agents) ORDER BY id DESC LIMIT \(limit)")
        let ended = try transaction.rows(
            """
            SELECT id FROM tasks_finished WHERE owner IN \(list: agents) AND state IN ('failed', 'done')
              AND finished_at >= \(time) ORDER BY id DESC LIMIT \(limit)
            """)
        return (live + ended).map { $0.id("id") }
    }
}
