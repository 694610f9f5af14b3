/// Why a text is no expression, with the bytes at fault.
public struct PromQLSyntaxError: Error, Sendable, CustomStringConvertible {
    public let reason: String
    public let place: Range<Int>
    /// Of the first byte at fault, both counted from 1, in characters.
    public let line: Int
    public let column: Int

    init(_ reason: String, _ place: Range<Int>, in text: [UInt8]) {
        self.reason = reason
        self.place = place
        let before = text.prefix(place.lowerBound)
        line = 1 + before.count { $0 == 10 }
        let lineStart = before.lastIndex(of: 10).map { $0 + 1 } ?? 0
        column = 1 + before[lineStart...].count { $0 & 0xC0 != 0x80 }
    }

    public var description: String { "\(line):\(column): parse error: \(reason)" }
}

/// A word, number or sign of an expression.
struct PromQLToken {
    enum Kind: Equatable {
        case word(String)
        case number(Double)
        /// Milliseconds.
        case duration(Int64)
        case string(String)
        case sign(String)
        case end
    }

    let kind: Kind
    let place: Range<Int>

    /// For messages.
    var name: String {
        switch kind {
        case .word(let text): "\"\(text.prefix(60))\""
        case .number(let value): "number \(QueryText.number(value))"
        case .duration: "duration"
        case .string: "string"
        case .sign(let text): "\"\(text)\""
        case .end: "end of input"
        }
    }
}

/// Takes an expression apart (Prometheus, `promql/parser/lex.go`).
struct PromQLLexer {
    private let text: [UInt8]
    private var position = 0
    private var isInBrackets = false

    init(_ text: [UInt8]) { self.text = text }

    static func tokens(_ text: [UInt8]) throws -> [PromQLToken] {
        var lexer = PromQLLexer(text)
        var tokens: [PromQLToken] = []
        while true {
            let token = try lexer.next()
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    private func failure(_ reason: String, from start: Int) -> PromQLSyntaxError {
        PromQLSyntaxError(reason, start..<max(start, position), in: text)
    }

    private var byte: UInt8? { position < text.count ? text[position] : nil }

    private mutating func skipBlanks() {
        while let byte {
            if byte == UInt8(ascii: "#") {
                while self.byte.map({ $0 != 10 }) == true { position += 1 }
            } else if [32, 9, 10, 13].contains(byte) {
                position += 1
            } else {
                return
            }
        }
    }

    private static let signs = [
        "=~", "!~", "==", "!=", ">=", "<=", "=", ">", "<", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[", "]",
        ",", ":", "@",
    ]

    private mutating func next() throws -> PromQLToken {
        skipBlanks()
        let start = position
        guard let byte else { return PromQLToken(kind: .end, place: start..<start) }
        let kind: PromQLToken.Kind
        if Self.isLetter(byte) || (byte == UInt8(ascii: ":") && isWordBehind) {
            while let byte = self.byte, Self.isLetter(byte) || Self.isDigit(byte) || byte == UInt8(ascii: ":") {
                position += 1
            }
            kind = .word(String(decoding: text[start..<position], as: UTF8.self))
        } else if Self.isDigit(byte) || (byte == UInt8(ascii: ".") && isDigitBehind) {
            kind = try number()
        } else if [UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`")].contains(byte) {
            kind = .string(try string(byte))
        } else if let sign = Self.signs.first(where: { text[start...].starts(with: $0.utf8) }) {
            position += sign.utf8.count
            if sign == "[" || sign == "]" { isInBrackets = sign == "[" }
            kind = .sign(sign)
        } else {
            position += 1
            throw failure("unexpected character \(QueryText.quoted(character(start)))", from: start)
        }
        return PromQLToken(kind: kind, place: start..<position)
    }

    private func character(_ start: Int) -> String {
        String(String(decoding: text[start...].prefix(4), as: UTF8.self).unicodeScalars.prefix(1))
    }

    /// A recording rule's name may begin with a colon; a subquery's step follows one.
    private var isWordBehind: Bool {
        position + 1 < text.count && Self.isLetter(text[position + 1]) && !isInBrackets
    }

    private var isDigitBehind: Bool { position + 1 < text.count && Self.isDigit(text[position + 1]) }

    static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte & ~32) || byte == 95 }

    static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    // MARK: Numbers

    private mutating func number() throws -> PromQLToken.Kind {
        let start = position
        while let byte, Self.isDigit(byte) || Self.isLetter(byte) || byte == UInt8(ascii: ".") || isSignOfExponent {
            position += 1
        }
        let word = String(decoding: text[start..<position], as: UTF8.self)
        if let value = Self.number(word) { return .number(value) }
        if let value = Self.duration(word) { return .duration(value) }
        throw failure("bad number or duration \(QueryText.quoted(String(word.prefix(60))))", from: start)
    }

    /// Whether the next byte is the sign of `1e-5`.
    private var isSignOfExponent: Bool {
        guard let byte, byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+"), position > 1 else { return false }
        return text[position - 1] & ~32 == UInt8(ascii: "E")
            && (Self.isDigit(text[position - 2]) || text[position - 2] == UInt8(ascii: "."))
            && position + 1 < text.count && Self.isDigit(text[position + 1])
    }

    /// As Go reads it: with `0x` hexadecimal, with a zero in front octal where it can be.
    static func number(_ word: String) -> Double? {
        let lower = word.lowercased()
        if lower.hasPrefix("0x") { return UInt64(lower.dropFirst(2), radix: 16).map { Double($0) } }
        if lower.hasPrefix("0"), lower.utf8.count > 1, lower.utf8.allSatisfy({ (48...55).contains($0) }) {
            return Int64(lower, radix: 8).map { Double($0) }
        }
        guard lower.utf8.allSatisfy({ isDigit($0) || [43, 45, 46, 101].contains($0) }) else { return nil }
        return Double(lower) ?? (lower.hasSuffix(".") ? Double(lower + "0") : nil)
    }

    private static let units: [(name: String, milliseconds: Int64)] = [
        ("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000),
        ("ms", 1),
    ]

    /// Milliseconds of `1h30m`: each unit once at most, the larger first (Prometheus, `model.ParseDuration`).
    static func duration(_ word: String) -> Int64? {
        if word == "0" { return 0 }
        var rest = word.utf8[...]
        var units = Self.units[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { isDigit($0) }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !isDigit($0) }
            rest = rest.dropFirst(unit.count)
            guard let count = Int64(String(Substring(digits))),
                let index = units.firstIndex(where: { $0.name.utf8.elementsEqual(unit) })
            else { return nil }
            let (part, isOver) = count.multipliedReportingOverflow(by: units[index].milliseconds)
            total += part
            guard !isOver, (0...QueryLimits.durationMax).contains(part), total <= QueryLimits.durationMax else {
                return nil
            }
            units = units[(index + 1)...]
        }
        return total
    }

    // MARK: Strings

    private mutating func string(_ quote: UInt8) throws -> String {
        let start = position
        position += 1
        var bytes: [UInt8] = []
        while let byte, byte != quote {
            position += 1
            if quote == UInt8(ascii: "`") {
                bytes.append(byte)
            } else if byte == 10 {
                throw failure("a string that is not closed on its line", from: start)
            } else if byte == UInt8(ascii: "\\") {
                try escape(quote, to: &bytes)
            } else {
                bytes.append(byte)
            }
        }
        guard byte == quote else { throw failure("unterminated string", from: start) }
        position += 1
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("a string that is not UTF-8", from: start)
        }
        return text
    }

