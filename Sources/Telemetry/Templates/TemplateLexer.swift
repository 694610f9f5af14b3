/// Takes a template apart: text, and the tokens of its actions.
struct TemplateLexer {
    enum Token: Equatable {
        case word(String)
        /// `$name`; empty for `$`.
        case variable(String)
        /// `.name`; empty for `.`.
        case field(String)
        /// `.name` of what stands right before it.
        case chain(String)
        case constant(TemplateValue)
        case sign(Character)
        case declare
    }

    enum Piece {
        case text(String)
        case action([Token], line: Int)
    }

    private let text: [Character]
    private var position = 0
    /// The line up to where it was counted.
    private var counted = (position: 0, line: 1)

    /// Characters of a template.
    static let charactersMax = 65_536

    static func pieces(_ text: String) throws -> [Piece] {
        guard text.utf8.count <= charactersMax else {
            throw TemplateFault("it has more than \(charactersMax) bytes")
        }
        var lexer = TemplateLexer(text: Array(text))
        return try lexer.pieces()
    }

    private init(text: [Character]) { self.text = text }

    private mutating func line() -> Int {
        counted.line += text[counted.position..<position].count(where: \.isNewline)
        counted.position = position
        return counted.line
    }

    private mutating func fault(_ text: String) -> TemplateFault { TemplateFault("line \(line()): \(text)") }

    private func sees(_ sign: String, at place: Int) -> Bool { text[min(place, text.count)...].starts(with: sign) }

    private mutating func pieces() throws -> [Piece] {
        var pieces: [Piece] = []
        var literal = ""
        while position < text.count {
            guard sees("{{", at: position) else {
                literal.append(text[position])
                position += 1
                continue
            }
            position += 2
            // `{{- ` takes the white space before it away.
            if sees("-", at: position), position + 1 < text.count, text[position + 1].isWhitespace {
                position += 1
                while literal.last?.isWhitespace == true { literal.removeLast() }
            }
            if !literal.isEmpty { pieces.append(.text(literal)) }
            literal = ""
            let line = line()
            let tokens = try action()
            if let tokens { pieces.append(.action(tokens, line: line)) }
        }
        if !literal.isEmpty { pieces.append(.text(literal)) }
        return pieces
    }

    /// The tokens of an action up to its `}}`; `nil` for a comment.
    private mutating func action() throws -> [Token]? {
        var tokens: [Token] = []
        var isComment = false
        while position < text.count {
            if isEnd() { return isComment ? nil : tokens }
            let character = text[position]
            if character.isWhitespace {
                position += 1
            } else if sees("/*", at: position) {
                guard let end = (position..<text.count).first(where: { sees("*/", at: $0) }) else {
                    throw fault("a comment without its end")
                }
                position = end + 2
                isComment = tokens.isEmpty
            } else {
                tokens.append(try token(character))
            }
        }
        throw fault("an action without its }}")
    }

    /// Whether the action ends here; ` -}}` takes the white space behind it away.
    private mutating func isEnd() -> Bool {
        if sees("}}", at: position) {
            position += 2
            return true
        }
        guard sees("-}}", at: position), position > 0, text[position - 1].isWhitespace else { return false }
        position += 3
        while position < text.count, text[position].isWhitespace { position += 1 }
        return true
    }

    private mutating func token(_ character: Character) throws -> Token {
        switch character {
        case "\"", "`", "'": return try quoted(character)
        case "$":
            position += 1
            return .variable(name())
        case ".":
            if position + 1 < text.count, text[position + 1].isNumber { return try number() }
            let before = text[position - 1]
            position += 1
            return before.isLetter || before.isNumber || "_$)".contains(before) ? .chain(name()) : .field(name())
        case "(", ")", "|", ",":
            position += 1
            return .sign(character)
        case ":":
            guard sees(":=", at: position) else { break }
            position += 2
            return .declare
        case "=":
            position += 1
            return .sign(character)
        case "0"..."9", "-", "+": return try number()
        default:
            let word = name()
            guard !word.isEmpty else { break }
            switch word {
            case "true": return .constant(.bool(true))
            case "false": return .constant(.bool(false))
            case "nil": return .constant(.nothing)
            default: return .word(word)
            }
        }
        throw fault("\"\(character)\" is not expected here")
    }

    private mutating func name() -> String {
        let name = text[position...].prefix { $0.isLetter || $0.isNumber || $0 == "_" }
        position += name.count
        return String(name)
    }

    private mutating func number() throws -> Token {
        let start = position
        position += 1
        while position < text.count, text[position].isHexDigit || "._xXpP".contains(text[position]) || isExponent() {
            position += 1
        }
        let digits = String(text[start..<position]).replacing("_", with: "")
        let hexadecimal = digits.lowercased().firstRange(of: "0x").map { digits[$0.upperBound...] }
        if let hexadecimal, let number = Int(hexadecimal, radix: 16) {
            return .constant(.int(digits.hasPrefix("-") ? -number : number))
        }
        if let number = Int(digits) { return .constant(.int(number)) }
        guard let number = Double(digits) else { throw fault("\(digits) is no number") }
        return .constant(.float(number))
    }

    /// The sign of an exponent, as in `1e-3`.
    private func isExponent() -> Bool {
        "+-".contains(text[position]) && "eE".contains(text[position - 1])
    }

    private static let escapes: [Character: Character] = [
        "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "\"": "\"", "'": "'", "a": "\u{7}", "b": "\u{8}", "f": "\u{C}",
        "v": "\u{B}",
    ]
    private static let hexadecimal: [Character: Int] = ["x": 2, "u": 4, "U": 8]

    private mutating func quoted(_ quote: Character) throws -> Token {
        position += 1
        var content = ""
        while position < text.count, text[position] != quote {
            var character = text[position]
            position += 1
            if character == "\\", quote != "`", position < text.count {
                let sign = text[position]
                position += 1
                if let plain = Self.escapes[sign] {
                    character = plain
                } else if let width = Self.hexadecimal[sign], position + width <= text.count,
                    let value = UInt32(String(text[position..<position + width]), radix: 16),
                    let scalar = Unicode.Scalar(value)
                {
                    character = Character(scalar)
                    position += width
                } else {
                    throw fault("\\\(sign) is no escape")
                }
            } else if character.isNewline, quote != "`" {
                throw fault("a text without its end")
            }
            content.append(character)
        }
        guard position < text.count else { throw fault("a text without its end") }
        position += 1
        guard quote == "'" else { return .constant(.string(content)) }
        guard let scalar = content.unicodeScalars.first, content.unicodeScalars.count == 1 else {
            throw fault("a character is one")
        }
        return .constant(.int(Int(scalar.value)))
    }
}
