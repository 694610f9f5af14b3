import Kernel

/// What an order acts on, and what it leaves alone although it is meant by it.
struct ContainmentAim: Sendable {
    var targets: [ContainmentTarget] = []
    /// Those that the settings keep containments from.
    var spared: [ContainmentOutcome] = []
    /// Whether there is more than one step takes.
    var isCut = false
}

extension ContainmentOutcome {
    static func spared(_ target: ContainmentTarget, for guardian: String) -> ContainmentOutcome {
        ContainmentOutcome(target.text, .spared, "the settings keep containments from \(guardian)")
    }
}

extension ContainmentHands {
    /// Tasks that are walked over to find what is downstream.
    static let walkMax = 10_000

    /// What an order acts on now, in a stable order, without what is never to be touched.
    ///
    /// - Parameter taken: Tasks that earlier steps took from the agents that the order names.
    func aim(
        _ order: ContainmentOrder, taken: [String] = [], in transaction: Transaction
    ) throws -> ContainmentAim {
        var aim = ContainmentAim()
        let found = try found(order, taken, in: transaction)
        aim.isCut = found.count > Self.targetsMax
        for target in found.prefix(Self.targetsMax) {
            if let guardian = try guardian(of: target, order, in: transaction) {
                aim.spared.append(.spared(target, for: guardian))
            } else {
                aim.targets.append(target)
            }
        }
        return aim
    }

    private func found(
        _ order: ContainmentOrder, _ taken: [String], in transaction: Transaction
    ) throws -> [ContainmentTarget] {
        switch order.action {
        case .pauseAgent: order[.agents].map { ContainmentTarget(.agentPause, $0) }
        case .resumeAgent: order[.agents].map { ContainmentTarget(.agentResume, $0) }
        case .quarantineAgent: order[.agents].map { ContainmentTarget(.agentQuarantine, $0) }
        case .pinBack: named(order, .config)
        case .pauseQueue: order[.queues].map { ContainmentTarget(.queue, $0) }
        case .cutBudget: order[.scopes].map { ContainmentTarget(.budget, $0) }
        case .useFallback: order[.models].map { ContainmentTarget(.route, $0) }
        case .pauseDispatch: dependents(order).map { ContainmentTarget(.dispatch, $0) }
        case .openBreaker: breakers(order).map { ContainmentTarget(.breaker, $0) }
        case .holdTask: try inHand(order, in: transaction).map { ContainmentTarget(.taskHold, $0) }
        case .killProcess: try inHand(order, in: transaction).map { ContainmentTarget(.taskAttempt, $0) }
        case .reassign:
            try inHand(order, and: taken, in: transaction).map { ContainmentTarget(.taskOwner, $0) }
        case .holdDownstream:
            try downstream(of: inHand(order, in: transaction), in: transaction)
                .map { ContainmentTarget(.taskHold, $0.text) }
        case .clearContext, .quarantineSession, .restoreContext: named(order, .session)
        case .memoryReadOnly, .offerMemoryRestore: named(order, .memory)
        case .goldenSetRun: named(order, .goldenSet)
        }
    }

    /// The names that an order has for what is behind a door; ``ContainmentTarget/everything`` where it has none.
    private func named(_ order: ContainmentOrder, _ kind: ContainmentTarget.Kind) -> [ContainmentTarget] {
        let agents = order[.agents].map { [.memory, .config].contains(kind) ? $0 : "agent:\($0)" }
        let names = order[.sessions] + order[.goldenSets] + agents + order[.models].map { "model:\($0)" }
        return (names.isEmpty ? [ContainmentTarget.everything] : names).map { ContainmentTarget(kind, $0) }
    }

    /// The models named, and those that can be had of these providers alone.
    private func dependents(_ order: ContainmentOrder) -> [String] {
        let providers = Set(order[.providers])
        guard !providers.isEmpty else { return order[.models] }
        let alone = models.models().filter { model in
            !model.targets.isEmpty && model.targets.allSatisfy { providers.contains($0.provider) }
        }
        return order[.models] + alone.map(\.name).filter { !order[.models].contains($0) }
    }

