import Kernel
import Telemetry

/// What is done against each mode of failure, as orders on what an incident is about, and on nothing else.
struct ContainmentPlans: Sendable {
    /// Tasks that the root of a cascade is looked for from, and steps up the graph.
    static let cascadeTasksMax = 50
    static let cascadeStepsMax = 1_000

    let hands: ContainmentHands
    let holds: any RunHolds
    let policy: ContainmentPolicy

    /// The steps of a plan, in their order; none where the incident names nothing to act on.
    func orders(
        for mode: FailureMode, _ incident: Incident, evidence: String, in transaction: Transaction
    ) throws -> [ContainmentOrder] {
        let agents = try Self.agents(of: incident, hands, in: transaction)
        let tasks = incident.subjects(of: "task")
        let found: [ContainmentOrder?] =
            switch mode {
            case .llmOutage: outage(incident, pausesDispatch: true)
            case .modelDegradation: outage(incident, pausesDispatch: false)
            case .infiniteLoop: loop(agents, tasks, evidence)
            case .cascadingFailure: try cascade(agents, tasks, in: transaction)
            case .staleContext:
                [
                    ContainmentOrder(.pauseAgent, [.agents: agents]),
                    ContainmentOrder(.clearContext, [.agents: agents]),
                ]
            case .contextPoisoning:
                [
                    ContainmentOrder(
                        .quarantineSession, [.agents: agents, .sessions: incident.subjects(of: "session")]),
                    ContainmentOrder(.restoreContext, [.agents: agents, .sessions: incident.subjects(of: "session")]),
                ]
            case .memoryCorruption:
                [
                    ContainmentOrder(.memoryReadOnly, [.agents: agents]),
                    ContainmentOrder(.offerMemoryRestore, [.agents: agents]),
                ]
            case .silentDrift: [ContainmentOrder(.goldenSetRun, [.agents: agents])]
            case .budgetRunaway:
                [
                    ContainmentOrder(
                        .cutBudget,
                        [
                            .scopes: agents.map { "agent:\($0)" }
                                + incident.subjects(of: "project").map { "project:\($0)" }
                        ])
                ]
            }
        return found.compactMap { $0?.without { policy.spares($0, $1) } }
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

    private func outage(_ incident: Incident, pausesDispatch: Bool) -> [ContainmentOrder?] {
        let providers = incident.subjects(of: "provider")
        let named = Set(incident.subjects(of: "model"))
        let all = hands.models.models()
        func isIll(_ target: TargetStatus) -> Bool {
            providers.isEmpty
                ? named.contains(target.model) : providers.contains(target.provider)
        }
        // Alerts name models as providers do, or as callers do.
        let ill = all.filter { model in
            !model.targets.isEmpty
                && ((providers.isEmpty && named.contains(model.name)) || model.targets.allSatisfy(isIll))
        }
        let fallbacks = ill.compactMap { model -> (from: String, to: String)? in
            let other = all.first { other in
                other.name != model.name && other.tier != nil && other.tier == model.tier
                    && other.targets.contains { !isIll($0) && $0.breaker == .closed && !named.contains(other.name) }
            }
            return other.map { (model.name, $0.name) }
        }
        let routed = Set(fallbacks.map(\.from))
        let waiting = ill.map(\.name).filter { !routed.contains($0) }
        let pause = pausesDispatch ? ContainmentOrder(.pauseDispatch, [.models: waiting]) : nil
        let models = providers.isEmpty ? ill.map(\.name) : []
        return [pause]
            + fallbacks.map { ContainmentOrder(.useFallback, [.models: [$0.from], .to: [$0.to]]) }
            + [ContainmentOrder(.openBreaker, [.providers: providers, .models: models])]
    }

    // MARK: Agents

    private func loop(_ agents: [String], _ tasks: [String], _ evidence: String) -> [ContainmentOrder?] {
        let runs = holds.heldNow().filter { run in
            run.agent.map(agents.contains) ?? false || run.task.map(tasks.contains) ?? false
        }
        let words = runs.first.map { "\(evidence); run \($0.id): \($0.json.text)" } ?? evidence
        let told = String(words.prefix(ContainmentOrder.evidenceMax))
        return [
            ContainmentOrder(.holdTask, [.agents: agents, .tasks: tasks, .evidence: [told]]),
            ContainmentOrder(.pauseAgent, [.agents: agents]),
            ContainmentOrder(.killProcess, [.agents: agents, .tasks: tasks]),
        ]
    }

    private func cascade(
        _ agents: [String], _ tasks: [String], in transaction: Transaction
    ) throws -> [ContainmentOrder?] {
        let recent =
            try tasks.isEmpty
            ? hands.tasks.store.recent(of: agents, limit: Self.cascadeTasksMax, in: transaction).map(\.text) : tasks
        return [
            ContainmentOrder(.holdDownstream, [.tasks: recent]), ContainmentOrder(.pauseAgent, [.agents: agents]),
        ]
    }

    /// The agent whose work a failure began with: the owner of the highest task above these that went wrong itself, or
    /// was accepted; `nil` where nobody worked on any.
    func root(of incident: Incident, in transaction: Transaction) throws -> (agent: String, task: String)? {
        let agents = try Self.agents(of: incident, hands, in: transaction)
        let named = incident.subjects(of: "task").compactMap { TaskID($0) }
        var worklist =
            try named.isEmpty
            ? hands.tasks.store.recent(of: agents, limit: Self.cascadeTasksMax, in: transaction) : named
        var seen = Set(worklist)
        var root: (agent: String, task: String)?
        var steps = 0
        while !worklist.isEmpty, steps < Self.cascadeStepsMax {
            var above: [TaskID] = []
            for id in worklist {
                steps += 1
                if let owner = try hands.tasks.store.task(id, in: transaction)?.owner { root = (owner, id.text) }
                let parents = try hands.tasks.store.dependencies(of: id, in: transaction).filter { !$0.isChild }
                above += parents.map(\.dependsOn).filter { seen.insert($0).inserted }
            }
            worklist = above
        }
        return root
    }
}
