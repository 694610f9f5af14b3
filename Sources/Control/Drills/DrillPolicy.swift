import Kernel
import Telemetry

/// What Reeve may do against the fault of a drill: all that reaches nobody but the drill's own, at once, whatever the
/// settings say of the fleet. What would reach others waits for a person, as the settings have it. What is done is
/// planned as it is for the fleet.
extension DrillService {
    /// One thing that is to be done.
    enum Deed: Sendable {
        /// A person is asked, as it takes back what a person did.
        case ask(Containment)
        case approve(String)
    }

    /// Lets act what was planned against the drill that runs. What it finds is in the store, so that a server that was
    /// killed in between goes on with it.
    func contain(in transaction: Transaction) throws {
        guard let drill = try store.running(in: transaction), drill.expiresAt > world.now else { return }
        for deed in try deeds(against: drill, in: transaction) {
            _ = try transaction.isAllowed {
                switch deed {
                case .ask(let containment): try containments.ask(containment, in: transaction)
                case .approve(let id): _ = try containments.approve(id, by: drill.policy, in: transaction)
                }
            }
        }
    }

    /// What is to be done now; of what waits for somebody, nothing.
    func deeds(against drill: Drill, in transaction: Transaction) throws -> [Deed] {
        var (deeds, acts): ([Deed], Int) = ([], 0)
        for incident in try incidents.open(about: drill.subject, in: transaction) {
            let planned = try containments.containments(of: incident.id.text, in: transaction)
            acts += planned.count { $0.decidedBy == drill.policy.actor }
            // Whoever took it back has mended the fault.
            guard !planned.contains(where: { $0.state == .reversing || $0.state == .reversed }) else { continue }
            for one in planned where one.state.isOpen && one.origin == .plan {
                let reach = try containments.hands.reach(of: one.steps.map(\.order), in: transaction)
                guard try owns(drill, reach, in: transaction) else {
                    let stance = containments.policy.stance(of: one.mode, incident.severity, alert: nil)
                    if stance > .suggest, one.state == .proposed { deeds.append(.ask(one)) }
                    continue
                }
                guard one.steps.contains(where: \.order.action.undoesPerson) else {
                    deeds.append(.approve(one.id.text))
                    continue
                }
                if one.state == .proposed { deeds.append(.ask(one)) }
            }
        }
        return acts < Drill.actsMax ? deeds : []
    }

    /// Whether all that is reached is a drill's own: agents, tasks, sessions, models, queues and budgets.
    func owns(_ drill: Drill, _ reach: BlastRadius, in transaction: Transaction) throws -> Bool {
        guard drill.owns(reach) else { return false }
        let tasks = Set(reach.tasksInProgress + reach.tasksHeld + reach.downstream)
        guard tasks.count <= Drill.tasksMax else { return false }
        return try tasks.allSatisfy { name in
            guard let id = TaskID(name) else { return false }
            return try containments.hands.tasks.store.task(id, in: transaction)?.project == drill.project
        }
    }
}

extension Drill {
    /// Who says yes in its name: who started it, in this drill. It counts for nothing in what Reeve may do alone to the
    /// fleet within an hour, and what Reeve did there takes nothing from it.
    var policy: Principal {
        let parts = startedBy.split(separator: ":", maxSplits: 1)
        let role = parts.count == 2 ? Role(rawValue: String(parts[0])) : nil
        return Principal(keyID: id.text, name: "\(parts.last ?? "nobody") in \(id.text)", role: role ?? .operator_)
    }

    /// Whether all that is reached is its own, but for the tasks, whose names do not say whose they are.
    func owns(_ radius: BlastRadius) -> Bool {
        func isOwn(_ text: String) -> Bool {
            let name = text.split(separator: ":").last.map(String.init) ?? text
            return name.hasPrefix(prefix) || [project, DrillNames.model].contains(name)
                || name.hasPrefix("\(DrillNames.model)/")
        }
        return !radius.isCut
            && (radius.agents + radius.models + radius.sessions + radius.others).allSatisfy(isOwn)
    }
}
