import Kernel

/// Sees to it that what somebody may come back to outlives its day: before a day's file is dropped, the records of
/// traces that failed or have a label, and those under a hold, are carried over into a file of the same day that lives
/// longer.
///
/// A carried block and how far carrying has come are one transaction, and what is carried over is not found while the
/// file that it comes from is there: whatever happens in between, nothing is lost and nothing is there twice.
struct RetentionKeeper {
    /// Blocks that are looked at in one go; the next goes on behind them.
    static let blocksMax = 5_000

    /// What changes the archive; each call holds ingest up.
    typealias Change = ((Archive) throws -> Void) throws -> Void

    private let reading: Archive
    let evidence: EvidenceStore
    /// How far the kept parts are gone through.
    private var gone: [ArchivePart: (state: String, block: Int64, isEmpty: Bool)] = [:]
    private var blocksLeft = 0
    /// Parts of days to which nothing more comes, all of whose heads were looked at.
    private var looked: Set<ArchivePart> = []
    private(set) var unkept = UnkeptTraces()

    init(_ reading: Archive, evidence: EvidenceStore) {
        self.reading = reading
        self.evidence = evidence
    }

    func close() throws { try evidence.close() }

    /// Does what is due, and says which parts may be dropped now.
    ///
    /// - Parameter blocksMax: Blocks to look at.
    mutating func work(
        _ retention: TelemetryRetention, _ marks: RetentionEvidence, today: Int,
        blocksMax: Int = RetentionKeeper.blocksMax, change: Change
    ) throws -> [ArchivePart] {
        blocksLeft = blocksMax
        // Which traces failed is known once all files were looked at.
        guard try look(today) else { return [] }
        try evidence.forget(before: today - Swift.max(retention.longest, retention.keptTracesDays) - 1)
        var done: [ArchivePart] = []
        let parts = reading.allParts().sorted { ($0.day, $0.fileName) < ($1.day, $1.fileName) }
        let kept = parts.filter { $0.tier == .kept }
        let isFull = kept.reduce(0) { $0 + reading.bytes(of: $1) } >= retention.keptTracesBytes
        for part in parts where part.tier == .ordinary && retention.isOver(part, today: today) {
            let isLasting = !retention.isOver(part.in(.kept), today: today)
            guard try carry(part, marks, isFull: isFull, isLasting: isLasting, change) else { return done }
            done.append(part)
        }
        let ordinary = Set(parts.filter { $0.tier == .ordinary })
        for part in kept where !ordinary.contains(part.in(.ordinary)) {
            let isOver = retention.isOver(part, today: today)
            guard let isEmpty = try thin(part, marks, isOver: isOver, change) else { return done }
            if isEmpty { done.append(part) }
        }
        return done
    }

    /// Notes that parts are dropped.
    mutating func forget(_ parts: [ArchivePart]) throws {
        for part in parts {
            gone[part] = nil
            looked.remove(part)
            try evidence.forget(part)
        }
    }

    // MARK: Which traces failed

    /// Looks at the heads that came since it last did; `false` where some are left.
    private mutating func look(_ today: Int) throws -> Bool {
        for part in reading.allParts()
        where part.kind == .spans && part.tier == .ordinary && !looked.contains(part) {
            var last = try evidence.seen(part)
            while true {
                let blocks = reading.blocks(of: part, after: last).prefix(blocksLeft)
                guard let through = blocks.last else { break }
                blocksLeft -= blocks.count
                try evidence.add(Array(failed(of: part, in: blocks).values), of: part, through: through)
                last = through
            }
            if blocksLeft == 0 { return false }
            // What came before midnight may be written behind it.
            if part.day < today - 1 { looked.insert(part) }
        }
        return true
    }

    /// Looks at the heads of a part up to a block, of which some are about to be put together: who goes by the ids of
    /// blocks would come upon some never.
    mutating func look(at part: ArchivePart, through end: Int64) throws {
        guard part.kind == .spans else { return }
        var last = try evidence.seen(part)
        while last < end {
            let blocks = reading.blocks(of: part, after: last)
            guard let through = blocks.last else { return }
            try evidence.add(Array(failed(of: part, in: blocks[...]).values), of: part, through: through)
            last = through
        }
    }

    private func failed(of part: ArchivePart, in blocks: ArraySlice<Int64>) -> [TraceID: SpanHead] {
        var failed: [TraceID: SpanHead] = [:]
        for block in blocks {
            for head in reading.heads(of: block, in: part) where head.status == .error {
                if failed[head.traceID]?.correlationID == nil { failed[head.traceID] = head }
            }
        }
        return failed
    }

    // MARK: Carrying over

