import Kernel

/// Keeps calls from a target that is ill. Closed: all pass. Open: none. Half-open: one probe at a time, whose end
/// closes it or opens it for longer. A pure state machine; the caller keeps one for each target behind a lock.
///
/// Each call that is let in holds a ``Permit`` and gives it back once with what came of it. A permit of an earlier
/// state says nothing about the present one and is passed over.
struct Breaker: Sendable {
    struct Rules: Sendable, Equatable {
        /// Failures in a row that open it; 1 to ``failuresInRowMax``.
        var failuresInRow = Rules.failuresInRowMax
        /// The window that rates are taken over.
        var window = Span.seconds(30)
        /// Calls that the window must hold before a rate says anything.
        var callsMin = 20
        /// The share of failures that opens it; `nil` for never.
        var errorRate: Double? = 0.5
        /// Opens where this quantile of durations, or of times to the first token, is above its limit.
        var quantile = 0.95
        var latencyMax: Span?
        var firstTokenMax: Span?
        /// Opens where the average of the last ``qualitySamples`` scores is below it. Scores lie in 0...1.
        var qualityMin: Double?
        /// The same for scores of a judge, which sees a share of the answers only: they are averaged by themselves.
        var judgedMin: Double?
        /// How long it stays open before a probe, and by what this grows with each probe that fails, up to where.
        var open = Span.seconds(30)
        var openGrowth = 2.0
        var openMax = Span.minutes(10)
        /// A probe that has not come back by then no longer holds up the next one.
        var probeMax = Span.minutes(2)

        static let failuresInRowMax = 10
    }

    /// What let a call in.
    struct Permit: Sendable, Equatable {
        /// Changes with each change of state, and with each probe.
        fileprivate let era: UInt64
        let isProbe: Bool
    }

    enum Outcome: Sendable, Equatable {
        /// An answer, with its duration and the time to its first token, where they are known.
        case succeeded(latency: Span?, firstToken: Span?)
        case failed(FailureClass)
        /// The caller went away before anything could be said.
        case abandoned
    }

    /// Why it opened.
    enum Cause: String, Sendable, CaseIterable {
        case failuresInRow = "failures_in_row"
        case errorRate = "error_rate"
        case latency
        case firstToken = "first_token"
        case quality
        case probeFailed = "probe_failed"
        /// It was ill when the process before this one ended.
        case beforeStart = "before_start"
        /// An operator, or a containment, ordered it.
        case ordered
    }

    enum State: String, Sendable, CaseIterable {
        case closed, open
        case halfOpen = "half_open"
    }

    /// For metrics and `explain`.
    struct Snapshot: Sendable, Equatable {
        var state: State
        var openUntil: Timestamp?
        var cause: Cause?
        var lastFailure: FailureClass?
        var failuresInRow: Int
        /// Calls of the window and those of them that failed, while it is closed.
        var calls: Int
        var failures: Int
        var quality: Double?
        /// Times that it opened.
        var openings: Int
        /// When it came into this state; `nil` where it never left the closed one.
        var changedAt: Timestamp?
    }

    /// Scores that are averaged, and how many there must be.
    static let qualitySamples = 20
    static let qualitySamplesMin = 10
    private static let bucketsMax: Int64 = 10

    private enum Phase {
        case closed
        case open(until: Timestamp, length: Span)
        /// `probe` is when the running probe began.
        case halfOpen(probe: Timestamp?, length: Span)
    }

    private struct Bucket {
        var epoch = Int64.min
        var calls = 0
        var failures = 0
        var timed = 0
        var slow = 0
        var timedFirst = 0
        var slowFirst = 0

        static func += (left: inout Bucket, right: Bucket) {
            left.calls += right.calls
            left.failures += right.failures
            left.timed += right.timed
            left.slow += right.slow
            left.timedFirst += right.timedFirst
            left.slowFirst += right.slowFirst
        }
    }

    let rules: Rules
    private var phase = Phase.closed
    private var era: UInt64 = 0
    private var failuresInRow = 0
    private var failedProbes = 0
    private var buckets = [Bucket](repeating: Bucket(), count: Int(Breaker.bucketsMax))
    private var scores = Scores()
    private var judged = Scores()
    private var cause: Cause?
    private var lastFailure: FailureClass?
    private(set) var openings = 0
    private var changedAt: Timestamp?

    init(_ rules: Rules = Rules()) {
        self.rules = rules
    }

    // MARK: Calls

