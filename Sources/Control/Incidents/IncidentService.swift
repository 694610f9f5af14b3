import Kernel
import Telemetry

/// Opens incidents, lets alerts join them, and writes down what happens.
public struct IncidentService: Sendable, AlertFollower {
    /// Entries of one incident that are read.
    public static let entriesMax = 5_000

    let store = IncidentStore()
    let events: Events
    let audit: AuditService
    let world: World
    let followers: [any IncidentFollower]

    public init(events: Events, audit: AuditService, world: World, followers: [any IncidentFollower] = []) {
        self.events = events
        self.audit = audit
        self.world = world
        self.followers = followers
    }

    // MARK: Alerts

    public func fired(_ alert: Alert, in transaction: Transaction) throws -> String? {
        guard let severity = Incident.Severity(rawValue: alert.severity) else { return nil }
        let key = IncidentGrouping.key(of: alert)
        if var known = try store.open(groupKey: key, in: transaction) {
            known.severity = max(known.severity, severity)
            known.subjects = IncidentGrouping.merged(known.subjects, IncidentGrouping.subjects(of: alert))
            try store.update(known, in: transaction)
            try record(.alert("fired", alert, at: world.now), in: known.id, transaction)
            for follower in followers { try follower.joined(known, by: alert, in: transaction) }
            return known.id.text
        }
        let incident = Incident(
            id: Identifier(world), title: alert.summary.isEmpty ? alert.name : alert.summary, severity: severity,
            mode: IncidentGrouping.mode(of: alert), groupKey: key, subjects: IncidentGrouping.subjects(of: alert),
            milestones: [.detected: world.now], openedBy: Principal.system.actor)
        try store.insert(incident, in: transaction)
        try record(.alert("fired", alert, at: world.now), in: incident.id, transaction)
        try note("incident.opened", incident, by: .system, in: transaction)
        for follower in followers { try follower.opened(incident, by: alert, in: transaction) }
        return incident.id.text
    }

    public func resolved(_ alert: Alert, in transaction: Transaction) throws {
        guard let id = alert.incidentID.flatMap({ Identifier<Incident>($0) }),
            try store.incident(id, in: transaction) != nil
        else { return }
        try record(.alert("resolved", alert, at: alert.endsAt ?? world.now), in: id, transaction)
    }

    // MARK: What happens

    /// Writes down that something was reached. What was reached before stays as it was.
    @discardableResult
    public func reach(
        _ milestone: Incident.Milestone, of id: Identifier<Incident>, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        guard var incident = try store.incident(id, in: transaction) else {
            throw Problem.notFound("incident", id.text)
        }
        guard incident.milestones[milestone] == nil else { return incident }
        incident.milestones[milestone] = world.now
        try store.update(incident, in: transaction)
        try record(
            IncidentEntry(
                kind: "milestone", action: milestone.rawValue, target: "incident:\(id.text)", actor: principal.actor,
                at: world.now), in: id, transaction)
        try note("incident.\(milestone.rawValue)", incident, by: principal, in: transaction)
        for follower in followers { try follower.reached(milestone, incident, in: transaction) }
        return incident
    }

    /// Adds to an incident's timeline.
    public func record(
        _ entry: IncidentEntry, in id: Identifier<Incident>, _ transaction: Transaction
    ) throws { try store.append(entry, to: id, in: transaction) }

    private func note(
        _ type: String, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws {
        let data: JSONValue = [
            "incidentId": incident.id.json, "title": .string(incident.title),
            "severity": .string(incident.severity.rawValue), "subjects": .list(incident.subjects),
        ]
        try events.append(EventDraft(type, actor: principal.actor, data: data), in: transaction)
    }

    // MARK: Looking

    public func incident(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Incident? {
        try store.incident(id, in: transaction)
    }

    public func entries(of id: Identifier<Incident>, in transaction: Transaction) throws -> [IncidentEntry] {
        try store.entries(of: id, limit: Self.entriesMax, in: transaction)
    }
}

/// Which alerts belong together, and what they are about.
enum IncidentGrouping {
    /// Subjects that one incident names.
    static let subjectsMax = 200

    /// Labels that name what an alert is about.
    static let subjectLabels = ["agent", "agent_type", "task_type", "queue", "provider", "model", "tool"]

    static func key(of alert: Alert) -> String {
        ([alert.name] + subjects(of: alert)).joined(separator: " ")
    }

    static func subjects(of alert: Alert) -> [String] {
        subjectLabels.compactMap { name in
            let value = alert.labels[name]
            return value.isEmpty ? nil : "\(name):\(value)"
        }
    }

    static func merged(_ known: [String], _ further: [String]) -> [String] {
        Array((known + further.filter { !known.contains($0) }).prefix(subjectsMax))
    }

    static func mode(of alert: Alert) -> FailureMode? {
        FailureMode(rawValue: alert.labels["failure_mode"])
    }
}

extension IncidentEntry {
    static func alert(_ action: String, _ alert: Alert, at time: Timestamp) -> IncidentEntry {
        IncidentEntry(
            kind: "alert", action: action, target: "alert:\(alert.name)", actor: Principal.system.actor, at: time,
            detail: alert.facts)
    }
}