    private func breakers(_ order: ContainmentOrder) -> [String] {
        let (names, providers) = (Set(order[.models]), Set(order[.providers]))
        var seen: Set<String> = []
        return models.models().flatMap { model in
            model.targets.filter { names.contains(model.name) || providers.contains($0.provider) }.map(\.name)
        }.filter { seen.insert($0).inserted }
    }

    /// The tasks named, and those that the agents named have in hand.
    private func inHand(
        _ order: ContainmentOrder, and taken: [String] = [], in transaction: Transaction
    ) throws -> [String] {
        var seen: Set<String> = []
        var found = order[.tasks] + taken
        for agent in order[.agents] where found.count <= Self.targetsMax {
            found += try tasks.store.inHand(of: agent, limit: Self.tasksOfAgentMax, in: transaction).map(\.id.text)
        }
        return found.filter { seen.insert($0).inserted }
    }

    /// All that builds on these tasks and that nobody has in hand, however far down, the nearest first: one more than
    /// a step takes where there are more. What somebody works on is not taken from them: what builds on that waits.
    func downstream(of ids: [String], in transaction: Transaction) throws -> [TaskID] {
        var found: [TaskID] = []
        var seen = Set(ids)
        var worklist = ids.compactMap(TaskID.init)
        while !worklist.isEmpty, found.count <= Self.targetsMax, seen.count <= Self.walkMax {
            let next = try tasks.store.dependents(
                on: Array(worklist.prefix(Self.targetsMax)), limit: 2 * Self.targetsMax, in: transaction
            ).filter { seen.insert($0.id.text).inserted }
            found += next.filter(\.isIdle).map(\.id)
            worklist = next.map(\.id)
        }
        return Array(found.prefix(Self.targetsMax + 1))
    }

    // MARK: What is never to be touched

    /// The agent or queue of the settings' `never` that a target belongs to, as `agent:payer`; `nil` where none.
    ///
    /// A task belongs to who has it in hand, to who alone may take it, and to its queue; a budget to all whose calls it
    /// counts. What is done to a model reaches whoever uses it, and is nobody's: see ``BlastRadius/protected``.
    func guardian(
        of target: ContainmentTarget, _ order: ContainmentOrder, in transaction: Transaction
    ) throws -> String? {
        guard !policy.never.isEmpty else { return nil }
        var names: [String] = []
        switch target.kind {
        case .agentPause, .agentResume, .config, .memory: names = ["agent:\(target.name)"]
        case .agentQuarantine:
            // It ends the calls for what the agent has in hand.
            let held = try tasks.store.inHand(of: target.name, limit: Self.tasksOfAgentMax, in: transaction)
            names = ["agent:\(target.name)"] + held.flatMap(Self.holders)
        case .taskHold, .taskAttempt, .taskOwner:
            names = try holders(ofTask: target.name, in: transaction)
            if target.kind == .taskOwner, let to = order.single(.to) { names.append("agent:\(to)") }
        case .queue: names = [target.text]
        case .budget:
            let scope = BudgetScope(stored: target.name)
            names =
                scope.kind == .task
                ? try holders(ofTask: scope.name, in: transaction)
                : try reach(of: target, order, in: transaction).map { "agent:\($0)" }
        case .session, .goldenSet: names = [target.name]
        case .dispatch, .breaker, .route: break
        }
        return names.first(where: policy.never.contains)
    }

    private func holders(ofTask id: String, in transaction: Transaction) throws -> [String] {
        guard let id = TaskID(id), let task = try tasks.store.live(id, in: transaction) else { return [] }
        return Self.holders(task)
    }

    private static func holders(_ task: AgentTask) -> [String] {
        [task.owner, task.pinnedAgent].compactMap { $0.map { "agent:\($0)" } } + ["queue:\(task.queue)"]
    }
}
