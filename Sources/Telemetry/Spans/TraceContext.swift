import Kernel

/// A place in a trace, as one program hands it to the next (W3C Trace Context §3.2, `traceparent`).
public struct TraceContext: Sendable, Hashable {
    public let traceID: TraceID
    public let spanID: SpanID
    /// Whether the caller may have recorded it; kept for whoever comes next.
    public let flags: UInt8

    public init(_ traceID: TraceID, _ spanID: SpanID, flags: UInt8 = 1) {
        self.traceID = traceID
        self.spanID = spanID
        self.flags = flags
    }

    /// From a `traceparent` of version 00; `nil` for one that is malformed or names no trace.
    public init?(_ traceparent: String) {
        var text = traceparent
        guard let context = text.withUTF8({ TraceContext(bytes: $0) }) else { return nil }
        self = context
    }

    private init?(bytes: UnsafeBufferPointer<UInt8>) {
        let dash = UInt8(ascii: "-")
        let zero = UInt8(ascii: "0")
        // Digits are in lower case (§3.2.2.3).
        guard bytes.count == Self.length, bytes[0] == zero, bytes[1] == zero, bytes[2] == dash, bytes[35] == dash,
            bytes[52] == dash, let traceID = TraceID(digits: bytes[3..<35], isLower: true),
            let spanID = SpanID(digits: bytes[36..<52], isLower: true),
            let flags = Hexadecimal.number(bytes[53..<55], isLower: true)
        else { return nil }
        self.init(traceID, spanID, flags: UInt8(truncatingIfNeeded: flags))
    }

    static let length = 55

    public var traceparent: String {
        String(unsafeUninitializedCapacity: Self.length) { buffer in
            Hexadecimal.put(0, digits: 2, in: buffer, at: 0)
            for place in [2, 35, 52] { buffer[place] = UInt8(ascii: "-") }
            Hexadecimal.put(traceID.high, digits: 16, in: buffer, at: 3)
            Hexadecimal.put(traceID.low, digits: 16, in: buffer, at: 19)
            Hexadecimal.put(spanID.value, digits: 16, in: buffer, at: 36)
            Hexadecimal.put(UInt64(flags), digits: 2, in: buffer, at: 53)
            return Self.length
        }
    }

    /// The same trace, from another span.
    public func child(_ spanID: SpanID) -> TraceContext { TraceContext(traceID, spanID, flags: flags) }

    /// Members that `tracestate` may have in characters (§3.3.1.5: at least so many are passed on).
    public static let stateBytesMax = 512

    /// A `tracestate` that may be passed on: visible ASCII and spaces, of a bounded length.
    public static func acceptedState(_ text: String?) -> String? {
        guard let text, (1...stateBytesMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return nil }
        return text
    }
}

/// The id under which everything that belongs together is found.
public enum CorrelationID {
    public static let bytesMax = 200

    /// An id from outside, if it may stand in headers and logs: 1 to 200 visible ASCII characters.
    public static func accepted(_ text: String?) -> String? {
        guard let text, (1...bytesMax).contains(text.utf8.count),
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        return text
    }
}

extension SpanID {
    /// The id of something that has a name of its own and is told of more than once: whoever knows the name knows the
    /// id, and no record has to carry it.
    ///
    /// - Parameter number: Tells the parts of one thing apart.
    public init(of name: String, _ number: Int64 = 0) { value = NameHash.mix(name, UInt64(bitPattern: number)) }
}

extension TraceID {
    /// The trace of something that came without one.
    public init(of name: String) {
        self.init(high: NameHash.mix(name, 0x7472_6163_65), low: NameHash.mix(name, 0x6964))
    }
}

/// FNV-1a (Fowler, Noll, Vo) over a name, spread over all bits by SplitMix64's finisher; never zero.
private enum NameHash {
    static func mix(_ name: String, _ salt: UInt64) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ salt &* 0x9E37_79B9_7F4A_7C15
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ hash >> 30) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ hash >> 27) &* 0x94D0_49BB_1331_11EB
        hash ^= hash >> 31
        return hash == 0 ? 1 : hash
    }
}
