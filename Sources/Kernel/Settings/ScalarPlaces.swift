/// Where the characters of a scalar stand in the document that it was read from: what YAML takes away of a text
/// (indentation, folds of lines, escapes) moves all that follows.
///
/// The text is read once more, as libyaml reads it (`scanner.c`: `yaml_parser_scan_block_scalar`,
/// `…_flow_scalar`, `…_plain_scalar`), and the places count only where the very same text comes of it.
struct ScalarPlaces {
    typealias Place = (line: Int, column: Int)

    /// How a scalar is written.
    enum Style: Sendable {
        case plain, singleQuoted, doubleQuoted, literal, folded
    }

    private let source: [Unicode.Scalar]
    private var next: Int
    private var here: Place
    private var text: [Unicode.Scalar] = []
    private var places: [Place] = []

    /// - Parameters:
    ///   - source: The whole document.
    ///   - start: Where the scalar begins, both counted from 1.
    private init(_ source: [Unicode.Scalar], from start: Place) {
        self.source = source
        (next, here) = (0, (1, 1))
        while next < source.count, here < start { skip() }
    }

    /// The place of a scalar's character; `nil` where it cannot be told.
    ///
    /// - Parameters:
    ///   - offset: In UTF-8; what lies behind the text's last word stands behind that word.
    ///   - text: What was read.
    static func place(
        of offset: Int, in text: String, _ style: Style, _ source: String, from start: Place
    ) -> Place? {
        let wanted = Array(text.unicodeScalars)
        var index = wanted.count
        var bytes = 0
        for (place, scalar) in wanted.enumerated() {
            if bytes >= offset {
                index = place
                break
            }
            bytes += UTF8.width(scalar)
        }
        let reader = ScalarPlaces(Array(source.unicodeScalars), from: start)
        guard let places = reader.places(of: wanted, style) else { return nil }
        let end = wanted.lastIndex { !$0.properties.isWhitespace }.map { $0 + 1 } ?? 0
        if index < end { return places[index] }
        guard end > 0 else { return start }
        return (places[end - 1].line, places[end - 1].column + 1)
    }

    private func places(of wanted: [Unicode.Scalar], _ style: Style) -> [Place]? {
        var reader = self
        reader.skipProperties()
        switch style {
        case .literal, .folded:
            // How far a block is indented may depend on what it stands in: whatever gives the text is right.
            let signs = reader.header()
            let isGiven = signs.contains { ("1"..."9").contains($0) }
            for indent in isGiven ? 1...Self.indentMax : reader.indent...reader.indent {
                var one = reader
                one.block(indent: indent, isFolded: style == .folded, signs)
                if one.text == wanted { return one.places }
            }
            return nil
        case .singleQuoted, .doubleQuoted: reader.quoted(isDouble: style == .doubleQuoted)
        case .plain: reader.plain(wanted.count)
        }
        return reader.text == wanted ? reader.places : nil
    }

    /// The deepest that a block is looked for whose indentation is given.
    private static let indentMax = 200

    // MARK: Characters

    private var peek: Unicode.Scalar? { next < source.count ? source[next] : nil }
    private var isBlank: Bool { peek == " " || peek == "\t" }
    private var isBreak: Bool { peek.map(Self.breaks.contains) ?? false }
    private static let breaks: Set<Unicode.Scalar> = ["\r", "\n", "\u{85}", "\u{2028}", "\u{2029}"]

    private mutating func skip() {
        guard let scalar = peek else { return }
        let isPair = scalar == "\r" && next + 1 < source.count && source[next + 1] == "\n"
        next += isPair ? 2 : 1
        here = Self.breaks.contains(scalar) ? (here.line + 1, 1) : (here.line, here.column + 1)
    }

    private mutating func take(_ scalar: Unicode.Scalar? = nil) {
        guard let read = peek else { return }
        text.append(scalar ?? read)
        places.append(here)
        skip()
    }

    /// What stands before a scalar: its anchor and its tag.
    private mutating func skipProperties() {
        while peek == "&" || peek == "!" {
            while let scalar = peek, !isBlank, !Self.breaks.contains(scalar) { skip() }
            while isBlank || isBreak { skip() }
        }
    }
}

// MARK: Blocks

extension ScalarPlaces {
    private typealias Break = (scalar: Unicode.Scalar, place: Place)

    /// Reads a block's first line.
    ///
    /// - Returns: What it says of the indentation and of the end.
    private mutating func header() -> [Unicode.Scalar] {
        var signs: [Unicode.Scalar] = []
        skip()
        while let sign = peek, !isBlank, !isBreak {
            signs.append(sign)
            skip()
        }
        while peek != nil, !isBreak { skip() }
        skip()
        return signs
    }

