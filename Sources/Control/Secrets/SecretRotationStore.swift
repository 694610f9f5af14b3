import Kernel

/// The only SQL on rotations of secrets, and on who uses which version.
struct SecretRotationStore: Sendable {
    /// Rotations of one secret that are kept.
    static let keptMax = 20

    /// A rotation and who began it.
    struct Kept: Sendable {
        let path: SecretPath
        var rotation: SecretRotation
        let stagedBy: String
    }

    /// Somebody who read a version.
    struct Reader: Sendable {
        let actor: String
        let agent: String?
        let lastAt: Timestamp
        /// When they first read the version that takes its place.
        let movedAt: Timestamp?
    }

    // MARK: rotations

    /// The rotation that is under way.
    func open(_ path: SecretPath, in transaction: Transaction) throws -> Kept? {
        try transaction.first(
            "SELECT * FROM secret_rotations WHERE path = \(path.description) AND ended_at IS NULL"
        ).map(kept)
    }

    /// The latest one, over or not.
    func latest(_ path: SecretPath, in transaction: Transaction) throws -> Kept? {
        try transaction.first(
            "SELECT * FROM secret_rotations WHERE path = \(path.description) ORDER BY new_version DESC LIMIT 1"
        ).map(kept)
    }

    /// Those whose old value is still good, for time to go on with.
    func running(after path: String, limit: Int, in transaction: Transaction) throws -> [Kept] {
        try transaction.rows(
            """
            SELECT * FROM secret_rotations
            WHERE ended_at IS NULL AND state IN ('overlap', 'draining') AND path > \(path) ORDER BY path LIMIT \(limit)
            """
        ).map(kept)
    }

    func put(_ kept: Kept, in transaction: Transaction) throws {
        let rotation = kept.rotation
        try transaction.run(
            """
            INSERT INTO secret_rotations (path, new_version, old_version, state, overlap, staged_at, staged_by, proof,
              proof_detail, issued_at, ended_at, is_compromise)
            VALUES (\(kept.path.description), \(rotation.newVersion), \(rotation.oldVersion),
              \(rotation.state.rawValue), \(rotation.overlap.microseconds), \(rotation.stagedAt), \(kept.stagedBy),
              \(rotation.proof?.words.kind), \(rotation.proof?.words.detail), \(rotation.issuedAt),
              \(rotation.endedAt), \(rotation.isCompromise))
            ON CONFLICT (path, new_version) DO UPDATE SET state = excluded.state, proof = excluded.proof,
              proof_detail = excluded.proof_detail, issued_at = excluded.issued_at, ended_at = excluded.ended_at,
              is_compromise = excluded.is_compromise
            """)
    }

    /// Forgets all but the latest ones of a secret.
    func prune(_ path: SecretPath, in transaction: Transaction) throws {
        let text = path.description
        let last = try transaction.rows(
            """
            SELECT new_version FROM secret_rotations WHERE path = \(text)
            ORDER BY new_version DESC LIMIT 1 OFFSET \(Self.keptMax)
            """
        ).first?.int("new_version")
        guard let last else { return }
        try transaction.run("DELETE FROM secret_rotations WHERE path = \(text) AND new_version <= \(last)")
    }

    private func kept(_ row: StoredRow) -> Kept {
        guard let state = SecretRotation.State(rawValue: row.text("state")) else {
            preconditionFailure("a state that the table refuses")
        }
        let proof = row.optionalText("proof").flatMap {
            SecretRotation.Proof(kind: $0, detail: row.optionalText("proof_detail") ?? "")
        }
        let rotation = SecretRotation(
            oldVersion: Int(row.int("old_version")), newVersion: Int(row.int("new_version")),
            overlap: Span(microseconds: row.int("overlap")), at: row.time("staged_at"),
            kept: SecretRotation.Kept(
                state: state, proof: proof, issuedAt: row.optionalTime("issued_at"),
                endedAt: row.optionalTime("ended_at"), isCompromise: row.bool("is_compromise")))
        return Kept(path: SecretPath(stored: row.text("path")), rotation: rotation, stagedBy: row.text("staged_by"))
    }

    // MARK: who uses which version

    func hasRead(_ path: SecretPath, _ version: Int, _ actor: String, in transaction: Transaction) throws -> Bool {
        try transaction.first(
            """
            SELECT used_at FROM secret_version_uses
            WHERE path = \(path.description) AND version = \(version) AND actor = \(actor)
            """) != nil
    }

    func lastUse(of version: Int, _ path: SecretPath, in transaction: Transaction) throws -> Timestamp? {
        try transaction.first(
            """
            SELECT MAX(used_at) AS last_at FROM secret_version_uses
            WHERE path = \(path.description) AND version = \(version)
            """)?.optionalTime("last_at")
    }

    /// Who read a version, those that did last first.
    ///
    /// - Parameter next: The version that takes its place.
    func readers(
        of version: Int, before next: Int, _ path: SecretPath, limit: Int, in transaction: Transaction
    ) throws -> [Reader] {
        try transaction.rows(
            """
            SELECT old.actor, old.agent, old.used_at, new.first_at FROM secret_version_uses AS old
            LEFT JOIN secret_version_uses AS new
              ON new.path = old.path AND new.version = \(next) AND new.actor = old.actor
            WHERE old.path = \(path.description) AND old.version = \(version)
            ORDER BY old.used_at DESC, old.actor LIMIT \(limit)
            """
        ).map { row in
            Reader(
                actor: row.text("actor"), agent: row.optionalText("agent"), lastAt: row.time("used_at"),
                movedAt: row.optionalTime("first_at"))
        }
    }

    /// Those of these agents that read a value which is being replaced.
    func agentsOfOld(among agents: [String], limit: Int, in transaction: Transaction) throws -> Set<String> {
        guard !agents.isEmpty else { return [] }
        return Set(
            try transaction.rows(
                """
                SELECT DISTINCT uses.agent FROM secret_rotations AS rotation
                JOIN secret_version_uses AS uses
                  ON uses.path = rotation.path AND uses.version = rotation.old_version
                WHERE rotation.ended_at IS NULL AND uses.agent IN \(list: agents)
                ORDER BY uses.agent LIMIT \(limit)
                """
            ).map { $0.text("agent") })
    }

    // MARK: what is due

    /// Secrets of a scope whose value is older than it may get, those that are due for longest first.
    func due(
        at now: Timestamp, age: Span, of scope: SecretPath.Scope, limit: Int, in transaction: Transaction
    ) throws -> [KeptSecret] {
        try transaction.rows(
            """
            SELECT * FROM secrets
            WHERE scope = \(scope.rawValue) AND written_at + COALESCE(rotate_every, \(age.microseconds)) <= \(now)
            ORDER BY written_at + COALESCE(rotate_every, \(age.microseconds)), path LIMIT \(limit)
            """
        ).map(SecretStore().secret)
    }

    /// How many those are, by their scope; scopes without any are left out.
    func dueCounts(
        at now: Timestamp, age: Span, in transaction: Transaction
    ) throws -> [SecretPath.Scope: Int64] {
        try transaction.rows(
            """
            SELECT scope, COUNT(*) AS n FROM secrets
            WHERE written_at + COALESCE(rotate_every, \(age.microseconds)) <= \(now) GROUP BY scope
            """
        ).reduce(into: [:]) { counts, row in
            if let scope = SecretPath.Scope(rawValue: row.text("scope")) { counts[scope] = row.int("n") }
        }
    }
}
