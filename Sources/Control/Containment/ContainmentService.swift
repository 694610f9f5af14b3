import Kernel
import Telemetry

/// What is done against incidents: proposed by the plan for how something fails, by people or by runbooks; approved,
/// done step by step, and taken back.
///
/// Verbs change rows in the caller's transaction; ``ContainmentLoop`` acts.
public struct ContainmentService: Sendable {
    /// Containments of one incident that are listed.
    static let listMax = 200
    /// Steps of one containment that its timeline tells of each.
    static let entriesMax = 50

    let store = ContainmentStore()
    let hands: ContainmentHands
    let plans: ContainmentPlans
    let doors: ContainmentDoors
    let policy: ContainmentPolicy
    /// What would be done about alerts without a mode of failure; `nil` where nobody knows of runbooks.
    let runbooks: RunbookShelf?
    let alerts: AlertService
    let incidents: IncidentService
    let events: Events
    let audit: AuditService
    let world: World

    /// - Parameter incidents: Where it is written down what was done. Of the service that acts, those that everybody
    ///   follows: what it reaches is told to them. Of the one that follows, any.
    public init(
        agents: AgentService, tasks: TaskService, queues: QueueService, budgets: BudgetService,
        models: any LiveModels, holds: any RunHolds, doors: ContainmentDoors = ContainmentDoors(),
        policy: ContainmentPolicy = ContainmentPolicy(), runbooks: RunbookShelf? = nil, alerts: AlertService,
        incidents: IncidentService, events: Events, audit: AuditService, world: World
    ) {
        self.runbooks = runbooks
        hands = ContainmentHands(
            agents: agents, tasks: tasks, queues: queues, budgets: budgets, models: models, policy: policy,
            world: world)
        plans = ContainmentPlans(hands: hands, holds: holds)
        (self.doors, self.policy, self.alerts, self.incidents) = (doors, policy, alerts, incidents)
        (self.events, self.audit, self.world) = (events, audit, world)
    }

    // MARK: Looking

    public func containment(_ id: String, in transaction: Transaction) throws -> Containment {
        guard let known = Identifier<Containment>(id), let found = try store.containment(known, in: transaction) else {
            throw Problem.notFound("containment", id)
        }
        return found
    }

    public func containments(of incident: String, in transaction: Transaction) throws -> [Containment] {
        try store.containments(of: incident, limit: Self.listMax, in: transaction)
    }

    /// What is in force, of all incidents, the newest first; one more than the page has where there are more. An
    /// incident may be forgotten by now: what holds something stays until it is taken back.
    func held(_ page: Page, in transaction: Transaction) throws -> [Containment] {
        try store.held(page, in: transaction)
    }

    /// Whether its incident is not kept any more.
    func forgotten(_ containment: Containment, in transaction: Transaction) throws -> Bool {
        guard let id = Identifier<Incident>(containment.incidentID) else { return true }
        return try incidents.incident(id, in: transaction) == nil
    }

    /// What orders would touch now, and whether each has somebody to act on it.
    public func preview(_ orders: [ContainmentOrder], in transaction: Transaction) throws -> JSONValue {
        let (all, radius) = try hands.survey(orders, in: transaction)
        let steps = all.map { one -> JSONValue in
            let action = one.order.action
            let missing = action.absence(one.order, doors)
            return [
                "action": .string(action.rawValue), "title": .string(action.title),
                "parameters": one.order.parameters, "reversible": .bool(action.isReversible),
                "available": .bool(missing == nil), "missing": .of(missing),
                "targets": .list(one.aim.targets.map(\.text)), "agents": BlastRadius.named(one.radius.agents),
                "spared": .array(one.aim.spared.map(\.json)),
            ]
        }
        let alone = try store.actedAlone(since: world.now - .hours(1), in: transaction)
        return [
            "blastRadius": radius.json, "steps": .array(steps),
            "beyondLimits": .of(policy.objection(radius, actedAlone: alone)),
        ]
    }

    // MARK: Proposing

