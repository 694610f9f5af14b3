import Kernel

/// A mirror of a provider's own limits for one target: says whether a call may be sent now, or how long to wait, so
/// that the provider seldom has to say 429. A pure state machine; the caller keeps one for each target behind a lock.
///
/// OpenAI and Anthropic both document token buckets that refill steadily, so a remaining count and the time until the
/// bucket is full give its rate. What a header says is older than what was sent since: each call carries a ``Receipt``
/// of how much had been sent before it, and everything after it is taken off.
struct Pacer: Sendable {
    /// What had been sent when a call went out, itself included.
    struct Receipt: Sendable, Equatable {
        fileprivate let number: UInt64
        fileprivate let tokens: Int64
    }

    /// The answer to a call that would wait.
    enum Queueing: Sendable, Equatable {
        case now
        /// It is counted as waiting until ``dequeue(tokens:)``.
        case wait(Span)
        /// The queue is full, or the wait longer than anybody should.
        case refuse(retryAfter: Span)
    }

    /// What is known of a limit is forgotten so long after the last answer that spoke of it, or earlier, where it is
    /// full again by then: others may use the same key, and a wrong memory must heal by itself.
    static let staleAfter = Span.minutes(1)
    static let staleMax = Span.minutes(5)
    /// A wish to be left alone is believed up to here.
    static let limitedMax = Span.hours(1)
    /// Without a wish, the first pause after a 429 and the longest one; it doubles in between.
    static let pauseBase = Span.seconds(1)
    static let pauseMax = Span.minutes(1)
    /// Calls that may wait for one target, and how long at most; settings may have less.
    static let queueMax = 1_000
    static let queueWaitMax = Span.seconds(30)
    /// No call counts for more.
    static let tokensMax: Int64 = 1 << 40

    /// One limit as it is believed to stand.
    private struct Mirror: Sendable {
        var limit: Double
        /// What was left at `at`.
        var level: Double
        var perSecond: Double
        var at: Timestamp
        var staleAt: Timestamp

        func level(at now: Timestamp) -> Double {
            now > at ? min(limit, level + (now - at).seconds * perSecond) : level
        }
    }

    private var mirrors = [Mirror?](repeating: nil, count: RateLimitHeaders.Kind.allCases.count)
    private var sent: UInt64 = 0
    private var sentTokens: Int64 = 0
    private var seen: UInt64 = 0
    private var limitedUntilTime: Timestamp?
    private var limitsInRow = 0
    private(set) var queued = 0
    private var queuedTokens: Int64 = 0
    private let queueMax: Int
    private let queueWaitMax: Span

    init(queueMax: Int = Pacer.queueMax, queueWaitMax: Span = Pacer.queueWaitMax) {
        self.queueMax = min(max(0, queueMax), Self.queueMax)
        self.queueWaitMax = min(max(.zero, queueWaitMax), Self.queueWaitMax)
    }

    // MARK: Sending

    /// A call goes out that counts so many tokens by the provider's reckoning (prompt and, with OpenAI, the bound of
    /// the answer).
    mutating func sent(tokens: Int64, at now: Timestamp) -> Receipt {
        let tokens = Self.bounded(tokens)
        sent += 1
        sentTokens &+= tokens
        for kind in RateLimitHeaders.Kind.allCases where mirrors[kind.rawValue] != nil {
            take(Self.cost(kind, calls: 1, tokens: tokens), of: kind, at: now)
        }
        return Receipt(number: sent, tokens: sentTokens)
    }

    /// An answer came to the call of this receipt. Headers that are older than what was already seen are passed over.
    mutating func observed(_ headers: RateLimitHeaders, _ receipt: Receipt, at now: Timestamp) {
        guard receipt.number >= seen else { return }
        seen = receipt.number
        let calls = Double(sent - min(sent, receipt.number))
        let tokens = Double(max(0, sentTokens &- receipt.tokens))
        for kind in RateLimitHeaders.Kind.allCases {
            guard let allowance = headers[kind] else { continue }
            let since = kind == .requests ? calls : kind == .outputTokens ? 0 : tokens
            mirrors[kind.rawValue] = Self.mirror(allowance, since: since, at: now)
        }
    }

    /// The provider said 429 or named a time to be left alone; returns until when it is.
    @discardableResult
    mutating func limited(retryAfter: Span?, at now: Timestamp) -> Timestamp {
        limitsInRow = min(limitsInRow + 1, 64)
        let grown = Self.pauseBase * Double(1 << min(limitsInRow - 1, 30))
        let pause = retryAfter.map { min(Self.limitedMax, max(.zero, $0)) } ?? min(Self.pauseMax, grown)
        let until = max(now + pause, limitedUntil(at: now) ?? now)
        limitedUntilTime = until
        return until
    }

