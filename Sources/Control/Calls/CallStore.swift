import Kernel

/// Which calls a list shows.
public struct CallFilter: Sendable {
    public var agent: String?
    public var project: String?
    public var taskID: String?
    public var session: String?
    public var model: String?
    public var tag: String?
    public var correlationID: String?
    public var statuses: [Call.Status] = []
    public var since: Timestamp?
    /// Calls that began before.
    public var until: Timestamp?

    public init() {}
}

/// The only SQL on calls, and on who makes them. Sums over them are ``CostStore``'s, in the same transaction.
public struct CallStore: Sendable {
    /// Calls that have a text somewhere.
    func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM calls
            WHERE session = \(text) OR run = \(text) OR correlation_id = \(text) OR replace(tags, \(text), '') <> tags
              OR replace(attempts, \(text), '') <> attempts
            """)?.int("n") ?? 0
    }

    /// Ids of one look for calls that are kept already.
    private static let lookupMax = 256

    private let costs = CostStore()

    public init() {}

    /// Keeps calls that have ended, each once: what is kept already stays as it is, and is not added to the sums again.
    /// Calls that still run are left out. Returns how many are new.
    ///
    /// - Parameters:
    ///   - areNew: Whether none of them can be kept already, so that nobody need look; throws where one is.
    ///   - memory: Who need not be written down as a caller again.
    @discardableResult
    func insert(
        _ calls: [Call], areNew: Bool = false, memory: CallerMemory? = nil, in transaction: Transaction
    ) throws -> Int {
        var known: Set<String> = areNew ? [] : try Self.known(calls, in: transaction)
        var tally = CostTally()
        var callers = CallerTally()
        var tags: [(tag: String, id: String)] = []
        var count = 0
        for call in calls where call.status != .running && (areNew || known.insert(call.id.text).inserted) {
            let call = call.bounded()
            try transaction.addLater(Self.head) { CallRow.append(call, to: &$0) }
            for tag in call.tags { tags.append((tag, call.id.text)) }
            tally.add(call)
            callers.add(call)
            count += 1
        }
        for (tag, id) in tags {
            try transaction.addLater("INSERT INTO call_tags (tag, call_id) VALUES", [.text(tag), .text(id)])
        }
        guard count > 0 else { return 0 }
        try costs.add(tally, in: transaction)
        let unknown = memory?.unknown(callers) ?? callers.minutes
        guard !unknown.isEmpty else { return count }
        try put(unknown, in: transaction)
        if let memory { transaction.afterCommit { memory.keep(unknown) } }
        return count
    }

    /// Which of them are kept already. Changes run one after the other, in all replicas together, so what is new now is
    /// new when it is written.
    private static func known(_ calls: [Call], in transaction: Transaction) throws -> Set<String> {
        try transaction.addWaiting()
        var known: Set<String> = []
        for some in calls.chunks(of: lookupMax) {
            let ids = some.map(\.id.text)
            let rows = try transaction.rows("SELECT id FROM calls WHERE id IN \(list: ids)")
            known.formUnion(rows.map { $0.text("id") })
        }
        return known
    }

    func call(_ id: Identifier<Call>, in transaction: Transaction) throws -> Call? {
        try transaction.first("SELECT \(sql: Self.columns) FROM calls WHERE id = \(id)").map(CallRow.call)
    }

    /// The newest first; one more than the page's limit, where there are more.
    func list(_ filter: CallFilter, page: Page, in transaction: Transaction) throws -> [Call] {
        try transaction.rows(listing(filter, page)).map(CallRow.call)
    }

    /// Calls that belong to a correlation id, the oldest first.
    func list(
        correlation id: String, from time: Timestamp, after: String, limit: Int, in transaction: Transaction
    ) throws -> [Call] {
        try transaction.rows(
            """
            SELECT \(sql: Self.columns) FROM calls WHERE correlation_id = \(id)
              AND (started_at > \(time) OR (started_at = \(time) AND id > \(after)))
            ORDER BY started_at, id LIMIT \(limit)
            """
        ).map(CallRow.call)
    }

    /// The traces of those, of the newest.
    func traces(of correlationID: String, limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            """
            SELECT trace_id FROM calls WHERE correlation_id = \(correlationID) AND trace_id IS NOT NULL
            ORDER BY id DESC LIMIT \(limit)
            """
        ).map { $0.text("trace_id") }
    }

    /// A list's statement, apart so that a test can ask for its plan.
    func listing(_ filter: CallFilter, _ page: Page) -> SQLText {
        var sql: SQLText
        if let tag = filter.tag {
            // In this order whatever an engine thinks: the tag's entries stand in the list's order already.
            sql =
                "SELECT \(sql: Self.columns) FROM call_tags CROSS JOIN calls WHERE tag = \(tag) AND calls.id = call_id"
            sql += Self.range("call_id", filter, page)
        } else {
            sql = "SELECT \(sql: Self.columns) FROM calls WHERE \(sql: Self.range("id", filter, page, isFirst: true))"
        }
        if let since = filter.since { sql += "AND started_at >= \(since)" }
        if let until = filter.until { sql += "AND started_at < \(until)" }
        if let agent = filter.agent { sql += "AND agent = \(agent)" }
        if let project = filter.project { sql += "AND project = \(project)" }
        if let taskID = filter.taskID { sql += "AND task_id = \(taskID)" }
        if let session = filter.session { sql += "AND session = \(session)" }
        if let model = filter.model { sql += "AND model = \(model)" }
        if let id = filter.correlationID { sql += "AND correlation_id = \(id)" }
        if !filter.statuses.isEmpty {
            sql += "AND status IN \(list: filter.statuses.map(\.rawValue))"
            // In the index's own words, as an engine takes a partial one only then.
            if !filter.statuses.contains(.done) { sql += "AND status <> 'done'" }
        }
        sql += filter.tag == nil ? "ORDER BY id DESC" : "ORDER BY call_id DESC"
        return sql + "LIMIT \(page.limit + 1)"
    }

    /// The part of the list that may hold something, by ids: they begin with the time at which the call did.
    private static func range(
        _ column: SQLText, _ filter: CallFilter, _ page: Page, isFirst: Bool = false
    ) -> SQLText {
        let first = filter.since.map { firstID(at: $0 - idSlack) } ?? "\(Call.idPrefix)_"
        var sql: SQLText = isFirst ? "\(sql: column) >= \(first)" : "AND \(sql: column) >= \(first)"
        if let until = filter.until { sql += "AND \(sql: column) < \(firstID(at: until + idSlack))" }
        if let after = page.after { sql += "AND \(sql: column) < \(after)" }
        return sql
    }

    /// An id is made before its call's start is noted, and perhaps by another clock.
    static let idSlack = Span.minutes(1)

    /// The lowest id of a moment.
    static func firstID(at time: Timestamp) -> String {
        let milliseconds = UInt64(clamping: time.microseconds / 1_000)
        let bytes = (0..<6).map { UInt8(truncatingIfNeeded: milliseconds >> (40 - 8 * UInt64($0))) }
        return "\(Call.idPrefix)_" + Hexadecimal.encode(bytes + [UInt8](repeating: 0, count: 10))
    }

    // MARK: Retention

    /// Forgets the oldest calls that began before a time, and leaves the sums. Returns how many.
    func purge(before: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        let rows = try transaction.rows(
            "SELECT id FROM calls WHERE id < \(Self.firstID(at: before)) ORDER BY id LIMIT \(limit)")
        let ids = rows.map { $0.text("id") }
        guard !ids.isEmpty else { return 0 }
        try transaction.run("DELETE FROM call_tags WHERE call_id IN \(list: ids)")
        return try transaction.run("DELETE FROM calls WHERE id IN \(list: ids)")
    }

    // MARK: Pricing anew

    /// Calls behind an id that began before a time, the oldest first.
    func batch(
        after: String, before: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [Call] {
        try transaction.rows(
            """
            SELECT \(sql: Self.columns) FROM calls WHERE id > \(after) AND id < \(Self.firstID(at: before))
            ORDER BY id LIMIT \(limit)
            """
        ).map(CallRow.call)
    }

    func setCost(_ call: Call, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE calls SET nano_usd = \(call.cost?.nanoUSD), price_from = \(call.cost?.priceFrom),
              booked_nano_usd = \(call.bookedCost?.nanoUSD), booked_price_from = \(call.bookedCost?.priceFrom),
              repriced_at = \(call.repricedAt), attempts = \(JSONValue.list(call.attempts))
            WHERE id = \(call.id)
            """)
    }

    func setDecision(_ decision: JSONValue, of id: Identifier<Call>, in transaction: Transaction) throws {
        try transaction.run("UPDATE calls SET decision = \(decision) WHERE id = \(id)")
    }

    // MARK: Columns

    private static let columnNames = CallRow.columns.joined(separator: ", ")
    private static let columns = SQLText(stringLiteral: columnNames)
    private static let head = "INSERT INTO calls (\(columnNames)) VALUES"
}

