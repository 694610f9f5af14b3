import Kernel
import Telemetry

/// Which tasks a list shows.
public struct TaskFilter: Sendable {
    public var queue: String?
    public var states: [TaskState] = []
    public var agent: String?
    public var project: String?
    public var type: String?
    public var correlationID: String?
    /// Part of the title or the id.
    public var text: String?
    /// Tasks that were not over by then.
    public var since: Timestamp?
    /// Tasks that were created before.
    public var until: Timestamp?

    public init() {}
}

/// A lane with something ready in it, as a claim sees it.
struct OpenLane {
    let id: String
    let project: String
    let requires: [String]
    /// What its tasks ask for; `nil` for none.
    let model: String?
    /// The order key of its first task.
    var head: Int64
}

/// A task that an agent holds by a live claim, as those see it who follow along.
public struct LeasedTask: Sendable {
    public let task: String
    public let agent: String
    /// What it asks for.
    public let model: String?
    /// Of the attempt.
    public let traceparent: String?
    public let correlationID: String?
    /// The version of its agent's bundle that a roll-out gave the attempt; `nil` where it is in none.
    public let bundle: String?
}

/// How a queue stands.
public struct QueueDepth: Sendable {
    public var ready: Int64 = 0
    public var leased: Int64 = 0
    public var scheduled: Int64 = 0
    public var blocked: Int64 = 0
    public var waiting: Int64 = 0
    public var inReview: Int64 = 0
    public var held: Int64 = 0
    /// When the task that is ready longest became so.
    public var oldestReadyAt: Timestamp?
}

/// Queries over tasks: lists, counts and what a claim chooses from. Named as the store's, whose tables they read.
extension TaskStore {
    // MARK: Claims

    /// The lanes of a queue that have a ready task for this agent or for any.
    ///
    /// - Parameter heldBack: models whose tasks are passed over.
    func openLanes(
        queue: String, agent: String, heldBack: [String] = [], in transaction: Transaction
    ) throws -> [OpenLane] {
        let others: SQLText = heldBack.isEmpty ? "" : "AND lanes.model NOT IN \(list: heldBack)"
        return try transaction.rows(
            """
            SELECT id, project, requires, model, head FROM (
              SELECT lanes.id AS id, lanes.project AS project, lanes.requires AS requires, lanes.model AS model, (
                SELECT MIN(tasks.order_key) FROM tasks
                WHERE tasks.lane = lanes.id AND tasks.state = 'ready' AND tasks.hold_count = 0) AS head
              FROM lanes
              WHERE lanes.queue = \(queue) AND (lanes.agent = '' OR lanes.agent = \(agent)) \(sql: others)) AS open
            WHERE head IS NOT NULL
            """
        ).map { row in
            OpenLane(
                id: row.text("id"), project: row.text("project"),
                requires: (row.json("requires").array ?? []).compactMap(\.string),
                model: row.text("model").isEmpty ? nil : row.text("model"), head: row.int("head"))
        }
    }

    /// The first tasks of a lane.
    func firstReady(lane: String, limit: Int, in transaction: Transaction) throws -> [AgentTask] {
        try transaction.rows(
            """
            SELECT * FROM tasks WHERE lane = \(lane) AND state = 'ready' AND hold_count = 0
            ORDER BY order_key, id LIMIT \(limit)
            """
        ).map(AgentTask.init(row:))
    }

