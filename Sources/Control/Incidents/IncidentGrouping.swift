import Kernel
import Telemetry

/// Which alerts belong together, and what they are about.
enum IncidentGrouping {
    /// Subjects that one incident names.
    static let subjectsMax = 200
    /// What is near to them, of one alert.
    static let nearMax = 100

    /// Labels that name what an alert is about.
    static let subjectLabels = [
        "agent", "agent_type", "task", "task_type", "queue", "provider", "model", "tool", "project", "session", "scope",
        DrillNames.label,
    ]

    /// Alerts with the same key are one incident's, whatever else is known.
    static func key(of alert: Alert) -> String {
        ([alert.name] + subjects(of: alert)).joined(separator: " ")
    }

    static func subjects(of alert: Alert) -> [String] {
        subjectLabels.compactMap { name in
            // What others call a drill is none.
            let value = name == DrillNames.label ? alert.drill?.text ?? "" : alert.labels[name]
            return value.isEmpty ? nil : "\(name):\(value)"
        }
    }

    /// What ties the alert to others: its subjects without those that only say of which kind the others are. Two
    /// agents of one type have nothing else in common.
    static func ties(of alert: Alert) -> [String] {
        let subjects = subjects(of: alert)
        guard subjects.contains(where: { $0.hasPrefix("agent:") }) else { return subjects }
        return subjects.filter { !$0.hasPrefix("agent_type:") }
    }

    static func merged(_ known: [String], _ further: [String]) -> [String] {
        Array((known + further.filter { !known.contains($0) }).prefix(subjectsMax))
    }

    static func mode(of alert: Alert) -> FailureMode? {
        FailureMode(rawValue: alert.labels["failure_mode"])
    }

    /// Whose fault it is likely to be, by its mode or as whoever posts it says: it decides who is called.
    static func kind(of alert: Alert) -> FailureKind? {
        mode(of: alert)?.kind ?? FailureKind(rawValue: alert.labels[natureLabel])
    }

    /// `infrastructure` or `behavioural`.
    static let natureLabel = "nature"

    /// What agents and tasks depend on, and what depends on them.
    ///
    /// - Parameters:
    ///   - targets: Models that each agent asked for lately, with the targets that answered.
    static func near(
        _ subjects: [String], targets: [(model: String, target: String?)], edges: [TaskEdge]
    ) -> [String] {
        let own = Set(subjects)
        var near: [String] = []
        func add(_ subject: String) {
            if !own.contains(subject), !near.contains(subject), near.count < nearMax { near.append(subject) }
        }
        for (model, target) in targets {
            add("model:\(model)")
            if let provider = target?.split(separator: "/").first { add("provider:\(provider)") }
        }
        for edge in edges {
            let ends = [
                (task: edge.upstream, agent: edge.upstreamAgent), (task: edge.downstream, agent: edge.downstreamAgent),
            ]
            guard
                ends.contains(where: {
                    own.contains("task:\($0.task)") || $0.agent.map { own.contains("agent:\($0)") } ?? false
                })
            else { continue }
            for end in ends { if let agent = end.agent { add("agent:\(agent)") } }
        }
        return near
    }
}

extension Incident.Severity {
    /// As alerts of Reeve's and of others say it (PagerDuty's four, and what is usual with Prometheus); `nil` for
    /// those that open no incident: `none`.
    init?(alert text: String) {
        switch text.lowercased() {
        case "none": return nil
        case "critical", "error", "page", "emergency", "fatal", "high": self = .critical
        case "info", "informational", "notice", "low": self = .info
        default: self = .warning
        }
    }
}

extension IncidentEntry {
    static func alert(_ action: String, _ alert: Alert, at time: Timestamp) -> IncidentEntry {
        IncidentEntry(
            kind: "alert", action: action, target: "alert:\(alert.name)", actor: Principal.system.actor, at: time,
            detail: alert.facts)
    }
}

/// What other features know about what an incident is about; each of them may be absent.
public struct IncidentSurroundings: Sendable {
    /// How far back an agent's calls say what it depends on.
    static let callsWithin = Span.minutes(15)
    /// Agents that are looked at.
    static let agentsMax = 20

    let tasks: TaskService?
    let calls: CallService?

    public init(tasks: TaskService? = nil, calls: CallService? = nil) {
        (self.tasks, self.calls) = (tasks, calls)
    }

    func targets(
        of agents: [String], since: Timestamp, in transaction: Transaction
    ) throws -> [(model: String, target: String?)] {
        guard let calls else { return [] }
        return try agents.prefix(Self.agentsMax).flatMap { try calls.targets(of: $0, since: since, in: transaction) }
    }

    func edges(_ subjects: [String], in transaction: Transaction) throws -> [TaskEdge] {
        guard let tasks else { return [] }
        let agents = Array(IncidentFacts.names(of: "agent", in: subjects).prefix(Self.agentsMax))
        return try tasks.edges(
            ofAgents: agents, tasks: IncidentFacts.names(of: "task", in: subjects), in: transaction)
    }

    /// The agents behind what an incident names, for one that names no agent: those of a type or project, those whose
    /// calls a budget counts, those who take tasks of a queue. By name.
    func agents(
        behind incident: Incident, since time: Timestamp, in transaction: Transaction
    ) throws -> [String] {
        var found: Set<String> = []
        let scopes = incident.subjects(of: "scope").map(BudgetScope.init(stored:))
        func names(_ kind: BudgetScope.Kind) -> [String] { scopes.filter { $0.kind == kind }.map(\.name) }
        let projects = Set(incident.subjects(of: "project") + names(.project)).sorted()
        if let tasks {
            let types = Set(incident.subjects(of: "agent_type"))
            if !types.isEmpty {
                found.formUnion(try tasks.agents.roster(in: transaction).filter { types.contains($0.type) }.map(\.name))
            }
            for project in projects { found.formUnion(try tasks.agents.names(project: project, in: transaction)) }
            found.formUnion(
                try tasks.store.workers(ofQueues: incident.subjects(of: "queue"), since: time, in: transaction))
        }
        guard calls != nil else { return found.sorted() }
        let sessions = incident.subjects(of: "session") + names(.session)
        var grounds: [CallGround] = [
            .projects(projects), .sessions(sessions), .keys(names(.key)), .tags(names(.tag)),
        ]
        if scopes.contains(.org) { grounds.append(.any) }
        for ground in grounds where !ground.isEmpty {
            found.formUnion(try CallService.callers(ground, since: time, in: transaction))
        }
        return found.sorted()
    }

    /// Who owns an agent, by its label `owner`.
    func owner(of agent: String, in transaction: Transaction) throws -> String? {
        try tasks?.agents.agent(named: agent, in: transaction)?.labels["owner"].flatMap { $0.isEmpty ? nil : $0 }
    }

    func near(_ subjects: [String], at now: Timestamp, in transaction: Transaction) throws -> [String] {
        let agents = IncidentFacts.names(of: "agent", in: subjects)
        return IncidentGrouping.near(
            subjects, targets: try targets(of: agents, since: now - Self.callsWithin, in: transaction),
            edges: try edges(subjects, in: transaction))
    }
}
