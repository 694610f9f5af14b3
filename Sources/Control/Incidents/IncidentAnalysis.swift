import Kernel
import Telemetry

/// What an incident did: to tasks, to conversations, to the bill.
struct IncidentImpact: Sendable, Equatable {
    let from: Timestamp
    let until: Timestamp
    var agents: [String] = []
    /// Tasks by what became of them: `failed`, `held`, `lost`, `timed_out`, `canceled`.
    var tasks: [(outcome: String, count: Int64)] = []
    var spend = CallSpend()

    var taskCount: Int64 { tasks.reduce(0) { $0 + $1.count } }

    static func == (left: Self, right: Self) -> Bool { left.json == right.json }
}

extension IncidentImpact: JSONConvertible {
    var json: JSONValue {
        [
            "from": from.json, "until": until.json, "agents": .list(agents),
            "tasks": .object(JSONObject(tasks.map { .init(name: $0.outcome, value: .int($0.count)) })),
            "sessions": .int(spend.sessions), "calls": .int(spend.calls), "failedCalls": .int(spend.failed),
            "costUSD": .double(Double(spend.nanoUSD) / 1e9), "atLeast": .bool(spend.isCut),
        ]
    }
}

/// What is made of the facts, at one moment.
struct IncidentAnalysis: Sendable {
    let assessment: IncidentAssessment
    let candidates: [RootCause]
    let impact: IncidentImpact
    let proposals: [ActionProposal]
}

extension IncidentAnalysis: JSONConvertible {
    var json: JSONValue {
        [
            "assessment": assessment.json, "candidates": .list(candidates), "impact": impact.json,
            "proposals": .list(proposals),
        ]
    }
}

/// Gathers facts for those who judge them. Everything that is looked at is bounded.
extension IncidentService {
    /// Agents of one incident that are looked at.
    static let agentsMax = 50
    /// The longest time of an incident that is looked at: its first part.
    static let windowMax = Span.hours(24 * 7)

    /// How long before it was told of its effects count.
    static let beforeMax = Span.hours(24)

    private static let outcomes: [(type: String, name: String)] = [
        ("task.failed", "failed"), ("task.held", "held"), ("task.lease_lost", "lost"),
        ("task.timed_out", "timed_out"), ("task.canceled", "canceled"),
    ]

    /// From its first sign to its end, or to now.
    func window(_ incident: Incident) -> Range<Timestamp> {
        let begin = incident.begin - policy.lookBack
        let end = incident.milestones[.resolved] ?? world.now
        return begin..<max(min(end, begin + Self.windowMax), incident.begin) + Span(microseconds: 1)
    }

    /// Agents that an incident is about, and those whose calls its provider or model failed; where these are none,
    /// those behind what it names. The first ``agentsMax`` of them.
    func affectedAgents(_ incident: Incident, in transaction: Transaction) throws -> [String] {
        let failures = try surroundings.calls?.failures(window(incident), in: transaction) ?? []
        return Array(try affectedAgents(incident, failures: failures, in: transaction).prefix(Self.agentsMax))
    }

    private func affectedAgents(
        _ incident: Incident, failures: [CallFailures], in transaction: Transaction
    ) throws -> [String] {
        let (providers, models) = (incident.subjects(of: "provider"), incident.subjects(of: "model"))
        var agents = incident.subjects(of: "agent")
        for one in failures {
            guard let agent = one.agent, !agents.contains(agent) else { continue }
            let isMeant = one.provider.map(providers.contains) ?? false || models.contains(one.model)
            if isMeant { agents.append(agent) }
        }
        guard agents.isEmpty else { return agents }
        return try surroundings.agents(behind: incident, since: window(incident).lowerBound, in: transaction)
    }

    func facts(_ incident: Incident, in transaction: Transaction) throws -> IncidentFacts {
        let alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        var facts = IncidentFacts(detectedAt: incident.begin, subjects: incident.subjects)
        facts.modes = alerts.compactMap { FailureMode(rawValue: $0.labels["failure_mode"]) }
        facts.natures = alerts.filter { $0.labels["failure_mode"].isEmpty }
            .compactMap { FailureKind(rawValue: $0.labels[IncidentGrouping.natureLabel]) }
        facts.firstAlertAt = alerts.map(\.firstAt).min()
        facts.entries = try entries(of: incident.id, in: transaction)
        let agents = Array(incident.subjects(of: "agent").prefix(IncidentSurroundings.agentsMax))
        let tasks = facts.entries.filter { $0.target.hasPrefix("task:") }.map(\.target)
        facts.edges = try surroundings.edges(incident.subjects + Set(tasks).sorted(), in: transaction)
        let all = try surroundings.calls?.failures(window(incident), in: transaction) ?? []
        let (models, providers) = (incident.subjects(of: "model"), incident.subjects(of: "provider"))
        facts.failures = all.filter { one in
            one.agent.map(agents.contains) ?? false || models.contains(one.model)
                || one.provider.map(providers.contains) ?? false
        }
        for agent in try affectedAgents(incident, failures: all, in: transaction).prefix(Self.agentsMax) {
            let targets = try surroundings.targets(
                of: [agent], since: incident.begin - IncidentSurroundings.callsWithin, in: transaction)
            for provider in Set(targets.compactMap { $0.target?.split(separator: "/").first.map(String.init) }) {
                facts.providers[provider, default: []].append(agent)
            }
        }
        return facts
    }

