import Kernel

/// The rules of the agents' registry. Verbs run in the caller's transaction and append their events to it.
///
/// `AgentHeartbeats.swift` has what agents send, `AgentDirectives.swift` what operators tell them, `AgentLoops.swift`
/// what runs by itself.
public struct AgentService: Sendable {
    let store = AgentStore()
    let presence = AgentPresenceStore()
    let world: World
    let events: Events
    let audit: AuditService
    let workload: any AgentWorkload
    let budgets: (any AgentBudgets)?
    let fleet = FleetSize()
    /// When this process began: silence from before it counts only after the failover grace.
    let startedAt: Timestamp
    public let policy: AgentPolicy

    public init(
        world: World, events: Events, audit: AuditService, workload: any AgentWorkload,
        budgets: (any AgentBudgets)? = nil, policy: AgentPolicy = AgentPolicy()
    ) {
        self.world = world
        self.events = events
        self.audit = audit
        self.workload = workload
        self.budgets = budgets
        self.startedAt = world.now
        self.policy = policy
    }

    public func agent(named name: String, in transaction: Transaction) throws -> Agent? {
        try store.agent(named: name, in: transaction)
    }

    /// The agent, or the problem `not_found`.
    func known(_ name: String, in transaction: Transaction) throws -> Agent {
        guard let agent = try store.agent(named: name, in: transaction) else { throw Problem.notFound("agent", name) }
        return agent
    }

    /// Agents that have all of these capabilities and, where one is pinned, are it; at most 100. Those that may be
    /// handed work come first; see ``Agent/refusal`` and ``Agent/status`` for why another may not be.
    public func eligible(
        requires: [String], pinned: String?, in transaction: Transaction
    ) throws -> [Agent] {
        try store.eligible(requires: requires, pinned: pinned, limit: AgentPolicy.rowsShownMax, in: transaction)
    }

    /// How many agents there are in each recorded status.
    public func statusCounts(project: String? = nil, in transaction: Transaction) throws -> [AgentStatus: Int] {
        try store.statusCounts(project: project, in: transaction)
    }

    /// Agents that somebody paused, by name, ``rosterMax`` of them at most.
    func paused(in transaction: Transaction) throws -> [(name: String, project: String?)] {
        try store.paused(limit: Self.rosterMax, in: transaction)
    }

    /// Every agent's part in metrics, ``rosterMax`` of them at most.
    func roster(in transaction: Transaction) throws -> [RosterEntry] {
        try store.roster(limit: Self.rosterMax, in: transaction)
    }

    /// Names of agents, ``rosterMax`` of them at most.
    func names(project: String? = nil, in transaction: Transaction) throws -> [String] {
        try store.names(project: project, limit: Self.rosterMax, in: transaction)
    }

    /// The labels of those of the names that are registered.
    func labels(of names: [String], in transaction: Transaction) throws -> [String: [String: String]] {
        try store.labels(of: names, in: transaction)
    }

    /// Agents that metrics look at; those with names behind them are not seen there.
    static let rosterMax = 20_000
}

// MARK: - Looking

extension AgentService {
    /// The agent as the interface shows it; `not_found` where there is none.
    public func view(_ name: String, in transaction: Transaction) throws -> AgentView {
        try view(known(name, in: transaction), in: transaction)
    }

    func view(_ agent: Agent, in transaction: Transaction) throws -> AgentView {
        try views([agent], in: transaction)[0]
    }

    /// A page of agents by name.
    public func list(
        _ filter: AgentFilter, page: Page, in transaction: Transaction
    ) throws -> (items: [AgentView], next: String?) {
        let agents = try store.list(filter, after: page.after, limit: page.limit + 1, in: transaction)
        let (items, next) = page.cut(agents, cursor: \.name)
        return (try views(items, in: transaction), next)
    }

    /// The first agents by name, as the registry has them.
    func first(_ limit: Int, in transaction: Transaction) throws -> [Agent] {
        try store.list(AgentFilter(), after: nil, limit: limit, in: transaction)
    }

