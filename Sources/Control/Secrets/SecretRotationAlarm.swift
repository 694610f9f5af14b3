import Kernel
import Telemetry

/// What is told of rotations: values that others know, and values that are due to be replaced.
extension SecretRotationService {
    /// Secrets that one round tells of as due; the rest come when these are done.
    static let dueMax = 200
    static let lookInterval = Span.minutes(10)
    /// For how long an alert stands that nobody repeats.
    static let dueStanding = Span.minutes(25)

    /// Tells of a version that was cut, with those who hold it.
    func tell(
        cut number: Int, of path: SecretPath, _ next: Int?, _ reason: String,
        _ holders: [SecretRotationStore.Reader], by principal: Principal, in transaction: Transaction
    ) throws {
        let names = holders.prefix(Self.usersShownMax).map(\.actor)
        let detail: JSONValue = [
            "version": number.json, "issued": .of(next), "reason": .string(reason), "holders": .list(names),
        ]
        try secrets.record("secret.compromised", path, detail, by: principal, in: transaction)
        let who = names.isEmpty ? "Nobody read it here." : "It was read by \(names.joined(separator: ", "))."
        let post = AlertPost(
            labels: LabelSet([
                ("alertname", "SecretCompromised"), ("secret", path.description), ("severity", "critical"),
                ("version", String(number)),
            ]),
            annotations: [
                "summary": "Version \(number) of \(path) is known to others and was cut",
                "description": "\(who) Revoke it where it was made: Reeve only stops giving it out. "
                    + (next.map { "Version \($0) is given out now." } ?? "There is no value until one is written."),
            ], startsAt: world.now, endsAt: world.now + Self.compromiseStanding)
        _ = try ground.alerts.takeWhatFits([post], origin: .rule, from: "secrets", in: transaction)
    }

    /// Takes each rotation a step further where time and its users let it. One that fails does not hold up the others.
    public func act() async throws {
        let live = ground.sessions()
        var after = ""
        var fault: (any Error)?
        while true {
            let start = after
            let page = try await secrets.storage.read {
                try rotations.running(after: start, limit: SecretService.pageRows, in: $0)
            }
            for kept in page {
                do {
                    guard try await isReady(kept, live) else { continue }
                    try await secrets.storage.write { transaction in
                        _ = try advance(kept.path, live, by: .system, in: transaction)
                    }
                } catch {
                    fault = error
                }
            }
            guard let last = page.last, page.count == SecretService.pageRows else { break }
            after = last.path.description
        }
        if let fault { throw fault }
    }

    /// Whether there is anything to write: most of the time there is not.
    private func isReady(_ kept: SecretRotationStore.Kept, _ live: [String: Timestamp]) async throws -> Bool {
        try await secrets.storage.read { transaction in
            var rotation = kept.rotation
            let closed = try ground.window.closed(at: world.now, in: transaction)
            let (use, _) = try use(of: kept, live, in: transaction)
            return rotation.step(at: world.now, use: use, isDeploying: closed != nil)
        }
    }

    /// Tells of values that are older than they may get.
    func tellDue() async throws {
        let now = world.now
        let due = try await secrets.storage.read {
            try rotations.due(at: now, age: KeptSecret.rotationAge, after: "", limit: Self.dueMax, in: $0)
        }
        let posts = due.map { secret in
            AlertPost(
                labels: LabelSet([
                    ("alertname", "SecretRotationDue"), ("secret", secret.path.description), ("severity", "warning"),
                ]),
                annotations: [
                    "summary": "The value of \(secret.path) is due to be replaced",
                    "description": "It was written at \(secret.writtenAt?.rfc3339 ?? "an unknown time"). Make another "
                        + "value where this one was made, and run: reeve secrets rotate \(secret.path).",
                ], startsAt: secret.dueAt ?? now, endsAt: now + Self.dueStanding)
        }
        guard !posts.isEmpty else { return }
        try await secrets.storage.write { transaction in
            _ = try ground.alerts.takeWhatFits(posts, origin: .rule, from: "secrets.due", in: transaction)
        }
    }

    public var loops: [Loop] {
        [
            Loop("secrets.rotations", every: .seconds(10)) { try await act() },
            Loop("secrets.due", every: Self.lookInterval) { try await tellDue() },
        ]
    }
}
