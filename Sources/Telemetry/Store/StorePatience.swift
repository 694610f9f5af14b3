import Kernel
import Synchronization

/// When a store that does not take records is tried again: after 1, 2, 4 … 60 s, each shortened at random by up to a
/// half, so that several do not come back at the same moment.
final class StorePatience: Sendable {
    static let base = Span.seconds(1)
    static let cap = Span.seconds(60)

    private struct State {
        /// Tries that failed, one after the other.
        var row = 0
        var all = 0
        var since: Timestamp?
        var next: Timestamp?
    }

    private let world: World
    private let state = Mutex(State())

    init(_ world: World) { self.world = world }

    /// Tries that failed since the start.
    var failures: Int { state.withLock { $0.all } }

    /// Whether it is left alone at this moment.
    var isResting: Bool {
        let now = world.now
        return state.withLock { state in
            guard let next = state.next else { return false }
            // A clock that was put back must not hold it up.
            return now < next && next - now <= Self.cap
        }
    }

    /// Notes a try that failed.
    ///
    /// - Returns: Whether it went well before.
    func fail() -> Bool {
        let (now, fraction) = (world.now, world.entropy.fraction())
        return state.withLock { state in
            let ceiling = min(Self.cap, Self.base * Double(1 << min(state.row, 30)))
            state.row += 1
            state.all += 1
            state.next = now + ceiling * (0.5 + fraction / 2)
            if state.since == nil { state.since = now }
            return state.row == 1
        }
    }

    /// Notes that it takes records.
    ///
    /// - Returns: How long it did not; `nil` where it did all the time.
    func succeed() -> Span? {
        let now = world.now
        return state.withLock { state in
            defer { (state.row, state.since, state.next) = (0, nil, nil) }
            return state.since.map { max(.zero, now - $0) }
        }
    }
}
