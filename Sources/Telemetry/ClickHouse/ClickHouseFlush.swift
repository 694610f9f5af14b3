import Kernel

/// Puts requests into ClickHouse, whole ones at a time, and none of their records twice.
///
/// An insert is whole in each partition, and not over all of them; and of one that nobody heard of, it is not known
/// whether it was done. So after a failure, or a start, each partition is asked how far it is.
struct ClickHouseFlush {
    /// Rows of one insert, and bytes of them; the end of the request may bring some more. ClickHouse cuts an insert at
    /// a million rows (`max_insert_block_size`).
    private static let rowsMax = 50_000
    private static let bytesMax = 32 << 20
    /// Days before today in which a span that comes again is looked for.
    private static let daysKnown = 1

    private struct Place: Hashable {
        let signal: TelemetrySignal
        let part: ClickHousePart
    }

    /// What goes into one insert.
    private struct Gathering {
        var spans = ColumnWriter()
        var logs = ColumnWriter()
        var count = 0
        var counts: [TelemetrySignal: StoreOutcome.Counts] = [:]
        var fresh: [StoredSpan] = []
        var places: Set<Place> = []

        var isFull: Bool { count >= rowsMax || spans.bytes.count + logs.bytes.count >= bytesMax }
    }

    private let connection: ClickHouseConnection
    private let spans: ClickHouseSpanStore
    private let progress: ClickHouseProgressStore
    private let node: String
    private let live: LiveSpans
    private let bindings: TraceBindings
    private var known = KnownSpans()
    /// How far each partition was when this process first asked, and is now as far as it was told of.
    private var before: [Place: Int64]?
    private var found: [Place: Int64] = [:]
    /// Up to where this process has counted its records.
    private var counted: [Place: Int64] = [:]
    private var hasInserted = false
    private var hasFailed = false
    private var gathering = Gathering()
    private var outcome = StoreOutcome()

    init(_ connection: ClickHouseConnection, node: String, live: LiveSpans, bindings: TraceBindings) {
        self.connection = connection
        self.node = node
        self.live = live
        self.bindings = bindings
        spans = ClickHouseSpanStore(connection: connection)
        progress = ClickHouseProgressStore(connection: connection)
    }

    /// See ``TelemetryStore/keep(_:now:)``.
    mutating func keep(_ requests: [WaitingRequest], now: Timestamp) async -> StoreOutcome {
        outcome = StoreOutcome()
        gathering = Gathering()
        var pending = 0
        do {
            try await learnProgress(of: requests)
            let ids = try await spansKept(of: requests, now)
            for request in requests {
                switch request.content {
                case .spans(let spans, let agent): pending += gather(spans, agent, of: request, ids)
                case .logs(let rows): try gather(rows, of: request)
                }
                if gathering.isFull { try await insert(through: request.number) }
            }
            if let last = requests.last { try await insert(through: last.number) }
            outcome.counts[.traces, default: StoreOutcome.Counts()].pending += pending
            hasFailed = false
        } catch {
            // The store is asked anew of every trace.
            known = KnownSpans()
            gathering = Gathering()
            hasFailed = true
            outcome.result = .failure(error)
            // Told of with the try that gets through.
            for signal in outcome.counts.keys { outcome.counts[signal]?.replayed = 0 }
        }
        return outcome
    }

    private mutating func insert(through entry: Int64) async throws {
        hasInserted = true
        if !gathering.spans.bytes.isEmpty {
            try await connection.insert(ClickHouseSpanStore.insert, rows: gathering.spans.bytes)
        }
        settle(.traces, through: entry)
        if !gathering.logs.bytes.isEmpty {
            try await connection.insert(ClickHouseLogStore.insert, rows: gathering.logs.bytes)
        }
        settle(.logs, through: entry)
        gathering = Gathering()
    }

    /// Counts what is in the store.
    private mutating func settle(_ signal: TelemetrySignal, through entry: Int64) {
        for place in gathering.places where place.signal == signal { counted[place] = entry }
        if let counts = gathering.counts.removeValue(forKey: signal) {
            outcome.counts[signal, default: StoreOutcome.Counts()].stored += counts.stored
            outcome.counts[signal]?.duplicate += counts.duplicate
            outcome.counts[signal]?.replayed += counts.replayed
        }
        guard signal == .traces else { return }
        outcome.fresh += gathering.fresh
        gathering.fresh = []
    }

