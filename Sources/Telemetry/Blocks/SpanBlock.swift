/// Some hundreds of spans as they are kept: their heads as columns, and what else they hold, both packed.
///
/// Two parts, as the tree of a trace needs only the first.
struct SpanBlock {
    let head: [UInt8]
    let body: [UInt8]
    let count: Int
    /// Bytes of the messages that it was made of.
    let receivedBytes: Int
    /// The first start and the last end, nanoseconds since 1970.
    let times: ClosedRange<Int64>
    let traces: [TraceID]
    /// Correlation ids that the spans themselves name.
    let correlations: Set<String>
    let sessions: Set<String>
    /// What was taken out of the bodies; `nil` where nothing was.
    let pieces: BlockPieces?
}

/// Where a span's body lies in its block.
struct SpanPlace: Equatable {
    let group: Int
    let offset: Int
    let length: Int
}

/// Gathers spans for a block.
struct SpanBlockBuilder {
    private struct Group {
        let resource: [UInt8]
        let scope: [UInt8]
        var spans: [UInt8] = []
        var cuts: [PieceCut] = []
    }

    /// What pieces are named with.
    private let key: ArchiveKey?
    private var pieces = PieceList()

    private var heads: [SpanHead] = []
    private var places: [SpanPlace] = []
    private var groups: [Group] = []
    private var known: [[UInt8]: Int] = [:]
    private(set) var receivedBytes = 0
    /// Bytes of bodies so far, with the pieces that the block has itself.
    private(set) var bytes = 0

    var count: Int { heads.count }

    /// - Parameter key: Names what is kept apart; without it bodies are kept whole.
    init(key: ArchiveKey? = nil) { self.key = key }

