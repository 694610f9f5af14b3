import Kernel

/// Something of Reeve's own that is seen while it runs, and needs no word when it begins.
public protocol RunningSpans: Sendable {
    /// What runs of a trace, from memory.
    func spans(of trace: TraceID) -> [OwnSpan]
}

extension RunningSpans {
    func heads(of trace: TraceID, at now: Timestamp) -> [SpanHead] {
        let spans = spans(of: trace)
        guard !spans.isEmpty, let read = try? ReceivedSpans(OwnSpan.request(spans)) else { return [] }
        return read.items.map { item in
            var head = item.head
            head.endedAt = max(head.startedAt, now.microseconds &* 1_000)
            return head
        }
    }
}
