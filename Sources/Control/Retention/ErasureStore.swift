import Kernel

/// The only SQL on erasures.
struct ErasureStore: Sendable {
    func insert(_ erasure: Erasure, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO telemetry_erasures (id, replica, digest, reason, state, is_dry_run, is_anywhere, report,
              created_at, created_by)
            VALUES (\(erasure.id), \(erasure.replica), \(erasure.digest), \(erasure.reason),
              \(erasure.state.rawValue), \(erasure.isDryRun ? 1 : 0), \(erasure.isAnywhere ? 1 : 0),
              \(erasure.report.text), \(erasure.createdAt), \(erasure.createdBy))
            """)
    }

    func update(_ erasure: Erasure, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE telemetry_erasures SET state = \(erasure.state.rawValue), report = \(erasure.report.text),
              ended_at = \(erasure.endedAt)
            WHERE id = \(erasure.id)
            """)
    }

    /// Those that this replica did not end before it was started anew.
    ///
    /// - Parameter going: The one that goes on.
    func interrupt(
        replica: String, but going: String? = nil, at time: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            UPDATE telemetry_erasures SET state = 'interrupted', ended_at = \(time)
            WHERE replica = \(replica) AND state = 'running' AND id <> \(going ?? "")
            """)
    }

    func erasure(_ id: Identifier<Erasure>, in transaction: Transaction) throws -> Erasure? {
        try transaction.first("SELECT * FROM telemetry_erasures WHERE id = \(id)").map(erasure)
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page, in transaction: Transaction) throws -> [Erasure] {
        let after = page.after ?? "~"
        return try transaction.rows(
            "SELECT * FROM telemetry_erasures WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).map(erasure)
    }

    private func erasure(_ row: StoredRow) -> Erasure {
        Erasure(
            id: row.id("id"), replica: row.text("replica"), digest: row.text("digest"),
            reason: row.optionalText("reason"), state: Erasure.State(rawValue: row.text("state")) ?? .failed,
            isDryRun: row.bool("is_dry_run"), isAnywhere: row.bool("is_anywhere"), report: row.json("report"),
            createdAt: row.time("created_at"), createdBy: row.text("created_by"),
            endedAt: row.optionalTime("ended_at"))
    }
}
