import Telemetry

/// The metrics that calls are counted by.
///
/// Three names are OpenTelemetry's for generative AI (semantic conventions 1.41, "Generative AI metrics") as its
/// Prometheus exporters write them: dots become underscores, seconds a suffix, `{token}` nothing.
enum CallMetrics {
    static let cost = Metric.counter(
        "reeve_model_cost_dollars_total", "What model calls cost, in US dollars, by the prices of their day.",
        labels: ["model", "agent"], open: ["agent", "model"])
    static let unpriced = Metric.counter(
        "reeve_model_unpriced_calls_total", "Model calls that used tokens whose price is not known.",
        labels: ["model"], open: ["model"])
    static let calls = Metric.counter(
        "reeve_model_calls_total", "Model calls that ended, by how.", labels: ["model", "agent", "door", "status"],
        open: ["agent", "model"])
    static let errors = Metric.counter(
        "reeve_model_call_errors_total", "Model calls that did not end well, by the class of what the caller was told.",
        labels: ["model", "class"], open: ["class", "model"])
    static let attempts = Metric.counter(
        "reeve_model_attempts_total", "Exchanges with targets, by what came of them: ok, abandoned, or a failure.",
        labels: ["target", "result"], open: ["target"])
    static let retries = Metric.counter(
        "reeve_model_retries_total", "Exchanges after the first of their call, by why there was another one.",
        labels: ["model", "reason"], open: ["model"])
    static let duration = Metric.histogram(
        "reeve_model_call_duration_seconds", "From a call's arrival to its end.", labels: ["model", "status"],
        open: ["model"])
    static let firstToken = Metric.histogram(
        "reeve_model_time_to_first_token_seconds", "From a streamed call's arrival to its first words.",
        labels: ["model"], open: ["model"])
    static let overhead = Metric.histogram(
        "reeve_model_overhead_seconds", "What Reeve itself took of a call: all but waiting for providers.",
        labels: ["door"])

    private static let convention = [
        "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_system", "gen_ai_request_model",
    ]
    static let usage = Metric.histogram(
        "gen_ai_client_token_usage", "Tokens of a call, by direction (gen_ai.client.token.usage).",
        labels: convention + ["gen_ai_token_type"], open: ["gen_ai_request_model"])
    static let operation = Metric.histogram(
        "gen_ai_client_operation_duration_seconds", "How long a call took (gen_ai.client.operation.duration).",
        labels: convention + ["error_type"], open: ["error_type", "gen_ai_request_model"])
    static let serverFirstToken = Metric.histogram(
        "gen_ai_server_time_to_first_token_seconds",
        "From the request to a provider to the first words of its answer (gen_ai.server.time_to_first_token).",
        labels: convention, open: ["gen_ai_request_model"])

    // Those of gauges that are read when they are asked for.
    static let breaker = Metric.gauge(
        "reeve_model_breaker_state", "A target's breaker: 0 closed, 1 half open, 2 open.",
        labels: ["model", "target"], open: ["target", "model"])
    static let breakerChanged = Metric.gauge(
        "reeve_model_breaker_changed_timestamp_seconds", "When a target's breaker last changed; absent before.",
        labels: ["model", "target"], open: ["target", "model"])
    static let openings = Metric.counter(
        "reeve_model_breaker_openings_total", "How often a target's breaker opened.", labels: ["model", "target"],
        open: ["target", "model"])
    static let dispatchShare = Metric.gauge(
        "reeve_model_dispatch_share",
        "The share of claims that get a task which asks for the model: 0 in an outage, 1 when all is well.",
        labels: ["model"], open: ["model"])
    static let inFlight = Metric.gauge("reeve_model_calls_in_flight", "Model calls that run at this moment.")
    static let waiting = Metric.gauge(
        "reeve_model_records_waiting", "Records of ended model calls that wait to be stored.")

    static let all = [
        cost, unpriced, calls, errors, attempts, retries, duration, firstToken, overhead, usage, operation,
        serverFirstToken, breaker, breakerChanged, openings, dispatchShare, inFlight, waiting,
    ]

    /// Bounds that the conventions recommend for these metrics.
    static let tokenBounds = (0..<14).map { Double(1 << (2 * $0)) }
    static let durationBounds = (0..<14).map { 0.01 * Double(1 << $0) }
    static let firstTokenBounds = [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]
    /// From a fraction of what a proxy takes to what nobody should wait for.
    static let overheadBounds = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
    ]
}
