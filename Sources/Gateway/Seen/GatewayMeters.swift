import Kernel
import Telemetry

/// Counts what happened to calls on their way, from the records of those that ended. Pure.
struct GatewayMeters: Sendable {
    /// Codes of budgets' refusals; any other is counted as ``SeriesNames/other``.
    static let refusalCodes: Set<String> = ["budget_exceeded", "budget_in_flight", "budget_unavailable"]
    /// Series of a counter by model and reason: many models, of which each fails in a few ways.
    static let reasonSeriesMax = 1_000

    private var hits = CounterFamily(GatewayMetrics.cacheHits)
    private var misses = CounterFamily(GatewayMetrics.cacheMisses)
    private var joins = CounterFamily(GatewayMetrics.joins)
    private var saved = CounterFamily(GatewayMetrics.saved, digits: NanoDollars.digits)
    private var queueWait = HistogramFamily(GatewayMetrics.queueWait, bounds: GatewayMetrics.waitBounds)
    private var queueRefusals = CounterFamily(GatewayMetrics.queueRefusals)
    private var refusals = CounterFamily(GatewayMetrics.refusals)
    private var joints = CounterFamily(GatewayMetrics.joints)
    private var jointCalls = CounterFamily(GatewayMetrics.jointCalls)
    private var retries = CounterFamily(GatewayMetrics.retries, seriesMax: GatewayMeters.reasonSeriesMax)
    private var fallbacks = CounterFamily(GatewayMetrics.fallbacks, seriesMax: GatewayMeters.reasonSeriesMax)

    /// - Parameter model: As its series are named.
    mutating func observe(_ record: CallRecord, model: String) {
        if let verdict = record.cache { count(verdict, record, model) }
        if let wait = record.line {
            queueWait.observe(wait.span.seconds, [model])
            if wait.isRefused { queueRefusals.add(1, [model]) }
        }
        if record.status != .done { countRefusal(record) }
        if let joint = record.joint {
            jointCalls.add(1, [model])
            if joint.isFirst { joints.add(1, [model]) }
        }
        guard record.attempts.count > record.attemptsElsewhere else { return }
        if record.attempts.count > 1 || record.attempts[0].target != record.candidates.first {
            countTries(record, model)
        }
    }

    private mutating func count(_ verdict: String, _ record: CallRecord, _ model: String) {
        switch verdict {
        case "hit":
            hits.add(1, [model, "exact"])
            saved.add(record.saved.value, [model, "cache"])
        case "semantic":
            hits.add(1, [model, "semantic"])
            saved.add(record.saved.value, [model, "semantic"])
        case "shared":
            joins.add(1, [model])
            saved.add(record.saved.value, [model, "single_flight"])
        default: misses.add(1, [model])
        }
    }

    private mutating func countRefusal(_ record: CallRecord) {
        guard let code = record.refusal?.code ?? record.failure, record.refusal != nil || code.hasPrefix("budget_")
        else { return }
        refusals.add(1, [Self.refusalCodes.contains(code) ? code : SeriesNames.other])
    }

    private mutating func countTries(_ record: CallRecord, _ model: String) {
        if record.attemptsElsewhere == 0, let first = record.attempts.first, let wanted = record.candidates.first,
            first.target != wanted
        {
            // The first of the targets was passed over: its breaker was open, or its provider wanted no calls.
            let passed = record.steps.first { $0.kind == .skip && $0.target == 0 }
            fallbacks.add(1, [model, passed?.reason?.rawValue ?? SeriesNames.other])
        }
        let others = max(0, record.attemptsElsewhere - 1)
        for (before, next) in zip(record.attempts, record.attempts.dropFirst()).dropFirst(others) {
            let reason = before.failure ?? SeriesNames.other
            if before.target == next.target {
                retries.add(1, [model, reason])
            } else {
                fallbacks.add(1, [model, reason])
            }
        }
    }

    func collect(into page: inout MetricPage) {
        let families = [
            hits, misses, joins, saved, queueRefusals, refusals, retries, fallbacks, joints, jointCalls,
        ]
        for family in families { page.add(family) }
        page.add(queueWait)
    }
}

extension ModelGateway {
    /// What is read at the moment of a scrape. Takes each lock for as long as counting takes.
    func collectStanding(into page: inout MetricPage) {
        var lines = GaugeFamily(GatewayMetrics.queueCalls)
        for model in settings.models {
            for state in targets(of: model) {
                lines.add(Double(state.standing.withLock { $0.line.count }), [model.name, state.target.label])
            }
        }
        page.add(lines)
        // The lowest shows where targets share a series.
        var headroom = GaugeFamily(GatewayMetrics.headroom, first: 1)
        for model in settings.models {
            for state in targets(of: model) {
                for (kind, ratio) in state.headroom(at: world.now) {
                    headroom.lower(ratio, [model.name, state.target.label, kind.label])
                }
            }
        }
        page.add(headroom)
        page.add(GatewayMetrics.streams, Double(streamCount))
        let held = clerk?.book.held ?? .zero
        page.add(GatewayMetrics.held, Double(held.nanoUSD) / 1e9)
        let counts = clerk?.book.counts ?? (holds: 0, waiting: 0)
        page.add(GatewayMetrics.holds, Double(counts.holds))
        page.add(GatewayMetrics.loans, Double(counts.waiting))
        contents?.collect(into: &page)
    }
}
