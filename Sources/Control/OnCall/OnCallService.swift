import Kernel

/// On-call: who answers now, and chains of escalation that go on until somebody does.
public struct OnCallService: Sendable {
    /// Escalations that one round of ``step(_:)`` carries on.
    static let dueMax = 100
    /// Notices that are on their way at one time, and of those the ones that go one way.
    static let sendsMax = 50
    static let sendsOneWayMax = 4
    /// How often it is looked for more while some are on their way.
    static let lookInterval = Span.seconds(1)
    /// Tries of one notice.
    static let attemptsMax = 8
    /// How long a try may take.
    static let sendingMax = Span.seconds(30)
    /// How long a try keeps others from trying: a server that ended within one is made up for after this.
    static let lease = Span.seconds(60)
    static let backoffBase = Span.seconds(5)
    static let backoffMax = Span.seconds(60)
    static let errorMax = 500
    /// Ways of one escalation that hear of its end.
    static let concludedMax = 100
    /// Overrides in force or to come.
    static let overridesMax: Int64 = 1_000
    static let overrideLengthMax = Span.hours(24 * 92)
    static let reasonMax = 500
    /// Days that escalations which ended are kept.
    static let keptDays: Int64 = 400

    /// `nil` where the settings name no file.
    public let plan: OnCallPlan?
    let store = OnCallStore()
    let notifier: any OnCallNotifying
    private let follower: (any OnCallFollowing)?
    private let events: Events
    private let audit: AuditService
    private let storage: any Storage
    let world: World

    public init(
        plan: OnCallPlan?, notifier: any OnCallNotifying = NoOnCallReceivers(),
        follower: (any OnCallFollowing)? = nil, events: Events, audit: AuditService,
        storage: any Storage, world: World
    ) {
        (self.plan, self.notifier, self.events, self.audit) = (plan, notifier, events, audit)
        (self.follower, self.storage, self.world) = (follower, storage, world)
    }

    // MARK: Escalations

    /// Begins to tell people of an incident, until somebody acknowledges it.
    ///
    /// An incident that is escalated already stays as it is, unless it became worse than it ever was: then the chain of
    /// its new severity takes the place of the other one, also where somebody had acknowledged that. Where both are the
    /// same chain, those who are told are told already.
    ///
    /// - Returns: `nil` where nobody is to be told: there is no plan, or it has no chain for this.
    @discardableResult
    public func page(
        incident: String, title: String, severity: String, path: OnCallPlan.Path, in transaction: Transaction
    ) throws -> Escalation? {
        let known = try store.escalation(incident: incident, in: transaction)
        guard let chain = plan?.chain(for: path, severity: severity) else { return known }
        if let known {
            guard Escalation.isWorse(severity, than: known.severity) else { return known }
            guard known.chain != chain.name || known.state == .exhausted else {
                var worse = known
                worse.severity = severity
                try store.update(worse, in: transaction)
                return worse
            }
            try end(known, in: transaction)
            try tell(
                "oncall.raised", known,
                [.init(name: "to", value: .string(severity)), .init(name: "toChain", value: .string(chain.name))],
                in: transaction)
        }
        let escalation = Escalation(
            id: Identifier(world), incident: incident, title: String(title.prefix(Escalation.titleMax)),
            severity: String(severity.prefix(Escalation.severityMax)), path: path, chain: chain, at: world.now)
        try store.insert(escalation, in: transaction)
        return escalation
    }

    /// Somebody has it: nobody else is told. `nil` where nothing of the incident is escalated.
    @discardableResult
    public func acknowledge(
        incident: String, by principal: Principal, in transaction: Transaction
    ) throws -> Escalation? {
        guard let escalation = try store.escalation(incident: incident, in: transaction) else { return nil }
        return try acknowledge(escalation, by: principal, in: transaction)
    }

    func acknowledge(
        _ id: Identifier<Escalation>, by principal: Principal, in transaction: Transaction
    ) throws -> Escalation {
        guard let escalation = try store.escalation(id, in: transaction) else {
            throw Problem.notFound("escalation", id.text)
        }
        return try acknowledge(escalation, by: principal, in: transaction)
    }

