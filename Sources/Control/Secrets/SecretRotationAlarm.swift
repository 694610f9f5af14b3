import Kernel
import Telemetry

/// What is told of rotations: values that others know, and values that are due to be replaced.
extension SecretRotationService {
    /// Secrets of one scope that are each told of as due; beyond it one alert tells of all of them.
    static let dueAloneMax: Int64 = 5
    /// Of those, how many that one alert names.
    static let dueShownMax = 10
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
                "runbook_url": "\(ground.externalURL())/runbooks/SecretCompromised", "page": "/secrets/\(path)",
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

    /// Tells of values that are older than they may get: one by one where they are few, else all of a scope at once.
    /// Whoever kept everything on one day would else be called for each of them.
    func tellDue() async throws {
        let now = world.now
        let (groups, places) = try await secrets.storage.read { transaction in
            let groups = try rotations.dueCounts(at: now, age: KeptSecret.rotationAge, in: transaction)
            let places = try groups.keys.reduce(into: [SecretPath.Scope: [KeptSecret]]()) { places, scope in
                places[scope] = try rotations.due(
                    at: now, age: KeptSecret.rotationAge, of: scope, limit: Self.dueShownMax, in: transaction)
            }
            return (groups, places)
        }
        meters.set(due: groups)
        let posts = groups.sorted { $0.key.rawValue < $1.key.rawValue }.flatMap { scope, count in
            let secrets = places[scope] ?? []
            return count > Self.dueAloneMax
                ? [post(due: secrets, of: count, in: scope)] : secrets.map(post(due:))
        }
        guard !posts.isEmpty else { return }
        try await secrets.storage.write { transaction in
            _ = try ground.alerts.takeWhatFits(posts, origin: .rule, from: "secrets.due", in: transaction)
        }
    }

    private func post(due secret: KeptSecret) -> AlertPost {
        post(
            due: ("secret", secret.path.description), since: secret.dueAt,
            [
                "summary": "The value of \(secret.path) is due to be replaced",
                "description": "It was written at \(secret.writtenAt?.rfc3339 ?? "an unknown time"). Make another "
                    + "value where this one was made, and run: reeve secrets rotate \(secret.path).",
                "page": "/secrets/\(secret.path)",
            ])
    }

    /// - Parameter secrets: Those that are due for longest.
    private func post(due secrets: [KeptSecret], of count: Int64, in scope: SecretPath.Scope) -> AlertPost {
        let named = secrets.map(\.path.description).joined(separator: ", ")
        let more = count > Int64(secrets.count) ? ", and \(count - Int64(secrets.count)) more" : ""
        return post(
            // `scope` is what alerts call a budget's.
            due: ("secret_scope", scope.rawValue), since: secrets.compactMap(\.dueAt).min(),
            [
                "summary": "\(count) values of the scope \(scope.rawValue) are due to be replaced",
                "description": "Due for longest: \(named)\(more). Make other values where these were made, and run "
                    + "for each: reeve secrets rotate PATH.",
                "page": "/secrets?scope=\(scope.rawValue)",
            ])
    }

    private func post(
        due label: (String, String), since time: Timestamp?, _ annotations: [String: String]
    ) -> AlertPost {
        AlertPost(
            labels: LabelSet([("alertname", "SecretRotationDue"), label, ("severity", "warning")]),
            annotations: annotations.merging([
                "runbook_url": "\(ground.externalURL())/runbooks/SecretRotationDue"
            ]) { $1 }, startsAt: time ?? world.now, endsAt: world.now + Self.dueStanding)
    }

    public var loops: [Loop] {
        [
            Loop("secrets.sessions", every: .seconds(10)) { try await tellSessions() },
            Loop("secrets.rotations", every: .seconds(10)) { try await act() },
            Loop("secrets.due", every: Self.lookInterval) { try await tellDue() },
        ]
    }
}
