import Kernel
import Telemetry

/// Begins and ends drills: for as long as one runs, rules tightened to seconds look for its fault.
public struct DrillService: Sendable, TemporaryRules {
    let store = DrillStore()
    private let ground: any DrillGround
    let incidents: IncidentService
    let containments: ContainmentService
    private let model: String
    private let events: Events
    private let audit: AuditService
    let world: World

    /// - Parameter model: The model of drills.
    public init(
        ground: any DrillGround, incidents: IncidentService, containments: ContainmentService, model: String,
        events: Events, audit: AuditService, world: World
    ) {
        (self.ground, self.incidents, self.containments) = (ground, incidents, containments)
        self.model = model
        self.events = events
        self.audit = audit
        self.world = world
    }

    /// Forgets drills that ended before a moment and of which nothing is left; says how many.
    static func forget(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try DrillStore().forget(before: time, limit: limit, in: transaction)
    }

    func start(_ kind: Drill.Kind, by principal: Principal, in transaction: Transaction) throws -> Drill {
        if let running = try store.running(in: transaction) {
            throw Problem(
                .conflict, "The drill \(running.id.text) (\(running.kind.rawValue)) runs already.",
                hint: "It ends by itself at \(running.expiresAt.rfc3339); `POST /api/v1/drills/\(running.id.text)/end` "
                    + "ends it now.")
        }
        let drill = Drill(id: Identifier(world), kind: kind, startedAt: world.now, startedBy: principal.actor)
        try store.insert(drill, in: transaction)
        try ground.prepare(drill, in: transaction)
        try note("drill.started", drill, by: principal, in: transaction)
        return drill
    }

    /// Ends a drill and clears up behind it; one that has ended stays as it is.
    @discardableResult
    func end(_ id: Identifier<Drill>, by principal: Principal, in transaction: Transaction) throws -> Drill {
        guard var drill = try store.drill(id, in: transaction) else { throw Problem.notFound("drill", id.text) }
        guard drill.endedAt == nil else { return drill }
        drill.endedAt = world.now
        let isClear = try clear(drill, in: transaction)
        try store.end(id, at: world.now, isClear: isClear, in: transaction)
        try note("drill.ended", drill, by: principal, in: transaction)
        let ground = ground
        transaction.afterCommit { ground.mendModel() }
        return drill
    }

    /// Lets the model of drills be asked again, as if its provider had come back.
    func mend(_ id: Identifier<Drill>, in transaction: Transaction) throws -> Drill {
        guard let drill = try store.drill(id, in: transaction), drill.endedAt == nil else {
            throw Problem.notFound("running drill", id.text)
        }
        let ground = ground
        transaction.afterCommit { ground.mendModel() }
        return drill
    }

    /// Contains what the drill that runs brought about, ends what nobody ended, and removes what could not be removed
    /// before.
    func sweep(in transaction: Transaction) throws {
        try contain(in: transaction)
        if let drill = try store.running(in: transaction), drill.expiresAt <= world.now {
            try end(drill.id, by: .system, in: transaction)
        }
        for drill in try store.unclear(in: transaction) where try clear(drill, in: transaction) {
            try store.clear(drill.id, in: transaction)
        }
    }

    /// Takes back what was done against the fault, ends the incident, and clears the ground, as far as that goes now:
    /// what is refused at this moment is tried again with the next sweep, and keeps nothing else from ending.
    private func clear(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        var isOver = true
        for incident in try incidents.open(about: drill.subject, in: transaction) {
            guard try settle(incident, in: transaction) else {
                isOver = false
                continue
            }
            // Its alert may fire for a moment longer.
            let isResolved = try transaction.isAllowed {
                for milestone in [Incident.Milestone.mitigated, .resolved] {
                    try incidents.reach(milestone, of: incident.id, by: .system, in: transaction)
                }
                _ = try incidents.waive(incident.id.text, why: "It was a drill.", by: .system, in: transaction)
            }
            isOver = isOver && isResolved
        }
        return try ground.clear(drill, in: transaction) && isOver
    }

    /// - Returns: Whether nothing is in force any more.
    private func settle(_ incident: Incident, in transaction: Transaction) throws -> Bool {
        var isSettled = true
        for one in try containments.containments(of: incident.id.text, in: transaction) {
            if one.state.isOpen {
                isSettled =
                    try transaction.isAllowed {
                        _ = try containments.refuse(
                            one.id.text, reason: "The drill is over.", by: .system, in: transaction)
                    } && isSettled
            } else if one.state == .acted, one.canReverse {
                _ = try transaction.isAllowed {
                    try containments.reverse(one.id.text, by: .system, in: transaction)
                }
                isSettled = false
            } else if one.state.isMoving {
                isSettled = false
            }
        }
        return isSettled
    }

    /// Whether something is to be done now. What cannot be removed yet is tried each second at first.
    ///
    /// - Parameter last: When something was done at last; `nil` for never.
    func needsSweep(after last: Timestamp? = nil, in transaction: Transaction) throws -> Bool {
        let now = world.now
        if let drill = try store.running(in: transaction) {
            if drill.expiresAt <= now { return true }
            if try !deeds(against: drill, in: transaction).isEmpty { return true }
        }
        let isTime = last.map { now - $0 >= Drill.clearsLaterEvery || now < $0 } ?? true
        return try store.unclear(in: transaction).contains { drill in
            isTime || drill.endedAt.map { now - $0 < Drill.clearsAtOnceFor } ?? true
        }
    }

    func drill(_ id: Identifier<Drill>, in transaction: Transaction) throws -> Drill? {
        try store.drill(id, in: transaction)
    }

    func list(page: Page, in transaction: Transaction) throws -> [Drill] {
        try store.list(page: page, in: transaction)
    }

    private func note(
        _ type: String, _ drill: Drill, by principal: Principal, in transaction: Transaction
    ) throws {
        let data: JSONValue = ["drillId": drill.id.json, "drill": .string(drill.kind.rawValue)]
        try events.append(EventDraft(type, actor: principal.actor, data: data), in: transaction)
        try audit.record(type, by: principal, target: "drill:\(drill.id.text)", detail: data, in: transaction)
    }

    public func temporaryRules(in transaction: Transaction) throws -> [(name: String, text: String)] {
        try store.running(in: transaction).map { [($0.id.text, $0.rules(model: model).prettyText)] } ?? []
    }
}
