import Kernel

/// Puts requests into the archive, in blocks for each part of it.
///
/// A part's file says up to which request everything of it is there. So a file gets the blocks of whole requests, and
/// after a failure, or a start, what a part has is passed over.
struct ArchiveFlush {
    /// Records of a block, and bytes of their bodies; the end of the request may bring some more.
    private static let spansMax = 1_000
    private static let rowsMax = 2_048
    private static let spanBytesMax = 1 << 20
    private static let rowBytesMax = 512 << 10
    /// So much more may one request bring before the block is ended within it.
    private static let stretch = 4
    /// Days before today in whose files a span that comes again is looked for.
    private static let daysKnown = 1

    typealias Counts = StoreOutcome.Counts

    /// What goes to one part.
    private struct Gathering {
        var spans: SpanBlockBuilder
        var logs = LogBlockBuilder()
        /// Blocks that wait for the end of their request.
        var ended: [ArchiveBlock] = []
        var counts = Counts()
        /// The spans in ``spans`` and ``ended``.
        var fresh: [StoredSpan] = []

        init(_ key: ArchiveKey) { spans = SpanBlockBuilder(key: key) }

        mutating func end(_ key: ArchiveKey) {
            if let block = spans.finish() { ended.append(ArchiveBlock(block, key: key)) }
            if let block = logs.finish() { ended.append(ArchiveBlock(block, key: key)) }
            spans = SpanBlockBuilder(key: key)
            logs = LogBlockBuilder()
        }

        /// Whether there is enough for a block, or `times` as much.
        func isFull(times: Int = 1) -> Bool {
            spans.count >= spansMax * times || spans.bytes >= spanBytesMax * times || logs.count >= rowsMax * times
                || logs.bytes >= rowBytesMax * times
        }
    }

    private let archive: Archive
    private let live: LiveSpans
    private let bindings: TraceBindings
    private var known = KnownSpans()
    /// Of the traces of `day` and later; made when the first come in.
    private var filter: TraceFilter?
    private var day = 0
    private var gatherings: [ArchivePart: Gathering] = [:]
    private var counts: [TelemetrySignal: Counts] = [:]
    private var fresh: [StoredSpan] = []
    /// How far each part was at the start, and is now; asked for where something may be in it already.
    private var reachedBefore: [ArchivePart: Int64] = [:]
    private var reached: [ArchivePart: Int64] = [:]
    private var hasFailed = false
    /// Spans of these requests that run: told of once all of them are through.
    private var pending = 0

    init(_ archive: Archive, live: LiveSpans, bindings: TraceBindings) {
        self.archive = archive
        self.live = live
        self.bindings = bindings
    }

    /// Counts since the last call.
    mutating func takeCounts() -> [TelemetrySignal: Counts] {
        defer { counts = [:] }
        return counts
    }

    /// Spans that were put into the archive since the last call.
    mutating func takeFresh() -> [StoredSpan] {
        defer { fresh = [] }
        return fresh
    }

    /// All of the requests are in the archive, or those behind a failure come again with the next call.
    mutating func keep(_ requests: [WaitingRequest], now: Timestamp) -> Result<Void, any Error> {
        learnTraces(now)
        pending = 0
        var replayed: [TelemetrySignal: Int] = [:]
        do {
            for request in requests {
                switch request.content {
                case .spans(let spans, let agent): try keep(spans, agent, of: request, &replayed)
                case .logs(let rows): try keep(rows, of: request, &replayed)
                }
                for part in gatherings.keys {
                    guard let gathering = gatherings[part], gathering.isFull() || !gathering.ended.isEmpty else {
                        continue
                    }
                    try end(part, through: request.number)
                }
            }
            guard let last = requests.last else { return .success(()) }
            for part in gatherings.keys.sorted() { try end(part, through: last.number) }
        } catch {
            gatherings = [:]
            // The archive is asked anew of every trace.
            known = KnownSpans()
            hasFailed = true
            return .failure(error)
        }
        counts[.traces, default: Counts()].pending += pending
        for (signal, count) in replayed { counts[signal, default: Counts()].replayed += count }
        hasFailed = false
        return .success(())
    }

