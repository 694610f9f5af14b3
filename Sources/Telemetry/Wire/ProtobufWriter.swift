/// Writes messages in Protocol Buffers' wire format (protobuf.dev, "Encoding").
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ number: Int, _ value: UInt64) {
        tag(number, 0)
        append(value)
    }

    mutating func fixed64(_ number: Int, _ value: UInt64) {
        tag(number, 1)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func fixed32(_ number: Int, _ value: UInt32) {
        tag(number, 5)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func bytes(_ number: Int, _ value: some Collection<UInt8>) {
        tag(number, 2)
        append(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    mutating func string(_ number: Int, _ value: String) { bytes(number, value.utf8) }

    /// A message within this one.
    mutating func message<Failure: Error>(
        _ number: Int, _ body: (inout ProtobufWriter) throws(Failure) -> Void
    ) throws(Failure) {
        var inner = ProtobufWriter()
        try body(&inner)
        bytes(number, inner.bytes)
    }

    /// A message again, with other bytes in those of its fields that hold bytes.
    ///
    /// - Parameter change: What takes the place of a field's bytes, by its number.
    static func rewriting(
        _ message: UnsafeRawBufferPointer,
        _ change: (Int, UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) -> [UInt8]
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        var reader = ProtobufReader(message)
        var writer = ProtobufWriter()
        while let field = try reader.next() {
            switch field.value {
            case .varint(let value): writer.varint(field.number, value)
            case .fixed64(let value): writer.fixed64(field.number, value)
            case .fixed32(let value): writer.fixed32(field.number, value)
            case .bytes(let inner): writer.bytes(field.number, try change(field.number, inner))
            }
        }
        return writer.bytes
    }

    private mutating func tag(_ number: Int, _ type: UInt64) { append(UInt64(number) << 3 | type) }

    private mutating func append(_ value: UInt64) { bytes.append(varint: value) }
}

extension [UInt8] {
    /// Seven bits a byte, the lowest first; the last byte alone is below 128.
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }
}
