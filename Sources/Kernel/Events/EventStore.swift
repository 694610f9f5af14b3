/// Which events of the log are asked for.
public struct EventFilter: Sendable {
    public var agent: String?
    public var taskID: String?
    /// The event's type, or its first part with `.*`: `task.*`.
    public var type: String?
    public var correlationID: String?
    /// The tasks that belong to ``correlationID``, where they are known: their events are then found by an index.
    public var tasks: [String]?

    public init(agent: String? = nil, taskID: String? = nil, type: String? = nil) {
        self.agent = agent
        self.taskID = taskID
        self.type = type
    }

    /// The same rule as the query's, for events that are at hand.
    public func matches(_ event: Event) -> Bool {
        if let agent, event.agent != agent { return false }
        if let taskID, event.taskID != taskID { return false }
        if let correlationID, event.correlationID != correlationID { return false }
        guard let type else { return true }
        return type.hasSuffix(".*") ? event.type.utf8.starts(with: type.utf8.dropLast()) : event.type == type
    }
}

/// The only SQL on `events`. Rows are added, never changed, and forgotten by age from the beginning.
public struct EventStore: Sendable {
    /// Events that have a text somewhere.
    public func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM events
            WHERE replace(data, \(text), '') <> data OR correlation_id = \(text) OR replace(actor, \(text), '') <> actor
            """)?.int("n") ?? 0
    }

    public init() {}

    /// Adds an event behind the last one. Writers run one after the other, so the numbers have no gap.
    func append(_ draft: EventDraft, at now: Timestamp, in transaction: Transaction) throws -> Event {
        let seq = try transaction.remembered(Self.lastSeqName) { try lastSeq(in: transaction) } + 1
        try transaction.addLater(
            """
            INSERT INTO events (seq, at, type, actor, project, agent, task_id, task_seq, correlation_id, data) VALUES
            """,
            [
                seq.sqlValue, now.sqlValue, draft.type.sqlValue, draft.actor.sqlValue, draft.project.sqlValue,
                draft.agent.sqlValue, draft.taskID.sqlValue, draft.taskSeq.sqlValue, draft.correlationID.sqlValue,
                draft.data.sqlValue,
            ])
        transaction.keep(seq, as: Self.lastSeqName)
        return Event(
            seq: seq, at: now, type: draft.type, actor: draft.actor, project: draft.project, agent: draft.agent,
            taskID: draft.taskID, taskSeq: draft.taskSeq, correlationID: draft.correlationID, data: draft.data)
    }

    private static let lastSeqName = "events.seq"

    public func lastSeq(in transaction: Transaction) throws -> Int64 {
        try transaction.addWaiting()
        return try transaction.first("SELECT COALESCE(MAX(seq), 0) AS seq FROM events")?.int("seq") ?? 0
    }

    /// Events with a number above `after`, oldest first.
    public func list(
        after: Int64, limit: Int, filter: EventFilter = EventFilter(), in transaction: Transaction
    ) throws -> [Event] {
        try transaction.addWaiting()
        let rows = try transaction.rows(
            "SELECT * FROM events WHERE seq > \(after)" + clause(filter) + "ORDER BY seq LIMIT \(limit)")
        return rows.map(event)
    }

    /// Events of a moment with a number above `seq`, and those of later moments, by their time.
    public func list(
        from time: Timestamp, after seq: Int64, limit: Int, filter: EventFilter, exceptTypes: [String],
        in transaction: Transaction
    ) throws -> [Event] {
        try transaction.addWaiting()
        let rows = try transaction.rows(
            "SELECT * FROM events WHERE (at > \(time) OR (at = \(time) AND seq > \(seq)))" + clause(filter)
                + "AND type NOT IN \(list: exceptTypes) ORDER BY at, seq LIMIT \(limit)")
        return rows.map(event)
    }

    /// Events of some types within a range of numbers, oldest first: types may end in `.*`.
    public func list(
        _ range: ClosedRange<Int64>, types: [String], limit: Int, in transaction: Transaction
    ) throws -> [Event] {
        guard !types.isEmpty else { return [] }
        try transaction.addWaiting()
        var wanted: SQLText = "1 = 0"
        for type in types { wanted += "OR (1 = 1 \(sql: clause(EventFilter(type: type))))" }
        return try transaction.rows(
            """
            SELECT * FROM events WHERE seq >= \(range.lowerBound) AND seq <= \(range.upperBound) AND (\(sql: wanted))
            ORDER BY seq LIMIT \(limit)
            """
        ).map(event)
    }

    /// The first number from `time` on: numbers and times rise together, so a few rows are looked at however long the
    /// log is. `nil` where nothing has happened since.
    public func firstSeq(from time: Timestamp, in transaction: Transaction) throws -> Int64? {
        let last = try lastSeq(in: transaction)
        guard let first = try transaction.first("SELECT MIN(seq) AS seq FROM events")?.optionalInt("seq") else {
            return nil
        }
        var (low, high) = (first, last + 1)
        while low < high {
            let middle = low + (high - low) / 2
            let row = try transaction.first("SELECT at FROM events WHERE seq >= \(middle) ORDER BY seq LIMIT 1")
            if let at = row?.time("at"), at < time { low = middle + 1 } else { high = middle }
        }
        return low <= last ? low : nil
    }

    /// How many events of each type an agent has within a range of numbers, by their tasks.
    public func taskCounts(
        agent: String, _ range: ClosedRange<Int64>, types: [String], in transaction: Transaction
    ) throws -> [String: Int64] {
        try transaction.addWaiting()
        let rows = try transaction.rows(
            """
            SELECT type, count(DISTINCT task_id) AS n FROM events
            WHERE agent = \(agent) AND seq >= \(range.lowerBound) AND seq <= \(range.upperBound)
              AND type IN \(list: types) GROUP BY type
            """)
        return Dictionary(rows.map { ($0.text("type"), $0.int("n")) }, uniquingKeysWith: +)
    }

    /// The newest events with a number below `before`, newest first.
    public func latest(
        before: Int64 = .max, limit: Int, filter: EventFilter = EventFilter(), in transaction: Transaction
    ) throws -> [Event] {
        try transaction.addWaiting()
        let rows = try transaction.rows(
            "SELECT * FROM events WHERE seq < \(before)" + clause(filter) + "ORDER BY seq DESC LIMIT \(limit)")
        return rows.map(event)
    }

    /// Events that ``counts(after:in:)`` looks back over at most, so that a long absence costs no more than a short
    /// one.
    public static let countedEventsMax: Int64 = 100_000

    /// How many events of each type there are behind a number.
    public func counts(after seq: Int64, in transaction: Transaction) throws -> [String: Int64] {
        let first = max(seq, try lastSeq(in: transaction) - Self.countedEventsMax)
        let rows = try transaction.rows("SELECT type, COUNT(*) AS count FROM events WHERE seq > \(first) GROUP BY type")
        return Dictionary(rows.map { ($0.text("type"), $0.int("count")) }, uniquingKeysWith: +)
    }

    /// Forgets the oldest events that happened before `time`, up to `limit`, and never the last one, which the numbers
    /// go on from; returns how many. Only whole beginnings go, so what is left has no gap inside.
    public func forget(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        let last = try lastSeq(in: transaction)
        let oldest = try transaction.rows("SELECT seq, at FROM events WHERE seq < \(last) ORDER BY seq LIMIT \(limit)")
        let old = oldest.prefix { $0.time("at") < time }
        guard let end = old.last else { return 0 }
        return try transaction.run("DELETE FROM events WHERE seq <= \(end.int("seq"))")
    }

    private func clause(_ filter: EventFilter) -> SQLText {
        var sql: SQLText = ""
        if let agent = filter.agent { sql += "AND agent = \(agent)" }
        if let taskID = filter.taskID { sql += "AND task_id = \(taskID)" }
        if let id = filter.correlationID {
            let others: SQLText = "task_id IS NULL AND correlation_id = \(id)"
            switch filter.tasks {
            case nil: sql += "AND correlation_id = \(id)"
            case []?: sql += "AND \(sql: others)"
            case let tasks?:
                sql += "AND ((\(sql: others)) OR (task_id IN \(list: tasks) AND correlation_id = \(id)))"
            }
        }
        if let type = filter.type {
            if type.hasSuffix(".*") {
                // A range instead of LIKE: the prefix is the client's, and may hold wildcards. "/" stands behind ".".
                sql += "AND type >= \(String(type.dropLast())) AND type < \(type.dropLast(2) + "/")"
            } else {
                sql += "AND type = \(type)"
            }
        }
        return sql
    }

    private func event(_ row: StoredRow) -> Event {
        Event(
            seq: row.int("seq"), at: row.time("at"), type: row.text("type"), actor: row.text("actor"),
            project: row.optionalText("project"), agent: row.optionalText("agent"), taskID: row.optionalText("task_id"),
            taskSeq: row.optionalInt("task_seq"), correlationID: row.optionalText("correlation_id"),
            data: row.json("data"))
    }
}