    // MARK: What is there

    private mutating func learnProgress(of requests: [WaitingRequest]) async throws {
        guard hasFailed || requests.contains(where: \.isReplayed) else { return }
        guard let first = requests.first else { return }
        let day = requests.map { ArchivePart.day(of: $0.arrivedAt) }.min() ?? 0
        found = [:]
        for signal in [TelemetrySignal.traces, .logs] {
            for one in try await progress.reached(signal, of: node, since: day, from: first.number) {
                found[Place(signal: signal, part: one.part)] = one.entry
            }
        }
        // Before the first insert: what is there is an earlier process's.
        if before == nil { before = hasInserted ? [:] : found }
    }

    private enum Standing {
        case new, countedBefore, ofEarlierProcess, unheard
    }

    /// Whether the records of a request are in a partition.
    private func standing(_ request: WaitingRequest, _ place: Place) -> Standing {
        guard request.isReplayed || hasFailed else { return .new }
        if (counted[place] ?? 0) >= request.number { return .countedBefore }
        if request.isReplayed, (before?[place] ?? 0) >= request.number { return .ofEarlierProcess }
        return (found[place] ?? 0) >= request.number ? .unheard : .new
    }

    /// The spans that are kept of the traces that are not known.
    private func spansKept(of requests: [WaitingRequest], _ now: Timestamp) async throws -> [TraceID: Set<UInt64>] {
        var unknown: Set<TraceID> = []
        for request in requests {
            guard case .spans(let spans, _) = request.content else { continue }
            for item in spans.items where !known.knows(item.head.traceID) { unknown.insert(item.head.traceID) }
        }
        guard !unknown.isEmpty else { return [:] }
        return try await spans.spanIDs(
            of: Array(unknown), since: ArchivePart.day(of: now) - Self.daysKnown, max: KnownSpans.spansOfTraceMax + 1)
    }

    // MARK: Rows

    /// Says how many of the spans only said that they had begun.
    private mutating func gather(
        _ spans: ReceivedSpans, _ agent: String?, of request: WaitingRequest, _ ids: [TraceID: Set<UInt64>]
    ) -> Int {
        var pending = 0
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
            let place = self.place(.traces, item.head.category, request)
            let standing = standing(request, place)
            guard count(standing, place) else { continue }
            let kept = ids[item.head.traceID] ?? []
            let isNew = known.insert(item.head) { _ in kept.count > KnownSpans.spansOfTraceMax ? nil : kept }
            // What is there without this process having heard of it is in the store, and no duplicate.
            guard isNew || standing == .unheard else {
                gathering.counts[.traces, default: StoreOutcome.Counts()].duplicate += 1
                continue
            }
            gathering.counts[.traces, default: StoreOutcome.Counts()].stored += 1
            spans.body.withUnsafeBytes { body in
                gathering.fresh.append(StoredSpan(item, of: body))
                guard standing == .new else { return }
                ClickHouseSpanStore.add(
                    item, of: body, place.part, node: node, entry: request.number, to: &gathering.spans)
                gathering.count += 1
            }
        }
        return pending
    }

    private mutating func gather(_ rows: LogRows, of request: WaitingRequest) throws {
        var number = 0
        try rows.each { row in
            defer { number += 1 }
            let fields = try LogRow.Fields(row)
            let place = self.place(.logs, fields.category, request)
            let standing = standing(request, place)
            guard count(standing, place) else { return }
            gathering.counts[.logs, default: StoreOutcome.Counts()].stored += 1
            guard standing == .new else { return }
            ClickHouseLogStore.add(
                fields, place.part, node: node, entry: request.number, number: number, to: &gathering.logs)
            gathering.count += 1
        }
    }

    private func place(
        _ signal: TelemetrySignal, _ category: TelemetryCategory, _ request: WaitingRequest
    ) -> Place {
        Place(
            signal: signal, part: ClickHousePart(category: category, day: ArchivePart.day(of: request.arrivedAt)))
    }

    /// Whether a record is still to be counted.
    private mutating func count(_ standing: Standing, _ place: Place) -> Bool {
        switch standing {
        case .countedBefore: return false
        case .ofEarlierProcess:
            gathering.counts[place.signal, default: StoreOutcome.Counts()].replayed += 1
            return false
        case .new, .unheard:
            gathering.places.insert(place)
            return true
        }
    }
}
