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
        /// The disk fails; the text is for the log.
        case failed(String)
    }

    private struct Waiting {
        let number: Int64
        let arrivedAt: Timestamp
        let agent: String?
        let spans: ReceivedSpans
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
        var syncedAt: Timestamp?
    }

    private let archive: Archive
    private let spool: Spool
    private let world: World
    private let state: Mutex<State>
    private let keeping = Mutex(Keeping())
    private let worker = DispatchQueue(label: "reeve.telemetry.archive")

    /// - Parameters:
    ///   - folder: The folder of all telemetry, made where it is absent.
    ///   - quota: Bytes that the spool may take.
    ///   - onWarning: Hears of what an earlier process left damaged.
    public init(folder: String, quota: Int, world: World, onWarning: (String) -> Void = { _ in }) throws {
        self.world = world
        archive = try Archive(folder: folder)
        var state = State()
        spool = try Spool(
            folder: "\(folder)/spool", quota: quota, after: try archive.progress(),
            replay: { number, entry in
                guard let waiting = Self.waiting(number, entry) else { return }
                state.waiting.append(waiting)
                state.bytes += waiting.spans.body.count
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
        let hasRoom = state.withLock { $0.bytes + body.count <= Self.waitingBytesMax }
        guard hasRoom else { throw counted(.overloaded) }
        if !spans.items.isEmpty {
            let arrivedAt = world.now
            let entry = SpoolEntry(
                kind: Self.requestKind, receivedAt: arrivedAt.microseconds, payload: Self.payload(agent, body))
            do {
                try await spool.append(entry) { number in
                    self.state.withLock { state in
                        state.waiting.append(
                            Waiting(number: number, arrivedAt: arrivedAt, agent: agent, spans: spans))
                        state.bytes += body.count
                    }
                }
            } catch {
                switch error {
                case .full, .closed: throw counted(.overloaded)
                case .failed(let text): throw counted(.failed(text))
                }
            }
        }
        state.withLock { state in
            state.ledger.received += spans.items.count + refused.values.reduce(0, +)
            state.ledger.rejectedByReason.merge(refused, uniquingKeysWith: +)
        }
        return refused
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
            spans: spans)
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
                let counts: (stored: Int, duplicate: Int)
                do { counts = try keep(waiting, &keeping) } catch {
                    // A part may be in the archive, which is asked anew of every trace.
                    keeping.known = KnownSpans()
                    state.withLock { $0.waiting.insert(contentsOf: waiting, at: 0) }
                    throw error
                }
                keeping.flushed = last.number
                state.withLock { state in
                    state.bytes -= waiting.reduce(0) { $0 + $1.spans.body.count }
                    state.ledger.stored += counts.stored
                    state.ledger.duplicate += counts.duplicate
                }
            }
            try letGo(&keeping)
        }
    }

    private func keep(
        _ waiting: [Waiting], _ keeping: inout Keeping
    ) throws -> (stored: Int, duplicate: Int) {
        var (stored, duplicate) = (0, 0)
        let day = try learnTraces(&keeping)
        // Apart from the rest meanwhile, which is looked at while it changes.
        var known = KnownSpans()
        swap(&known, &keeping.known)
        defer { swap(&known, &keeping.known) }
        var builders: [ArchivePart: SpanBlockBuilder] = [:]
        func end(_ part: ArchivePart, _ number: Int64) throws {
            guard let block = builders.removeValue(forKey: part)?.finish() else { return }
            try archive.append(block, to: part, through: number)
            for trace in block.traces { keeping.filter?.insert(ArchiveKey.trace(trace)) }
        }
        for request in waiting {
            for var item in request.spans.items {
                if let agent = request.agent { item.head.agent = agent }
                let isNew = try known.insert(item.head) { trace in
                    guard keeping.filter?.mayContain(ArchiveKey.trace(trace)) != false else { return [] }
                    return try archive.spanIDs(of: trace, since: day)
                }
                guard isNew else {
                    duplicate += 1
                    continue
                }
                stored += 1
                let part = ArchivePart(item.head.category, at: request.arrivedAt)
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
        guard let last = waiting.last else { return (stored, duplicate) }
        for part in builders.keys.sorted() { try end(part, last.number) }
        return (stored, duplicate)
    }

    /// Knows which traces the archive has of late: who sends again does so within minutes, or after a start. The answer
    /// is the first day of those.
    private func learnTraces(_ keeping: inout Keeping) throws -> Int {
        let day = ArchivePart.day(of: world.now) - Self.daysKnown
        guard keeping.day != day else { return day }
        var filter = TraceFilter()
        try archive.keys(since: day) { filter.insert($0) }
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
            self.spool.release(through: self.keeping.withLock { $0.flushed }, isLast: true)
            try self.archive.close()
        }
    }

    /// Deletes the files of records that are older than they are kept, and says how many.
    @discardableResult
    public func forget(_ retention: TelemetryRetention) async throws -> Int {
        let today = ArchivePart.day(of: world.now)
        return try await onWorker { try self.archive.forget(retention, today: today).count }
    }

    // MARK: out

    public var ledger: TelemetryLedger { state.withLock { $0.ledger } }

    /// The heads of a trace's spans, by their start.
    public func trace(_ id: TraceID) async throws -> [SpanHead] {
        try await onWorker { try self.archive.spans(of: id).map(\.head) }
    }

    /// All of a span; `nil` where there is none.
    public func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        try await onWorker {
            guard let found = try self.archive.spans(of: trace).first(where: { $0.head.spanID == id }) else {
                return nil
            }
            return try self.archive.detail(of: found.head, at: found.place)
        }
    }

    private func onWorker<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            worker.async { continuation.resume(with: Result { try body() }) }
        }
    }
}
