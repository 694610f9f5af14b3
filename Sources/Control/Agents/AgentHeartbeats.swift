import Kernel

/// What a heartbeat says, read and within limits.
///
/// A `status` that an agent gives itself is never taken for its status, which is derived; it stands as its status
/// message where it sends none.
public struct AgentHeartbeat: Sendable, Equatable {
    var beat = AgentBeat()
    /// Where an unknown agent registers itself. Moving a known one to another project is for operators.
    var project: String?
    /// Added to its labels; operators take labels away.
    var labels: [String: String]?
    /// Replaces its capabilities.
    var capabilities: [String]?

    public init() {}

    public init(_ fields: Fields) throws {
        let statusMessage = try fields.optionalString("statusMessage", max: AgentPolicy.statusMessageCharactersMax)
        beat.statusMessage = statusMessage ?? fields.value("status")?.string.map { String($0.prefix(200)) }
        beat.cpuPercent = try fields.optionalDouble("cpuPercent", in: 0...1_000_000)
        beat.memoryBytes = try fields.optionalInt("memoryBytes", in: 0...(1 << 60))
        beat.configReported = try fields.optionalString("configVersion", max: AgentPolicy.versionCharactersMax)
        beat.release = try fields.optionalString("release", max: AgentPolicy.versionCharactersMax)
        beat.intervalSeconds = try fields.optionalInt("intervalSeconds", in: 1...AgentPolicy.intervalSecondsMax)
            .map(Int.init)
        project = try fields.optionalName("project")
        labels = try AgentLabels.read(fields)
        capabilities = try fields.optionalNames("capabilities", max: AgentPolicy.capabilitiesMax)
    }
}

extension AgentLabels {
    /// The member `labels`: an object of names to texts.
    static func read(_ fields: Fields) throws -> [String: String]? {
        guard let nested = try fields.optionalFields("labels") else { return nil }
        guard nested.object.count <= AgentPolicy.labelsMax else {
            throw Problem.invalid(fields.path("labels"), "at most \(AgentPolicy.labelsMax) labels are allowed")
        }
        var labels: [String: String] = [:]
        for member in nested.object.members {
            let path = nested.path(member.name)
            let name = try Fields.checkedName(member.name, path: path, limits: fields.limits)
            guard let text = member.value.string else {
                throw Problem.invalid(path, "a string is expected, not \(member.value.typeName)")
            }
            guard text.unicodeScalars.count <= AgentPolicy.labelCharactersMax else {
                throw Problem.invalid(path, "at most \(AgentPolicy.labelCharactersMax) characters are allowed")
            }
            labels[name] = text
        }
        return labels
    }
}

/// The reply to an agent's heartbeat: the channel through which it is told what to do.
public struct HeartbeatReply: Sendable, Equatable {
    public let nextHeartbeatSeconds: Int
    public let commands: AgentCommands
    /// Tasks of the agent that it is to stop, by id.
    public let cancel: [String]
    /// The agent's tightest budget, where one counts its calls.
    public var budget: JSONValue?
    public let serverTime: Timestamp

    public var json: JSONValue {
        var object = JSONObject()
        object.append("nextHeartbeatSeconds", nextHeartbeatSeconds.json)
        for member in commands.json.object?.members ?? [] { object.append(member.name, member.value) }
        object.append("cancel", .list(cancel))
        if let budget { object.append("budget", budget) }
        object.append("serverTime", serverTime.json)
        return .object(object)
    }
}

extension AgentService {
    /// Keeps a heartbeat's state and answers it. An unknown agent is registered by its first one.
    public func heartbeat(
        _ name: String, _ heartbeat: AgentHeartbeat, in transaction: Transaction
    ) throws -> HeartbeatReply {
        let (standing, seconds) = try keep(name, heartbeat, in: transaction)
        let mayHoldLeases = standing.facts.current != .idle && standing.facts.current != .waiting
        return HeartbeatReply(
            nextHeartbeatSeconds: seconds, commands: try commands(for: standing, in: transaction),
            cancel: mayHoldLeases ? try workload.cancellations(of: name, in: transaction) : [],
            budget: budgets?.standing(of: name, project: standing.project), serverTime: world.now)
    }

