import Kernel

/// The only SQL on the files of batches.
struct BatchFileStore: Sendable {
    func insert(_ file: BatchFile, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO batch_files (id, owner, purpose, name, size, sha256, created_at, expires_at)
            VALUES (\(file.id), \(file.owner), \(file.purpose.rawValue), \(file.name), \(file.size), \(file.sha256),
              \(file.createdAt), \(file.expiresAt))
            """)
    }

    func file(_ id: String, in transaction: Transaction) throws -> BatchFile? {
        try transaction.first("SELECT * FROM batch_files WHERE id = \(id)").map(BatchFile.init(row:))
    }

    /// How many files an owner has, and their bytes.
    func sums(of owner: String, in transaction: Transaction) throws -> (files: Int64, bytes: Int64) {
        let row = try transaction.first(
            """
            SELECT COUNT(*) AS files, CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes FROM batch_files
            WHERE owner = \(owner)
            """)
        return (row?.int("files") ?? 0, row?.int("bytes") ?? 0)
    }

    /// An owner's files that the addresses of files know, by time.
    func list(
        of owner: String, purposes: [BatchFile.Purpose], after: String?, isAscending: Bool, limit: Int,
        in transaction: Transaction
    ) throws -> [BatchFile] {
        var sql: SQLText =
            """
            SELECT * FROM batch_files WHERE owner = \(owner) AND purpose IN \(list: purposes.map(\.rawValue))
            """
        if let after { sql += isAscending ? "AND id > \(after)" : "AND id < \(after)" }
        sql += isAscending ? "ORDER BY id LIMIT \(limit)" : "ORDER BY id DESC LIMIT \(limit)"
        return try transaction.rows(sql).map(BatchFile.init(row:))
    }

    /// Files whose time is over.
    func expired(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [BatchFile] {
        try transaction.rows(
            "SELECT * FROM batch_files WHERE expires_at <= \(now) ORDER BY expires_at LIMIT \(limit)"
        ).map(BatchFile.init(row:))
    }

    /// Forgets files; their contents are looked at again by ``contentsLeft(limit:in:)``.
    func delete(_ files: [BatchFile], in transaction: Transaction) throws {
        for file in files {
            try transaction.run(
                """
                INSERT INTO batch_contents_left (sha256) VALUES (\(file.sha256)) ON CONFLICT (sha256) DO NOTHING
                """)
            try transaction.run("DELETE FROM batch_files WHERE id = \(file.id)")
        }
    }

    // MARK: contents

    func contentsLeft(limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows("SELECT sha256 FROM batch_contents_left ORDER BY sha256 LIMIT \(limit)")
            .map { $0.text("sha256") }
    }

    func settleContents(_ sha256s: [String], in transaction: Transaction) throws {
        try transaction.run("DELETE FROM batch_contents_left WHERE sha256 IN \(list: sha256s)")
    }
}

extension BatchFileStore: BlobUse {
    func uses(_ sha256: String, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT id FROM batch_files WHERE sha256 = \(sha256) LIMIT 1") != nil
    }
}

extension BatchFile {
    init(row: StoredRow) {
        self.init(
            id: row.text("id"), owner: row.text("owner"), purpose: Purpose(rawValue: row.text("purpose")) ?? .batch,
            name: row.text("name"), size: row.int("size"), sha256: row.text("sha256"),
            createdAt: row.time("created_at"), expiresAt: row.time("expires_at"))
    }
}