    /// Derives what holds at this moment, so that a page is right even between two rounds of the loop.
    private func views(_ agents: [Agent], in transaction: Transaction) throws -> [AgentView] {
        guard !agents.isEmpty else { return [] }
        let holdings = try workload.holdings(of: agents.map(\.name), in: transaction)
        return try agents.map { agent in
            let held = holdings[agent.name] ?? (leased: 0, waiting: 0)
            var facts = agent.facts
            facts.leased = held.leased
            facts.waiting = held.waiting
            let status = AgentPresence.derive(facts, clock).status
            let isBusy = held.leased + held.waiting > 0
            return AgentView(
                agent: agent, status: status, statusSince: status == agent.status ? agent.statusSince : clock.now,
                currentTasks: isBusy ? try workload.currentTasks(of: agent.name, in: transaction) : [])
        }
    }

    var clock: AgentPresence.Clock {
        AgentPresence.Clock(
            now: world.now, startedAt: startedAt, grace: policy.grace, failoverGrace: policy.failoverGrace)
    }
}

extension Agent {
    /// What presence is derived from, but for the workload.
    var facts: AgentPresence.Facts {
        var facts = AgentPresence.Facts(
            current: status, lastContactAt: lastContactAt, interval: .seconds(Int64(heartbeatSeconds)))
        facts.isPaused = isPaused
        facts.isDraining = isDraining
        facts.isQuarantined = isQuarantined
        return facts
    }
}

// MARK: - The registry

/// An agent as an operator registers it, or as it declares itself.
public struct AgentDraft: Sendable, Equatable {
    public var name: String
    public var project: String
    public var labels: [String: String] = [:]
    public var capabilities: [String] = []
    public var healthURL: String?
    public var release: String?
    public var configDesired: String?

    public init(name: String, project: String = Agent.projectDefault) {
        self.name = name
        self.project = project
    }
}

/// A change of a registry entry: what is absent stays, an inner `nil` clears.
public struct AgentEdit: Sendable, Equatable {
    public var project: String?
    public var labels: [String: String]?
    public var capabilities: [String]?
    public var healthURL: String??
    public var release: String??
    public var configDesired: String??

    public init() {}

    /// The agent with this change, and the names of what differs.
    func applied(to agent: Agent) -> (agent: Agent, changed: [String]) {
        var edited = agent
        if let project { edited.project = project }
        if let labels { edited.labels = labels }
        if let capabilities { edited.capabilities = capabilities }
        if let healthURL { edited.healthURL = healthURL }
        if let release { edited.release = release }
        if let configDesired { edited.configDesired = configDesired }
        let differences: [(String, Bool)] = [
            ("project", edited.project != agent.project), ("labels", edited.labels != agent.labels),
            ("capabilities", edited.capabilities != agent.capabilities),
            ("healthURL", edited.healthURL != agent.healthURL), ("release", edited.release != agent.release),
            ("desiredConfigVersion", edited.configDesired != agent.configDesired),
        ]
        return (edited, differences.filter(\.1).map(\.0))
    }
}

extension AgentService {
    /// Adds an agent to the registry before it comes. The same again changes nothing; a taken name is a `conflict`.
    public func register(
        _ draft: AgentDraft, by principal: Principal, in transaction: Transaction
    ) throws -> (view: AgentView, isNew: Bool) {
        if let agent = try store.agent(named: draft.name, in: transaction) {
            let isSame =
                agent.project == draft.project && agent.labels == draft.labels
                && Set(agent.capabilities) == Set(draft.capabilities) && agent.healthURL == draft.healthURL
                && agent.release == draft.release && agent.configDesired == draft.configDesired
            guard isSame else {
                throw Problem(
                    .conflict, "There is an agent \"\(draft.name)\" already, registered differently.",
                    hint: "Change it with PATCH /api/v1/agents/\(draft.name), or choose another name.", field: "name")
            }
            return (try view(agent, in: transaction), false)
        }
        let agent = try insert(draft, actor: principal.actor, in: transaction)
        try audit.record(
            "agent.registered", by: principal, target: "agent:\(agent.name)",
            detail: ["project": .string(agent.project), "healthURL": .of(agent.healthURL)], in: transaction)
        return (try view(agent, in: transaction), true)
    }

