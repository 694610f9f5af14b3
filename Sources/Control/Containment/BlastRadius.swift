import Kernel

/// What an order would touch at this moment, and what it would not.
public struct BlastRadius: Sendable {
    /// Names of one kind that are told; the counts are whole.
    public static let namesMax = 200

    /// Agents that are told something, or whose tasks are taken from them.
    public var agents: [String] = []
    /// Tasks that somebody works on and that would be stopped.
    public var tasksInProgress: [String] = []
    /// Tasks that would be set aside, however they stand.
    public var tasksHeld: [String] = []
    /// Tasks that wait for those, however far down.
    public var downstream: [String] = []
    /// Ready tasks that would not be handed out.
    public var queued: Int64 = 0
    public var models: [String] = []
    public var others: [String] = []
    /// What the agents touched spend, from the calls of the last hour.
    public var nanoUSDPerHour: Int64 = 0
    public var agentsUntouched: Int64 = 0

    /// Tasks of any kind.
    public var taskCount: Int64 { Int64(Set(tasksInProgress + tasksHeld + downstream).count) }

    mutating func add(_ other: BlastRadius) {
        func merged(_ left: [String], _ right: [String]) -> [String] { left + right.filter { !left.contains($0) } }
        agents = merged(agents, other.agents)
        tasksInProgress = merged(tasksInProgress, other.tasksInProgress)
        tasksHeld = merged(tasksHeld, other.tasksHeld)
        downstream = merged(downstream, other.downstream)
        models = merged(models, other.models)
        others = merged(others, other.others)
        queued = max(queued, other.queued)
    }
}

extension BlastRadius: JSONConvertible {
    public var json: JSONValue {
        func named(_ names: [String]) -> JSONValue {
            ["count": .int(Int64(names.count)), "names": .list(names.prefix(Self.namesMax))]
        }
        return [
            "agents": named(agents), "tasksInProgress": named(tasksInProgress), "tasksHeld": named(tasksHeld),
            "downstream": named(downstream), "queued": .int(queued), "models": .list(models),
            "others": .list(others), "usdPerHour": BudgetLimit.dollars(nanoUSDPerHour),
            "untouched": ["agents": .int(agentsUntouched)],
        ]
    }
}

extension ContainmentHands {
    /// What these orders would touch together.
    func radius(of orders: [ContainmentOrder], in transaction: Transaction) throws -> BlastRadius {
        var radius = BlastRadius()
        for order in orders { radius.add(try self.radius(of: order, in: transaction)) }
        radius.nanoUSDPerHour = try radius.agents.prefix(BlastRadius.namesMax).reduce(0) {
            $0 + (try CallService.nanoUSDPerHour(of: $1, at: world.now, in: transaction))
        }
        let known = try radius.agents.filter { try agents.agent(named: $0, in: transaction) != nil }
        let all = try agents.statusCounts(in: transaction).values.reduce(0, +)
        radius.agentsUntouched = Int64(max(0, all - known.count))
        return radius
    }

    private func radius(of order: ContainmentOrder, in transaction: Transaction) throws -> BlastRadius {
        var radius = BlastRadius()
        var roots: [String] = []
        for target in try targets(of: order, in: transaction) {
            switch target.kind {
            case .agentPause, .agentQuarantine:
                radius.agents.append(target.name)
                let held = try tasks.store.inHand(
                    of: target.name, limit: Self.tasksOfAgentMax, in: transaction)
                // Those that are paused finish what they have.
                if target.kind == .agentQuarantine {
                    radius.tasksInProgress += held.filter(\.state.isLeased).map(\.id.text)
                }
                roots += held.map(\.id.text)
            case .agentResume, .config, .memory: radius.agents.append(target.name)
            case .taskHold, .taskAttempt, .taskOwner:
                guard let id = TaskID(target.name), let task = try tasks.store.live(id, in: transaction) else {
                    continue
                }
                if target.kind == .taskHold { radius.tasksHeld.append(target.name) }
                if task.state.isLeased {
                    radius.tasksInProgress.append(target.name)
                    if let owner = task.owner, !radius.agents.contains(owner) { radius.agents.append(owner) }
                }
                roots.append(target.name)
            case .dispatch, .route: radius.models.append(target.name)
            default: radius.others.append(target.text)
            }
        }
        radius.downstream = try downstream(of: roots, in: transaction).map(\.text)
        switch order.action {
        case .pauseDispatch:
            let tiers = models.models().filter { radius.models.contains($0.name) }.compactMap(\.tier)
            radius.queued = try tasks.store.readyCount(
                models: radius.models + tiers.map { "tier:\($0)" }, in: transaction)
        case .pauseQueue: radius.queued = try tasks.store.readyCount(queues: order[.queues], in: transaction)
        case .pauseAgent, .quarantineAgent:
            radius.queued = try tasks.store.readyCount(agents: order[.agents], in: transaction)
        default: break
        }
        return radius
    }
}
