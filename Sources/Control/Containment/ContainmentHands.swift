import Kernel
import Telemetry

/// What acts on one target at a time, and takes that back: all of it in the caller's transaction.
///
/// Each step that holds something has a claim on it. The first claim remembers how it was before; further ones take
/// that over, and who leaves last restores it, if it is still as it was left.
struct ContainmentHands: Sendable {
    /// Targets of one step.
    static let targetsMax = 1_000
    /// Tasks of one agent.
    static let tasksOfAgentMax = 100

    let store = ContainmentStore()
    let agents: AgentService
    let tasks: TaskService
    let queues: QueueService
    let budgets: BudgetService
    let models: any LiveModels
    let policy: ContainmentPolicy
    let world: World

    /// One step at work.
    struct Work {
        let order: ContainmentOrder
        let incidentID: String
        /// Of the step.
        let key: String
        var principal = Principal.system

        /// Marks what the step holds.
        var reason: String {
            let evidence = order.single(.evidence).map { ": \($0)" } ?? ""
            return "contained in \(incidentID)\(evidence)"
        }
    }

    // MARK: Acting

    /// Acts on one target. What it refuses is told and undone alone.
    func act(
        on target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        // Somebody who is never to be touched may have taken it since it was aimed at.
        if let guardian = try guardian(of: target, work.order, in: transaction) {
            return .spared(target, for: guardian)
        }
        do {
            return try transaction.part {
                try dropEnded(target, in: transaction)
                return try change(target, work, in: transaction)
            }
        } catch let problem as Problem where problem.code.status < 500 {
            return ContainmentOutcome(target.text, .refused, problem.detail)
        }
    }

    private func change(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        switch target.kind {
        case .agentPause: try tell(target, .pause, { $0.isPaused }, work, in: transaction)
        case .agentQuarantine: try tell(target, .quarantine, { $0.isQuarantined }, work, in: transaction)
        case .agentResume: try resume(target, work, in: transaction)
        case .taskHold: try hold(target, work, in: transaction)
        case .taskAttempt: try kill(target, work, in: transaction)
        case .taskOwner: try reassign(target, work, in: transaction)
        case .dispatch, .breaker, .route: try claimModel(target, work, in: transaction)
        case .queue: try pauseQueue(target, work, in: transaction)
        case .budget: try cut(target, work, in: transaction)
        case .config: try pin(target, work, in: transaction)
        case .session, .memory, .goldenSet: ContainmentOutcome(target.text, .refused, "nothing acts on it here")
        }
    }

    func keep(
        _ target: ContainmentTarget, _ work: Work, before: JSONValue, mark: JSONValue, in transaction: Transaction
    ) throws {
        let claim = ContainmentStore.Claim(target: target, step: work.key, before: before, mark: mark)
        try store.claim(claim, at: world.now, in: transaction)
    }

