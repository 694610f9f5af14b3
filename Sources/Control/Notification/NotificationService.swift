import Kernel
import Synchronization
import Telemetry

/// Tells receivers of alerts: each has a round of its own, so that one that hangs holds up nobody else.
///
/// What is told is planned on a snapshot. A group is then claimed, told of, and given back with what was told: a
/// replica that dies in between loses its claim after a while, and another one tells the same once more, with the same
/// id.
public struct NotificationService: Sendable {
    /// How often a receiver's round comes.
    public static let interval = Span.seconds(1)
    /// A claim that is not given back runs out; no attempt takes so long.
    static let claimFor = Span.seconds(120)
    /// Groups that a round tells of, and how long it goes on.
    static let jobsMax = 100
    /// Groups that one round adds, removes or passes by: the rest is the next one's.
    static let changesMax = 1_000
    static let roundFor = Span.seconds(45)
    /// Ends this old are told of where nobody was told so far.
    static let endsSince = Span.hours(1)
    static let endsMax = 10_000
    /// The longest wait after failures, and the longest that a receiver may ask for.
    static let backoffMax = Span.minutes(5)
    static let retryAfterMax = Span.minutes(15)
    /// Everything is planned anew so often, whatever seems to have changed.
    static let planInterval = Span.seconds(30)

    public let settings: NotificationSettings
    public let silences: SilenceService
    let store = NotificationStore()
    let alerts: AlertService
    let storage: any Storage
    let world: World
    private let courier: any NotificationCourier
    private let externalURL: @Sendable () -> String
    private let replica: String
    private let onWarning: @Sendable (String) -> Void
    private let looks = NotificationLooks()
    private let dependence = AlertDependence()

