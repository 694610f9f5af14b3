/// What model calls cost.
enum CostRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "costs",
            groups: [
                RuleGroup(
                    name: "reeve.costs", intervalSeconds: 300, rules: [.recording(daily), .alert(costSpike)]),
                RuleGroup(
                    name: "reeve.budgets",
                    rules: [
                        .recording(limit), .recording(pace), .recording(left), .recording(trifle),
                        .alert(budgetRunaway),
                    ]),
            ]),
        cases: spikeCases + budgetCases)

    /// By type; agents that have none stand for themselves, or the alert would be about nobody. It has kept its name,
    /// and so its history.
    private static let daily = RecordingRule(
        name: "agent_type:agent_cost_usd:increase1d",
        expression: #"sum by (agent_type) (increase(agent_cost_usd_total{agent_type!=""}[1d])) "#
            + #"or sum by (agent) (increase(agent_cost_usd_total{agent_type=""}[1d]))"#)

    /// The average leaves the last day out, or a spike would hide itself; and it needs a history of three days.
    static let costSpike = AlertRule(
        name: "CostSpike", severity: .warning, nature: .behavioural, mode: .budgetRunaway,
        expression: "\(daily.name) > 2 * avg_over_time(\(daily.name)[7d] offset 1d) and \(daily.name) > 5 "
            + "and present_over_time(\(daily.name)[1d] offset 3d)",
        summary: "{{ $labels.agent_type }}{{ $labels.agent }} costs more than twice what is usual",
        detail: "The agents of the type {{ $labels.agent_type }}, or the agent {{ $labels.agent }} where it has no "
            + "type, cost ${{ $value | humanize }} in the last 24 hours: more than twice the average day of the week "
            + "before, and more than $5.",
        action: "The page of costs says which agent, task and model it was. A budget holds them to a sum.")

    /// Money that runs away is told by what is spent. Who lowers a limit, or takes it all, makes nobody spend: for some
    /// hours it is measured by what the limit was.
    private static let limit = RecordingRule(
        name: "scope_unit:reeve_budget_limit:max6h",
        expression: "max by (scope, unit) (max_over_time(reeve_budget_limit[6h])) > 0")
    private static let pace = RecordingRule(
        name: "scope_unit:reeve_budget_spent:share30m",
        expression: "max by (scope, unit) (delta(reeve_budget_spent[30m])) / \(limit.name)")
    private static let left = RecordingRule(
        name: "scope_unit:reeve_budget_left:share",
        expression: "1 - max by (scope, unit) (reeve_budget_spent) / \(limit.name)")

    /// What is gone at any pace without harm: a dime's budget is spent by one call.
    private static let trifle = RecordingRule(
        name: "scope_unit:reeve_budget_spent:trifle30m",
        expression: [("usd", 1), ("tokens", 100_000), ("calls|steps", 50)].map { unit, least in
            "max by (scope, unit) (delta(reeve_budget_spent{unit=~\"\(unit)\"}[30m])) < \(least)"
        }.joined(separator: " or "))

    /// A day's budget is nearly spent when the day is: that is no runaway, so it is the pace that counts. Scopes that
    /// are an agent's or a project's are its label as well, by which it is known whom to hold.
    static let budgetRunaway = AlertRule(
        name: "BudgetRunaway", severity: .critical, nature: .behavioural, mode: .budgetRunaway,
        expression: named(
            "project",
            named(
                "agent",
                "min by (scope) (\(left.name) < 0.5 and \(pace.name) > 0.15 "
                    + "and \(left.name) - 2 * \(pace.name) < 0 unless \(trifle.name))")),
        holdsFor: "5m",
        summary: "The budget of {{ $labels.scope }} will be gone within an hour",
        detail:
            "{{ $value | humanizePercentage }} of it is left, and more than 15 % of it went in the last 30 minutes, a "
            + "dollar at least (or 100,000 tokens, 50 calls, 50 steps); at this pace nothing is left in an hour.",
        action: "The page of costs says which agent and task it is. Lower the task's budget, or pause the agent: who "
            + "has nothing left is refused.")

    private static func named(_ kind: String, _ expression: String) -> String {
        "label_replace(\(expression), \"\(kind)\", \"$1\", \"scope\", \"\(kind):(.*)\")"
    }

    private static let cost = #"agent_cost_usd_total{agent="ann",agent_type="writer",model="m"}"#

    private static let untypedCost = #"agent_cost_usd_total{agent="ann",model="m"}"#

    /// A day is 24 samples.
    private static let spikeCases: [RuleCase] = [
        RuleCase(
            title: "from 12 dollars a day to 48", alert: "CostSpike", interval: "1h",
            series: [(cost, "0+0.5x120 62+2x24")], at: "145h",
            firing: [.init(labels: [("agent_type", "writer")], shown: ["48"])]),
        RuleCase(
            title: "an agent without a type, beside one that spends as ever", alert: "CostSpike", interval: "1h",
            series: [
                (untypedCost, "0+0.5x120 62+2x24"),
                (#"agent_cost_usd_total{agent="cyd",model="m"}"#, "0+0.5x144"),
                (#"agent_cost_usd_total{agent="dan",agent_type="writer",model="m"}"#, "0+0.5x144"),
            ], at: "145h", firing: [.init(labels: [("agent", "ann")], shown: ["48"])]),
        RuleCase(
            title: "from 2 cents a day to 48 cents", alert: "CostSpike", interval: "1h",
            series: [(cost, "0+0.001x120 0.14+0.02x24")], at: "144h"),
        RuleCase(title: "as much as ever", alert: "CostSpike", interval: "1h", series: [(cost, "0+2x150")], at: "144h"),
        RuleCase(
            title: "the second day of a new fleet", alert: "CostSpike", interval: "1h",
            series: [(cost, "0+0.5x24 14+2x24")], at: "48h"),
    ]

    private static func budget(_ what: String, _ scope: String = "project:alpha") -> String {
        "reeve_budget_\(what){scope=\"\(scope)\",unit=\"usd\"}"
    }

    private static func calls(_ what: String) -> String {
        "reeve_budget_\(what){scope=\"agent:ann\",unit=\"calls\"}"
    }

    private static let budgetCases: [RuleCase] = [
        RuleCase(
            title: "a hundredth of it goes each minute", alert: "BudgetRunaway",
            series: [
                (budget("spent"), "50+2x60"), (budget("limit"), "200x60"),
                (budget("spent", "agent:ann"), "5+0.2x60"), (budget("limit", "agent:ann"), "20x60"),
                (budget("spent", "org"), "50+2x60"), (budget("limit", "org"), "200x60"),
            ], at: "45m",
            firing: [
                .init(labels: [("agent", "ann"), ("scope", "agent:ann")], shown: ["30%"]),
                .init(labels: [("scope", "org")], shown: ["30%"]),
                .init(labels: [("project", "alpha"), ("scope", "project:alpha")], shown: ["30%"]),
            ]),
        RuleCase(
            title: "the last of a day's budget at the end of the day", alert: "BudgetRunaway",
            series: [(budget("spent"), "160+0.4x90"), (budget("limit"), "200x90")], at: "80m"),
        RuleCase(
            title: "a limit that somebody lowers to what is spent", alert: "BudgetRunaway",
            series: [(budget("spent"), "20+0.1x90"), (budget("limit"), "200x60 25x30")], at: "80m"),
        RuleCase(
            title: "a dime's budget, by a few calls", alert: "BudgetRunaway",
            series: [(budget("spent"), "0+0.001x90"), (budget("limit"), "0.1x90")], at: "45m"),
        RuleCase(
            title: "a budget of many calls", alert: "BudgetRunaway",
            series: [
                (calls("spent"), "50+2x60"), (calls("limit"), "200x60"), (budget("spent"), "0+0.001x60"),
                (budget("limit"), "0.1x60"),
            ], at: "45m", firing: [.init(labels: [("agent", "ann"), ("scope", "agent:ann")], shown: ["30%"])]),
        RuleCase(
            title: "a limit that somebody takes away", alert: "BudgetRunaway",
            series: [(budget("spent"), "20+0.1x90"), (budget("limit"), "0x90")], at: "80m"),
    ]
}
