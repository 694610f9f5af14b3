import Kernel
import Synchronization

/// Names requests and traces: unique within all processes, and cheap, as every request gets some. They are no secrets.
struct TraceIDs: Sendable {
    private static let requestPrefix = Array("req_".utf8)
    private static let dash = UInt8(ascii: "-")

    private let boot: [UInt8]
    private let state: SharedState

    /// `Atomic` cannot be copied, so it lives in an object of its own.
    private final class SharedState: Sendable {
        let count: Atomic<UInt64>

        init(_ start: UInt64) {
            count = Atomic(start)
        }
    }

    init(_ entropy: any Entropy) {
        boot = Array(Hexadecimal.encode(entropy.bytes(6)).utf8)
        state = SharedState(entropy.bytes(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// `req_` and twenty-eight hexadecimal digits.
    func request() -> String {
        let count = next()
        return String(unsafeUninitializedCapacity: Self.requestPrefix.count + boot.count + 16) { buffer in
            var end = Self.write(Self.requestPrefix, to: buffer, at: 0)
            end = Self.write(boot, to: buffer, at: end)
            return Self.write(count, to: buffer, at: end)
        }
    }

    /// A `traceparent` (W3C Trace Context §3.2) that begins a trace.
    func traceparent() -> String {
        let values = (mixed(), mixed(), mixed())
        return String(unsafeUninitializedCapacity: 55) { buffer in
            var end = Self.write([48, 48, Self.dash], to: buffer, at: 0)
            end = Self.write(values.0, to: buffer, at: end)
            end = Self.write(values.1, to: buffer, at: end)
            end = Self.write([Self.dash], to: buffer, at: end)
            end = Self.write(values.2, to: buffer, at: end)
            return Self.write([Self.dash, 48, 49], to: buffer, at: end)
        }
    }

    private func next() -> UInt64 { state.count.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// SplitMix64's finisher over the count: spreads it over all bits, and never gives zero for three in a row.
    private func mixed() -> UInt64 {
        var value = next() &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return (value ^ value >> 31) | 1
    }

    private static func write(_ bytes: [UInt8], to buffer: UnsafeMutableBufferPointer<UInt8>, at start: Int) -> Int {
        for (index, byte) in bytes.enumerated() { buffer[start + index] = byte }
        return start + bytes.count
    }

    /// Sixteen hexadecimal digits.
    private static func write(_ value: UInt64, to buffer: UnsafeMutableBufferPointer<UInt8>, at start: Int) -> Int {
        for index in 0..<16 {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - index * 4)) & 15
            buffer[start + index] = digit < 10 ? 48 + digit : 87 + digit
        }
        return start + 16
    }

    /// The trace's id in a `traceparent`, which stands for a correlation id where none was sent.
    static func traceID(of traceparent: String) -> String {
        String(decoding: traceparent.utf8.dropFirst(3).prefix(32), as: UTF8.self)
    }

    /// In lower case (W3C Trace Context §3.2.2).
    private static func isDigit(_ byte: UInt8) -> Bool { Hexadecimal.isDigit(byte) && !(0x41...0x46).contains(byte) }

    /// A `traceparent` from outside, if it has the form of version 00 and names a trace and a parent.
    static func acceptedTraceparent(_ text: String?) -> String? {
        guard let text, text.utf8.count == 55, text.hasPrefix("00-") else { return nil }
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [2, 32, 16, 2],
            parts.allSatisfy({ $0.utf8.allSatisfy(isDigit) }),
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" })
        else { return nil }
        return text
    }
}
