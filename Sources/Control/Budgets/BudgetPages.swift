import Kernel

/// The budgets with what is settled, held and left of each.
public struct BudgetPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let budgets: BudgetService

    public init(shell: PageShell, storage: any Storage, budgets: BudgetService) {
        self.shell = shell
        self.storage = storage
        self.budgets = budgets
    }

    public var routes: [Route] {
        [shell.route("/budgets", .read, "The budgets, with what is left of each", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let kind = try Self.kind(request)
        let found = try await budgets.views(of: kind, page: page, storage: storage)
        let shown = found.prefix(page.limit)
        let isWhole = page.after == nil && found.count <= page.limit
        let next = found.count > page.limit ? shown.last?.budget.scope.description : nil
        let now = shell.world.now
        let view = BudgetListView(
            subtitle: Self.subtitle(shown.count, isWhole: isWhole),
            numbers: Self.numbers(Array(shown), isWhole: isWhole), filters: Self.filters(kind),
            hasBudgets: !shown.isEmpty, budgets: shown.map { BudgetRowView($0, now: now) },
            noBudgets: Self.nothing(request, kind),
            pager: PagerView(after: page.after, next: next) { Self.path(kind, after: $0) })
        return try await shell.page(
            "Budgets", at: .budgets, template: "budgets", view: view, topics: ["budget", "call"], request: request)
    }

    private static func kind(_ request: APIRequest) throws -> BudgetScope.Kind? {
        guard let text = request.queryValue("kind"), !text.isEmpty else { return nil }
        guard let kind = BudgetScope.Kind(rawValue: text) else {
            let all = BudgetScope.Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("kind", "one of \(all) is expected")
        }
        return kind
    }

    private static func path(_ kind: BudgetScope.Kind?, after: String? = nil) -> String {
        PagePath.query("/budgets", [("kind", kind?.rawValue), ("after", after)])
    }

    private static func filters(_ current: BudgetScope.Kind?) -> [FilterView] {
        let all = FilterView(path: path(nil), label: "All", state: "", isCurrent: current == nil)
        return [all]
            + BudgetScope.Kind.allCases.map { kind in
                let label = kind == .org ? "Organisation" : PageText.label(kind.rawValue) + "s"
                return FilterView(path: path(kind), label: label, state: "", isCurrent: kind == current)
            }
    }

    private static func subtitle(_ count: Int, isWhole: Bool) -> String {
        guard count > 0 else { return "none" }
        return isWhole ? PageText.plural(count, "budget") : "\(PageText.count(Int64(count))) of more on this page"
    }

    private static func numbers(_ views: [BudgetView], isWhole: Bool) -> [CallNumberView] {
        let spent = views.count { $0.standing == .exhausted }
        let soft = views.count { $0.standing == .near }
        let held = views.reduce(0) { $0 + $1.held.calls }
        let breaches = views.reduce(0) { $0 + $1.breaches }
        let place = isWhole ? "" : " on this page"
        return [
            CallNumberView(
                id: "exhausted", path: "/budgets", state: spent > 0 ? "failed" : "done", label: "Used up",
                value: PageText.count(Int64(spent)),
                note: spent > 0 ? "their calls are refused" : "every budget has some left\(place)",
                isAlarming: spent > 0),
            CallNumberView(
                id: "near", path: "/budgets", state: soft > 0 ? "held" : "done", label: "Near their limit",
                value: PageText.count(Int64(soft)), note: "past the share at which agents are told\(place)"),
            CallNumberView(
                id: "held", path: PagePath.query("/calls", [("status", "running")]), state: "running",
                label: "Held for", value: PageText.plural(held, "call"), note: "in flight, counted in each budget"),
            CallNumberView(
                id: "breaches", path: "/budgets", state: breaches > 0 ? "held" : "done", label: "Cost more than held",
                value: PageText.count(breaches),
                note: breaches > 0 ? "calls of providers that gave more" : "no call passed what it held",
                isAlarming: breaches > 0),
        ]
    }

    private static func nothing(_ request: APIRequest, _ kind: BudgetScope.Kind?) -> EmptyView {
        if let kind {
            return EmptyView(
                headline: "No budget of this kind", explanation: "Nothing limits a single \(words(kind)) yet.")
        }
        return EmptyView(
            headline: "No budgets yet",
            explanation: "A budget holds what an agent, a project, a task or everybody may spend, before it is spent:",
            command: """
                curl -X PUT \(request.origin)/api/v1/budgets/agent:researcher -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"limit": {"usd": 5}, "period": "day", "mode": "strict"}'
                """)
    }

    private static func words(_ kind: BudgetScope.Kind) -> String { kind == .org ? "organisation" : kind.rawValue }
}

extension BudgetView {
    enum Standing {
        case well, near, exhausted
    }

    /// How much reason there is to look at it.
    var standing: Standing {
        let cap = cap
        let isUsedUp = BudgetUnit.allCases.contains { cap[$0] != BudgetAmounts.noLimit && settled[$0] >= cap[$0] }
        if isUsedUp { return .exhausted }
        return isSoftLimitReached ? .near : .well
    }
}

struct BudgetListView: PageView {
    let subtitle: String
    let numbers: [CallNumberView]
    let filters: [FilterView]
    let hasBudgets: Bool
    let budgets: [BudgetRowView]
    let noBudgets: EmptyView
    let pager: PagerView
}

/// One budget: a line for each unit that it limits.
struct BudgetRowView: PageView {
    struct Line: PageView {
        let used: String
        let share: ShareView
        let held: String
        let left: String
    }

    let scope: String
    let kind: String
    let name: String
    let path: String?
    let callsPath: String?
    let state: String
    let stateLabel: String
    let lines: [Line]
    let mode: String
    let period: String
    let resets: TimeView?
    let note: String?

    init(_ view: BudgetView, now: Timestamp) {
        let budget = view.budget
        let target = budget.scope
        scope = target.description
        kind = target.kind == .org ? "organisation" : target.kind.rawValue
        name = target.kind == .org ? "Everybody" : target.name
        path =
            switch target.kind {
            case .agent: PagePath.agent(target.name)
            case .task: PagePath.task(target.name)
            case .project: PagePath.query("/costs", [("by", "agent"), ("project", target.name)])
            case .org, .session, .key, .tag: nil
            }
        callsPath =
            switch target.kind {
            case .org: "/calls"
            case .key: nil
            case .project, .agent, .task, .session, .tag:
                PagePath.query("/calls", [(target.kind.rawValue, target.name)])
            }
        switch view.standing {
        case .exhausted: (state, stateLabel) = ("failed", budget.mode == .observe ? "Passed" : "Used up")
        case .near: (state, stateLabel) = ("held", "Near its limit")
        case .well: (state, stateLabel) = ("done", "Enough left")
        }
        lines = BudgetUnit.allCases.filter { budget.limit.amounts[$0] != BudgetAmounts.noLimit }
            .map { Self.line($0, view) }
        mode = budget.mode.text
        period =
            switch budget.period {
            case .day: "each day"
            case .month: "each month"
            case .total: "in all"
            }
        resets = budget.period == .total ? nil : .ago(view.window.end, now: now)
        note = view.breaches > 0 ? "\(PageText.plural(view.breaches, "call")) cost more than held" : nil
    }

    private static func line(_ unit: BudgetUnit, _ view: BudgetView) -> Line {
        let limit = view.budget.limit.amounts[unit]
        let share = limit == 0 ? 1 : Double(view.settled[unit]) / Double(limit)
        return Line(
            used: "\(amount(view.settled[unit], unit)) of \(amount(limit, unit))\(noun(unit))",
            share: ShareView(share, hotAbove: Double(view.budget.softPercent) / 100),
            held: amount(view.held[unit], unit), left: amount(view.remaining[unit], unit))
    }

    private static func amount(_ value: Int64, _ unit: BudgetUnit) -> String {
        switch unit {
        case .usd: CallText.money(value)
        case .tokens: CallText.tokens(value)
        case .calls, .steps: PageText.count(value)
        }
    }

    private static func noun(_ unit: BudgetUnit) -> String { unit == .usd ? "" : " \(unit.rawValue)" }
}