    private mutating func end(_ part: ArchivePart, through number: Int64) throws {
        guard var gathering = gatherings.removeValue(forKey: part) else { return }
        gathering.end(archive.key)
        if !gathering.ended.isEmpty {
            try archive.append(gathering.ended, to: part, through: number)
            reached[part] = number
            fresh += gathering.fresh
            if part.kind == .spans { for key in gathering.ended.flatMap(\.keys) { filter?.insert(key) } }
        }
        let signal = TelemetrySignal(part.kind)
        counts[signal, default: Counts()].stored += gathering.ended.reduce(0) { $0 + $1.count }
        counts[signal, default: Counts()].duplicate += gathering.counts.duplicate
    }

    // MARK: spans

    private mutating func keep(
        _ spans: ReceivedSpans, _ agent: String?, of request: WaitingRequest, _ replayed: inout [TelemetrySignal: Int]
    ) throws {
        for var item in spans.items {
            if let agent { item.head.agent = agent }
            item.head.ingestedAt = request.arrivedAt
            if item.head.correlationID == nil {
                item.head.correlationID = bindings.correlationID(of: item.head.traceID)
            }
            if spans.body.withUnsafeBytes({ live.take(item, of: $0, arrivedAt: request.arrivedAt) }) {
                pending += 1
                continue
            }
            let part = ArchivePart(.spans, item.head.category, at: request.arrivedAt)
            guard !isKept(request, part, &replayed) else { continue }
            let isNew = known.insert(item.head) { [archive, filter, day] trace in
                guard filter?.mayContain(archive.key.trace(trace)) != false else { return [] }
                return archive.spanIDs(of: trace, since: day, max: KnownSpans.spansOfTraceMax)
            }
            guard isNew else {
                gatherings[part, default: Gathering(archive.key)].counts.duplicate += 1
                continue
            }
            spans.body.withUnsafeBytes { body in
                gatherings[part, default: Gathering(archive.key)].spans.add(item, of: body)
                gatherings[part]?.fresh.append(StoredSpan(item, of: body))
            }
            endStretched(part)
        }
    }

    /// Knows which traces the archive has of late: who sends again does so within minutes, or after a start.
    private mutating func learnTraces(_ now: Timestamp) {
        let first = ArchivePart.day(of: now) - Self.daysKnown
        guard filter == nil || day != first else { return }
        var filter = TraceFilter()
        archive.keys(since: first) { filter.insert($0) }
        self.filter = filter
        day = first
    }

    // MARK: logs

    private mutating func keep(
        _ rows: LogRows, of request: WaitingRequest, _ replayed: inout [TelemetrySignal: Int]
    ) throws {
        try rows.each { row in
            let fields = try LogRow.Fields(row)
            let part = ArchivePart(.logs, fields.category, at: request.arrivedAt)
            guard !isKept(request, part, &replayed) else { return }
            gatherings[part, default: Gathering(archive.key)].logs.add(fields, bytes: row.count)
            endStretched(part)
        }
    }

    // MARK: both

    private mutating func endStretched(_ part: ArchivePart) {
        if gatherings[part]?.isFull(times: Self.stretch) == true { gatherings[part]?.end(archive.key) }
    }

    /// Whether an earlier process, or a try that failed, has put the request's records of this part there.
    private mutating func isKept(
        _ request: WaitingRequest, _ part: ArchivePart, _ replayed: inout [TelemetrySignal: Int]
    ) -> Bool {
        guard request.isReplayed || hasFailed else { return false }
        if reachedBefore[part] == nil {
            reachedBefore[part] = reached[part].map { _ in 0 } ?? archive.progress(of: part)
        }
        let isFromBefore = request.isReplayed && (reachedBefore[part] ?? 0) >= request.number
        if isFromBefore { replayed[TelemetrySignal(part.kind), default: 0] += 1 }
        return isFromBefore || (reached[part] ?? 0) >= request.number
    }
}

extension TelemetrySignal {
    init(_ kind: ArchivePart.Kind) {
        switch kind {
        case .spans: self = .traces
        case .logs: self = .logs
        }
    }
}
