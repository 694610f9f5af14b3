import Kernel
import Telemetry

/// How a model stands, with its targets in their order.
public struct ModelReport: Sendable {
    public let name: String
    public let tier: ModelTier?
    /// Tokens that its context holds, where the settings say so.
    public let contextTokens: Int64?
    /// How far its tasks are handed out.
    public let dispatch: DispatchRamps.Standing?
    public let targets: [TargetReport]
}

/// How a target stands.
public struct TargetReport: Sendable {
    /// One of the provider's limits, as its last answer told it.
    public struct Limit: Sendable {
        /// `requests`, `tokens`, `inputTokens`, `outputTokens`.
        public let kind: String
        public let limit: Int64
        public let remaining: Int64
        /// When it is full again; `nil` where the provider does not say.
        public let resetAt: Timestamp?
    }

    public let provider: String
    public let model: String
    /// `closed`, `half_open`, `open`.
    public let breaker: String
    public let changedAt: Timestamp?
    public let openUntil: Timestamp?
    /// Why it opened, and what failed last.
    public let cause: String?
    public let lastFailure: String?
    public let openings: Int
    /// Exchanges of the last minutes, those of them that failed, and how long the others took.
    public let calls: Int
    public let failures: Int
    public let latency50: Span?
    public let latency95: Span?
    public let latency99: Span?
    public let firstToken50: Span?
    public let firstToken95: Span?
    public let limits: [Limit]
    public let limitsAt: Timestamp?
    public let limitedUntil: Timestamp?
    /// Today's prices in nano-dollars per million tokens, by kind; empty where there are none.
    public let prices: [(kind: String, nanoUSD: Int64)]
    /// The first day of these prices; `nil` where they hold from ever.
    public let priceFrom: String?
}

extension ModelGateway {
    /// Every model, in the order of the settings.
    ///
    /// - Parameter withDrill: Whether the model of drills is among them.
    public func reports(withDrill: Bool = false) -> [ModelReport] {
        count()
        let now = world.now
        let meters = meters.withLock { $0 }
        return (withDrill ? settings.every : settings.models).map { model in
            ModelReport(
                name: model.name, tier: model.tier, contextTokens: model.contextTokens,
                dispatch: dispatch.standing(of: model.name),
                targets: targets(of: model).map { state in
                    Self.report(
                        state, meters.history(model: model.name, target: state.target.label, at: now), at: now)
                })
        }
    }

    private static func report(
        _ state: TargetState, _ history: TargetHistory.Summary, at now: Timestamp
    ) -> TargetReport {
        let seen = state.seen(at: now)
        let entry = state.price?.entry(at: now)
        return TargetReport(
            provider: state.target.provider, model: state.target.model, breaker: seen.breaker.state.rawValue,
            changedAt: seen.breaker.changedAt, openUntil: seen.breaker.openUntil, cause: seen.breaker.cause?.rawValue,
            lastFailure: seen.breaker.lastFailure?.name, openings: seen.breaker.openings, calls: history.calls,
            failures: history.failures, latency50: history.latency50, latency95: history.latency95,
            latency99: history.latency99, firstToken50: history.firstToken50, firstToken95: history.firstToken95,
            limits: RateLimitHeaders.Kind.allCases.compactMap { kind in
                seen.limits[kind].map { allowance in
                    TargetReport.Limit(
                        kind: "\(kind)", limit: allowance.limit, remaining: allowance.remaining,
                        resetAt: allowance.reset.map { (seen.limitsAt ?? now) + $0 })
                }
            }, limitsAt: seen.limitsAt, limitedUntil: seen.limitedUntil,
            prices: PriceKey.allCases.compactMap { key in
                entry?.standard.rates[key].map { (key.rawValue, $0) }
            }, priceFrom: entry?.from)
    }

    /// Closes the breaker of a target by an operator's hand, or those of all targets of a model. Returns the targets;
    /// none where there is no such model or target.
    public func resetBreakers(model: String, target: String?) -> [String] {
        guard let model = settings.model(model) else { return [] }
        let states = targets(of: model).filter { target == nil || $0.target.label == target }
        for state in states { state.reset(at: world.now) }
        return states.map(\.target.label)
    }

    // MARK: Breakers

    /// What opened and closed since this was asked last, to be written down.
    ///
    /// - Parameter tell: Where it fails, the same changes come again the next time.
    public func tellBreakers(_ tell: ([BreakerChange]) async throws -> Void) async throws {
        var watch = breakerWatch.withLock { $0 }
        let changes = watch.changes(breakers(), at: world.now)
        guard !changes.isEmpty else { return }
        try await tell(changes)
        let told = watch
        breakerWatch.withLock { $0 = told }
    }

    private func breakers() -> [(model: String, target: String, breaker: Breaker.Snapshot)] {
        let now = world.now
        return settings.every.flatMap { model in
            targets(of: model).map { (model.name, $0.target.label, $0.snapshot(at: now)) }
        }
    }
}

// MARK: - Metrics

extension ModelGateway: MetricSource {
    /// What the metrics of calls are called.
    public static var metrics: [Metric] { CallMetrics.all + GatewayMetrics.all + JudgeMetrics.all }

    /// Counts the calls that ended. Called by whoever keeps records, and before anybody looks.
    public func count() {
        let batch = uncounted()
        guard !batch.isEmpty else { return }
        let calls = batch.map { (record: $0.record, model: entry($0.record.model)?.settings) }
        meters.withLock { meters in
            for call in calls { meters.observe(call.record, model: call.model) }
        }
        agentMeters?.observe(calls.map { AgentCall($0.record, model: $0.model) })
    }

    public func collect(into page: inout MetricPage) {
        count()
        // Collected from a copy: nobody waits for a scrape.
        let meters = meters.withLock { $0 }
        meters.collect(into: &page)
        var states = GaugeFamily(CallMetrics.breaker)
        var changes = GaugeFamily(CallMetrics.breakerChanged)
        var openings = CounterFamily(CallMetrics.openings)
        // Where targets are too many for a series each, the others share one, and the worst of them shows.
        for (model, target, breaker) in breakers() where model != DrillModel.name || breaker.changedAt != nil {
            states.raise(Self.number(breaker.state), [model, target])
            openings.add(Int64(breaker.openings), [model, target])
            if let at = breaker.changedAt { changes.raise(Double(at.microseconds) / 1e6, [model, target]) }
        }
        page.add(states)
        var shares = GaugeFamily(CallMetrics.dispatchShare, first: 1)
        // The lowest shows where models share a series.
        for model in settings.models { shares.lower(dispatch.standing(of: model.name)?.share ?? 1, [model.name]) }
        page.add(shares)
        page.add(changes)
        page.add(openings)
        let counts = counts
        page.add(CallMetrics.inFlight, Double(counts.running))
        page.add(CallMetrics.waiting, Double(counts.waiting))
        collectStanding(into: &page)
        judges.collect(into: &page)
    }

    private static func number(_ state: Breaker.State) -> Double {
        switch state {
        case .closed: 0
        case .halfOpen: 1
        case .open: 2
        }
    }
}
