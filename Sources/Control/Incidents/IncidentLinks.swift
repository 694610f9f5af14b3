import Kernel

/// Where what happened in an incident's time is found: of all its agents, with its tasks and what was handed in. Each
/// leads somewhere: what is not there (any more) has no link.
struct IncidentLinks: Sendable {
    /// Agents, and tasks, that have links of their own.
    static let agentsMax = 20
    static let tasksMax = 20

    struct Agent: Sendable {
        let name: String
        /// The agent's own page, where it is registered.
        let page: String?
        let traces: String
        let logs: String
        let tasks: String
        let calls: String
    }

    let page: String
    let id: String
    /// Beginning and end, for questions.
    let times: [(name: String, value: String?)]
    let agents: [Agent]
    /// The tasks that it is about or that are named in its timeline.
    let tasks: [String]
    let deliverables: [Deliverable]
    let isOfModels: Bool

    /// Of the one agent, where there is but one.
    private var only: String? { agents.count == 1 ? agents[0].name : nil }
    private var prefix: String { "/api/v1" }
    var traces: String { PagePath.query("\(prefix)/traces", times + [("agent", only), ("status", "error")]) }
    var logs: String { PagePath.query("\(prefix)/logs", times + [("agent", only)]) }
}

extension IncidentLinks: JSONConvertible {
    var json: JSONValue {
        [
            "traces": .string(traces), "logs": .string(logs),
            "labelledTraces": .string(PagePath.query("\(prefix)/traces", [("label", "incident:\(id)")])),
            "page": .string(page), "timeline": .string("\(IncidentRoutes.path)/\(id)/timeline"),
            "analysis": .string("\(IncidentRoutes.path)/\(id)/analysis"),
            "postmortem": .string("\(IncidentRoutes.path)/\(id)/postmortem"),
            "agents": .array(
                agents.map {
                    [
                        "agent": .string($0.name), "page": .of($0.page), "traces": .string($0.traces),
                        "logs": .string($0.logs), "tasks": .string($0.tasks), "calls": .string($0.calls),
                    ]
                }),
            "tasks": .array(
                tasks.map {
                    [
                        "task": .string($0), "page": .string(PagePath.task($0)),
                        "api": .string("\(prefix)/tasks/\(PagePath.encoded($0))"),
                    ]
                }),
            "deliverables": .array(
                deliverables.map { one in
                    let path = "\(prefix)/deliverables/\(PagePath.encoded(one.id.text))"
                    return [
                        "name": .string(one.name), "task": one.taskID.json, "api": .string(path),
                        "content": .string("\(path)/content"), "page": .string(PagePath.task(one.taskID.text)),
                    ]
                }),
            "models": isOfModels ? .string("/models") : .null,
        ]
    }
}

extension IncidentService {
    /// - Parameter entries: Of the timeline, whose tasks are named too.
    func links(
        _ incident: Incident, _ entries: [IncidentEntry], _ deliverables: [Deliverable], in transaction: Transaction
    ) throws -> IncidentLinks {
        let window = window(incident)
        let times = [
            ("since", Optional(PageText.iso(window.lowerBound))), ("until", Optional(PageText.iso(window.upperBound))),
        ]
        let agents = try affectedAgents(incident, in: transaction).prefix(IncidentLinks.agentsMax).map { name in
            let isKnown = try surroundings.tasks?.agents.agent(named: name, in: transaction) != nil
            return IncidentLinks.Agent(
                name: name, page: isKnown ? PagePath.agent(name) : nil,
                traces: PagePath.query("/api/v1/traces", times + [("agent", name), ("status", "error")]),
                logs: PagePath.query("/api/v1/logs", times + [("agent", name)]),
                tasks: PagePath.query("/api/v1/tasks", times + [("agent", name)]),
                calls: PagePath.query("/api/v1/calls", times + [("agent", name)]))
        }
        var named: [String] = []
        for task in IncidentFacts.names(of: "task", in: incident.subjects + entries.map(\.target))
            + deliverables.map(\.taskID.text)
        where !named.contains(task) && named.count < IncidentLinks.tasksMax {
            guard let id = TaskID(task), try surroundings.tasks?.store.task(id, in: transaction) != nil else {
                continue
            }
            named.append(task)
        }
        return IncidentLinks(
            page: "/incidents/\(incident.id.text)", id: incident.id.text, times: times, agents: Array(agents),
            tasks: named, deliverables: deliverables,
            isOfModels: !(incident.subjects(of: "model") + incident.subjects(of: "provider")).isEmpty)
    }
}
