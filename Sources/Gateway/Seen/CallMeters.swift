import Kernel
import Telemetry

/// Counts calls that ended. Pure; fed with batches, away from the calls themselves.
struct CallMeters: Sendable {
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
    private var gateway = GatewayMeters()
    private var histories = RecentTable<TargetHistory>(capacity: CallMeters.historiesMax)
    private var lanes: [CallLane] = []
    /// Where each stands among them.
    private var lanePlaces: [CallLane.Key: Int] = [:]

    /// Targets whose last exchanges are kept; those that were used last.
    static let historiesMax = 512
    /// Kinds of calls whose series are remembered; when there are more, all are looked up anew.
    static let lanesMax = 2_048

    /// - Parameter model: What the caller's word for a model stands for; `nil` where there is no such model.
    mutating func observe(_ record: CallRecord, model: ModelSettings?) {
        // Whoever has a key can invent names of models: they share one series.
        let key = CallLane.Key(record, model: model == nil ? SeriesNames.other : record.model)
        let index = place(of: key)
        // Taken out, so that there is one owner and nothing is copied.
        var lane = CallLane.empty
        swap(&lane, &lanes[index])
        defer { swap(&lane, &lanes[index]) }
        count(record, key, &lane)
        time(record, key, &lane)
        gateway.observe(record, model: key.model)
        if let model {
            for (index, attempt) in record.attempts.enumerated()
            where index >= record.attemptsElsewhere && !Self.isAbandoned(index, of: record) {
                remember(attempt, isLast: index == record.attempts.count - 1, of: record, model: model.name)
            }
        }
    }

    private mutating func place(of key: CallLane.Key) -> Int {
        if let known = lanePlaces[key] { return known }
        if lanes.count >= Self.lanesMax {
            lanes.removeAll(keepingCapacity: true)
            lanePlaces.removeAll(keepingCapacity: true)
        }
        lanes.append(CallLane())
        lanePlaces[key] = lanes.count - 1
        return lanes.count - 1
    }

    private mutating func count(_ record: CallRecord, _ key: CallLane.Key, _ lane: inout CallLane) {
        let place = lane.place(.calls) {
            calls.place(of: [key.model, key.agent, key.door.name, key.status.rawValue])
        }
        calls.add(1, at: place)
        let exemplar = record.exemplar(1)
        calls.point(at: place, to: exemplar)
        if record.status != .done {
            let place = lane.place(.errors) { errors.place(of: [key.model, key.failure]) }
            errors.add(1, at: place)
            errors.point(at: place, to: exemplar)
        }
        if let buckets = record.usage?.buckets, record.cost == nil, !buckets.isEmpty {
            unpriced.add(1, at: lane.place(.unpriced) { unpriced.place(of: [key.model]) })
        }
        if let cost = record.cost {
            self.cost.add(cost.value, at: lane.place(.cost) { self.cost.place(of: [key.model, key.agent]) })
        }
        for (index, attempt) in record.attempts.enumerated() where index >= record.attemptsElsewhere {
            let result = attempt.failure ?? (Self.isAbandoned(index, of: record) ? "abandoned" : "ok")
            if attempt.failure == nil, attempt.target == key.target, record.status == .done {
                attempts.add(1, at: lane.place(.answered) { attempts.place(of: [attempt.target, result]) })
            } else {
                attempts.add(1, [attempt.target, result])
            }
            if index > 0 { retries.add(1, [key.model, attempt.reason]) }
        }
    }

    private mutating func time(_ record: CallRecord, _ key: CallLane.Key, _ lane: inout CallLane) {
        let seconds = record.duration.seconds
        let place = lane.place(.duration) { duration.place(of: [key.model, key.status.rawValue]) }
        duration.observe(seconds, at: place)
        duration.point(at: place, to: record.exemplar(seconds))
        overhead.observe(
            record.overhead.seconds, at: lane.place(.overhead) { overhead.place(of: [key.door.name]) })
        if let span = record.firstToken {
            let place = lane.place(.firstToken) { firstToken.place(of: [key.model]) }
            firstToken.observe(span.seconds, at: place)
            firstToken.point(at: place, to: record.exemplar(span.seconds))
        }
        // What OpenTelemetry calls an operation: a call that was sent to a provider.
        guard let attempt = record.attempts.last, record.provider != nil else { return }
        let labels = {
            let system = GenAIName.system(ofProvider: key.provider)
            return [GenAIName.operation(key.door), key.provider, system, key.model]
        }
        let called = lane.place(.operation) { operation.place(of: labels() + [key.failure]) }
        operation.observe(seconds, at: called)
        operation.point(at: called, to: record.exemplar(seconds))
        if let span = record.firstToken {
            serverFirstToken.observe(
                (record.startedAt + span - attempt.startedAt).seconds,
                at: lane.place(.serverFirstToken) { serverFirstToken.place(of: labels()) })
        }
        guard let buckets = record.usage?.buckets else { return }
        if buckets.inputTotal > 0 {
            let place = lane.place(.inputTotal) { usage.place(of: labels() + ["input"]) }
            usage.observe(Double(buckets.inputTotal), at: place)
        }
        if buckets.outputTotal > 0 {
            let place = lane.place(.outputTotal) { usage.place(of: labels() + ["output"]) }
            usage.observe(Double(buckets.outputTotal), at: place)
        }
    }

    private mutating func remember(
        _ attempt: CallRecord.Attempt, isLast: Bool, of record: CallRecord, model: String
    ) {
        let first = isLast ? record.firstToken.map { record.startedAt + $0 - attempt.startedAt } : nil
        histories.update(Self.key(model, attempt.target), orMake: { TargetHistory() }) { history in
            history.record(
                TargetHistory.Sample(
                    at: attempt.startedAt + attempt.duration, latency: attempt.duration, firstToken: first,
                    failure: attempt.failure))
        }
    }

    /// Whether an exchange ended because its caller left.
    private static func isAbandoned(_ index: Int, of record: CallRecord) -> Bool {
        record.status == .canceled && index == record.attempts.count - 1 && record.attempts[index].failure == nil
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

    func collect(into page: inout MetricPage) {
        for family in [cost, unpriced, calls, errors, attempts, retries] { page.add(family) }
        for family in [duration, firstToken, overhead, usage, operation, serverFirstToken] { page.add(family) }
        gateway.collect(into: &page)
    }
}

extension CallRecord {
    /// The call's trace beside a value of it; `nil` where the call has none.
    fileprivate func exemplar(_ value: Double) -> Exemplar? {
        guard let trace = trace.traceID else { return nil }
        return Exemplar(trace: trace.description, value: value, at: Double((startedAt + duration).microseconds) / 1e6)
    }
}

extension AgentCall {
    /// - Parameter model: See ``CallMeters/observe(_:model:)``.
    init(_ record: CallRecord, model: ModelSettings?) {
        self.init(
            agent: record.agent, model: model == nil ? SeriesNames.other : record.model, startedAt: record.startedAt,
            endedAt: record.startedAt + record.duration)
        session = record.session
        trace = record.trace.traceID
        if let buckets = record.usage?.buckets {
            tokens = buckets.byType
            inputTokens = buckets.inputTotal
            outputTokens = buckets.outputTotal
        }
        contextTokens = model?.contextTokens
        isInputRefused = record.failure == InputCheck.refusedCode
        nanoUSD = record.cost?.value
        switch record.door {
        case .chat, .responses, .messages: isTurn = record.status == .done
        case .embeddings, .countTokens: break
        }
    }
}
