import Kernel

/// One file of the archive.
struct DayFileStore: Sendable {
    private static let spanKind: Int64 = 1

    private let file: SQLiteFile

    init(path: String) throws { file = try SQLiteFile(path: path, schema: ArchiveSchema.statements) }

    /// The entry of the spool up to which everything of this file is in it.
    func progress() throws -> Int64 {
        try file.read { try $0.first("SELECT entry FROM progress")?.int("entry") ?? 0 }
    }

    /// Adds a block, and says how far the spool is in the file with it.
    func append(_ block: SpanBlock, keys: [Int64], through entry: Int64) throws {
        try file.write { transaction in
            let id = (try transaction.first("SELECT max(id) AS id FROM blocks")?.optionalInt("id") ?? 0) + 1
            try transaction.run(
                """
                INSERT INTO blocks (id, kind, records, received_bytes, first_at, last_at, head)
                VALUES (\(id), \(Self.spanKind), \(block.count), \(block.receivedBytes), \(block.times.lowerBound),
                  \(block.times.upperBound), \(SQLValue.blob(block.head)))
                """)
            try transaction.run("INSERT INTO bodies (block, body) VALUES (\(id), \(SQLValue.blob(block.body)))")
            // In the order of the index, which then touches each of its pages once.
            for key in Set(keys).sorted() {
                try transaction.addLater("INSERT INTO block_keys (key, block) VALUES", [.integer(key), .integer(id)])
            }
            try transaction.run("UPDATE progress SET entry = \(entry) WHERE id = 1")
        }
    }

    /// The heads of the blocks that have records of a key, with the blocks' ids.
    func heads(_ key: Int64) throws -> [(block: Int64, head: [UInt8])] {
        try file.read { transaction in
            try transaction.rows(
                """
                SELECT blocks.id AS id, head FROM block_keys JOIN blocks ON blocks.id = block_keys.block
                WHERE key = \(key) ORDER BY blocks.id
                """
            ).map { ($0.int("id"), $0.blob("head")) }
        }
    }

    /// Keys behind `last`, in their order.
    func keys(after last: Int64, max: Int) throws -> [Int64] {
        try file.read { transaction in
            try transaction.rows("SELECT DISTINCT key FROM block_keys WHERE key > \(last) ORDER BY key LIMIT \(max)")
                .map { $0.int("key") }
        }
    }

    func body(of block: Int64) throws -> [UInt8]? {
        try file.read { try $0.first("SELECT body FROM bodies WHERE block = \(block)")?.blob("body") }
    }

    func sync() throws { try file.sync() }
    func close() throws { try file.close() }
}