    /// What was handed in within the incident's time: of the tasks in its timeline, and of its agents'.
    func deliverables(
        _ incident: Incident, _ entries: [IncidentEntry], in transaction: Transaction
    ) throws -> [Deliverable] {
        guard let tasks = surroundings.tasks else { return [] }
        let named = Set(entries.map(\.target)).sorted()
        return try tasks.deliverables(
            ofAgents: incident.subjects(of: "agent"), tasks: IncidentFacts.names(of: "task", in: named),
            window(incident), in: transaction)
    }

    func analysis(
        _ incident: Incident, _ sight: FileChangeSight, in transaction: Transaction
    ) throws -> IncidentAnalysis {
        var facts = try facts(incident, in: transaction)
        facts.entries = facts.entries.map(sight.seen)
        var assessment = IncidentAssessment.of(facts)
        // A mode and alerts say it too, but as evidence; only a kind that none of them says is a person's word.
        if let kind = incident.kind, kind != incident.mode?.kind, !facts.natures.contains(kind) {
            assessment.saidBy = kind
        }
        return IncidentAnalysis(
            assessment: assessment, candidates: RootCauseRanking.candidates(facts),
            impact: try impact(incident, in: transaction),
            proposals: try proposals(incident, facts, in: transaction))
    }

    /// What it did from its beginning on, as far as that is known, which is before anybody was told.
    func impact(_ incident: Incident, in transaction: Transaction) throws -> IncidentImpact {
        let window = window(incident)
        let begin = try began(incident, in: transaction)
        var impact = IncidentImpact(from: begin, until: window.upperBound)
        let failures = try surroundings.calls?.failures(window, in: transaction) ?? []
        let agents = try affectedAgents(incident, failures: failures, in: transaction)
        impact.agents = Array(agents.prefix(Self.agentsMax))
        let first = try events.store.firstSeq(from: begin, in: transaction)
        let last = try events.store.firstSeq(from: window.upperBound, in: transaction).map { $0 - 1 }
        if let first {
            let range = first...max(first, try last ?? events.store.lastSeq(in: transaction))
            var counts: [String: Int64] = [:]
            for agent in impact.agents {
                let found = try events.store.taskCounts(
                    agent: agent, range, types: Self.outcomes.map(\.type), in: transaction)
                counts.merge(found, uniquingKeysWith: +)
            }
            impact.tasks = Self.outcomes.compactMap { outcome in counts[outcome.type].map { (outcome.name, $0) } }
        }
        for part in try spending(incident, impact, in: transaction) {
            impact.spend.calls += part.calls
            impact.spend.failed += part.failed
            impact.spend.nanoUSD += part.nanoUSD
            impact.spend.sessions += part.sessions
            impact.spend.isCut = impact.spend.isCut || part.isCut
        }
        impact.spend.isCut = impact.spend.isCut || agents.count > impact.agents.count
        return impact
    }

    /// When the earliest of its alerts' conditions began to hold, at most ``beforeMax`` before it was told of.
    private func began(_ incident: Incident, in transaction: Transaction) throws -> Timestamp {
        let alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        let earliest = alerts.compactMap(\.activeAt).min() ?? incident.begin
        return max(min(earliest, incident.begin), incident.begin - Self.beforeMax)
    }

    /// What its calls came to: those of the organisation or project whose budget it is about, those of its agents, or
    /// those for its models.
    private func spending(
        _ incident: Incident, _ impact: IncidentImpact, in transaction: Transaction
    ) throws -> [CallSpend] {
        guard let calls = surroundings.calls else { return [] }
        let times = impact.from..<max(impact.until, impact.from)
        if incident.subjects(of: "agent").isEmpty {
            if incident.subjects(of: "scope").contains(BudgetScope.org.description) {
                return [try calls.spend(times, in: transaction)]
            }
            let projects = incident.subjects(of: "project").prefix(Self.agentsMax)
            if !projects.isEmpty { return try projects.map { try calls.spend(project: $0, times, in: transaction) } }
        }
        guard impact.agents.isEmpty else {
            return try impact.agents.map { try calls.spend(agent: $0, times, in: transaction) }
        }
        return try incident.subjects(of: "model").prefix(Self.agentsMax).map {
            try calls.spend(model: $0, times, in: transaction)
        }
    }
}
