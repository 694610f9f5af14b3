/// Reads RFC 8259 JSON strictly: UTF-8 only, a depth limit, no duplicate members, no NUL in strings (PostgreSQL cannot
/// keep one, and both engines must accept the same documents).
public struct JSONParser {
    /// Why a text is not acceptable JSON, and at which byte.
    public struct Failure: Error, Equatable {
        public let reason: String
        public let offset: Int
        /// Whether the text is JSON all the same, with a value that Reeve does not keep.
        public var isJSON = false
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private let depthMax: Int
    private var position = 0

    private init(_ bytes: UnsafeBufferPointer<UInt8>, depthMax: Int) {
        self.bytes = bytes
        self.depthMax = depthMax
    }

    /// Parses a whole document; throws ``Failure``.
    public static func parse(_ bytes: some Collection<UInt8>, depthMax: Int = Limits.jsonDepthDefault) throws
        -> JSONValue
    {
        let parsed = try bytes.withContiguousStorageIfAvailable { try parseDocument($0, depthMax: depthMax) }
        if let parsed { return parsed }
        return try Array(bytes).withUnsafeBufferPointer { try parseDocument($0, depthMax: depthMax) }
    }

    /// Parses a text of our own making or from our own store.
    public static func parse(_ text: String, depthMax: Int = Limits.jsonDepthDefault) throws -> JSONValue {
        var text = text
        return try text.withUTF8 { try parseDocument($0, depthMax: depthMax) }
    }

    private static func parseDocument(_ bytes: UnsafeBufferPointer<UInt8>, depthMax: Int) throws -> JSONValue {
        var parser = JSONParser(bytes, depthMax: depthMax)
        parser.skipSpace()
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.failure("text after the end of the document") }
        return value
    }

    private func failure(_ reason: String) -> Failure { Failure(reason: reason, offset: position) }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func value(depth: Int) throws -> JSONValue {
        guard position < bytes.count else { throw failure("the document ends where a value is expected") }
        switch bytes[position] {
        case UInt8(ascii: "{"):
            guard depth < depthMax else { throw failure("nested deeper than \(depthMax)") }
            return try object(depth: depth + 1)
        case UInt8(ascii: "["):
            guard depth < depthMax else { throw failure("nested deeper than \(depthMax)") }
            return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw failure("not a JSON value")
        }
    }

    private mutating func literal(_ word: StaticString, _ value: JSONValue) throws -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw failure("not a JSON value") }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] {
            throw failure("not a JSON value")
        }
        position += count
        return value
    }

    private mutating func object(depth: Int) throws -> JSONValue {
        position += 1
        var object = JSONObject()
        var seen: Set<String> = []
        skipSpace()
        if take("}") { return .object(object) }
        while true {
            skipSpace()
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                throw failure("a member's name in quotes is expected")
            }
            let name = try string()
            // A second value for one name would mean different things to different readers.
            let isNew = object.count < 8 ? object[name] == nil : remember(name, &seen, object)
            guard isNew else { throw failure("the member \"\(name.prefix(40))\" stands twice") }
            skipSpace()
            guard take(":") else { throw failure("':' is expected") }
            skipSpace()
            object.append(name, try value(depth: depth))
            skipSpace()
            if take("}") { return .object(object) }
            guard take(",") else { throw failure("',' or '}' is expected") }
        }
    }

    private func remember(_ name: String, _ seen: inout Set<String>, _ object: JSONObject) -> Bool {
        if seen.isEmpty { seen = Set(object.names) }
        return seen.insert(name).inserted
    }

    private mutating func array(depth: Int) throws -> JSONValue {
        position += 1
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            skipSpace()
            values.append(try value(depth: depth))
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw failure("',' or ']' is expected") }
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func number() throws -> JSONValue {
        let start = position
        var isInteger = true
        _ = take("-")
        let leading = position
        try digits()
        if bytes[leading] == UInt8(ascii: "0"), position - leading > 1 { throw failure("a number with a leading zero") }
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        if isInteger, position - leading < Self.digitsOfWord { return .int(small(leading..<position, from: start)) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw failure("a number out of range") }
        return .double(value)
    }

    /// So many digits may be more than a word holds.
    private static let digitsOfWord = 19

    /// The number that these digits are, which fits into a word.
    private func small(_ digits: Range<Int>, from start: Int) -> Int64 {
        let value = bytes[digits].reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        return digits.lowerBound > start ? -value : value
    }

    private mutating func digits() throws {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        if position == start { throw failure("a digit is expected") }
    }

    private mutating func string() throws -> String {
        position += 1
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                let text = try decode(start..<position)
                position += 1
                return text
            case UInt8(ascii: "\\"): return try escapedString(from: start)
            case 0..<0x20: throw failure("a control character in a string")
            default: position += 1
            }
        }
        throw failure("a string without an end")
    }

    private func decode(_ range: Range<Int>) throws -> String {
        let part = UnsafeBufferPointer(rebasing: bytes[range])
        // ASCII, as most is, cannot be invalid, and need not pass by the generic code that finds out.
        if part.reduce(0, |) < 0x80 { return String(decoding: part, as: UTF8.self) }
        guard let text = String(validating: part, as: UTF8.self) else {
            throw Failure(reason: "invalid UTF-8", offset: range.lowerBound)
        }
        return text
    }

    private mutating func escapedString(from start: Int) throws -> String {
        var text = try decode(start..<position)
        var plain = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                text += try decode(plain..<position)
                position += 1
                return text
            case UInt8(ascii: "\\"):
                text += try decode(plain..<position)
                position += 1
                text.unicodeScalars.append(try escape())
                plain = position
            case 0..<0x20: throw failure("a control character in a string")
            default: position += 1
            }
        }
        throw failure("a string without an end")
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard position < bytes.count else { throw failure("a string without an end") }
        let character = bytes[position]
        position += 1
        switch character {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicodeEscape()
        default: throw failure("an unknown escape in a string")
        }
    }

    private mutating func unicodeEscape() throws -> Unicode.Scalar {
        let first = try hexQuad()
        guard first != 0 else { throw Failure(reason: "NUL in a string", offset: position, isJSON: true) }
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xD800..<0xDC00).contains(first), take("\\"), take("u") else {
            throw failure("half of a surrogate pair")
        }
        let second = try hexQuad()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw failure("half of a surrogate pair") }
        return scalar
    }

    private mutating func hexQuad() throws -> UInt32 {
        guard position + 4 <= bytes.count else { throw failure("a string without an end") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw failure("four hexadecimal digits are expected")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        return value
    }
}
