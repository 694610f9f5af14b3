import Kernel

/// The tables in ClickHouse, in words that 18.16 and the newest understand.
///
/// Partitions are days and categories, as the archive's files are, so that to forget is to drop one. Rows that come
/// twice, as after an insert of which nobody heard, are one row again once ClickHouse has merged them; whoever reads
/// passes over them before that.
enum ClickHouseSchema {
    /// The table of records of a kind.
    static func table(_ kind: ArchivePart.Kind) -> String {
        switch kind {
        case .spans: "reeve_spans"
        case .logs: "reeve_logs"
        }
    }

    /// What is made of a kind's records by views, and what is known of both.
    static func derived(_ kind: ArchivePart.Kind) -> [String] {
        switch kind {
        case .spans: ["reeve_span_ids", "reeve_failed"]
        case .logs: ["reeve_log_ids", "reeve_log_labels"]
        }
    }
    static let ofBoth = "reeve_kept"

    /// By which texts of theirs a kind's records are found.
    static func indexes(_ kind: ArchivePart.Kind) -> [ClickHouseIndexStore.Index] {
        switch kind {
        case .spans:
            [
                .init(table: "reeve_span_ids", column: "id", records: "[correlation_id]"),
                .init(table: "reeve_failed", column: "correlation_id", records: "[correlation_id]"),
            ]
        case .logs:
            [
                .init(
                    table: "reeve_log_ids", column: "id", records: "[lower(correlation_id), lower(trace_id)]",
                    isLower: true),
                .init(table: "reeve_log_labels", column: "value"),
                .init(table: "reeve_log_labels", column: "name", isOfName: true),
            ]
        }
    }

    /// All columns of a kind's records behind those of the partition.
    static func columns(_ kind: ArchivePart.Kind) -> String {
        switch kind {
        case .spans:
            """
            node, entry, trace_id, span_id, state, parent_id, name, status, started_at, ended_at, service, agent_id,
            session_id, correlation_id, task_id, operation, provider, model, tool, has_usage, input_tokens,
            cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, ingested_at, body
            """
        case .logs:
            """
            node, entry, row, time, level, service, logger, message, correlation_id, agent_id, session_id, turn, tool,
            duration_ms, trace_id, span_id, attributes, label_names, label_values
            """
        }
    }

    /// What tells a kind's rows apart, in the order in which they stand.
    static func place(_ kind: ArchivePart.Kind) -> String {
        switch kind {
        case .spans: "trace_id, span_id, state, node, entry"
        case .logs: "time, node, entry, row"
        }
    }

    /// The same as one text.
    static func key(_ kind: ArchivePart.Kind) -> String {
        switch kind {
        case .spans: "concat(trace_id, ' ', span_id, ' ', state, ' ', node, ' ', toString(entry))"
        case .logs: "concat(toString(time), ' ', node, ' ', toString(entry), ' ', toString(row))"
        }
    }

    /// What stands before the columns of each table, and behind them.
    private static let part = "day Date, category String"
    private static func engine(_ order: String) -> String {
        "ENGINE = ReplacingMergeTree PARTITION BY (day, category) ORDER BY (\(order))"
    }

    /// All that a row says, as one text.
    static func content(_ kind: ArchivePart.Kind) -> String {
        let columns = columns(kind).split { $0 == "," || $0.isWhitespace }.map { column in
            ["turn", "duration_ms"].contains(column) ? "ifNull(toString(\(column)), '')" : "toString(\(column))"
        }
        return "concat(\(columns.joined(separator: ", ' ', ")))"
    }

    static let statements: [String] = [
        // Times are nanoseconds since 1970; `body` is the OTLP span without what the columns have, and its resource.
        """
        CREATE TABLE IF NOT EXISTS reeve_spans (
          \(part), node String, entry Int64, trace_id String, span_id String, state String,
          parent_id String, name String, status String, started_at Int64, ended_at Int64, service String,
          agent_id String, session_id String, correlation_id String, task_id String, operation String,
          provider String, model String, tool String, has_usage UInt8, input_tokens Int64, cache_read_tokens Int64,
          cache_write_tokens Int64, output_tokens Int64, reasoning_tokens Int64, ingested_at Int64, body String)
        \(engine("trace_id, span_id, state"))
        """,
        // Which traces failed, and what belongs to them.
        """
        CREATE TABLE IF NOT EXISTS reeve_failed (\(part), trace_id String, correlation_id String)
        \(engine("trace_id, correlation_id"))
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS reeve_failed_view TO reeve_failed AS
        SELECT DISTINCT day, category, trace_id, correlation_id FROM reeve_spans WHERE status = 'error'
        """,
        // Finds the traces of a correlation id.
        """
        CREATE TABLE IF NOT EXISTS reeve_span_ids (\(part), id String, trace_id String) \(engine("id, trace_id"))
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS reeve_span_ids_view TO reeve_span_ids AS
        SELECT DISTINCT day, category, correlation_id AS id, trace_id FROM reeve_spans WHERE correlation_id != ''
        """,
        """
        CREATE TABLE IF NOT EXISTS reeve_logs (
          \(part), node String, entry Int64, row UInt32, time Int64, level String, service String,
          logger String, message String, correlation_id String, agent_id String, session_id String,
          turn Nullable(Int64), tool String, duration_ms Nullable(Float64), trace_id String, span_id String,
          attributes String, label_names Array(String), label_values Array(String))
        \(engine("time, node, entry, row"))
        """,
        // Finds the moments of a correlation id, or of a trace.
        """
        CREATE TABLE IF NOT EXISTS reeve_log_ids (\(part), id String, time Int64) \(engine("id, time"))
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS reeve_log_ids_view TO reeve_log_ids AS
        SELECT DISTINCT day, category, id, time FROM reeve_logs
        ARRAY JOIN [lower(correlation_id), lower(trace_id)] AS id WHERE id != ''
        """,
        """
        CREATE TABLE IF NOT EXISTS reeve_log_labels (\(part), name String, value String) \(engine("name, value"))
        """,
        """
        CREATE MATERIALIZED VIEW IF NOT EXISTS reeve_log_labels_view TO reeve_log_labels AS
        SELECT DISTINCT day, category, name, value FROM reeve_logs
        ARRAY JOIN arrayConcat(label_names, ['service_name', 'level', 'agent_id']) AS name,
          arrayConcat(label_values, [service, level, agent_id]) AS value WHERE value != ''
        """,
        // By which holds a kept partition was gone through last.
        """
        CREATE TABLE IF NOT EXISTS reeve_kept (\(part), table_name String, state String, at Int64)
        \(engine("table_name, at"))
        """,
        // What a mutation deletes: it has no other place for values; see `ClickHouseRemovalStore`.
        """
        CREATE TABLE IF NOT EXISTS reeve_removing (node String, batch String, key String)
        ENGINE = MergeTree PARTITION BY node ORDER BY (batch, key)
        """,
    ]

