import Kernel

/// What a search found.
public struct LogFindings: Sendable {
    public var records: [LogRecord] = []
    /// Whether all of the time that was asked for was looked at; a search that takes too long ends before.
    public var isComplete = true
    /// Where the next page begins; `nil` where there is none.
    public var next: LogCursor?
}

/// Looks for log records in the archive, block by block in the order of time, and no further than it must.
struct LogSearch {
    private let archive: Archive
    private let query: LogQuery
    private let times: Range<Int64>
    /// Records of the first moment that the page before had.
    private let skip: Int
    /// Records to look for: one more than are shown says that there is another page.
    private let limit: Int
    private let isOver: () -> Bool

    /// - Parameter isOver: Asked between blocks: whether there was enough time.
    init(archive: Archive, query: LogQuery, isOver: @escaping () -> Bool) {
        self.archive = archive
        self.query = query
        self.isOver = isOver
        var times = query.times
        if let after = query.after {
            times =
                query.isNewestFirst
                ? times.clamped(to: .min..<(after.time == .max ? .max : after.time + 1))
                : times.clamped(to: after.time..<Int64.max)
        }
        self.times = times
        skip = query.after?.skip ?? 0
        limit = max(0, query.limit) + skip + 1
    }

    private struct Found {
        let time: Int64
        let part: ArchivePart
        let block: Int64
        let row: Int
        let record: LogRecord
    }

    func run() -> LogFindings {
        var findings = LogFindings()
        guard query.limit > 0, !times.isEmpty else { return findings }
        var plan = LogPlan(query.conditions)
        var cursor = BlockCursor(
            archive: archive, kind: .logs, times: times, key: query.id.map(archive.key.id),
            isNewestFirst: query.isNewestFirst
        ) { plan.mayHave($0.category) }
        var found: [Found] = []
        while let ahead = cursor.ahead {
            if found.count >= limit, let worst = found.last, !mayBeat(ahead, worst.time) { break }
            guard !isOver(), plan.stepsLeft >= 0 else {
                findings.isComplete = false
                break
            }
            guard let (part, extent) = cursor.next() else { break }
            found += look(into: extent, of: part, &plan)
            found.sort(by: isBefore)
            if found.count > limit { found.removeLast(found.count - limit) }
        }
        if plan.stepsLeft < 0 { findings.isComplete = false }
        let shown = found.dropFirst(skip).prefix(query.limit)
        findings.records = shown.map(\.record)
        if found.count == limit || !findings.isComplete, let last = shown.last?.time ?? query.after?.time {
            let same = shown.reversed().prefix { $0.time == last }.count
            let before = same == shown.count && query.after?.time == last ? skip : 0
            findings.next = LogCursor(time: last, skip: before + same)
        }
        return findings
    }

    /// A block with records of the last moment counts: a page must end in the same place whatever its size.
    private func mayBeat(_ times: ClosedRange<Int64>, _ time: Int64) -> Bool {
        query.isNewestFirst ? times.upperBound >= time : times.lowerBound <= time
    }

    private func isBefore(_ left: Found, _ right: Found) -> Bool {
        if left.time != right.time { return query.isNewestFirst == (left.time > right.time) }
        // What came first stands first, and last where the newest do.
        let (leftPlace, rightPlace) = ((left.block, left.row), (right.block, right.row))
        guard left.part == right.part else { return left.part < right.part }
        return query.isNewestFirst ? leftPlace > rightPlace : leftPlace < rightPlace
    }

    private func look(into extent: BlockExtent, of part: ArchivePart, _ plan: inout LogPlan) -> [Found] {
        let found = archive.read(part) { file -> [Found] in
            if !plan.needles.isEmpty, let packed = try file.sieve(of: extent.id), let sieve = TextSieve(packed) {
                guard plan.needles.allSatisfy({ sieve.mayContain($0) }) else { return [] }
            }
            guard let packed = try file.head(of: extent.id) else { return [] }
            let heads = try LogHeads(packed)
            var rows = plan.rows(of: heads, times: times, id: query.id)
            guard !rows.isEmpty else { return [] }
            let body = try file.body(of: extent.id) ?? []
            let bodies = try LogBodies(body, rows: heads.count)
            rows = plan.rows(rows, of: heads, bodies)
            rows.sort { left, right in
                let (leftTime, rightTime) = (heads.times[left], heads.times[right])
                guard leftTime == rightTime else { return query.isNewestFirst == (leftTime > rightTime) }
                return query.isNewestFirst ? left > right : left < right
            }
            let shown = rows.prefix(limit)
            let rests = try bodies.rest(of: shown)
            return try shown.map { row in
                Found(
                    time: heads.times[row], part: part, block: extent.id, row: row,
                    record: try LogRecord(
                        row, of: heads, bodies, rests[row] ?? LogBodies.Rest(), category: part.category))
            }
        }
        return found ?? []
    }
}

extension LogRecord {
    /// The record of a block's row.
    init(
        _ row: Int, of heads: LogHeads, _ bodies: LogBodies, _ rest: LogBodies.Rest,
        category: TelemetryCategory
    ) throws {
        func text(_ field: Int) -> String? { heads.text(field, of: row) }
        self.init(at: heads.times[row])
        level = text(LogRow.Field.level) ?? level
        service = text(LogRow.Field.service) ?? service
        logger = text(LogRow.Field.logger)
        correlationID = text(LogRow.Field.correlation)
        agent = text(LogRow.Field.agent)
        session = text(LogRow.Field.session)
        tool = text(LogRow.Field.tool)
        traceID = text(LogRow.Field.trace)
        labels = text(LogRow.Field.labels).map { LogLabels(text: $0) } ?? LogLabels()
        (spanID, turn, durationMs) = (rest.span, rest.turn, rest.duration)
        self.category = category
        message = String(decoding: bodies.message(row), as: UTF8.self)
        let text = bodies.attributes(row)
        if !text.isEmpty { attributes = LogRow.attributes(text) }
    }
}
