import Kernel
import Synchronization
import Telemetry

/// Notices when alerts are not evaluated any more, and says so as an alert: what would tell of it is what stands still.
///
/// It listens from another loop than the one that evaluates. That the whole process stands still is noticed by whoever
/// stops hearing of the Watchdog.
public final class AlertHeart: Sendable {
    public static let alertName = "AlertEvaluationStalled"
    /// Silence that is too long.
    static let silence = Span.minutes(3)
    public static let interval = Span.seconds(15)

    private let state = Mutex<(last: Timestamp?, isTold: Bool)>((nil, false))
    private let alerts: AlertService
    private let storage: any Storage
    private let replica: String
    private let externalURL: @Sendable () -> String
    private let world: World

    /// - Parameter externalURL: Where links to Reeve's pages begin.
    public init(
        alerts: AlertService, storage: any Storage, replica: String,
        externalURL: @escaping @Sendable () -> String = { "" }, world: World
    ) {
        (self.alerts, self.storage, self.replica, self.world) = (alerts, storage, replica, world)
        self.externalURL = externalURL
    }

    /// Called by what evaluates, at the end of each of its rounds. Until the first nothing is expected.
    public func beat() {
        let now = world.now
        state.withLock { $0.last = now }
    }

    public var loops: [Loop] { [Loop("alerts.heart", every: Self.interval) { try await self.listen() }] }

    func listen() async throws {
        let now = world.now
        let (last, isTold) = state.withLock { $0 }
        guard let last else { return }
        let isStill = now - last > Self.silence
        guard isStill || isTold else { return }
        let post = AlertPost(
            labels: LabelSet([
                ("alertname", Self.alertName), ("severity", "critical"), ("replica", replica),
            ]),
            annotations: [
                "summary": "No alert rule was evaluated for \(Int((now - last).seconds)) s.",
                "description":
                    "The loop that evaluates rules does not finish a round. Look for its errors in Reeve's log.",
                "runbook_url": "\(externalURL())/runbooks/\(Self.alertName)",
            ], startsAt: isStill ? last + Self.silence : nil, endsAt: isStill ? nil : now)
        try await storage.write { [alerts] in
            _ = try alerts.take([post], origin: .rule, from: "heart", in: $0)
        }
        state.withLock { $0.isTold = isStill }
    }
}
