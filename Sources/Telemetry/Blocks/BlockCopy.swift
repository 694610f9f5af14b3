/// Some of a block's records as a block of their own: to carry them to another file, or to leave the others out.
///
/// All that rewrites what is kept goes through these two functions, one for each kind.
enum BlockCopy {
    /// What became of a block's records.
    struct Result {
        /// The block of those that were meant; `nil` where none was.
        var block: ArchiveBlock?
        /// Those that were not.
        var left = 0
        /// What the block that was read is found by.
        var keys: Set<Int64>
    }

    /// - Returns: `nil` where there is no such block.
    static func spans(
        of block: Int64, in file: DayFileStore, key: ArchiveKey, where isMeant: (WholeSpan) throws -> Bool
    ) throws -> Result? {
        var builder = SpanBlockBuilder(key: key)
        var result = Result(keys: [])
        let isThere = try file.spans(of: block, where: { _, _ in true }) { span in
            result.keys.formUnion(key.keys(of: span.head))
            if try isMeant(span) { builder.add(span) } else { result.left += 1 }
        }
        result.block = builder.finish().map { ArchiveBlock($0, key: key) }
        return isThere ? result : nil
    }

    static func logs(
        head: [UInt8], body: [UInt8], category: TelemetryCategory, key: ArchiveKey,
        where isMeant: (LogRecord) throws -> Bool
    ) throws -> Result {
        let heads = try LogHeads(head)
        let bodies = try LogBodies(body, rows: heads.count)
        let rests = try bodies.rest(of: 0..<heads.count)
        var builder = LogBlockBuilder()
        var result = Result(keys: [])
        for row in 0..<heads.count {
            let rest = rests[row] ?? LogBodies.Rest()
            let record = try LogRecord(row, of: heads, bodies, rest, category: category)
            for id in [record.traceID, record.correlationID] { if let id { result.keys.insert(key.id(id)) } }
            guard try isMeant(record) else {
                result.left += 1
                continue
            }
            try LogRow.encode(record).withUnsafeBytes { try builder.add($0) }
        }
        result.block = builder.finish().map { ArchiveBlock($0, key: key) }
        return result
    }
}