    private func acknowledge(
        _ escalation: Escalation, by principal: Principal, in transaction: Transaction
    ) throws -> Escalation {
        var escalation = escalation
        let now = world.now
        guard escalation.acknowledge(by: principal.actor, at: now) else { return escalation }
        try store.update(escalation, in: transaction)
        try conclude(escalation, .acknowledge, in: transaction)
        try tell("oncall.acknowledged", escalation, by: principal.actor, in: transaction)
        try audit.record(
            "oncall.acknowledged", by: principal, target: "escalation:\(escalation.id.text)",
            detail: ["incident": .string(escalation.incident)], in: transaction)
        try follower?.acknowledged(incident: escalation.incident, by: principal, in: transaction)
        return escalation
    }

    /// What it was about is over: nobody is told any more. `nil` where nothing of the incident is escalated.
    @discardableResult
    public func end(incident: String, in transaction: Transaction) throws -> Escalation? {
        guard let escalation = try store.escalation(incident: incident, in: transaction) else { return nil }
        return try end(escalation, in: transaction)
    }

    @discardableResult
    private func end(_ escalation: Escalation, in transaction: Transaction) throws -> Escalation {
        var escalation = escalation
        guard escalation.end(at: world.now) else { return escalation }
        try store.update(escalation, in: transaction)
        try conclude(escalation, .resolve, in: transaction)
        return escalation
    }

    /// What was not sent is not sent any more; who keeps what it was told of open hears what became of it.
    func conclude(
        _ escalation: Escalation, _ action: OnCallNotice.Action, in transaction: Transaction
    ) throws {
        let now = world.now
        let told = try store.told(escalation.id, limit: Self.concludedMax, in: transaction)
        try store.drop(escalation.id, at: now, in: transaction)
        for (number, one) in told.filter({ notifier.keepsOpen($0.channel) }).enumerated() {
            // A page that is on its way at this moment comes first.
            let at = one.isUnderWay ? now + Self.lease : now
            let notice = OnCallNotice.concluding(escalation, action, one.person, one.channel, number: number, at: at)
            try store.insert(notice, in: transaction)
        }
    }

    func tell(
        _ type: String, _ escalation: Escalation, by actor: String = Principal.system.actor,
        _ more: [JSONObject.Member] = [], in transaction: Transaction
    ) throws {
        let facts: [JSONObject.Member] = [
            .init(name: "escalation", value: escalation.id.json),
            .init(name: "incident", value: .string(escalation.incident)),
            .init(name: "severity", value: .string(escalation.severity)),
            .init(name: "path", value: .string(escalation.path.rawValue)),
            .init(name: "chain", value: .string(escalation.chain)),
        ]
        try events.append(
            EventDraft(type, actor: actor, data: .object(JSONObject(facts + more))), in: transaction)
    }

    // MARK: The clock's work

    /// Carries out the steps that are due, and sends what waits. That somebody is to be told is written down first: a
    /// server that ends before it was sent, or before it is known to have been, sends it again with the same key.
    ///
    /// While some are on their way the others go on: a way that hangs holds up nobody but those who are told by it.
    public func step(_ now: Timestamp) async throws {
        guard try await storage.read({ [store] in try store.hasDue(at: now, in: $0) }) else { return }
        try await withThrowingTaskGroup(of: (OnCallNotice, String?)?.self) { group in
            var flights = OnCallFlights()
            func begin(_ now: Timestamp) async throws {
                for notice in try await take(now, besides: flights) {
                    flights.begin(notice)
                    group.addTask { (notice, await send(notice)) }
                }
            }
            try await begin(now)
            var isLooking = false
            // A store that fails for a moment cuts off nobody who is being told.
            var failure: (any Error)?
            while !flights.isEmpty {
                if !isLooking, !Task.isCancelled {
                    isLooking = true
                    group.addTask {
                        try? await world.time.sleep(for: Self.lookInterval)
                        return nil
                    }
                }
                guard let found = try await group.next() else { return }
                if let (notice, error) = found {
                    flights.end(notice)
                    do { try await storage.write { try settle(notice, error, in: $0) } } catch { failure = error }
                } else {
                    isLooking = false
                    guard !Task.isCancelled, failure == nil else { continue }
                    do { try await begin(world.now) } catch { failure = error }
                }
            }
            group.cancelAll()
            if let failure { throw failure }
        }
    }

