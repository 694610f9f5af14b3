/// What is done with blocks that are kept: for whoever is the only one to write.
///
/// Who reads meanwhile through another connection must not go from a block's head to its body with an id alone.
extension Archive {
    /// Bytes of bodies that a merged block may have; one that would have more is not made.
    private static let mergedBytesMax = 16 << 20

    /// Makes one block of some that lie one behind the other, in the place of the first: its records stand in the order
    /// in which they stood.
    ///
    /// - Returns: `false` where they would be too large together, and stay as they are.
    func merge(_ ids: [Int64], of part: ArchivePart) throws -> Bool {
        guard let file = try existing(part), ids.count > 1 else { return false }
        var spans = SpanBlockBuilder(key: key)
        var logs = LogBlockBuilder()
        var replaced: [(id: Int64, keys: Set<Int64>)] = []
        for id in ids {
            guard let block = try file.block(id) else { continue }
            switch part.kind {
            case .spans: try spans.add(block)
            case .logs: try logs.add(block)
            }
            guard spans.bytes + logs.bytes <= Self.mergedBytesMax else { return false }
            replaced.append((id, try keys(of: block, part.kind)))
        }
        guard let merged = block(spans, logs) else { return false }
        try file.replace(replaced, with: merged)
        return true
    }

    /// Deletes what bodies had in common that no block of the part names any more.
    ///
    /// - Returns: How many pieces that were.
    func deleteUnnamedPieces(of part: ArchivePart) throws -> Int {
        try existing(part)?.deleteUnnamedPieces(key) ?? 0
    }

    private func block(_ spans: SpanBlockBuilder, _ logs: LogBlockBuilder) -> ArchiveBlock? {
        if let block = spans.finish() { return ArchiveBlock(block, key: key) }
        return logs.finish().map { ArchiveBlock($0, key: key) }
    }

    /// What the records of a block are found by.
    private func keys(of block: KeptBlock, _ kind: ArchivePart.Kind) throws -> Set<Int64> {
        switch kind {
        case .spans:
            return Set(try SpanColumns.read(block.head).flatMap { key.keys(of: $0.head) })
        case .logs:
            let heads = try LogHeads(block.head)
            let columns = [LogRow.Field.trace, LogRow.Field.correlation].map { Set(heads.column($0)) }
            return Set(columns.joined().compactMap { heads.text($0).map(key.id) })
        }
    }
}
