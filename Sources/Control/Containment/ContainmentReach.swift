import Kernel
import Telemetry

/// Whom targets reach: the agents that are told something, whose tasks are taken or held, and those who share what is
/// changed for all of its users.
extension ContainmentHands {
    /// How far back calls and finished tasks say who uses a model, a queue, a session.
    static let reachWithin = Span.minutes(15)

    /// The agents that these targets of an order reach, each once: those that it names first, then those who share
    /// something, by name.
    ///
    /// - Parameter tasks: The tasks among the targets that live.
    func reach(
        of targets: [ContainmentTarget], _ order: ContainmentOrder, tasks known: [String: AgentTask],
        in transaction: Transaction
    ) throws -> [String] {
        var (named, shared): ([String], Set<String>) = ([], [])
        func names(_ kind: ContainmentTarget.Kind) -> [String] {
            targets.filter { $0.kind == kind && !$0.isEverything }.map(\.name)
        }
        for kind in ContainmentTarget.Kind.allCases where targets.contains(where: { $0.kind == kind }) {
            if targets.contains(where: { $0.kind == kind && $0.isEverything }) {
                shared.formUnion(try everybody(in: transaction))
            }
            switch kind {
            case .agentPause, .agentResume, .agentQuarantine, .config, .memory: named += names(kind)
            case .taskHold, .taskAttempt, .taskOwner:
                named += names(kind).compactMap { known[$0] }.flatMap { [$0.owner, $0.pinnedAgent] }
                    .compactMap(\.self)
                if kind == .taskOwner { named += order[.to] }
            case .dispatch:
                shared.formUnion(try users(ofModels: names(kind), in: transaction))
                shared.formUnion(try tasks.store.awaited(models: asked(names(kind)), in: transaction))
            case .route: shared.formUnion(try users(ofModels: names(kind), in: transaction))
            case .breaker:
                let targets = Set(names(kind))
                let ill = models.models().filter { $0.targets.contains { targets.contains($0.name) } }
                shared.formUnion(try users(ofModels: ill.map(\.name), in: transaction))
            case .queue:
                shared.formUnion(
                    try tasks.store.workers(
                        ofQueues: names(kind), since: world.now - Self.reachWithin, in: transaction))
            case .budget:
                let scopes = names(kind).map(BudgetScope.init(stored:))
                named += scopes.filter { $0.kind == .agent }.map(\.name)
                shared.formUnion(try members(of: scopes, in: transaction))
            case .session:
                let prefix = "agent:"
                named += names(kind).filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
                let sessions = names(kind).filter { !$0.hasPrefix(prefix) }
                shared.formUnion(try callers(.sessions(sessions), in: transaction))
            case .goldenSet:
                // What is asked of a model or a set takes nothing from who uses it.
                named += order[.agents]
            }
        }
        var seen: Set<String> = []
        return (named + shared.sorted()).filter { seen.insert($0).inserted }
    }

    /// Whom a single target reaches.
    func reach(
        of target: ContainmentTarget, _ order: ContainmentOrder, in transaction: Transaction
    ) throws -> [String] {
        try reach(
            of: [target], order, tasks: live(target.kind.isOfTask ? [target.name] : [], in: transaction),
            in: transaction)
    }

    /// Tasks by their ids, those that live.
    func live(_ names: [String], in transaction: Transaction) throws -> [String: AgentTask] {
        let ids = names.compactMap(TaskID.init)
        guard !ids.isEmpty else { return [:] }
        return Dictionary(try tasks.store.live(ids, in: transaction).map { ($0.id.text, $0) }) { first, _ in first }
    }

    // MARK: Who shares

    /// The models and their tiers, as tasks ask for them.
    func asked(_ names: [String]) -> [String] {
        names + models.models().filter { names.contains($0.name) }.compactMap { $0.tier.map { "tier:\($0)" } }
    }

    private func users(ofModels names: [String], in transaction: Transaction) throws -> [String] {
        try callers(.models(names), in: transaction)
    }

    /// Agents that made such calls lately. Those of drills that are over are not there any more.
    private func callers(_ ground: CallGround, in transaction: Transaction) throws -> [String] {
        guard !ground.isEmpty else { return [] }
        let found = try CallService.callers(ground, since: world.now - Self.reachWithin, in: transaction)
        let drilled = found.filter { DrillNames.isOfDrill($0) }
        guard !drilled.isEmpty else { return found }
        let present = try agents.labels(of: drilled, in: transaction)
        return found.filter { !DrillNames.isOfDrill($0) || present[$0] != nil }
    }

    /// All agents that are registered or call. Drills have money and sessions of their own.
    private func everybody(in transaction: Transaction) throws -> [String] {
        (try agents.names(in: transaction) + callers(.any, in: transaction))
            .filter { !DrillNames.isOfDrill($0) }
    }

    /// The agents whose calls budgets count, but for those that a scope names itself.
    private func members(of scopes: [BudgetScope], in transaction: Transaction) throws -> Set<String> {
        func names(_ kind: BudgetScope.Kind) -> [String] { scopes.filter { $0.kind == kind }.map(\.name) }
        var found: Set<String> = []
        if scopes.contains(.org) { found.formUnion(try everybody(in: transaction)) }
        for project in names(.project) {
            found.formUnion(try agents.names(project: project, in: transaction))
        }
        for ground in [
            CallGround.projects(names(.project)), .sessions(names(.session)), .keys(names(.key)), .tags(names(.tag)),
        ] { found.formUnion(try callers(ground, in: transaction)) }
        for task in try live(names(.task), in: transaction).values {
            found.formUnion([task.owner, task.pinnedAgent].compactMap(\.self))
        }
        return found
    }
}