    /// Adds a span of the request whose bytes are `body`.
    mutating func add(_ item: ReceivedSpans.Item, of body: UnsafeRawBufferPointer) {
        func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: body[range]) }
        let group = group(part(item.resource), part(item.scope))
        let start = groups[group].spans.count
        let isLarge = Self.strip(part(item.span), into: &groups[group].spans)
        place(item.head, group, from: start, isCut: isLarge)
        receivedBytes += item.span.count
    }

    /// Adds a span that is whole, but for what its head has.
    mutating func add(_ span: WholeSpan) {
        let group = span.resource.withUnsafeBytes { resource in span.scope.withUnsafeBytes { self.group(resource, $0) }
        }
        let start = groups[group].spans.count
        groups[group].spans += span.bytes
        place(span.head, group, from: start, isCut: span.bytes.count >= PieceCutter.valueMin)
        receivedBytes += span.bytes.count
    }

    /// Adds a block of the same file: its pieces stay where they are.
    mutating func add(_ block: KeptBlock) throws {
        let bodies = try SpanBodies(block.body)
        let cuts = try block.cuts.map { try SpanCuts($0) }
        for (head, place) in try SpanColumns.read(block.head) {
            let parts = try bodies.parts(at: place)
            let group = parts.resource.withUnsafeBytes { resource in
                parts.scope.withUnsafeBytes { self.group(resource, $0) }
            }
            let start = groups[group].spans.count
            groups[group].spans += parts.span
            for cut in cuts?.pieces(at: place) ?? [] {
                let number = pieces.number(ofKept: cut.id)
                groups[group].cuts.append(PieceCut(position: start + cut.position, piece: number))
            }
            self.place(head, group, from: start, isCut: false)
        }
        receivedBytes += block.receivedBytes
    }

    /// Notes that the last bytes of a group are a span's.
    private mutating func place(_ head: SpanHead, _ group: Int, from start: Int, isCut: Bool) {
        let bytesBefore = pieces.bytes.count
        if isCut, let key { cut(group, from: start, key) }
        let length = groups[group].spans.count - start
        heads.append(head)
        places.append(SpanPlace(group: group, offset: start, length: length))
        bytes += length + pieces.bytes.count - bytesBefore
    }

    /// Takes the pieces out of a span.
    private mutating func cut(_ group: Int, from start: Int, _ key: ArchiveKey) {
        let ranges = groups[group].spans.withUnsafeBytes {
            PieceCutter.pieces(of: UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
        guard !ranges.isEmpty else { return }
        let span = Array(groups[group].spans[start...])
        groups[group].spans.removeLast(span.count)
        span.withUnsafeBytes { span in
            var done = 0
            for range in ranges {
                groups[group].spans.append(contentsOf: span[done..<range.lowerBound])
                let number = pieces.number(of: UnsafeRawBufferPointer(rebasing: span[range]), key)
                groups[group].cuts.append(PieceCut(position: groups[group].spans.count, piece: number))
                done = range.upperBound
            }
            groups[group].spans.append(contentsOf: span[done...])
        }
    }

    private mutating func group(_ resource: UnsafeRawBufferPointer, _ scope: UnsafeRawBufferPointer) -> Int {
        // Most spans have those of the one before.
        if let last = groups.indices.last, groups[last].resource.elementsEqual(resource),
            groups[last].scope.elementsEqual(scope)
        {
            return last
        }
        var key = ColumnWriter()
        key.append(resource)
        key.append(scope)
        if let found = known[key.bytes] { return found }
        groups.append(Group(resource: Array(resource), scope: Array(scope)))
        known[key.bytes] = groups.count - 1
        bytes += key.bytes.count
        return groups.count - 1
    }

    /// The fields of a `Span` that its head does not have: ids and times look random, and would be kept twice.
    ///
    /// - Returns: Whether there may be something to keep apart, which most spans have not.
    static func strip(_ span: UnsafeRawBufferPointer, into bytes: inout [UInt8]) -> Bool {
        var reader = ProtobufReader(span)
        var start = 0
        var isLarge = span.count >= PieceCutter.longMin
        while let field = try? reader.next() {
            switch field.number {
            case OTLPField.Span.traceID, OTLPField.Span.spanID, OTLPField.Span.parentID, OTLPField.Span.startedAt,
                OTLPField.Span.endedAt:
                break
            default: bytes.append(contentsOf: span[start..<reader.position])
            }
            if reader.position - start > PieceCutter.valueMin { isLarge = true }
            start = reader.position
        }
        return isLarge
    }

    /// The block of all that was added; `nil` where nothing was.
    func finish() -> SpanBlock? {
        guard let first = heads.map(\.startedAt).min(), let last = heads.map(\.endedAt).max() else { return nil }
        var traces: [TraceID] = []
        var traceNumbers: [TraceID: Int] = [:]
        for head in heads where traceNumbers[head.traceID] == nil {
            traceNumbers[head.traceID] = traces.count
            traces.append(head.traceID)
        }
        var body = ColumnWriter()
        body.append(groups.count)
        for group in groups {
            for part in [group.resource, group.scope, group.spans] { part.withUnsafeBytes { body.append($0) } }
        }
        var columns = SpanColumns.Writer(traces: traces)
        columns.write(heads, places) { traceNumbers[$0.traceID] ?? 0 }
        return SpanBlock(
            head: Zstandard.pack(columns.bytes), body: Zstandard.pack(body.bytes), count: heads.count,
            receivedBytes: receivedBytes, times: first...max(first, last), traces: traces,
            correlations: Set(heads.compactMap(\.correlationID)), sessions: Set(heads.compactMap(\.session)),
            pieces: pieces.pieces.isEmpty ? nil : BlockPieces(list: pieces, cuts: groups.map(\.cuts)))
    }
}

/// A span as its sender told it: its head, and all else as OTLP's messages.
struct WholeSpan: Equatable {
    let head: SpanHead
    /// A `Resource` and an `InstrumentationScope`, empty where there was none.
    let resource: [UInt8]
    let scope: [UInt8]
    /// A `Span` without what the head has.
    let bytes: [UInt8]

    func detail() throws -> SpanDetail {
        try resource.withUnsafeBytes { resource in
            try scope.withUnsafeBytes { scope in
                try bytes.withUnsafeBytes { try SpanDetail(head, resource: resource, scope: scope, span: $0) }
            }
        }
    }
}

/// The second part of a block, unpacked; what was kept apart lies elsewhere, see ``SpanCuts``.
struct SpanBodies {
    /// A block has a few hundred spans of at most ``TelemetryLimits/recordBytes``, and is ended early where they are
    /// large.
    static let bytesMax = 64 << 20

    private let groups: [(resource: ArraySlice<UInt8>, scope: ArraySlice<UInt8>, spans: ArraySlice<UInt8>)]

    init(_ packed: [UInt8]) throws {
        var reader = ColumnReader(try Zstandard.unpack(packed, max: Self.bytesMax))
        groups = try (0..<(try reader.length())).map { _ in
            (try reader.slice(), try reader.slice(), try reader.slice())
        }
    }

    /// Bytes of all spans.
    var bytes: Int { groups.reduce(0) { $0 + $1.spans.count } }

    /// The resource, the scope, and the span without what its head has.
    func parts(
        at place: SpanPlace
    ) throws(ColumnReader.Damaged) -> (resource: ArraySlice<UInt8>, scope: ArraySlice<UInt8>, span: ArraySlice<UInt8>) {
        guard groups.indices.contains(place.group) else { throw ColumnReader.Damaged() }
        let group = groups[place.group]
        guard place.length <= group.spans.count - place.offset, place.offset >= 0, place.length >= 0 else {
            throw ColumnReader.Damaged()
        }
        let start = group.spans.startIndex + place.offset
        return (group.resource, group.scope, group.spans[start..<start + place.length])
    }
}