    /// Adds an agent that is not there yet, with its event.
    func insert(_ draft: AgentDraft, actor: String, in transaction: Transaction) throws -> Agent {
        let now = world.now
        let count = try fleetSize(now: now, in: transaction)
        guard count.total < policy.agentsMax else {
            throw Problem(
                .agentsFull, "The registry holds \(policy.agentsMax) agents, and takes no further one.",
                hint: "Remove agents that will not come back with DELETE /api/v1/agents/{name}.")
        }
        let seconds = try nextHeartbeatSeconds(for: draft.name, in: transaction)
        let agent = Agent(
            name: draft.name, project: draft.project, labels: draft.labels, capabilities: draft.capabilities,
            release: draft.release, healthURL: draft.healthURL, configDesired: draft.configDesired,
            isPaused: false, isDraining: false, isQuarantined: false, status: .neverSeen, statusSince: now,
            heartbeatSeconds: seconds, health: AgentHealth(), messagesWaiting: 0, version: 1, createdAt: now,
            updatedAt: now)
        guard try store.insert(agent, in: transaction) else {
            throw Problem(
                .conflict, "The agent \"\(draft.name)\" was registered at the same moment.",
                hint: "Send the same request again.")
        }
        fleet.grew()
        try append(
            "agent.registered", agent, actor: actor, data: ["capabilities": .list(agent.capabilities)],
            in: transaction)
        return agent
    }

    /// Changes a registry entry, if it still has the `ETag` that was asked for.
    public func edit(
        _ name: String, _ edit: AgentEdit, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> AgentView {
        let agent = try known(name, in: transaction)
        try EntityTag.check(ifMatch, against: agent.etag, of: "the agent \"\(name)\"")
        if let desired = edit.configDesired, desired != agent.configDesired { try refuseInRollout(agent) }
        return try change(agent, edit, by: principal, in: transaction)
    }

    /// What an agent runs with is a roll-out's to say while it is in one.
    private func refuseInRollout(_ agent: Agent) throws {
        guard agent.configRollout != nil else { return }
        throw Problem(
            .conflict, "The agent \"\(agent.name)\" is in a roll-out, which says what it is to run with.",
            hint: "Promote it or cancel it first: `reeve config rollout \(agent.name) --promote` or --cancel.")
    }

    /// Changes what operators decide of an agent, and tells of it.
    func change(
        _ agent: Agent, _ edit: AgentEdit, by principal: Principal, in transaction: Transaction
    ) throws -> AgentView {
        let name = agent.name
        let (edited, changed) = edit.applied(to: agent)
        guard !changed.isEmpty else { return try view(agent, in: transaction) }
        let saved = try save(edited, from: agent, in: transaction)
        let data: JSONValue = ["changed": .list(changed)]
        try append("agent.updated", saved, actor: principal.actor, data: data, in: transaction)
        try audit.record("agent.updated", by: principal, target: "agent:\(name)", detail: data, in: transaction)
        return try view(known(name, in: transaction), in: transaction)
    }

    /// Writes an edited entry, counts the edit, and lets the status follow at once.
    func save(_ edited: Agent, from old: Agent, in transaction: Transaction) throws -> Agent {
        var saved = edited
        saved.version = old.version + 1
        saved.updatedAt = world.now
        try store.edit(saved, from: old, in: transaction)
        return saved
    }

    /// Takes an agent out of the registry. One that holds tasks stays: they would be nobody's.
    public func delete(
        _ name: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws {
        let agent = try known(name, in: transaction)
        try EntityTag.check(ifMatch, against: agent.etag, of: "the agent \"\(name)\"")
        let held = try workload.holdings(of: [name], in: transaction)[name] ?? (leased: 0, waiting: 0)
        guard held.leased + held.waiting == 0 else {
            var counts = JSONObject()
            counts["leased"] = held.leased.json
            counts["waiting"] = held.waiting.json
            throw Problem(
                .agentBusy, "The agent \"\(name)\" holds \(held.leased + held.waiting) tasks.",
                hint: "Drain it and wait until it is done, or reassign its tasks; then remove it.", members: counts)
        }
        try refuseInRollout(agent)
        try store.delete(name, in: transaction)
        try append("agent.deleted", agent, actor: principal.actor, in: transaction)
        try audit.record("agent.deleted", by: principal, target: "agent:\(name)", detail: [:], in: transaction)
    }

    func append(
        _ type: String, _ agent: Agent, actor: String, data: JSONValue = [:], in transaction: Transaction
    ) throws {
        try events.append(
            EventDraft(type, actor: actor, project: agent.project, agent: agent.name, data: data), in: transaction)
    }

    func fleetSize(now: Timestamp, in transaction: Transaction) throws -> FleetSize.Count {
        try fleet.count(now: now) {
            let counts = try store.statusCounts(project: nil, in: transaction)
            let total = counts.values.reduce(0, +)
            return FleetSize.Count(total: total, live: total - (counts[.neverSeen] ?? 0) - (counts[.offline] ?? 0))
        }
    }
}
