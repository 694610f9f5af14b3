import Kernel

public enum AgentMessageSubject: Identified {
    public static let idPrefix = "msg"
}

/// A word from an operator, handed to the agent once, in the reply to its next heartbeat.
public struct AgentMessage: Sendable, Equatable {
    public let id: Identifier<AgentMessageSubject>
    public let text: String
    public let sender: String
    public let at: Timestamp
}

extension AgentMessage: JSONConvertible {
    public var json: JSONValue {
        ["id": id.json, "text": .string(text), "from": .string(sender), "at": at.json]
    }
}

/// What operators tell an agent to do. Each stays until it is taken back, over restarts of both.
public enum AgentDirective: String, Sendable, CaseIterable {
    /// Hands it no new work.
    case pause
    /// Takes back `pause` and `drain`.
    case resume
    /// Hands it no new work, and asks it to finish what it has.
    case drain
    /// Sets it apart: no work, whatever it reports, until it is released.
    case quarantine
    case releaseQuarantine = "release-quarantine"

    /// The event and the audit log's action.
    var eventType: String {
        switch self {
        case .pause: "agent.paused"
        case .resume: "agent.resumed"
        case .drain: "agent.draining"
        case .quarantine: "agent.quarantined"
        case .releaseQuarantine: "agent.quarantine_released"
        }
    }

    /// The agent as it is once told. Pure.
    func applied(to agent: Agent, reason: String?) -> Agent {
        var told = agent
        switch self {
        case .pause:
            told.isPaused = true
            told.pausedReason = reason
        case .resume:
            told.isPaused = false
            told.pausedReason = nil
            told.isDraining = false
            told.drainingReason = nil
        case .drain:
            told.isDraining = true
            told.drainingReason = reason
        case .quarantine:
            told.isQuarantined = true
            told.quarantineReason = reason
        case .releaseQuarantine:
            told.isQuarantined = false
            told.quarantineReason = nil
        }
        return told
    }
}

/// What every reply to a heartbeat tells an agent, of itself or of a task.
public struct AgentCommands: Sendable, Equatable {
    /// Take no new work: paused or quarantined.
    public var pause = false
    /// Finish what is in hand, then stop.
    public var drain = false
    public var configDesired: String?
    public var configRevision: Int64 = 0
    public var messages: [AgentMessage] = []

    /// Names the wanted configuration, so that an agent sees a change without reading it.
    public var configETag: String? { configDesired.map { Agent.configETag($0, revision: configRevision) } }

    /// `{pause, drain, config:{desired,etag}, messages:[…]}`.
    public var json: JSONValue {
        [
            "pause": .bool(pause),
            "drain": .bool(drain),
            "config": ["desired": .of(configDesired), "etag": .of(configETag)],
            "messages": .list(messages),
        ]
    }
}

extension AgentService {
    /// Tells an agent, and everybody else at once. Telling it what it was told before changes nothing.
    public func direct(
        _ directive: AgentDirective, _ name: String, reason: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> AgentView {
        let agent = try known(name, in: transaction)
        let told = directive.applied(to: agent, reason: reason)
        guard told != agent else { return try view(agent, in: transaction) }
        let saved = try save(told, from: agent, in: transaction)
        let data: JSONValue = ["reason": .of(reason)]
        try append(directive.eventType, saved, actor: principal.actor, data: data, in: transaction)
        try audit.record(
            directive.eventType, by: principal, target: "agent:\(name)", detail: data, in: transaction)
        if let standing = try presence.standing(name, in: transaction) {
            try settle([standing], actor: principal.actor, reason: reason, in: transaction)
        }
        return try view(name, in: transaction)
    }

    /// Leaves a message for an agent's next heartbeat.
    public func send(
        _ text: String, to name: String, by principal: Principal, in transaction: Transaction
    ) throws -> AgentMessage {
        let agent = try known(name, in: transaction)
        guard agent.messagesWaiting < policy.messagesWaitingMax else {
            throw Problem(
                .messagesFull, "\(agent.messagesWaiting) messages wait for the agent \"\(name)\" already.",
                hint: "They are handed out with its next heartbeat; wait for that, or see whether it is alive.")
        }
        let message = AgentMessage(
            id: Identifier(world), text: text, sender: principal.actor, at: world.now)
        try presence.addMessage(message, for: name, in: transaction)
        try append("agent.message_sent", agent, actor: principal.actor, data: ["id": message.id.json], in: transaction)
        try audit.record(
            "agent.message_sent", by: principal, target: "agent:\(name)", detail: ["id": message.id.json],
            in: transaction)
        return message
    }

    /// The shared part of every heartbeat's reply. Waiting messages are handed out by this, once.
    func commands(for standing: AgentStanding, in transaction: Transaction) throws -> AgentCommands {
        let messages =
            standing.messagesWaiting > 0
            ? try presence.takeMessages(of: standing.name, in: transaction) : []
        return AgentCommands(
            pause: standing.facts.isPaused || standing.facts.isQuarantined, drain: standing.facts.isDraining,
            configDesired: standing.configDesired, configRevision: standing.configRevision, messages: messages)
    }
}
