import Kernel

/// The tables in ClickHouse, in words that 18.16 and the newest understand.
///
/// Partitions are days and categories, as the archive's files are, so that to forget is to drop one. Rows that come
/// twice, as after an insert of which nobody heard, are one row again once ClickHouse has merged them; whoever reads
/// passes over them before that.
enum ClickHouseSchema {
    /// All that has rows, in the order in which partitions of it are dropped.
    static let tables = ["reeve_spans", "reeve_logs", "reeve_span_ids", "reeve_log_ids", "reeve_log_labels"]

    /// What stands before the columns of each table, and behind them.
    private static let part = "day Date, category String"
    private static func engine(_ order: String) -> String {
        "ENGINE = ReplacingMergeTree PARTITION BY (day, category) ORDER BY (\(order))"
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
    ]

    /// What stands in a query for a value, and for a set of them; see ``ClickHouseQuery``.
    static func bound(_ column: Int) -> String { "(SELECT v\(column) FROM bound)" }
    static func boundList(_ table: String) -> String { "(SELECT v FROM \(table))" }

    /// The partition of a category's day: neither is a value from outside.
    static func drop(_ table: String, _ part: ClickHousePart) -> String {
        "ALTER TABLE \(table) DROP PARTITION ('\(part.date)', '\(part.category.rawValue)')"
    }
}

/// A category's records that arrived on a day.
struct ClickHousePart: Hashable {
    let category: TelemetryCategory
    /// Days since 1970, UTC.
    let day: Int

    var date: String { String(Timestamp(microseconds: Int64(day) * 86_400_000_000).description.prefix(10)) }
}
