import Foundation
import Kernel
import Synchronization

/// Takes spans in: they are on the disk before their sender hears of it, and in the archive a moment later.
///
/// A request is read where it arrives, kept whole in the spool, and waits in memory for the next ``flush()``, which
/// drops what is known, puts the rest together in blocks and lets the spool go.
public final class SpanIngest: Sendable {
    public static let flushInterval = Span.milliseconds(250)
    /// Spans of a block, and bytes of their bodies.
    static let blockSpansMax = 1_000
    static let blockBytesMax = 1 << 20
    /// Bytes of requests that wait for the archive; more are refused until it has caught up.
    static let waitingBytesMax = 128 << 20
    /// About what is known of a span takes in memory, beside its bytes.
    static let itemBytes = 700
    /// How long the spool keeps what is in the archive and not synced.
    static let syncInterval = Span.seconds(5)
    /// Days before today in whose files a span that comes again is looked for.
    static let daysKnown = 1
    private static let requestKind: UInt8 = 1

    /// Why a request is refused as a whole.
    public enum Fault: Error, Sendable, Equatable {
        /// The bytes are no request.
        case malformed
        /// There is no room for the moment: the sender comes again.
        case overloaded
        /// More than the spool may ever have.
        case tooLarge
        /// The disk fails; the text is for the log.
        case failed(String)
    }

    private struct Waiting {
        let number: Int64
        let arrivedAt: Timestamp
        let agent: String?
        let spans: ReceivedSpans
        /// Whether an earlier process took it in: a part of it may be in the archive.
        var isReplayed = false

        /// About what it takes in memory.
        var bytes: Int { spans.body.count + spans.items.count * SpanIngest.itemBytes }
    }

    private struct State {
        var waiting: [Waiting] = []
        var bytes = 0
        var ledger = TelemetryLedger()
    }

    /// What only the flush touches, one at a time.
    private struct Keeping {
        var known = KnownSpans()
        /// Of the traces of `day` and later; made when the first come in.
        var filter: TraceFilter?
        var day: Int?
        var flushed: Int64 = 0
        /// Spans of a flush that failed which are in the archive all the same: to come again is not to be sent again.
        var halfKept = 0
        var syncedAt: Timestamp?
    }

    private let archive: Archive
    /// The same files, for those who look: they hold nothing up.
    private let reading: Archive
    private let spool: Spool
    private let world: World
    private let state: Mutex<State>
    private let keeping = Mutex(Keeping())
    private let worker = DispatchQueue(label: "reeve.telemetry.archive")
    private let reader = DispatchQueue(label: "reeve.telemetry.reader")

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - quota: Bytes that the spool may take.
    ///   - onWarning: Hears of what cannot be read.
    public init(
        folder: String, quota: Int, world: World, onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.world = world
        archive = try Archive(folder: folder, entropy: world.entropy, onWarning: onWarning)
        reading = try Archive(folder: folder, entropy: world.entropy, onWarning: onWarning)
        var state = State()
        spool = try Spool(
            folder: "\(folder)/spool", quota: quota, after: archive.progress(),
            replay: { number, entry in
                guard let waiting = Self.waiting(number, entry) else { return }
                state.waiting.append(waiting)
                state.bytes += waiting.bytes
                state.ledger.received += waiting.spans.items.count
            }, damage: onWarning)
        self.state = Mutex(state)
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
        do { spans = try ReceivedSpans(body) } catch { throw .malformed }
        let refused = spans.refused.merging(refusedBefore, uniquingKeysWith: +)
        let bytes = Waiting(number: 0, arrivedAt: world.now, agent: nil, spans: spans).bytes
        let hasRoom = state.withLock { $0.bytes + bytes <= Self.waitingBytesMax }
        guard hasRoom else { throw counted(.overloaded) }
        if !spans.items.isEmpty { try await keep(spans, agent) }
        state.withLock { state in
            state.ledger.received += spans.items.count + refused.values.reduce(0, +)
            state.ledger.rejectedByReason.merge(refused, uniquingKeysWith: +)
        }
        return refused
    }

    private func keep(_ spans: ReceivedSpans, _ agent: String?) async throws(Fault) {
        let arrivedAt = world.now
        let entry = SpoolEntry(
            kind: Self.requestKind, receivedAt: arrivedAt.microseconds, payload: Self.payload(agent, spans.body))
        do {
            try await spool.append(entry) { number in
                let waiting = Waiting(number: number, arrivedAt: arrivedAt, agent: agent, spans: spans)
                self.state.withLock { state in
                    state.bytes += waiting.bytes
                    state.waiting.append(waiting)
                }
            }
        } catch {
            switch error {
            case .full, .closed: throw counted(.overloaded)
            case .tooLarge: throw counted(.tooLarge)
            case .failed(let text): throw counted(.failed(text))
            }
        }
    }

    private func counted(_ fault: Fault) -> Fault {
        state.withLock { $0.ledger.refusedRequests += 1 }
        return fault
    }

    /// The agent's name behind its length, then the request.
    private static func payload(_ agent: String?, _ body: [UInt8]) -> [UInt8] {
        var writer = ColumnWriter()
        writer.append(agent ?? "")
        return writer.bytes + body
    }

    private static func waiting(_ number: Int64, _ entry: SpoolEntry) -> Waiting? {
        guard entry.kind == requestKind else { return nil }
        var reader = ColumnReader(entry.payload)
        guard let agent = try? reader.text(), let spans = try? ReceivedSpans(Array(reader.rest)) else { return nil }
        return Waiting(
            number: number, arrivedAt: Timestamp(microseconds: entry.receivedAt), agent: agent.isEmpty ? nil : agent,
            spans: spans, isReplayed: true)
    }

    // MARK: to the archive

