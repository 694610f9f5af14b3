/// The dashboard of four rows: from the machinery to what it is for.
public enum ShippedDashboard {
    public static let rows: [DashboardRow] = [
        DashboardRow(title: "System Health", panels: SystemPanels.all),
        DashboardRow(title: "Agent Behavior", panels: BehaviourPanels.all),
        DashboardRow(title: "Memory Performance", panels: MemoryPanels.all),
        DashboardRow(title: "Cost and Quotas", panels: CostPanels.all),
    ]

    /// The 50th, 95th and 99th percentile of a histogram.
    ///
    /// - Parameter labels: What its lines are told apart by, beside the percentile.
    static func percentiles(_ histogram: String, _ matchers: String = "", by labels: [String] = []) -> [Query] {
        [0.5, 0.95, 0.99].map { quantile in
            let by = (["le"] + labels).joined(separator: ", ")
            let legend = (["p\(Int(quantile * 100))"] + labels.map { "{{\($0)}}" }).joined(separator: " ")
            return Query(
                expression: "histogram_quantile(\(quantile), sum by (\(by)) "
                    + "(rate(\(histogram)_bucket\(matchers)[$window])))",
                legend: legend)
        }
    }

    typealias Query = DashboardPanel.Query
}

/// Uptime, requests, errors and latency.
private enum SystemPanels {
    static let all = [
        DashboardPanel(
            id: "uptime", title: "Uptime", form: .number, unit: .seconds,
            detail: "How long the replica that started last has run.",
            queries: [
                .init(
                    expression: "time() - max(process_start_time_seconds and on (instance) reeve_build_info)",
                    legend: "uptime")
            ], page: "/"),
        DashboardPanel(
            id: "agents-alive", title: "Agents alive", form: .number, unit: .count,
            detail: "Agents that were heard of in time.",
            queries: [
                .init(
                    expression: #"sum(max by (status) (reeve_agents{status!~"unreachable|offline|never_seen"}))"#,
                    legend: "alive")
            ], page: "/agents"),
        DashboardPanel(
            id: "unassigned", title: "Unassigned tasks", form: .number, unit: .count,
            detail: "Tasks that wait for an agent, in all queues. More than 10 in one for an hour is an alert.",
            queries: [
                .init(expression: #"sum(max by (queue) (agent_queue_depth{state="unassigned"}))"#, legend: "unassigned")
            ], page: "/tasks?status=ready"),
        DashboardPanel(
            id: "oldest-task", title: "Oldest task in progress", form: .number, unit: .seconds,
            detail: "More than 4 hours is an alert.",
            queries: [.init(expression: "max(agent_task_oldest_in_progress_seconds)", legend: "oldest")],
            page: "/tasks?status=claimed,running"),
        DashboardPanel(
            id: "requests", title: "Model calls", form: .stack, unit: .perSecond,
            detail: "Calls that ended, by how.",
            queries: [
                .init(
                    expression: "sum by (status) (rate(reeve_model_calls_total{\(calls)}[$window]))",
                    legend: "{{status}}")
            ], page: "/calls"),
        DashboardPanel(
            id: "errors", title: "Share of calls that failed", form: .lines, unit: .ratio,
            detail: "By model. More than a fifth of an agent's calls is an alert, and so is three times the usual.",
            queries: [
                .init(
                    expression: #"sum by (model) (rate(reeve_model_calls_total{\#(calls),status="failed"}[$window]))"#
                        + " / sum by (model) (rate(reeve_model_calls_total{\(calls)}[$window]))", legend: "{{model}}")
            ], page: "/calls?status=failed"),
        DashboardPanel(
            id: "latency", title: "Latency of model calls", form: .lines, unit: .seconds,
            detail: "From a call's arrival to its end.",
            queries: ShippedDashboard.percentiles("reeve_model_call_duration_seconds", #"{model=~"$model"}"#),
            page: "/calls"),
        DashboardPanel(
            id: "provider-errors", title: "Failed exchanges with providers", form: .stack, unit: .perSecond,
            detail: "By what came of them. `silent` and `stalled` are timeouts.",
            queries: [
                .init(
                    expression: #"sum by (result) "#
                        + #"(rate(reeve_model_attempts_total{result!~"ok|abandoned"}[$window]))"#,
                    legend: "{{result}}")
            ], page: "/models"),
        DashboardPanel(
            id: "heartbeats", title: "Age of heartbeats", form: .lines, unit: .seconds,
            detail: "How long ago each agent was last heard of; 30 minutes are an alert.",
            queries: [
                .init(
                    expression: #"topk(10, time() - max by (agent) "#
                        + #"(agent_last_heartbeat_timestamp_seconds{agent=~"$agent"}))"#,
                    legend: "{{agent}}")
            ], page: "/agents"),
    ]

    private static let calls = #"agent=~"$agent",model=~"$model""#
}

/// Tokens, tools, contexts, sessions.
private enum BehaviourPanels {
    static let all = [
        DashboardPanel(
            id: "tokens", title: "Tokens", form: .stack, unit: .tokens,
            detail: "Tokens a second by type; each is counted once over all types.",
            queries: [
                .init(
                    expression: #"sum by (type) "#
                        + #"(rate(agent_tokens_consumed_total{agent=~"$agent",model=~"$model"}[$window]))"#,
                    legend: "{{type}}")
            ], page: "/calls"),
        DashboardPanel(
            id: "tools", title: "Tool calls", form: .stack, unit: .perSecond,
            detail: "The ten tools that are "
                + "called most.",
            queries: [
                .init(
                    expression: #"topk(10, sum by (tool) (rate(agent_tool_calls_total{agent=~"$agent"}[$window])))"#,
                    legend: "{{tool}}")
            ], page: "/traces"),
        DashboardPanel(
            id: "tool-trouble", title: "Tool calls that fail or repeat", form: .lines, unit: .ratio,
            detail: "A repeated call has the same arguments as an earlier one. More than half is a storm.",
            queries: [
                .init(
                    expression: #"sum(rate(agent_tool_calls_total{agent=~"$agent",status!="success"}[$window]))"#
                        + #" / sum(rate(agent_tool_calls_total{agent=~"$agent"}[$window]))"#, legend: "failed"),
                .init(
                    expression: #"sum(rate(agent_tool_repeat_calls_total{agent=~"$agent"}[$window]))"#
                        + #" / sum(rate(agent_tool_calls_total{agent=~"$agent"}[$window]))"#, legend: "repeated"),
            ], page: "/traces?status=error"),
        DashboardPanel(
            id: "contexts", title: "How full contexts are", form: .lines, unit: .ratio,
            detail: "The distribution over calls; answers get worse where a context is nearly full.",
            queries: ShippedDashboard.percentiles("agent_context_utilization_distribution", #"{agent=~"$agent"}"#)
                + [.init(expression: #"max(agent_context_utilization_ratio{agent=~"$agent"})"#, legend: "fullest")],
            page: "/agents"),
        DashboardPanel(
            id: "sessions", title: "Length of sessions", form: .lines, unit: .seconds,
            detail: "Three times the usual is an alert: a loop, or a slow tool.",
            queries: ShippedDashboard.percentiles("agent_session_duration_seconds", #"{agent=~"$agent"}"#),
            page: "/traces"),
        DashboardPanel(
            id: "turns", title: "Turns of a session", form: .lines, unit: .count,
            detail: "A sudden rise means that agents go in circles.",
            queries: ShippedDashboard.percentiles("agent_turns_per_session", #"{agent=~"$agent"}"#), page: "/traces"),
    ]
}

/// How fast the store of memories is, what it is asked, how full it is.
private enum MemoryPanels {
    static let all = [
        DashboardPanel(
            id: "memory-latency", title: "Latency of the memory store", form: .lines, unit: .seconds,
            detail: "More than half a second at the 99th percentile is an alert.",
            queries: ShippedDashboard.percentiles("agent_memory_operation_duration_seconds"), page: "/traces"),
        DashboardPanel(
            id: "memory-operations", title: "Memory operations", form: .stack, unit: .perSecond,
            detail: "Reads, writes and searches.",
            queries: [
                .init(
                    expression: "sum by (operation) (rate(agent_memory_operations_total[$window]))",
                    legend: "{{operation}}")
            ], page: "/traces"),
        DashboardPanel(
            id: "memory-ratio", title: "Reads and searches for each write", form: .lines, unit: .count,
            detail: "Near 0: much is remembered that nobody asks for.",
            queries: [
                .init(
                    expression: #"sum(rate(agent_memory_operations_total{operation=~"read|search"}[$window]))"#
                        + #" / sum(rate(agent_memory_operations_total{operation="write"}[$window]))"#, legend: "ratio")
            ], page: "/traces"),
        DashboardPanel(
            id: "memory-errors", title: "Memory operations that failed", form: .lines, unit: .ratio,
            detail: "By operation.",
            queries: [
                .init(
                    expression: #"sum by (operation) "#
                        + #"(rate(agent_memory_operations_total{status!="success"}[$window]))"#
                        + " / sum by (operation) (rate(agent_memory_operations_total[$window]))",
                    legend: "{{operation}}")
            ], page: "/traces?status=error"),
        DashboardPanel(
            id: "memory-storage", title: "Storage that memories use", form: .lines, unit: .bytes,
            detail: "How large memory stores are. Reeve has none of its own yet: another can tell by the metric "
                + "agent_memory_store_bytes, sent to /v1/metrics.",
            queries: [.init(expression: "sum by (store) (agent_memory_store_bytes)", legend: "{{store}}")],
            page: "/traces",
            absent: "Nothing measures this yet: Reeve has no memory store of its own so far, and no other has told how "
                + "large it is (agent_memory_store_bytes)."),
    ]
}

/// What is spent, by whom, and how much is left.
private enum CostPanels {
    static let all = [
        DashboardPanel(
            id: "cost-today", title: "Cost of 24 hours", form: .number, unit: .dollars,
            detail: "More than twice the usual day, and more than $5, is an alert.",
            queries: [.init(expression: "sum(increase(agent_cost_usd_total[1d]))", legend: "24 hours")],
            page: "/costs"),
        DashboardPanel(
            id: "held", title: "Held of budgets", form: .number, unit: .dollars,
            detail: "What calls in flight may still cost.",
            queries: [.init(expression: "sum(reeve_gateway_budget_held_dollars)", legend: "held")], page: "/budgets"),
        DashboardPanel(
            id: "refusals", title: "Calls that budgets refused", form: .number, unit: .count,
            detail: "In 24 hours. Above 0, somebody's quota is used up.",
            queries: [
                .init(expression: "sum(increase(reeve_gateway_budget_refusals_total[1d]))", legend: "refused")
            ], page: "/budgets"),
        DashboardPanel(
            id: "saved", title: "Saved in 24 hours", form: .number, unit: .dollars,
            detail: "What answers from memory would have cost.",
            queries: [.init(expression: "sum(increase(reeve_gateway_saved_dollars_total[1d]))", legend: "saved")],
            page: "/costs"),
        DashboardPanel(
            id: "spend", title: "Spend an hour, by model", form: .stack, unit: .dollars, detail: "US dollars.",
            queries: [
                .init(
                    expression: #"sum by (model) "#
                        + #"(increase(agent_cost_usd_total{agent=~"$agent",model=~"$model"}[1h]))"#,
                    legend: "{{model}}")
            ], page: "/costs"),
        DashboardPanel(
            id: "spenders", title: "Spend an hour, by agent", form: .stack, unit: .dollars,
            detail: "The ten agents that cost most.",
            queries: [
                .init(
                    expression: #"topk(10, sum by (agent) "#
                        + #"(increase(agent_cost_usd_total{agent=~"$agent",model=~"$model"}[1h])))"#,
                    legend: "{{agent}}")
            ], page: "/costs"),
        DashboardPanel(
            id: "users", title: "Tokens by agent", form: .stack, unit: .tokens,
            detail: "The ten agents that use most tokens a second.",
            queries: [
                .init(
                    expression: #"topk(10, sum by (agent) "#
                        + #"(rate(agent_tokens_consumed_total{agent=~"$agent",model=~"$model"}[$window])))"#,
                    legend: "{{agent}}")
            ], page: "/costs"),
        DashboardPanel(
            id: "budget-headroom", title: "What is left of budgets", form: .lines, unit: .ratio,
            detail: "The ten budgets that are nearest to their limits. At 0 calls are refused.",
            queries: [
                .init(
                    expression: "bottomk(10, min by (scope) (reeve_budget_remaining_ratio))", legend: "{{scope}}")
            ], page: "/budgets", absent: "No data yet: there is no budget."),
        DashboardPanel(
            id: "provider-headroom", title: "What is left of providers' rate limits", form: .lines, unit: .ratio,
            detail: "The ten that are nearest to a 429, as the providers' own headers say. At 0 calls wait in line.",
            queries: [
                .init(
                    expression: #"bottomk(10, min by (target, limit) "#
                        + #"(reeve_model_ratelimit_remaining_ratio{model=~"$model"}))"#,
                    legend: "{{target}} {{limit}}")
            ], page: "/models", absent: "No data yet: no provider has spoken of its limits lately."),
    ]
}
