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
        let time = (0..<6).map { UInt8(truncatingIfNeeded: milliseconds >> (40 - 8 * UInt64($0))) }
        self.text = Subject.idPrefix + "_" + Hexadecimal.encode(time + bytes)
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
    private static let digits = Array("0123456789abcdef".utf8)

    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    public static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
