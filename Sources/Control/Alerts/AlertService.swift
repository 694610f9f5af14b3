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
    public let meters = AlertMeters()
    private let events: Events
    private let world: World
    private let follower: (any AlertFollower)?

    private let shares: AlertShares

    public init(
        events: Events, world: World, follower: (any AlertFollower)? = nil, shares: AlertShares = AlertShares()
    ) {
        self.shares = shares
        self.events = events
        self.world = world
        self.follower = follower
    }

    /// Takes what somebody says of alerts: all of it, or nothing.
    ///
    /// - Parameters:
    ///   - source: Who says so: an alert fires until all who said so say otherwise, or fall silent.
    /// - Throws: ``Problem`` `overloaded` where there is no room for one of them.
    @discardableResult
    public func take(
        _ posts: [AlertPost], origin: Alert.Origin, from source: String, in transaction: Transaction
    ) throws -> [AlertChange] {
        let intake = try takeWhatFits(posts, origin: origin, from: source, in: transaction)
        if let problem = intake.problem { throw problem }
        return intake.changes
    }

    /// Takes what somebody says of alerts, as far as there is room: ends and what fires already always, what begins
    /// with the room that these leave. What is said again changes nothing but the time at which it was heard.
    @discardableResult
    public func takeWhatFits(
        _ posts: [AlertPost], origin: Alert.Origin, from source: String, in transaction: Transaction
    ) throws -> AlertIntake {
        var intake = AlertIntake(shares)
        let now = world.now
        var room = AlertRoom(shares, origin) { [store] in
            (try store.firingCount(origin, in: transaction), try store.claimCount(by: source, in: transaction))
        }
        var waiting: [LabelSet: AlertPost] = [:]
        var order: [LabelSet] = []
        for post in posts {
            let known = try store.firing(fingerprint: post.labels.fingerprintText, in: transaction)
            if let endsAt = post.endsAt, endsAt <= now {
                waiting[post.labels] = nil
                guard let known else { continue }
                let (change, wasClaimed) = try end(known, by: source, at: endsAt, in: transaction)
                if let change { intake.changes.append(change) }
                room.free(isAlert: change != nil && known.origin == origin, isClaim: wasClaimed)
                continue
            }
            guard let post = post.fitted else {
                intake.refuse(post.labels, .size)
                continue
            }
            if let known {
                try hear(known, post, origin, by: source, at: now, in: transaction)
            } else if try room.lack() != nil {
                // An end behind it may leave room.
                if waiting.updateValue(post, forKey: post.labels) == nil { order.append(post.labels) }
            } else {
                room.use()
                intake.changes.append(try begin(post, origin, by: source, at: now, in: transaction))
            }
        }
        for labels in order {
            guard let post = waiting.removeValue(forKey: labels) else { continue }
            if let lack = try room.lack() {
                intake.refuse(labels, lack)
            } else {
                room.use()
                intake.changes.append(try begin(post, origin, by: source, at: now, in: transaction))
            }
        }
        meters.count(intake)
        return intake
    }

    private func until(_ post: AlertPost, at now: Timestamp) -> Timestamp {
        min(post.endsAt ?? now + Self.resolveAfter, now + Self.claimMax)
    }

    private func hear(
        _ known: Alert, _ post: AlertPost, _ origin: Alert.Origin, by source: String, at now: Timestamp,
        in transaction: Transaction
    ) throws {
        // What Reeve's own rule says, nobody else says otherwise, or for longer.
        guard origin == .rule || known.origin == .external else { return }
        var known = known
        known.annotations = post.annotations
        known.value = post.value
        known.generatorURL = post.generatorURL
        known.updatedAt = now
        if origin == .rule, known.origin == .external {
            known.origin = .rule
            try store.releaseAll(known.id, in: transaction)
        }
        try store.update(known, in: transaction)
        try store.claim(known.id, by: source, until: until(post, at: now), in: transaction)
    }

    private func begin(
        _ post: AlertPost, _ origin: Alert.Origin, by source: String, at now: Timestamp, in transaction: Transaction
    ) throws -> AlertChange {
        let startsAt = min(post.startsAt ?? now, now)
        var alert = Alert(
            id: Identifier(world), labels: post.labels, annotations: post.annotations, value: post.value,
            origin: origin, activeAt: min(post.activeAt ?? startsAt, startsAt), startsAt: startsAt, updatedAt: now,
            generatorURL: post.generatorURL)
        try store.insert(alert, in: transaction)
        try store.claim(alert.id, by: source, until: until(post, at: now), in: transaction)
        if let incident = try follower?.fired(alert, in: transaction) {
            alert.incidentID = incident
            try store.update(alert, in: transaction)
        }
        try note("alert.fired", alert, in: transaction)
        return .fired(alert)
    }

    /// - Returns: That it ended, unless others say that it fires; and whether the source said so until now.
    private func end(
        _ alert: Alert, by source: String, at time: Timestamp, in transaction: Transaction
    ) throws -> (change: AlertChange?, wasClaimed: Bool) {
        let wasClaimed = try store.release(alert.id, by: source, in: transaction)
        guard try !store.isClaimed(alert.id, in: transaction) else { return (nil, wasClaimed) }
        var alert = alert
        alert.endsAt = max(time, alert.startsAt)
        alert.updatedAt = world.now
        try store.update(alert, in: transaction)
        try note("alert.resolved", alert, in: transaction)
        try follower?.resolved(alert, in: transaction)
        return (.resolved(alert), wasClaimed)
    }

    /// Ends what nobody has spoken of for too long.
    @discardableResult
    public func expire(in transaction: Transaction) throws -> [AlertChange] {
        try store.expired(at: world.now, limit: Self.expiriesMax, in: transaction).compactMap { claim in
            guard let alert = try store.alert(claim.id, in: transaction), alert.isFiring else {
                try store.release(claim.id, by: claim.source, in: transaction)
                return nil
            }
            return try end(alert, by: claim.source, at: claim.at, in: transaction).change
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

    var now: Timestamp { world.now }

    public func firing(in transaction: Transaction) throws -> [Alert] { try store.firing(in: transaction) }

    /// The one that fires with these labels.
    public func firing(_ labels: LabelSet, in transaction: Transaction) throws -> Alert? {
        try store.firing(fingerprint: labels.fingerprintText, in: transaction)
    }

    /// Whether nobody but `source` says that the alert with this fingerprint fires.
    func isSaidOnly(by source: String, fingerprint: String, in transaction: Transaction) throws -> Bool {
        guard let alert = try store.firing(fingerprint: fingerprint, in: transaction), alert.origin == .external else {
            return false
        }
        return try !store.isClaimed(alert.id, byOthersThan: source, in: transaction)
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

    /// Those of one name: what fires, and what ended since a moment.
    func alerts(
        named name: String, endedSince since: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> (firing: [Alert], ended: [Alert]) {
        try store.alerts(named: name, endedSince: since, limit: limit, in: transaction)
    }

    /// Alerts that have a text in what is said of them.
    public static func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try AlertStore().count(having: text, in: transaction)
    }

    /// The alerts of an incident as they stand, or stood at last, by their fingerprints.
    static func latest(ofIncident id: String, in transaction: Transaction) throws -> [String: Alert] {
        let found = try AlertStore().latest(ofIncident: id, limit: latestMax, in: transaction)
        return Dictionary(found.map { ($0.fingerprint, $0) }) { newest, _ in newest }
    }

    /// Alerts of one incident among which the latest are looked for.
    static let latestMax = 1_000

    public func alerts(ofIncident id: String, limit: Int = 1_000, in transaction: Transaction) throws -> [Alert] {
        try store.alerts(ofIncident: id, limit: limit, in: transaction)
    }
}

/// The room that there is for alerts of one kind: counted once, and only where it is asked for.
struct AlertRoom {
    private let shares: AlertShares
    private let origin: Alert.Origin
    private let count: () throws -> (all: Int64, source: Int64)
    private var counts: (all: Int64, source: Int64)?

    /// - Parameter count: How many alerts of the kind fire now, and how many as the source says so.
    init(_ shares: AlertShares, _ origin: Alert.Origin, _ count: @escaping () throws -> (all: Int64, source: Int64)) {
        (self.shares, self.origin, self.count) = (shares, origin, count)
    }

    /// Why another alert has no room; `nil` where it has.
    mutating func lack() throws -> AlertIntake.Reason? {
        let now = try counts ?? count()
        counts = now
        guard origin == .external else { return now.all < shares.ofRules ? nil : .rules }
        if now.source >= shares.ofSource { return .source }
        return now.all < shares.posted ? nil : .posted
    }

    mutating func use() { counts = counts.map { ($0.all + 1, $0.source + 1) } }

    /// An alert of the kind ended, or the source speaks of one less.
    mutating func free(isAlert: Bool, isClaim: Bool) {
        counts = counts.map { ($0.all - (isAlert ? 1 : 0), $0.source - (isClaim ? 1 : 0)) }
    }
}
