import Synchronization

/// The event log with its live side: an event is written in the transaction of its change, and told to whoever listens
/// after the commit.
public struct Events: Sendable {
    public let store = EventStore()
    public let bus: EventBus
    private let world: World
    private let watch: SecretWatch?

    /// - Parameter watch: What must not stand in any event.
    public init(world: World, bus: EventBus = EventBus(), watch: SecretWatch? = nil) {
        self.world = world
        self.bus = bus
        self.watch = watch
    }

    /// Appends in the caller's transaction; listeners hear of it once that is durable.
    @discardableResult
    public func append(_ draft: EventDraft, in transaction: Transaction) throws -> Event {
        var draft = draft
        if let watch { draft.data = watch.clean(draft.data, at: "events") }
        let event = try store.append(draft, at: world.now, in: transaction)
        let bus = bus
        transaction.afterCommit { bus.publish(event) }
        return event
    }
}

/// The newest events, and those who wait for the next one. The writer hands an event over and goes on: a slow listener
/// falls behind alone, and reads from the log what the ring no longer has.
public final class EventBus: Sendable {
    /// Events kept at hand, so that many live pages do not each ask the store.
    public static let ringMax = 4_096

    private struct State {
        var ring: [Event] = []
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
        var head: Int64 = 0
    }

    private let state = Mutex(State())

    public init() {}

    /// The highest number known to this process; another replica may have committed more.
    public var head: Int64 { state.withLock { $0.head } }

    /// Learns from the store how far the log reaches, and wakes those who wait for that: other replicas write to it
    /// too.
    public func learn(head: Int64) {
        let waiters = state.withLock { state in
            guard head > state.head else { return [CheckedContinuation<Void, Never>]() }
            state.head = head
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    func publish(_ event: Event) {
        let waiters = state.withLock { state in
            // Behind a gap (another replica's events) the ring starts anew, so that it never has one inside.
            if let last = state.ring.last, last.seq + 1 != event.seq { state.ring = [] }
            state.ring.append(event)
            if state.ring.count > Self.ringMax * 2 { state.ring.removeFirst(Self.ringMax) }
            state.head = max(state.head, event.seq)
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Events behind `after` that are at hand; `nil` where the ring does not reach back so far.
    public func recent(after: Int64, limit: Int) -> [Event]? {
        state.withLock { state in
            guard let first = state.ring.first, let last = state.ring.last, first.seq - 1 <= after else { return nil }
            if after >= last.seq, state.head > last.seq { return nil }
            guard after < first.seq + Int64(state.ring.count) else { return [] }
            return Array(state.ring[Int(after + 1 - first.seq)...].prefix(limit))
        }
    }

    /// Waits until something is published, or the caller's task is cancelled.
    public func next(after: Int64) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.head > after || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
