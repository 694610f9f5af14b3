import Kernel
import Telemetry

/// The only SQL on events of PagerDuty's form.
struct AlertEventStore: Sendable {
    func known(
        _ dedupKey: String, from source: String, in transaction: Transaction
    ) throws -> (labels: LabelSet, annotations: [String: String])? {
        try transaction.first(
            "SELECT labels, annotations FROM alert_events WHERE source = \(source) AND dedup_key = \(dedupKey)"
        ).map { (LabelSet(object: $0.json("labels")), [String: String](object: $0.json("annotations"))) }
    }

    func keep(
        _ dedupKey: String, from source: String, _ labels: LabelSet, _ annotations: [String: String], at now: Timestamp,
        in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO alert_events (source, dedup_key, labels, annotations, triggered_at)
            VALUES (\(source), \(dedupKey), \(labels.object), \(annotations.sortedObject), \(now))
            ON CONFLICT (source, dedup_key) DO UPDATE SET labels = excluded.labels,
              annotations = excluded.annotations, triggered_at = excluded.triggered_at, acknowledged_at = NULL
            """)
    }

    /// It was triggered again: it is kept for as long as its alert may fire from now on.
    func touch(_ dedupKey: String, from source: String, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE alert_events SET triggered_at = \(now) WHERE source = \(source) AND dedup_key = \(dedupKey)
            """)
    }

    /// Says whether it was not acknowledged before.
    func acknowledge(
        _ dedupKey: String, from source: String, at now: Timestamp, in transaction: Transaction
    ) throws -> Bool {
        try transaction.run(
            """
            UPDATE alert_events SET acknowledged_at = \(now)
            WHERE source = \(source) AND dedup_key = \(dedupKey) AND acknowledged_at IS NULL
            """) > 0
    }

    func delete(_ dedupKey: String, from source: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM alert_events WHERE source = \(source) AND dedup_key = \(dedupKey)")
    }

    func forget(before time: Timestamp, limit: Int64, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM alert_events WHERE triggered_at IN (
              SELECT triggered_at FROM alert_events WHERE triggered_at < \(time) ORDER BY triggered_at LIMIT \(limit))
            """)
    }
}