    /// Keeps a heartbeat without answering it: what waits for the agent goes on waiting.
    @discardableResult
    func keep(
        _ name: String, _ heartbeat: AgentHeartbeat, in transaction: Transaction
    ) throws -> (standing: AgentStanding, seconds: Int) {
        let now = world.now
        let paced = try nextHeartbeatSeconds(for: name, in: transaction)
        let seconds = max(paced, heartbeat.beat.intervalSeconds ?? 0)
        let actor = "agent:\(name)"
        if heartbeat.labels != nil || heartbeat.capabilities != nil {
            try declare(name, heartbeat, in: transaction)
        }
        var kept = try presence.beat(name, heartbeat.beat, seconds: seconds, now: now, in: transaction)
        if kept == nil {
            var draft = AgentDraft(name: name, project: heartbeat.project ?? Agent.projectDefault)
            draft.labels = heartbeat.labels ?? [:]
            draft.capabilities = heartbeat.capabilities ?? []
            _ = try insert(draft, actor: actor, in: transaction)
            kept = try presence.beat(name, heartbeat.beat, seconds: seconds, now: now, in: transaction)
        }
        guard let standing = kept else { throw Problem.notFound("agent", name) }
        if needsSettling(standing, now: now) { try settle([standing], actor: actor, in: transaction) }
        return (standing, seconds)
    }

    /// Takes what a known agent declares of itself, where it differs.
    private func declare(_ name: String, _ heartbeat: AgentHeartbeat, in transaction: Transaction) throws {
        guard let agent = try store.agent(named: name, in: transaction) else { return }
        var edit = AgentEdit()
        if let labels = heartbeat.labels {
            let merged = agent.labels.merging(labels) { _, new in new }
            guard merged.count <= AgentPolicy.labelsMax else {
                throw Problem.invalid(
                    "labels", "with those it has, at most \(AgentPolicy.labelsMax) are allowed",
                    hint: "Let an operator take labels away with PATCH /api/v1/agents/\(name).")
            }
            edit.labels = merged
        }
        edit.capabilities = heartbeat.capabilities
        let (edited, changed) = edit.applied(to: agent)
        guard !changed.isEmpty else { return }
        let saved = try save(edited, from: agent, in: transaction)
        try append(
            "agent.updated", saved, actor: "agent:\(name)", data: ["changed": .list(changed)], in: transaction)
    }

    /// Seconds until an agent is to be heard of again: grows with the fleet, and differs a little between agents.
    public func nextHeartbeatSeconds(for name: String, in transaction: Transaction) throws -> Int {
        let live = try fleetSize(now: world.now, in: transaction).live
        return HeartbeatPace.seconds(
            agents: live, perSecondTarget: policy.heartbeatsPerSecond, minimum: policy.heartbeatSecondsMin, agent: name)
    }

    /// Any sign of life of an agent's key: a claim, a task's heartbeat, an event. Registers an unknown agent. Costs a
    /// look at one row, and at most one write in five seconds.
    public func contact(_ name: String, project: String?, in transaction: Transaction) throws -> AgentStanding {
        let now = world.now
        let actor = "agent:\(name)"
        let found = try presence.standing(name, in: transaction)
        if found == nil {
            let draft = AgentDraft(name: name, project: project ?? Agent.projectDefault)
            _ = try insert(draft, actor: actor, in: transaction)
        }
        if let found, let last = found.facts.lastContactAt, !found.facts.current.isSilent, last <= now,
            now < last + policy.contactRecordedEvery
        {
            return found
        }
        guard let standing = try presence.contact(name, now: now, in: transaction) else {
            throw Problem.notFound("agent", name)
        }
        if needsSettling(standing, now: now) { try settle([standing], actor: actor, in: transaction) }
        return standing
    }

    /// The Tasks feature says that what an agent holds has changed; its status follows within a second.
    public func workloadChanged(_ name: String, in transaction: Transaction) throws {
        guard transaction.isFirst("due:\(name)") else { return }
        try presence.markDue(name, now: world.now, in: transaction)
    }

    /// Whether a sign of life at this moment may change the status, or moves the next look nearer.
    private func needsSettling(_ standing: AgentStanding, now: Timestamp) -> Bool {
        let facts = standing.facts
        if facts.current.isSilent || facts.current == .neverSeen { return true }
        if facts.isQuarantined { return facts.current != .quarantined }
        guard let dueAt = standing.dueAt else { return true }
        return dueAt <= now || dueAt > now + facts.interval + policy.grace
    }
}
