import Kernel
import Telemetry

/// What is to be done against an incident: its orders in their order, and whom they are meant for.
struct ContainmentPlan: Sendable {
    var orders: [ContainmentOrder]
    /// Agents that the incident is about, as it names them or as what it names leads to them.
    var agents: Set<String>
    /// Whether it is about all whom its orders reach: who uses what the incident names, or builds on what went wrong.
    var isAboutAllReached = false
    /// What was found out on the way, for who has to decide.
    var findings = ""
}

/// What is done against each mode of failure, as orders on what an incident is about, and on nothing else.
struct ContainmentPlans: Sendable {
    /// Tasks that the root of a cascade is looked for from.
    static let cascadeTasksMax = 50
    /// How far back failures and results are looked at that a cascade may have begun with.
    static let cascadeWithin = Span.hours(1)
    /// How far back an agent's calls say what it depends on.
    static let callsWithin = Span.minutes(15)
    /// Agents of a type whose spending is compared.
    static let spendersMax = 50

    let hands: ContainmentHands
    let holds: any RunHolds

    /// What is shared: who uses it is what an incident is about that names it.
    static let sharedKinds = ["provider", "model", "scope", "project", "session", "queue"]

    /// The steps of a plan; none where the incident names nothing to act on.
    func plan(
        for mode: FailureMode, _ incident: Incident, evidence: String, in transaction: Transaction
    ) throws -> ContainmentPlan {
        var plan = try steps(for: mode, incident, evidence, in: transaction)
        plan.isAboutAllReached =
            mode == .cascadingFailure || Self.sharedKinds.contains { !incident.subjects(of: $0).isEmpty }
        return plan
    }

    private func steps(
        for mode: FailureMode, _ incident: Incident, _ evidence: String, in transaction: Transaction
    ) throws -> ContainmentPlan {
        let named = try Self.agents(of: incident, hands, in: transaction)
        func plan(_ orders: [ContainmentOrder?]) -> ContainmentPlan {
            ContainmentPlan(orders: orders.compactMap(\.self), agents: Set(named))
        }
        let sessions = incident.subjects(of: "session")
        switch mode {
        case .llmOutage: return plan(try outage(incident, named, pausesDispatch: true, in: transaction))
        case .modelDegradation: return plan(try outage(incident, named, pausesDispatch: false, in: transaction))
        case .infiniteLoop: return try loop(incident, named, evidence, in: transaction)
        case .cascadingFailure: return try cascade(incident, named, in: transaction)
        case .staleContext:
            return plan([
                ContainmentOrder(.pauseAgent, [.agents: named]),
                ContainmentOrder(behindDoor: .clearContext, [.agents: named, .sessions: sessions]),
            ])
        case .contextPoisoning:
            // A session that is named is what is poisoned; its agent's others need not be.
            let about: [ContainmentParameter: [String]] =
                sessions.isEmpty ? [.agents: named] : [.sessions: sessions]
            return plan([
                ContainmentOrder(behindDoor: .quarantineSession, about),
                ContainmentOrder(behindDoor: .restoreContext, about),
            ])
        case .memoryCorruption:
            return plan([
                ContainmentOrder(behindDoor: .memoryReadOnly, [.agents: named]),
                ContainmentOrder(behindDoor: .offerMemoryRestore, [.agents: named]),
            ])
        case .silentDrift:
            let models = incident.subjects(of: "model")
            return plan([
                ContainmentOrder(behindDoor: .goldenSetRun, [.agents: named, .models: models]),
                ContainmentOrder(behindDoor: .pinBack, [.agents: named]),
            ])
        case .budgetRunaway: return try cut(incident, named, in: transaction)
        }
    }

    /// The agents that an incident is about: those that it names, and those of the types that it names.
    static func agents(
        of incident: Incident, _ hands: ContainmentHands, in transaction: Transaction
    ) throws -> [String] {
        let named = incident.subjects(of: "agent")
        let types = Set(incident.subjects(of: "agent_type"))
        // An alert about one agent names its type too; it is not about the others of that type.
        guard named.isEmpty, !types.isEmpty else { return named }
        return try hands.agents.roster(in: transaction).filter { types.contains($0.type) }.map(\.name)
    }

    // MARK: Models

