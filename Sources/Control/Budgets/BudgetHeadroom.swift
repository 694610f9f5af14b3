import Kernel
import Telemetry

/// How much of each budget is left, as a number that alerts and charts can look at.
enum BudgetHeadroom {
    static let metric = Metric.gauge(
        "reeve_budget_remaining_ratio",
        "What is left of a budget in its period, of the unit that is nearest to its limit: 1 is all, 0 is nothing.",
        labels: ["scope"], open: ["scope"])

    /// Kinds of scopes that last. Tasks, sessions and keys come and go, and are no labels.
    static let kinds: [BudgetScope.Kind] = [.org, .project, .agent, .tag]
    /// Budgets of a kind that have a series; of more, the first by their names.
    static let budgetsMax = 500
}

extension BudgetService {
    /// The shares that are left, as of the last report of each replica.
    func headroom(in transaction: Transaction) throws -> [(scope: String, ratio: Double)] {
        let page = Page(limit: BudgetHeadroom.budgetsMax)
        let budgets = try BudgetHeadroom.kinds.flatMap { kind in
            try store.budgets(of: kind, page: page, in: transaction).prefix(page.limit)
        }
        let keys = budgets.map { $0.terms.key(at: world.now).text }
        let settled = try windows.windows(ids: keys, in: transaction).reduce(into: [:]) { $0[$1.key.text] = $1.settled }
        return zip(budgets, keys).map { budget, key in
            (budget.scope.description, max(0, 1 - budget.limit.fraction(settled[key] ?? .zero)))
        }
    }
}
