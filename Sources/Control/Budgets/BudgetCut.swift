import Kernel

/// Ending the spending of a scope where it stands, and giving it back what it had.
extension BudgetService {
    /// Lowers a scope's budget to what is settled in its window, so that the next call is refused; one that has none
    /// gets one of nothing. Calls that other processes have not reported yet count as soon as they do.
    ///
    /// - Returns: The budget as it was, and as it is.
    func cut(
        _ scope: BudgetScope, by principal: Principal, in transaction: Transaction
    ) throws -> (before: Budget?, budget: Budget) {
        guard let before = try store.budget(scope, in: transaction) else {
            let none = BudgetDraft(BudgetLimit(nanoUSD: 0, tokens: 0))
            return (nil, try put(scope, none, ifMatch: nil, by: principal, in: transaction))
        }
        let key = before.terms.key(at: world.now)
        let settled = try windows.windows(ids: [key.text], in: transaction).first?.settled ?? .zero
        func lowered(_ limit: Int64?, _ used: Int64) -> Int64? { limit.map { min($0, max(0, used)) } }
        let limit = BudgetLimit(
            nanoUSD: lowered(before.limit.nanoUSD, settled.nanoUSD),
            tokens: lowered(before.limit.tokens, settled.tokens), calls: lowered(before.limit.calls, settled.calls),
            steps: lowered(before.limit.steps, settled.steps))
        let draft = BudgetDraft(
            limit: limit, period: before.period, mode: .strict, softPercent: before.softPercent)
        return (before, try put(scope, draft, ifMatch: nil, by: principal, in: transaction))
    }

    /// Gives a scope the budget back that it had before a cut, if nobody changed it since.
    ///
    /// - Parameter words: What ``words(_:)`` made of it; `null` where there was none.
    /// - Returns: Whether it was so.
    func restore(
        _ scope: BudgetScope, from words: JSONValue, ifStill version: Int64, by principal: Principal,
        in transaction: Transaction
    ) throws -> Bool {
        guard let budget = try store.budget(scope, in: transaction), budget.version == version else { return false }
        guard let object = words.object else {
            try remove(scope, ifMatch: nil, by: principal, in: transaction)
            return true
        }
        let draft = try BudgetDraft(Fields(object, limits: Limits()))
        _ = try put(scope, draft, ifMatch: nil, by: principal, in: transaction)
        return true
    }
}
