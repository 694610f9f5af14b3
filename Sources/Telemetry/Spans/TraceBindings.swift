import Kernel
import Synchronization

/// Which correlation id traces belong to, where that was said: by a request that named both, by a task, by a call.
///
/// From memory, and bounded: what is kept says it of itself. ``TraceBindingsFile`` has them outlive the process.
public final class TraceBindings: Sendable {
    public static let tracesMax = 100_000
    /// A binding is known for so long; spans come within days, if at all.
    static let keptFor = Span.hours(24 * 7)

    /// One trace, and what it belongs to.
    struct Binding: Sendable, Equatable {
        let trace: TraceID
        let correlationID: String
        let saidAt: Timestamp
    }

    private struct State {
        var known: [TraceID: Binding] = [:]
        /// In the order in which they came.
        var order: [TraceID] = []
        /// Said since ``takeFresh()``; `nil` where these are so many that all are to be written.
        var fresh: [TraceID]? = []
    }

    private let tracesMax: Int
    private let world: World
    private let state = Mutex(State())

    public init(tracesMax: Int = TraceBindings.tracesMax, world: World = .live) {
        self.tracesMax = tracesMax
        self.world = world
    }

    /// What was said last holds.
    public func bind(_ trace: TraceID, to correlationID: String) {
        state.withLock { state in
            guard state.known[trace]?.correlationID != correlationID else { return }
            insert(Binding(trace: trace, correlationID: correlationID, saidAt: world.now), &state)
            if let fresh = state.fresh, fresh.count < tracesMax {
                state.fresh?.append(trace)
            } else {
                state.fresh = nil
            }
        }
    }

    private func insert(_ binding: Binding, _ state: inout State) {
        guard state.known.updateValue(binding, forKey: binding.trace) == nil else { return }
        state.order.append(binding.trace)
        // The older half at once, as taking the first costs a move of all.
        if state.order.count > tracesMax { forget(first: state.order.count / 2, &state) }
    }

    private func forget(first count: Int, _ state: inout State) {
        for trace in state.order.prefix(count) { state.known[trace] = nil }
        state.order.removeFirst(count)
    }

    public func correlationID(of traceparent: String) -> String? {
        TraceContext(traceparent).flatMap { correlationID(of: $0.traceID) }
    }

    public func correlationID(of trace: TraceID) -> String? { state.withLock { $0.known[trace]?.correlationID } }

    // MARK: Across a restart

    /// What was said since this was last asked; `nil` where ``all()`` is to be asked instead.
    func takeFresh() -> [Binding]? {
        state.withLock { state in
            defer { state.fresh = [] }
            return state.fresh.map { $0.compactMap { trace in state.known[trace] } }
        }
    }

    /// Forgets what was said too long ago, and shows the rest in the order in which it came.
    func all() -> [Binding] {
        let first = world.now - Self.keptFor
        return state.withLock { state in
            let old = state.order.prefix { state.known[$0].map { $0.saidAt < first } ?? true }.count
            forget(first: old, &state)
            state.fresh = []
            return state.order.compactMap { state.known[$0] }
        }
    }

    /// Takes up what an earlier process heard.
    func restore(_ bindings: [Binding]) {
        let first = world.now - Self.keptFor
        state.withLock { state in
            for binding in bindings where binding.saidAt >= first { insert(binding, &state) }
        }
    }

    /// Forgets those that are as said, unless they are only looked for, and says how many they are.
    func erase(isDryRun: Bool, where isMeant: (Binding) -> Bool) -> Int {
        state.withLock { state in
            let found = Set(state.known.values.filter(isMeant).map(\.trace))
            guard !isDryRun, !found.isEmpty else { return found.count }
            for trace in found { state.known[trace] = nil }
            state.order.removeAll { found.contains($0) }
            // The file has them: it is to be written as a whole.
            state.fresh = nil
            return found.count
        }
    }
}
