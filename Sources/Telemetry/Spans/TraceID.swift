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
        var text = text
        guard let id = text.withUTF8({ TraceID(digits: $0[...]) }) else { return nil }
        self = id
    }

    /// - Parameter isLower: Whether digits have to be in lower case.
    init?(digits: Slice<UnsafeBufferPointer<UInt8>>, isLower: Bool = false) {
        guard digits.count == 32, let high = Hexadecimal.number(digits.prefix(16), isLower: isLower),
            let low = Hexadecimal.number(digits.suffix(16), isLower: isLower), high | low != 0
        else { return nil }
        self.init(high: high, low: low)
    }

    public static func < (left: TraceID, right: TraceID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    public var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * UInt64($0))) } }
    }

    public var description: String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            Hexadecimal.put(high, digits: 16, in: buffer, at: 0)
            Hexadecimal.put(low, digits: 16, in: buffer, at: 16)
            return 32
        }
    }
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
        var text = text
        guard let id = text.withUTF8({ SpanID(digits: $0[...]) }) else { return nil }
        self = id
    }

    /// - Parameter isLower: Whether digits have to be in lower case.
    init?(digits: Slice<UnsafeBufferPointer<UInt8>>, isLower: Bool = false) {
        guard digits.count == 16, let value = Hexadecimal.number(digits, isLower: isLower), value != 0 else {
            return nil
        }
        self.init(value: value)
    }

    public var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64($0))) } }

    public var description: String {
        String(unsafeUninitializedCapacity: 16) { buffer in
            Hexadecimal.put(value, digits: 16, in: buffer, at: 0)
            return 16
        }
    }
}