    /// Puts what waits into the archive.
    public func flush() async throws { try await onWorker { try self.flushNow() } }

    private func flushNow() throws {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        try keeping.withLock { keeping in
            if let last = waiting.last {
                var counts = Counts()
                do { try keep(waiting, &keeping, &counts) } catch {
                    // A part is in the archive, which is asked anew of every trace.
                    keeping.known = KnownSpans()
                    keeping.halfKept += counts.stored
                    state.withLock { $0.waiting.insert(contentsOf: waiting, at: 0) }
                    throw error
                }
                keeping.flushed = last.number
                let halfKept = keeping.halfKept
                keeping.halfKept = 0
                state.withLock { state in
                    state.bytes -= waiting.reduce(0) { $0 + $1.bytes }
                    // What a failed try had put there came again as one or the other.
                    let again = min(halfKept, counts.duplicate)
                    state.ledger.received -= counts.replayed - (halfKept - again)
                    state.ledger.stored += counts.stored + halfKept
                    state.ledger.duplicate += counts.duplicate - again
                }
            }
            try letGo(&keeping)
        }
    }

    /// What became of the spans of a flush.
    private struct Counts {
        var stored = 0
        var duplicate = 0
        /// Those that an earlier process had put into the archive.
        var replayed = 0
    }

    private func keep(_ waiting: [Waiting], _ keeping: inout Keeping, _ counts: inout Counts) throws {
        let day = learnTraces(&keeping)
        // Apart from the rest meanwhile, which is looked at while it changes.
        var known = KnownSpans()
        swap(&known, &keeping.known)
        defer { swap(&known, &keeping.known) }
        var builders: [ArchivePart: SpanBlockBuilder] = [:]
        var progress: [ArchivePart: Int64] = [:]
        func end(_ part: ArchivePart, _ number: Int64) throws {
            guard let block = builders.removeValue(forKey: part)?.finish() else { return }
            try archive.append(block, to: part, through: number)
            counts.stored += block.count
            for trace in block.traces { keeping.filter?.insert(archive.key.trace(trace)) }
        }
        func isKept(_ request: Waiting, _ part: ArchivePart) -> Bool {
            guard request.isReplayed else { return false }
            let reached = progress[part] ?? archive.progress(of: part)
            progress[part] = reached
            return reached >= request.number
        }
        for request in waiting {
            for var item in request.spans.items {
                if let agent = request.agent { item.head.agent = agent }
                let part = ArchivePart(item.head.category, at: request.arrivedAt)
                guard !isKept(request, part) else {
                    counts.replayed += 1
                    continue
                }
                let isNew = known.insert(item.head) { trace in
                    guard keeping.filter?.mayContain(archive.key.trace(trace)) != false else { return [] }
                    return archive.spanIDs(of: trace, since: day, max: KnownSpans.spansOfTraceMax)
                }
                guard isNew else {
                    counts.duplicate += 1
                    continue
                }
                request.spans.body.withUnsafeBytes { body in
                    builders[part, default: SpanBlockBuilder()].add(item, of: body)
                }
                if let builder = builders[part],
                    builder.count >= Self.blockSpansMax || builder.bytes >= Self.blockBytesMax
                {
                    // The request's other spans may follow: it is not in this part to its end.
                    try end(part, request.number - 1)
                }
            }
        }
        guard let last = waiting.last else { return }
        for part in builders.keys.sorted() { try end(part, last.number) }
    }

    /// Knows which traces the archive has of late: who sends again does so within minutes, or after a start. The answer
    /// is the first day of those.
    private func learnTraces(_ keeping: inout Keeping) -> Int {
        let day = ArchivePart.day(of: world.now) - Self.daysKnown
        guard keeping.day != day else { return day }
        var filter = TraceFilter()
        archive.keys(since: day) { filter.insert($0) }
        keeping.filter = filter
        keeping.day = day
        return day
    }

    /// Deletes what the spool need not keep any more, once the archive is synced.
    private func letGo(_ keeping: inout Keeping) throws {
        let now = world.now
        let isDue = keeping.syncedAt.map { now - $0 >= Self.syncInterval || now < $0 } ?? true
        guard keeping.flushed > 0, isDue || spool.isPressed else { return }
        try archive.sync()
        spool.release(through: keeping.flushed)
        keeping.syncedAt = now
    }

    /// Puts the last into the archive and closes it.
    public func close() async throws {
        spool.close()
        try await onWorker {
            try self.flushNow()
            try self.archive.sync()
            self.spool.release(through: self.keeping.withLock { $0.flushed })
            try self.archive.close()
            try self.reading.close()
        }
    }

    /// Deletes the files of records that are older than they are kept, and says how many.
    @discardableResult
    public func forget(_ retention: TelemetryRetention) async throws -> Int {
        let today = ArchivePart.day(of: world.now)
        let old = archive.parts().filter { today - $0.day > retention.days($0.category) }
        // First whoever looks lets go of them: the disk has room only once nobody holds a file.
        try await Self.on(reader) { try self.reading.letGo(of: old) }
        try await onWorker { try self.archive.drop(old) }
        return old.count
    }

    // MARK: out

    public var ledger: TelemetryLedger { state.withLock { $0.ledger } }

    /// The heads of a trace's spans, by their start.
    public func trace(_ id: TraceID) async throws -> [SpanHead] {
        try await Self.on(reader) { self.reading.spans(of: id).map(\.head) }
    }

    /// All of a span; `nil` where there is none.
    public func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        try await Self.on(reader) {
            guard let found = self.reading.span(id, of: trace) else { return nil }
            return try self.reading.detail(of: found.head, at: found.place)
        }
    }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await Self.on(worker, body)
    }

    private static func on<Value: Sendable>(
        _ queue: DispatchQueue, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
