import Kernel

/// The only SQL on secrets, their versions, and who may read them.
struct SecretStore: Sendable {
    let leases = SecretLeaseStore()

    // MARK: secrets

    func find(_ path: SecretPath, in transaction: Transaction) throws -> KeptSecret? {
        try transaction.first("SELECT * FROM secrets WHERE path = \(path.description)").map(secret)
    }

    func count(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) AS n FROM secrets")?.int("n") ?? 0
    }

    func put(_ secret: KeptSecret, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO secrets (path, scope, owner, version, last_version, versions_max, is_cas_required, custom,
              created_at, updated_at, written_at, rotate_every, probe)
            VALUES (\(secret.path.description), \(secret.path.scope.rawValue), \(secret.path.owner),
              \(secret.version), \(secret.lastVersion), \(secret.versionsMax), \(secret.isCASRequired),
              \(JSONValue.object(secret.custom)), \(secret.createdAt), \(secret.updatedAt), \(secret.writtenAt),
              \(secret.rotateEvery?.microseconds), \(secret.probe?.json.text))
            ON CONFLICT (path) DO UPDATE SET version = excluded.version, versions_max = excluded.versions_max,
              is_cas_required = excluded.is_cas_required, custom = excluded.custom, updated_at = excluded.updated_at,
              written_at = excluded.written_at, last_version = excluded.last_version,
              rotate_every = excluded.rotate_every, probe = excluded.probe
            """)
    }

    /// - Parameter agent: Only those that it was granted; all where it is `nil`.
    func list(
        scope: String?, owner: String?, agent: String?, after: String, limit: Int, in transaction: Transaction
    ) throws -> [KeptSecret] {
        var sql: SQLText = "SELECT * FROM secrets WHERE path > \(after)"
        if let scope { sql += " AND scope = \(scope)" }
        if let owner { sql += " AND owner = \(owner)" }
        if let agent { sql += " AND path IN (SELECT path FROM secret_grants WHERE agent = \(agent))" }
        sql += " ORDER BY path LIMIT \(limit)"
        return try transaction.rows(sql).map(secret)
    }

    /// The paths that begin with a text, in their order.
    func paths(below prefix: String, agent: String?, limit: Int, in transaction: Transaction) throws -> [String] {
        var sql: SQLText = "SELECT path FROM secrets WHERE path >= \(prefix) AND path < \(prefix + "~")"
        if let agent { sql += " AND path IN (SELECT path FROM secret_grants WHERE agent = \(agent))" }
        sql += " ORDER BY path LIMIT \(limit)"
        return try transaction.rows(sql).map { $0.text("path") }
    }

    func remove(_ path: SecretPath, in transaction: Transaction) throws {
        try leases.remove(of: path, in: transaction)
        let path = path.description
        try transaction.run("DELETE FROM secret_versions WHERE path = \(path)")
        try transaction.run("DELETE FROM secret_grants WHERE path = \(path)")
        try transaction.run("DELETE FROM secret_uses WHERE path = \(path)")
        try transaction.run("DELETE FROM secret_version_uses WHERE path = \(path)")
        try transaction.run("DELETE FROM secret_rotations WHERE path = \(path)")
        try transaction.run("DELETE FROM secrets WHERE path = \(path)")
    }

    func secret(_ row: StoredRow) -> KeptSecret {
        var secret = KeptSecret(path: SecretPath(stored: row.text("path")), at: row.time("created_at"))
        secret.version = Int(row.int("version"))
        secret.versionsMax = Int(row.int("versions_max"))
        secret.isCASRequired = row.bool("is_cas_required")
        secret.custom = row.json("custom").object ?? JSONObject()
        secret.updatedAt = row.time("updated_at")
        secret.writtenAt = row.optionalTime("written_at")
        secret.lastVersion = Int(row.int("last_version"))
        secret.rotateEvery = row.optionalInt("rotate_every").map(Span.init(microseconds:))
        secret.probe = row.optionalText("probe").flatMap(SecretProbe.init(stored:))
        return secret
    }

    // MARK: versions

    func insert(
        _ version: SecretVersion, of path: SecretPath, sealed: [UInt8], masterVersion: Int, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO secret_versions (path, version, sealed, master_version, created_at, created_by, is_destroyed)
            VALUES (\(path.description), \(version.number), \(SQLValue.blob(sealed)), \(masterVersion),
              \(version.createdAt), \(version.createdBy), 0)
            """)
    }

    /// Forgets versions up to one.
    func prune(_ path: SecretPath, through version: Int, in transaction: Transaction) throws {
        guard version > 0 else { return }
        try transaction.run(
            "DELETE FROM secret_versions WHERE path = \(path.description) AND version <= \(version)")
        try transaction.run(
            "DELETE FROM secret_version_uses WHERE path = \(path.description) AND version <= \(version)")
    }

    func versions(of path: SecretPath, in transaction: Transaction) throws -> [SecretVersion] {
        try transaction.rows(
            """
            SELECT version, created_at, created_by, deleted_at, is_destroyed FROM secret_versions
            WHERE path = \(path.description) ORDER BY version
            """
        ).map(version)
    }

    /// A version and its sealed value, which is there unless it was destroyed.
    func version(
        _ number: Int, of path: SecretPath, in transaction: Transaction
    ) throws -> (version: SecretVersion, sealed: [UInt8]?)? {
        try transaction.first(
            "SELECT * FROM secret_versions WHERE path = \(path.description) AND version = \(number)"
        ).map { row in
            let version = version(row)
            return (version, version.isDestroyed ? nil : row.blob("sealed"))
        }
    }

    /// Hides versions, or shows them again; how many that changed.
    func setDeleted(
        _ numbers: [Int], of path: SecretPath, at time: Timestamp?, in transaction: Transaction
    ) throws -> Int {
        try transaction.run(
            """
            UPDATE secret_versions SET deleted_at = \(time)
            WHERE path = \(path.description) AND version IN \(list: numbers) AND is_destroyed = 0
            """)
    }

    func destroy(_ numbers: [Int], of path: SecretPath, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            UPDATE secret_versions SET sealed = NULL, is_destroyed = 1
            WHERE path = \(path.description) AND version IN \(list: numbers) AND is_destroyed = 0
            """)
    }

    private func version(_ row: StoredRow) -> SecretVersion {
        SecretVersion(
            number: Int(row.int("version")), createdAt: row.time("created_at"), createdBy: row.text("created_by"),
            deletedAt: row.optionalTime("deleted_at"), isDestroyed: row.bool("is_destroyed"))
    }

    // MARK: sealed values

    /// A sealed value and what it is for.
    struct Sealed: Sendable {
        let path: SecretPath
        let version: Int
        let bytes: [UInt8]
        let createdAt: Timestamp
    }

    /// Values that were written since, in the order of their writing.
    func sealed(
        since time: Timestamp, after path: String, _ version: Int, limit: Int, in transaction: Transaction
    ) throws -> [Sealed] {
        try transaction.rows(
            """
            SELECT * FROM secret_versions WHERE is_destroyed = 0
              AND (created_at > \(time) OR (created_at = \(time)
                AND (path > \(path) OR (path = \(path) AND version > \(version)))))
            ORDER BY created_at, path, version LIMIT \(limit)
            """
        ).map(sealed)
    }

    /// Values under other versions of the master key.
    func sealed(
        otherThan master: Int, after path: String, _ version: Int, limit: Int, in transaction: Transaction
    ) throws -> [Sealed] {
        try transaction.rows(
            """
            SELECT * FROM secret_versions WHERE is_destroyed = 0 AND master_version <> \(master)
              AND (path > \(path) OR (path = \(path) AND version > \(version)))
            ORDER BY path, version LIMIT \(limit)
            """
        ).map(sealed)
    }

    /// How many values are under other versions of the master key.
    func sealedCount(otherThan master: Int, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) AS n FROM secret_versions WHERE is_destroyed = 0 AND master_version <> \(master)"
        )?.int("n") ?? 0
    }

    /// How many values each version of the master key seals.
    func sealedCounts(in transaction: Transaction) throws -> [Int: Int64] {
        try transaction.rows(
            """
            SELECT master_version, COUNT(*) AS n FROM secret_versions WHERE is_destroyed = 0 GROUP BY master_version
            """
        ).reduce(into: [:]) { $0[Int($1.int("master_version"))] = $1.int("n") }
    }

    func reseal(_ value: Sealed, as bytes: [UInt8], masterVersion: Int, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE secret_versions SET sealed = \(SQLValue.blob(bytes)), master_version = \(masterVersion)
            WHERE path = \(value.path.description) AND version = \(value.version) AND is_destroyed = 0
            """)
    }

    func hasSealed(in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT path FROM secret_versions WHERE is_destroyed = 0 LIMIT 1") != nil
    }

    private func sealed(_ row: StoredRow) -> Sealed {
        Sealed(
            path: SecretPath(stored: row.text("path")), version: Int(row.int("version")), bytes: row.blob("sealed"),
            createdAt: row.time("created_at"))
    }

    // MARK: master keys

    /// The master keys that sealed anything here, by version.
    func masterKeys(in transaction: Transaction) throws -> [Int: String] {
        try transaction.rows("SELECT * FROM secret_master_keys").reduce(into: [:]) {
            $0[Int($1.int("version"))] = $1.text("fingerprint")
        }
    }

    func note(masterKey version: Int, _ fingerprint: String, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO secret_master_keys (version, fingerprint, seen_at) VALUES (\(version), \(fingerprint), \(now))
            ON CONFLICT (version) DO NOTHING
            """)
    }

    // MARK: who may read, and who did

    func isGranted(_ path: SecretPath, to agent: String, in transaction: Transaction) throws -> Bool {
        try transaction.first(
            "SELECT agent FROM secret_grants WHERE path = \(path.description) AND agent = \(agent)") != nil
    }

    func grants(of path: SecretPath, in transaction: Transaction) throws -> [String] {
        try transaction.rows("SELECT agent FROM secret_grants WHERE path = \(path.description) ORDER BY agent").map {
            $0.text("agent")
        }
    }

    func granted(_ path: SecretPath, limit: Int, in transaction: Transaction) throws -> [SecretGrant] {
        try transaction.rows(
            "SELECT * FROM secret_grants WHERE path = \(path.description) ORDER BY agent LIMIT \(limit)"
        ).map { row in
            SecretGrant(
                agent: row.text("agent"), grantedAt: row.time("granted_at"), grantedBy: row.text("granted_by"))
        }
    }

    func setGrants(
        of path: SecretPath, to agents: [String], at now: Timestamp, by actor: String, in transaction: Transaction
    ) throws {
        if agents.isEmpty {
            try transaction.run("DELETE FROM secret_grants WHERE path = \(path.description)")
        } else {
            try transaction.run(
                "DELETE FROM secret_grants WHERE path = \(path.description) AND agent NOT IN \(list: agents)")
        }
        for agent in agents {
            try transaction.run(
                """
                INSERT INTO secret_grants (path, agent, granted_at, granted_by)
                VALUES (\(path.description), \(agent), \(now), \(actor)) ON CONFLICT (path, agent) DO NOTHING
                """)
        }
    }

    func markUsed(
        _ path: SecretPath, version: Int, by principal: Principal, at now: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO secret_uses (path, actor, agent, version, used_at)
            VALUES (\(path.description), \(principal.actor), \(principal.agent), \(version), \(now))
            ON CONFLICT (path, actor) DO UPDATE SET version = excluded.version, used_at = excluded.used_at
            """)
        try transaction.run(
            """
            INSERT INTO secret_version_uses (path, version, actor, agent, first_at, used_at)
            VALUES (\(path.description), \(version), \(principal.actor), \(principal.agent), \(now), \(now))
            ON CONFLICT (path, version, actor) DO UPDATE SET used_at = excluded.used_at
            """)
    }

    /// Who read it, those that did last first, and the agents that may and have not.
    func holders(
        of path: SecretPath, at now: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [SecretHolder] {
        let text = path.description
        let leased = try leases.holders(of: path, at: now, in: transaction)
        let used = try transaction.rows(
            "SELECT * FROM secret_uses WHERE path = \(text) ORDER BY used_at DESC, actor LIMIT \(limit)"
        ).map { row in
            SecretHolder(
                actor: row.text("actor"), agent: row.optionalText("agent"), version: Int(row.int("version")),
                lastUsedAt: row.time("used_at"), leasedUntil: leased[row.text("actor")])
        }
        guard used.count < limit else { return used }
        let granted = try transaction.rows(
            """
            SELECT agent FROM secret_grants WHERE path = \(text)
              AND NOT EXISTS (SELECT 1 FROM secret_uses WHERE secret_uses.path = secret_grants.path
                AND secret_uses.agent = secret_grants.agent)
            ORDER BY agent LIMIT \(limit - used.count)
            """
        ).map { row in
            SecretHolder(actor: "agent:\(row.text("agent"))", agent: row.text("agent"), version: nil, lastUsedAt: nil)
        }
        return used + granted
    }
}
