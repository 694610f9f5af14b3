import Kernel
import Synchronization

/// Which correlation id traces belong to, where that was said: by a request that named both, by a task, by a call.
///
/// From memory, and bounded: what is kept says it of itself.
public final class TraceBindings: Sendable {
    public static let tracesMax = 100_000

    private struct State {
        var ids: [TraceID: String] = [:]
        /// In the order in which they came.
        var order: [TraceID] = []
    }

    private let tracesMax: Int
    private let state = Mutex(State())

    public init(tracesMax: Int = TraceBindings.tracesMax) { self.tracesMax = tracesMax }

    /// What was said last holds.
    public func bind(_ trace: TraceID, to correlationID: String) {
        state.withLock { state in
            guard state.ids.updateValue(correlationID, forKey: trace) == nil else { return }
            state.order.append(trace)
            guard state.order.count > tracesMax else { return }
            // The older half at once, as taking the first costs a move of all.
            let gone = state.order.prefix(state.order.count / 2)
            for trace in gone { state.ids[trace] = nil }
            state.order.removeFirst(gone.count)
        }
    }

    public func correlationID(of traceparent: String) -> String? {
        TraceContext(traceparent).flatMap { correlationID(of: $0.traceID) }
    }

    public func correlationID(of trace: TraceID) -> String? { state.withLock { $0.ids[trace] } }
}
