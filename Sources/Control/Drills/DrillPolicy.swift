import Kernel
import Telemetry

/// What Reeve may do against the fault of a drill: all that reaches nobody but the drill's own, at once, whatever the
/// settings say of the fleet. What would reach others waits for a person, as the settings have it. What is done is
/// planned as it is for the fleet.
extension DrillService {
    /// Lets act what was planned against the drill that runs. What it finds is in the store, so that a server that was
    /// killed in between goes on with it.
    func contain(in transaction: Transaction) throws {
        guard let drill = try store.running(in: transaction), drill.expiresAt > world.now else { return }
        for incident in try incidents.open(about: drill.subject, in: transaction) {
            _ = try transaction.isAllowed { try contain(incident, of: drill, in: transaction) }
        }
    }

    private func contain(_ incident: Incident, of drill: Drill, in transaction: Transaction) throws {
        let planned = try containments.containments(of: incident.id.text, in: transaction)
        // Whoever took it back has mended the fault.
        guard !planned.contains(where: { $0.state == .reversing || $0.state == .reversed }) else { return }
        for one in planned where one.state.isOpen && one.origin == .plan {
            let radius = try containments.hands.radius(of: one.steps.map(\.order), in: transaction)
            guard drill.owns(radius) else { continue }
            if one.steps.contains(where: \.order.action.undoesPerson) {
                try containments.ask(one, in: transaction)
            } else {
                _ = try containments.approve(one.id.text, by: drill.policy, in: transaction)
            }
        }
    }
}

extension Drill {
    /// Who says yes in its name. It counts for nothing in what Reeve may do alone within an hour.
    var policy: Principal { Principal(keyID: id.text, name: id.text, role: .operator_) }

    /// Whether all that is reached is its own.
    func owns(_ radius: BlastRadius) -> Bool {
        func isOwn(_ text: String) -> Bool {
            let name = text.split(separator: ":").last.map(String.init) ?? text
            return name.hasPrefix(prefix) || [project, DrillNames.model].contains(name)
                || name.hasPrefix("\(DrillNames.model)/")
        }
        return !radius.isCut && (radius.agents + radius.models + radius.others).allSatisfy(isOwn)
    }
}
