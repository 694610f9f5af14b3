import Foundation
import Kernel
import Synchronization

/// Takes records in: they are on the disk before their sender hears of it, and in the archive a moment later.
///
/// A request is read where it arrives, kept whole in the spool, and waits in memory for the next ``flush()``, which
/// drops what is known, puts the rest together in blocks and lets the spool go.
public final class TelemetryIngest: Sendable {
    /// Bytes of requests that wait in memory for the store; more wait in the spool alone.
    public static let waitingBytesMax = 128 << 20
    /// How long the spool keeps what is in the archive and not synced.
    static let syncInterval = Span.seconds(5)
    /// Bytes of requests that go to the store at a time, with one more: whoever waits to drop or to erase something
    /// comes in between.
    static let turnBytesMax = 16 << 20
    /// How long somebody waits for what was looked for in logs.
    static let searchMax = Duration.seconds(10)
    /// Rounds in which what is on its way to the store when it is to be settled gets there.
    private static let settleTries = 3

    /// Why a request is refused as a whole.
    public enum Fault: Error, Sendable, Equatable {
        /// The bytes are no request.
        case malformed
        /// There is no room for the moment: the sender comes again.
        case overloaded
        /// There is no room to read it; see ``BodyRoom``.
        case crowded
        /// More than the spool may ever have.
        case tooLarge
        /// The disk fails; the text is for the log.
        case failed(String)
    }

    private struct State {
        var waiting: [WaitingRequest] = []
        var bytes = 0
        /// What waits in the spool alone, behind all of ``waiting``.
        var unread = SpoolStretch()
        var ledgers = TelemetryLedgers()
        /// What is not taken for want of room.
        var shed: Set<TelemetryCategory> = []
    }

    /// Entries of the spool: those behind `after` up to `through`.
    private struct SpoolStretch {
        var after: Int64 = 0
        var through: Int64 = 0

        var isEmpty: Bool { through <= after }
    }

    /// What only the flush touches, one at a time.
    private struct Keeping {
        var flushed: Int64 = 0
        /// How far the spool was let go of.
        var released: Int64 = 0
        var syncedAt: Timestamp?
    }

    /// What traces belong to whose spans do not say it.
    public let bindings: TraceBindings
    private let bindingsFile: TraceBindingsFile
    /// The spans that run.
    public let live: LiveSpans
    private let liveFile: LiveSpansFile
    private let ledgerFile: LedgerFile
    /// The erasure that is under way.
    public let erasureFile: ErasureFile
    /// Which labels tell streams of logs apart.
    let streams: StreamLabels
    let store: any TelemetryStore
    /// Where log records go on to.
    public let kafka: KafkaOutlet?
    private let spool: Spool
    /// For bodies while they are read.
    public let room: BodyRoom
    private let folder: String
    private let diskQuota: DiskQuota
    private let watch: SecretWatch?
    private let world: World
    private let waitingBytesMax: Int
    /// The last entry that an earlier process left.
    private let replayedThrough: Int64
    private let state: Mutex<State>
    private let keeping = Mutex(Keeping())
    private let turn = Turn()
    private let knowsLabels: Mutex<Bool>
    private let hearer = Mutex<(@Sendable ([StoredSpan]) -> Void)?>(nil)
    private let worker = DispatchQueue(label: "reeve.telemetry.quota")
    private let onNotice: @Sendable (String) -> Void
    private let onWarning: @Sendable (String) -> Void

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - quota: Bytes that the spool may take.
    ///   - diskQuota: Bytes that all telemetry may take before some of it is shed; see ``DiskQuota``.
    ///   - room: For the bodies of requests while they are read.
    ///   - watch: What must not stand in any record.
    ///   - onWarning: Hears of what cannot be read, and when the store goes away.
    ///   - onNotice: Hears when the store that was away is back.
    ///   - kafka: Gets every log record that is kept.
    ///   - clickHouse: The database that keeps the records instead of files of that folder, and the way there.
    public init(
        folder: String, quota: Int, diskQuota: Int = .max, world: World,
        clickHouse: (address: ClickHouseAddress, transport: any ClickHouseTransport)? = nil, kafka: KafkaOutlet? = nil,
        waitingBytesMax: Int = TelemetryIngest.waitingBytesMax, room: BodyRoom = BodyRoom(),
        watch: SecretWatch? = nil,
        onWarning: @escaping @Sendable (String) -> Void = { _ in },
        onNotice: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        (self.kafka, self.waitingBytesMax, self.watch) = (kafka, waitingBytesMax, watch)
        (self.folder, self.diskQuota, self.world) = (folder, DiskQuota(quota: diskQuota), world)
        (self.room, self.onNotice, self.onWarning) = (room, onNotice, onWarning)
        for part in ["", "/spool", "/kafka"] { DurableFile.clear(folder + part) }
        bindings = TraceBindings(world: world)
        bindingsFile = TraceBindingsFile(folder: folder, bindings: bindings)
        live = LiveSpans(world: world)
        liveFile = LiveSpansFile(folder: folder, live: live)
        let store: any TelemetryStore =
            if let (address, transport) = clickHouse {
                try ClickHouseStore(
                    address, transport: transport, folder: folder, live: live, bindings: bindings, world: world)
            } else {
                try ArchiveStore(
                    folder: folder, live: live, bindings: bindings, world: world, onWarning: onWarning)
            }
        self.store = store
        let labels = store.labelsAtStart
        streams = StreamLabels(StreamLabels.few(labels ?? [:]))
        knowsLabels = Mutex(labels != nil)
        ledgerFile = LedgerFile(path: "\(folder)/ledger")
        erasureFile = ErasureFile(folder: folder)
        let (ledgers, counted) = ledgerFile.load(onWarning)
        var state = State(ledgers: ledgers)
        var replayedThrough: Int64 = 0
        spool = try Spool(
            folder: "\(folder)/spool", quota: quota, after: max(store.entryAtStart, counted),
            replay: { number, entry in
                // The ledger is kept behind all that it counts, so that is in the store and synced.
                guard number > counted, let waiting = WaitingRequest(number, entry) else { return }
                Self.queue(waiting, max: waitingBytesMax, &state)
                replayedThrough = number
                state.ledgers[waiting.content.signal].received += waiting.content.count
            }, ahead: { [bindingsFile] in bindingsFile.write() }, damage: onWarning)
        self.state = Mutex(state)
        self.replayedThrough = replayedThrough
        liveFile.load(onWarning)
        bindingsFile.load(onWarning)
    }

