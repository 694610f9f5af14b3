/// The spans of a trace as one list, each once.
public enum TraceHeads {
    /// By their start. An end is more than a loss, and a loss more than a beginning.
    ///
    /// - Parameters:
    ///   - kept: Those of the archive.
    ///   - running: Those that had not ended a moment before the archive was asked.
    public static func merged(_ kept: [SpanHead], _ running: [SpanHead]) -> [SpanHead] {
        var places: [SpanID: Int] = [:]
        var heads: [SpanHead] = []
        for head in kept + running {
            guard let place = places[head.spanID] else {
                places[head.spanID] = heads.count
                heads.append(head)
                continue
            }
            if rank(head) < rank(heads[place]) { heads[place] = head }
        }
        return heads.sorted { ($0.startedAt, $0.spanID.value) < ($1.startedAt, $1.spanID.value) }
    }

    private static func rank(_ head: SpanHead) -> Int {
        switch head.state {
        case .ended: 0
        case .lost: 1
        case .running: 2
        }
    }

    /// How far a trace is: it runs while any of its spans does, and is lost where one was.
    public static func state(of heads: [SpanHead]) -> SpanHead.State {
        if heads.contains(where: { $0.state == .running }) { return .running }
        return heads.contains { $0.state == .lost } ? .lost : .ended
    }

    /// What is being done at this moment, or was when it was lost: the span without an end that began last.
    public static func current(of heads: [SpanHead]) -> SpanHead? {
        let state = state(of: heads)
        guard state != .ended else { return nil }
        return heads.last { $0.state == state }
    }
}
