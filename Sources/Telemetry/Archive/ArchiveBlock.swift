/// A block as a file of the archive has it, whatever its records are.
struct ArchiveBlock {
    let head: [UInt8]
    let body: [UInt8]
    /// See ``TextSieve``; `nil` where no texts are looked for.
    var sieve: [UInt8]?
    let count: Int
    let receivedBytes: Int
    /// Nanoseconds since 1970.
    let times: ClosedRange<Int64>
    /// What its records are found by; see ``ArchiveKey``.
    let keys: Set<Int64>
    var labels: Set<LogLabel> = []
    /// What was taken out of the body; `nil` where nothing was.
    var pieces: BlockPieces?

    init(_ block: SpanBlock, key: ArchiveKey) {
        (head, body, count, receivedBytes) = (block.head, block.body, block.count, block.receivedBytes)
        (times, pieces) = (block.times, block.pieces)
        keys = Set(block.traces.map(key.trace) + block.correlations.union(block.sessions).map(key.id))
    }

    init(_ block: LogBlock, key: ArchiveKey) {
        (head, body, count, receivedBytes) = (block.head, block.body, block.count, block.receivedBytes)
        (sieve, times, labels) = (block.sieve, block.times, block.labels)
        keys = Set((block.traces.union(block.correlations)).map(key.id))
    }
}

extension ArchiveKey {
    /// Of an id that may be a trace's: one look-up finds what names a trace, and what has it for a correlation id.
    func id(_ text: String) -> Int64 { TraceID(text).map(trace) ?? self.text(text) }

    /// What a span is found by: its trace, what that belongs to, its conversation.
    func keys(of head: SpanHead) -> [Int64] {
        [trace(head.traceID)] + [head.correlationID, head.session].compactMap { $0.map(id) }
    }
}

/// A block as it is read again.
struct KeptBlock {
    let id: Int64
    let head: [UInt8]
    let body: [UInt8]
    /// See ``SpanCuts``; `nil` where the body is whole.
    let cuts: [UInt8]?
    let receivedBytes: Int
}

/// What is known of a block without reading it.
struct BlockExtent: Sendable {
    let id: Int64
    let times: ClosedRange<Int64>
}
