import Kernel

/// The only SQL on flags, their versions and their counter.
struct FlagStore: Sendable {
    // MARK: Flags

    func save(_ flag: FeatureFlag, in transaction: Transaction) throws {
        let shares = JSONValue.object(
            JSONObject(flag.shares.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: $0.value.json) }))
        try transaction.run(
            """
            INSERT INTO flags (key, definition, shares, version, revision, created_at, created_by, updated_at,
              updated_by)
            VALUES (\(flag.key), \(JSONValue.object(flag.definition.document)), \(shares), \(flag.version),
              \(flag.revision), \(flag.createdAt), \(flag.createdBy), \(flag.updatedAt), \(flag.updatedBy))
            ON CONFLICT (key) DO UPDATE SET definition = excluded.definition, shares = excluded.shares,
              version = excluded.version, revision = excluded.revision, created_at = excluded.created_at,
              created_by = excluded.created_by, updated_at = excluded.updated_at, updated_by = excluded.updated_by,
              removed_at = NULL
            """)
        try want(Set(flag.definition.prerequisites.map(\.flag)), by: flag.key, in: transaction)
    }

    /// The row stays for a while, so that every replica hears of it.
    func remove(_ key: String, at now: Timestamp, revision: Int64, in transaction: Transaction) throws {
        try transaction.run("UPDATE flags SET removed_at = \(now), revision = \(revision) WHERE key = \(key)")
        try want([], by: key, in: transaction)
    }

    func flag(_ key: String, in transaction: Transaction) throws -> FeatureFlag? {
        try transaction.first("SELECT * FROM flags WHERE key = \(key) AND removed_at IS NULL").flatMap(flag)
    }

    func flags(page: Page, in transaction: Transaction) throws -> [FeatureFlag] {
        try transaction.rows(
            """
            SELECT * FROM flags WHERE removed_at IS NULL AND key > \(page.after ?? "")
            ORDER BY key LIMIT \(page.limit + 1)
            """
        ).compactMap(flag)
    }

    func all(in transaction: Transaction) throws -> [FeatureFlag] {
        try transaction.rows("SELECT * FROM flags WHERE removed_at IS NULL ORDER BY key").compactMap(flag)
    }

    // MARK: Who asks for whom

    private func want(_ wanted: Set<String>, by key: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM flag_wants WHERE flag = \(key)")
        for other in wanted.sorted() {
            try transaction.run("INSERT INTO flag_wants (flag, wanted) VALUES (\(key), \(other))")
        }
    }

    /// The flags that these ask for.
    func wanted(by keys: Set<String>, in transaction: Transaction) throws -> Set<String> {
        guard !keys.isEmpty else { return [] }
        return Set(
            try transaction.rows("SELECT DISTINCT wanted FROM flag_wants WHERE flag IN \(list: keys.sorted())")
                .map { $0.text("wanted") })
    }

    /// The flags that ask for this one, by key.
    func users(of key: String, in transaction: Transaction) throws -> [String] {
        try transaction.rows("SELECT flag FROM flag_wants WHERE wanted = \(key) ORDER BY flag").map { $0.text("flag") }
    }

    /// Writes down what flags ask for that were kept before that was written down.
    func learnWants(_ flags: [FeatureFlag], in transaction: Transaction) throws {
        guard try transaction.first("SELECT flag FROM flag_wants LIMIT 1") == nil else { return }
        for flag in flags where !flag.definition.prerequisites.isEmpty {
            try want(Set(flag.definition.prerequisites.map(\.flag)), by: flag.key, in: transaction)
        }
    }

    func count(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) AS count FROM flags WHERE removed_at IS NULL")?.int("count") ?? 0
    }

    /// What changed behind a revision; no flag stands for one that is gone.
    func changes(since revision: Int64, in transaction: Transaction) throws -> [FlagBook.Change] {
        try transaction.rows("SELECT * FROM flags WHERE revision > \(revision) ORDER BY revision").map { row in
            FlagBook.Change(
                key: row.text("key"), revision: row.int("revision"),
                flag: row.optionalTime("removed_at") == nil ? flag(row) : nil)
        }
    }

    /// Flags that are gone for long or are too many, with all that they were; whether there may be more.
    func purge(removedBefore time: Timestamp, keptMax: Int, limit: Int, in transaction: Transaction) throws -> Bool {
        let gone = try transaction.rows(
            """
            SELECT key, removed_at FROM flags WHERE removed_at IS NOT NULL
            ORDER BY removed_at LIMIT \(keptMax + limit)
            """
        )
        let keys = gone.enumerated().filter { index, row in
            row.int("removed_at") < time.microseconds || gone.count - index > keptMax
        }.prefix(limit).map { $0.element.text("key") }
        guard !keys.isEmpty else { return false }
        try transaction.run("DELETE FROM flag_versions WHERE flag IN \(list: keys)")
        try transaction.run("DELETE FROM flags WHERE removed_at IS NOT NULL AND key IN \(list: keys)")
        return keys.count == limit
    }

    /// `nil` for a definition that this release cannot read: it is better unknown than half understood.
    private func flag(_ row: StoredRow) -> FeatureFlag? {
        guard let object = row.json("definition").object,
            let definition = try? FlagDefinition(Fields(object, limits: Limits()), salt: "")
        else { return nil }
        let shares = (row.json("shares").object?.members ?? []).compactMap { member in
            FlagShares(member.value).map { (member.name, $0) }
        }
        return FeatureFlag(
            key: row.text("key"), definition: definition, shares: Dictionary(shares) { first, _ in first },
            version: row.int("version"), revision: row.int("revision"), createdAt: row.time("created_at"),
            createdBy: row.text("created_by"), updatedAt: row.time("updated_at"), updatedBy: row.text("updated_by"))
    }

    // MARK: Versions

    func insert(_ version: FlagVersionRecord, of key: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO flag_versions (flag, version, at, author, act, reason, definition)
            VALUES (\(key), \(version.version), \(version.at), \(version.author), \(version.act.rawValue),
              \(version.reason), \(version.definition))
            """)
    }

    func forgetVersions(of key: String, upTo version: Int64, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM flag_versions WHERE flag = \(key) AND version <= \(version)")
    }

    func lastVersion(of key: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT MAX(version) AS last FROM flag_versions WHERE flag = \(key)")?
            .optionalInt("last") ?? 0
    }

    /// The newest first.
    func versions(
        of key: String, before version: Int64, limit: Int, in transaction: Transaction
    ) throws -> [FlagVersionRecord] {
        try transaction.rows(
            """
            SELECT * FROM flag_versions WHERE flag = \(key) AND version < \(version)
            ORDER BY version DESC LIMIT \(limit)
            """
        ).map { row in
            FlagVersionRecord(
                version: row.int("version"), at: row.time("at"), author: row.text("author"),
                act: FlagVersionRecord.Act(rawValue: row.text("act")) ?? .updated, reason: row.optionalText("reason"),
                definition: row.json("definition"))
        }
    }

    // MARK: The counter

    struct Tick: Sendable {
        let revision: Int64
        let changedAt: Timestamp
        let secret: String
    }

    func clock(in transaction: Transaction) throws -> Tick? {
        try transaction.first("SELECT revision, changed_at, secret FROM flag_clock WHERE id = 1").map { row in
            Tick(revision: row.int("revision"), changedAt: row.time("changed_at"), secret: row.text("secret"))
        }
    }

    /// Makes the counter, where it is not there yet.
    func found(secret: String, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO flag_clock (id, revision, changed_at, secret) VALUES (1, 0, \(now), \(secret))
            ON CONFLICT (id) DO NOTHING
            """)
    }

    /// Moves the counter on: whatever changes with this transaction has its number.
    func tick(secret: String, at now: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.run(
            """
            INSERT INTO flag_clock (id, revision, changed_at, secret) VALUES (1, 1, \(now), \(secret))
            ON CONFLICT (id) DO UPDATE SET revision = flag_clock.revision + 1, changed_at = excluded.changed_at
            """)
        return try clock(in: transaction)?.revision ?? 1
    }
}
