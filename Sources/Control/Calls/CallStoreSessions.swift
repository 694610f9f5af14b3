import Kernel

/// What sessions used.
extension CallStore {
    /// Calls of one page.
    static let sessionPage = 2_000

    /// Tokens of all calls of an agent's session that are kept, or of a key's where the caller is no agent.
    ///
    /// - Parameter calls: Ids of those that are not counted.
    public func tokens(
        ofSession session: String, agent: String?, keyID: String, except calls: Set<String>,
        in transaction: Transaction
    ) throws -> Int64 {
        try transaction.addWaiting()
        let caller: SQLText = agent.map { "agent = \($0)" } ?? "agent IS NULL AND key_id = \(keyID)"
        var (sum, last): (Int64, String) = (0, "")
        // Ids only go up, and no call begins before those that are read: it ends.
        while true {
            let rows = try transaction.rows(
                """
                SELECT id, buckets FROM calls WHERE session = \(session) AND id > \(last) AND \(sql: caller)
                ORDER BY id LIMIT \(Self.sessionPage)
                """)
            for row in rows where !calls.contains(row.text("id")) {
                sum += CallTokens(buckets: row.json("buckets")).total
            }
            guard rows.count == Self.sessionPage, let id = rows.last?.text("id") else { return sum }
            last = id
        }
    }
}
