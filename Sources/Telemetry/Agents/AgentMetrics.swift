/// What agents do, as metrics: from model calls that went through Reeve and from spans of all others.
enum AgentMetrics {
    static let tokens = Metric.counter(
        "agent_tokens_consumed_total", "Tokens that models used, each counted once over all types.",
        labels: ["model", "type", "agent"], open: ["agent", "model"])
    static let tools = Metric.counter(
        "agent_tool_calls_total", "Calls of tools that ended, by status: success, failure, timeout.",
        labels: ["agent", "tool", "status"], open: ["agent", "tool"])
    static let repeats = Metric.counter(
        "agent_tool_repeat_calls_total",
        "Calls of a tool with arguments that the session, or else the trace, had used with it before.",
        labels: ["agent", "tool"], open: ["agent", "tool"])
    static let context = Metric.gauge(
        "agent_context_utilization_ratio",
        "How full the model's context was at the last call of the agent's fullest open session; 1 is full.",
        labels: ["model", "agent"], open: ["agent", "model"])
    static let contexts = Metric.histogram(
        "agent_context_utilization_distribution", "How full the model's context was at each call; 1 is full.",
        labels: ["model", "agent"], open: ["agent", "model"])
    static let memory = Metric.counter(
        "agent_memory_operations_total",
        "Operations on memory that ended, by operation (read, write, search) and status (success, failure, timeout).",
        labels: ["agent", "operation", "status"], open: ["agent"])
    static let memoryTime = Metric.histogram(
        "agent_memory_operation_duration_seconds", "How long operations on memory took.",
        labels: ["agent", "operation"], open: ["agent"])
    static let sessionTime = Metric.histogram(
        "agent_session_duration_seconds", "How long sessions were, from the first to the last that was heard of each.",
        labels: ["agent"], open: ["agent"])
    static let turns = Metric.histogram(
        "agent_turns_per_session", "How many model calls sessions had that ended.", labels: ["agent"], open: ["agent"])
    static let sessions = Metric.gauge("agent_sessions_open", "Sessions that have not ended.")
    static let signs = Metric.gauge(
        "agent_session_injection_signs",
        "Signs of the last hour that something was put into a session that gives it other orders: results of tools "
            + "that tell the model to leave its instructions, and calls that an input guard refused. Of the 200 "
            + "sessions that had one last.",
        labels: ["agent", "session"], open: ["session", "agent"])
    static let cost = Metric.counter(
        "agent_cost_usd_total", "What agents' model calls cost, in US dollars, by the prices of their day.",
        labels: ["agent", "agent_type", "model"], open: ["agent", "model"])

    static let all = [
        tokens, tools, repeats, context, contexts, memory, memoryTime, sessionTime, turns, sessions, signs,
        cost,
    ]

    static let ratioBounds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1]
    /// From what a store in memory takes to what nobody should wait for; the guide warns at half a second.
    static let memoryBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
    /// From a question to a day.
    static let sessionBounds = [1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400] as [Double]
    static let turnBounds = [1, 2, 3, 5, 8, 13, 21, 34, 50, 100, 250, 1_000] as [Double]
}