    // MARK: in

    /// Takes the spans of an OTLP `ExportTraceServiceRequest`, and says which were refused.
    ///
    /// - Parameters:
    ///   - agent: Whose they are, where the key says so; it overrules what they say.
    ///   - refusedBefore: Spans of the request that did not come so far.
    public func take(
        _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int] = [:]
    ) async throws(Fault) -> [RecordFlaw: Int] {
        let spans: ReceivedSpans
        let body = watch.map { SecretSweep.clean(spans: body, $0) } ?? body
        do { spans = try ReceivedSpans(body) } catch { throw .malformed }
        let refused = spans.refused.merging(refusedBefore, uniquingKeysWith: +)
        return try await take(.spans(spans, agent: agent), refused: refused)
    }

    /// Takes log records; see ``LogRows``.
    ///
    /// - Parameter refused: Records of the request that are not among them.
    /// - Returns: Those, and what is shed.
    @discardableResult
    public func take(_ logs: LogRows, refused: [RecordFlaw: Int]) async throws(Fault) -> [RecordFlaw: Int] {
        let logs = watch.map { SecretSweep.clean(logs, $0) } ?? logs
        return try await take(.logs(logs), refused: refused)
    }

    /// Takes Reeve's own lines, each a JSON object; one that is none is counted.
    public func takeOwn(_ lines: [[UInt8]]) async throws(Fault) {
        let origin = LogOrigin(arrival: world.now.microseconds * 1_000)
        var rows = LogRows()
        var refused: [RecordFlaw: Int] = [:]
        for line in lines {
            do {
                let document = try JSONParser.parse(line)
                rows.append(LogRow.encode(try LogReader.read(document, from: origin)))
            } catch { refused[error as? RecordFlaw ?? .malformed, default: 0] += 1 }
        }
        try await take(rows, refused: refused)
    }

    private func take(
        _ content: WaitingRequest.Content, refused: [RecordFlaw: Int]
    ) async throws(Fault) -> [RecordFlaw: Int] {
        let arrivedAt = world.now
        let categories = state.withLock { $0.shed }
        let (content, shed) = categories.isEmpty ? (content, [:]) : content.without(categories)
        if content.count > 0 {
            try await keep(WaitingRequest(arrivedAt: arrivedAt, content: content, shed: Set(shed.keys)))
        }
        let shedCount = shed.values.reduce(0, +)
        state.withLock { state in
            state.ledgers[content.signal].received += content.count + refused.values.reduce(0, +) + shedCount
            state.ledgers[content.signal].rejectedByReason.merge(refused, uniquingKeysWith: +)
            state.ledgers[content.signal].shedByCategory.merge(shed, uniquingKeysWith: +)
        }
        return shedCount == 0 ? refused : refused.merging([.shed: shedCount], uniquingKeysWith: +)
    }

    /// Looks how much of the disk is taken, and sheds from then on what must be.
    public func measure() async throws {
        try await onWorker {
            let shed = self.diskQuota.shed(at: DiskQuota.bytes(of: self.folder))
            self.state.withLock { $0.shed = shed }
        }
    }

    private func keep(_ request: WaitingRequest) async throws(Fault) {
        do {
            try await spool.append(request.entry) { number in
                var waiting = request
                waiting.number = number
                self.state.withLock { Self.queue(waiting, max: self.waitingBytesMax, &$0) }
            }
        } catch {
            switch error {
            case .full, .closed: throw counted(.overloaded, request.content.signal)
            case .tooLarge: throw counted(.tooLarge, request.content.signal)
            case .failed(let text): throw counted(.failed(text), request.content.signal)
            }
        }
    }

    private static func queue(_ request: WaitingRequest, max: Int, _ state: inout State) {
        guard state.unread.isEmpty, state.bytes + request.bytes <= max else {
            if state.unread.isEmpty { state.unread.after = request.number - 1 }
            state.unread.through = request.number
            return
        }
        state.bytes += request.bytes
        state.waiting.append(request)
    }

    /// Refuses what there is no room for before anybody reads it.
    func checkRoom(_ signal: TelemetrySignal) throws(Fault) {
        if spool.isRefusing { throw counted(.overloaded, signal) }
    }

    /// Counts a request for which there is no room.
    func noteCrowded(_ signal: TelemetrySignal) { _ = counted(.crowded, signal) }

    private func counted(_ fault: Fault, _ signal: TelemetrySignal) -> Fault {
        state.withLock { $0.ledgers[signal].refusedRequests += 1 }
        return fault
    }

    // MARK: to the archive

    /// Has spans told of once each, when they are in the archive. Called by one who holds up all others.
    public func tell(_ hear: @escaping @Sendable ([StoredSpan]) -> Void) { hearer.withLock { $0 = hear } }

    /// Puts what waits into the store, which then does some of its own work.
    public func flush() async throws {
        try await turn.run {
            try await self.flushNow()
            _ = await self.store.tidy()
        }
    }

    /// Has the store do all of its own work that there is.
    func tidy() async { await turn.run { while await self.store.tidy() {} } }

    /// How many blocks there are in the archive's files.
    func blocks(of kind: ArchivePart.Kind) async throws -> Int {
        try await (store as? ArchiveStore)?.blocks(of: kind) ?? 0
    }

    /// How often ``flush()`` is to be called.
    public var flushInterval: Span { store.flushInterval }

    /// Why the store cannot be used at this moment; records are kept in the spool until it can.
    public var storeFault: String? { store.fault }

    /// As ``flush()``, but leaves a store that is away alone for a while, and says so once; see ``StorePatience``.
    public func flushIfDue() async throws {
        guard let patience = store.patience else { return try await flush() }
        guard !patience.isResting else { return }
        do { try await flush() } catch {
            guard error is ClickHouseFault || (error as? Problem)?.code == .storageUnavailable else { throw error }
            guard patience.fail() else { return }
            onWarning(
                "The store of telemetry takes no records, which wait in the spool: \(store.fault ?? "\(error)")")
        }
    }

    /// Tries to put records into the store that failed since the start.
    public var storeFailures: Int { store.patience?.failures ?? 0 }

    private func flushNow() async throws {
        bindingsFile.write()
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        var kept = 0
        while kept < waiting.count {
            var (end, bytes) = (kept, 0)
            while end < waiting.count, bytes < Self.turnBytesMax {
                bytes += waiting[end].bytes
                end += 1
            }
            do { try await keep(Array(waiting[kept..<end])) } catch {
                state.withLock { $0.waiting.insert(contentsOf: waiting[kept...], at: 0) }
                throw error
            }
            state.withLock { $0.bytes -= bytes }
            kept = end
        }
        // What comes meanwhile is for the next time: there may be no end to it, and others have work to do.
        let end = state.withLock { $0.unread.through }
        while let page = nextPage(before: end) {
            try await keep(page.requests)
            state.withLock { $0.unread.after = page.through }
            // Senders are told to come again until there is room.
            if spool.isPressed { try await letGo() }
        }
        try await learnLabels()
        if let away = store.patience?.succeed() {
            onNotice("The store of telemetry takes records again, after \(away.duration.components.seconds) s.")
        }
        let now = world.now
        let isDue = keeping.withLock { $0.syncedAt.map { now - $0 >= Self.syncInterval || now < $0 } ?? true }
        if isDue || spool.isPressed { try await letGo() }
    }

    /// Puts requests into the store and hands on what became of them.
    private func keep(_ requests: [WaitingRequest]) async throws {
        guard let last = requests.last else { return }
        let outcome = await store.keep(requests, now: world.now)
        if !outcome.fresh.isEmpty { hearer.withLock { $0 }?(outcome.fresh) }
        state.withLock { state in
            for (signal, counts) in outcome.counts {
                state.ledgers[signal].stored += counts.stored + counts.replayed
                state.ledgers[signal].duplicate += counts.duplicate
                state.ledgers[signal].pending += counts.pending
            }
        }
        try outcome.result.get()
        await kafka?.take(requests)
        keeping.withLock { $0.flushed = last.number }
    }

    /// What waits in the spool alone, a file of it at a time; those that begin up to an entry.
    private func nextPage(before end: Int64) -> (requests: [WaitingRequest], through: Int64)? {
        let unread = state.withLock { $0.unread }
        guard !unread.isEmpty, unread.after < end else { return nil }
        let page = spool.entries(after: unread.after)
        // What was written since is told of in a moment, and must not come twice.
        let requests = page.entries.filter { $0.number <= unread.through }.compactMap { number, entry in
            WaitingRequest(number, entry, isReplayed: number <= replayedThrough)
        }
        return (requests, max(unread.after + 1, min(page.through, unread.through)))
    }

    /// Which labels tell streams apart, where that could not be known at the start.
    private func learnLabels() async throws {
        guard !knowsLabels.withLock({ $0 }) else { return }
        streams.learn(StreamLabels.few(try await store.labels()))
        knowsLabels.withLock { $0 = true }
    }

    /// Deletes what the spool need not keep any more, once the store is synced.
    private func letGo() async throws {
        let (flushed, released) = keeping.withLock { ($0.flushed, $0.released) }
        if flushed > released { try await store.sync() }
        let ledgers = ledgers
        try await onWorker {
            try self.liveFile.keep()
            try self.bindingsFile.keep()
            try self.ledgerFile.keep(ledgers, through: flushed)
        }
        keeping.withLock { keeping in
            if flushed > released { spool.release(through: flushed) }
            (keeping.released, keeping.syncedAt) = (flushed, world.now)
        }
    }

    /// Puts the last into the store and closes it.
    public func close() async throws {
        spool.close()
        try await turn.run {
            var fault: (any Error)?
            do {
                try await self.flushNow()
                try await self.letGo()
            } catch { fault = error }
            try await self.store.close()
            try await self.kafka?.close()
            // What could not be kept is in the spool.
            if let fault { throw fault }
        }
    }

    /// Puts what waits into the store and lets the spool go of it: what is dropped or erased must not come again.
    func settle() async throws {
        try await turn.run {
            try await self.flushNow()
            try await self.letGo()
        }
    }

    /// As ``settle()``, and nothing of what came before stands in the spool any more, however much comes meanwhile.
    func settleWhole() async throws {
        let end = spool.seal()
        for _ in 0..<Self.settleTries where spool.has(before: end) { try await settle() }
        // Also where nothing waits: what is known in memory has files as well.
        try await settle()
    }

    // MARK: out

    var now: Timestamp { world.now }

    public var ledgers: TelemetryLedgers { state.withLock { $0.ledgers } }

    /// The heads of a trace's spans, by their start, with those that run.
    public func trace(_ id: TraceID) async throws -> [SpanHead] {
        // Before the store is asked: what ends meanwhile is found there.
        let running = live.heads(of: id)
        return TraceHeads.merged(try await store.heads(of: id), running)
    }

    /// Whether the store has spans of a trace, without reading all of them.
    public func hasTrace(_ id: TraceID) async throws -> Bool { try await store.has(id) }

    /// All of a span; `nil` where there is none.
    public func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        guard var found = try await store.span(id, of: trace) ?? live.detail(id, of: trace) else { return nil }
        // The span is shown without them rather than not at all.
        if found.lacksMessages,
            let logs = try? await store.logs(
                LoggedMessages.query(found.head), longest: LoggedMessages.searchMax)
        {
            found.logged = logs.records.compactMap { LoggedMessages.event($0, of: found.head) }
        }
        return found
    }

    /// Traces that are as asked, ``searchMax`` long.
    public func traces(_ query: TraceQuery) async throws -> TraceFindings {
        try await store.traces(query, longest: Self.searchMax)
    }

    /// Sessions that are as asked, ``searchMax`` long.
    public func sessions(_ query: SessionQuery) async throws -> SessionFindings {
        try await store.sessions(query, longest: Self.searchMax)
    }

    /// Log records that are as asked, ``searchMax`` long.
    public func logs(_ query: LogQuery) async throws -> LogFindings {
        try await store.logs(query, longest: Self.searchMax)
    }

    /// Counts log records that are as asked, ``searchMax`` long.
    func tally(_ query: LogTallyQuery) async throws -> LogTally {
        try await store.tally(query, longest: Self.searchMax)
    }

    /// The labels of streams that are kept, with their values.
    public func logLabels() async throws -> [String: Set<String>] { try await store.labels() }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            worker.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
