import Kernel

/// What an order would touch at this moment, and what it would not.
public struct BlastRadius: Sendable {
    /// Names of one kind that are told; the counts are whole.
    public static let namesMax = 200

    /// Agents that are told something, whose tasks are taken or held, or who share what is changed: a model that they
    /// called lately, a budget that counts their calls, a queue that they work for.
    public var agents: [String] = []
    /// Those of them that are never to be touched: nobody can be left out of what is shared.
    public var protected: [String] = []
    /// Tasks that somebody works on and that would be stopped.
    public var tasksInProgress: [String] = []
    /// Tasks that would be set aside, however they stand.
    public var tasksHeld: [String] = []
    /// Tasks that wait for those, however far down.
    public var downstream: [String] = []
    /// Ready tasks that would not be handed out.
    public var queued: Int64 = 0
    public var models: [String] = []
    /// Sessions that are named; those of agents are the agents' own.
    public var sessions: [String] = []
    public var others: [String] = []
    /// What is meant by the orders and kept from them by the settings.
    public var spared: [ContainmentOutcome] = []
    /// What the attempts that would be stopped have used so far.
    public var nanoUSDInFlight: Int64 = 0
    /// Whether more would be touched than one step takes at a time.
    public var isCut = false
    /// What the agents touched spend, from the calls of the last hour.
    public var nanoUSDPerHour: Int64 = 0
    public var agentsUntouched: Int64 = 0

    /// Tasks of any kind.
    public var taskCount: Int64 { Int64(Set(tasksInProgress + tasksHeld + downstream).count) }

    mutating func add(_ other: BlastRadius) {
        func merged(_ left: [String], _ right: [String]) -> [String] {
            let known = Set(left)
            return left + right.filter { !known.contains($0) }
        }
        agents = merged(agents, other.agents)
        protected = merged(protected, other.protected)
        tasksInProgress = merged(tasksInProgress, other.tasksInProgress)
        tasksHeld = merged(tasksHeld, other.tasksHeld)
        downstream = merged(downstream, other.downstream)
        models = merged(models, other.models)
        sessions = merged(sessions, other.sessions)
        others = merged(others, other.others)
        spared += other.spared.filter { !spared.contains($0) }
        isCut = isCut || other.isCut
        queued = max(queued, other.queued)
    }
}

extension BlastRadius {
    /// Names that are told on a page.
    private static let wordsMax = 5

    /// For who has to decide: one line for each kind of thing that is touched, and one for what is not.
    var words: [String] {
        func line(_ what: String, _ names: [String]) -> String? {
            guard !names.isEmpty else { return nil }
            let more = names.count > Self.wordsMax ? " and \(names.count - Self.wordsMax) more" : ""
            return "\(what): \(names.prefix(Self.wordsMax).joined(separator: ", "))\(more)"
        }
        var lines = [
            line("Reaches \(PageText.plural(agents.count, "agent"))", agents),
            line("Never to be touched, but reached", protected), line("Tasks that are stopped", tasksInProgress),
            line("Tasks that are held", tasksHeld),
            line("Waiting for those", downstream), line("Models", models), line("Sessions", sessions),
            line("Other", others),
        ].compactMap(\.self)
        if queued > 0 { lines.append("\(PageText.plural(Int(queued), "ready task")) not handed out") }
        let money = (flight: BudgetLimit.dollars(nanoUSDInFlight).text, hour: BudgetLimit.dollars(nanoUSDPerHour).text)
        if nanoUSDInFlight > 0 || nanoUSDPerHour > 0 {
            lines.append("$\(money.flight) in flight, $\(money.hour) an hour")
        }
        lines += spared.prefix(Self.wordsMax).map { "Spared: \($0.target), \($0.detail)" }
        if isCut { lines.append("And more than one step takes") }
        return lines + ["\(PageText.plural(Int(agentsUntouched), "agent")) not touched"]
    }
}

extension BlastRadius: JSONConvertible {
    /// All of them counted, and as many named as are told.
    static func named(_ names: [String]) -> JSONValue {
        ["count": .int(Int64(names.count)), "names": .list(names.prefix(namesMax))]
    }

    public var json: JSONValue {
        [
            "agents": Self.named(agents), "protected": Self.named(protected),
            "tasksInProgress": Self.named(tasksInProgress), "tasksHeld": Self.named(tasksHeld),
            "downstream": Self.named(downstream), "queued": .int(queued), "models": .list(models),
            "sessions": Self.named(sessions), "others": .list(others),
            "spared": .array(spared.prefix(Self.namesMax).map(\.json)), "complete": .bool(!isCut),
            "usdPerHour": BudgetLimit.dollars(nanoUSDPerHour),
            "usdInFlight": BudgetLimit.dollars(nanoUSDInFlight), "untouched": ["agents": .int(agentsUntouched)],
        ]
    }
}

