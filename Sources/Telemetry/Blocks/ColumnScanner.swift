/// Reads what ``ColumnWriter`` wrote, some ten thousand numbers at a time: bytes that are none of ours are known at the
/// end instead of at each of them.
struct ColumnScanner {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position: Int
    private var isDamaged = false

    init(_ bytes: UnsafeRawBufferPointer, from position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    /// - Throws: ``ColumnReader/Damaged`` where something was read that is not there.
    func check() throws(ColumnReader.Damaged) {
        if isDamaged { throw ColumnReader.Damaged() }
    }

    mutating func number() -> UInt64 {
        guard position < bytes.count else { return fail() }
        let first = bytes[position]
        position += 1
        guard first >= 0x80 else { return UInt64(first) }
        var value = UInt64(first & 0x7F)
        var shift: UInt64 = 7
        while position < bytes.count, shift < 64 {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return fail()
    }

    mutating func signed() -> Int64 {
        let value = number()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    mutating func whole() -> UInt64 {
        guard bytes.count - position >= 8 else { return fail() }
        defer { position += 8 }
        return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
    }

    /// A count of things of which each takes a byte at least; 0 where there cannot be so many.
    mutating func length() -> Int {
        let value = number()
        guard value <= UInt64(bytes.count - position) else { return Int(fail()) }
        return Int(value)
    }

    /// So many counts, which are less than the bytes in all.
    mutating func counts(_ count: Int) -> [Int] {
        var rest = bytes.count
        return (0..<count).map { _ in
            let value = number()
            guard value <= UInt64(rest) else { return Int(fail()) }
            rest -= Int(value)
            return Int(value)
        }
    }

    /// So many numbers, none of them above `max`.
    mutating func numbers(_ count: Int, max: Int) -> [Int32] {
        (0..<count).map { _ in
            let value = number()
            return value <= UInt64(max) ? Int32(truncatingIfNeeded: value) : Int32(fail())
        }
    }

    mutating func skip(_ count: Int) {
        guard count >= 0, count <= bytes.count - position else {
            _ = fail()
            return
        }
        position += count
    }

    private mutating func fail() -> UInt64 {
        isDamaged = true
        position = bytes.count
        return 0
    }
}