/// A call as a row of its table.
enum CallRow {
    static let columns = [
        "id", "status", "started_at", "agent", "project", "task_id", "session", "run", "key_id", "tags",
        "correlation_id", "door", "model", "tier", "stream", "target", "answered_model", "attempts", "usage_raw",
        "buckets", "estimated", "nano_usd", "price_from", "booked_nano_usd", "booked_price_from", "repriced_at",
        "saved_nano_usd", "holds", "refusal", "failure", "http_status", "cache", "duration_ms", "ttft_ms",
        "overhead_us", "request_bytes", "response_bytes", "bundle", "decision",
        "trace_id", "span_id",
    ]

    /// Appends the values in the order of ``columns``, each as what it is: a list of existentials costs more than the
    /// row.
    static func append(_ call: Call, to row: inout [SQLValue]) {
        row.append(call.id.sqlValue)
        row.append(.text(call.status.rawValue))
        row.append(call.startedAt.sqlValue)
        for name in [call.agent, call.project, call.taskID, call.session, call.run, call.keyID] {
            row.append(name.sqlValue)
        }
        row.append(call.tags.isEmpty ? emptyList : JSONValue.list(call.tags).sqlValue)
        row.append(call.correlationID.sqlValue)
        row.append(.text(call.door))
        row.append(.text(call.model))
        row.append(call.tier.sqlValue)
        row.append(call.isStream.sqlValue)
        row.append(call.target.sqlValue)
        row.append(call.answeredModel.sqlValue)
        row.append(JSONValue.array(call.attempts.map(\.json)).sqlValue)
        row.append(call.usage.raw.sqlValue)
        row.append(call.usage.buckets.sqlValue)
        row.append(call.usage.isEstimated.sqlValue)
        row.append((call.cost?.nanoUSD).sqlValue)
        row.append((call.cost?.priceFrom).sqlValue)
        row.append((call.bookedCost?.nanoUSD).sqlValue)
        row.append((call.bookedCost?.priceFrom).sqlValue)
        row.append(call.repricedAt.sqlValue)
        row.append(.integer(call.savedNanoUSD))
        row.append(call.holds.isEmpty ? emptyList : JSONValue.array(call.holds.map(\.json)).sqlValue)
        row.append((call.refusal?.json).sqlValue)
        row.append(call.failure.sqlValue)
        row.append(call.httpStatus.sqlValue)
        row.append(call.cache.sqlValue)
        for number in [call.durationMs, call.ttftMs, call.overheadMicroseconds] { row.append(number.sqlValue) }
        row.append(.integer(call.requestBytes))
        row.append(.integer(call.responseBytes))
        row.append(call.bundle.sqlValue)
        row.append(call.decision.sqlValue)
        row.append(call.traceID.sqlValue)
        row.append(call.spanID.sqlValue)
    }

