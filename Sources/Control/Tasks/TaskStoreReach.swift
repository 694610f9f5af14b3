import Kernel

/// Queries over tasks for those who look at what an act would reach.
extension TaskStore {
    /// Ready tasks that ask for one of these models, by all names that tasks have for them.
    func readyCount(models: [String], in transaction: Transaction) throws -> Int64 {
        guard !models.isEmpty else { return 0 }
        return try transaction.first(
            """
            SELECT count(*) AS n FROM tasks WHERE state = 'ready' AND hold_count = 0
              AND lane IN (SELECT id FROM lanes WHERE model IN \(list: models) AND model <> '')
            """)?.int("n") ?? 0
    }

    /// Ready tasks that only these agents may take, or may take first.
    func readyCount(agents: [String], in transaction: Transaction) throws -> Int64 {
        guard !agents.isEmpty else { return 0 }
        return try transaction.first(
            """
            SELECT count(*) AS n FROM tasks WHERE state = 'ready' AND hold_count = 0
              AND lane IN (SELECT id FROM lanes WHERE agent IN \(list: agents))
            """)?.int("n") ?? 0
    }

    func readyCount(queues: [String], in transaction: Transaction) throws -> Int64 {
        guard !queues.isEmpty else { return 0 }
        return try transaction.first(
            "SELECT count(*) AS n FROM tasks WHERE queue IN \(list: queues) AND state = 'ready'")?.int("n") ?? 0
    }

    /// Finished tasks of a queue whose owners count as its workers: the newest.
    static let workedMax = 1_000

    /// Agents that work for queues: with a task of them in hand, with one that waits for them alone, or that finished
    /// one since a moment.
    func workers(ofQueues queues: [String], since time: Timestamp, in transaction: Transaction) throws -> [String] {
        var found: Set<String> = []
        for queue in queues {
            let rows = try transaction.rows(
                """
                SELECT DISTINCT owner AS agent FROM tasks
                WHERE queue = \(queue) AND state IN ('claimed', 'running', 'waiting') AND owner IS NOT NULL
                UNION SELECT DISTINCT owner AS agent FROM (
                  SELECT owner, finished_at FROM tasks_finished WHERE queue = \(queue)
                  ORDER BY id DESC LIMIT \(Self.workedMax)) AS ended
                WHERE owner IS NOT NULL AND finished_at >= \(time)
                """)
            found.formUnion(rows.map { $0.text("agent") })
        }
        return found.union(try awaited("queue", queues, in: transaction)).sorted()
    }

    /// Projects of the ready tasks of queues; the first ``workedMax`` by name.
    func projects(waitingIn queues: [String], in transaction: Transaction) throws -> [String] {
        guard !queues.isEmpty else { return [] }
        return try transaction.rows(
            """
            SELECT DISTINCT project FROM tasks
            WHERE queue IN \(list: queues) AND state = 'ready' AND project IS NOT NULL
            ORDER BY project LIMIT \(Self.workedMax)
            """
        ).map { $0.text("project") }
    }

    /// Agents that ready tasks wait for which ask for one of these models, by all names that tasks have for them.
    func awaited(models: [String], in transaction: Transaction) throws -> [String] {
        try awaited("model", models, in: transaction)
    }

    private func awaited(_ column: SQLText, _ names: [String], in transaction: Transaction) throws -> [String] {
        guard !names.isEmpty else { return [] }
        return try transaction.rows(Self.awaitedList(column, names)).map { $0.text("agent") }
    }

    /// In the words of the indexes: an engine takes a partial one only then.
    static func awaitedList(_ column: SQLText, _ names: [String]) -> SQLText {
        """
        SELECT DISTINCT agent FROM lanes
        WHERE \(sql: column) IN \(list: names) AND \(sql: column) <> '' AND agent <> ''
          AND EXISTS (SELECT 1 FROM tasks WHERE tasks.lane = lanes.id AND tasks.state = 'ready')
        ORDER BY agent
        """
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
        try transaction.rows(Self.failedList(since: time, limit: limit)).map { $0.id("id") }
    }

    static func failedList(since time: Timestamp, limit: Int) -> SQLText {
        """
        SELECT id FROM tasks_finished WHERE state IN ('failed', 'skipped') AND finished_at >= \(time)
        ORDER BY finished_at DESC LIMIT \(limit)
        """
    }

    /// Agents whose tasks are looked up in one go.
    static let recentAgentsMax = 200

    /// The tasks that these agents worked on at last: those in hand, and those that ended since a moment with a
    /// result, good or bad, the newest of each agent first.
    func recent(
        of agents: [String], since time: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [TaskID] {
        var found: [TaskID] = []
        for agent in agents.prefix(Self.recentAgentsMax) where found.count < limit {
            let live = try transaction.rows(Self.handList(of: agent, limit: limit))
            let ended = try transaction.rows(Self.recentList(of: agent, since: time, limit: limit))
            found += (live + ended).map { $0.id("id") }
        }
        return Array(found.prefix(limit))
    }

    static func handList(of agent: String, limit: Int) -> SQLText {
        "SELECT id FROM tasks WHERE owner = \(agent) AND owner IS NOT NULL ORDER BY id DESC LIMIT \(limit)"
    }

    static func recentList(of agent: String, since time: Timestamp, limit: Int) -> SQLText {
        """
        SELECT id FROM tasks_finished WHERE owner = \(agent) AND owner IS NOT NULL AND finished_at >= \(time)
          AND state IN ('failed', 'done') ORDER BY finished_at DESC LIMIT \(limit)
        """
    }
}

extension TaskService {
    /// Agents that work for a queue, as ``TaskStore/workers(ofQueues:since:in:)`` has them.
    static func workers(ofQueue queue: String, since time: Timestamp, in transaction: Transaction) throws -> [String] {
        try TaskStore().workers(ofQueues: [queue], since: time, in: transaction)
    }
}
