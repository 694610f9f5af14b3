import Kernel
import Telemetry

/// The only SQL on labels of traces.
struct TraceLabelStore: Sendable {
    /// Traces that are asked for in one statement.
    static let tracesMax = 200

    /// Says whether it is new.
    func insert(_ label: TraceLabel, in transaction: Transaction) throws -> Bool {
        try transaction.run(
            """
            INSERT INTO trace_labels (trace_id, label, correlation_id, created_at, created_by)
            VALUES (\(label.traceID.description), \(label.label), \(label.correlationID), \(label.createdAt),
              \(label.createdBy))
            ON CONFLICT (trace_id, label) DO NOTHING
            """) > 0
    }

    /// Says whether it was there.
    func delete(_ label: String, of trace: TraceID, in transaction: Transaction) throws -> Bool {
        try transaction.run(
            "DELETE FROM trace_labels WHERE trace_id = \(trace.description) AND label = \(label)") > 0
    }

    func count(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM trace_labels")?.int("n") ?? 0
    }

    func labels(of trace: TraceID, in transaction: Transaction) throws -> [TraceLabel] {
        try transaction.rows(
            "SELECT * FROM trace_labels WHERE trace_id = \(trace.description) ORDER BY created_at, label"
        ).compactMap(label)
    }

    /// The traces that got a label last.
    func traces(labelled label: String, max: Int, in transaction: Transaction) throws -> [TraceID] {
        try transaction.rows(
            """
            SELECT trace_id FROM trace_labels WHERE label = \(label)
            ORDER BY created_at DESC, trace_id DESC LIMIT \(max)
            """
        ).compactMap { TraceID($0.text("trace_id")) }
    }

    func all(in transaction: Transaction) throws -> [TraceLabel] {
        try transaction.rows("SELECT * FROM trace_labels LIMIT \(TraceLabel.labelsMax)").compactMap(label)
    }

    private func label(_ row: StoredRow) -> TraceLabel? {
        TraceID(row.text("trace_id")).map { trace in
            TraceLabel(
                traceID: trace, label: row.text("label"), correlationID: row.optionalText("correlation_id"),
                createdAt: row.time("created_at"), createdBy: row.text("created_by"))
        }
    }
}