    private static let emptyList = SQLValue.text("[]")

    static func call(_ row: StoredRow) -> Call {
        func list(_ column: String) -> [JSONValue] { row.json(column).array ?? [] }
        var call = Call(
            id: row.id("id"), status: Call.Status(rawValue: row.text("status")) ?? .failed,
            startedAt: row.time("started_at"), agent: row.optionalText("agent"),
            project: row.optionalText("project"), taskID: row.optionalText("task_id"),
            session: row.optionalText("session"), run: row.optionalText("run"), keyID: row.optionalText("key_id"),
            tags: list("tags").compactMap(\.string), correlationID: row.optionalText("correlation_id"),
            door: row.text("door"), model: row.text("model"), tier: row.optionalText("tier"),
            isStream: row.bool("stream"), target: row.optionalText("target"),
            answeredModel: row.optionalText("answered_model"),
            attempts: list("attempts").map(CallAttempt.init(json:)), usage: usage(row),
            cost: cost(row, "nano_usd", "price_from"), savedNanoUSD: row.int("saved_nano_usd"),
            holds: list("holds").map(CallHold.init(json:)), refusal: CallRefusal(json: row.json("refusal")),
            failure: row.optionalText("failure"), httpStatus: row.optionalInt("http_status"),
            cache: row.optionalText("cache"), durationMs: row.optionalInt("duration_ms"),
            ttftMs: row.optionalInt("ttft_ms"), overheadMicroseconds: row.optionalInt("overhead_us"),
            requestBytes: row.int("request_bytes"), responseBytes: row.int("response_bytes"),
            bundle: row.optionalText("bundle"), decision: row.json("decision"))
        call.bookedCost = cost(row, "booked_nano_usd", "booked_price_from")
        call.repricedAt = row.optionalTime("repriced_at")
        call.traceID = row.optionalText("trace_id")
        call.spanID = row.optionalText("span_id")
        return call
    }

    private static func usage(_ row: StoredRow) -> CallUsage {
        CallUsage(
            raw: row.optionalText("usage_raw").map { _ in row.json("usage_raw") }, buckets: row.json("buckets"),
            isEstimated: row.bool("estimated"))
    }

    private static func cost(_ row: StoredRow, _ amount: String, _ from: String) -> CallCost? {
        row.optionalInt(amount).map { CallCost(nanoUSD: $0, priceFrom: row.optionalText(from)) }
    }
}
