import Kernel

/// A token bucket over lines: so many a second, so many at once. What is over is counted, not kept.
public struct LineAllowance: Sendable {
    public let linesPerSecond: Double
    public let burst: Double
    private var tokens: Double
    private var refilledAt: Timestamp
    private var refused = 0

    public init(linesPerSecond: Double = 1_000, burst: Double = 5_000, now: Timestamp) {
        self.linesPerSecond = linesPerSecond
        self.burst = burst
        self.tokens = burst
        self.refilledAt = now
    }

    /// Whether one more line may pass. With the first that may again, `dropped` says how many could not.
    public mutating func take(at now: Timestamp) -> (passes: Bool, dropped: Int) {
        let elapsed = max(0, (now - refilledAt).seconds)
        tokens = min(burst, tokens + elapsed * linesPerSecond)
        refilledAt = max(now, refilledAt)
        guard tokens >= 1 else {
            refused += 1
            return (false, 0)
        }
        tokens -= 1
        defer { refused = 0 }
        return (true, refused)
    }
}
