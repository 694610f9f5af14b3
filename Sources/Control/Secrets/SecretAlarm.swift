import Kernel
import Telemetry

/// Tells of values of secrets, and of what looks like a key, that turned up where none belong: by then they are taken
/// out, and whoever saw them before may have them, so the secret has to be replaced.
public struct SecretAlarm: Sendable {
    /// For so long an alert stands after the last time that its secret turned up.
    static let standing = Span.hours(1)

    let watch: SecretWatch
    let alerts: AlertService
    let storage: any Storage
    /// Where links to Reeve's pages begin.
    let externalURL: @Sendable () -> String
    let world: World

    public init(
        watch: SecretWatch, alerts: AlertService, storage: any Storage,
        externalURL: @escaping @Sendable () -> String = { "" }, world: World
    ) {
        (self.watch, self.alerts, self.storage, self.world) = (watch, alerts, storage, world)
        self.externalURL = externalURL
    }

    /// Tells of what turned up since the last time.
    func look() async throws {
        let leaks = watch.takeLeaks()
        guard !leaks.isEmpty else { return }
        let posts = posts(leaks, at: world.now)
        do {
            _ = try await storage.write { try alerts.takeWhatFits(posts, origin: .rule, from: "secrets", in: $0) }
        } catch {
            // Told again at the next look.
            watch.giveBack(leaks)
            throw error
        }
    }

    private var runbook: String { "\(externalURL())/runbooks/SecretLeaked" }

    private func posts(_ leaks: [SecretLeak: Int], at now: Timestamp) -> [AlertPost] {
        var known: [String: [(door: String, count: Int)]] = [:]
        var patterns: [AlertPost] = []
        for (leak, count) in leaks.sorted(by: { $0.key.door < $1.key.door }) {
            switch leak.what {
            case .known(let path): known[path, default: []].append((leak.door, count))
            case .pattern(let format): patterns.append(post(format, leak.door, count, at: now))
            }
        }
        return known.sorted { $0.key < $1.key }.map { post($0, $1, at: now) } + patterns
    }

    private func post(_ path: String, _ doors: [(door: String, count: Int)], at now: Timestamp) -> AlertPost {
        let places = doors.map(\.door).joined(separator: ", ")
        let count = doors.map(\.count).reduce(0, +)
        return AlertPost(
            labels: LabelSet([("alertname", "SecretLeaked"), ("secret", path), ("severity", "critical")]),
            annotations: [
                "summary": "The value of \(path) turned up in \(places), \(count) times",
                "description": "It was replaced by [redacted:\(path)] there. Who wrote it has it: replace the "
                    + "value, or cut it at once where others may have it, and see who read it (holders).",
                "rotation": "reeve secrets rotate \(path)", "page": "/secrets/\(path)",
                "runbook_url": runbook,
            ], startsAt: now, endsAt: now + Self.standing)
    }

    /// What is no secret of Reeve's may be anybody's, or an example in a text: it is told and wakes nobody.
    private func post(_ format: String, _ door: String, _ count: Int, at now: Timestamp) -> AlertPost {
        AlertPost(
            labels: LabelSet([
                ("alertname", "SecretLeaked"), ("format", format), ("door", door), ("severity", "warning"),
            ]),
            annotations: [
                "summary": "What looks like a \(format) turned up in \(door), \(count) times",
                "description":
                    "It is no secret that Reeve keeps. [redacted:\(format)] stands in its place, and is what "
                    + "to search for: that tells who wrote it. If it is a key that is good for something, revoke it "
                    + "where it was issued, and give the next one to Reeve, so that agents read it there.",
                "rotation": "reeve secrets set PATH --file NEW", "runbook_url": runbook,
            ], startsAt: now, endsAt: now + Self.standing)
    }

    public var loops: [Loop] {
        [Loop("secrets.leaks", every: .seconds(2)) { try await look() }]
    }
}
