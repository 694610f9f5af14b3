import Kernel

/// What stays when its day is over: what is under a hold, and, for a while, what belongs to a trace that failed or has
/// a label.
struct ClickHouseKeepingStore: Sendable {
    let connection: ClickHouseConnection

    // MARK: Which

    /// What keeps records beside holds.
    struct Grounds {
        var labels = false
        var failures = false
    }

    /// Which records of a kind are kept; `nil` for none. Holds on a subject are not among it: what is a subject's is
    /// said by ``SubjectMatch``, which ClickHouse has not.
    static func condition(
        _ kind: ArchivePart.Kind, _ marks: RetentionEvidence, _ grounds: Grounds, keys: [String] = []
    ) -> ClickHouseQuery? {
        var any: [ClickHouseQuery] = []
        func add(_ column: String, _ values: [String]) {
            if !values.isEmpty { any.append("\(schema: column) IN \(list: values)") }
        }
        var (ids, traces, agents): ([String], [String], [String]) = ([], [], [])
        for hold in marks.holds {
            switch hold.target {
            case .correlation(let id): ids.append(id)
            case .trace(let trace): traces.append(trace.description)
            case .agent(let agent): agents.append(agent)
            case .subject: break
            case .times(let times):
                any.append(
                    kind == .spans
                        ? "(started_at < \(times.upperBound) AND ended_at >= \(times.lowerBound))"
                        : "(time < \(times.upperBound) AND time >= \(times.lowerBound))")
            }
        }
        let labelled = grounds.labels ? marks.traces.map(\.description) : []
        let failed: ClickHouseQuery = "(SELECT trace_id FROM reeve_failed)"
        add("agent_id", agents)
        add("\(ClickHouseSchema.key(kind))", keys)
        switch kind {
        case .spans:
            add("correlation_id", ids)
            add("trace_id", ids.map { $0.lowercased() } + traces + labelled)
            if grounds.failures { any.append("trace_id IN \(failed)") }
        case .logs:
            add("correlation_id", ids + (grounds.labels ? Array(marks.correlations) : []))
            add("lower(trace_id)", ids.map { $0.lowercased() } + traces + labelled)
            add("lower(correlation_id)", traces + labelled)
            if grounds.failures {
                any.append("lower(trace_id) IN \(failed)")
                any.append("lower(correlation_id) IN \(failed)")
                any.append("correlation_id IN (SELECT correlation_id FROM reeve_failed WHERE correlation_id != '')")
            }
        }
        return any.isEmpty ? nil : .any(any)
    }

    /// How many rows a partition has, and how many of them are kept.
    func counts(
        of part: ClickHousePart, _ kind: ArchivePart.Kind, _ condition: ClickHouseQuery
    ) async throws -> (rows: Int64, kept: Int64) {
        let rows = try await connection.ask(
            """
            SELECT count(), countIf(\(condition)) FROM \(schema: ClickHouseSchema.table(kind))
            WHERE \(ClickHouseSchema.isIn(part)) FORMAT RowBinary
            """, longest: ClickHousePartStore.wholeMax)
        return try ColumnReader.rows(rows) { (try $0.int(), try $0.int()) }.first ?? (0, 0)
    }

    /// The traces of a partition that failed, wherever; ``UnkeptTraces/knownMax`` at most.
    func failedTraces(of part: ClickHousePart) async throws -> Set<TraceID> {
        let rows = try await connection.ask(
            """
            SELECT DISTINCT trace_id FROM reeve_spans
            WHERE \(ClickHouseSchema.isIn(part)) AND trace_id IN (SELECT trace_id FROM reeve_failed)
            LIMIT \(count: UnkeptTraces.knownMax) FORMAT RowBinary
            """, longest: ClickHousePartStore.wholeMax)
        return Set(try ColumnReader.rows(rows) { TraceID(try $0.text()) }.compactMap(\.self))
    }

    // MARK: Carrying over

    /// Copies what is kept of a partition into that which lives longer. Done twice it is the same: rows that come twice
    /// are one.
    func carry(_ part: ClickHousePart, _ kind: ArchivePart.Kind, _ condition: ClickHouseQuery) async throws {
        let (table, columns) = (ClickHouseSchema.table(kind), ClickHouseSchema.columns(kind))
        _ = try await connection.ask(
            """
            INSERT INTO \(schema: table) (day, category, \(schema: columns))
            SELECT day, \(part.in(.kept).label), \(schema: columns) FROM \(schema: table)
            WHERE \(ClickHouseSchema.isIn(part)) AND \(condition)
            """, longest: ClickHousePartStore.wholeMax)
    }

    // MARK: What was gone through

    /// By which holds the kept partitions of a table were gone through last.
    func states(of table: String) async throws -> [ClickHousePart: String] {
        let rows = try await connection.ask(
            """
            SELECT day, category, argMax(state, at) FROM reeve_kept WHERE table_name = \(table)
            GROUP BY day, category FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        var states: [ClickHousePart: String] = [:]
        _ = try ColumnReader.rows(rows) { row in
            let (day, label, state) = (try row.day(), try row.text(), try row.text())
            guard let category = ClickHousePart.category(of: label) else { return }
            states[ClickHousePart(category: category, day: day, tier: .kept)] = state
        }
        return states
    }

    func settle(_ part: ClickHousePart, of table: String, _ state: String, at now: Timestamp) async throws {
        var row = ColumnWriter()
        row.append(day: part.day)
        for text in [part.label, table, state] { row.append(text) }
        row.append(int: now.microseconds)
        try await connection.insert(
            "INSERT INTO reeve_kept (day, category, table_name, state, at) FORMAT RowBinary", rows: row.bytes)
    }
}
