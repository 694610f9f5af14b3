import Kernel

/// Pieces that are kept together, by their number in the file.
struct PiecePack {
    /// A pack is ended behind the piece that fills it.
    static let bytesMax = TelemetryLimits.recordBytes + PieceStore.packBytes

    private(set) var ids: [Int64] = []
    private var ends: [Int] = []
    private(set) var bytes: [UInt8] = []

    init() {}

    init(_ packed: [UInt8]) throws {
        // A number and a length each take ten bytes at most, and a piece has more than one.
        var reader = ColumnReader(try Zstandard.unpack(packed, max: Self.bytesMax * 2))
        let count = try reader.length()
        var id: Int64 = 0
        ids = try (0..<count).map { _ in
            id &+= try reader.signed()
            return id
        }
        var end = 0
        ends = try (0..<count).map { _ in
            end += try reader.length()
            return end
        }
        bytes = Array(try reader.slice(of: end))
    }

    mutating func append(_ id: Int64, _ piece: ArraySlice<UInt8>) {
        ids.append(id)
        bytes += piece
        ends.append(bytes.count)
    }

    mutating func append(_ pack: PiecePack) { for id in pack.ids { append(id, pack[id] ?? []) } }

    /// The bytes of a piece.
    subscript(_ id: Int64) -> ArraySlice<UInt8>? {
        var (low, high) = (0, ids.count)
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        guard low < ids.count, ids[low] == id else { return nil }
        return bytes[(low == 0 ? 0 : ends[low - 1])..<ends[low]]
    }

    var packed: [UInt8] {
        var columns = ColumnWriter()
        columns.append(ids.count)
        var last: Int64 = 0
        for id in ids {
            columns.append(signed: id &- last)
            last = id
        }
        var begin = 0
        for end in ends {
            columns.append(end - begin)
            begin = end
        }
        columns.append(raw: bytes)
        return Zstandard.pack(columns.bytes)
    }
}

/// The pieces of one file of the archive within a transaction: each stands once, packed together with others that came
/// at about the same time.
struct PieceStore {
    /// Bytes of pieces that are packed together: who reads a span unpacks what its pieces lie in.
    static let packBytes = 64 << 10
    /// Bytes of packs that stay unpacked while spans are read.
    static let readingBytesMax = 8 << 20
    /// Bytes of a pack in the file that becomes one with others.
    private static let smallBytes = 12 << 10
    /// Packs that become one at a time.
    private static let packsMax = 64

    private let transaction: Transaction

    init(_ transaction: Transaction) { self.transaction = transaction }

    // MARK: in

    /// The numbers of a block's pieces; those that the file has not are added.
    ///
    /// - Parameter fresh: What was found or added in this transaction.
    func ids(
        of list: PieceList, recent: RecentPieces, fresh: inout [PieceName: Int64]
    ) throws -> [Int64] {
        var pack = PiecePack()
        var next: Int64?
        var added: [(high: Int64, low: Int64, id: Int64)] = []
        let ids = try list.pieces.map { piece -> Int64 in
            switch piece {
            case .kept(let id): return id
            case .named(let name, let range):
                if let known = fresh[name] ?? recent.id(of: name) { return known }
                if try recent.mayHave(name, learn: eachName), let known = try find(name) {
                    fresh[name] = known
                    return known
                }
                let id = try next ?? nextPiece()
                next = id + 1
                added.append((Int64(bitPattern: name.high), Int64(bitPattern: name.low), id))
                fresh[name] = id
                pack.append(id, list.bytes[range])
                if pack.bytes.count >= Self.packBytes {
                    try write(pack)
                    pack = PiecePack()
                }
                return id
            }
        }
        try write(pack)
        // In the order of the index, which then touches each of its pages once.
        for row in added.sorted(by: { $0.high < $1.high }) {
            try transaction.addLater(
                "INSERT INTO pieces (high, low, piece) VALUES", [row.high, row.low, row.id].map(SQLValue.integer))
        }
        return ids
    }

    /// Shows the upper halves of all names.
    private func eachName(_ body: (Int64) -> Void) throws {
        var last: Int64?
        repeat {
            let rows = try transaction.rows(
                """
                SELECT high FROM pieces WHERE high > \(last ?? .min) ORDER BY high LIMIT \(Self.namesRead)
                """)
            for row in rows { body(row.int("high")) }
            last = rows.count == Self.namesRead ? rows.last?.int("high") : nil
        } while last != nil
    }

    private static let namesRead = 10_000

    private func write(_ pack: PiecePack) throws {
        guard let first = pack.ids.first, let last = pack.ids.last else { return }
        try transaction.run(
            "INSERT INTO packs (first, last, data) VALUES (\(first), \(last), \(SQLValue.blob(pack.packed)))")
    }

    private func nextPiece() throws -> Int64 {
        (try transaction.first("SELECT last FROM packs ORDER BY first DESC LIMIT 1")?.int("last") ?? 0) + 1
    }

