import Synchronization

/// Something in memory that the event log keeps up to date: whoever asks it is answered with all that this process did
/// itself, and with what other replicas did as of the last ``look(beginning:)``.
///
/// The log's numbers have no gap, and each event is handed over once, in their order. What the bus has not, or has not
/// without a gap, is read from the store; never under the lock.
public final class LogFollower<State: Sendable>: Sendable {
    /// Events that are taken in under one lock.
    public static var batchMax: Int { 500 }
    /// Batches from the bus that one question takes in; what is behind them is left to the loop.
    public static var roundsMax: Int { EventBus.ringMax / batchMax }
    /// Batches of one look. The next one goes on from there.
    public static var looksMax: Int { 20 }

    private struct Held {
        var state: State
        /// The last event that was taken in; `nil` before the first look.
        var seen: Int64?
    }

    private let held: Mutex<Held>
    private let events: Events
    private let storage: any Storage
    private let follow: @Sendable (inout State, Event) -> Void

    /// - Parameter follow: What an event changes. Runs under the lock.
    public init(
        _ state: State, events: Events, storage: any Storage,
        follow: @escaping @Sendable (inout State, Event) -> Void
    ) {
        held = Mutex(Held(state: state))
        (self.events, self.storage, self.follow) = (events, storage, follow)
    }

    /// The last event that was taken in; `nil` before the first look.
    public var seen: Int64? { held.withLock { $0.seen } }

    /// Looks at the state, or changes it, once what this process did is taken in.
    public func withState<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        held.withLock { held in
            for _ in 0..<Self.roundsMax {
                guard let seen = held.seen, events.bus.head > seen,
                    let batch = events.bus.recent(after: seen, limit: Self.batchMax), !batch.isEmpty
                else { break }
                take(batch, &held)
            }
            return body(&held.state)
        }
    }

    /// Follows the log to its end, as far as it is known here, or for ``looksMax`` batches.
    ///
    /// - Parameter beginning: Reads, at the first look, what the state is at that moment: the log is followed from
    ///   there. What it returns is run under the lock.
    public func look(
        beginning: @escaping @Sendable (Transaction) throws -> (@Sendable (inout State) -> Void)
    ) async throws {
        guard seen != nil else { return try await begin(beginning) }
        for _ in 0..<Self.looksMax {
            guard let seen, events.bus.head > seen else { return }
            let batch = try await batch(after: seen)
            guard !batch.isEmpty else { return }
            // A question may have taken in the same meanwhile, and more.
            held.withLock { held in if held.seen == seen { take(batch, &held) } }
        }
    }

    private func begin(
        _ beginning: @escaping @Sendable (Transaction) throws -> (@Sendable (inout State) -> Void)
    ) async throws {
        let (last, apply) = try await storage.read { [events] transaction in
            // The number first: what is committed between the two is taken in again rather than missed.
            (try events.store.lastSeq(in: transaction), try beginning(transaction))
        }
        held.withLock { held in
            guard held.seen == nil else { return }
            apply(&held.state)
            held.seen = last
        }
    }

    private func batch(after seen: Int64) async throws -> [Event] {
        if let recent = events.bus.recent(after: seen, limit: Self.batchMax), !recent.isEmpty { return recent }
        return try await storage.read { [events] in
            try events.store.list(after: seen, limit: Self.batchMax, in: $0)
        }
    }

    private func take(_ batch: [Event], _ held: inout Held) {
        for event in batch { follow(&held.state, event) }
        held.seen = batch.last?.seq ?? held.seen
    }
}
