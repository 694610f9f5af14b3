/// How large a block is, without reading it.
struct BlockSize: Equatable {
    let id: Int64
    let records: Int
    /// As it lies in its file.
    let packedBytes: Int
    /// As its records came.
    let receivedBytes: Int
}

/// Which blocks of a file become one.
///
/// A flush makes a block of what came in a quarter of a second. Where little comes, thousands of blocks have a line
/// each: more bytes than the lines, and a read for each of them in every search. So blocks that lie one behind the
/// other are put together, first many tiny ones, then small ones: each record is written twice more at most, as with
/// the levels of a log-structured merge tree (O'Neil et al., 1996).
struct BlockMerge {
    /// Blocks that become one at a time.
    static let blocksMax = 64
    /// Blocks of a file that are looked at together.
    static let lookedMax = 1_024

    /// What a block has that is large enough.
    let records: Int
    let packedBytes: Int
    /// Bytes as they came that may be put together: they are in memory meanwhile.
    static let receivedBytesMax = 8 << 20

    static func target(_ kind: ArchivePart.Kind) -> BlockMerge {
        switch kind {
        case .spans: BlockMerge(records: 1_000, packedBytes: 256 << 10)
        case .logs: BlockMerge(records: 2_048, packedBytes: 128 << 10)
        }
    }

    /// 1 for a block that is large enough.
    func fullness(_ block: BlockSize) -> Double {
        let received = Double(block.receivedBytes) / Double(Self.receivedBytesMax)
        return max(Double(block.records) / Double(records), Double(block.packedBytes) / Double(packedBytes), received)
    }

    /// Below it a block is tiny, and waits for many of its like; see ``smallMax``.
    private static let tinyMax = 1.0 / 32
    /// Below it a block is small, and becomes one with others as soon as they are enough together.
    private static let smallMax = 0.5
    /// So full may a block become.
    private static let fullMax = 1.5

    /// The first blocks that are to become one.
    ///
    /// - Parameters:
    ///   - blocks: One behind the other.
    ///   - isClosed: Whether nothing more comes behind them, so that two are enough.
    func next(_ blocks: [BlockSize], isClosed: Bool) -> Range<Int>? {
        if let tiny = run(blocks, below: Self.tinyMax, enough: Self.smallMax, count: Self.blocksMax) { return tiny }
        return run(blocks, below: Self.smallMax, enough: 1, count: isClosed ? 2 : .max)
    }

    /// Blocks below a fullness, which are `enough` together or so many.
    private func run(_ blocks: [BlockSize], below most: Double, enough: Double, count: Int) -> Range<Int>? {
        var begin = 0
        var sum = 0.0
        /// The best of those that are only many, as more may follow.
        for (index, block) in blocks.enumerated() {
            let fullness = fullness(block)
            let fits = fullness < most && sum + fullness <= Self.fullMax && index - begin < Self.blocksMax
            if !fits {
                if index - begin >= max(2, count) { return begin..<index }
                begin = fullness < most ? index : index + 1
                sum = fullness < most ? fullness : 0
                continue
            }
            sum += fullness
            if sum >= enough, index > begin { return begin..<index + 1 }
        }
        return blocks.count - begin >= max(2, count) ? begin..<blocks.count : nil
    }
}

/// Puts small blocks together, a few at a time.
struct BlockMerger {
    /// Files that are looked at in one step.
    private static let partsMax = 16

    private let archive: Archive
    /// The parts in which there may be something to do, and from which block on.
    private var waiting: [ArchivePart: Int64] = [:]
    /// The parts that end with their day.
    private var open: Set<ArchivePart> = []
    private var day = Int.min

    /// What is not merged any more, by part: all before it is as it stays.
    private var done: [ArchivePart: Int64] = [:]
    /// The same for the packs of pieces.
    private var packs: [ArchivePart: Int64] = [:]

    init(_ archive: Archive) { self.archive = archive }

    /// Merges once, if there is something to merge. A file that cannot be read stands in nobody's way.
    ///
    /// - Parameters:
    ///   - today: Days since 1970.
    /// - Returns: Whether there may be more to do.
    ///   - before: Called with a part and the last block that is about to be put together with others.
    mutating func step(today: Int, before: (ArchivePart, Int64) throws -> Void = { _, _ in }) -> Bool {
        if day != today {
            // Files of days that have ended get no more: what is small in them needs to wait for nothing.
            for part in day == .min ? archive.parts() : Array(open) { waiting[part] = done[part] ?? 0 }
            open = open.filter { $0.day >= today }
            day = today
        }
        for part in archive.takeAppended() {
            open.insert(part)
            waiting[part] = done[part] ?? 0
        }
        for part in waiting.keys.sorted().prefix(Self.partsMax) {
            let begun = waiting[part]
            do {
                guard try !merge(part, isClosed: part.day < today, before) else { return true }
            } catch {
                archive.warn("small blocks of \(part.fileName) stay as they are: \(error)")
                guard waiting[part] == begun else { return true }
                waiting[part] = nil
            }
        }
        return !waiting.isEmpty
    }

    /// - Returns: Whether something was merged.
    private mutating func merge(
        _ part: ArchivePart, isClosed: Bool, _ before: (ArchivePart, Int64) throws -> Void
    ) throws -> Bool {
        // What is carried over, or was, is gone through by the blocks' ids.
        guard part.tier == .ordinary, !archive.exists(part.in(.kept)), let from = waiting[part],
            let file = try archive.existing(part)
        else {
            forget(part)
            return false
        }
        let blocks = try file.blocks(from: from, max: BlockMerge.lookedMax)
        if let run = BlockMerge.target(part.kind).next(blocks, isClosed: isClosed) {
            let ids = blocks[run].map(\.id)
            // Where a fault comes in between, the next step goes on behind them.
            move(part, to: (ids.last ?? from) + 1)
            if let last = ids.last { try before(part, last) }
            // What is larger than it seemed stays as it is.
            if try archive.merge(ids, of: part) { move(part, to: from) }
            return true
        }
        if blocks.count == BlockMerge.lookedMax {
            move(part, to: blocks[blocks.count - BlockMerge.blocksMax].id)
            return false
        }
        if part.kind == .spans, let next = try file.mergePacks(from: packs[part] ?? 0, isClosed: isClosed) {
            packs[part] = next
            return true
        }
        if !isClosed {
            waiting[part] = nil
        } else if try !file.shrink() {
            forget(part)
        }
        return false
    }

    private mutating func forget(_ part: ArchivePart) {
        (waiting[part], done[part], packs[part]) = (nil, nil, nil)
    }

    private mutating func move(_ part: ArchivePart, to block: Int64) {
        waiting[part] = block
        done[part] = block
    }
}