    /// An answer came that is no 429.
    mutating func succeeded() { limitsInRow = 0 }

    /// Until when the provider asked to be left alone.
    func limitedUntil(at now: Timestamp) -> Timestamp? {
        guard let until = limitedUntilTime, until > now else { return nil }
        // A clock that was set back does not lengthen it.
        return min(until, now + Self.limitedMax)
    }

    /// The share of a limit that is left, from 0 to 1; `nil` where nothing fresh is known of it.
    func headroom(_ kind: RateLimitHeaders.Kind, at now: Timestamp) -> Double? {
        guard let mirror = mirrors[kind.rawValue], mirror.staleAt > now, mirror.limit > 0 else { return nil }
        return min(1, max(0, mirror.level(at: now) / mirror.limit))
    }

    // MARK: Waiting

    /// How long a call of so many tokens has to wait behind those that already do; zero where it may go.
    func wait(tokens: Int64, at now: Timestamp) -> Span {
        wait(tokens: tokens, behind: queued, of: queuedTokens, at: now)
    }

    /// How long the first of those that wait has to.
    func waitAtHead(tokens: Int64, at now: Timestamp) -> Span { wait(tokens: tokens, behind: 0, of: 0, at: now) }

    private func wait(tokens: Int64, behind calls: Int, of theirTokens: Int64, at now: Timestamp) -> Span {
        var wait = Span.zero
        let own = Self.bounded(tokens)
        for kind in RateLimitHeaders.Kind.allCases {
            guard let mirror = mirrors[kind.rawValue], mirror.staleAt > now, kind != .outputTokens else { continue }
            // What is larger than the whole limit is the provider's to judge: it goes when the bucket is full.
            let need = min(mirror.limit, Self.cost(kind, calls: 1, tokens: own))
            let ahead = Self.cost(kind, calls: calls, tokens: theirTokens)
            let missing = need + ahead - mirror.level(at: now)
            guard missing > 1e-6 else { continue }
            wait = max(wait, .seconds(missing / mirror.perSecond))
        }
        return min(wait, Self.limitedMax)
    }

    /// When a call may be sent, as ``AttemptPlan`` wants to know it.
    func pacedUntil(tokens: Int64, at now: Timestamp) -> Timestamp? {
        let wait = wait(tokens: tokens, at: now)
        // Nobody goes past those who wait.
        return wait > .zero || queued > 0 ? now + max(wait, .milliseconds(1)) : nil
    }

    /// Asks for a place in the queue. The order in which those who wait are let go is the caller's.
    /// - Parameter patience: how long the call may wait.
    mutating func enqueue(tokens: Int64, within patience: Span = Pacer.queueWaitMax, at now: Timestamp) -> Queueing {
        let wait = wait(tokens: tokens, at: now)
        if wait == .zero, queued == 0 { return .now }
        guard queued < queueMax, wait <= min(patience, queueWaitMax) else { return .refuse(retryAfter: wait) }
        queued += 1
        queuedTokens += Self.bounded(tokens)
        return .wait(wait)
    }

    /// A call that waited goes out, or away.
    mutating func dequeue(tokens: Int64) {
        queued = max(0, queued - 1)
        queuedTokens = queued == 0 ? 0 : max(0, queuedTokens - Self.bounded(tokens))
    }

    // MARK: Arithmetic

    private static func bounded(_ tokens: Int64) -> Int64 { min(max(0, tokens), tokensMax) }

    private static func cost(_ kind: RateLimitHeaders.Kind, calls: Int, tokens: Int64) -> Double {
        switch kind {
        case .requests: Double(calls)
        case .tokens, .inputTokens: Double(tokens)
        // Nobody knows beforehand how much a model will say.
        case .outputTokens: 0
        }
    }

    private mutating func take(_ amount: Double, of kind: RateLimitHeaders.Kind, at now: Timestamp) {
        guard var mirror = mirrors[kind.rawValue] else { return }
        mirror.level = mirror.level(at: now) - amount
        mirror.at = max(mirror.at, now)
        mirrors[kind.rawValue] = mirror.staleAt > now ? mirror : nil
    }

    private static func mirror(_ allowance: RateLimitHeaders.Allowance, since: Double, at now: Timestamp) -> Mirror {
        let limit = Double(allowance.limit)
        let used = limit - Double(allowance.remaining)
        let reset = allowance.reset ?? .zero
        // A bucket that is nearly full says little about its rate; limits are stated for a minute.
        let known = used >= 1 && reset > .zero ? used / reset.seconds : limit / 60
        return Mirror(
            limit: limit, level: Double(allowance.remaining) - since, perSecond: max(known, limit / 86_400), at: now,
            staleAt: now + min(staleMax, max(staleAfter, reset)))
    }
}