    func leasedCount(queue: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) AS count FROM tasks WHERE queue = \(queue) AND state IN ('claimed', 'running')"
        )?.int("count") ?? 0
    }

    /// How much each project of the queue was served, in millionths of a task over its weight; the empty name is the
    /// queue's own clock.
    func served(queue: String, in transaction: Transaction) throws -> [String: Int64] {
        let rows = try transaction.rows("SELECT project, served FROM lane_shares WHERE queue = \(queue)")
        return Dictionary(rows.map { ($0.text("project"), $0.int("served")) }, uniquingKeysWith: max)
    }

    func setServed(_ served: Int64, queue: String, project: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO lane_shares (queue, project, served) VALUES (\(queue), \(project), \(served))
            ON CONFLICT (queue, project) DO UPDATE SET served = excluded.served
            """)
    }

    /// Forgets lanes without live tasks, a bounded number at once.
    func sweepLanes(limit: Int, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM lanes WHERE id IN (
              SELECT id FROM lanes WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.lane = lanes.id)
              LIMIT \(limit))
            """)
    }

    // MARK: Lists

    /// Leads to an index where the states asked for have one: an engine takes a partial index only where the condition
    /// stands in the index's own words.
    private static let leased: SQLText =
        "AND id IN (SELECT id FROM tasks WHERE owner > '' AND state IN ('claimed', 'running'))"
    private static let apart: SQLText = "AND state <> 'ready' AND state <> 'claimed' AND state <> 'running'"
    private static let finishedApart: SQLText = "AND state <> 'done'"

    private static func hint(live states: [TaskState]) -> SQLText {
        if states.isEmpty || states.contains(.ready) { return "" }
        if states.allSatisfy(\.isLeased) { return leased }
        return states.contains(where: \.isLeased) ? "" : apart
    }

    private static func hint(finished states: [TaskState]) -> SQLText {
        states.isEmpty || states.contains(.done) ? "" : finishedApart
    }

    /// Tasks, live and finished, the newest first.
    public func list(_ filter: TaskFilter, page: Page, in transaction: Transaction) throws -> [AgentTask] {
        let wantsLive = filter.states.isEmpty || filter.states.contains { !$0.isTerminal }
        let wantsFinished = filter.states.isEmpty || filter.states.contains { $0.isTerminal }
        var tasks: [AgentTask] = []
        if wantsLive {
            tasks += try transaction.rows(liveList(filter, page)).map(AgentTask.init(row:))
        }
        if wantsFinished {
            tasks += try transaction.rows(finishedList(filter, page)).map(AgentTask.init(row:))
        }
        return Array(tasks.sorted { $0.id > $1.id }.prefix(page.limit + 1))
    }

    func liveList(_ filter: TaskFilter, _ page: Page) -> SQLText {
        "SELECT * FROM tasks" + clause(filter, page) + Self.hint(live: filter.states)
            + "ORDER BY id DESC LIMIT \(page.limit + 1)"
    }

    func finishedList(_ filter: TaskFilter, _ page: Page) -> SQLText {
        let ended: SQLText = filter.since.map { "AND finished_at >= \($0)" } ?? ""
        return "SELECT * FROM tasks_finished" + clause(filter, page) + ended + Self.hint(finished: filter.states)
            + "ORDER BY id DESC LIMIT \(page.limit + 1)"
    }

    /// Tasks in review; the newest task last, so that the page's cursor is an id.
    func inReview(page: Page, in transaction: Transaction) throws -> [AgentTask] {
        try transaction.rows(
            """
            SELECT * FROM tasks WHERE state = 'in_review' AND id > \(page.after ?? "") \(sql: Self.apart) ORDER BY id
            LIMIT \(page.limit + 1)
            """
        ).map(AgentTask.init(row:))
    }

    /// Tasks that were set aside, the oldest first.
    func held(queue: String?, reason: String?, limit: Int, in transaction: Transaction) throws -> [String] {
        var sql: SQLText = "SELECT id FROM tasks WHERE state = 'held' \(sql: Self.apart)"
        if let queue { sql += "AND queue = \(queue)" }
        if let reason { sql += "AND reason = \(reason)" }
        return try transaction.rows(sql + "ORDER BY id LIMIT \(limit)").map { $0.text("id") }
    }

    private func clause(_ filter: TaskFilter, _ page: Page) -> SQLText {
        var sql: SQLText = "WHERE 1 = 1"
        if let after = page.after { sql += "AND id < \(after)" }
        if let until = filter.until { sql += "AND created_at < \(until)" }
        if let queue = filter.queue { sql += "AND queue = \(queue)" }
        if let project = filter.project { sql += "AND project = \(project)" }
        if let type = filter.type { sql += "AND type = \(type)" }
        if let id = filter.correlationID {
            sql += "AND id IN (SELECT task_id FROM task_correlations WHERE correlation_id = \(id))"
        }
        if let agent = filter.agent { sql += "AND (owner = \(agent) OR (owner IS NULL AND pinned_agent = \(agent)))" }
        if !filter.states.isEmpty { sql += "AND state IN \(list: filter.states.map(\.rawValue))" }
        if let text = filter.text {
            let escaped = text.lowercased().replacing("!", with: "!!").replacing("%", with: "!%").replacing(
                "_", with: "!_")
            sql += "AND (LOWER(title) LIKE \("%\(escaped)%") ESCAPE '!' OR id = \(text))"
        }
        return sql
    }

    // MARK: Counts

    /// How many live tasks are in each state, and how many ended in each since a time.
    public func counts(finishedSince time: Timestamp, in transaction: Transaction) throws -> [TaskState: Int64] {
        let live = try transaction.rows("SELECT state, COUNT(*) AS count FROM tasks GROUP BY state")
        let ended = try transaction.rows(
            "SELECT state, COUNT(*) AS count FROM tasks_finished WHERE finished_at >= \(time) GROUP BY state")
        let pairs = (live + ended).compactMap { row in
            TaskState(rawValue: row.text("state")).map { ($0, row.int("count")) }
        }
        return Dictionary(pairs, uniquingKeysWith: +)
    }

    /// How each queue with live tasks stands.
    public func depths(in transaction: Transaction) throws -> [String: QueueDepth] {
        let rows = try transaction.rows(
            """
            SELECT queue, state, COUNT(*) AS count, MIN(enqueued_at) AS oldest FROM tasks GROUP BY queue, state
            """)
        var depths: [String: QueueDepth] = [:]
        for row in rows {
            var depth = depths[row.text("queue")] ?? QueueDepth()
            let count = row.int("count")
            switch TaskState(rawValue: row.text("state")) {
            case .ready:
                depth.ready = count
                depth.oldestReadyAt = row.optionalTime("oldest")
            case .claimed, .running: depth.leased += count
            case .scheduled: depth.scheduled = count
            case .blocked: depth.blocked = count
            case .waiting: depth.waiting = count
            case .inReview: depth.inReview = count
            case .held: depth.held = count
            default: break
            }
            depths[row.text("queue")] = depth
        }
        return depths
    }

    /// Tasks done in each minute since a time, by queue: `[queue: [minute since the epoch: count]]`.
    public func throughput(since time: Timestamp, in transaction: Transaction) throws -> [String: [Int64: Int64]] {
        let rows = try transaction.rows(
            """
            SELECT queue, finished_at / 60000000 AS minute, COUNT(*) AS count FROM tasks_finished
            WHERE finished_at >= \(time) AND state = 'done' GROUP BY queue, finished_at / 60000000
            """)
        var result: [String: [Int64: Int64]] = [:]
        for row in rows { result[row.text("queue"), default: [:]][row.int("minute")] = row.int("count") }
        return result
    }

    /// Tasks that ended in each minute since a time, by state: `[state: [minute since the epoch: count]]`.
    func finished(since time: Timestamp, in transaction: Transaction) throws -> [String: [Int64: Int64]] {
        let rows = try transaction.rows(
            """
            SELECT state, finished_at / 60000000 AS minute, COUNT(*) AS count FROM tasks_finished
            WHERE finished_at >= \(time) GROUP BY state, finished_at / 60000000
            """)
        var result: [String: [Int64: Int64]] = [:]
        for row in rows { result[row.text("state"), default: [:]][row.int("minute")] = row.int("count") }
        return result
    }

    /// When the task that waits longest in a state last changed.
    func oldest(_ state: TaskState, in transaction: Transaction) throws -> Timestamp? {
        let column: SQLText = state == .ready ? "enqueued_at" : "updated_at"
        let sql: SQLText = "SELECT MIN(\(sql: column)) AS at FROM tasks WHERE state = \(state.rawValue)"
        return try transaction.first(sql + Self.hint(live: [state]))?.optionalTime("at")
    }

    /// Since when the task of each type is under way that is so for longest.
    func oldestInProgress(in transaction: Transaction) throws -> [String: Timestamp] {
        let rows = try transaction.rows(
            """
            SELECT type, MIN(COALESCE(started_at, updated_at)) AS since FROM tasks
            WHERE owner > '' AND state IN ('claimed', 'running') GROUP BY type
            """)
        var oldest: [String: Timestamp] = [:]
        for row in rows { oldest[row.text("type")] = row.time("since") }
        return oldest
    }

    /// Since when each agent is at the task of each type that it is at for longest; the oldest first. Who took a task
    /// over is not at it for as long as the one before.
    func inHandForLongest(limit: Int, in transaction: Transaction) throws -> [OldestTask] {
        try transaction.rows(
            """
            SELECT tasks.type, tasks.owner, MIN(task_attempts.claimed_at) AS since FROM tasks
            JOIN task_attempts ON task_attempts.task_id = tasks.id AND task_attempts.fence = tasks.fence
            WHERE tasks.owner > '' AND tasks.state IN ('claimed', 'running')
            GROUP BY tasks.type, tasks.owner ORDER BY since LIMIT \(limit)
            """
        ).map { OldestTask(type: $0.text("type"), agent: $0.text("owner"), since: $0.time("since")) }
    }

    /// Those of the tasks that have ended.
    func finished(_ ids: [String], in transaction: Transaction) throws -> [FinishedTask] {
        guard !ids.isEmpty else { return [] }
        return try transaction.rows(
            """
            SELECT id, type, state, owner, created_at, started_at, finished_at FROM tasks_finished
            WHERE id IN \(list: ids)
            """
        ).compactMap { row in
            guard let state = TaskState(rawValue: row.text("state")), let end = row.optionalTime("finished_at") else {
                return nil
            }
            return FinishedTask(
                id: row.text("id"), type: row.text("type"), state: state, agent: row.optionalText("owner") ?? "",
                createdAt: row.time("created_at"), startedAt: row.optionalTime("started_at"), finishedAt: end)
        }
    }

    // MARK: What agents hold

    func inHand(of agents: [String], in transaction: Transaction) throws -> [(
        agent: String, isLeased: Bool, count: Int64
    )] {
        try transaction.rows(
            """
            SELECT owner, CASE WHEN state = 'waiting' THEN 0 ELSE 1 END AS leased, COUNT(*) AS count FROM tasks
            WHERE owner IN \(list: agents) AND state IN ('claimed', 'running', 'waiting') GROUP BY owner, leased
            """
        ).map { ($0.text("owner"), $0.bool("leased"), $0.int("count")) }
    }

    func leasedOwners(
        limit: Int, in transaction: Transaction
    ) throws -> [LeasedTask] {
        try transaction.rows(
            """
            SELECT t.id, t.owner, t.model, t.fence, t.traceparent, t.correlation_id, a.bundle FROM tasks t
            LEFT JOIN task_attempts a ON a.task_id = t.id AND a.fence = t.fence AND a.bundle_arm IS NOT NULL
            WHERE t.owner > '' AND t.state IN ('claimed', 'running')
            ORDER BY t.owner, t.state LIMIT \(limit)
            """
        ).map { row in
            let place = row.optionalText("traceparent").flatMap(TraceContext.init)
            return LeasedTask(
                task: row.text("id"), agent: row.text("owner"), model: row.optionalText("model"),
                traceparent: place?.child(SpanID(of: row.text("id"), row.int("fence"))).traceparent,
                correlationID: row.optionalText("correlation_id"), bundle: row.optionalText("bundle"))
        }
    }

    func inHand(of agent: String, limit: Int, in transaction: Transaction) throws -> [AgentTask] {
        try transaction.rows(
            """
            SELECT * FROM tasks WHERE owner = \(agent) AND state IN ('claimed', 'running', 'waiting')
            ORDER BY id LIMIT \(limit)
            """
        ).map(AgentTask.init(row:))
    }

    /// What these agents have in hand, and since when.
    public func running(of agents: [String], limit: Int, in transaction: Transaction) throws -> [RunningUse] {
        guard !agents.isEmpty else { return [] }
        return try transaction.rows(
            """
            SELECT owner, started_at FROM tasks
            WHERE owner IN \(list: agents) AND state IN ('claimed', 'running', 'waiting') LIMIT \(limit)
            """
        ).map { RunningUse(agent: $0.text("owner"), since: $0.optionalTime("started_at")) }
    }

    /// Tasks of this agent that it was asked to stop.
    func cancelRequested(of agent: String, in transaction: Transaction) throws -> [TaskID] {
        try transaction.rows(
            """
            SELECT id FROM tasks WHERE owner = \(agent) AND state IN ('claimed', 'running')
              AND cancel_requested_at IS NOT NULL ORDER BY id LIMIT 100
            """
        ).map { $0.id("id") }
    }
}
