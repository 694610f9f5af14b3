import Kernel

/// The id of a trace: 16 bytes, not all of them zero (W3C Trace Context, "trace-id").
public struct TraceID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let high: UInt64
    public let low: UInt64

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else { return nil }
        high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        if high | low == 0 { return nil }
    }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// From 32 hexadecimal digits in either case.
    public init?(_ text: String) {
        guard let bytes = Hexadecimal.decode(text), bytes.count == 16 else { return nil }
        guard let id = bytes.withUnsafeBytes({ TraceID($0) }) else { return nil }
        self = id
    }

    public static func < (left: TraceID, right: TraceID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    public var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }

    public var description: String { Hexadecimal.encode(bytes) }
}

/// The id of a span within its trace: 8 bytes, not all of them zero.
public struct SpanID: Sendable, Hashable, CustomStringConvertible {
    public let value: UInt64

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 8 else { return nil }
        value = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        if value == 0 { return nil }
    }

    init(value: UInt64) { self.value = value }

    public init?(_ text: String) {
        guard let bytes = Hexadecimal.decode(text), bytes.count == 8 else { return nil }
        guard let id = bytes.withUnsafeBytes({ SpanID($0) }) else { return nil }
        self = id
    }

    public var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) } }

    public var description: String { Hexadecimal.encode(bytes) }
}
