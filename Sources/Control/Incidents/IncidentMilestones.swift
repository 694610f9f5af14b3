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
        guard var incident = try store.incident(id, in: transaction) else {
            throw Problem.notFound("incident", id.text)
        }
        guard incident.milestones[milestone] == nil else { return incident }
        incident.milestones[milestone] = world.now
        try store.update(incident, in: transaction)
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
        if let other = incident.mergedInto {
            throw Problem(.conflict, "The incident became a part of \(other).", hint: "State it of that one.")
        }
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
    func reopen(
        _ incident: Incident, because why: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        guard !incident.isOpen else { return incident }
        if let other = incident.mergedInto {
            throw Problem(.conflict, "The incident became a part of \(other).", hint: "Reopen that one.")
        }
        var incident = incident
        for milestone in Incident.Milestone.allCases where milestone != .detected {
            incident.milestones[milestone] = nil
        }
        incident.reopenings += 1
        incident.quietSince = nil
        try store.update(incident, in: transaction)
        try link(
            incident, near: try surroundings.near(incident.subjects, at: world.now, in: transaction), in: transaction)
        try postmortems.stopClock(incident.id, in: transaction)
        try mark("reopened", incident, by: principal, why: why, in: transaction)
        for follower in followers { try follower.opened(incident, by: nil, in: transaction) }
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

    /// Verifies what has stayed quiet, resolves what was verified long enough ago, and reminds of postmortems. Returns
    /// how much it did.
    @discardableResult
    public func sweep(in transaction: Transaction) throws -> Int {
        var done = 0
        for incident in try store.quiet(limit: Self.sweptMax, in: transaction) {
            guard let quietSince = incident.quietSince else { continue }
            if incident.milestones[.verified] == nil {
                guard world.now - quietSince >= (try holdOff(incident, in: transaction)) else { continue }
                guard try verifications.allSatisfy({ try $0.pending(incident, in: transaction).isEmpty }) else {
                    continue
                }
                try reach(.verified, of: incident.id, by: .system, why: "its alerts stayed quiet", in: transaction)
                done += 1
            } else if let after = policy.resolveAfter, let at = incident.milestones[.verified], world.now - at >= after
            {
                try reach(
                    .resolved, of: incident.id, by: .system, why: "verified \(PageText.span(after)) ago",
                    in: transaction)
                done += 1
            }
        }
        return done + (try remind(in: transaction))
    }

    /// Whether ``sweep(in:)`` may find something.
    func hasWork(in transaction: Transaction) throws -> Bool {
        if try !store.quiet(limit: 1, in: transaction).isEmpty { return true }
        return try postmortems.due(
            before: world.now + policy.postmortemWithin, reminded: Self.remindersCount, limit: 1, in: transaction
        ).isEmpty == false
    }

    private func holdOff(_ incident: Incident, in transaction: Transaction) throws -> Span {
        let alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        let isFlapping = alerts.contains {
            $0.times >= IncidentPolicy.flapsFrom && world.now - $0.lastAt < IncidentPolicy.flapsWithin
        }
        return isFlapping ? policy.flappingQuiet : policy.quiet
    }
}
