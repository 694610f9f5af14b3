import Kernel
import Telemetry

/// How much of each budget is left, as a number that alerts and charts can look at.
struct BudgetHeadroom: Sendable {
    static let metric = Metric.gauge(
        "reeve_budget_remaining_ratio",
        "What is left of a budget in its period, of the unit that is nearest to its limit: 1 is all, 0 is nothing.",
        labels: ["scope"], open: ["scope"])

    static let spent = Metric.gauge(
        "reeve_budget_spent",
        "What is spent of a budget in its period, by the units that it limits: usd, tokens, calls, steps.",
        labels: ["scope", "unit"], open: ["scope"])
    static let limit = Metric.gauge(
        "reeve_budget_limit", "What a budget allows in its period, by unit.", labels: ["scope", "unit"],
        open: ["scope"])
    static let all = [metric, spent, limit]

    let scope: String
    let ratio: Double
    /// Of each unit that is limited; money in dollars.
    let units: [(unit: BudgetUnit, spent: Double, limit: Double)]

    init(_ budget: Budget, settled: BudgetAmounts) {
        scope = budget.scope.description
        ratio = max(0, 1 - budget.limit.fraction(settled))
        let limits = budget.limit.amounts
        units = BudgetUnit.allCases.filter { limits[$0] != BudgetAmounts.noLimit }.map { unit in
            let scale = unit == .usd ? 1e9 : 1
            return (unit, Double(settled[unit]) / scale, Double(limits[unit]) / scale)
        }
    }

    /// Kinds of scopes that last. Tasks, sessions and keys come and go, and are no labels.
    static let kinds: [BudgetScope.Kind] = [.org, .project, .agent, .tag]
    /// Budgets of a kind that have a series; of more, the first by their names.
    static let budgetsMax = 500
}

extension BudgetService {
    /// What is spent and left, as of the last report of each replica.
    func headroom(in transaction: Transaction) throws -> [BudgetHeadroom] {
        let page = Page(limit: BudgetHeadroom.budgetsMax)
        let budgets = try BudgetHeadroom.kinds.flatMap { kind in
            try store.budgets(of: kind, page: page, in: transaction).prefix(page.limit)
        }
        let keys = budgets.map { $0.terms.key(at: world.now).text }
        let settled = try windows.windows(ids: keys, in: transaction).reduce(into: [:]) { $0[$1.key.text] = $1.settled }
        return zip(budgets, keys).map { BudgetHeadroom($0, settled: settled[$1] ?? .zero) }
    }
}

extension MetricPage {
    mutating func add(_ budgets: [BudgetHeadroom]) {
        var ratio = GaugeFamily(BudgetHeadroom.metric, first: 1)
        var spent = GaugeFamily(BudgetHeadroom.spent)
        var limit = GaugeFamily(BudgetHeadroom.limit)
        for budget in budgets {
            ratio.lower(budget.ratio, [budget.scope])
            for one in budget.units {
                spent.raise(one.spent, [budget.scope, one.unit.rawValue])
                limit.raise(one.limit, [budget.scope, one.unit.rawValue])
            }
        }
        add(ratio)
        add(spent)
        add(limit)
    }
}
