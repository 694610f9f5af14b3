import Kernel
import Telemetry

/// Counts calls that ended. Pure; fed with batches, away from the calls themselves.
struct CallMeters: Sendable {
    private var tokens = CounterFamily(CallMetrics.tokens)
    private var cost = CounterFamily(CallMetrics.cost, digits: NanoDollars.digits)
    private var unpriced = CounterFamily(CallMetrics.unpriced)
    private var calls = CounterFamily(CallMetrics.calls)
    private var errors = CounterFamily(CallMetrics.errors)
    private var attempts = CounterFamily(CallMetrics.attempts)
    private var retries = CounterFamily(CallMetrics.retries)
    private var duration = HistogramFamily(CallMetrics.duration, bounds: CallMetrics.durationBounds)
    private var firstToken = HistogramFamily(CallMetrics.firstToken, bounds: CallMetrics.firstTokenBounds)
    private var overhead = HistogramFamily(CallMetrics.overhead, bounds: CallMetrics.overheadBounds)
    private var usage = HistogramFamily(CallMetrics.usage, bounds: CallMetrics.tokenBounds)
    private var operation = HistogramFamily(CallMetrics.operation, bounds: CallMetrics.durationBounds)
    private var serverFirstToken = HistogramFamily(
        CallMetrics.serverFirstToken, bounds: CallMetrics.firstTokenBounds)
    private var context = ContextMeter()
    private var histories = RecentTable<TargetHistory>(capacity: CallMeters.historiesMax)

    /// Targets whose last exchanges are kept; those that were used last.
    static let historiesMax = 512

    /// - Parameter model: What the caller's word for a model stands for; `nil` where there is no such model.
    mutating func observe(_ record: CallRecord, model: ModelSettings?, at now: Timestamp) {
        // Whoever has a key can invent names of models: they share one series.
        let name = model == nil ? SeriesNames.other : record.model
        let agent = record.agent ?? ""
        let status = record.status.rawValue
        calls.add(1, [name, agent, record.door.name, status])
        if record.status != .done { errors.add(1, [name, Self.failureClass(record)]) }
        if let usage = record.usage {
            for (type, count) in usage.buckets.byType { tokens.add(count, [name, type, agent]) }
            if record.cost == nil, !usage.buckets.isEmpty { unpriced.add(1, [name]) }
        }
        if let cost = record.cost { self.cost.add(cost.value, [name, agent]) }
        duration.observe(record.duration.seconds, [name, status])
        overhead.observe(record.overhead.seconds, [record.door.name])
        if let span = record.firstToken { firstToken.observe(span.seconds, [name]) }
        observeAttempts(record, model: model, name: name)
        observeConvention(record, name: name)
        if let model { context.observe(record, model: model, at: now) }
    }

    private mutating func observeAttempts(_ record: CallRecord, model: ModelSettings?, name: String) {
        for (index, attempt) in record.attempts.enumerated() {
            let isLast = index == record.attempts.count - 1
            let isAbandoned = attempt.failure == nil && record.status == .canceled && isLast
            attempts.add(1, [attempt.target, attempt.failure ?? (isAbandoned ? "abandoned" : "ok")])
            if index > 0 { retries.add(1, [name, attempt.reason]) }
            guard let model, !isAbandoned else { continue }
            let first = isLast ? record.firstToken.map { record.startedAt + $0 - attempt.startedAt } : nil
            histories.update(Self.key(model.name, attempt.target), orMake: { TargetHistory() }) { history in
                history.record(
                    TargetHistory.Sample(
                        at: attempt.startedAt + attempt.duration, latency: attempt.duration, firstToken: first,
                        failure: attempt.failure))
            }
        }
    }

