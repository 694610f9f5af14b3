/// Something that happened, as the log keeps it forever and streams it live.
public struct Event: Sendable, Equatable {
    /// The place in the log: 1, 2, 3… without a gap, in commit order.
    public let seq: Int64
    public let at: Timestamp
    /// `noun.verb`, such as `task.claimed`; what agents send keeps the name they gave it.
    public let type: String
    /// Who caused it: `agent:writer`, `operator:alice`, `reeve`.
    public let actor: String
    public let project: String?
    public let agent: String?
    public let taskID: String?
    /// The event's place among its task's events: 1, 2, 3… without a gap.
    public let taskSeq: Int64?
    public let correlationID: String?
    public private(set) var data: JSONValue

    /// The same with other data.
    public func with(data: JSONValue) -> Event {
        var event = self
        event.data = data
        return event
    }
}

extension Event: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        object["seq"] = .int(seq)
        object["at"] = at.json
        object["type"] = .string(type)
        object["actor"] = .string(actor)
        if let project { object["project"] = .string(project) }
        if let agent { object["agent"] = .string(agent) }
        if let taskID { object["taskId"] = .string(taskID) }
        if let taskSeq { object["taskSeq"] = .int(taskSeq) }
        if let correlationID { object["correlationId"] = .string(correlationID) }
        object["data"] = data
        return .object(object)
    }
}

/// An event before it has its number.
public struct EventDraft: Sendable {
    public var type: String
    public var actor: String
    public var project: String?
    public var agent: String?
    public var taskID: String?
    public var taskSeq: Int64?
    public var correlationID: String?
    public var data: JSONValue

    public init(
        _ type: String, actor: String, project: String? = nil, agent: String? = nil, taskID: String? = nil,
        taskSeq: Int64? = nil, correlationID: String? = nil, data: JSONValue = [:]
    ) {
        self.type = type
        self.actor = actor
        self.project = project
        self.agent = agent
        self.taskID = taskID
        self.taskSeq = taskSeq
        self.correlationID = correlationID
        self.data = data
    }
}
