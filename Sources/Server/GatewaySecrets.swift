import Control
import Gateway
import Kernel
import Synchronization

/// The kept keys that the gateway uses, and word of those that changed: by this process at once, by other replicas
/// within ``interval`` and the time of a read.
final class GatewaySecrets: KeyVault {
    static let interval = Span.milliseconds(200)
    static let eventsMax = 500
    /// Rounds of events that one call looks at, at most.
    static let roundsMax = EventBus.ringMax / eventsMax
    /// Changes that are told one by one; beyond it all keys are asked for anew.
    static let changesMax = 1_000

    private struct State {
        /// The last event that was looked at; `nil` before the first look.
        var seen: Int64?
        var changes = KeyChanges.all
    }

    private let secrets: SecretService
    private let events: Events
    private let storage: any Storage
    private let state = Mutex(State())

    init(secrets: SecretService, events: Events, storage: any Storage) {
        (self.secrets, self.events, self.storage) = (secrets, events, storage)
    }

    func key(at path: SecretPath, for caller: Principal) async throws -> KeptKey? {
        try await secrets.lend(path, to: .gateway, for: caller).map { KeptKey(value: $0.value, version: $0.version) }
    }

    func takeChanges() -> KeyChanges {
        state.withLock { state in
            for _ in 0..<Self.roundsMax {
                // What this process did not write itself is left to the loop.
                guard let last = state.seen, events.bus.head > last,
                    let recent = events.bus.recent(after: last, limit: Self.eventsMax), !recent.isEmpty
                else { break }
                Self.take(recent, &state)
            }
            defer { state.changes = .none }
            return state.changes
        }
    }

    var loops: [Loop] { [Loop("gateway.secrets", every: Self.interval) { try await self.look() }] }

    /// Looks for what changed. The first time everything may have.
    func look() async throws {
        guard let last = state.withLock({ $0.seen }) else {
            let last = try await storage.read { [events] in try events.store.lastSeq(in: $0) }
            events.bus.learn(head: last)
            return state.withLock { ($0.seen, $0.changes) = (last, .all) }
        }
        guard events.bus.head != last else { return }
        let batch: [Event]
        if let recent = events.bus.recent(after: last, limit: Self.eventsMax) {
            batch = recent
        } else {
            batch = try await storage.read { [events] in
                try events.store.list(after: last, limit: Self.eventsMax, in: $0)
            }
        }
        state.withLock { state in
            guard let seen = state.seen else { return }
            Self.take(batch.filter { $0.seq > seen }, &state)
        }
    }

    private static func take(_ batch: [Event], _ state: inout State) {
        guard let end = batch.last?.seq else { return }
        state.seen = end
        let paths = batch.compactMap { event -> SecretPath? in
            guard event.type.hasPrefix("secret."), event.type != "secret.granted" else { return nil }
            return event.data["path"]?.string.flatMap { try? SecretPath($0) }
        }
        guard !paths.isEmpty else { return }
        switch state.changes {
        case .none: state.changes = .these(paths)
        case .these(let known) where known.count + paths.count <= changesMax: state.changes = .these(known + paths)
        case .these, .all: state.changes = .all
        }
    }
}
