import Kernel

/// The only SQL on `access_keys`, `access_login_links` and `access_sessions`.
struct AccessStore: Sendable {
    // MARK: keys

    func insert(_ key: AccessKey, sha256: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO access_keys (id, sha256, role, name, agent, created_at, created_by)
            VALUES (\(key.id), \(sha256), \(key.role.rawValue), \(key.name), \(key.agent.sqlValue), \(key.createdAt),
              \(key.createdBy))
            """)
    }

    func find(_ id: Identifier<AccessKey>, in transaction: Transaction) throws -> AccessKey? {
        try transaction.first("SELECT * FROM access_keys WHERE id = \(id)").map(key)
    }

    func find(sha256: String, in transaction: Transaction) throws -> AccessKey? {
        try transaction.first("SELECT * FROM access_keys WHERE sha256 = \(sha256)").map(key)
    }

    /// The key behind a session that has not ended.
    func find(sessionSHA256: String, now: Timestamp, in transaction: Transaction) throws -> AccessKey? {
        try transaction.first(
            """
            SELECT access_keys.* FROM access_sessions JOIN access_keys ON access_keys.id = access_sessions.key_id
            WHERE access_sessions.sha256 = \(sessionSHA256) AND access_sessions.expires_at > \(now)
            """
        ).map(key)
    }

    func list(after: String, limit: Int, in transaction: Transaction) throws -> [AccessKey] {
        try transaction.rows("SELECT * FROM access_keys WHERE id > \(after) ORDER BY id LIMIT \(limit)").map(key)
    }

    func hasKeys(in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT id FROM access_keys LIMIT 1") != nil
    }

    /// The oldest admin key in force, other than `id`.
    func firstAdmin(except id: String = "", in transaction: Transaction) throws -> AccessKey? {
        try transaction.first(
            """
            SELECT * FROM access_keys WHERE role = 'admin' AND revoked_at IS NULL AND id <> \(id)
            ORDER BY created_at, id LIMIT 1
            """
        ).map(key)
    }

    func revoke(_ id: Identifier<AccessKey>, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run("UPDATE access_keys SET revoked_at = \(now) WHERE id = \(id) AND revoked_at IS NULL")
        try transaction.run("DELETE FROM access_sessions WHERE key_id = \(id)")
        try transaction.run("DELETE FROM access_login_links WHERE key_id = \(id)")
    }

    func markUsed(_ id: String, at time: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE access_keys SET last_used_at = \(time)
            WHERE id = \(id) AND (last_used_at IS NULL OR last_used_at < \(time))
            """)
    }

    private func key(_ row: StoredRow) -> AccessKey {
        guard let role = Role(rawValue: row.text("role")) else { preconditionFailure("a role that the table refuses") }
        var key = AccessKey(
            id: row.id("id"), role: role, name: row.text("name"), agent: row.optionalText("agent"),
            createdAt: row.time("created_at"), createdBy: row.text("created_by"),
            lastUsedAt: row.optionalTime("last_used_at"), revokedAt: row.optionalTime("revoked_at"))
        key.retiresAt = row.optionalTime("retires_at")
        key.retiresUnused = row.optionalInt("retires_unused").map(Span.init(microseconds:))
        key.replacedBy = row.optionalText("replaced_by")
        return key
    }

    // MARK: rotation

    /// Lets a key end at a time, and gives its sessions and login links to the one that takes its place.
    func replace(_ key: AccessKey, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE access_keys SET retires_at = \(key.retiresAt), retires_unused = \(key.retiresUnused?.microseconds),
              replaced_by = \(key.replacedBy)
            WHERE id = \(key.id)
            """)
        guard let next = key.replacedBy else { return }
        try transaction.run("UPDATE access_sessions SET key_id = \(next) WHERE key_id = \(key.id)")
        try transaction.run("UPDATE access_login_links SET key_id = \(next) WHERE key_id = \(key.id)")
    }

    /// Keys whose end is there.
    func retiring(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [AccessKey] {
        try transaction.rows(
            """
            SELECT * FROM access_keys WHERE retires_at <= \(now) AND revoked_at IS NULL
            ORDER BY retires_at, id LIMIT \(limit)
            """
        ).map(key)
    }

    func postpone(_ id: Identifier<AccessKey>, until time: Timestamp, in transaction: Transaction) throws {
        try transaction.run("UPDATE access_keys SET retires_at = \(time) WHERE id = \(id)")
    }

    // MARK: login links

    func insertLink(sha256: String, keyID: String, expiresAt: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO access_login_links (sha256, key_id, expires_at) VALUES (\(sha256), \(keyID), \(expiresAt))
            """)
    }

    /// Takes a link out of the store, so that it works once; the key it stands for, if it was still good.
    func takeLink(sha256: String, now: Timestamp, in transaction: Transaction) throws -> Identifier<AccessKey>? {
        let rows = try transaction.rows(
            "DELETE FROM access_login_links WHERE sha256 = \(sha256) RETURNING key_id, expires_at")
        guard let row = rows.first, row.time("expires_at") > now else { return nil }
        return row.id("key_id")
    }

    // MARK: sessions

    func insertSession(
        sha256: String, keyID: String, createdAt: Timestamp, expiresAt: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO access_sessions (sha256, key_id, created_at, expires_at)
            VALUES (\(sha256), \(keyID), \(createdAt), \(expiresAt))
            """)
    }

    /// Ends a session; whether there was one.
    func deleteSession(sha256: String, in transaction: Transaction) throws -> Bool {
        try transaction.run("DELETE FROM access_sessions WHERE sha256 = \(sha256)") > 0
    }

    /// Drops links and sessions that are past their time.
    func purge(now: Timestamp, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM access_login_links WHERE expires_at <= \(now)")
        try transaction.run("DELETE FROM access_sessions WHERE expires_at <= \(now)")
    }
}
