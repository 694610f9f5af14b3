import Kernel
import Telemetry

/// How far incidents are: what people say, what happens by itself, and the way back.
extension IncidentService {
    /// Writes down that something was reached. What was reached before stays as it was.
    @discardableResult
    public func reach(
        _ milestone: Incident.Milestone, of id: Identifier<Incident>, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident { try reach(milestone, of: id, by: principal, why: "", in: transaction) }

    @discardableResult
    func reach(
        _ milestone: Incident.Milestone, of id: Identifier<Incident>, by principal: Principal, why: String,
        in transaction: Transaction
    ) throws -> Incident {
        let id = try store.survivor(of: id, in: transaction)
        guard var incident = try store.incident(id, in: transaction) else {
            throw Problem.notFound("incident", id.text)
        }
        guard incident.milestones[milestone] == nil else { return incident }
        incident.milestones[milestone] = world.now
        try save(incident, in: transaction)
        try mark(milestone.rawValue, incident, by: principal, why: why, in: transaction)
        if milestone == .resolved {
            try links.unlink(id, in: transaction)
            try expectPostmortem(of: incident, in: transaction)
        }
        for follower in followers { try follower.reached(milestone, incident, by: principal, in: transaction) }
        return incident
    }

    /// A milestone that a person states. What was reached before is answered as it is.
    ///
    /// - Throws: ``Problem`` `conflict` where what comes before it is missing, or where alerts say otherwise.
    func state(
        _ milestone: Incident.Milestone, of text: String, note: String, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        guard incident.milestones[milestone] == nil else {
            // People may have been called again since, as it became worse.
            if milestone == .acknowledged, incident.isOpen {
                for follower in followers {
                    try follower.reached(.acknowledged, incident, by: principal, in: transaction)
                }
            }
            return incident
        }
        try incident.checkIsWhole()
        try check(milestone, incident, in: transaction)
        try audit.record(
            "incident.\(milestone.rawValue)", by: principal, target: incident.target,
            detail: note.isEmpty ? [:] : ["note": .string(note)], in: transaction)
        return try reach(milestone, of: incident.id, by: principal, why: note, in: transaction)
    }

    private func check(
        _ milestone: Incident.Milestone, _ incident: Incident, in transaction: Transaction
    ) throws {
        func refuse(_ what: String, _ hint: String) -> Problem {
            Problem(.conflict, what, hint: hint, field: "milestone")
        }
        switch milestone {
        case .detected, .acknowledged, .contained, .resolved: return
        case .mitigated, .verified:
            guard incident.isOpen else {
                throw refuse("The incident is resolved.", "Reopen it first: POST …/reopen.")
            }
            guard try !links.isFiring(incident.id, in: transaction) else {
                throw refuse(
                    "Alerts of the incident still fire.",
                    "It is \(milestone.rawValue) once they end; resolve it where the alert is wrong.")
            }
            guard milestone == .mitigated || incident.milestones[.mitigated] != nil else {
                throw refuse("The incident is not mitigated yet.", "State `mitigated` first.")
            }
            let pending = try verifications.flatMap { try $0.pending(incident, in: transaction) }
            guard milestone == .mitigated || pending.isEmpty else {
                throw refuse(
                    "Verification steps have not passed: \(pending.prefix(5).joined(separator: ", ")).",
                    "Run them, or resolve the incident without.")
            }
        case .postmortem:
            guard incident.milestones[.resolved] != nil else {
                throw refuse("The incident is not resolved yet.", "A postmortem is published after `resolved`.")
            }
        }
    }

    // MARK: The way back

    /// Opens a resolved incident again. Acknowledgement and containment are asked for anew.
    ///
    /// - Parameter alert: What came back; `nil` where a person opens it again.
    func reopen(
        _ incident: Incident, for alert: Alert? = nil, because why: String, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        guard !incident.isOpen else { return incident }
        try incident.checkIsWhole()
        var incident = incident
        for milestone in Incident.Milestone.allCases where milestone != .detected {
            incident.milestones[milestone] = nil
        }
        incident.reopenings += 1
        incident.quietSince = nil
        try save(incident, in: transaction)
        try link(
            incident, near: try surroundings.near(incident.subjects, at: world.now, in: transaction), in: transaction)
        // Somebody said of the end that was no end that nothing is to be written.
        try postmortems.unwaive(incident.id, in: transaction)
        try mark("reopened", incident, by: principal, why: why, in: transaction)
        for follower in followers { try follower.remindsNoMore(of: incident, in: transaction) }
        for follower in followers { try follower.opened(incident, by: alert, in: transaction) }
        return incident
    }

    func reopen(
        _ text: String, note: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        guard !incident.isOpen else { return incident }
        let reopened = try reopen(incident, because: note, by: principal, in: transaction)
        try audit.record("incident.reopened", by: principal, target: incident.target, in: transaction)
        return reopened
    }

    // MARK: By itself

    /// Incidents that one round looks at.
    static let sweptMax = 200
    /// So long after its time it is asked again whether an incident is verified.
    static let recheck = Span.seconds(10)

    /// Writes an incident, and when it is looked at again.
    func save(_ incident: Incident, in transaction: Transaction) throws {
        var incident = incident
        incident.dueAt = try nextLook(at: incident, in: transaction)
        try store.update(incident, in: transaction)
    }

    private func nextLook(at incident: Incident, in transaction: Transaction) throws -> Timestamp? {
        let isWaiting = incident.quietSince != nil && incident.isOpen && incident.milestones[.verified] == nil
        let lastFlap =
            isWaiting
            ? try links.lastBegin(of: incident.id, times: IncidentPolicy.flapsFrom, in: transaction) : nil
        return policy.nextLook(at: incident, lastFlap: lastFlap)
    }

    /// Has everything looked at whose time other settings may have set: once, at the start.
    func arm(in transaction: Transaction) throws {
        try store.arm(in: transaction)
        try armReminders(in: transaction)
    }

    /// Verifies what has stayed quiet, resolves what was verified long enough ago, and reminds of postmortems: what is
    /// due, the longest due first, so that each has its turn. Returns how much it did.
    @discardableResult
    public func sweep(in transaction: Transaction) throws -> Int {
        var done = 0
        for incident in try store.due(at: world.now, limit: Self.sweptMax, in: transaction) {
            let next = try nextLook(at: incident, in: transaction)
            guard let next, next <= world.now else {
                try store.setDue(next, of: incident.id, in: transaction)
                continue
            }
            guard incident.milestones[.verified] == nil else {
                let after = policy.resolveAfter ?? .zero
                try reach(
                    .resolved, of: incident.id, by: .system, why: "verified \(PageText.span(after)) ago",
                    in: transaction)
                done += 1
                continue
            }
            guard try verifications.allSatisfy({ try $0.pending(incident, in: transaction).isEmpty }) else {
                try store.setDue(world.now + Self.recheck, of: incident.id, in: transaction)
                continue
            }
            try reach(.verified, of: incident.id, by: .system, why: "its alerts stayed quiet", in: transaction)
            done += 1
        }
        return done + (try remind(in: transaction))
    }

    /// Whether ``sweep(in:)`` finds something: a look into two indexes.
    func hasWork(in transaction: Transaction) throws -> Bool {
        if try transaction.first(IncidentStore.isDue(at: world.now)) != nil { return true }
        return try transaction.first(PostmortemStore.isDue(at: world.now)) != nil
    }
}
