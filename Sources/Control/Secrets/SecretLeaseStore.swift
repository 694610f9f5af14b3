import Kernel

/// The only SQL on leases of secrets.
struct SecretLeaseStore: Sendable {
    func insert(_ lease: SecretLease, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO secret_leases (id, path, version, actor, agent, granted_at, expires_at)
            VALUES (\(lease.id.text), \(lease.path.description), \(lease.version), \(lease.actor), \(lease.agent),
              \(lease.grantedAt), \(lease.expiresAt))
            """)
    }

    func find(_ id: Identifier<SecretLease>, in transaction: Transaction) throws -> SecretLease? {
        try transaction.first("SELECT * FROM secret_leases WHERE id = \(id.text)").map { row in
            SecretLease(
                id: Identifier(stored: row.text("id")), path: SecretPath(stored: row.text("path")),
                version: Int(row.int("version")), actor: row.text("actor"), agent: row.optionalText("agent"),
                grantedAt: row.time("granted_at"), expiresAt: row.time("expires_at"),
                renewedAt: row.optionalTime("renewed_at"), revokedAt: row.optionalTime("revoked_at"))
        }
    }

    func count(of path: SecretPath, at now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT COUNT(*) AS n FROM secret_leases
            WHERE path = \(path.description) AND revoked_at IS NULL AND expires_at > \(now)
            """)?.int("n") ?? 0
    }

    func extend(_ lease: SecretLease, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE secret_leases SET expires_at = \(lease.expiresAt), renewed_at = \(lease.renewedAt)
            WHERE id = \(lease.id.text)
            """)
    }

    /// How many ran until now.
    func revoke(_ ids: [String], at now: Timestamp, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            UPDATE secret_leases SET revoked_at = \(now)
            WHERE id IN \(list: ids) AND revoked_at IS NULL AND expires_at > \(now)
            """)
    }

    func revokeAll(
        of path: SecretPath, version: Int, at now: Timestamp, in transaction: Transaction
    ) throws -> Int {
        try transaction.run(
            """
            UPDATE secret_leases SET revoked_at = \(now)
            WHERE path = \(path.description) AND version = \(version) AND revoked_at IS NULL AND expires_at > \(now)
            """)
    }

    /// Leases that run, of one version, by their actor.
    func running(
        of path: SecretPath, version: Int, at now: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [String: Int] {
        try transaction.rows(
            """
            SELECT actor, COUNT(*) AS n FROM secret_leases
            WHERE path = \(path.description) AND version = \(version) AND revoked_at IS NULL AND expires_at > \(now)
            GROUP BY actor ORDER BY actor LIMIT \(limit)
            """
        ).reduce(into: [:]) { $0[$1.text("actor")] = Int($1.int("n")) }
    }

    func remove(of path: SecretPath, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM secret_leases WHERE path = \(path.description)")
    }

    /// Until when each actor holds a secret, of those that hold one.
    func holders(of path: SecretPath, at now: Timestamp, in transaction: Transaction) throws -> [String: Timestamp] {
        try transaction.rows(
            """
            SELECT actor, MAX(expires_at) AS until FROM secret_leases
            WHERE path = \(path.description) AND revoked_at IS NULL AND expires_at > \(now) GROUP BY actor
            """
        ).reduce(into: [:]) { $0[$1.text("actor")] = $1.time("until") }
    }

    func purge(endedBefore time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        let ids = try transaction.rows(
            "SELECT id FROM secret_leases WHERE expires_at < \(time) ORDER BY expires_at LIMIT \(limit)"
        ).map { $0.text("id") }
        guard !ids.isEmpty else { return 0 }
        return try transaction.run("DELETE FROM secret_leases WHERE id IN \(list: ids)")
    }
}
