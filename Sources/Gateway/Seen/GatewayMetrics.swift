import Telemetry

/// The metrics of what stands between callers and providers: answers from memory, lines, holds, and who was asked next.
enum GatewayMetrics {
    static let cacheHits = Metric.counter(
        "reeve_gateway_cache_hits_total", "Model calls that a cache answered.", labels: ["model", "kind"],
        open: ["model"])
    static let cacheMisses = Metric.counter(
        "reeve_gateway_cache_misses_total", "Model calls that the cache of their model could not answer.",
        labels: ["model"], open: ["model"])
    static let joins = Metric.counter(
        "reeve_gateway_single_flight_joins_total", "Model calls that got the answer of the same call under way.",
        labels: ["model"], open: ["model"])
    static let saved = Metric.counter(
        "reeve_gateway_saved_dollars_total",
        "What answers from memory would have cost, in US dollars, by what gave them: cache, semantic, single_flight.",
        labels: ["model", "by"], open: ["model"])
    static let queueWait = Metric.histogram(
        "reeve_gateway_queue_wait_seconds", "How long model calls stood in line for a provider's limits.",
        labels: ["model"], open: ["model"])
    static let queueRefusals = Metric.counter(
        "reeve_gateway_queue_refusals_total", "Model calls that were refused as the line was full or too long.",
        labels: ["model"], open: ["model"])
    static let refusals = Metric.counter(
        "reeve_gateway_budget_refusals_total", "Model calls that a budget refused or stopped, by the caller's code.",
        labels: ["code"])
    static let retries = Metric.counter(
        "reeve_gateway_retries_total", "Exchanges at the same target once more, by what had failed there.",
        labels: ["model", "reason"], open: ["model"])
    static let fallbacks = Metric.counter(
        "reeve_gateway_fallbacks_total", "Exchanges at another target, by why the one before was left.",
        labels: ["model", "reason"], open: ["model"])
    static let joints = Metric.counter(
        "reeve_gateway_embedding_batches_total", "Joint calls for embeddings.", labels: ["model"], open: ["model"])
    static let jointCalls = Metric.counter(
        "reeve_gateway_embedding_batched_calls_total", "Calls for embeddings that were sent together with others.",
        labels: ["model"], open: ["model"])

    static let contents = Metric.counter(
        "reeve_gateway_contents_total",
        "Model calls whose messages went to their spans (kept), or were too many at a time (dropped).",
        labels: ["outcome"])

    // Those of gauges that are read when they are asked for.
    static let queueCalls = Metric.gauge(
        "reeve_gateway_queue_calls", "Model calls that stand in line for a provider's limits at this moment.",
        labels: ["model", "target"], open: ["target", "model"])
    static let headroom = Metric.gauge(
        "reeve_model_ratelimit_remaining_ratio",
        "What is left of a provider's rate limit for a target, by what the limit counts (requests, tokens, "
            + "input_tokens, output_tokens): 1 is all, 0 is nothing. From the headers of its answers and what was sent "
            + "since; absent where it said nothing lately.",
        labels: ["model", "target", "limit"], open: ["target", "model"])
    static let streams = Metric.gauge("reeve_gateway_streams_open", "Streamed model calls that run at this moment.")
    static let held = Metric.gauge(
        "reeve_gateway_budget_held_dollars",
        "What the calls in flight of this process hold of budgets, in US dollars, each hold once.")
    static let holds = Metric.gauge("reeve_gateway_budget_holds", "Calls in flight that hold of a budget.")
    static let loans = Metric.gauge(
        "reeve_gateway_budget_waiting", "Calls that wait until this process has borrowed more of a budget.")

    static let all = [
        cacheHits, cacheMisses, joins, saved, queueWait, queueRefusals, refusals, retries, fallbacks, joints,
        jointCalls, contents, queueCalls, headroom, streams, held, holds, loans,
    ]

    /// From what nobody notices to ``Pacer/queueWaitMax``.
    static let waitBounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30]
}
