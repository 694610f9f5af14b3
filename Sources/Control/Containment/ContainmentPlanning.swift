import Kernel
import Telemetry

/// Plans for incidents: proposed as they open and as alerts join, as far as the settings let them go.
extension ContainmentService: IncidentFollower {
    public func opened(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        try plan(for: incident, by: alert, in: transaction)
    }

    public func joined(_ incident: Incident, by alert: Alert, in transaction: Transaction) throws {
        try plan(for: incident, by: alert, in: transaction)
    }

    /// Somebody says in which way it fails, where nobody knew.
    public func changed(_ incident: Incident, by principal: Principal, in transaction: Transaction) throws {
        guard incident.isOpen, incident.mode != nil,
            try store.count(of: incident.id.text, in: transaction) == 0
        else { return }
        try plan(for: incident, by: nil, in: transaction)
    }

    /// An alert is kept also where the store fails while a plan is made of it.
    private func plan(for incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        do {
            try transaction.part { try planNow(for: incident, by: alert, in: transaction) }
        } catch {
            try planLater(incident, by: alert, in: transaction)
        }
    }

    /// And also where no plan can be made of it at all.
    func planNow(for incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        do {
            try transaction.part { try proposePlan(for: incident, by: alert, in: transaction) }
        } catch let problem as Problem where problem.code.status < 500 {
            try record(
                IncidentEntry(
                    kind: "containment", action: "not_planned", target: "incident:\(incident.id)",
                    actor: Principal.system.actor, at: world.now, detail: ["detail": .string(problem.detail)]),
                of: incident.id.text, in: transaction)
        }
    }