    /// Lets a call in, or not. In the half-open state one call at a time gets in, as a probe.
    mutating func admit(at now: Timestamp) -> Permit? {
        switch phase {
        case .closed: return Permit(era: era, isProbe: false)
        case .open(let until, let length):
            guard now >= honest(until, length, at: now) else { return nil }
            return probe(length: length, at: now)
        case .halfOpen(let running, let length):
            // A clock that was set back does not keep the slot taken.
            if let running, now >= running, now - running < rules.probeMax { return nil }
            return probe(length: length, at: now)
        }
    }

    private mutating func probe(length: Span, at now: Timestamp) -> Permit {
        era += 1
        if case .open(let until, _) = phase { changedAt = min(until, now) }
        phase = .halfOpen(probe: now, length: length)
        return Permit(era: era, isProbe: true)
    }

    /// Until when nobody is let in; `nil` where a call would be. Changes nothing.
    func openUntil(at now: Timestamp) -> Timestamp? {
        switch phase {
        case .closed: return nil
        case .open(let until, let length):
            let until = honest(until, length, at: now)
            return until > now ? until : nil
        case .halfOpen(let running, _):
            guard let running, now >= running, now - running < rules.probeMax else { return nil }
            return running + rules.probeMax
        }
    }

    /// The end of the open state, where the clock was not set back since; then no later than its whole length from now.
    private func honest(_ until: Timestamp, _ length: Span, at now: Timestamp) -> Timestamp { min(until, now + length) }

    /// Takes a permit back with what came of it. Only the first return of a probe's permit counts.
    mutating func record(_ permit: Permit, _ outcome: Outcome, at now: Timestamp) {
        guard permit.era == era else { return }
        if case .failed(let failure) = outcome, failure.countsForBreaker { lastFailure = failure }
        switch phase {
        case .closed: recordClosed(outcome, at: now)
        case .open: break
        case .halfOpen(let running, let length):
            guard permit.isProbe, running != nil else { return }
            switch outcome {
            case .failed(let failure) where failure.countsForBreaker:
                failedProbes += 1
                open(.probeFailed, at: now)
            // A limit says neither that the target is well nor that it is ill: the next call probes again.
            case .failed(.rateLimited), .failed(.quotaExhausted), .abandoned:
                era += 1
                phase = .halfOpen(probe: nil, length: length)
            case .succeeded, .failed: close(at: now)
            }
        }
    }

    private mutating func recordClosed(_ outcome: Outcome, at now: Timestamp) {
        var sample = Bucket()
        switch outcome {
        case .abandoned: return
        case .failed(let failure):
            guard failure.countsForBreaker else { return }
            failuresInRow += 1
            sample.calls = 1
            sample.failures = 1
        case .succeeded(let latency, let firstToken):
            failuresInRow = 0
            sample.calls = 1
            if let latency, let limit = rules.latencyMax {
                sample.timed = 1
                sample.slow = latency > limit ? 1 : 0
            }
            if let firstToken, let limit = rules.firstTokenMax {
                sample.timedFirst = 1
                sample.slowFirst = firstToken > limit ? 1 : 0
            }
        }
        add(sample, at: now)
        if let cause = cause(at: now) { open(cause, at: now) }
    }

    private func cause(at now: Timestamp) -> Cause? {
        if failuresInRow >= min(max(1, rules.failuresInRow), Rules.failuresInRowMax) { return .failuresInRow }
        let sum = sum(at: now)
        let least = max(1, rules.callsMin)
        if let rate = rules.errorRate, sum.calls >= least, sum.failures > 0,
            Double(sum.failures) >= rate * Double(sum.calls)
        {
            return .errorRate
        }
        // A quantile lies above a limit exactly where more than the rest of the calls do: no histogram is needed.
        let rest = 1 - min(max(rules.quantile, 0), 1)
        if sum.timed >= least, Double(sum.slow) > rest * Double(sum.timed) + 1e-9 { return .latency }
        if sum.timedFirst >= least, Double(sum.slowFirst) > rest * Double(sum.timedFirst) + 1e-9 { return .firstToken }
        return nil
    }

    /// Whether all calls pass.
    var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// Half opens one that is closed, whatever it has seen: the next call is a probe.
    mutating func suspect(at now: Timestamp) {
        guard isClosed else { return }
        era += 1
        openings += 1
        cause = .beforeStart
        changedAt = now
        phase = .halfOpen(probe: nil, length: max(.milliseconds(1), rules.open))
        forget()
    }

