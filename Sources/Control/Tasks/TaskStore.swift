import Kernel

/// The only SQL on tasks, their holds, dependencies and attempts. Verbs without rules.
public struct TaskStore: Sendable, CorrelatedTasks, SecretUsers {
    public init() {}

    // MARK: Tasks

    /// Tasks that have a text in what they were given.
    public func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM tasks
            WHERE replace(title, \(text), '') <> title OR replace(input, \(text), '') <> input
              OR correlation_id = \(text) OR unique_key = \(text)
            """)?.int("n") ?? 0
    }

    private static let columns = SQLText.columns(
        (AgentTask.requestColumns + AgentTask.standingColumns).map { ($0, nil) })

    private static let kept = AgentTask.requestColumns.map { (name: $0, value: SQLValue?.none) }

    func insert(_ task: inout AgentTask, in transaction: Transaction) throws {
        let standing = task.standing
        let values = SQLText.columns((task.request + standing).map { ("", $0) })
        try transaction.run("INSERT INTO tasks (\(sql: Self.columns)) VALUES (\(sql: values))")
        task.origin = TaskOrigin(standing)
        if let id = task.correlationID {
            try transaction.run(
                "INSERT INTO task_correlations (correlation_id, task_id) VALUES (\(id), \(task.id))")
        }
        if task.state == .ready { try ensureLane(task.lane, in: transaction) }
    }

    /// Tasks, live and finished, in no order.
    func tasks(_ ids: [String], in transaction: Transaction) throws -> [AgentTask] {
        guard !ids.isEmpty else { return [] }
        let live = try transaction.rows("SELECT * FROM tasks WHERE id IN \(list: ids)")
        let ended = try transaction.rows("SELECT * FROM tasks_finished WHERE id IN \(list: ids)")
        return (live + ended).map(AgentTask.init(row:))
    }

    /// The tasks that belong to a correlation id, the oldest first.
    public func ids(ofCorrelation id: String, limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            """
            SELECT task_id FROM task_correlations WHERE correlation_id = \(id) ORDER BY task_id LIMIT \(limit)
            """
        ).map { $0.text("task_id") }
    }

    /// Writes what differs from the row that the task was read from; a terminal task moves out of the live table.
    func save(_ task: inout AgentTask, in transaction: Transaction) throws {
        let standing = task.standing
        let before = task.origin.standing
        let changes: [SQLValue?] =
            before.isEmpty ? standing : zip(standing, before).map { now, before in now == before ? nil : now }
        task.origin = TaskOrigin(standing)
        if task.state.isTerminal { return try archive(task, changes, in: transaction) }
        let changed = zip(AgentTask.standingColumns, changes).compactMap { name, value in value.map { (name, $0) } }
        guard !changed.isEmpty else { return }
        try transaction.run("UPDATE tasks SET \(sql: .assignments(changed)) WHERE id = \(task.id)")
        if task.state == .ready { try ensureLane(task.lane, in: transaction) }
    }

    /// - Parameter changes: the values that differ from the live row's; `nil` for what stays.
    private func archive(_ task: AgentTask, _ changes: [SQLValue?], in transaction: Transaction) throws {
        let merged = SQLText.columns(Self.kept + zip(AgentTask.standingColumns, changes).map { ($0, $1) })
        try transaction.run(
            """
            INSERT INTO tasks_finished (\(sql: Self.columns)) SELECT \(sql: merged) FROM tasks
            WHERE id = \(task.id)
            """)
        try transaction.run("DELETE FROM tasks WHERE id = \(task.id)")
        if task.holdCount > 0 { try transaction.run("DELETE FROM task_holds WHERE task_id = \(task.id)") }
    }

    private func ensureLane(_ lane: Lane, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO lanes (id, queue, project, agent, requires, model)
            VALUES (\(lane.id), \(lane.queue), \(lane.project), \(lane.agent ?? ""), \(lane.requiresText),
              \(lane.model ?? ""))
            ON CONFLICT (id) DO NOTHING
            """)
    }

    /// A live task; `nil` where it has ended or never was.
    func live(_ id: TaskID, in transaction: Transaction) throws -> AgentTask? {
        try transaction.first("SELECT * FROM tasks WHERE id = \(id)").map(AgentTask.init(row:))
    }

    /// A task, live or finished.
    public func task(_ id: TaskID, in transaction: Transaction) throws -> AgentTask? {
        if let task = try live(id, in: transaction) { return task }
        return try transaction.first("SELECT * FROM tasks_finished WHERE id = \(id)").map(AgentTask.init(row:))
    }

    func live(uniqueKey: String, project: String, in transaction: Transaction) throws -> AgentTask? {
        try transaction.first("SELECT * FROM tasks WHERE project = \(project) AND unique_key = \(uniqueKey)")
            .map(AgentTask.init(row:))
    }

    /// Live tasks whose clock has come, the most overdue first.
    func due(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [TaskID] {
        try transaction.rows(
            "SELECT id FROM tasks WHERE wake_at <= \(now) ORDER BY wake_at, id LIMIT \(limit)"
        ).map { $0.id("id") }
    }

    /// The task, if its clock has come.
    func due(_ id: TaskID, at now: Timestamp, in transaction: Transaction) throws -> AgentTask? {
        try transaction.first("SELECT * FROM tasks WHERE id = \(id) AND wake_at <= \(now)").map(AgentTask.init(row:))
    }

    func hasDue(at now: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM tasks WHERE wake_at <= \(now) LIMIT 1") != nil
    }

    /// Puts off the next look at a task whose lease is under the failover grace.
    func postpone(_ id: TaskID, until time: Timestamp, in transaction: Transaction) throws {
        try transaction.run("UPDATE tasks SET wake_at = \(time) WHERE id = \(id)")
    }

    /// Takes back what ``postpone(_:until:in:)`` put off.
    func wakePostponed(in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE tasks SET wake_at = lease_expires_at
            WHERE owner > '' AND state IN ('claimed', 'running') AND wake_at > lease_expires_at
            """)
    }

    /// The next live tasks under a concurrency key: the one that holds it, or `nil`.
    func keyHolder(_ key: String, except id: TaskID, in transaction: Transaction) throws -> TaskID? {
        try transaction.first(
            """
            SELECT id FROM tasks WHERE concurrency_key = \(key) AND id <> \(id) AND (state IN ('claimed', 'running')
              OR (state = 'ready' AND NOT EXISTS (
                SELECT 1 FROM task_holds WHERE task_id = tasks.id AND hold = 'concurrency_key')))
            LIMIT 1
            """
        )?.id("id")
    }

    /// The first ready task that waits for a concurrency key.
    func keyWaiter(_ key: String, in transaction: Transaction) throws -> AgentTask? {
        try transaction.first(
            """
            SELECT * FROM tasks WHERE concurrency_key = \(key) AND state = 'ready' AND EXISTS (
              SELECT 1 FROM task_holds WHERE task_id = tasks.id AND hold = 'concurrency_key')
            ORDER BY order_key, id LIMIT 1
            """
        ).map(AgentTask.init(row:))
    }

    /// Drops finished tasks past their time with all that belongs to them; returns how many.
    func finished(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> [TaskID] {
        try transaction.rows(
            "SELECT id FROM tasks_finished WHERE finished_at < \(time) ORDER BY finished_at LIMIT \(limit)"
        ).map { $0.id("id") }
    }

    /// Forgets finished tasks with their attempts and dependencies.
    func forget(_ ids: [TaskID], in transaction: Transaction) throws {
        try transaction.run("DELETE FROM task_attempts WHERE task_id IN \(list: ids)")
        try transaction.run("DELETE FROM task_dependencies WHERE task_id IN \(list: ids)")
        try transaction.run(
            """
            DELETE FROM task_correlations WHERE task_id IN \(list: ids) AND correlation_id IN (
              SELECT correlation_id FROM tasks_finished WHERE id IN \(list: ids))
            """)
        try transaction.run("DELETE FROM tasks_finished WHERE id IN \(list: ids)")
    }

    // MARK: Holds

    func holds(on id: TaskID, in transaction: Transaction) throws -> [(hold: String, reason: String, actor: String)] {
        try transaction.rows("SELECT hold, reason, actor FROM task_holds WHERE task_id = \(id) ORDER BY hold")
            .map { ($0.text("hold"), $0.text("reason"), $0.text("actor")) }
    }

    func holds(on ids: [TaskID], in transaction: Transaction) throws -> [String: [String]] {
        let rows = try transaction.rows(
            "SELECT task_id, hold FROM task_holds WHERE task_id IN \(list: ids) ORDER BY hold")
        return Dictionary(grouping: rows) { $0.text("task_id") }.mapValues { $0.map { $0.text("hold") } }
    }

    /// Adds a hold; `false` where it was there.
    func addHold(
        _ hold: TaskHold, reason: String, actor: String, on id: TaskID, now: Timestamp, in transaction: Transaction
    ) throws -> Bool {
        try transaction.run(
            """
            INSERT INTO task_holds (task_id, hold, reason, actor, at)
            VALUES (\(id), \(hold.rawValue), \(reason), \(actor), \(now)) ON CONFLICT (task_id, hold) DO NOTHING
            """) > 0
    }

    func removeHold(_ hold: TaskHold, on id: TaskID, in transaction: Transaction) throws -> Bool {
        try transaction.run("DELETE FROM task_holds WHERE task_id = \(id) AND hold = \(hold.rawValue)") > 0
    }

    // MARK: Dependencies

    func insert(_ dependency: TaskDependency, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO task_dependencies (task_id, depends_on, if_unmet, is_child, state)
            VALUES (\(dependency.taskID), \(dependency.dependsOn), \(dependency.ifUnmet.rawValue),
              \(dependency.isChild), \(dependency.state.rawValue))
            ON CONFLICT (task_id, depends_on) DO UPDATE SET state = excluded.state, is_child = excluded.is_child
            """)
    }

    func setState(_ state: TaskDependency.State, of dependency: TaskDependency, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE task_dependencies SET state = \(state.rawValue)
            WHERE task_id = \(dependency.taskID) AND depends_on = \(dependency.dependsOn)
            """)
    }

    func dependencies(of id: TaskID, in transaction: Transaction) throws -> [TaskDependency] {
        try transaction.rows("SELECT * FROM task_dependencies WHERE task_id = \(id) ORDER BY depends_on")
            .map(TaskDependency.init(row:))
    }

    func dependencies(of ids: [TaskID], in transaction: Transaction) throws -> [String: [TaskDependency]] {
        let rows = try transaction.rows(
            "SELECT * FROM task_dependencies WHERE task_id IN \(list: ids) ORDER BY depends_on")
        return Dictionary(grouping: rows.map(TaskDependency.init(row:)), by: \.taskID.text)
    }

    /// The edges that lead from these tasks, and the pending ones that lead to them.
    func edges(around ids: [TaskID], in transaction: Transaction) throws -> [TaskDependency] {
        try transaction.rows(
            """
            SELECT * FROM task_dependencies WHERE task_id IN \(list: ids)
            UNION ALL SELECT * FROM task_dependencies WHERE depends_on IN \(list: ids) AND state = 'pending'
              AND task_id NOT IN \(list: ids)
            """
        ).map(TaskDependency.init(row:)).sorted { ($0.taskID, $0.dependsOn) < ($1.taskID, $1.dependsOn) }
    }

    /// Live tasks.
    func live(_ ids: [TaskID], in transaction: Transaction) throws -> [AgentTask] {
        try transaction.rows("SELECT * FROM tasks WHERE id IN \(list: ids)").map(AgentTask.init(row:))
    }

    func dependents(on id: TaskID, in transaction: Transaction) throws -> [TaskDependency] {
        try transaction.rows(
            "SELECT * FROM task_dependencies WHERE depends_on = \(id) AND state = 'pending' ORDER BY task_id"
        ).map(TaskDependency.init(row:))
    }

    /// All edges that lead to this task, settled ones too: for the page.
    public func allDependents(on id: TaskID, limit: Int, in transaction: Transaction) throws -> [TaskID] {
        try transaction.rows(
            "SELECT task_id FROM task_dependencies WHERE depends_on = \(id) ORDER BY task_id LIMIT \(limit)"
        )
        .map { $0.id("task_id") }
    }

    // MARK: Attempts

    func insert(_ attempt: TaskAttempt, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO task_attempts (task_id, fence, number, agent, key_id, bundle, bundle_arm, bundle_share, state,
              claimed_at, heartbeat_at, usage)
            VALUES (\(attempt.taskID), \(attempt.fence), \(attempt.number), \(attempt.agent), \(attempt.keyID),
              \(attempt.bundle), \(attempt.arm?.rawValue), \(attempt.armShare), \(attempt.state.rawValue),
              \(attempt.claimedAt), \(attempt.heartbeatAt), \(attempt.usage.stored))
            """)
    }

    func attempt(of id: TaskID, fence: Int64, in transaction: Transaction) throws -> TaskAttempt? {
        try transaction.first("SELECT * FROM task_attempts WHERE task_id = \(id) AND fence = \(fence)")
            .map(TaskAttempt.init(row:))
    }

    func hasAttempt(of id: TaskID, by agent: String, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM task_attempts WHERE task_id = \(id) AND agent = \(agent) LIMIT 1")
            != nil
    }

    /// The work began.
    func startAttempt(of id: TaskID, fence: Int64, at time: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE task_attempts SET state = \(AttemptState.running.rawValue), started_at = \(time)
            WHERE task_id = \(id) AND fence = \(fence)
            """)
    }

    func end(
        _ end: AttemptEnd, at time: Timestamp, attemptOf id: TaskID, fence: Int64, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            UPDATE task_attempts SET state = \(end.state.rawValue), started_at = COALESCE(started_at, \(end.start)),
              ended_at = \(time), failure_class = \(end.failureClass), message = \(end.message),
              usage = \(end.usage.stored)
            WHERE task_id = \(id) AND fence = \(fence)
            """)
    }

    /// The attempts of a task, the newest first.
    public func attempts(of id: TaskID, limit: Int, in transaction: Transaction) throws -> [TaskAttempt] {
        try transaction.rows(
            "SELECT * FROM task_attempts WHERE task_id = \(id) ORDER BY fence DESC LIMIT \(limit)"
        ).map(TaskAttempt.init(row:))
    }
}
