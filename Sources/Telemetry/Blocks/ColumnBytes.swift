/// Columns of numbers and texts as bytes: numbers with seven bits a byte, signed ones in zigzag (protobuf.dev,
/// "Encoding"), so that small ones are short and what is alike lies together.
struct ColumnWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ value: UInt64) { bytes.append(varint: value) }

    mutating func append(_ value: Int) { append(UInt64(value)) }

    mutating func append(signed value: Int64) { append(UInt64(bitPattern: (value &<< 1) ^ (value >> 63))) }

    /// All eight bytes, for what no compression shortens.
    mutating func append(whole value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ content: UnsafeRawBufferPointer) {
        append(content.count)
        bytes.append(contentsOf: content)
    }

    /// Bytes without their length.
    mutating func append(raw content: [UInt8]) { bytes.append(contentsOf: content) }

    mutating func append(_ text: String) {
        append(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }
}

/// Reads what ``ColumnWriter`` wrote.
struct ColumnReader {
    /// The bytes are none of ours.
    struct Damaged: Error {}

    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func number() throws(Damaged) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Damaged()
    }

    mutating func count() throws(Damaged) -> Int {
        guard let count = Int(exactly: try number()) else { throw Damaged() }
        return count
    }

    /// A count of things of which each takes a byte at least.
    mutating func length() throws(Damaged) -> Int {
        let count = try count()
        guard count <= bytes.count - position else { throw Damaged() }
        return count
    }

    mutating func signed() throws(Damaged) -> Int64 {
        let value = try number()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func whole() throws(Damaged) -> UInt64 {
        guard bytes.count - position >= 8 else { throw Damaged() }
        defer { position += 8 }
        return bytes.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        }
    }

    mutating func slice() throws(Damaged) -> ArraySlice<UInt8> { try slice(of: try length()) }

    /// So many bytes.
    mutating func slice(of count: Int) throws(Damaged) -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytes.count - position else { throw Damaged() }
        defer { position += count }
        return bytes[position..<position + count]
    }

    /// What was not read.
    var rest: ArraySlice<UInt8> { bytes[position...] }

    mutating func text() throws(Damaged) -> String { String(decoding: try slice(), as: UTF8.self) }
}