    /// Proposes one order by hand. The same for the same incident is one containment, as long as it is not over.
    public func propose(
        _ order: ContainmentOrder, for incidentID: String, acts: Bool, by principal: Principal,
        in transaction: Transaction
    ) throws -> Containment {
        let incident = try incident(incidentID, in: transaction)
        for parameter in order.action.subjects {
            guard let spared = order[parameter].first(where: { policy.spares(parameter, $0) }) else { continue }
            throw Problem(
                .neverContained, "The settings keep containments from \"\(spared)\".",
                hint: "Use the verbs of the thing itself, or change alerts.containment.never.")
        }
        if let absence = order.action.absence(order, doors) {
            throw Problem(.notThereYet, absence, hint: "Choose another action, such as pauseAgent.")
        }
        let aim = try hands.aim(order, in: transaction)
        let named = Set(order[.tasks].map { "task:\($0)" })
        if let spared = aim.spared.first(where: { aim.targets.isEmpty || named.contains($0.target) }) {
            throw Problem(
                .neverContained, "\(spared.target): \(spared.detail).",
                hint: "Use the verbs of the thing itself, or change alerts.containment.never.")
        }
        guard !aim.targets.isEmpty else {
            throw Problem(
                .conflict, "There is nothing to act on: \(order.words).",
                hint: "Name tasks that are in progress, or models of the settings.")
        }
        let containment = try insert(
            incident, origin: .person, name: order.action.rawValue, mode: nil, orders: [order],
            key: try freshKey(order.key, incident, in: transaction), stance: .suggest, reason: "", by: principal,
            in: transaction)
        if containment.state == .proposed { try record("proposed", containment, by: principal, in: transaction) }
        guard acts, containment.state.isOpen else { return containment }
        return try approve(containment.id.text, by: principal, in: transaction)
    }

    /// What was taken back, by whom- and however, or refused, may be proposed anew.
    func freshKey(_ key: String, _ incident: Incident, in transaction: Transaction) throws -> String {
        let earlier = try earlier(key, incident, in: transaction)
        if let known = earlier.first(where: { $0.state.isOpen || $0.isInForce }) { return known.key }
        guard !earlier.isEmpty else { return key }
        // Some may have gone to another incident.
        var number = earlier.count + 1
        while earlier.contains(where: { $0.key == "\(key)/\(number)" }) { number += 1 }
        return "\(key)/\(number)"
    }

    /// What was proposed under a key before, as it stands now.
    func earlier(_ key: String, _ incident: Incident, in transaction: Transaction) throws -> [Containment] {
        try store.containments(of: incident.id.text, limit: Self.listMax, in: transaction)
            .filter { $0.key == key || $0.key.hasPrefix("\(key)/") }
            .map { known in
                var known = known
                try settle(&known, in: transaction)
                return known
            }
    }

    func incident(_ id: String, in transaction: Transaction) throws -> Incident {
        guard let known = Identifier<Incident>(id), let found = try incidents.incident(known, in: transaction) else {
            throw Problem.notFound("incident", id)
        }
        return found
    }

    /// Adds a containment, unless there is one with this key.
    func insert(
        _ incident: Incident, origin: Containment.Origin, name: String, mode: FailureMode?,
        orders: [ContainmentOrder], key: String, stance: ContainmentPolicy.Stance, reason: String,
        by principal: Principal, in transaction: Transaction
    ) throws -> Containment {
        if let known = try store.containment(key: key, of: incident.id.text, in: transaction) { return known }
        try incident.checkIsWhole()
        guard try store.count(of: incident.id.text, in: transaction) < Containment.perIncidentMax else {
            throw Problem(
                .conflict, "The incident has \(Containment.perIncidentMax) containments already.",
                hint: "Resolve it, and act on the next one.")
        }
        let now = world.now
        var containment = Containment(
            id: Identifier(world), incidentID: incident.id.text, origin: origin, name: name, mode: mode, key: key,
            state: stance == .suggest ? .proposed : .asked, reason: reason, proposedBy: principal.actor,
            createdAt: now, expiresAt: stance == .suggest ? nil : now + policy.askTime)
        containment.steps = orders.prefix(Containment.stepsMax).enumerated().map { ContainmentStep($0 + 1, $1) }
        if stance == .act {
            containment.state = .acting
            containment.decidedBy = Principal.system.actor
            containment.decidedAt = now
            containment.expiresAt = nil
        }
        try store.insert(containment, in: transaction)
        try tell(stance == .ask ? "asked" : "proposed", containment, by: principal, in: transaction)
        return containment
    }

    // MARK: Deciding