    /// How far its first line that is not empty is indented.
    private var indent: Int {
        var reader = self
        while reader.peek == " " || reader.isBreak { reader.skip() }
        return reader.here.column - 1
    }

    private mutating func lineBreak() -> Break? {
        guard isBreak, let scalar = peek else { return nil }
        let isKept = scalar == "\u{2028}" || scalar == "\u{2029}"
        let found: Break = (isKept ? scalar : "\n", here)
        skip()
        return found
    }

    /// Empty lines, up to the indentation of the next one.
    private mutating func emptyLines(_ indent: Int) -> [Break] {
        var found: [Break] = []
        while true {
            while here.column <= indent, peek == " " { skip() }
            guard let end = lineBreak() else { return found }
            found.append(end)
        }
    }

    private mutating func append(_ breaks: [Break]) {
        for one in breaks {
            text.append(one.scalar)
            places.append(one.place)
        }
    }

    private mutating func block(indent: Int, isFolded: Bool, _ signs: [Unicode.Scalar]) {
        var leading: [Break] = []
        var wasBlank = false
        var trailing = emptyLines(indent)
        while here.column == indent + 1, peek != nil {
            let startsBlank = isBlank
            if isFolded, leading.first?.scalar == "\n", !wasBlank, !startsBlank {
                if trailing.isEmpty { append([(" ", leading[0].place)]) }
            } else {
                append(leading)
            }
            append(trailing)
            wasBlank = startsBlank
            while peek != nil, !isBreak { take() }
            leading = lineBreak().map { [$0] } ?? []
            trailing = emptyLines(indent)
        }
        if !signs.contains("-") { append(leading) }
        if signs.contains("+") { append(trailing) }
    }
}

// MARK: Flow

extension ScalarPlaces {
    private mutating func quoted(isDouble: Bool) {
        let quote: Unicode.Scalar = isDouble ? "\"" : "'"
        skip()
        while peek != nil {
            var isContinued = false
            while let scalar = peek, !isBlank, !isBreak {
                if scalar == quote {
                    guard !isDouble, next + 1 < source.count, source[next + 1] == quote else { return }
                    take()
                    skip()
                } else if isDouble, scalar == "\\" {
                    guard !escape() else { continue }
                    isContinued = true
                    break
                } else {
                    take()
                }
            }
            fold(isContinued: isContinued)
        }
    }

    /// - Returns: Whether it was a character; else it was the end of a line.
    private mutating func escape() -> Bool {
        let start = here
        skip()
        guard let code = peek, !isBreak else {
            skip()
            return false
        }
        skip()
        var made = Self.escapes[code] ?? code
        if let count = Self.digits[code] {
            var number: UInt32 = 0
            for _ in 0..<count {
                number = number &* 16 &+ UInt32(peek.flatMap { Character($0).hexDigitValue } ?? 0)
                skip()
            }
            made = Unicode.Scalar(number) ?? "\u{FFFD}"
        }
        text.append(made)
        places.append(start)
        return true
    }

    /// How many digits follow the letter of an escape.
    private static let digits: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]

    private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
        "0": "\0", "a": "\u{7}", "b": "\u{8}", "t": "\t", "n": "\n", "v": "\u{B}", "f": "\u{C}", "r": "\r",
        "e": "\u{1B}", "N": "\u{85}", "_": "\u{A0}", "L": "\u{2028}", "P": "\u{2029}",
    ]

    /// As many characters as there are.
    private mutating func plain(_ count: Int) {
        while peek != nil, text.count < count {
            while peek != nil, !isBlank, !isBreak, text.count < count { take() }
            if text.count < count { fold(isContinued: false) }
        }
    }

    /// Spaces between words, and ends of lines, which become a space or are as many as there are empty lines.
    private mutating func fold(isContinued: Bool) {
        var isFolded = isContinued
        var first: Break?
        var others: [Break] = []
        var spaces: [Break] = []
        while isBlank || isBreak {
            if let end = lineBreak() {
                if isFolded { others.append(end) } else { (first, isFolded) = (end, true) }
            } else {
                if !isFolded, let scalar = peek { spaces.append((scalar, here)) }
                skip()
            }
        }
        if let first, first.scalar == "\n" {
            append(others.isEmpty ? [(" " as Unicode.Scalar, first.place)] : others)
        } else if isFolded {
            append((first.map { [$0] } ?? []) + others)
        } else {
            append(spaces)
        }
    }
}
