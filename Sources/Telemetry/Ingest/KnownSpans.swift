/// Which spans of recent traces are kept, to know one that comes again: senders repeat what they heard nothing of.
struct KnownSpans {
    private struct Trace {
        /// `nil` for a trace of too many spans: those are taken as new.
        var spans: Set<UInt64>?
        var usedAt: Int
    }

    /// Spans that are remembered; of traces that were not used for longest the archive is asked again.
    static let spansMax = 500_000
    /// Spans of one trace that are told apart.
    static let spansOfTraceMax = 100_000

    private let spansMax: Int
    private let spansOfTraceMax: Int
    private var traces: [TraceID: Trace] = [:]
    private var count = 0
    private var uses = 0

    init(spansMax: Int = KnownSpans.spansMax, spansOfTraceMax: Int = KnownSpans.spansOfTraceMax) {
        self.spansMax = spansMax
        self.spansOfTraceMax = spansOfTraceMax
    }

    /// Whether a span of this trace can be told without asking.
    func knows(_ trace: TraceID) -> Bool { traces[trace] != nil }

    /// Whether the span is new; it is known from now on.
    ///
    /// - Parameter kept: Says which spans of a trace the archive has; `nil` for more than ``spansOfTraceMax``.
    mutating func insert(_ head: SpanHead, kept: (TraceID) throws -> Set<UInt64>?) rethrows -> Bool {
        uses += 1
        if traces[head.traceID] == nil {
            let spans = try kept(head.traceID)
            traces[head.traceID] = Trace(spans: spans, usedAt: uses)
            count += spans?.count ?? 0
            forgetBeyond()
        }
        traces[head.traceID]?.usedAt = uses
        guard let known = traces[head.traceID]?.spans?.count else { return true }
        guard known < spansOfTraceMax else {
            traces[head.traceID]?.spans = nil
            count -= known
            return true
        }
        guard traces[head.traceID]?.spans?.insert(head.identity).inserted == true else { return false }
        count += 1
        forgetBeyond()
        return true
    }

    /// Where there are too many, forgets the half of the traces that were not used for longest; the last one stays.
    private mutating func forgetBeyond() {
        guard count > spansMax || traces.count > spansMax else { return }
        let used = traces.values.map(\.usedAt).sorted()
        guard let middle = used.isEmpty ? nil : used[used.count / 2] else { return }
        traces = traces.filter { $0.value.usedAt >= middle }
        count = traces.values.reduce(0) { $0 + ($1.spans?.count ?? 0) }
    }
}
