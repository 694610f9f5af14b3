import Kernel
import Telemetry

/// What becomes of containments where incidents become one, where one becomes two, and where one is forgotten.
extension ContainmentService {
    /// What is in force stays so, and goes along: all of it, or what is about the part that was split off alone.
    public func moved(_ move: IncidentMove, in transaction: Transaction) throws {
        let (from, to) = (move.from.id.text, move.to.id.text)
        if move.part == nil {
            let count = try store.count(of: from, in: transaction) + store.count(of: to, in: transaction)
            guard count <= Int64(Self.listMax) else {
                throw Problem(
                    .conflict, "Together they have more than \(Self.listMax) containments.", hint: "Leave them apart.")
            }
        }
        for var containment in try containments(of: from, in: transaction) {
            if let part = move.part {
                guard try isAbout(part, containment, in: transaction) else { continue }
                try incidents.moveEntries(
                    of: "containment", naming: "containment", containment.id.text, from: move.from.id, to: move.to.id,
                    in: transaction)
            }
            let known = try store.containment(key: containment.key, of: to, in: transaction)
            if containment.state.isOpen, let known, try isStanding(known, in: transaction) {
                try expire(&containment, "The same is proposed for \(to).", in: transaction)
            }
            let key = known == nil ? containment.key : "\(containment.key)/\(containment.id.text)"
            try store.move(containment.id, to: to, key: key, in: transaction)
        }
        // What is over needs nothing done about it.
        if move.part != nil, move.to.quietSince == nil { try opened(move.to, by: nil, in: transaction) }
    }

    private func isStanding(_ known: Containment, in transaction: Transaction) throws -> Bool {
        var known = known
        return try known.state.isOpen || settle(&known, in: transaction)
    }

    /// Whether it acts on what was split off, and on nothing else.
    private func isAbout(
        _ part: IncidentMove.Part, _ containment: Containment, in transaction: Transaction
    ) throws -> Bool {
        var names: [String] = []
        for step in containment.steps {
            for parameter in step.order.action.subjects {
                names += step.order[parameter].map { "\(Self.kind(of: parameter)):\($0)" }
            }
        }
        return try !names.isEmpty
            && names.allSatisfy { name in
                if part.subjects.contains(name) { return true }
                // A task is its agent's.
                guard name.hasPrefix("task:"), let id = TaskID(String(name.dropFirst("task:".count))) else {
                    return false
                }
                let owner = try hands.tasks.store.live(id, in: transaction)?.owner
                return owner.map { part.subjects.contains("agent:\($0)") } ?? false
            }
    }

    /// What incidents call the subjects that a parameter names.
    private static func kind(of parameter: ContainmentParameter) -> String {
        switch parameter {
        case .agents: "agent"
        case .tasks: "task"
        case .models: "model"
        case .providers: "provider"
        case .queues: "queue"
        case .sessions: "session"
        default: parameter.rawValue
        }
    }

    /// What acts at this moment goes to its end first. What somebody proposed after the end is decided no more.
    public func keeps(_ incident: Identifier<Incident>, in transaction: Transaction) throws -> Bool {
        try containments(of: incident.text, in: transaction).contains(where: \.state.isMoving)
    }

    /// What holds something outlives its incident, so that it can be taken back: it is listed until then.
    public func forget(_ ids: [Identifier<Incident>], in transaction: Transaction) throws {
        for id in ids {
            for var containment in try containments(of: id.text, in: transaction)
            where try !settle(&containment, in: transaction) {
                try store.forget(containment, in: transaction)
            }
        }
    }
}
