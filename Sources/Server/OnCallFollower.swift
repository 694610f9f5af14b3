import Control
import Kernel
import Synchronization
import Telemetry

/// Tells people of incidents, and stops when somebody sees to them.
///
/// On-call is told what incidents come to, and incidents are made first: it is there once both are.
final class OnCallFollower: IncidentFollower {
    private let service = Mutex<OnCallService?>(nil)

    func begin(_ onCall: OnCallService) { service.withLock { $0 = onCall } }

    func opened(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws {
        try page(incident, in: transaction)
    }

    /// An alert may make it worse, so that somebody is told who was not before.
    func joined(_ incident: Incident, by alert: Alert, in transaction: Transaction) throws {
        try page(incident, in: transaction)
    }

    /// Somebody says that it is worse, or another incident became a part of it.
    func changed(_ incident: Incident, by principal: Principal, in transaction: Transaction) throws {
        try page(incident, in: transaction)
    }

    private func page(_ incident: Incident, in transaction: Transaction) throws {
        // A drill wakes nobody, also where its incident is opened again.
        guard let onCall = service.withLock({ $0 }), incident.drill == nil, incident.isOpen else { return }
        try onCall.page(
            incident: incident.id.text, title: incident.title, severity: incident.severity.rawValue,
            path: Self.path(incident), in: transaction)
    }

    /// Of two incidents that are one people are told once; what was split off has its own people, unless somebody saw
    /// to the whole.
    func moved(_ move: IncidentMove, in transaction: Transaction) throws {
        guard let onCall = service.withLock({ $0 }) else { return }
        let isAcknowledged = move.to.milestones[.acknowledged] != nil
        guard move.part == nil else {
            try page(move.to, in: transaction)
            // Whoever saw to the whole sees to the part: only what becomes worse calls anew.
            if isAcknowledged { try onCall.acknowledge(incident: move.to.id.text, by: .system, in: transaction) }
            return
        }
        try onCall.merge(
            incident: move.from.id.text, into: move.to.id.text, isAcknowledged: isAcknowledged, in: transaction)
    }

    func forget(_ incidents: [Identifier<Incident>], in transaction: Transaction) throws {
        try service.withLock { $0 }?.forget(incidents: incidents.map(\.text), in: transaction)
    }

    /// A drill owes nobody anything.
    func reminds(_ reminder: PostmortemReminder, of incident: Incident, in transaction: Transaction) throws {
        guard let onCall = service.withLock({ $0 }), incident.drill == nil else { return }
        try onCall.remind(
            incident: incident.id.text, title: "\(reminder.text): \(incident.title)",
            severity: incident.severity.rawValue, path: Self.path(incident), in: transaction)
    }

    func remindsNoMore(of incident: Incident, in transaction: Transaction) throws {
        try service.withLock { $0 }?.remindNoMore(incident: incident.id.text, in: transaction)
    }

    private static func path(_ incident: Incident) -> OnCallPlan.Path {
        incident.kind == .behavioural ? .behavioural : .infrastructure
    }

    func owner(of incident: Incident, in transaction: Transaction) throws -> String? {
        try service.withLock { $0 }?.lastTold(of: incident.id.text, in: transaction)
    }

    func reached(
        _ milestone: Incident.Milestone, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws {
        guard let onCall = service.withLock({ $0 }) else { return }
        switch milestone {
        case .acknowledged: try onCall.acknowledge(incident: incident.id.text, by: principal, in: transaction)
        case .resolved: try onCall.end(incident: incident.id.text, in: transaction)
        default: break
        }
    }
}
