import Kernel

/// What agents send to `/api/events/ingest`: heartbeats, and events of their own.
///
/// Heartbeats keep the agent's latest state and leave no event. Every other type is kept as an event of the agent under
/// the name it came with, so names that Reeve itself writes are refused: nobody can forge a `task.completed` or an
/// `agent.status_changed`. See ``IngestService/isReserved(_:)``.
public struct IngestService: Sendable {
    static let heartbeatType = "agent.heartbeat"

    let agents: AgentService
    let events: Events

    public init(agents: AgentService, events: Events) {
        self.agents = agents
        self.events = events
    }

    /// One thing that an agent sent, read and within limits, and not yet kept.
    enum Item: Sendable {
        case heartbeat(agent: String, AgentHeartbeat)
        case event(agent: String, project: String?, EventDraft)
    }

    /// Reads one object for whoever sent it. Throws what is wrong with it, before anything is written.
    func read(
        _ value: JSONValue, limits: Limits, from principal: Principal, correlationID: String
    ) throws -> Item {
        guard let object = value.object else {
            throw Problem(
                .invalid, "An event is a JSON object, not \(value.typeName).",
                hint: "Send {\"type\":\"agent.heartbeat\",…}.")
        }
        let fields = Fields(object, limits: limits)
        let type = try fields.name("type")
        let agent = try principal.actingAgent(named: fields.optionalName("agent"))
        if type == Self.heartbeatType { return .heartbeat(agent: agent, try AgentHeartbeat(fields)) }
        guard !Self.isReserved(type) else {
            throw Problem(
                .reservedType, "Events of the type \"\(type)\" are written by Reeve alone.",
                hint: "Choose another name, such as \"custom.\(type)\"; tasks are changed through /api/v1/tasks.",
                field: "type")
        }
        let draft = EventDraft(
            type, actor: principal.actor, agent: agent, correlationID: correlationID.isEmpty ? nil : correlationID,
            data: Self.data(of: object))
        let bytes = draft.data.bytes.count
        guard bytes <= agents.policy.eventBytesMax else {
            throw Problem(
                .eventTooLarge, "The event has \(bytes) bytes; \(agents.policy.eventBytesMax) are allowed.",
                hint: "Keep large content as a task's deliverable, and name it in the event.")
        }
        return .event(agent: agent, project: try fields.optionalName("project"), draft)
    }

    /// Keeps one item, and answers a heartbeat where one is asked for.
    func keep(_ item: Item, isAnswered: Bool, in transaction: Transaction) throws -> HeartbeatReply? {
        switch item {
        case .heartbeat(let agent, let heartbeat):
            if isAnswered { return try agents.heartbeat(agent, heartbeat, in: transaction) }
            try agents.keep(agent, heartbeat, in: transaction)
        case .event(let name, let project, var draft):
            draft.project = try agents.contact(name, project: project, in: transaction).project
            try events.append(draft, in: transaction)
        }
        return nil
    }

    /// The members of an event but for its address. Where those are one object called `data`, that object itself.
    private static func data(of object: JSONObject) -> JSONValue {
        var rest = object
        for name in ["type", "agent", "project"] { rest[name] = nil }
        if rest.count == 1, let data = rest["data"], data.object != nil { return data }
        return .object(rest)
    }

    /// Whether a type is one of Reeve's own: all of the families of its features, and of `agent.*` those that it
    /// writes. Other `agent.*` names are agents' to use: programs written for other control planes send several.
    static func isReserved(_ type: String) -> Bool {
        let family = type.prefix { $0 != "." }
        if family == "agent" { return reservedAgentTypes.contains(type) }
        return reservedFamilies.contains(String(family))
    }

    private static let reservedAgentTypes: Set<String> = Set(
        [
            "agent.registered", "agent.updated", "agent.deleted", "agent.status_changed", "agent.health_changed",
            "agent.message_sent",
        ] + AgentDirective.allCases.map(\.eventType))

    private static let reservedFamilies: Set<String> = [
        "alert", "audit", "batch", "budget", "bundle", "call", "change", "config", "configuration", "containment",
        "deliverable", "deployment", "drill", "evaluation", "flag",
        "incident", "key", "login", "login_link", "model", "oncall",
        "project",
        "queue", "readiness", "reeve", "release", "review", "runbook", "schedule", "secret", "session", "setting",
        "silence", "task",
    ]
}
