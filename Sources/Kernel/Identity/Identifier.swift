/// A noun that has ids: the prefix makes an id readable wherever it turns up.
public protocol Identified {
    static var idPrefix: String { get }
}

/// The id of one `Subject`: its prefix, `_`, and a UUIDv7 (RFC 9562 §5.7) in 32 hexadecimal digits.
///
/// The first 48 bits are the creation time in milliseconds, so ids sort by creation, in memory and in an index.
public struct Identifier<Subject: Identified>: Sendable, Hashable, Comparable {
    public let text: String

    /// A new id at this moment of this world.
    public init(_ world: World) {
        let milliseconds = UInt64(clamping: world.now.microseconds / 1_000)
        var bytes = world.entropy.bytes(10)
        bytes[0] = bytes[0] & 0x0F | 0x70
        bytes[2] = bytes[2] & 0x3F | 0x80
        var all: [UInt8] = []
        all.reserveCapacity(16)
        for index in 0..<6 { all.append(UInt8(truncatingIfNeeded: milliseconds >> (40 - 8 * UInt64(index)))) }
        all.append(contentsOf: bytes)
        self.text = Hexadecimal.encode(all, behind: Subject.idPrefix, "_")
    }

    /// An id from outside; `nil` unless it has this noun's form.
    public init?(_ text: String) {
        let prefix = Subject.idPrefix + "_"
        guard text.hasPrefix(prefix), text.utf8.count == prefix.utf8.count + 32,
            text.utf8.dropFirst(prefix.utf8.count).allSatisfy(Hexadecimal.isDigit)
        else { return nil }
        self.text = text
    }

    /// An id from our own store, whose form was checked when it went in.
    public init(stored text: String) {
        self.text = text
    }

    public static func < (left: Self, right: Self) -> Bool { left.text < right.text }
}

extension Identifier: CustomStringConvertible, JSONConvertible {
    public var description: String { text }
    public var json: JSONValue { .string(text) }
}

/// Lower-case hexadecimal, for ids, hashes and keys.
public enum Hexadecimal {
    public static func encode(_ bytes: some Sequence<UInt8>) -> String { encode(Array(bytes), behind: "", "") }

    /// The digits behind two texts: ids are made for every request, so in one piece.
    static func encode(_ bytes: [UInt8], behind prefix: String, _ separator: StaticString) -> String {
        let length = prefix.utf8.count + separator.utf8CodeUnitCount + 2 * bytes.count
        return String(unsafeUninitializedCapacity: length) { buffer in
            var end = 0
            func put(_ byte: UInt8) {
                buffer[end] = byte
                end += 1
            }
            for byte in prefix.utf8 { put(byte) }
            separator.withUTF8Buffer { for byte in $0 { put(byte) } }
            for byte in bytes {
                put(digit(byte >> 4))
                put(digit(byte & 15))
            }
            return end
        }
    }

    /// The bytes that an even number of digits stands for, in either case; `nil` for any other text.
    public static func decode(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// The number that up to sixteen digits stand for, the highest one first; `nil` where one of them is no digit.
    ///
    /// - Parameter isLower: Whether digits have to be in lower case.
    public static func number(_ digits: Slice<UnsafeBufferPointer<UInt8>>, isLower: Bool = false) -> UInt64? {
        guard (1...16).contains(digits.count) else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard let value = value(digit), !isLower || isDigit(digit) else { return nil }
            number = number << 4 | UInt64(value)
        }
        return number
    }

    /// Writes a number's lowest digits at a place of a buffer that has room for them, the highest one first.
    public static func put(
        _ number: UInt64, digits count: Int, in buffer: UnsafeMutableBufferPointer<UInt8>, at place: Int
    ) {
        for index in 0..<count {
            buffer[place + index] = digit(UInt8(truncatingIfNeeded: number >> UInt64(4 * (count - 1 - index))) & 15)
        }
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") + value : 87 + value }

    public static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
