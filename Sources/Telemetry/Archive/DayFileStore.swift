import Kernel

/// One file of the archive.
struct DayFileStore: OpenFile, Sendable {
    /// Each file has blocks of one kind; the number stands in files from before that was so.
    private static let kind: Int64 = 1

    private let file: SQLiteFile
    private let recent = RecentPieces()

    init(path: String) throws {
        file = try SQLiteFile(
            path: path, schema: ArchiveSchema.statements, later: ArchiveSchema.later, shrinks: true, isErasing: true)
    }

    /// The entry of the spool up to which everything of this file is in it.
    func progress() throws -> Int64 {
        try file.read { try $0.first("SELECT entry FROM progress")?.int("entry") ?? 0 }
    }

    /// Adds blocks, and says how far the spool is in the file with them: all of that or nothing.
    ///
    /// - Parameter entry: `nil` for blocks that do not come from the spool.
    func append(_ blocks: [ArchiveBlock], through entry: Int64?) throws {
        try writePieces { transaction, fresh in
            var id = try transaction.first("SELECT max(id) AS id FROM blocks")?.optionalInt("id") ?? 0
            for block in blocks {
                id += 1
                try add(block, id, &fresh, in: transaction)
            }
            if let entry { try transaction.run("UPDATE progress SET entry = \(entry) WHERE id = 1") }
        }
    }

    /// Puts one block in the place of some that lie one behind the other: all of that or nothing. Ids tell records of
    /// one time apart, so it has the first one's.
    ///
    /// - Parameters:
    ///   - blocks: The ids, with the keys that their records were found by.
    ///   - block: `nil` to delete them.
    func replace(_ blocks: [(id: Int64, keys: Set<Int64>)], with block: ArchiveBlock?) throws {
        try writePieces { transaction, fresh in
            for (id, keys) in blocks { try delete(id, keys, in: transaction) }
            if let block, let first = blocks.first { try add(block, first.id, &fresh, in: transaction) }
        }
    }

    private func delete(_ id: Int64, _ keys: Set<Int64>, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM blocks WHERE id = \(id)")
        try transaction.run("DELETE FROM bodies WHERE block = \(id)")
        try transaction.run("DELETE FROM sieves WHERE block = \(id)")
        try transaction.run("DELETE FROM cuts WHERE block = \(id)")
        for key in keys.sorted() {
            try transaction.run("DELETE FROM block_keys WHERE key = \(key) AND block = \(id)")
        }
    }

    private func writePieces<Value>(
        _ body: (Transaction, inout [PieceName: Int64]) throws -> Value
    ) throws -> Value {
        let (value, fresh) = try file.write { transaction in
            if let version = try transaction.first("PRAGMA data_version")?.optionalInt("data_version") {
                recent.check(version)
            }
            var fresh: [PieceName: Int64] = [:]
            let value = try body(transaction, &fresh)
            return (value, fresh)
        }
        recent.insert(fresh)
        return value
    }

    private func add(
        _ block: ArchiveBlock, _ id: Int64, _ fresh: inout [PieceName: Int64], in transaction: Transaction
    ) throws {
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
        if let pieces = block.pieces {
            let ids = try PieceStore(transaction).ids(of: pieces.list, recent: recent, fresh: &fresh)
            try transaction.run("INSERT INTO cuts (block, cuts) VALUES (\(id), \(SQLValue.blob(pieces.packed(ids))))")
        }
        try addKeys(of: block, id, in: transaction)
    }