    /// Go's escapes ("Rune literals").
    private mutating func escape(_ quote: UInt8, to bytes: inout [UInt8]) throws {
        let start = position - 1
        guard let byte else { throw failure("unterminated string", from: start) }
        position += 1
        switch byte {
        case UInt8(ascii: "a"): bytes.append(7)
        case UInt8(ascii: "b"): bytes.append(8)
        case UInt8(ascii: "f"): bytes.append(12)
        case UInt8(ascii: "n"): bytes.append(10)
        case UInt8(ascii: "r"): bytes.append(13)
        case UInt8(ascii: "t"): bytes.append(9)
        case UInt8(ascii: "v"): bytes.append(11)
        case UInt8(ascii: "\\"), quote: bytes.append(byte)
        case UInt8(ascii: "x"): bytes.append(UInt8(truncatingIfNeeded: try digits(2, 16, from: start)))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            guard let scalar = Unicode.Scalar(UInt32(try digits(byte == UInt8(ascii: "u") ? 4 : 8, 16, from: start)))
            else { throw failure("an escape that is no character", from: start) }
            bytes.append(contentsOf: String(Character(scalar)).utf8)
        case 48...55:
            position -= 1
            guard let value = UInt8(exactly: try digits(3, 8, from: start)) else {
                throw failure("an octal escape above 255", from: start)
            }
            bytes.append(value)
        default: throw failure("unknown escape sequence", from: start)
        }
    }

    private mutating func digits(_ count: Int, _ radix: Int, from start: Int) throws -> UInt32 {
        let end = min(text.count, position + count)
        let word = String(decoding: text[position..<end], as: UTF8.self)
        guard end - position == count, word.utf8.allSatisfy({ $0 != 43 && $0 != 45 }),
            let value = UInt32(word, radix: radix)
        else { throw failure("an escape needs \(count) digits", from: start) }
        position = end
        return value
    }
}
