import Kernel

/// The only SQL on bundles.
struct BundleStore: Sendable {
    // MARK: Versions

    /// A version by its name or by how its name begins; `nil` where none or more than one begins so.
    func version(
        _ name: String, of agent: String, in transaction: Transaction
    ) throws -> BundleVersion? {
        // Behind all names that begin so: `g` follows the last hexadecimal digit.
        let rows = try transaction.rows(
            """
            SELECT * FROM bundle_versions WHERE agent = \(agent) AND version >= \(name) AND version < \(name + "g")
            ORDER BY version LIMIT 2
            """)
        return rows.count == 1 ? Self.version(rows[0]) : nil
    }

    /// The newest first, one more than the page's limit where there are more.
    func versions(of agent: String, page: Page, in transaction: Transaction) throws -> [BundleVersion] {
        let before = page.after.flatMap { Int64($0) } ?? .max
        return try transaction.rows(
            """
            SELECT * FROM bundle_versions WHERE agent = \(agent) AND number < \(before)
            ORDER BY number DESC LIMIT \(page.limit + 1)
            """
        ).map(Self.version)
    }

    func versionCount(of agent: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COALESCE(MAX(number), 0) AS n FROM bundle_versions WHERE agent = \(agent)")?
            .int("n") ?? 0
    }

    func insert(_ version: BundleVersion, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO bundle_versions (agent, version, number, parent, author, message, files, bytes, created_at)
            VALUES (\(version.agent), \(version.version), \(version.number), \(version.parent), \(version.author),
              \(version.message), \(version.files), \(version.bytes), \(version.createdAt))
            """)
    }

    /// Agents that have bundles, by name, behind `after`.
    func agents(after: String?, limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            """
            SELECT DISTINCT agent FROM bundle_versions WHERE agent > \(after ?? "") ORDER BY agent LIMIT \(limit)
            """
        ).map { $0.text("agent") }
    }

    // MARK: Files

    /// Keeps which content each path of a version has, unless it is kept already.
    func insert(
        _ files: [(path: String, sha256: String, bytes: Int)], of version: String, in transaction: Transaction
    ) throws {
        for file in files {
            try transaction.run(
                """
                INSERT INTO bundle_files (version, path, sha256, bytes)
                VALUES (\(version), \(file.path), \(file.sha256), \(file.bytes))
                ON CONFLICT (version, path) DO NOTHING
                """)
        }
    }

    /// By path.
    func files(of version: String, in transaction: Transaction) throws -> [(path: String, sha256: String)] {
        try transaction.rows("SELECT path, sha256 FROM bundle_files WHERE version = \(version)")
            .map { ($0.text("path"), $0.text("sha256")) }
            .sorted { $0.0.utf8.lexicographicallyPrecedes($1.0.utf8) }
    }

    /// The content that a path has in each of some versions.
    func contents(
        of path: String, in versions: [String], _ transaction: Transaction
    ) throws -> [String: String] {
        guard !versions.isEmpty else { return [:] }
        let rows = try transaction.rows(
            "SELECT version, sha256 FROM bundle_files WHERE path = \(path) AND version IN \(list: versions)")
        return Dictionary(rows.map { ($0.text("version"), $0.text("sha256")) }) { first, _ in first }
    }

    // MARK: Changes

    func insert(_ change: BundleChange, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO bundle_changes (agent, number, kind, version, previous, actor, message, at)
            VALUES (\(change.agent), \(change.number), \(change.kind.rawValue), \(change.version),
              \(change.previous), \(change.author), \(change.message), \(change.at))
            """)
    }

    func nextChange(of agent: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COALESCE(MAX(number), 0) + 1 AS n FROM bundle_changes WHERE agent = \(agent)")?
            .int("n") ?? 1
    }

    /// The newest first.
    func changes(of agent: String, limit: Int, in transaction: Transaction) throws -> [BundleChange] {
        try transaction.rows(
            "SELECT * FROM bundle_changes WHERE agent = \(agent) ORDER BY number DESC LIMIT \(limit)"
        ).map(Self.change)
    }

    private static func version(_ row: StoredRow) -> BundleVersion {
        BundleVersion(
            agent: row.text("agent"), version: row.text("version"), number: row.int("number"),
            parent: row.optionalText("parent"), author: row.text("author"), message: row.text("message"),
            files: row.int("files"), bytes: row.int("bytes"), createdAt: row.time("created_at"))
    }

    private static func change(_ row: StoredRow) -> BundleChange {
        BundleChange(
            agent: row.text("agent"), number: row.int("number"),
            kind: BundleChange.Kind(rawValue: row.text("kind")) ?? .push, version: row.text("version"),
            previous: row.optionalText("previous"), author: row.text("actor"), message: row.text("message"),
            at: row.time("at"))
    }
}

extension BundleStore: BlobUse {
    func uses(_ sha256: String, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT version FROM bundle_files WHERE sha256 = \(sha256) LIMIT 1") != nil
    }
}
