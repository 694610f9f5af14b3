import Foundation

/// Where time comes from. Everything that waits or stamps asks one of these, so that tests and simulations own time.
public protocol TimeSource: Sendable {
    /// The wall clock.
    var now: Timestamp { get }
    /// Sleeps for a span of this source's time; throws `CancellationError` when the caller's task ends.
    func sleep(for span: Span) async throws
}

/// Where unpredictable bytes come from: ids, keys, jitter.
public protocol Entropy: Sendable {
    func bytes(_ count: Int) -> [UInt8]
}

/// All that reaches a service from outside its arguments and its store.
public struct World: Sendable {
    public let time: any TimeSource
    public let entropy: any Entropy

    public init(time: any TimeSource, entropy: any Entropy) {
        self.time = time
        self.entropy = entropy
    }

    public static let live = World(time: SystemTime(), entropy: SystemEntropy())

    public var now: Timestamp { time.now }
}

extension Entropy {
    /// A uniform number in `0..<1`, with 53 random bits.
    public func fraction() -> Double {
        let value = bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Double(value >> 11) / Double(UInt64(1) << 53)
    }
}

/// The machine's clock.
public struct SystemTime: TimeSource {
    public init() {}

    public var now: Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }

    public func sleep(for span: Span) async throws {
        try await Task.sleep(for: span.duration)
    }
}

/// The system's cryptographically secure generator.
public struct SystemEntropy: Entropy {
    public init() {}

    public func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            // The system is asked once for eight bytes, not once for each.
            var word: UInt64 = 0
            for index in 0..<count {
                word = index % 8 == 0 ? generator.next() : word >> 8
                buffer.initializeElement(at: index, to: UInt8(truncatingIfNeeded: word))
            }
            filled = count
        }
    }
}