/// What one order would touch at this moment.
struct ContainmentReach: Sendable {
    let order: ContainmentOrder
    let aim: ContainmentAim
    /// Without the money.
    var radius = BlastRadius()
}

extension ContainmentHands {
    /// Agents whose spending is looked up.
    static let spendersMax = 50

    /// What these orders would touch together, and what that spends.
    func radius(of orders: [ContainmentOrder], in transaction: Transaction) throws -> BlastRadius {
        try survey(orders, in: transaction).radius
    }

    /// What each of these orders would touch, and all of them together with what that spends.
    func survey(
        _ orders: [ContainmentOrder], in transaction: Transaction
    ) throws -> (steps: [ContainmentReach], radius: BlastRadius) {
        let steps = try orders.map { try reach(of: $0, in: transaction) }
        var radius = BlastRadius()
        for step in steps { radius.add(step.radius) }
        radius.nanoUSDPerHour = try radius.agents.prefix(Self.spendersMax).reduce(0) {
            $0 + (try CallService.nanoUSDPerHour(of: $1, at: world.now, in: transaction))
        }
        radius.nanoUSDInFlight = try live(radius.tasksInProgress, in: transaction).values.reduce(TaskUsage()) {
            $0 + $1.usageNow
        }.nanoUSD
        let known = try agents.labels(of: radius.agents, in: transaction).count
        let all = try agents.statusCounts(in: transaction).values.reduce(0, +)
        radius.agentsUntouched = Int64(max(0, all - known))
        return (steps, radius)
    }

    /// What these orders would touch together, without the money.
    func reach(of orders: [ContainmentOrder], in transaction: Transaction) throws -> BlastRadius {
        var radius = BlastRadius()
        for order in orders { radius.add(try self.reach(of: order, in: transaction).radius) }
        return radius
    }

    /// What one order would touch, without the money.
    func reach(of order: ContainmentOrder, in transaction: Transaction) throws -> ContainmentReach {
        let aim = try aim(order, in: transaction)
        var radius = BlastRadius()
        (radius.spared, radius.isCut) = (aim.spared, aim.isCut)
        var roots: [String] = []
        let known = try live(aim.targets.filter(\.kind.isOfTask).map(\.name), in: transaction)
        for target in aim.targets {
            switch target.kind {
            case .agentPause, .agentQuarantine:
                let held = try tasks.store.inHand(
                    of: target.name, limit: Self.tasksOfAgentMax, in: transaction)
                // Those that are paused finish what they have.
                if target.kind == .agentQuarantine {
                    radius.tasksInProgress += held.filter(\.state.isLeased).map(\.id.text)
                }
                roots += held.map(\.id.text)
            case .taskHold, .taskAttempt, .taskOwner:
                guard let task = known[target.name] else { continue }
                if target.kind == .taskHold { radius.tasksHeld.append(target.name) }
                if task.state.isLeased { radius.tasksInProgress.append(target.name) }
                roots.append(target.name)
            case .dispatch, .route: radius.models.append(target.name)
            case .session where !target.isEverything && !target.name.hasPrefix("agent:"):
                radius.sessions.append(target.name)
            case .agentResume, .config, .memory: if target.isEverything { radius.others.append(target.text) }
            case .breaker, .queue, .budget, .session, .goldenSet: radius.others.append(target.text)
            }
        }
        radius.agents = try reach(of: aim.targets, order, tasks: known, in: transaction)
        radius.protected = radius.agents.filter { policy.never.contains("agent:\($0)") }
        radius.downstream = try downstream(of: roots, in: transaction).map(\.text)
        radius.queued = try queued(by: order, aim, radius, in: transaction)
        return ContainmentReach(order: order, aim: aim, radius: radius)
    }

    /// Ready tasks that an order would keep from being handed out.
    private func queued(
        by order: ContainmentOrder, _ aim: ContainmentAim, _ radius: BlastRadius, in transaction: Transaction
    ) throws -> Int64 {
        let names = aim.targets.map(\.name)
        switch order.action {
        case .pauseDispatch:
            return try tasks.store.readyCount(models: asked(radius.models), in: transaction)
        case .pauseQueue: return try tasks.store.readyCount(queues: names, in: transaction)
        case .pauseAgent, .quarantineAgent: return try tasks.store.readyCount(agents: names, in: transaction)
        default: return 0
        }
    }
}
