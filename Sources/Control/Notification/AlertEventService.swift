import Kernel
import Telemetry

/// Who is told that somebody looks after an alert: incidents.
public protocol AlertAcknowledging: Sendable {
    /// - Parameter isOwn: Whether whoever says so is the only one who says that the alert of a fingerprint fires: for
    ///   what others said, nobody else speaks.
    func acknowledged(
        _ alert: Alert, by principal: Principal, in transaction: Transaction, where isOwn: (String) throws -> Bool
    ) throws
}

/// Takes events in as alerts.
public struct AlertEventService: Sendable {
    let store = AlertEventStore()
    private let alerts: AlertService
    let events: Events
    private let follower: (any AlertAcknowledging)?
    private let world: World

    public init(
        alerts: AlertService, events: Events, follower: (any AlertAcknowledging)? = nil, world: World
    ) {
        (self.alerts, self.events, self.follower, self.world) = (alerts, events, follower, world)
    }

    /// Takes an event.
    ///
    /// - Parameter source: Who sends it: the same key of another sender is another event.
    /// - Returns: The event's key.
    func take(
        _ event: AlertEvent, from source: String, by principal: Principal, in transaction: Transaction
    ) throws -> String {
        let key = event.dedupKey ?? Hexadecimal.encode(world.entropy.bytes(16))
        let known = try store.known(key, from: source, in: transaction)
        let now = world.now
        switch event.action {
        case .trigger:
            // While it is open the labels stay those that it came with.
            let isOpen = try known.map { try isFiring($0.labels, in: transaction) } ?? false
            let labels = isOpen ? known?.labels : nil
            let post = AlertPost(
                labels: labels ?? LabelSet(event.labels + [("dedup_key", key)]), annotations: event.annotations,
                startsAt: event.startsAt, endsAt: now + AlertEvent.lastsAtMost, generatorURL: event.link)
            try alerts.take([post], origin: .external, from: source, in: transaction)
            if isOpen {
                try store.touch(key, from: source, at: now, in: transaction)
            } else {
                try store.keep(key, from: source, post.labels, post.annotations, at: now, in: transaction)
            }
        case .acknowledge:
            guard let known, let alert = try firing(known.labels, in: transaction),
                try store.acknowledge(key, from: source, at: now, in: transaction)
            else { break }
            let agent = alert.labels["agent"]
            try events.append(
                EventDraft(
                    "alert.acknowledged", actor: principal.actor, agent: agent.isEmpty ? nil : agent,
                    data: alert.facts), in: transaction)
            try follower?.acknowledged(alert, by: principal, in: transaction) { [alerts] fingerprint in
                try alerts.isSaidOnly(by: source, fingerprint: fingerprint, in: transaction)
            }
        case .resolve:
            guard let known else { break }
            let post = AlertPost(labels: known.labels, annotations: known.annotations, endsAt: now)
            try alerts.take([post], origin: .external, from: source, in: transaction)
            try store.delete(key, from: source, in: transaction)
        }
        return key
    }

    private func firing(_ labels: LabelSet, in transaction: Transaction) throws -> Alert? {
        try alerts.firing(labels, in: transaction)
    }

    private func isFiring(_ labels: LabelSet, in transaction: Transaction) throws -> Bool {
        try firing(labels, in: transaction) != nil
    }

    public func forget(in transaction: Transaction) throws {
        try store.forget(before: world.now - AlertEvent.lastsAtMost, limit: 1_000, in: transaction)
    }
}
