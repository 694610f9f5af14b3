import Kernel

/// One file of the archive.
struct DayFileStore: Sendable {
    /// Each file has blocks of one kind; the number stands in files from before that was so.
    private static let kind: Int64 = 1

    private let file: SQLiteFile

    init(path: String) throws { file = try SQLiteFile(path: path, schema: ArchiveSchema.statements) }

    /// The entry of the spool up to which everything of this file is in it.
    func progress() throws -> Int64 {
        try file.read { try $0.first("SELECT entry FROM progress")?.int("entry") ?? 0 }
    }

    /// Adds blocks, and says how far the spool is in the file with them: all of that or nothing.
    func append(_ blocks: [ArchiveBlock], through entry: Int64) throws {
        try file.write { transaction in
            var id = try transaction.first("SELECT max(id) AS id FROM blocks")?.optionalInt("id") ?? 0
            for block in blocks {
                id += 1
                try add(block, id, in: transaction)
            }
            try transaction.run("UPDATE progress SET entry = \(entry) WHERE id = 1")
        }
    }

    private func add(_ block: ArchiveBlock, _ id: Int64, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO blocks (id, kind, records, received_bytes, first_at, last_at, head)
            VALUES (\(id), \(Self.kind), \(block.count), \(block.receivedBytes), \(block.times.lowerBound),
              \(block.times.upperBound), \(SQLValue.blob(block.head)))
            """)
        try transaction.run("INSERT INTO bodies (block, body) VALUES (\(id), \(SQLValue.blob(block.body)))")
        if let sieve = block.sieve {
            try transaction.run("INSERT INTO sieves (block, sieve) VALUES (\(id), \(SQLValue.blob(sieve)))")
        }
        // In the order of the index, which then touches each of its pages once.
        for key in block.keys.sorted() {
            try transaction.addLater("INSERT INTO block_keys (key, block) VALUES", [.integer(key), .integer(id)])
        }
        for label in block.labels {
            try transaction.run("INSERT OR IGNORE INTO labels (name, value) VALUES (\(label.name), \(label.value))")
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

    /// Blocks with a time in a range, those with the newest records first.
    ///
    /// - Parameters:
    ///   - key: What their records are found by; `nil` for all.
    ///   - last: The last one of the page before.
    func newest(
        _ times: Range<Int64>, key: Int64?, behind last: BlockExtent?, max: Int
    ) throws -> [BlockExtent] {
        let (time, id) = (last?.times.upperBound ?? .max, last?.id ?? .max)
        return try file.read { transaction in
            let rows =
                if let key {
                    try transaction.rows(
                        """
                        SELECT id, first_at, last_at FROM block_keys JOIN blocks ON blocks.id = block_keys.block
                        WHERE key = \(key) AND first_at < \(times.upperBound) AND last_at >= \(times.lowerBound)
                          AND (last_at, id) < (\(time), \(id))
                        ORDER BY last_at DESC, id DESC LIMIT \(max)
                        """)
                } else {
                    try transaction.rows(
                        """
                        SELECT id, first_at, last_at FROM blocks
                        WHERE kind = \(Self.kind) AND first_at < \(times.upperBound)
                          AND last_at >= \(times.lowerBound) AND last_at <= \(time) AND (last_at, id) < (\(time), \(id))
                        ORDER BY last_at DESC, id DESC LIMIT \(max)
                        """)
                }
            return rows.map(Self.extent)
        }
    }

    /// The same, those with the oldest records first.
    func oldest(
        _ times: Range<Int64>, key: Int64?, behind last: BlockExtent?, max: Int
    ) throws -> [BlockExtent] {
        let (time, id) = (last?.times.lowerBound ?? .min, last?.id ?? .min)
        return try file.read { transaction in
            let rows =
                if let key {
                    try transaction.rows(
                        """
                        SELECT id, first_at, last_at FROM block_keys JOIN blocks ON blocks.id = block_keys.block
                        WHERE key = \(key) AND first_at < \(times.upperBound) AND last_at >= \(times.lowerBound)
                          AND (first_at, id) > (\(time), \(id))
                        ORDER BY first_at, id LIMIT \(max)
                        """)
                } else {
                    try transaction.rows(
                        """
                        SELECT id, first_at, last_at FROM blocks
                        WHERE kind = \(Self.kind) AND first_at < \(times.upperBound)
                          AND last_at >= \(times.lowerBound) AND first_at >= \(time)
                          AND (first_at, id) > (\(time), \(id))
                        ORDER BY first_at, id LIMIT \(max)
                        """)
                }
            return rows.map(Self.extent)
        }
    }

    private static func extent(_ row: StoredRow) -> BlockExtent {
        let first = row.int("first_at")
        return BlockExtent(id: row.int("id"), times: first...max(first, row.int("last_at")))
    }

    func head(of block: Int64) throws -> [UInt8]? {
        try file.read { try $0.first("SELECT head FROM blocks WHERE id = \(block)")?.blob("head") }
    }

    func body(of block: Int64) throws -> [UInt8]? {
        try file.read { try $0.first("SELECT body FROM bodies WHERE block = \(block)")?.blob("body") }
    }

    func sieve(of block: Int64) throws -> [UInt8]? {
        try file.read { try $0.first("SELECT sieve FROM sieves WHERE block = \(block)")?.blob("sieve") }
    }

    func labels(max: Int) throws -> [LogLabel] {
        try file.read { transaction in
            try transaction.rows("SELECT name, value FROM labels LIMIT \(max)").map {
                LogLabel(name: $0.text("name"), value: $0.text("value"))
            }
        }
    }

    func sync() throws { try file.sync() }
    func close() throws { try file.close() }
}
