import Kernel
import Synchronization

/// What takes a request of spans in: the same door that agents' spans go through.
public protocol SpanIntake: Sendable {
    /// See ``TelemetryIngest/take(_:agent:refusedBefore:)``.
    func take(
        _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int]
    ) async throws(TelemetryIngest.Fault) -> [RecordFlaw: Int]
}

extension TelemetryIngest: SpanIntake {}

/// Reeve's own spans on their way to the archive: recorded in memory, handed over in batches.
///
/// What waits when the process is killed is gone; the records that it was made of are not.
public final class OwnSpans: Sendable {
    public static let flushInterval = Span.milliseconds(250)
    /// Spans that wait; more are dropped, and counted.
    public static let waitingMax = 20_000
    /// Spans of one request.
    static let batchMax = 1_000
    /// Bytes of what the spans of one request say besides, before it is read; the first is taken whatever it has.
    static let batchBytesMax = 4 << 20

    /// Bytes of contents that are read in a round, in the long run: 16 MiB a second. Callers need the processor too.
    static let creditBytes = 4 << 20
    /// So many are read at once after quiet rounds. What is beyond is shed, and its span waits for nothing.
    static let creditMax = 64 << 20

    private struct State {
        var waiting: [OwnSpan] = []
        var credit = OwnSpans.creditMax
        var recorded: Int64 = 0
        var dropped: Int64 = 0
    }

    /// What traces belong to, as these spans say.
    public let bindings: TraceBindings
    private let intake: any SpanIntake
    private let waitingMax: Int
    private let turn = Turn()
    private let state = Mutex(State())

    public init(intake: any SpanIntake, bindings: TraceBindings, waitingMax: Int = OwnSpans.waitingMax) {
        self.intake = intake
        self.bindings = bindings
        self.waitingMax = waitingMax
    }

    public func record(_ span: OwnSpan) { record([span]) }

    public func record(_ spans: [OwnSpan]) {
        for span in spans {
            if let id = span.correlationID { bindings.bind(span.context.traceID, to: id) }
        }
        state.withLock { state in
            let taken = spans.prefix(max(0, waitingMax - state.waiting.count))
            state.waiting.append(contentsOf: taken)
            state.recorded += Int64(taken.count)
            state.dropped += Int64(spans.count - taken.count)
        }
    }

    /// Spans that found room, and those that did not or could not be taken in.
    public var counts: (recorded: Int64, dropped: Int64) { state.withLock { ($0.recorded, $0.dropped) } }

    /// Hands over what waits; what finds no room stays for the next round.
    public func flush() async { await turn.run { await handOver() } }

    private func handOver() async {
        state.withLock { $0.credit = min(Self.creditMax, $0.credit + Self.creditBytes) }
        while true {
            let batch = nextBatch()
            guard !batch.isEmpty else { return }
            var refused = 0
            do {
                let flaws = try await intake.take(OwnSpan.request(batch), agent: nil, refusedBefore: [:])
                refused = flaws.values.reduce(0, +)
            } catch {
                switch error {
                case .overloaded, .crowded, .failed: return
                case .malformed, .tooLarge: refused = batch.count
                }
            }
            state.withLock { state in
                state.waiting.removeFirst(batch.count)
                state.dropped += Int64(refused)
            }
        }
    }

    /// Reads what the next spans say, once: they may have to come again.
    private func nextBatch() -> [OwnSpan] {
        var (next, credit) = state.withLock { state in
            var left = Self.batchBytesMax
            let next = Array(
                state.waiting.prefix(Self.batchMax).prefix { span in
                    defer { left -= span.contentBytes }
                    return left > 0
                })
            return (next, state.credit)
        }
        guard next.contains(where: { $0.content != nil }) else { return next }
        next = next.map { $0.settled(&credit) }
        state.withLock {
            $0.waiting.replaceSubrange(0..<next.count, with: next)
            $0.credit = credit
        }
        return next
    }

    public var loops: [Loop] { [Loop("telemetry.own", every: Self.flushInterval) { await self.flush() }] }
}

extension OwnSpans: MetricSource {
    public static let metric = Metric.counter(
        "reeve_own_spans_total", "Spans of Reeve's own, by what became of them", labels: ["outcome"])

    public func collect(into page: inout MetricPage) {
        let (recorded, dropped) = counts
        var family = CounterFamily(Self.metric)
        family.add(recorded, ["recorded"])
        family.add(dropped, ["dropped"])
        page.add(family)
    }
}