    /// Carries out what is due, and claims what may begin beside what is on its way.
    private func take(_ now: Timestamp, besides flights: OnCallFlights) async throws -> [OnCallNotice] {
        guard try await storage.read({ [store] in try store.hasDue(at: now, in: $0) }) else { return [] }
        return try await storage.write { transaction in
            try advance(now, in: transaction)
            let claimed = try store.claim(at: now, until: now + Self.lease, besides: flights, in: transaction)
            // Nothing was heard of any of its tries, so it may be the one that ends the server.
            for notice in claimed where notice.attempts > Self.attemptsMax {
                try settle(notice, "The server ended during each try.", in: transaction)
            }
            return claimed.filter { $0.attempts <= Self.attemptsMax }
        }
    }

    private func advance(_ now: Timestamp, in transaction: Transaction) throws {
        let due = try store.due(at: now, limit: Self.dueMax, in: transaction)
        guard !due.isEmpty else { return }
        let made = try overrides(in: now..<now + Span(microseconds: 1), transaction)
        for var escalation in due {
            let notices = escalation.due(at: now) { target in
                plan?.recipients(of: target, at: now, overrides: made) ?? Self.receiver(target)
            }
            for notice in notices { try store.insert(notice, in: transaction) }
            try store.update(escalation, in: transaction)
            for (step, notices) in Dictionary(grouping: notices, by: { [$0.round, $0.step] }).sorted(by: {
                $0.key.lexicographicallyPrecedes($1.key)
            }) {
                let people = Set(notices.compactMap { $0.person ?? $0.channel?.shown }).sorted()
                try tell(
                    people.isEmpty ? "oncall.nobody" : "oncall.paged", escalation,
                    [
                        .init(name: "target", value: .string("\(notices[0].target.kind):\(notices[0].target.name)")),
                        .init(name: "to", value: .list(people)), .init(name: "round", value: .int(Int64(step[0]))),
                        .init(name: "step", value: .int(Int64(step[1]))),
                    ], in: transaction)
            }
            if escalation.state == .exhausted { try tell("oncall.exhausted", escalation, in: transaction) }
        }
    }

    /// Without a plan any more there are no people, but a receiver is still one.
    private static func receiver(_ target: OnCallPlan.Target) -> [(person: String?, channel: OnCallChannel)] {
        if case .receiver(let name) = target { [(nil, .receiver(name))] } else { [] }
    }