    private func find(_ name: PieceName) throws -> Int64? {
        try transaction.first(
            """
            SELECT piece FROM pieces
            WHERE high = \(Int64(bitPattern: name.high)) AND low = \(Int64(bitPattern: name.low))
            """)?.int("piece")
    }

    // MARK: out

    /// Reads pieces one after the other, with the packs of the last ones at hand.
    struct Reader {
        private let transaction: Transaction
        private var packs: [(ids: ClosedRange<Int64>, pack: PiecePack)] = []
        private var bytes = 0

        fileprivate init(_ transaction: Transaction) { self.transaction = transaction }

        /// - Throws: ``ColumnReader/Damaged`` for one that the file has not.
        mutating func content(of id: Int64) throws -> ArraySlice<UInt8> {
            guard let content = try pack(with: id)[id] else { throw ColumnReader.Damaged() }
            return content
        }

        private mutating func pack(with id: Int64) throws -> PiecePack {
            // Mostly the one before, as pieces that came together are named together.
            if let known = packs.last, known.ids.contains(id) { return known.pack }
            if let index = packs.lastIndex(where: { $0.ids.contains(id) }) {
                packs.append(packs.remove(at: index))
                return packs[packs.count - 1].pack
            }
            let row = try transaction.first(
                "SELECT first, last, data FROM packs WHERE first <= \(id) ORDER BY first DESC LIMIT 1")
            guard let row, row.int("last") >= id, row.int("last") >= row.int("first") else {
                throw ColumnReader.Damaged()
            }
            let pack = try PiecePack(row.blob("data"))
            if bytes + pack.bytes.count > PieceStore.readingBytesMax { (packs, bytes) = ([], 0) }
            packs.append((row.int("first")...row.int("last"), pack))
            bytes += pack.bytes.count
            return pack
        }
    }

    func reader() -> Reader { Reader(transaction) }

    // MARK: together, and gone

    /// Makes one of some small packs that lie one behind the other: what is packed together takes less.
    ///
    /// - Parameters:
    ///   - first: From which pack on.
    ///   - isClosed: Whether nothing more comes behind them, so that two are enough.
    /// - Returns: Where to go on; `nil` where there is nothing to do.
    func merge(from first: Int64, isClosed: Bool) throws -> Int64? {
        let rows = try transaction.rows(
            """
            SELECT first, length(data) AS bytes FROM packs
            WHERE first >= \(first) ORDER BY first LIMIT \(Self.packsMax)
            """
        )
        var run: [Int64] = []
        var merged = PiecePack()
        for row in rows {
            let isSmall = row.int("bytes") < Self.smallBytes
            if isSmall {
                let id = row.int("first")
                let data = try transaction.first("SELECT data FROM packs WHERE first = \(id)")?.blob("data") ?? []
                run.append(id)
                merged.append(try PiecePack(data))
            }
            guard !isSmall || merged.bytes.count >= Self.packBytes else { continue }
            if run.count > 1 {
                try replace(run, with: merged)
                return row.int("first") + (isSmall ? 0 : 1)
            }
            (run, merged) = ([], PiecePack())
        }
        if run.count > 1, isClosed || run.count == Self.packsMax { try replace(run, with: merged) }
        guard let last = rows.last, rows.count == Self.packsMax else { return nil }
        return isClosed || run.isEmpty || run.count == Self.packsMax ? last.int("first") + 1 : run[0]
    }

    private func replace(_ packs: [Int64], with merged: PiecePack) throws {
        for first in packs { try transaction.run("DELETE FROM packs WHERE first = \(first)") }
        try write(merged)
    }

    /// Deletes the pieces that are none of these, and packs what lay beside them anew.
    ///
    /// - Returns: How many were deleted.
    func delete(allBut named: Set<Int64>, _ key: ArchiveKey) throws -> Int {
        var deleted = 0
        var last: Int64 = .min
        while let row = try transaction.first(
            "SELECT first, data FROM packs WHERE first > \(last) ORDER BY first LIMIT 1")
        {
            last = row.int("first")
            let pack = try PiecePack(row.blob("data"))
            let unnamed = pack.ids.filter { !named.contains($0) }
            guard !unnamed.isEmpty else { continue }
            for id in unnamed {
                let name = (pack[id] ?? []).withUnsafeBytes { key.piece($0) }
                try transaction.run(
                    """
                    DELETE FROM pieces
                    WHERE high = \(Int64(bitPattern: name.high)) AND low = \(Int64(bitPattern: name.low))
                    """)
            }
            deleted += unnamed.count
            var rest = PiecePack()
            for id in pack.ids where named.contains(id) { rest.append(id, pack[id] ?? []) }
            try replace([last], with: rest)
            // Its first piece may be another now.
            last = rest.ids.first ?? last
        }
        return deleted
    }
}