    /// How long one that was ordered open stays so, if nobody releases it.
    static let orderedSpan = Span.hours(24 * 365)

    /// Opens it by order until ``release(at:)``, or until somebody resets it.
    mutating func hold(at now: Timestamp) {
        era += 1
        openings += 1
        cause = .ordered
        changedAt = now
        phase = .open(until: now + Self.orderedSpan, length: Self.orderedSpan)
        forget()
    }

    /// Takes ``hold(at:)`` back: half open, so that the next call is a probe.
    mutating func release(at now: Timestamp) {
        guard cause == .ordered, case .open = phase else { return }
        era += 1
        changedAt = now
        phase = .halfOpen(probe: nil, length: max(.milliseconds(1), rules.open))
        forget()
    }

    // MARK: Quality

    /// Who scored an answer.
    enum Scorer: Sendable {
        case rules, judge
    }

    /// The last scores, up to ``qualitySamples``.
    private struct Scores {
        private var values: [Double] = []
        private var next = 0

        mutating func add(_ value: Double) {
            if values.count < Breaker.qualitySamples { values.append(value) } else { values[next] = value }
            next = (next + 1) % Breaker.qualitySamples
        }

        var average: Double? { values.isEmpty ? nil : values.reduce(0, +) / Double(values.count) }

        func isBelow(_ least: Double?) -> Bool {
            guard let least, let average, values.count >= Breaker.qualitySamplesMin else { return false }
            return average < least
        }
    }

    /// Takes the score of an answer, in 0...1. Scores come late, so they need no permit; they count while closed.
    mutating func record(quality: Double, by scorer: Scorer = .rules, at now: Timestamp) {
        guard case .closed = phase, quality.isFinite else { return }
        let score = min(max(quality, 0), 1)
        switch scorer {
        case .rules: scores.add(score)
        case .judge: judged.add(score)
        }
        if scores.isBelow(rules.qualityMin) || judged.isBelow(rules.judgedMin) { open(.quality, at: now) }
    }

    /// By rules; by the judge where there are none.
    private var averageScore: Double? { scores.average ?? judged.average }

    // MARK: States

    private mutating func open(_ cause: Cause, at now: Timestamp) {
        let first = max(.milliseconds(1), rules.open)
        let longest = max(first, rules.openMax)
        var length = first
        for _ in 0..<min(failedProbes, 64) where length < longest { length = length * max(1, rules.openGrowth) }
        length = min(length, longest)
        era += 1
        openings += 1
        self.cause = cause
        changedAt = now
        phase = .open(until: now + length, length: length)
        forget()
    }

    /// Closes it by an operator's hand, whatever it has seen. Calls that are under way no longer count.
    mutating func reset(at now: Timestamp) {
        if case .closed = phase { return forget() }
        close(at: now)
    }

    private mutating func close(at now: Timestamp) {
        era += 1
        changedAt = now
        failedProbes = 0
        cause = nil
        phase = .closed
        forget()
    }

    private mutating func forget() {
        failuresInRow = 0
        for index in buckets.indices { buckets[index] = Bucket() }
        scores = Scores()
        judged = Scores()
    }

    func snapshot(at now: Timestamp) -> Snapshot {
        let sum = sum(at: now)
        let until = openUntil(at: now)
        let state: State
        var changed = changedAt
        switch phase {
        case .closed: state = .closed
        case .open(let end, _):
            state = until == nil ? .halfOpen : .open
            if until == nil { changed = min(end, now) }
        case .halfOpen: state = .halfOpen
        }
        return Snapshot(
            state: state, openUntil: state == .open ? until : nil, cause: cause, lastFailure: lastFailure,
            failuresInRow: failuresInRow, calls: sum.calls, failures: sum.failures, quality: averageScore,
            openings: openings, changedAt: changed)
    }

    // MARK: Window

    private var bucketLength: Int64 { max(1, rules.window.microseconds / Self.bucketsMax) }

    private mutating func add(_ sample: Bucket, at now: Timestamp) {
        let epoch = max(0, now.microseconds) / bucketLength
        let index = Int(epoch % Self.bucketsMax)
        if buckets[index].epoch != epoch { buckets[index] = Bucket(epoch: epoch) }
        buckets[index] += sample
    }

    private func sum(at now: Timestamp) -> Bucket {
        let epoch = max(0, now.microseconds) / bucketLength
        var sum = Bucket()
        for bucket in buckets where bucket.epoch <= epoch && bucket.epoch > epoch - Self.bucketsMax { sum += bucket }
        return sum
    }
}
