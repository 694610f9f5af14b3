/// Reads the fields of a message in Protocol Buffers' wire format (protobuf.dev, "Encoding") where they lie.
///
/// A decoder that makes an object of each message costs several times what a span may cost; of most spans a dozen
/// fields are looked at, and the rest is kept as it came. The bytes are hostile: whatever leads out of them is
/// ``Malformed``.
struct ProtobufReader {
    /// The bytes are no message.
    struct Malformed: Error, Equatable {}

    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        /// A string, bytes, or a message within.
        case bytes(UnsafeRawBufferPointer)
    }

    struct Field {
        let number: Int
        let value: Value

        /// The bytes of a length-delimited field; `nil` for one of another type, which is then unknown (a field whose
        /// wire type is not the schema's is skipped by all decoders).
        var bytes: UnsafeRawBufferPointer? {
            if case .bytes(let bytes) = value { bytes } else { nil }
        }

        var varint: UInt64? {
            if case .varint(let value) = value { value } else { nil }
        }

        var fixed64: UInt64? {
            if case .fixed64(let value) = value { value } else { nil }
        }
    }

    private let message: UnsafeRawBufferPointer
    /// How far it has been read.
    private(set) var position = 0

    init(_ message: UnsafeRawBufferPointer) { self.message = message }

    /// The next field, or `nil` at the message's end.
    mutating func next() throws(Malformed) -> Field? {
        guard position < message.count else { return nil }
        let tag = try varint()
        let number = Int(truncatingIfNeeded: tag >> 3)
        guard number > 0, tag >> 3 <= 0x1FFF_FFFF else { throw Malformed() }
        switch tag & 7 {
        case 0: return Field(number: number, value: .varint(try varint()))
        case 1: return Field(number: number, value: .fixed64(try fixed(UInt64.self)))
        case 2:
            let count = try varint()
            guard count <= UInt64(message.count - position) else { throw Malformed() }
            let start = position
            position += Int(count)
            return Field(number: number, value: .bytes(UnsafeRawBufferPointer(rebasing: message[start..<position])))
        case 5: return Field(number: number, value: .fixed32(try fixed(UInt32.self)))
        // Groups, which no message here has.
        default: throw Malformed()
        }
    }

    private mutating func fixed<Number: FixedWidthInteger>(_: Number.Type) throws(Malformed) -> Number {
        let size = MemoryLayout<Number>.size
        guard message.count - position >= size else { throw Malformed() }
        defer { position += size }
        return Number(littleEndian: message.loadUnaligned(fromByteOffset: position, as: Number.self))
    }

    private mutating func varint() throws(Malformed) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < message.count, shift < 70 {
            let byte = message[position]
            position += 1
            value |= UInt64(byte & 0x7F) &<< min(shift, 63)
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Malformed()
    }
}
