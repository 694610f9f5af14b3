import Kernel

/// What a claim still holds, and how it is given back.
extension ContainmentHands {
    /// Whether all is as the claim's step left it, so that there is something to take back: nobody changed it since,
    /// and what it was done to is still there.
    func isAsLeft(_ claim: ContainmentStore.Claim, in transaction: Transaction) throws -> Bool {
        let (name, mark) = (claim.target.name, claim.mark)
        func agent() throws -> Agent? { try agents.agent(named: name, in: transaction) }
        func task() throws -> AgentTask? { try TaskID(name).flatMap { try tasks.store.live($0, in: transaction) } }
        switch claim.target.kind {
        case .agentPause:
            guard let agent = try agent(), let reason = mark.string else { return false }
            return agent.isPaused && agent.pausedReason == reason
        case .agentQuarantine:
            guard let agent = try agent(), let reason = mark.string else { return false }
            return agent.isQuarantined && agent.quarantineReason == reason
        case .agentResume: return try agent().map { !$0.isPaused } ?? false
        case .taskHold:
            guard let task = try task(), let reason = mark.string else { return false }
            return try tasks.store.holds(on: task.id, in: transaction).contains {
                $0.hold == TaskHold.incident.rawValue && $0.reason == reason
            }
        case .taskOwner:
            guard let task = try task(), !task.state.isLeased else { return false }
            return task.pinnedAgent == mark["agent"]?.string && claim.before["agent"]?.string != task.pinnedAgent
        case .queue:
            guard let queue = try queues.queue(name, in: transaction), let reason = mark.string else { return false }
            return queue.pause?.reason == reason
        case .budget:
            guard let version = mark["version"]?.int else { return false }
            return try budgets.store.budget(BudgetScope(stored: name), in: transaction)?.version == version
        case .config:
            guard let agent = try agent(), let version = mark.string else { return false }
            return agent.configDesired == version
        case .dispatch, .breaker, .route: return true
        case .taskAttempt, .session, .memory, .goldenSet: return false
        }
    }

    /// Makes it as the claim remembers it.
    ///
    /// - Returns: Whether there was something to take back.
    func restore(
        _ claim: ContainmentStore.Claim, _ work: Work, in transaction: Transaction
    ) throws -> Bool {
        guard try isAsLeft(claim, in: transaction) else { return false }
        let (name, by) = (claim.target.name, work.principal)
        switch claim.target.kind {
        case .agentPause:
            if let agent = try agents.agent(named: name, in: transaction) { try goOn(agent, by, in: transaction) }
        case .agentQuarantine:
            _ = try agents.direct(.releaseQuarantine, name, reason: nil, by: by, in: transaction)
        case .agentResume:
            let reason = claim.before["reason"]?.string
            _ = try agents.direct(.pause, name, reason: reason, by: by, in: transaction)
        case .taskHold:
            _ = try tasks.resume(name, .incident, answer: .null, token: nil, by: by, in: transaction)
        case .taskOwner:
            _ = try tasks.reassign(name, to: claim.before["agent"]?.string, by: by, in: transaction)
        case .queue: _ = try queues.setPause(queue: name, reason: nil, by: by, in: transaction)
        case .budget:
            return try budgets.restore(
                BudgetScope(stored: name), from: claim.before["budget"] ?? .null,
                ifStill: claim.mark["version"]?.int ?? 0, by: by, in: transaction)
        case .config:
            var edit = AgentEdit()
            edit.configDesired = .some(claim.before["version"]?.string)
            _ = try agents.edit(name, edit, ifMatch: nil, by: by, in: transaction)
        case .dispatch, .breaker, .route, .taskAttempt, .session, .memory, .goldenSet: break
        }
        return true
    }

    /// Forgets claims on a thing that is not as they left it: others ended them, and who acts on it now holds it alone.
    func dropEnded(_ target: ContainmentTarget, in transaction: Transaction) throws {
        for claim in try store.claims(on: target, in: transaction) where try !isAsLeft(claim, in: transaction) {
            try store.release(target, of: claim.step, in: transaction)
        }
    }

    /// Whether something would be different if this were taken back: the truth behind ``Containment/isInForce``.
    func isHolding(_ containment: Containment, in transaction: Transaction) throws -> Bool {
        guard !containment.state.isMoving else { return true }
        guard containment.canReverse else { return false }
        return try containment.steps.contains { step in
            guard step.hasActed, step.order.action.isReversible else { return false }
            // Only who is behind a door knows what is held there.
            guard step.order.action.door == nil else { return true }
            return try store.claims(of: step.key(of: containment.id), in: transaction).contains {
                try isAsLeft($0, in: transaction)
            }
        }
    }
}
