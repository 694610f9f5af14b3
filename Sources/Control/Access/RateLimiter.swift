import Kernel
import Synchronization

/// Token buckets by name: a key, or an address. Each fills at a steady rate and holds at most `burst` tokens.
public final class RateLimiter: Sendable {
    /// Names kept at one time. Beyond it, those that have used nothing lately go first.
    public static let namesMax = 50_000

    private struct Bucket {
        var tokens: Double
        var filledAt: Timestamp
    }

    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    /// - Parameters:
    ///   - perSecond: Tokens that flow in each second.
    ///   - burst: Tokens that a bucket holds, and starts with.
    public init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// Takes a token; `nil` where there was one, else the whole seconds until there will be one.
    public func take(_ name: String, at now: Timestamp) -> Int? {
        buckets.withLock { buckets in
            if buckets.count >= Self.namesMax, buckets[name] == nil { makeRoom(&buckets, at: now) }
            return withUnsafeMutablePointer(
                to: &buckets[name, default: Bucket(tokens: burst, filledAt: now)]
            ) { bucket in
                fill(&bucket.pointee, at: now)
                guard bucket.pointee.tokens < 1 else {
                    bucket.pointee.tokens -= 1
                    return nil
                }
                return seconds(untilToken: bucket.pointee)
            }
        }
    }

    /// Whether a token is there, without taking it: `nil`, or the whole seconds until there will be one.
    public func wait(_ name: String, at now: Timestamp) -> Int? {
        buckets.withLock { buckets in
            guard var bucket = buckets[name] else { return nil }
            fill(&bucket, at: now)
            return bucket.tokens >= 1 ? nil : seconds(untilToken: bucket)
        }
    }

    /// Puts a token back that turned out not to be owed.
    public func giveBack(_ name: String) {
        buckets.withLock { buckets in
            guard let bucket = buckets[name] else { return }
            buckets[name]?.tokens = min(burst, bucket.tokens + 1)
        }
    }

    /// Whole seconds, rounded up; a billionth too much is an error of rounding, not a second to wait.
    private func seconds(untilToken bucket: Bucket) -> Int {
        max(1, Int(((1 - bucket.tokens) / perSecond - 1e-9).rounded(.up)))
    }

    private func fill(_ bucket: inout Bucket, at now: Timestamp) {
        let elapsed = now - bucket.filledAt
        // A clock that was set back gives nothing and takes nothing.
        guard elapsed > .zero else {
            bucket.filledAt = min(bucket.filledAt, now)
            return
        }
        bucket.tokens = min(burst, bucket.tokens + elapsed.seconds * perSecond)
        bucket.filledAt = now
    }

    private func makeRoom(_ buckets: inout [String: Bucket], at now: Timestamp) {
        buckets = buckets.filter { entry in
            var bucket = entry.value
            fill(&bucket, at: now)
            return bucket.tokens < burst
        }
        // Nobody is refused for other clients' sake: under such a flood all start anew.
        if buckets.count >= Self.namesMax { buckets = [:] }
    }
}