    /// Takes over what an earlier claim remembers; whether there was one.
    private func join(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome? {
        guard let first = try store.claims(on: target, in: transaction).first else { return nil }
        try keep(target, work, before: first.before, mark: first.mark, in: transaction)
        return ContainmentOutcome(target.text, .unchanged, "another containment holds it too")
    }

    private func known(_ name: String, in transaction: Transaction) throws -> Agent {
        guard let agent = try agents.agent(named: name, in: transaction) else { throw Problem.notFound("agent", name) }
        return agent
    }

    private func tell(
        _ target: ContainmentTarget, _ directive: AgentDirective, _ isSo: (Agent) -> Bool, _ work: Work,
        in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let agent = try known(target.name, in: transaction)
        if isSo(agent) {
            if let joined = try join(target, work, in: transaction) { return joined }
            try keep(target, work, before: ["was": true], mark: .null, in: transaction)
            return ContainmentOutcome(target.text, .unchanged, "it was so before")
        }
        _ = try agents.direct(directive, target.name, reason: work.reason, by: work.principal, in: transaction)
        try keep(target, work, before: ["was": false], mark: .string(work.reason), in: transaction)
        return ContainmentOutcome(target.text, .acted)
    }

    private func resume(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let agent = try known(target.name, in: transaction)
        guard agent.isPaused else { return ContainmentOutcome(target.text, .unchanged, "it is not paused") }
        try keep(target, work, before: ["reason": .of(agent.pausedReason)], mark: true, in: transaction)
        try goOn(agent, work.principal, in: transaction)
        return ContainmentOutcome(target.text, .acted)
    }

    /// Takes a pause back and nothing else: `resume` ends draining too.
    func goOn(_ agent: Agent, _ principal: Principal, in transaction: Transaction) throws {
        _ = try agents.direct(.resume, agent.name, reason: nil, by: principal, in: transaction)
        if agent.isDraining {
            _ = try agents.direct(.drain, agent.name, reason: agent.drainingReason, by: principal, in: transaction)
        }
    }

    private func hold(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let task = try tasks.task(target.name, in: transaction)
        let present = try tasks.store.holds(on: task.id, in: transaction).contains {
            $0.hold == TaskHold.incident.rawValue
        }
        if present {
            if let joined = try join(target, work, in: transaction) { return joined }
            try keep(target, work, before: ["was": true], mark: .null, in: transaction)
            return ContainmentOutcome(target.text, .unchanged, "it was held before")
        }
        _ = try tasks.hold(target.name, .incident, reason: work.reason, by: work.principal, in: transaction)
        try keep(target, work, before: ["was": false], mark: .string(work.reason), in: transaction)
        return ContainmentOutcome(target.text, .acted, task.owner.map { "in the hands of \($0)" } ?? "")
    }

    private func kill(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let task = try tasks.task(target.name, in: transaction)
        guard task.state.isLeased else {
            return ContainmentOutcome(target.text, .unchanged, "nobody works on it: it is \(task.state.rawValue)")
        }
        let ended = "attempt \(task.claims) of \(task.owner ?? "nobody") ended"
        _ = try tasks.reassign(target.name, to: task.pinnedAgent, by: work.principal, in: transaction)
        return ContainmentOutcome(target.text, .acted, ended)
    }

    private func reassign(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let task = try tasks.task(target.name, in: transaction)
        let to = work.order.single(.to)
        if let to { _ = try known(to, in: transaction) }
        guard task.pinnedAgent != to || task.state.isLeased || task.preferredAgent != nil else {
            return ContainmentOutcome(target.text, .unchanged, to.map { "it is \($0)'s" } ?? "any agent may take it")
        }
        _ = try tasks.reassign(target.name, to: to, by: work.principal, in: transaction)
        try keep(
            target, work, before: ["agent": .of(task.pinnedAgent)], mark: ["agent": .of(to)], in: transaction)
        return ContainmentOutcome(target.text, .acted, to.map { "to \($0)" } ?? "to any agent that may")
    }

    private func claimModel(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let all = models.models()
        if target.kind != .breaker, !all.contains(where: { $0.name == target.name }) {
            throw Problem.notFound("model", target.name)
        }
        let to = work.order.single(.to)
        if let to, !all.contains(where: { $0.name == to }) || to == target.name { throw Problem.notFound("model", to) }
        let isHeld = try !store.claims(on: target, in: transaction).isEmpty
        try keep(target, work, before: .null, mark: ["to": .of(to)], in: transaction)
        return ContainmentOutcome(
            target.text, isHeld ? .unchanged : .acted,
            isHeld ? "another containment holds it too" : to.map { "answered by \($0)" } ?? "")
    }

    private func pauseQueue(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        guard let queue = try queues.queue(target.name, in: transaction) else {
            throw Problem.notFound("queue", target.name)
        }
        if queue.pause != nil {
            if let joined = try join(target, work, in: transaction) { return joined }
            try keep(target, work, before: ["was": true], mark: .null, in: transaction)
            return ContainmentOutcome(target.text, .unchanged, "it was so before")
        }
        _ = try queues.setPause(queue: target.name, reason: work.reason, by: work.principal, in: transaction)
        try keep(target, work, before: ["was": false], mark: .string(work.reason), in: transaction)
        return ContainmentOutcome(target.text, .acted)
    }

    private func cut(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let scope = BudgetScope(stored: target.name)
        let cut = try budgets.cut(scope, by: work.principal, in: transaction)
        guard cut.budget.version != cut.before?.version else {
            if let joined = try join(target, work, in: transaction) { return joined }
            try keep(target, work, before: .null, mark: .null, in: transaction)
            return ContainmentOutcome(target.text, .unchanged, "it was cut before")
        }
        let before = cut.before.map(BudgetService.words) ?? .null
        try keep(
            target, work, before: ["budget": before], mark: ["version": .int(cut.budget.version)], in: transaction)
        return ContainmentOutcome(target.text, .acted, "to \(cut.budget.limit.json.text)")
    }

    private func pin(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let agent = try known(target.name, in: transaction)
        guard let version = work.order.single(.version), agent.configDesired != version else {
            return ContainmentOutcome(target.text, .unchanged, "it is asked for that already")
        }
        var edit = AgentEdit()
        edit.configDesired = .some(version)
        _ = try agents.edit(target.name, edit, ifMatch: nil, by: work.principal, in: transaction)
        try keep(
            target, work, before: ["version": .of(agent.configDesired)], mark: .string(version), in: transaction)
        return ContainmentOutcome(target.text, .acted, "to \(version)")
    }

    // MARK: Taking back

    /// Restores what the step changed, where nobody else holds it and nobody changed it since.
    func undo(
        _ target: ContainmentTarget, _ work: Work, in transaction: Transaction
    ) throws -> ContainmentOutcome {
        let claims = try store.claims(on: target, in: transaction)
        guard let own = claims.first(where: { $0.step == work.key }) else {
            return ContainmentOutcome(target.text, .left, "nothing was changed")
        }
        try store.release(target, of: work.key, in: transaction)
        let isShared = try claims.contains { try $0.step != work.key && isAsLeft($0, in: transaction) }
        guard !isShared else { return ContainmentOutcome(target.text, .left, "another containment holds it") }
        do {
            let isRestored = try transaction.part { try restore(own, work, in: transaction) }
            return isRestored
                ? ContainmentOutcome(target.text, .restored)
                : ContainmentOutcome(target.text, .left, "it was so before, or others changed it since")
        } catch let problem as Problem where problem.code.status < 500 {
            return ContainmentOutcome(target.text, .left, problem.detail)
        }
    }
}
