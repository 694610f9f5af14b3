import Kernel

/// A plan that could not be made with its alert, as the store failed at it: the alert was kept, and the plan is made
/// later, in a transaction of its own.
struct ContainmentLatePlan: Sendable, Equatable {
    let incidentID: String
    /// Empty where it was asked for without one.
    let alertID: String
    let tries: Int64
}

extension ContainmentService {
    /// After the first failure; each further one doubles it, up to ``latePlanWaitMax``.
    static let latePlanWait = Span.seconds(1)
    static let latePlanWaitMax = Span.minutes(1)

    /// Has a plan made later.
    func planLater(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        let plan = ContainmentLatePlan(incidentID: incident.id.text, alertID: alert?.id.text ?? "", tries: 1)
        try store.put(plan, dueAt: world.now + Self.latePlanWait, in: transaction)
    }

    /// Makes one that is late, unless nothing fires any more that it would be against.
    func makeUp(_ late: ContainmentLatePlan, in transaction: Transaction) throws {
        try store.remove(late, in: transaction)
        let alert = try Identifier<Alert>(late.alertID).flatMap { try alerts.alert($0, in: transaction) }
        guard late.alertID.isEmpty || alert?.isFiring == true,
            // Meanwhile it may have gone to another incident.
            let id = Identifier<Incident>(alert?.incidentID ?? late.incidentID),
            let named = try incidents.incident(id, in: transaction),
            let incident = try incidents.incident(
                incidents.store.survivor(of: named.id, in: transaction), in: transaction),
            incident.isOpen, incident.quietSince == nil
        else { return }
        try planNow(for: incident, by: alert, in: transaction)
    }

    func postpone(_ late: ContainmentLatePlan, in transaction: Transaction) throws {
        let wait = Self.latePlanWait * Double(Int64(1) << min(late.tries, 10))
        let next = ContainmentLatePlan(
            incidentID: late.incidentID, alertID: late.alertID, tries: late.tries + 1)
        try store.put(next, dueAt: world.now + min(wait, Self.latePlanWaitMax), in: transaction)
    }
}

extension ContainmentLoop {
    /// Late plans of one round.
    static let latePlansMax = 50

    /// Makes the plans that are late. What fails again is tried for as long as its incident goes on.
    func makeUp() async throws {
        let late = try await storage.read { [service] in
            try service.store.latePlans(at: service.world.now, limit: Self.latePlansMax, in: $0)
        }
        var fault: (any Error)?
        for plan in late {
            do {
                try await storage.write { [service] in try service.makeUp(plan, in: $0) }
            } catch {
                fault = error
                try await storage.write { [service] in try service.postpone(plan, in: $0) }
            }
        }
        if let fault { throw fault }
    }
}
