import Kernel
import Telemetry

/// The only SQL on groups of alerts and what was told of them, and on attempts.
struct NotificationStore: Sendable {
    // MARK: Groups

    func insert(_ group: NotificationGroup, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO notification_groups (receiver, group_key, route_key, labels, created_at, next_at, told,
              resolved, attempts, version)
            VALUES (\(group.receiver), \(group.key), \(group.routeKey), \(group.labels.object), \(group.createdAt),
              \(group.nextAt), '', '', 0, 0)
            ON CONFLICT (receiver, group_key) DO NOTHING
            """)
    }

    func groups(of receiver: String, in transaction: Transaction) throws -> [NotificationGroup] {
        try transaction.rows(
            """
            SELECT * FROM notification_groups WHERE receiver = \(receiver) ORDER BY next_at, group_key
            LIMIT \(NotificationGroup.groupsMax)
            """
        ).map(group)
    }

    /// When a group of a receiver is to be looked at next; `nil` where it has none.
    func nextLook(of receiver: String, in transaction: Transaction) throws -> Timestamp? {
        try transaction.first(Self.nextLook(of: receiver))?.time("next_at")
    }

    /// Asked each second for each receiver: it is one look into an index.
    static func nextLook(of receiver: String) -> SQLText {
        "SELECT next_at FROM notification_groups WHERE receiver = \(receiver) ORDER BY next_at LIMIT 1"
    }

    /// Takes a group for a while, in which nobody looks at it. Says whether it is as it was seen, and nobody else's.
    func claim(
        _ group: NotificationGroup, by replica: String, until: Timestamp, now: Timestamp, in transaction: Transaction
    ) throws -> Bool {
        try transaction.run(
            """
            UPDATE notification_groups SET claimed_by = \(replica), claimed_until = \(until),
              next_at = CASE WHEN next_at < \(until) THEN \(until) ELSE next_at END
            WHERE receiver = \(group.receiver) AND group_key = \(group.key) AND version = \(group.version)
              AND (claimed_until IS NULL OR claimed_until <= \(now))
            """) > 0
    }

    /// Keeps what a group is now, and gives it back. Whoever changed it in between has the last word.
    @discardableResult
    func keep(_ group: NotificationGroup, in transaction: Transaction) throws -> Bool {
        try transaction.run(
            """
            UPDATE notification_groups SET next_at = \(group.nextAt), flushed_at = \(group.flushedAt),
              noticed_at = \(group.noticedAt), told = \(Self.text(group.told)),
              resolved = \(Self.text(group.resolved)), attempts = \(group.attempts), version = version + 1,
              claimed_by = NULL, claimed_until = NULL
            WHERE receiver = \(group.receiver) AND group_key = \(group.key) AND version = \(group.version)
            """) > 0
    }

    func delete(_ group: NotificationGroup, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM notification_groups WHERE receiver = \(group.receiver) AND group_key = \(group.key)
              AND version = \(group.version)
            """)
    }

    /// Groups of receivers that are in the settings no more.
    func receivers(in transaction: Transaction) throws -> [String] {
        try transaction.rows("SELECT DISTINCT receiver FROM notification_groups LIMIT 1000").map { $0.text("receiver") }
    }

    func deleteAll(of receiver: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM notification_groups WHERE receiver = \(receiver)")
    }

    private static func text(_ told: [UInt64: String]) -> String {
        told.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: " ")
    }

    private static func text(_ fingerprints: Set<UInt64>) -> String {
        fingerprints.sorted().map(String.init).joined(separator: " ")
    }

    private func group(_ row: StoredRow) -> NotificationGroup {
        var group = NotificationGroup(
            receiver: row.text("receiver"), key: row.text("group_key"), routeKey: row.text("route_key"),
            labels: LabelSet(object: row.json("labels")), createdAt: row.time("created_at"),
            nextAt: row.time("next_at"))
        (group.flushedAt, group.noticedAt) = (row.optionalTime("flushed_at"), row.optionalTime("noticed_at"))
        for part in row.text("told").split(separator: " ") {
            let pair = part.split(separator: ":", maxSplits: 1)
            if pair.count == 2, let fingerprint = UInt64(pair[0]) { group.told[fingerprint] = String(pair[1]) }
        }
        group.resolved = Set(row.text("resolved").split(separator: " ").compactMap { UInt64($0) })
        (group.attempts, group.version) = (Int(row.int("attempts")), row.int("version"))
        group.claimedUntil = row.optionalTime("claimed_until")
        return group
    }

    // MARK: Attempts

    func insert(_ delivery: NotificationDelivery, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO notification_deliveries (id, receiver, kind, group_key, reason, alerts, state, status, attempt,
              at, milliseconds, answer)
            VALUES (\(delivery.id), \(delivery.receiver), \(delivery.kind.rawValue), \(delivery.groupKey),
              \(delivery.reason), \(delivery.alerts), \(delivery.outcome.state.rawValue), \(delivery.outcome.status),
              \(delivery.attempt), \(delivery.at), \(delivery.milliseconds), \(delivery.outcome.answer))
            """)
    }

    /// The newest first, one more than the page's limit where there are more.
    func deliveries(
        of receiver: String?, page: Page, in transaction: Transaction
    ) throws -> [NotificationDelivery] {
        let after = page.after ?? "~"
        let rows =
            if let receiver {
                try transaction.rows(
                    """
                    SELECT * FROM notification_deliveries WHERE receiver = \(receiver) AND id < \(after)
                    ORDER BY id DESC LIMIT \(page.limit + 1)
                    """)
            } else {
                try transaction.rows(
                    """
                    SELECT * FROM notification_deliveries WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)
                    """)
            }
        return rows.map(delivery)
    }

    /// The last attempt at each of the receivers.
    func last(of receiver: String, in transaction: Transaction) throws -> NotificationDelivery? {
        try deliveries(of: receiver, page: Page(limit: 1), in: transaction).first
    }

    func forget(before time: Timestamp, beyond count: Int64, limit: Int64, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM notification_deliveries WHERE id IN (
              SELECT id FROM notification_deliveries WHERE at < \(time) ORDER BY at LIMIT \(limit))
            """)
        try transaction.run(
            """
            DELETE FROM notification_deliveries WHERE id IN (
              SELECT id FROM notification_deliveries WHERE id <= (
                SELECT id FROM notification_deliveries ORDER BY id DESC LIMIT 1 OFFSET \(count))
              ORDER BY id LIMIT \(limit))
            """)
    }

    private func delivery(_ row: StoredRow) -> NotificationDelivery {
        NotificationDelivery(
            id: row.id("id"), receiver: row.text("receiver"),
            kind: AlertReceiver.Kind(rawValue: row.text("kind")) ?? .webhook, groupKey: row.text("group_key"),
            reason: row.text("reason"), alerts: Int(row.int("alerts")), attempt: Int(row.int("attempt")),
            at: row.time("at"), milliseconds: row.int("milliseconds"),
            outcome: NotificationOutcome(
                NotificationOutcome.State(rawValue: row.text("state")) ?? .failed,
                status: row.optionalInt("status").map { Int($0) }, row.text("answer")))
    }
}
