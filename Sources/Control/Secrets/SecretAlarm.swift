import Kernel
import Telemetry

/// Tells of values of secrets that turned up where none belong: by then they are taken out, and whoever saw them before
/// may have them, so the secret has to be replaced.
public struct SecretAlarm: Sendable {
    /// For so long an alert stands after the last time that its secret turned up.
    static let standing = Span.hours(1)

    let watch: SecretWatch
    let alerts: AlertService
    let storage: any Storage
    let meters: SecretMeters
    /// Where links to Reeve's pages begin.
    let externalURL: @Sendable () -> String
    let world: World

    public init(
        watch: SecretWatch, alerts: AlertService, storage: any Storage, meters: SecretMeters = SecretMeters(),
        externalURL: @escaping @Sendable () -> String = { "" }, world: World
    ) {
        (self.watch, self.alerts, self.storage, self.world) = (watch, alerts, storage, world)
        (self.meters, self.externalURL) = (meters, externalURL)
    }

    /// Tells of what turned up since the last time.
    func look() async throws {
        let leaks = watch.takeLeaks()
        guard !leaks.isEmpty else { return }
        let now = world.now
        let doors = Dictionary(grouping: leaks, by: \.key.path)
        let posts = doors.sorted { $0.key < $1.key }.map { path, leaks in
            let places = leaks.map(\.key.door).sorted().joined(separator: ", ")
            let count = leaks.map(\.value).reduce(0, +)
            return AlertPost(
                labels: LabelSet([("alertname", "SecretLeaked"), ("secret", path), ("severity", "critical")]),
                annotations: [
                    "summary": "The value of \(path) turned up in \(places), \(count) times",
                    "description": "It was replaced by [redacted:\(path)] there. Who wrote it has it: replace the "
                        + "value, or cut it at once where others may have it, and see who read it (holders).",
                    "rotation": "reeve secrets rotate \(path)", "page": "/secrets/\(path)",
                    "runbook_url": "\(externalURL())/runbooks/SecretLeaked",
                ], startsAt: now, endsAt: now + Self.standing)
        }
        do {
            _ = try await storage.write { try alerts.takeWhatFits(posts, origin: .rule, from: "secrets", in: $0) }
            meters.count(leaks: leaks.values.reduce(0, +))
        } catch {
            // Told again at the next look.
            for (leak, _) in leaks { watch.note([leak.path], at: leak.door) }
            throw error
        }
    }

    public var loops: [Loop] {
        [Loop("secrets.leaks", every: .seconds(2)) { try await look() }]
    }
}
