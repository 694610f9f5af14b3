import Synchronization

/// What operators have ordered of models until further notice: no tasks of some, other models in the place of some.
///
/// While nothing is ordered a question costs one load.
public final class ModelOrders: Sendable {
    private struct State {
        var paused: Set<String> = []
        var routes: [String: String] = [:]
    }

    private let state = Mutex(State())
    private let isAny = Atomic(false)

    init() {}

    /// - Parameters:
    ///   - paused: Models whose tasks are not handed out.
    ///   - routes: Models that are answered by others.
    public func set(paused: Set<String>, routes: [String: String]) {
        state.withLock { $0 = State(paused: paused, routes: routes) }
        isAny.store(!paused.isEmpty || !routes.isEmpty, ordering: .releasing)
    }

    public var isEmpty: Bool { !isAny.load(ordering: .acquiring) }
    public var paused: [String] { isEmpty ? [] : state.withLock { $0.paused.sorted() } }
    public func isPaused(_ model: String) -> Bool { !isEmpty && state.withLock { $0.paused.contains(model) } }

    /// The model that answers in the place of this one; `nil` for itself. Routes are followed once.
    public func route(of model: String) -> String? { isEmpty ? nil : state.withLock { $0.routes[model] } }
}
