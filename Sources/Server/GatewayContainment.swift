import Control
import Gateway
import Kernel
import Synchronization

/// Follows what containments hold of models, on every replica: dispatch that is paused, breakers that are held open,
/// models that others answer for. A process that starts anew holds the same at once.
final class GatewayContainment: Sendable {
    static let interval = Span.milliseconds(250)

    private let ramps: DispatchRamps
    private let wakeups: Wakeups
    private let storage: any Storage
    private let seen = Mutex(ModelHoldings())

    init(ramps: DispatchRamps, wakeups: Wakeups, storage: any Storage) {
        (self.ramps, self.wakeups, self.storage) = (ramps, wakeups, storage)
    }

    var loops: [Loop] { [Loop("gateway.containment", every: Self.interval) { try await self.look() }] }

    func look() async throws {
        let now = try await storage.read { try ModelHoldings(in: $0) }
        let before = seen.withLock { seen in
            defer { seen = now }
            return seen
        }
        guard now != before else { return }
        ramps.orders.set(paused: now.paused, routes: now.routes)
        ramps.holdBreakers(of: now.breakers.subtracting(before.breakers))
        ramps.releaseBreakers(of: before.breakers.subtracting(now.breakers))
        wakeups.wakeAll()
    }
}