    /// What a block is found by.
    private func addKeys(of block: ArchiveBlock, _ id: Int64, in transaction: Transaction) throws {
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

    /// How many there are.
    func blocks() throws -> Int {
        try file.read { Int(try $0.first("SELECT count(*) AS count FROM blocks")?.int("count") ?? 0) }
    }

    /// Blocks with an id from `first` on, in their order.
    func blocks(from first: Int64, max: Int) throws -> [BlockSize] {
        try file.read { transaction in
            try transaction.rows(
                """
                SELECT id, records, received_bytes, length(head) + length(body) AS bytes
                FROM blocks JOIN bodies ON bodies.block = blocks.id
                WHERE id >= \(first) ORDER BY id LIMIT \(max)
                """
            ).map {
                BlockSize(
                    id: $0.int("id"), records: Int($0.int("records")), packedBytes: Int($0.int("bytes")),
                    receivedBytes: Int($0.int("received_bytes")))
            }
        }
    }

    /// All of a block; `nil` where it is not there any more.
    func block(_ id: Int64) throws -> KeptBlock? { try file.read { try Self.block(id, $0) } }

    private static func block(_ id: Int64, _ transaction: Transaction) throws -> KeptBlock? {
        try transaction.first(
            """
            SELECT head, body, received_bytes FROM blocks JOIN bodies ON bodies.block = blocks.id WHERE id = \(id)
            """
        ).map { row in
            let cuts = try transaction.first("SELECT cuts FROM cuts WHERE block = \(id)")?.blob("cuts")
            return KeptBlock(
                id: id, head: row.blob("head"), body: row.blob("body"), cuts: cuts,
                receivedBytes: Int(row.int("received_bytes")))
        }
    }

    /// Shows the spans of a block whole, one after the other.
    ///
    /// - Parameter isMeant: Which of them.
    /// - Returns: Whether there is such a block.
    func spans(
        of block: Int64, where isMeant: (SpanHead, SpanPlace) -> Bool, _ body: (WholeSpan) throws -> Void
    ) throws -> Bool {
        try file.read { transaction in
            guard let block = try Self.block(block, transaction) else { return false }
            let rows = try SpanColumns.read(block.head).filter { isMeant($0.head, $0.place) }
            let bodies = try SpanBodies(block.body)
            let cuts = try block.cuts.map { try SpanCuts($0) }
            var reader = PieceStore(transaction).reader()
            for (head, place) in rows {
                let parts = try bodies.parts(at: place)
                let span = try cuts?.whole(parts.span, at: place) { try reader.content(of: $0) }
                try body(
                    WholeSpan(
                        head: head, resource: Array(parts.resource), scope: Array(parts.scope),
                        bytes: span ?? Array(parts.span)))
            }
            return true
        }
    }

    /// Deletes what bodies had in common that no block names any more, and says how many pieces that were.
    ///
    /// What blocks name is read from all of them: naming each block with each piece would take as much room as the
    /// pieces take off.
    func deleteUnnamedPieces(_ key: ArchiveKey) throws -> Int {
        let deleted = try file.write { transaction in
            var named: Set<Int64> = []
            var last: Int64 = .min
            while let row = try transaction.first(
                "SELECT block, cuts FROM cuts WHERE block > \(last) ORDER BY block LIMIT 1")
            {
                last = row.int("block")
                named.formUnion(try SpanCuts(row.blob("cuts")).ids)
            }
            return try PieceStore(transaction).delete(allBut: named, key)
        }
        recent.forget()
        return deleted
    }

    /// See ``PieceStore/merge(from:isClosed:)``.
    func mergePacks(from first: Int64, isClosed: Bool) throws -> Int64? {
        try file.write { try PieceStore($0).merge(from: first, isClosed: isClosed) }
    }

    /// See ``SQLiteFile/shrink()``.
    func shrink() throws -> Bool { try file.shrink() }

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

    // MARK: Rewriting

    /// How many pieces of bodies are kept apart.
    func pieces() throws -> Int {
        try file.read { Int(try $0.first("SELECT count(*) AS n FROM pieces")?.int("n") ?? 0) }
    }

    func count() throws -> Int {
        try file.read { Int(try $0.first("SELECT count(*) AS n FROM blocks")?.int("n") ?? 0) }
    }

    /// The ids of blocks behind `last`, in their order.
    func ids(after last: Int64, max: Int) throws -> [Int64] {
        try file.read { transaction in
            try transaction.rows("SELECT id FROM blocks WHERE id > \(last) ORDER BY id LIMIT \(max)").map {
                $0.int("id")
            }
        }
    }

    /// Puts a block in the place of another one, or nothing.
    ///
    /// - Parameters:
    ///   - head: What the block's head was when it was read.
    ///   - keys: What it is found by.
    /// - Returns: `false`, and nothing is done, where it is another by now.
    func replace(
        _ id: Int64, expecting head: [UInt8], keys: Set<Int64>, with block: ArchiveBlock?
    ) throws -> Bool {
        try writePieces { transaction, fresh in
            let known = try transaction.first("SELECT head FROM blocks WHERE id = \(id)")?.blob("head")
            guard known == head else { return false }
            try delete(id, keys, in: transaction)
            if let block { try add(block, id, &fresh, in: transaction) }
            return true
        }
    }

    /// Forgets labels.
    func forget(_ labels: [LogLabel]) throws {
        try file.write { transaction in
            for label in labels {
                try transaction.run("DELETE FROM labels WHERE name = \(label.name) AND value = \(label.value)")
            }
        }
    }

    /// Puts all that was written into the file itself, so that its log has nothing of before.
    func settle() throws { try file.settle() }

    func sync() throws { try file.sync() }
    func close() throws { try file.close() }
}