    /// - Parameters:
    ///   - externalURL: Where links to Reeve's pages begin.
    ///   - replica: The name that claims are made in.
    public init(
        settings: NotificationSettings, alerts: AlertService, silences: SilenceService,
        courier: any NotificationCourier, storage: any Storage, externalURL: @escaping @Sendable () -> String,
        replica: String, world: World,
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.settings, self.alerts, self.silences) = (settings, alerts, silences)
        (self.courier, self.storage) = (courier, storage)
        (self.externalURL, self.replica, self.world, self.onWarning) = (externalURL, replica, world, onWarning)
    }

    public var loops: [Loop] {
        settings.receivers.map { receiver in
            Loop("alerts.dispatch", every: Self.interval) { try await round(receiver) }
        } + [
            Loop("alerts.silences", every: .seconds(10)) {
                guard try await storage.read({ try silences.needsSweep(in: $0) }) else { return }
                try await storage.write { try silences.sweep(in: $0) }
            },
            Loop("alerts.deliveries", every: .minutes(10)) { try await forget() },
        ]
    }

    /// How what fires stands at this moment.
    public func standings(of firing: [Alert], in transaction: Transaction) throws -> AlertStandings {
        AlertStandings(
            firing: firing, silences: try silences.store.active(at: world.now, in: transaction),
            inhibitions: settings.inhibitions,
            dependents: try dependence.dependents(
                among: firing, settings.inhibitions, at: world.now, in: transaction))
    }

    /// What keeps alerts from being told, by the alert's id; those that nothing does are left out.
    public func standings(
        _ alerts: [Alert], in transaction: Transaction
    ) throws -> [Identifier<Alert>: AlertStanding] {
        let firing = alerts.contains(where: \.isFiring) ? try self.alerts.firing(in: transaction) : []
        let standings = try standings(of: firing, in: transaction)
        var found: [Identifier<Alert>: AlertStanding] = [:]
        for alert in alerts where alert.isFiring {
            let standing = standings.standing(of: alert)
            if standing.isSuppressed { found[alert.id] = standing }
        }
        return found
    }

    // MARK: A round

    /// One look at what a receiver is to be told, and the telling.
    func round(_ receiver: AlertReceiver) async throws {
        let mark = try await storage.read { transaction in
            NotificationLooks.Mark(
                alerts: try alerts.mark(in: transaction),
                nextLook: try store.nextLook(of: receiver.name, in: transaction))
        }
        guard looks.isNews(mark, of: receiver.name, at: world.now) else { return }
        let plan = try await storage.read { try self.plan(receiver, in: $0) }
        if plan.crowded > 0 {
            onWarning(
                "\(plan.crowded) alerts are not told to \(receiver.name): it has \(NotificationGroup.groupsMax) "
                    + "groups already. Group by fewer labels.")
        }
        let jobs = try await claim(plan)
        let end = world.now + Self.roundFor
        var isAway = false
        for job in jobs {
            // Of one that does not answer, nothing else is asked in this round.
            guard !isAway, world.now < end else {
                try await giveBack(job, isAway: isAway)
                continue
            }
            let outcome: NotificationOutcome = try await tell(receiver, job)
            isAway = outcome.state == .failed && outcome.status == nil
        }
        if plan.jobs.count <= Self.jobsMax, !plan.isLonger(than: Self.changesMax) {
            looks.note(mark, of: receiver.name, at: world.now)
        }
    }

    func plan(_ receiver: AlertReceiver, in transaction: Transaction) throws -> NotificationPlan {
        let firing = try alerts.firing(in: transaction)
        let groups = try store.groups(of: receiver.name, in: transaction)
        var ended = try alerts.ended(
            since: world.now - Self.endsSince, limit: Self.endsMax, in: transaction)
        // What was told of and has ended is found however long ago that was.
        let known = Set(firing.map(\.id.text)).union(ended.map(\.id.text))
        for id in groups.lazy.flatMap(\.told.values) where !known.contains(id) {
            if let alert = try alerts.alert(Identifier(stored: id), in: transaction) { ended.append(alert) }
        }
        return NotificationPlanner(
            settings: settings, receiver: receiver, standings: try standings(of: firing, in: transaction),
            now: world.now
        ).plan(firing: firing, ended: ended, groups: groups)
    }

    /// Keeps what the plan found, and claims what is to be told.
    func claim(_ plan: NotificationPlan) async throws -> [NotificationJob] {
        let jobs = Array(plan.jobs.prefix(Self.jobsMax))
        let plan = plan.cut(to: Self.changesMax)
        guard !(plan.added.isEmpty && plan.removed.isEmpty && plan.passed.isEmpty && jobs.isEmpty) else { return [] }
        let now = world.now
        return try await storage.write { transaction in
            for group in plan.added { try store.insert(group, in: transaction) }
            for group in plan.removed { try store.delete(group, in: transaction) }
            for group in plan.passed { try store.keep(group, in: transaction) }
            return try jobs.filter {
                try store.claim($0.group, by: replica, until: now + Self.claimFor, now: now, in: transaction)
            }
        }
    }

    private func giveBack(_ job: NotificationJob, isAway: Bool) async throws {
        var group = job.group
        if isAway {
            group.attempts += 1
            group.nextAt = world.now + Self.backoff(group.attempts)
        }
        let kept = group
        try await storage.write { _ = try store.keep(kept, in: $0) }
    }

    private func tell(_ receiver: AlertReceiver, _ job: NotificationJob) async throws -> NotificationOutcome {
        let began = world.now
        let outcome = await voice(receiver).say(
            ReceiverVoice.Saying(
                groupKey: job.group.key, groupLabels: job.group.labels, items: job.items,
                messageID: job.group.messageID))
        var group = job.after
        switch outcome.state {
        case .delivered:
            group.noticedAt = world.now
        case .failed:
            group = job.group
            group.attempts += 1
            let wait = max(Self.backoff(group.attempts), min(outcome.retryAfter ?? .zero, Self.retryAfterMax))
            group.nextAt = world.now + wait
        case .refused:
            // As often as other news would come: somebody may mend the settings of the other side.
            group = job.group
            (group.attempts, group.flushedAt) = (group.attempts + 1, world.now)
            group.nextAt = world.now + job.groupInterval
        }
        let kept = group
        let delivery = NotificationDelivery(
            id: Identifier(world), receiver: receiver.name, kind: receiver.kind, groupKey: job.group.key,
            reason: job.reason.rawValue, alerts: job.items.count, attempt: job.group.attempts + 1, at: began,
            milliseconds: (world.now - began).microseconds / 1_000, outcome: outcome)
        try await storage.write { transaction in
            try store.keep(kept, in: transaction)
            try store.insert(delivery, in: transaction)
        }
        if outcome.state != .delivered, job.group.attempts == 0 {
            onWarning("\(receiver.name) was not told of \(job.items.count) alerts: \(outcome.answer)")
        }
        if let warning = outcome.warning { onWarning("\(receiver.name): \(warning)") }
        return outcome
    }

    /// 2 s, 4 s, 8 s and so on.
    static func backoff(_ attempts: Int) -> Span {
        min(.seconds(Int64(1) << Int64(min(max(attempts, 1), 20))), backoffMax)
    }

    func voice(_ receiver: AlertReceiver) -> ReceiverVoice {
        ReceiverVoice(
            receiver: receiver, settingsFile: settings.file, externalURL: externalURL(), courier: courier, world: world)
    }

    /// Where links to Reeve's pages begin.
    var address: String { externalURL() }

    // MARK: By hand

    /// Tells a receiver of an alert that is none, and says what became of it.
    func sendTest(to name: String) async throws -> NotificationDelivery {
        guard let receiver = settings.receiver(name) else { throw Problem.notFound("receiver", name) }
        let began = world.now
        let id = Identifier<NotificationDelivery>(world)
        let labels = LabelSet([("alertname", "ReeveTest"), ("severity", "info")])
        // It ends by itself where receivers wait for an end.
        let endsAt = receiver.kind == .alertmanager || receiver.kind == .pagerduty ? began : nil
        let item = AlertBundle.Item(
            labels: labels, annotations: ["summary": "A test of the receiver \(name), sent by hand."],
            startsAt: began - .seconds(1), endsAt: endsAt)
        let outcome = await voice(receiver).say(
            ReceiverVoice.Saying(
                groupKey: "test:{alertname=\"ReeveTest\"}", groupLabels: labels, items: [item],
                messageID: "msg_\(id.text)"))
        let delivery = NotificationDelivery(
            id: id, receiver: name, kind: receiver.kind, groupKey: "", reason: "test", alerts: 1, attempt: 1, at: began,
            milliseconds: (world.now - began).microseconds / 1_000, outcome: outcome)
        try await storage.write { try store.insert(delivery, in: $0) }
        return delivery
    }

    private func forget() async throws {
        let (before, names) = (world.now - NotificationDelivery.kept, Set(settings.receivers.map(\.name)))
        try await storage.write { transaction in
            try store.forget(before: before, beyond: NotificationDelivery.keptMax, limit: 5_000, in: transaction)
            for name in try store.receivers(in: transaction) where !names.contains(name) {
                try store.deleteAll(of: name, in: transaction)
            }
        }
    }
}

/// What was seen when receivers were looked after at last: where nothing has changed since, nothing is planned.
final class NotificationLooks: Sendable {
    struct Mark: Sendable, Equatable {
        let alerts: String
        let nextLook: Timestamp?
    }

    private let seen = Mutex<[String: (alerts: String, at: Timestamp)]>([:])

    func isNews(_ mark: Mark, of receiver: String, at now: Timestamp) -> Bool {
        if let next = mark.nextLook, next <= now { return true }
        return seen.withLock { seen in
            guard let last = seen[receiver], last.alerts == mark.alerts else { return true }
            return now - last.at >= NotificationService.planInterval || now < last.at
        }
    }

    func note(_ mark: Mark, of receiver: String, at now: Timestamp) {
        seen.withLock { $0[receiver] = (mark.alerts, now) }
    }
}
