import Kernel
import Telemetry

/// What Reeve may do against the fault of a drill: all that reaches nobody but the drill's own, at once, whatever the
/// settings say of the fleet. What would reach others waits for a person, as the settings have it.
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
        var planned = try containments.containments(of: incident.id.text, in: transaction)
        // Whoever took it back has mended the fault.
        guard !planned.contains(where: { $0.state == .reversing || $0.state == .reversed }) else { return }
        if planned.isEmpty, let order = try order(against: drill, incident, in: transaction) {
            planned = [try propose(order, against: drill, incident, in: transaction)]
        }
        guard !drill.kind.asksPerson else { return }
        for one in planned where one.state.isOpen && one.origin == .plan {
            let radius = try containments.hands.radius(of: one.steps.map(\.order), in: transaction)
            guard drill.owns(radius) else { continue }
            _ = try containments.approve(one.id.text, by: drill.policy, in: transaction)
        }
    }

    /// What is done where the mode of failure has no plan of its own.
    private func order(
        against drill: Drill, _ incident: Incident, in transaction: Transaction
    ) throws -> ContainmentOrder? {
        switch drill.kind {
        case .hungAgent, .toolTimeout:
            let named = incident.subjects(of: "agent").filter { $0.hasPrefix(drill.prefix) }
            return ContainmentOrder(.pauseAgent, [.agents: named])
        case .queueBackup:
            let agents = containments.hands.agents
            let own = try agents.list(
                AgentFilter(project: drill.project), page: Page(limit: Drill.listMax), in: transaction)
            let paused = own.items.map(\.agent).filter(\.isPaused).map(\.name)
            return ContainmentOrder(.resumeAgent, [.agents: paused])
        case .modelOutage, .loopingAgent, .badDeliverable, .costSpike: return nil
        }
    }

    private func propose(
        _ order: ContainmentOrder, against drill: Drill, _ incident: Incident, in transaction: Transaction
    ) throws -> Containment {
        try containments.insert(
            incident, origin: .plan, name: drill.kind.rawValue, mode: nil, orders: [order],
            key: "drill:\(drill.id.text)", stance: drill.kind.asksPerson ? .ask : .suggest,
            reason: drill.kind.asksPerson ? "A person paused it: a person takes that back." : "", by: .system,
            in: transaction)
    }
}

extension Drill.Kind {
    /// Whether what helps takes back what a person did, which Reeve never does by itself.
    var asksPerson: Bool { self == .queueBackup }
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
