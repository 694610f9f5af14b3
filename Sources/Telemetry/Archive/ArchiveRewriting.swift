import Foundation
import Kernel

/// What changes records that are kept, block by block.
extension Archive {
    /// A record of either kind.
    enum Record {
        case span(WholeSpan)
        case log(LogRecord)
    }

    /// Blocks whose ids are read at a time.
    static let idsRead = 1_000

    /// The ids of a part's blocks behind `last`; none where it is gone.
    func blocks(of part: ArchivePart, after last: Int64) -> [Int64] {
        read(part) { try $0.ids(after: last, max: Self.idsRead) } ?? []
    }

    /// The heads of a block's spans; none where it is gone, or cannot be read.
    func heads(of block: Int64, in part: ArchivePart) -> [SpanHead] {
        let heads: [SpanHead]? = read(part) { file in
            try file.head(of: block).map { try SpanColumns.read($0).map(\.head) } ?? []
        }
        return heads ?? []
    }

    /// Those records of a block that are meant, with the head that it had; `nil` where it is gone.
    ///
    /// - Throws: Where it cannot be read: who rewrites must not take that for nothing.
    func copy(
        of block: Int64, in part: ArchivePart, where isMeant: (Record) throws -> Bool
    ) throws -> (copy: BlockCopy.Result, head: [UInt8])? {
        guard exists(part) else { return nil }
        let file = try file(part)
        guard let head = try file.head(of: block), let body = try file.body(of: block) else { return nil }
        let copy: BlockCopy.Result? =
            switch part.kind {
            case .spans: try BlockCopy.spans(of: block, in: file, key: key) { try isMeant(.span($0)) }
            case .logs:
                try BlockCopy.logs(head: head, body: body, category: part.category, key: key) { try isMeant(.log($0)) }
            }
        return copy.map { ($0, head) }
    }

    /// Puts what was copied of a block in its place.
    ///
    /// - Returns: `false`, and nothing is done, where the block is another by now.
    func replace(
        _ block: Int64, in part: ArchivePart, by copied: (copy: BlockCopy.Result, head: [UInt8])
    ) throws -> Bool {
        try file(part).replace(
            block, expecting: copied.head, keys: copied.copy.keys, with: copied.copy.block)
    }

    /// Makes sure that a part survives the machine's end.
    func sync(_ part: ArchivePart) throws { try file(part).sync() }

    /// Empties a part's log into its file; see ``SQLiteFile/settle()``.
    func settle(_ part: ArchivePart) throws { try file(part).settle() }

    /// Forgets labels of a part that are as said.
    func forgetLabels(of part: ArchivePart, where isMeant: (LogLabel) -> Bool) throws {
        let labels = try file(part).labels(max: .max).filter(isMeant)
        if !labels.isEmpty { try file(part).forget(labels) }
    }

    /// Whether there is something in a part's log.
    func hasLog(_ part: ArchivePart) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path(part) + "-wal")
        return attributes?[.size] as? Int ?? 0 > 0
    }

    /// Bytes of the files of a part.
    func bytes(of part: ArchivePart) -> Int {
        ["", "-wal"].reduce(0) { sum, suffix in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path(part) + suffix)
            return sum + ((attributes?[.size] as? Int) ?? 0)
        }
    }

    /// SHA-256 of a part's file as it is now, in lower-case hexadecimal.
    func digest(of part: ArchivePart) throws -> String { try Digest.sha256(ofFile: path(part)) }
}