    /// Copies what is kept of a part whose time is over; `false` where some blocks are left.
    ///
    /// - Parameter isLasting: Whether what is kept would not be dropped at once.
    private mutating func carry(
        _ part: ArchivePart, _ marks: RetentionEvidence, isFull: Bool, isLasting: Bool, _ change: Change
    ) throws -> Bool {
        let kept = part.in(.kept)
        var last = reading.progress(of: kept)
        while true {
            let blocks = reading.blocks(of: part, after: last)
            if blocks.isEmpty { break }
            for block in blocks {
                guard blocksLeft > 0 else { return false }
                blocksLeft -= 1
                last = block
                guard let copied = try copy(of: block, in: part, marks, isFull: isFull, isLasting: isLasting) else {
                    continue
                }
                try change { try $0.append([copied], to: kept, through: block) }
            }
        }
        guard reading.exists(kept) else { return true }
        try change { try $0.sync(kept) }
        try evidence.settle(kept, Self.state(marks, isOver: false))
        return true
    }

    private mutating func copy(
        of block: Int64, in part: ArchivePart, _ marks: RetentionEvidence, isFull: Bool, isLasting: Bool
    ) throws -> ArchiveBlock? {
        let failed = isLasting ? try self.failed(in: block, of: part) : Failed()
        // A label keeps them all the same.
        if isFull { unkept.note(failed.traces.subtracting(marks.traces)) }
        return try reading.copy(of: block, in: part) { record in
            if try marks.holds.contains(where: { try $0.holds(record) }) { return true }
            return isLasting && (marks.hasLabel(record) || !isFull && failed.has(record))
        }?.copy.block
    }

    /// What failed of what a block's records belong to.
    private struct Failed {
        var traces: Set<TraceID> = []
        var ids: Set<String> = []

        func has(_ record: Archive.Record) -> Bool {
            switch record {
            case .span(let span): traces.contains(span.head.traceID)
            case .log(let log):
                [log.traceID, log.correlationID].contains { text in
                    text.flatMap { TraceID($0) }.map(traces.contains) ?? false
                } || log.correlationID.map(ids.contains) ?? false
            }
        }
    }

    private func failed(in block: Int64, of part: ArchivePart) throws -> Failed {
        switch part.kind {
        case .spans:
            return Failed(traces: try evidence.failed(Set(reading.heads(of: block, in: part).map(\.traceID))))
        case .logs:
            var ids: Set<String> = []
            _ = try reading.copy(of: block, in: part) { record in
                if case .log(let log) = record { ids.formUnion([log.traceID, log.correlationID].compactMap(\.self)) }
                return false
            }
            return Failed(
                traces: try evidence.failed(Set(ids.compactMap { TraceID($0) })), ids: try evidence.failed(ids))
        }
    }

    // MARK: Letting go

    private static func state(_ marks: RetentionEvidence, isOver: Bool) -> String {
        "\(marks.holdsDigest)\(isOver ? " over" : "")"
    }

    /// Takes out of a kept part what is there for a hold that was lifted, and, once its time is over, all that no hold
    /// keeps. Says whether nothing is left of it; `nil` where some blocks are to be looked at.
    private mutating func thin(
        _ part: ArchivePart, _ marks: RetentionEvidence, isOver: Bool, _ change: Change
    ) throws -> Bool? {
        let state = Self.state(marks, isOver: isOver)
        guard try evidence.state(part) != state else { return false }
        if isOver, marks.holds.isEmpty { return true }
        var going = gone[part] ?? (state, 0, true)
        if going.state != state { going = (state, 0, true) }
        while true {
            let blocks = reading.blocks(of: part, after: going.block)
            if blocks.isEmpty { break }
            for block in blocks {
                gone[part] = going
                guard blocksLeft > 0 else { return nil }
                blocksLeft -= 1
                if try thin(block, of: part, marks, isOver: isOver, change) { going.isEmpty = false }
                going.block = block
            }
        }
        gone[part] = nil
        if !going.isEmpty {
            try change { _ = try $0.deleteUnnamedPieces(of: part) }
            try evidence.settle(part, state)
        }
        return going.isEmpty
    }

    /// Whether something is left of a block.
    private mutating func thin(
        _ block: Int64, of part: ArchivePart, _ marks: RetentionEvidence, isOver: Bool, _ change: Change
    ) throws -> Bool {
        let failed = isOver ? Failed() : try self.failed(in: block, of: part)
        let copied = try reading.copy(of: block, in: part) { record in
            if try marks.holds.contains(where: { try $0.holds(record) }) { return true }
            return !isOver && (marks.hasLabel(record) || failed.has(record))
        }
        guard let copied else { return false }
        if copied.copy.left > 0 { try change { _ = try $0.replace(block, in: part, by: copied) } }
        return copied.copy.block != nil
    }
}

extension RetentionEvidence {
    /// Whether a record belongs to a trace with a label.
    func hasLabel(_ record: Archive.Record) -> Bool {
        switch record {
        case .span(let span): traces.contains(span.head.traceID)
        case .log(let log):
            [log.traceID, log.correlationID].contains { text in
                text.flatMap { TraceID($0) }.map(traces.contains) ?? false
            } || log.correlationID.map(correlations.contains) ?? false
        }
    }
}
