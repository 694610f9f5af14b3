import Foundation
import Synchronization

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

/// The system's cryptographically secure generator. Every request needs a little of it, so the system is asked for some
/// in advance; each byte is handed out once and wiped.
public struct SystemEntropy: Entropy {
    private static let stock = Mutex(Stock())

    public init() {}

    public func bytes(_ count: Int) -> [UInt8] { Self.stock.withLock { $0.take(count) } }

    private struct Stock {
        /// What one question may ask for (getentropy(3)).
        private static let size = 256
        private var bytes = [UInt8](repeating: 0, count: size)
        private var left = 0

        mutating func take(_ count: Int) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                for index in 0..<count {
                    if left == 0 { fill() }
                    left -= 1
                    buffer.initializeElement(at: index, to: bytes[left])
                    bytes[left] = 0
                }
                filled = count
            }
        }

        private mutating func fill() {
            left = Self.size
            guard bytes.withUnsafeMutableBytes({ getentropy($0.baseAddress, $0.count) }) != 0 else { return }
            var generator = SystemRandomNumberGenerator()
            for index in bytes.indices { bytes[index] = UInt8.random(in: .min ... .max, using: &generator) }
        }
    }
}
