import Kernel

/// The only SQL on `audit`. There is no verb that changes or removes a row.
struct AuditStore: Sendable {
    func last(in transaction: Transaction) throws -> AuditEntry? {
        try transaction.first("SELECT * FROM audit ORDER BY number DESC LIMIT 1").map(entry)
    }

    func insert(_ entry: AuditEntry, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO audit (number, at, action, actor, key_id, target, detail, previous, hash)
            VALUES (\(entry.number), \(entry.at), \(entry.action), \(entry.actor), \(entry.keyID), \(entry.target),
              \(entry.detail), \(entry.previous), \(entry.hash))
            """)
    }

    /// Entries with a number above `after`, oldest first.
    func list(after: Int64, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try transaction.rows("SELECT * FROM audit WHERE number > \(after) ORDER BY number LIMIT \(limit)").map(entry)
    }

    /// Entries with a number below `before`, newest first.
    func latest(before: Int64, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try transaction.rows("SELECT * FROM audit WHERE number < \(before) ORDER BY number DESC LIMIT \(limit)").map(
            entry)
    }

    /// Entries on a target, newest first, among so many of the newest.
    func latest(on target: String, among rows: Int64, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try transaction.rows(
            """
            SELECT * FROM audit WHERE number > (SELECT COALESCE(MAX(number), 0) FROM audit) - \(rows)
              AND target = \(target) ORDER BY number DESC LIMIT \(limit)
            """
        ).map(entry)
    }

    private func entry(_ row: StoredRow) -> AuditEntry {
        AuditEntry(
            number: row.int("number"), at: row.time("at"), action: row.text("action"), actor: row.text("actor"),
            keyID: row.text("key_id"), target: row.text("target"), detail: row.text("detail"),
            previous: row.text("previous"), hash: row.text("hash"))
    }
}
