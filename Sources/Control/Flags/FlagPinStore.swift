import Kernel

/// The only SQL on what sessions hold of pinned flags.
struct FlagPinStore: Sendable {
    func pins(of session: String, in transaction: Transaction) throws -> [FlagPin] {
        try transaction.rows(
            "SELECT * FROM flag_pins WHERE session_id = \(session) ORDER BY flag LIMIT \(FeatureFlag.flagsMax)"
        ).map { row in
            FlagPin(
                flag: row.text("flag"), variant: row.text("variant"), value: row.json("value"),
                reason: FlagDecision.Reason(rawValue: row.text("reason")) ?? .fixed, rule: row.optionalText("rule"),
                pinnedAt: row.time("pinned_at"))
        }
    }

    /// Of two that come at once the first holds. A pin that no longer fits its flag gives way.
    func pin(
        _ decision: FlagDecision, to session: String, at now: Timestamp, in transaction: Transaction
    ) throws {
        let value = decision.value.text
        try transaction.run(
            """
            INSERT INTO flag_pins (session_id, flag, variant, value, reason, rule, flag_version, pinned_at, used_at)
            VALUES (\(session), \(decision.flag.key), \(decision.variant), \(value), \(decision.reason.rawValue),
              \(decision.rule), \(decision.flag.version), \(now), \(now))
            ON CONFLICT (session_id, flag) DO NOTHING
            """)
    }

    func drop(_ flag: String, of session: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM flag_pins WHERE session_id = \(session) AND flag = \(flag)")
    }

    func drop(_ flag: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM flag_pins WHERE flag = \(flag)")
    }

    func touch(_ sessions: [String], at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run("UPDATE flag_pins SET used_at = \(now) WHERE session_id IN \(list: sessions)")
    }

    /// How many sessions hold each variant.
    func audience(of flag: String, in transaction: Transaction) throws -> [String: Int64] {
        let rows = try transaction.rows(
            "SELECT variant, COUNT(*) AS count FROM flag_pins WHERE flag = \(flag) GROUP BY variant ORDER BY variant")
        return Dictionary(rows.map { ($0.text("variant"), $0.int("count")) }) { first, _ in first }
    }

    func count(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) AS count FROM flag_pins")?.int("count") ?? 0
    }

    func purge(unusedSince time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try purge("used_at < \(time)", limit: limit, in: transaction)
    }

    /// Those that were used longest ago.
    func purgeOldest(_ count: Int, in transaction: Transaction) throws -> Int {
        try purge("used_at >= 0", limit: count, in: transaction)
    }

    private func purge(_ condition: SQLText, limit: Int, in transaction: Transaction) throws -> Int {
        let rows = try transaction.rows(
            """
            SELECT session_id, flag FROM flag_pins WHERE \(sql: condition)
            ORDER BY used_at, session_id, flag LIMIT \(limit)
            """)
        for row in rows { try drop(row.text("flag"), of: row.text("session_id"), in: transaction) }
        return rows.count
    }
}