    /// Lets it act. Only people may: no agent's key, and not Reeve itself.
    public func approve(_ id: String, by principal: Principal, in transaction: Transaction) throws -> Containment {
        var containment = try containment(id, in: transaction)
        if containment.state.isLetAct { return containment }
        try check(containment, isIn: [.proposed, .asked], "approved")
        if let expiresAt = containment.expiresAt, expiresAt <= world.now {
            throw Problem(
                .conflict, "The question was open until \(expiresAt).", hint: "Propose the action anew.")
        }
        containment.state = .acting
        containment.decidedBy = principal.actor
        containment.decidedAt = world.now
        containment.expiresAt = nil
        try store.save(containment, in: transaction)
        try record("approved", containment, by: principal, in: transaction)
        try enter("approved", containment, by: principal, in: transaction)
        return containment
    }

    public func refuse(
        _ id: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Containment {
        var containment = try containment(id, in: transaction)
        if containment.state == .refused { return containment }
        try check(containment, isIn: [.proposed, .asked], "refused")
        containment.state = .refused
        containment.reason = reason ?? containment.reason
        containment.decidedBy = principal.actor
        containment.decidedAt = world.now
        containment.endedAt = world.now
        try store.save(containment, in: transaction)
        try tell("refused", containment, by: principal, in: transaction)
        try record("refused", containment, by: principal, in: transaction)
        return containment
    }

    /// Takes back what it did, as far as nobody changed it since.
    public func reverse(_ id: String, by principal: Principal, in transaction: Transaction) throws -> Containment {
        var containment = try containment(id, in: transaction)
        if containment.state == .reversing || containment.state == .reversed { return containment }
        try check(containment, isIn: [.acted], "taken back")
        guard containment.canReverse else {
            throw Problem(
                .conflict, "Nothing of it can be taken back.", hint: "What it did is told in its outcomes.")
        }
        containment.state = .reversing
        containment.reversedBy = principal.actor
        try store.save(containment, in: transaction)
        try record("reversal_ordered", containment, by: principal, in: transaction)
        try enter("reversal_ordered", containment, by: principal, in: transaction)
        return containment
    }

    /// Puts to a person what was only proposed.
    func ask(_ containment: Containment, in transaction: Transaction) throws {
        guard containment.state == .proposed else { return }
        var containment = containment
        containment.state = .asked
        containment.expiresAt = world.now + policy.askTime
        try store.save(containment, in: transaction)
        try tell("asked", containment, by: .system, in: transaction)
    }

    private func check(_ containment: Containment, isIn states: [Containment.State], _ verb: String) throws {
        guard !states.contains(containment.state) else { return }
        throw Problem(
            .conflict, "The containment is \(containment.state.rawValue), and is not \(verb) any more.",
            hint: "Read it again.",
            members: JSONObject([.init(name: "state", value: .string(containment.state.rawValue))]))
    }

    // MARK: Writing down

    func record(
        _ verb: String, _ containment: Containment, by principal: Principal, in transaction: Transaction
    ) throws {
        try audit.record(
            "containment.\(verb)", by: principal, target: "containment:\(containment.id)", detail: facts(containment),
            in: transaction)
    }

    private func facts(_ containment: Containment) -> JSONValue {
        [
            "containment": containment.id.json, "incidentId": .string(containment.incidentID),
            "name": .string(containment.name), "reason": .string(containment.reason),
            "decidedBy": .of(containment.decidedBy), "reversedBy": .of(containment.reversedBy),
            "orders": .list(containment.steps.map(\.order.words)),
        ]
    }

    /// Tells of it as an event, and in the incident's timeline.
    func tell(
        _ verb: String, _ containment: Containment, by principal: Principal, in transaction: Transaction
    ) throws {
        try events.append(
            EventDraft("containment.\(verb)", actor: principal.actor, data: facts(containment)), in: transaction)
        try enter(verb, containment, by: principal, in: transaction)
    }

    /// Tells of it in the incident's timeline alone.
    func enter(
        _ verb: String, _ containment: Containment, by principal: Principal, in transaction: Transaction
    ) throws {
        try record(
            IncidentEntry(
                kind: "containment", action: verb, target: "containment:\(containment.name)", actor: principal.actor,
                at: world.now, detail: facts(containment)), of: containment.incidentID, in: transaction)
    }

    func record(_ entry: IncidentEntry, of incident: String, in transaction: Transaction) throws {
        guard let id = Identifier<Incident>(incident), try incidents.incident(id, in: transaction) != nil else {
            return
        }
        try incidents.record(entry, in: id, transaction)
    }
}
