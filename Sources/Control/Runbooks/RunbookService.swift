import Kernel
import Telemetry

/// What a runbook's questions are asked of: Reeve's own interface, which is read and never changed.
public protocol RunbookReading: Sendable {
    /// - Parameter path: Below `/api/v1/`, or below that of queries, with its own query.
    /// - Throws: ``Problem`` where the interface refuses it.
    func get(_ path: String) async throws -> JSONValue
}

/// Runs runbooks on incidents. ``RunbookLoop`` takes their steps.
public struct RunbookService: Sendable {
    let store = RunbookStore()
    public let shelf: RunbookShelf
    public var library: RunbookLibrary { shelf.library }
    let containments: ContainmentService
    let events: Events
    let audit: AuditService
    let world: World

    public init(
        shelf: RunbookShelf, containments: ContainmentService, events: Events, audit: AuditService,
        world: World
    ) {
        (self.shelf, self.containments) = (shelf, containments)
        (self.events, self.audit, self.world) = (events, audit, world)
    }

    public init(
        library: RunbookLibrary = .shipped, containments: ContainmentService, events: Events, audit: AuditService,
        world: World
    ) {
        self.init(
            shelf: RunbookShelf(library), containments: containments, events: events, audit: audit, world: world)
    }

    /// Lets a run go on whose action came to something.
    static func wake(_ containment: Containment, in transaction: Transaction) throws {
        try RunbookStore().wake(containment, in: transaction)
    }

    /// What runs on an incident have to verify and have not.
    static func unverified(of incident: String, in transaction: Transaction) throws -> [String] {
        try RunbookStore().unverified(of: incident, in: transaction)
    }

    public func run(_ id: String, in transaction: Transaction) throws -> RunbookRun {
        guard let known = Identifier<RunbookRun>(id), let found = try store.run(known, in: transaction) else {
            throw Problem.notFound("run", id)
        }
        return found
    }

    /// The runbook for an incident: the one that is named, or that of the alert that weighs most, or of its mode.
    func runbook(
        _ name: String?, for incident: Incident, in transaction: Transaction
    ) throws -> Runbook {
        if let name {
            guard let found = library.runbook(name) else { throw Problem.notFound("runbook", name) }
            return found
        }
        let alerts = try containments.incidents.links.alerts(
            of: incident.id, limit: Incident.alertsMax, in: transaction)
        guard let found = library.runbook(for: incident, alerts: alerts) else {
            throw Problem(
                .conflict, "No runbook is written for the alerts of this incident.",
                hint: "Name one: GET /api/v1/runbooks lists them.")
        }
        return found
    }

    /// Begins a run. While one of the same runbook goes on, that one is returned.
    ///
    /// - Parameter approves: Whether its actions may act without being asked for one by one.
    public func start(
        _ name: String?, on incidentID: String, approves: Bool, by principal: Principal, in transaction: Transaction
    ) throws -> (run: RunbookRun, isNew: Bool) {
        let incident = try containments.incident(incidentID, in: transaction)
        try incident.checkIsWhole()
        let runbook = try runbook(name, for: incident, in: transaction)
        let earlier = try store.runs(
            of: incident.id.text, page: Page(limit: Int(RunbookRun.perIncidentMax), after: nil), in: transaction)
        if let known = earlier.first(where: { $0.runbook == runbook.name && !$0.state.isOver }) {
            return (known, false)
        }
        guard Int64(earlier.count) < RunbookRun.perIncidentMax else {
            throw Problem(
                .conflict, "The incident has \(RunbookRun.perIncidentMax) runs already.",
                hint: "Resolve it, and act on the next one.")
        }
        var run = RunbookRun(
            id: Identifier(world), incidentID: incident.id.text, runbook: runbook.name, document: runbook.source,
            state: .running, reason: "", startedBy: principal.actor, approves: approves, startedAt: world.now)
        run.aim = try RunbookAim(of: runbook, incident, containments.plans, in: transaction)
        let steps: [(RunbookStep.Kind, String)] =
            runbook.diagnosis.map { (.diagnosis, $0.title) } + runbook.actions.map { (.action, $0.action.title) }
            + runbook.verify.map { (.verify, $0.title) } + runbook.checks.map { (.check, $0) }
        run.steps = steps.enumerated().map { RunbookStep(number: $0 + 1, kind: $1.0, title: $1.1) }
        try store.insert(run, in: transaction)
        try tell("started", run, by: principal, in: transaction)
        try audit.record(
            "runbook.started", by: principal, target: "run:\(run.id)",
            detail: [
                "incidentId": incident.id.json, "runbook": .string(runbook.name), "approves": .bool(approves),
            ], in: transaction)
        return (run, true)
    }

    /// Ends a run; what it did stays until it is taken back.
    public func stop(
        _ id: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> RunbookRun {
        var run = try run(id, in: transaction)
        guard !run.state.isOver else { return run }
        try end(&run, .stopped, reason ?? "\(principal.actor) stopped it.", by: principal, in: transaction)
        try audit.record("runbook.stopped", by: principal, target: "run:\(run.id)", in: transaction)
        return run
    }

    /// A person did what an item says.
    public func tick(
        _ number: Int, of id: String, note: String?, by principal: Principal, in transaction: Transaction
    ) throws -> RunbookRun {
        var run = try run(id, in: transaction)
        guard let index = run.steps.firstIndex(where: { $0.number == number && $0.kind == .check }) else {
            throw Problem.notFound("item", "\(number)")
        }
        guard run.steps[index].state == .waiting else { return run }
        guard run.state != .stopped else {
            throw Problem(.conflict, "The run was stopped.", hint: "Begin another one.")
        }
        run.steps[index].state = .done
        run.steps[index].actor = principal.actor
        run.steps[index].endedAt = world.now
        if let note { run.steps[index].evidence = ["note": .string(note)] }
        try store.save(run.steps[index], of: run.id, in: transaction)
        try record("ticked", run, run.steps[index].title, by: principal.actor, in: transaction)
        try audit.record(
            "runbook.ticked", by: principal, target: "run:\(run.id)", detail: ["step": .int(Int64(number))],
            in: transaction)
        if run.state == .checking, run.steps.allSatisfy({ $0.kind != .check || $0.state.isOver }) {
            try end(&run, .done, "", by: principal, in: transaction)
        }
        return run
    }

    // MARK: Writing down

    func end(
        _ run: inout RunbookRun, _ state: RunbookRun.State, _ reason: String, by principal: Principal,
        in transaction: Transaction
    ) throws {
        run.state = state
        run.reason = reason
        run.endedAt = state.isOver ? world.now : nil
        try store.save(run, in: transaction)
        try tell(state.rawValue, run, by: principal, in: transaction)
    }

    func tell(_ verb: String, _ run: RunbookRun, by principal: Principal, in transaction: Transaction) throws {
        let data: JSONValue = [
            "run": run.id.json, "incidentId": .string(run.incidentID), "runbook": .string(run.runbook),
            "reason": .string(run.reason),
        ]
        try events.append(EventDraft("runbook.\(verb)", actor: principal.actor, data: data), in: transaction)
        try record(verb, run, run.reason, by: principal.actor, in: transaction)
    }

    func record(
        _ action: String, _ run: RunbookRun, _ detail: String, by actor: String, in transaction: Transaction
    ) throws {
        try containments.record(
            IncidentEntry(
                kind: "runbook", action: action, target: "runbook:\(run.runbook)", actor: actor, at: world.now,
                detail: ["run": run.id.json, "detail": .string(detail)]), of: run.incidentID, in: transaction)
    }
}