    /// An alert may name providers, models, or only the agents that their calls fail for: then what these call and
    /// what is out is meant, and the agents themselves where all that they call is well.
    private func outage(
        _ incident: Incident, _ agents: [String], pausesDispatch: Bool, in transaction: Transaction
    ) throws -> [ContainmentOrder?] {
        let providers = incident.subjects(of: "provider")
        let named = Set(incident.subjects(of: "model"))
        let all = hands.models.models()
        guard providers.isEmpty, named.isEmpty else {
            return outage(pausesDispatch: pausesDispatch, providers: providers, models: all) { target in
                providers.isEmpty ? named.contains(target.model) : providers.contains(target.provider)
            } isNamed: {
                providers.isEmpty && named.contains($0)
            }
        }
        let since = hands.world.now - Self.callsWithin
        let called = Set(
            try agents.flatMap { agent in
                try CallService.models(calledBy: agent, since: since, in: transaction)
            })
        let out = Set(
            all.filter { called.contains($0.name) }.flatMap(\.targets).filter { $0.breaker != .closed }.map(\.name))
        guard !out.isEmpty else { return [ContainmentOrder(.pauseAgent, [.agents: agents])] }
        return outage(pausesDispatch: pausesDispatch, providers: [], models: all) {
            out.contains($0.name)
        } isNamed: { _ in
            false
        }
    }

    private func outage(
        pausesDispatch: Bool, providers: [String], models all: [ModelStatus], isIll: (TargetStatus) -> Bool,
        isNamed: (String) -> Bool
    ) -> [ContainmentOrder?] {
        // Alerts name models as providers do, or as callers do.
        let ill = all.filter { model in
            !model.targets.isEmpty && (isNamed(model.name) || model.targets.allSatisfy(isIll))
        }
        let fallbacks = ill.compactMap { model -> (from: String, to: String)? in
            let other = all.first { other in
                other.name != model.name && other.tier != nil && other.tier == model.tier && !isNamed(other.name)
                    && other.targets.contains { !isIll($0) && $0.breaker == .closed }
            }
            return other.map { (model.name, $0.name) }
        }
        let routed = Set(fallbacks.map(\.from))
        let waiting = ill.map(\.name).filter { !routed.contains($0) }
        let pause = pausesDispatch ? ContainmentOrder(.pauseDispatch, [.models: waiting]) : nil
        return [pause]
            + fallbacks.map { ContainmentOrder(.useFallback, [.models: [$0.from], .to: [$0.to]]) }
            + [
                ContainmentOrder(
                    .openBreaker, [.providers: providers, .models: providers.isEmpty ? ill.map(\.name) : []])
            ]
    }

    // MARK: Money

    /// The scopes that are named; of a type of agents those that spend most. Of a scope that counts the calls of
    /// somebody who is never to be touched, the others are cut one by one.
    private func cut(
        _ incident: Incident, _ agents: [String], in transaction: Transaction
    ) throws -> ContainmentPlan {
        let scopes = incident.subjects(of: "scope") + incident.subjects(of: "project").map { "project:\($0)" }
        let isByType = incident.subjects(of: "agent").isEmpty
        let spenders = isByType ? try spenders(among: agents, in: transaction) : agents
        // Those of other systems' alerts may be none.
        let known = (scopes + spenders.map { "agent:\($0)" }).compactMap { text in
            try? BudgetScope(text, path: "scope", limits: Limits()).description
        }
        var plan = ContainmentPlan(orders: [], agents: Set(agents))
        let never = hands.policy.never
        var cut: [String] = []
        for scope in known {
            guard !scope.hasPrefix("agent:"), !scope.hasPrefix("task:"), !never.isEmpty,
                let order = ContainmentOrder(.cutBudget, [.scopes: [scope]])
            else {
                cut.append(scope)
                continue
            }
            let members = try hands.reach(of: ContainmentTarget(.budget, scope), order, in: transaction)
            let others = members.filter { !never.contains("agent:\($0)") }
            guard others.count < members.count, !others.isEmpty else {
                cut.append(scope)
                continue
            }
            cut += others.map { "agent:\($0)" }
            plan.findings =
                "The budget \(scope) counts calls of somebody who is never to be touched: the others' are cut."
        }
        plan.orders = [ContainmentOrder(.cutBudget, [.scopes: cut])].compactMap(\.self)
        return plan
    }

