/// Which spans of recent traces are kept, to know one that comes again: senders repeat what they heard nothing of.
struct KnownSpans {
    private struct Trace {
        var spans: Set<UInt64>
        var usedAt: Int
    }

    /// Spans that are remembered; of traces that were not used for longest the archive is asked again.
    static let spansMax = 500_000

    private let spansMax: Int
    private var traces: [TraceID: Trace] = [:]
    private var count = 0
    private var uses = 0

    init(spansMax: Int = KnownSpans.spansMax) { self.spansMax = spansMax }

    /// Whether the span is new; it is known from now on.
    ///
    /// - Parameter kept: Says which spans of a trace the archive has.
    mutating func insert(_ head: SpanHead, kept: (TraceID) throws -> Set<UInt64>) rethrows -> Bool {
        uses += 1
        if traces[head.traceID] == nil {
            let spans = try kept(head.traceID)
            if count + spans.count >= spansMax { forgetHalf() }
            traces[head.traceID] = Trace(spans: spans, usedAt: uses)
            count += spans.count
        }
        traces[head.traceID]?.usedAt = uses
        guard traces[head.traceID]?.spans.insert(head.spanID.value).inserted == true else { return false }
        count += 1
        if count > spansMax { forgetHalf() }
        return true
    }

    private mutating func forgetHalf() {
        let used = traces.values.map(\.usedAt).sorted()
        guard let middle = used.isEmpty ? nil : used[used.count / 2] else { return }
        traces = traces.filter { $0.value.usedAt > middle }
        count = traces.values.reduce(0) { $0 + $1.spans.count }
    }
}
