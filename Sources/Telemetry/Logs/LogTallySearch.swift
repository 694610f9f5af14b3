import Kernel

/// Counts the records of the archive, block by block: of most blocks it reads what their rows share, and no texts.
struct LogTallySearch {
    let archive: Archive
    let query: LogTallyQuery
    /// Asked between blocks: whether there was enough time.
    let isOver: () -> Bool

    /// - Throws: ``LogTally/Fault``.
    func run() throws(LogTally.Fault) -> LogTally {
        var tally = LogTally(query)
        var plan = LogPlan(query.conditions)
        var cursor = BlockCursor(
            archive: archive, kind: .logs, times: query.times, key: nil, isNewestFirst: false
        ) { plan.mayHave($0.category) }
        while let (part, extent) = cursor.next() {
            guard !isOver() else { throw .time }
            count(extent, of: part, &plan, &tally)
            guard plan.stepsLeft >= 0 else { throw .time }
            guard !tally.isFull else { throw .series }
        }
        return tally
    }

    private func count(_ extent: BlockExtent, of part: ArchivePart, _ plan: inout LogPlan, _ tally: inout LogTally) {
        _ = archive.read(part) { file in
            if !plan.needles.isEmpty, let packed = try file.sieve(of: extent.id), let sieve = TextSieve(packed) {
                guard plan.needles.allSatisfy({ sieve.mayContain($0) }) else { return }
            }
            guard let packed = try file.head(of: extent.id) else { return }
            let heads = try LogHeads(packed)
            var rows = plan.rows(of: heads, times: query.times, id: nil)
            guard !rows.isEmpty else { return }
            var bodies: LogBodies?
            let known = plan.rowsByLabels(rows, of: heads)
            if known == nil || query.bytes == .exact || query.showsAttributes {
                bodies = try LogBodies(try file.body(of: extent.id) ?? [], rows: heads.count)
            }
            if let known { rows = known } else if let bodies { rows = plan.rows(rows, of: heads, bodies) }
            let average = try query.bytes == .average ? Self.average(extent.id, file, rows: heads.count) : 0
            var counter = BlockCounter(query: query, part: part, heads: heads, bodies: bodies)
            for row in rows {
                guard let place = counter.place(of: row, &tally) else { return }
                let bytes = query.bytes == .exact ? bodies?.message(row).count ?? 0 : average
                tally.add(heads.times[row], bytes: bytes, to: place)
            }
        }
    }

    private static func average(_ block: Int64, _ file: DayFileStore, rows: Int) throws -> Int {
        let size = try file.blocks(from: block, max: 1).first
        return (size?.id == block ? size?.receivedBytes ?? 0 : 0) / max(1, rows)
    }
}

/// Finds the series of a block's rows: once for all rows that share what tells them apart.
private struct BlockCounter {
    private let query: LogTallyQuery
    private let part: ArchivePart
    private let heads: LogHeads
    private let bodies: LogBodies?
    private let columns: [[Int32]]
    private var known: [[Int32]: Int] = [:]
    /// The last row's, as many say the same as the one before.
    private var last: (numbers: [Int32], place: Int)?

    init(query: LogTallyQuery, part: ArchivePart, heads: LogHeads, bodies: LogBodies?) {
        (self.query, self.part, self.heads, self.bodies) = (query, part, heads, bodies)
        let fields: Set<Int> =
            switch query.grouping {
            case .by(let names): Set(names.map { LogPlan.fields[$0] ?? LogRow.Field.labels })
            case .without: Set(LogLabel.fields.map(\.1) + [LogRow.Field.labels])
            }
        columns = fields.sorted().map { heads.column($0) }
    }

    mutating func place(of row: Int, _ tally: inout LogTally) -> Int? {
        let numbers = columns.map { $0[row] }
        if !query.showsAttributes {
            if let last, last.numbers == numbers { return last.place }
            if let place = known[numbers] {
                last = (numbers, place)
                return place
            }
        }
        let place = tally.place(of: labels(of: row))
        if let place {
            known[numbers] = place
            last = (numbers, place)
        }
        return place
    }

    private func labels(of row: Int) -> LogLabels {
        LogTallyRow(
            category: part.category, field: { heads.text($0, of: row) },
            labels: { heads.text(LogRow.Field.labels, of: row).map { LogLabels(text: $0) } ?? LogLabels() },
            attributes: { bodies.map { LogRow.attributes($0.attributes(row)) } ?? JSONObject() }
        ).labels(query)
    }
}
