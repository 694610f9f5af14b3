import Kernel

/// What a piece of a body is known by: half of the SHA-256 of its bytes behind the secret of the archive, so that
/// nobody outside can look for two that share one. That two of a billion pieces do has a chance below 2⁻⁶⁸.
struct PieceName: Hashable, Sendable {
    let high: UInt64
    let low: UInt64
}

/// Where a piece stands in a body, and which one.
struct PieceCut: Equatable {
    /// Bytes of the group's spans before it, without pieces.
    let position: Int
    /// Its number among the pieces of the block.
    let piece: Int
}

/// The pieces of a block that is gathered, each of them once.
struct PieceList {
    enum Piece {
        /// Bytes that the block has; its file may have them too.
        case named(PieceName, Range<Int>)
        /// One that the file has, by its number there.
        case kept(Int64)
    }

    private(set) var pieces: [Piece] = []
    /// The bytes of the named ones.
    private(set) var bytes: [UInt8] = []
    private var numbers: [PieceName: Int] = [:]
    private var keptNumbers: [Int64: Int] = [:]

    mutating func number(of piece: UnsafeRawBufferPointer, _ key: ArchiveKey) -> Int {
        let name = key.piece(piece)
        if let known = numbers[name] { return known }
        let start = bytes.count
        bytes.append(contentsOf: piece)
        pieces.append(.named(name, start..<bytes.count))
        numbers[name] = pieces.count - 1
        return pieces.count - 1
    }

    mutating func number(ofKept id: Int64) -> Int {
        if let known = keptNumbers[id] { return known }
        pieces.append(.kept(id))
        keptNumbers[id] = pieces.count - 1
        return pieces.count - 1
    }
}

/// The pieces that were taken out of a block's bodies, with where they stood.
struct BlockPieces {
    let list: PieceList
    /// By group, in the order of their positions.
    let cuts: [[PieceCut]]

    /// As the archive keeps it.
    ///
    /// - Parameter ids: The number of each piece in the file.
    func packed(_ ids: [Int64]) -> [UInt8] {
        var columns = ColumnWriter()
        columns.append(ids.count)
        var before: Int64 = 0
        for id in ids {
            columns.append(signed: id &- before)
            before = id
        }
        columns.append(cuts.count)
        for group in cuts {
            columns.append(group.count)
            var last = PieceCut(position: 0, piece: 0)
            for cut in group {
                columns.append(cut.position - last.position)
                columns.append(signed: Int64(cut.piece - last.piece))
                last = cut
            }
        }
        return Zstandard.pack(columns.bytes)
    }
}

/// Which pieces the bodies of a kept block lack.
struct SpanCuts {
    /// A block has a thousand spans of at most ``PieceCutter/piecesMax``, and is ended early where they are large.
    static let bytesMax = 64 << 20

    /// The numbers of the pieces in the file.
    let ids: [Int64]
    private let groups: [[PieceCut]]

    init(_ packed: [UInt8]) throws {
        var reader = ColumnReader(try Zstandard.unpack(packed, max: Self.bytesMax))
        var before: Int64 = 0
        let ids = try (0..<(try reader.length())).map { _ in
            before &+= try reader.signed()
            return before
        }
        groups = try (0..<(try reader.length())).map { _ in
            var (position, piece) = (0, 0)
            return try (0..<(try reader.length())).map { _ in
                // Nothing here adds up to more than the bytes of a block.
                position = min(position &+ (try reader.count()), Int.max / 2)
                piece = Int(truncatingIfNeeded: Int64(piece) &+ (try reader.signed()))
                guard position >= 0, ids.indices.contains(piece) else { throw ColumnReader.Damaged() }
                return PieceCut(position: position, piece: piece)
            }
        }
        self.ids = ids
    }

    /// The pieces of one span, with the bytes before each of them in what is kept of the span.
    func pieces(at place: SpanPlace) -> [(position: Int, id: Int64)] {
        guard groups.indices.contains(place.group) else { return [] }
        let group = groups[place.group]
        // Each stands behind a byte of its span.
        var (low, high) = (0, group.count)
        while low < high {
            let middle = (low + high) / 2
            if group[middle].position > place.offset { high = middle } else { low = middle + 1 }
        }
        return group[low...].prefix { $0.position - place.offset <= place.length }.map {
            ($0.position - place.offset, ids[$0.piece])
        }
    }

    /// A span's bytes as they came, without what its head has.
    ///
    /// - Parameter content: The bytes of a piece.
    func whole(
        _ span: ArraySlice<UInt8>, at place: SpanPlace, content: (Int64) throws -> ArraySlice<UInt8>
    ) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var done = span.startIndex
        for piece in pieces(at: place) {
            let position = span.startIndex + piece.position
            bytes.append(contentsOf: span[done..<position])
            bytes.append(contentsOf: try content(piece.id))
            guard bytes.count <= Self.spanBytesMax else { throw ColumnReader.Damaged() }
            done = position
        }
        bytes.append(contentsOf: span[done...])
        return bytes
    }

    /// No span that was taken in has more.
    private static let spanBytesMax = TelemetryLimits.recordBytes
}