    /// The fewest agents that together spent half of what all of them did within the last hour; all of them where
    /// nobody spent anything, or where they are too many to compare.
    private func spenders(among agents: [String], in transaction: Transaction) throws -> [String] {
        guard agents.count > 1, agents.count <= Self.spendersMax else { return agents }
        let spent = try agents.map { agent in
            (agent, try CallService.nanoUSDPerHour(of: agent, at: hands.world.now, in: transaction))
        }.sorted { $0.1 > $1.1 }
        let half = spent.reduce(0) { $0 + $1.1 } / 2
        guard half > 0 else { return agents }
        var sum: Int64 = 0
        return spent.prefix { _, cost in
            defer { sum += cost }
            return sum < half
        }.map(\.0)
    }

    // MARK: Agents

    /// A type of tasks alone stands for the one of it that somebody has had in hand for longest.
    private func loop(
        _ incident: Incident, _ named: [String], _ evidence: String, in transaction: Transaction
    ) throws -> ContainmentPlan {
        var (agents, tasks) = (named, incident.subjects(of: "task"))
        var taken = agents
        if tasks.isEmpty, let type = incident.subjects(of: "task_type").first,
            let oldest = try hands.tasks.store.oldestInProgress(of: type, in: transaction), let owner = oldest.owner,
            named.isEmpty || named.contains(owner)
        {
            // What else its agent has in hand may be well.
            (agents, tasks, taken) = ([owner], [oldest.id.text], [])
        } else if agents.isEmpty {
            agents = try hands.tasks.store.live(tasks.compactMap(TaskID.init), in: transaction).compactMap(\.owner)
        }
        let runs = holds.heldNow().filter { run in
            run.agent.map(agents.contains) ?? false || run.task.map(tasks.contains) ?? false
        }
        let words = runs.first.map { "\(evidence); run \($0.id): \($0.json.text)" } ?? evidence
        let told = String(words.prefix(ContainmentOrder.evidenceMax))
        let orders = [
            ContainmentOrder(.holdTask, [.agents: taken, .tasks: tasks, .evidence: [told]]),
            ContainmentOrder(.pauseAgent, [.agents: agents]),
            ContainmentOrder(.killProcess, [.agents: taken, .tasks: tasks]),
            ContainmentOrder(.reassign, [.agents: taken, .tasks: tasks]),
        ]
        return ContainmentPlan(orders: orders.compactMap(\.self), agents: Set(agents))
    }

    /// Where nobody is named, what failed lately leads to who began it; where somebody is, what failed of theirs or
    /// because of them. Who is only struck by it is left alone.
    private func cascade(
        _ incident: Incident, _ named: [String], in transaction: Transaction
    ) throws -> ContainmentPlan {
        let since = hands.world.now - Self.cascadeWithin
        let store = hands.tasks.store
        let given = incident.subjects(of: "task").compactMap(TaskID.init)
        let own = try store.recent(of: named, since: since, limit: Self.cascadeTasksMax, in: transaction)
        let failed =
            given.isEmpty ? try store.failed(since: since, limit: Self.cascadeTasksMax, in: transaction) : given
        let roots = try TaskRoots(of: Set(failed + own).map(\.text), store, in: transaction)
        let meant = Set(given.map(\.text))
        let isMeant = { (struck: TaskRoots.Struck) in
            (meant.isEmpty && named.isEmpty) || meant.contains(struck.task) || named.contains(struck.agent)
                || (meant.isEmpty && named.contains(struck.root.agent))
        }
        guard let chief = TaskRoots.chief(of: roots.struck.filter(isMeant), preferring: named) else {
            // Nothing of it has ended yet: it begins with what is named.
            let owners = try store.live(given, in: transaction).compactMap(\.owner)
            let tasks = given.isEmpty ? own : given
            return Self.plan(holdingBehind: tasks.map(\.text), of: named.isEmpty ? owners : named)
        }
        let theirs = try store.recent(of: [chief.agent], since: since, limit: Self.cascadeTasksMax, in: transaction)
        var plan = Self.plan(holdingBehind: chief.tasks + theirs.map(\.text), of: [chief.agent])
        plan.agents.formUnion(named)
        let led = chief.count > 0 ? ": what became of \(PageText.plural(chief.count, "task")) leads there" : ""
        plan.findings = "It began with \(chief.agent), in \(chief.tasks[0])\(led)."
        return plan
    }

    private static func plan(holdingBehind tasks: [String], of agents: [String]) -> ContainmentPlan {
        ContainmentPlan(
            orders: [
                ContainmentOrder(.holdDownstream, [.tasks: tasks]), ContainmentOrder(.pauseAgent, [.agents: agents]),
            ].compactMap(\.self), agents: Set(agents))
    }
}
