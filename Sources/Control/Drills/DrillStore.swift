import Kernel

/// The only SQL on drills.
struct DrillStore: Sendable {
    func insert(_ drill: Drill, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO drills (id, kind, started_at, started_by)
            VALUES (\(drill.id), \(drill.kind.rawValue), \(drill.startedAt), \(drill.startedBy))
            """)
    }

    func end(
        _ id: Identifier<Drill>, at time: Timestamp, isClear: Bool, in transaction: Transaction
    ) throws {
        try transaction.run(
            "UPDATE drills SET ended_at = \(time), is_clear = \(isClear) WHERE id = \(id) AND ended_at IS NULL")
    }

    func clear(_ id: Identifier<Drill>, in transaction: Transaction) throws {
        try transaction.run("UPDATE drills SET is_clear = \(true) WHERE id = \(id)")
    }

    /// Those that ended and of which something is left.
    func unclear(in transaction: Transaction) throws -> [Drill] {
        try transaction.rows(
            "SELECT * FROM drills WHERE is_clear = 0 AND ended_at IS NOT NULL ORDER BY id LIMIT \(Drill.listMax)"
        ).compactMap(drill)
    }

    /// Forgets those that ended before a moment and of which nothing is left; says how many.
    func forget(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM drills WHERE id IN (
              SELECT id FROM drills WHERE ended_at < \(time) AND is_clear = 1 ORDER BY id LIMIT \(limit))
            """)
    }

    func drill(_ id: Identifier<Drill>, in transaction: Transaction) throws -> Drill? {
        try transaction.first("SELECT * FROM drills WHERE id = \(id)").flatMap(drill)
    }

    func running(in transaction: Transaction) throws -> Drill? {
        try transaction.first("SELECT * FROM drills WHERE ended_at IS NULL").flatMap(drill)
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page, in transaction: Transaction) throws -> [Drill] {
        let after = page.after ?? "~"
        return try transaction.rows(
            "SELECT * FROM drills WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).compactMap(drill)
    }

    private func drill(_ row: StoredRow) -> Drill? {
        Drill.Kind(rawValue: row.text("kind")).map { kind in
            Drill(
                id: row.id("id"), kind: kind, startedAt: row.time("started_at"), startedBy: row.text("started_by"),
                endedAt: row.optionalTime("ended_at"))
        }
    }
}
