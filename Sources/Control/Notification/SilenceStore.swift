import Kernel
import Telemetry

/// The only SQL on silences.
struct SilenceStore: Sendable {
    func upsert(_ silence: Silence, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO silences (id, matchers, starts_at, ends_at, updated_at, created_by, comment, is_end_told)
            VALUES (\(silence.id), \(JSONValue.array(silence.matchers.map(\.object))), \(silence.startsAt),
              \(silence.endsAt), \(silence.updatedAt), \(silence.createdBy), \(silence.comment), 0)
            ON CONFLICT (id) DO UPDATE SET matchers = excluded.matchers, starts_at = excluded.starts_at,
              ends_at = excluded.ends_at, updated_at = excluded.updated_at, created_by = excluded.created_by,
              comment = excluded.comment
            """)
    }

    func silence(_ id: String, in transaction: Transaction) throws -> Silence? {
        try transaction.first("SELECT * FROM silences WHERE id = \(id)").flatMap(silence)
    }

    /// Those that have not ended.
    func open(at now: Timestamp, in transaction: Transaction) throws -> [Silence] {
        try transaction.rows(
            "SELECT * FROM silences WHERE ends_at > \(now) ORDER BY ends_at, id LIMIT \(Silence.activeMax)"
        ).compactMap(silence)
    }

    /// Those in force.
    func active(at now: Timestamp, in transaction: Transaction) throws -> [Silence] {
        try open(at: now, in: transaction).filter { $0.startsAt <= now }
    }

    func openCount(at now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM silences WHERE ends_at > \(now)")?.int("n") ?? 0
    }

    /// Those that ended, the newest end first.
    func expired(at now: Timestamp, limit: Int64, in transaction: Transaction) throws -> [Silence] {
        try transaction.rows(
            "SELECT * FROM silences WHERE ends_at <= \(now) ORDER BY ends_at DESC, id LIMIT \(limit)"
        ).compactMap(silence)
    }

    /// Those that ended and whose end nobody was told of yet.
    func endsToTell(at now: Timestamp, limit: Int64, in transaction: Transaction) throws -> [Silence] {
        try transaction.rows(Self.endsToTell(at: now, limit: limit)).compactMap(silence)
    }

    static func endsToTell(at now: Timestamp, limit: Int64) -> SQLText {
        "SELECT * FROM silences WHERE is_end_told = 0 AND ends_at <= \(now) ORDER BY ends_at LIMIT \(limit)"
    }

    /// Whether some ended before a moment.
    func hasEnded(before time: Timestamp, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT 1 AS one FROM silences WHERE ends_at < \(time) LIMIT 1") != nil
    }

    func noteEndTold(_ id: String, in transaction: Transaction) throws {
        try transaction.run("UPDATE silences SET is_end_told = 1 WHERE id = \(id)")
    }

    func forget(before time: Timestamp, limit: Int64, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM silences WHERE id IN (
              SELECT id FROM silences WHERE ends_at < \(time) ORDER BY ends_at LIMIT \(limit))
            """)
    }

    private func silence(_ row: StoredRow) -> Silence? {
        let matchers = (row.json("matchers").array ?? []).map(LabelMatcher.init(object:))
        // One that cannot be read would silence what nobody meant.
        guard !matchers.isEmpty, !matchers.contains(where: { $0 == nil }) else { return nil }
        return Silence(
            id: row.text("id"), matchers: matchers.compactMap(\.self), startsAt: row.time("starts_at"),
            endsAt: row.time("ends_at"), updatedAt: row.time("updated_at"), createdBy: row.text("created_by"),
            comment: row.text("comment"))
    }
}