    /// What stands in a query for a value, and for a set of them; see ``ClickHouseQuery``.
    static func bound(_ column: Int) -> String { "(SELECT v\(column) FROM bound)" }
    static func boundList(_ table: String) -> String { "(SELECT v FROM \(table))" }

    /// The partition of a category's day: neither is a value from outside.
    static func drop(_ table: String, _ part: ClickHousePart) -> String {
        "ALTER TABLE \(table) DROP PARTITION ('\(part.date)', '\(part.label)')"
    }

    /// Deletes rows of a partition whose value was written down; see ``ClickHouseRemovalStore``.
    ///
    /// - Parameter value: An expression of this file's.
    static func remove(
        from table: String, _ part: ClickHousePart, by value: String, node: String, batch: String, database: String
    ) -> String {
        // It is carried out where no database is the current one.
        let name = database.reduce(into: "") { $0 += "`\\".contains($1) ? "\\\($1)" : String($1) }
        return """
            ALTER TABLE \(table) DELETE WHERE (day = '\(part.date)' AND category = '\(part.label)') AND \(value) IN (
            SELECT key FROM `\(name)`.reeve_removing WHERE node = '\(node)' AND batch = '\(batch)')
            """
    }

    static func clearRemoving(node: String) -> String { "ALTER TABLE reeve_removing DROP PARTITION '\(node)'" }

    /// The rows of a partition, as a condition.
    static func isIn(_ part: ClickHousePart) -> ClickHouseQuery {
        ClickHouseQuery(stringLiteral: "(day = '\(part.date)' AND category = '\(part.label)')")
    }
}

/// A category's records that arrived on a day.
struct ClickHousePart: Hashable, Comparable {
    let category: TelemetryCategory
    /// Days since 1970, UTC.
    let day: Int
    /// What is kept for longer is in a partition of its own, of the same tables: whoever asks finds it there too.
    var tier = ArchivePart.Tier.ordinary

    private static let keptSuffix = "-kept"

    var date: String { String(Timestamp(microseconds: Int64(day) * 86_400_000_000).description.prefix(10)) }

    /// What the column `category` says of it.
    var label: String { category.rawValue + (tier == .kept ? Self.keptSuffix : "") }

    /// The category that a label is of; `nil` for one that is none of ours.
    static func category(of label: String) -> TelemetryCategory? {
        TelemetryCategory(rawValue: label.hasSuffix(keptSuffix) ? String(label.dropLast(keptSuffix.count)) : label)
    }

    /// All labels of categories.
    static func labels(_ categories: [TelemetryCategory]) -> [String] {
        categories.flatMap { [$0.rawValue, $0.rawValue + keptSuffix] }
    }

    /// The same records in another tier.
    func `in`(_ tier: ArchivePart.Tier) -> ClickHousePart { ClickHousePart(category: category, day: day, tier: tier) }

    /// The archive's file of the same records.
    func archivePart(_ kind: ArchivePart.Kind) -> ArchivePart { ArchivePart(kind, category, day: day).in(tier) }

    /// The oldest first.
    static func < (left: ClickHousePart, right: ClickHousePart) -> Bool {
        (left.day, left.label) < (right.day, right.label)
    }
}

extension ClickHousePart {
    /// From how ClickHouse writes it, `('2026-01-31','tool')`.
    init?(partition: String) {
        let words = partition.filter { $0 != "\\" }.split(separator: "'", omittingEmptySubsequences: false)
        guard words.count == 5, let category = Self.category(of: String(words[3])),
            let date = Timestamp(rfc3339: "\(words[1])T00:00:00Z")
        else { return nil }
        self.init(
            category: category, day: ArchivePart.day(of: date),
            tier: words[3].hasSuffix(Self.keptSuffix) ? .kept : .ordinary)
    }
}
