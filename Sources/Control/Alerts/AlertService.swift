import Kernel
import Telemetry

/// Takes in what is said of alerts, by Reeve's own rules and by others, and tells of beginnings and ends.
public struct AlertService: Sendable {
    /// After so long without a word an alert counts as ended (Alertmanager's `resolve_timeout`).
    public static let resolveAfter = Span.minutes(5)
    /// For so long an alert fires at most on one word.
    public static let claimMax = Span.hours(30 * 24)
    /// Claims that one round lets go of.
    static let expiriesMax = 1_000

    let store = AlertStore()
    private let events: Events
    private let world: World
    private let follower: (any AlertFollower)?

    public init(events: Events, world: World, follower: (any AlertFollower)? = nil) {
        self.events = events
        self.world = world
        self.follower = follower
    }

    /// Takes what somebody says of alerts. What is said again changes nothing but the time at which it was heard.
    ///
    /// - Parameters:
    ///   - source: Who says so: an alert fires until all who said so say otherwise, or fall silent.
    /// - Throws: ``Problem`` `overloaded` where more fire than ``Alert/firingMax``; nothing is taken then.
    @discardableResult
    public func take(
        _ posts: [AlertPost], origin: Alert.Origin, from source: String, in transaction: Transaction
    ) throws -> [AlertChange] {
        var changes: [AlertChange] = []
        let now = world.now
        var room = Alert.firingMax - (try store.firingCount(in: transaction))
        for post in posts {
            let known = try store.firing(fingerprint: post.labels.fingerprintText, in: transaction)
            if let endsAt = post.endsAt, endsAt <= now {
                guard let known else { continue }
                if let change = try end(known, by: source, at: endsAt, in: transaction) { changes.append(change) }
                continue
            }
            let until = min(post.endsAt ?? now + Self.resolveAfter, now + Self.claimMax)
            if var known {
                // What Reeve's own rule says of it, nobody else says otherwise.
                if origin == .rule || known.origin == .external {
                    known.annotations = post.annotations
                    known.value = post.value
                    known.generatorURL = post.generatorURL
                }
                known.updatedAt = now
                try store.update(known, in: transaction)
                try store.claim(known.id, by: source, until: until, in: transaction)
                continue
            }
            guard room > 0 else {
                throw Problem(
                    .overloaded, "\(Alert.firingMax) alerts fire already, as many as there may be.",
                    hint: "A rule with too many labels is the usual cause: aggregate its expression with `by`.",
                    retryAfterSeconds: 60)
            }
            room -= 1
            changes.append(try begin(post, origin, by: source, until: until, at: now, in: transaction))
        }
        return changes
    }

    private func begin(
        _ post: AlertPost, _ origin: Alert.Origin, by source: String, until: Timestamp, at now: Timestamp,
        in transaction: Transaction
    ) throws -> AlertChange {
        let startsAt = min(post.startsAt ?? now, now)
        var alert = Alert(
            id: Identifier(world), labels: post.labels, annotations: post.annotations, value: post.value,
            origin: origin, activeAt: min(post.activeAt ?? startsAt, startsAt), startsAt: startsAt, updatedAt: now,
            generatorURL: post.generatorURL)
        try store.insert(alert, in: transaction)
        try store.claim(alert.id, by: source, until: until, in: transaction)
        if let incident = try follower?.fired(alert, in: transaction) {
            alert.incidentID = incident
            try store.update(alert, in: transaction)
        }
        try note("alert.fired", alert, in: transaction)
        return .fired(alert)
    }

    private func end(
        _ alert: Alert, by source: String, at time: Timestamp, in transaction: Transaction
    ) throws -> AlertChange? {
        try store.release(alert.id, by: source, in: transaction)
        guard try !store.isClaimed(alert.id, in: transaction) else { return nil }
        var alert = alert
        alert.endsAt = max(time, alert.startsAt)
        alert.updatedAt = world.now
        try store.update(alert, in: transaction)
        try note("alert.resolved", alert, in: transaction)
        try follower?.resolved(alert, in: transaction)
        return .resolved(alert)
    }

    /// Ends what nobody has spoken of for too long.
    @discardableResult
    public func expire(in transaction: Transaction) throws -> [AlertChange] {
        try store.expired(at: world.now, limit: Self.expiriesMax, in: transaction).compactMap { claim in
            guard let alert = try store.alert(claim.id, in: transaction), alert.isFiring else {
                try store.release(claim.id, by: claim.source, in: transaction)
                return nil
            }
            return try end(alert, by: claim.source, at: claim.at, in: transaction)
        }
    }

    /// Alerts that one round forgets.
    static let forgottenMax = 5_000

    /// Forgets alerts that ended before a moment, unless a legal hold is on their agent or their time.
    func forget(before time: Timestamp, in transaction: Transaction) throws {
        let holds = try RetentionService.activeHolds(in: transaction).map(\.target)
        _ = try store.forget(before: time, holds, limit: Self.forgottenMax, in: transaction)
    }

    /// The alerts of one incident are another's; `fingerprints` names some, `nil` all. Which incident an alert belongs
    /// to stands in its own row alone.
    static func move(
        _ fingerprints: [String]?, ofIncident id: String, to other: String, in transaction: Transaction
    ) throws { try AlertStore().move(fingerprints, ofIncident: id, to: other, in: transaction) }

    private func note(_ type: String, _ alert: Alert, in transaction: Transaction) throws {
        // An alert about one agent stands in that agent's history too.
        let agent = alert.labels["agent"]
        try events.append(
            EventDraft(
                type, actor: Principal.system.actor, agent: agent.isEmpty ? nil : agent, data: alert.facts),
            in: transaction)
    }

    // MARK: Looking

    public func firing(in transaction: Transaction) throws -> [Alert] { try store.firing(in: transaction) }

    /// The one that fires with these labels.
    public func firing(_ labels: LabelSet, in transaction: Transaction) throws -> Alert? {
        try store.firing(fingerprint: labels.fingerprintText, in: transaction)
    }

    /// Another text once an alert has begun or ended: whoever sees the same one again need not look further.
    public func mark(in transaction: Transaction) throws -> String { try store.mark(in: transaction) }

    public func alert(_ id: Identifier<Alert>, in transaction: Transaction) throws -> Alert? {
        try store.alert(id, in: transaction)
    }

    /// Those that ended since a moment, the newest end first.
    public func ended(since: Timestamp, limit: Int, in transaction: Transaction) throws -> [Alert] {
        try store.ended(since: since, limit: limit, in: transaction)
    }

    public func alerts(ofIncident id: String, limit: Int = 1_000, in transaction: Transaction) throws -> [Alert] {
        try store.alerts(ofIncident: id, limit: limit, in: transaction)
    }
}

extension AlertService: PendingAlerts {
    /// Pending alerts that are shown.
    static let pendingMax = 1_000

    public func pending(in transaction: Transaction) throws -> [PendingAlert] {
        try AlertRuleStateStore().pending(limit: Self.pendingMax, in: transaction)
    }
}