    /// What nobody decided is not asked any more once all is over.
    public func reached(
        _ milestone: Incident.Milestone, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws {
        guard milestone == .resolved else { return }
        for var open in try containments(of: incident.id.text, in: transaction) where open.state.isOpen {
            try expire(&open, "The incident is resolved.", in: transaction)
        }
    }

    func expire(_ containment: inout Containment, _ reason: String, in transaction: Transaction) throws {
        containment.state = .expired
        containment.reason = reason
        containment.endedAt = world.now
        try store.save(containment, in: transaction)
        try tell("expired", containment, by: .system, in: transaction)
    }

    /// What a plan is made of.
    private enum PlanGround {
        case mode(FailureMode)
        /// The typed actions of an alert's runbook.
        case runbook(Runbook, FailureMode?)

        var mode: FailureMode? {
            switch self {
            case .mode(let mode): mode
            case .runbook(_, let mode): mode
            }
        }

        var name: String {
            switch self {
            case .mode(let mode): mode.rawValue
            case .runbook(let runbook, _): runbook.name
            }
        }
    }

    /// What somebody wrote for the alert counts first, then the mode of failure that the alert tells of, then what the
    /// shipped runbook of an alert without a mode would do.
    private func ground(for incident: Incident, by alert: Alert?) -> PlanGround? {
        let mode = alert.flatMap(IncidentGrouping.mode)
        let runbook = alert.flatMap { runbooks?.library.runbook(ofAlert: Drill.Kind.runbookAlert(of: $0)) }
        if let runbook, !runbook.actions.isEmpty, !runbook.isShipped || (mode == nil && runbook.mode == nil) {
            return .runbook(runbook, mode ?? runbook.mode)
        }
        return (mode ?? incident.mode).map(PlanGround.mode)
    }

    /// The plan for the mode of failure, or by the alert's runbook, once for each set of orders: an alert that joins
    /// may bring further subjects.
    private func proposePlan(for incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        guard incident.isOpen, let ground = ground(for: incident, by: alert) else { return }
        try goOn(incident, in: transaction)
        let about = Self.narrowed(incident, to: alert)
        let plan = try plan(by: ground, about, alert, in: transaction)
        guard !plan.orders.isEmpty else {
            throw Problem(.conflict, "\(alert?.name ?? incident.title) names nothing that could be contained.")
        }
        let name = "plan:" + String(Digest.sha256(plan.orders.map { planKey($0) }.joined(separator: "\n")).prefix(24))
        let earlier = try self.earlier(name, incident, in: transaction)
        // A person's no stands for as long as the incident; what was taken back is done again when it comes back.
        guard !earlier.contains(where: { $0.state == .refused }) else { return }
        let key = try freshKey(name, incident, in: transaction)
        guard try store.containment(key: key, of: incident.id.text, in: transaction) == nil else { return }
        // A drill has a policy and an allowance of its own, which decides what acts and what asks: it takes nothing
        // from the fleet's, and nothing of it acts on the fleet without a person's yes.
        var (stance, reasons) =
            incident.drill == nil
            ? try stance(on: plan, ground.mode, about, by: alert, in: transaction) : (.suggest, [])
        if !plan.findings.isEmpty { reasons.append(plan.findings) }
        let containment = try insert(
            incident, origin: .plan, name: ground.name, mode: ground.mode, orders: plan.orders, key: key,
            stance: stance, reason: reasons.joined(separator: " "), by: .system, in: transaction)
        if stance == .act { try record("approved", containment, by: .system, in: transaction) }
    }

    private func plan(
        by ground: PlanGround, _ incident: Incident, _ alert: Alert?, in transaction: Transaction
    ) throws -> ContainmentPlan {
        switch ground {
        case .mode(let mode):
            let evidence = alert.map { $0.summary.isEmpty ? $0.name : $0.summary } ?? incident.title
            return try plans.plan(for: mode, incident, evidence: evidence, in: transaction)
        case .runbook(let runbook, let mode):
            var incident = incident
            incident.mode = mode
            return try plans.plan(by: runbook, incident, in: transaction)
        }
    }

    /// What is in force is wanted again: its condition came back.
    private func goOn(_ incident: Incident, in transaction: Transaction) throws {
        for var containment in try containments(of: incident.id.text, in: transaction)
        where containment.isInForce && containment.overAt != nil {
            containment.overAt = nil
            try store.save(containment, in: transaction)
        }
    }

    /// How far a plan goes by itself, and what holds it back.
    private func stance(
        on plan: ContainmentPlan, _ mode: FailureMode?, _ incident: Incident, by alert: Alert?,
        in transaction: Transaction
    ) throws -> (stance: ContainmentPolicy.Stance, reasons: [String]) {
        let stance = policy.stance(of: mode, incident.severity, alert: alert?.name)
        guard stance > .suggest else { return (stance, []) }
        let present = plan.orders.filter { $0.action.absence($0, doors) == nil }
        // Whom it reaches is much to ask, and matters only where it acts or where agents have bounds of their own.
        let isAsked = stance == .act || !policy.agents.isEmpty
        let radius = isAsked ? try hands.reach(of: present, in: transaction) : nil
        let labels =
            policy.agents.isEmpty ? [:] : try hands.agents.labels(of: radius?.agents ?? [], in: transaction)
        if let bound = policy.bound(of: present, labels: Array(labels.values)), bound.stance < stance {
            return (bound.stance, [bound.reason])
        }
        guard stance == .act, let radius else { return (stance, []) }
        let reasons = try objections(to: plan, present, radius, incident, by: alert, in: transaction)
        return (reasons.isEmpty ? .act : .ask, reasons)
    }

    /// Why Reeve may not let a plan act without asking.
    private func objections(
        to plan: ContainmentPlan, _ present: [ContainmentOrder], _ radius: BlastRadius, _ incident: Incident,
        by alert: Alert?, in transaction: Transaction
    ) throws -> [String] {
        var reasons: [String] = []
        // What others say may be wrong about whom it names.
        let isTold =
            try alert.map { $0.origin == .external }
            ?? alerts.alerts(ofIncident: incident.id.text, in: transaction).contains { $0.origin == .external }
        if isTold { reasons.append("Another system told of it.") }
        if present.contains(where: \.action.undoesPerson) {
            reasons.append("A person paused it: a person takes that back.")
        }
        if let wide = present.first(where: \.isAboutAll) {
            reasons.append("\(wide.action.title) would be about all that there is, as the incident names nobody.")
        }
        if let cut = present.first(where: { $0.omitted > 0 }) {
            reasons.append("\(cut.action.title) is meant for \(cut.omitted) more than one order names.")
        }
        if present.contains(where: { $0[.scopes].contains(BudgetScope.org.description) }) {
            reasons.append("The budget of the organisation is everybody's, also of those who are yet to come.")
        }
        if let scope = present.flatMap({ $0[.scopes] }).first(where: policy.mayReachNever) {
            reasons.append("The budget \(scope) may be that of somebody who is never to be touched.")
        }
        let owners = try hands.tasks.store.live(
            incident.subjects(of: "task").compactMap(TaskID.init), in: transaction
        ).compactMap(\.owner)
        let about = plan.agents.union(owners)
        if !plan.isAboutAllReached, let other = radius.agents.first(where: { !about.contains($0) }) {
            reasons.append("It reaches \(other), which the incident is not about.")
        }
        let alone = try store.actedAlone(since: world.now - .hours(1), in: transaction)
        if let objection = policy.objection(radius, actedAlone: alone) { reasons.append(objection) }
        return reasons
    }

    /// An alert that joins is answered for what it is about: others of the incident may have nothing to do with it.
    private static func narrowed(_ incident: Incident, to alert: Alert?) -> Incident {
        let about = alert.map(IncidentGrouping.subjects) ?? []
        guard !about.isEmpty else { return incident }
        var narrowed = incident
        narrowed.subjects = about
        return narrowed
    }

    /// Evidence grows while an incident goes on; it makes no new plan.
    private func planKey(_ order: ContainmentOrder) -> String {
        var values = order.values
        values[.evidence] = nil
        return ContainmentOrder(order.action, values)?.key ?? order.key
    }
}