    /// What went wrong; `nil` where it has arrived.
    private func send(_ notice: OnCallNotice) async -> String? {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await notifier.notify(notice) }
                group.addTask {
                    try await world.time.sleep(for: Self.sendingMax)
                    throw Problem(.storageUnavailable, "It took longer than \(Int(Self.sendingMax.seconds)) s.")
                }
                defer { group.cancelAll() }
                try await group.next()
            }
            return nil
        } catch {
            return String(((error as? Problem)?.detail ?? "\(error)").prefix(Self.errorMax))
        }
    }

    private func settle(_ notice: OnCallNotice, _ error: String?, in transaction: Transaction) throws {
        var notice = notice
        let now = world.now
        notice.error = error
        guard error != nil else {
            (notice.state, notice.endedAt) = (.sent, now)
            return try store.settle(notice, nextAt: nil, in: transaction)
        }
        guard notice.attempts < Self.attemptsMax else {
            (notice.state, notice.endedAt) = (.failed, now)
            try store.settle(notice, nextAt: nil, in: transaction)
            try events.append(
                EventDraft(
                    "oncall.notice_failed", actor: Principal.system.actor,
                    data: [
                        "key": .string(notice.key), "incident": .string(notice.incident), "person": .of(notice.person),
                        "channel": .of(notice.channel?.shown), "action": .string(notice.action.rawValue),
                        "error": .of(error),
                    ]), in: transaction)
            return
        }
        try store.settle(notice, nextAt: now + Self.backoff(notice.attempts), in: transaction)
    }

    /// 5 s, 10 s, 20 s, 40 s, and a minute from then on.
    static func backoff(_ attempts: Int) -> Span {
        min(backoffMax, Span(microseconds: backoffBase.microseconds << Int64(min(10, max(0, attempts - 1)))))
    }

    // MARK: Overrides

    /// Somebody takes the duty for a while.
    func cover(
        schedule: String?, person: String, from: Timestamp, until: Timestamp, reason: String?,
        by principal: Principal, in transaction: Transaction
    ) throws -> OnCallOverride {
        let plan = try requiredPlan()
        let now = world.now
        guard let schedule = schedule ?? (plan.schedules.count == 1 ? plan.schedules.first?.name : nil) else {
            throw Problem.invalid("schedule", "it is missing, and there is more than one")
        }
        guard plan.schedule(schedule) != nil else { throw Problem.notFound("schedule", schedule) }
        guard plan.person(person) != nil else {
            throw Problem.invalid(
                "person", "there is no \"\(person)\" in the file of on-call",
                hint: "Known are: \(plan.people.map(\.name).prefix(20).joined(separator: ", ")).")
        }
        guard from < until, until > now else {
            throw Problem.invalid("until", "a time behind `from`, and one to come, is expected")
        }
        guard until - from <= Self.overrideLengthMax else {
            throw Problem.invalid("until", "an override takes 92 days at most", hint: "Change the file instead.")
        }
        guard try store.standingCount(after: now, in: transaction) < Self.overridesMax else {
            throw Problem(
                .conflict, "There are \(Self.overridesMax) overrides, as many as there may be.",
                hint: "Remove one that is not needed any more.")
        }
        let id = Identifier<OnCallOverride>(world)
        // What is over stays as it was.
        let override = OnCallOverride(
            id: id, schedule: schedule, person: person, from: max(from, now), until: until, reason: reason,
            createdAt: now, createdBy: principal.actor)
        try store.insert(override, id, in: transaction)
        try note("oncall.overridden", override, by: principal, in: transaction)
        return override
    }

    /// Ends an override now; one that has not begun never counts.
    func remove(
        _ id: Identifier<OnCallOverride>, by principal: Principal, in transaction: Transaction
    ) throws {
        guard let override = try store.override(id, in: transaction), override.until > world.now else {
            throw Problem.notFound("override", id.text)
        }
        try store.remove(id, at: world.now, by: principal.actor, in: transaction)
        try note("oncall.override_removed", override, by: principal, in: transaction)
    }

    private func note(
        _ type: String, _ override: OnCallOverride, by principal: Principal, in transaction: Transaction
    ) throws {
        try events.append(EventDraft(type, actor: principal.actor, data: override.json), in: transaction)
        try audit.record(
            type, by: principal, target: "override:\(override.label)", detail: override.json, in: transaction)
    }

    /// Those made while Reeve runs, for people and schedules that the file still has.
    func overrides(in range: Range<Timestamp>, _ transaction: Transaction) throws -> [OnCallOverride] {
        guard let plan else { return [] }
        return try store.overrides(in: range, limit: Int(Self.overridesMax) * 2, in: transaction).filter {
            plan.schedule($0.schedule) != nil && plan.person($0.person) != nil
        }
    }

    /// Those that have a say in the shift of a moment and in the next one.
    func overrides(around time: Timestamp, _ transaction: Transaction) throws -> [OnCallOverride] {
        try overrides(in: time - OnCallSchedule.behind..<time + OnCallSchedule.ahead, transaction)
    }

    func requiredPlan() throws -> OnCallPlan {
        guard let plan else {
            throw Problem(
                .notFound, "No file of on-call is set.",
                hint: "Set `oncall.file` in the settings; the guide's page on on-call shows one.")
        }
        return plan
    }

    // MARK: Loops

    public var loops: [Loop] {
        [
            Loop("oncall.step", every: .seconds(1)) { try await step(world.now) },
            Loop("oncall.purge", every: .hours(1)) {
                let old = world.now - .hours(24 * Self.keptDays)
                _ = try await storage.write { [store] in try store.purge(before: old, limit: 500, in: $0) }
                _ = try await storage.write { [store] in try store.purgeOverrides(before: old, limit: 500, in: $0) }
            },
        ]
    }
}
