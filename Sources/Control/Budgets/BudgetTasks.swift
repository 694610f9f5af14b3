import Kernel

/// The caps that tasks bring with their own budgets: kept like all others, for as long as the task lives and a while
/// beyond. They leave no events of their own, as the tasks' say it.
extension BudgetService: TaskCaps {
    /// How long the cap of a task that has ended stays, for calls that come late and people who look.
    static let endedKept = Span.hours(24)
    /// With more budgets than this the caps of ended tasks go at once.
    static let endedMax = budgetsMax / 2

    public func taskBegan(
        _ id: TaskID, _ budget: TaskBudget, by actor: String, in transaction: Transaction
    ) throws {
        let limit = BudgetLimit(nanoUSD: budget.nanoUSD, tokens: budget.tokens, steps: budget.steps)
        let made = try insert(
            BudgetScope(.task, id.text), BudgetDraft(limit), by: actor,
            whenFull: "Give fewer tasks a budget at one time, or remove budgets of sessions that are over.",
            in: transaction)
        learn(made.terms, in: transaction)
    }

    /// The worker may call from now on: this replica has to know the cap before.
    public func taskWasClaimed(_ id: TaskID, in transaction: Transaction) throws {
        guard let budget = try store.budget(BudgetScope(.task, id.text), in: transaction) else { return }
        learn(budget.terms, in: transaction)
    }

    public func taskEnded(_ id: TaskID, in transaction: Transaction) throws {
        try store.end(BudgetScope(.task, id.text), at: world.now, in: transaction)
    }

    /// Removes caps of tasks that have ended; returns whether there may be more.
    public func retire(limit: Int, in transaction: Transaction) throws -> Bool {
        let isFull = try store.count(in: transaction) > Self.endedMax
        let past = isFull ? world.now : world.now - Self.endedKept
        let ended = try store.ended(before: past, limit: limit, in: transaction)
        guard !ended.isEmpty else { return false }
        let revision = try store.tick(in: transaction)
        for budget in ended { try drop(budget, revision: revision, in: transaction) }
        return ended.count == limit
    }
}