    /// What OpenTelemetry calls an operation: a call that was sent to a provider.
    private mutating func observeConvention(_ record: CallRecord, name: String) {
        guard let attempt = record.attempts.last, let provider = record.provider else { return }
        let names = GenAIName.self
        let labels = [
            names.operation(record.door), provider, names.system(ofProvider: provider), name,
        ]
        operation.observe(
            record.duration.seconds, labels + [record.status == .done ? "" : Self.failureClass(record)])
        if let span = record.firstToken {
            serverFirstToken.observe((record.startedAt + span - attempt.startedAt).seconds, labels)
        }
        guard let buckets = record.usage?.buckets else { return }
        if buckets.inputTotal > 0 { usage.observe(Double(buckets.inputTotal), labels + ["input"]) }
        if buckets.outputTotal > 0 { usage.observe(Double(buckets.outputTotal), labels + ["output"]) }
    }

    /// The class of what the caller was told, such as `not_found`. It may come from a provider, so only plain words
    /// stay.
    static func failureClass(_ record: CallRecord) -> String {
        guard let failure = record.failure, (1...classBytesMax).contains(failure.utf8.count) else {
            return SeriesNames.other
        }
        var word = ""
        for scalar in failure.unicodeScalars {
            switch scalar {
            case "a"..."z", "0"..."9", "_": word.unicodeScalars.append(scalar)
            // Kinds of refusals are written `notFound`.
            case "A"..."Z" where !word.isEmpty: word += "_\(scalar.properties.lowercaseMapping)"
            default: return SeriesNames.other
            }
        }
        return word
    }

    static let classBytesMax = 40

    // MARK: Asking

    /// What the last exchanges with a target of a model were like.
    func history(model: String, target: String, at now: Timestamp) -> TargetHistory.Summary {
        (histories.peek(Self.key(model, target)) ?? TargetHistory()).summary(at: now)
    }

    private static func key(_ model: String, _ target: String) -> String { "\(model)\n\(target)" }

    func write(to text: inout MetricText, at now: Timestamp) {
        for family in [tokens, cost, unpriced, calls, errors, attempts, retries] { text.write(family) }
        text.write(context.family(at: now))
        for family in [duration, firstToken, overhead, usage, operation, serverFirstToken] { text.write(family) }
    }
}

/// How full the contexts of sessions are, by model and agent: sessions are too many to be told apart.
struct ContextMeter: Sendable {
    /// The fullest session of this window and of the one before it.
    private struct Fullest: Sendable {
        var window: Int64 = .min
        var ratio = 0.0
        var ratioBefore = 0.0

        mutating func move(to now: Int64) {
            guard now != window else { return }
            ratioBefore = now == window &+ 1 ? ratio : 0
            ratio = 0
            window = now
        }
    }

    /// A session that was not heard of for so long no longer counts; it does for at least as long.
    static let window = Span.minutes(5)

    private var sessions = ContextGauge()
    private var series = SeriesTable<Fullest>(
        CallMetrics.context, first: Fullest(), seriesMax: SeriesNames.seriesMax)

    mutating func observe(_ record: CallRecord, model: ModelSettings, at now: Timestamp) {
        let input = record.inputTokens
        guard let window = model.contextTokens, input > 0 else { return }
        var ratio = Double(input) / Double(window)
        if let session = record.session {
            let name = "\(record.agent ?? "")\n\(session)"
            let reading = sessions.record(session: name, input: Int(input), window: Int(window))
            ratio = reading?.utilization ?? ratio
        }
        let number = Self.number(now)
        if series.series.count >= series.seriesMax / 2 { series.removeAll { $0.window < number - 1 } }
        series.update([record.model, record.agent ?? ""]) { fullest in
            fullest.move(to: number)
            fullest.ratio = max(fullest.ratio, ratio)
        }
    }

    func family(at now: Timestamp) -> GaugeFamily {
        var family = GaugeFamily(CallMetrics.context)
        for (labels, value) in series.series where value.window >= Self.number(now) - 1 {
            var value = value
            value.move(to: Self.number(now))
            family.set(max(value.ratio, value.ratioBefore), labels)
        }
        return family
    }

    private static func number(_ now: Timestamp) -> Int64 { max(0, now.microseconds) / window.microseconds }
}
