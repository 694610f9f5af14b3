import Kernel

/// How long and how often a request is repeated: capped exponential back-off with full jitter. Pure.
public struct Patience: Sendable, Equatable {
    /// Tries in all, the first included.
    public var tries: Int
    public var base: Span
    public var cap: Span
    /// No try begins later than this after the first.
    public var total: Span

    public init(tries: Int, base: Span, cap: Span, total: Span) {
        self.tries = tries
        self.base = base
        self.cap = cap
        self.total = total
    }

    /// For a person at a terminal: a few seconds.
    public static let brief = Patience(tries: 4, base: .milliseconds(200), cap: .seconds(2), total: .seconds(15))
    /// For a finished task's result, which took long to make: through a restart of the server.
    public static let long = Patience(tries: 60, base: .milliseconds(250), cap: .seconds(15), total: .minutes(10))
    /// For a worker that waits for work: for as long as it is asked to.
    public static let endless = Patience(
        tries: .max, base: .milliseconds(250), cap: .seconds(10), total: Span(microseconds: .max))
    /// One try.
    public static let none = Patience(tries: 1, base: .zero, cap: .zero, total: .zero)

    /// What a try ended with, as far as repeating it is concerned.
    public enum Outcome: Sendable, Equatable {
        case noReply
        case refused(status: Int, retryAfterSeconds: Double?)
    }

    /// The wait before the next try; `nil` to give up. `tried` counts tries so far, `fraction` is random in 0..<1.
    ///
    /// Only outcomes that another try can change are repeated: no reply, 429, 503, and the gateways' 502 and 504.
    /// `Retry-After` is the least wait, and jitter comes on top of it, so that clients do not return all at once.
    public func delay(after outcome: Outcome, tried: Int, elapsed: Span, fraction: Double) -> Span? {
        guard tried < tries else { return nil }
        let ceiling = min(cap, base * Double(1 << min(max(0, tried - 1), 30)))
        var wait = ceiling * fraction
        if case .refused(let status, let retryAfter) = outcome {
            guard [429, 502, 503, 504].contains(status) else { return nil }
            if let retryAfter, retryAfter >= 0 { wait = .seconds(min(retryAfter, 86_400)) + wait }
        }
        return elapsed + wait <= total ? wait : nil
    }
}
