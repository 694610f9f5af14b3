import Kernel

/// A log query of Grafana's language (Loki documentation, "Log queries"): a selector, line filters, `| json` and label
/// filters. What it has beyond that is refused by name, and with its place.
struct LogQL {
    /// Why a text is no query that is answered here.
    struct Failure: Error, Equatable {
        let reason: String
        /// Unicode scalars before the place.
        let offset: Int
    }

    /// Characters of a query.
    static let charactersMax = 5_000

    private(set) var conditions: [LogCondition] = []
    /// Whether attributes are shown as labels.
    private(set) var showsAttributes = false

    init(_ text: String) throws(Failure) {
        var parser = LogQLParser(text)
        guard text.unicodeScalars.count <= Self.charactersMax else {
            throw Failure(reason: "the query has more than \(Self.charactersMax) characters", offset: 0)
        }
        conditions = try parser.selector()
        while let stage = try parser.stage() {
            switch stage {
            case .parse: showsAttributes = true
            case .condition(let condition): conditions.append(condition)
            }
            guard conditions.count <= LogQuery.conditionsMax else {
                throw parser.failure("the query has more than \(LogQuery.conditionsMax) conditions")
            }
        }
    }

    /// The labels of a stream, as a push in protobuf has them: `{name="value",…}`.
    static func labels(_ text: String) throws(Failure) -> LogLabels {
        var parser = LogQLParser(text)
        var labels = LogLabels()
        for condition in try parser.selector(isStream: true) {
            guard case .field(let name, let matcher) = condition, case .equal(let value) = matcher.kind,
                !matcher.isNegated
            else { throw parser.failure("a stream's labels are `name=\"value\"`") }
            labels[name] = value
        }
        return labels
    }

    /// Letters, digits, underscores and colons, no digit first (Prometheus, "Data model").
    static func isLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy(LogQLParser.isWord)
    }
}

/// Reads a query from its start to its end.
struct LogQLParser {
    enum Stage {
        case parse
        case condition(LogCondition)
    }

    private let scalars: [Unicode.Scalar]
    private var position = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    func failure(_ reason: String) -> LogQL.Failure { LogQL.Failure(reason: reason, offset: position) }

    /// - Parameter isStream: Whether it may say nothing that only a query would be too wide with.
    mutating func selector(isStream: Bool = false) throws(LogQL.Failure) -> [LogCondition] {
        skipSpace()
        guard take("{") else {
            throw failure(
                peekWord().isEmpty
                    ? "a selector such as {service_name=\"writer\"} is expected"
                    : "only log queries are answered here; they begin with a selector such as {service_name=\"writer\"}"
            )
        }
        var conditions: [LogCondition] = []
        var isNarrow = false
        skipSpace()
        while !take("}") {
            if !conditions.isEmpty {
                guard take(",") else { throw failure("`,` or `}` is expected") }
                skipSpace()
                if take("}") { break }
            }
            let (name, matcher) = try labelMatcher()
            var steps = LogMatcher.stepsMax
            isNarrow = isNarrow || !matcher.isMet(by: [], stepsLeft: &steps)
            conditions.append(.field(name, matcher))
            skipSpace()
        }
        guard isNarrow || isStream else {
            throw failure("at least one matcher must not match the empty text, or all streams would be meant")
        }
        return conditions
    }

    private mutating func labelMatcher() throws(LogQL.Failure) -> (String, LogMatcher) {
        let name = word()
        guard LogQL.isLabelName(name) else { throw failure("a label's name is expected") }
        skipSpace()
        let start = position
        for (symbol, isPattern, isNegated) in [
            ("=~", true, false), ("!~", true, true), ("!=", false, true), ("==", false, false), ("=", false, false),
        ] where take(symbol) {
            skipSpace()
            let text = try quoted()
            guard isPattern else { return (name, .equal(text, isNegated: isNegated)) }
            return (name, .matches(try pattern(text, at: start), isNegated: isNegated))
        }
        throw failure("=, !=, =~ or !~ is expected")
    }

    /// The next part of the pipeline; `nil` at the end.
    mutating func stage() throws(LogQL.Failure) -> Stage? {
        skipSpace()
        guard position < scalars.count else { return nil }
        let start = position
        if take("|=") { return .condition(.line(.contains(try text()))) }
        if take("!=") { return .condition(.line(.contains(try text(), isNegated: true))) }
        if take("|~") { return .condition(.line(.finds(try pattern(try text(), at: start)))) }
        if take("!~") { return .condition(.line(.finds(try pattern(try text(), at: start), isNegated: true))) }
        guard take("|") else { throw failure("a stage of the pipeline is expected, such as `|= \"text\"`") }
        skipSpace()
        let before = position
        switch word() {
        case "json": return .parse
        case let name
        where [
            "logfmt", "pattern", "regexp", "unpack", "line_format", "label_format", "drop", "keep", "decolorize",
            "unwrap",
        ]
        .contains(name):
            position = before
            throw failure("`\(name)` is not answered here")
        default:
            position = before
            let (name, matcher) = try labelMatcher()
            return .condition(.field(name, matcher))
        }
    }

    private mutating func text() throws(LogQL.Failure) -> String {
        skipSpace()
        return try quoted()
    }

    private func pattern(_ text: String, at start: Int) throws(LogQL.Failure) -> BoundedPattern {
        do { return try BoundedPattern(text, syntax: .re2) } catch {
            throw LogQL.Failure(reason: "the pattern cannot be read: \(error)", offset: start)
        }
    }

    // MARK: words

    private mutating func skipSpace() {
        while position < scalars.count, scalars[position].properties.isWhitespace { position += 1 }
    }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard position + wanted.count <= scalars.count,
            scalars[position..<position + wanted.count].elementsEqual(wanted)
        else { return false }
        position += wanted.count
        return true
    }

    static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: ":"):
            true
        default: false
        }
    }

    private func peekWord() -> String {
        var copy = self
        return copy.word()
    }

    private mutating func word() -> String {
        var text = String.UnicodeScalarView()
        while position < scalars.count, scalars[position].isASCII, Self.isWord(UInt8(scalars[position].value)) {
            text.append(scalars[position])
            position += 1
        }
        return String(text)
    }

    /// A text in double quotes, with Go's escapes, or in back quotes, without any.
    private mutating func quoted() throws(LogQL.Failure) -> String {
        let isRaw = take("`")
        guard isRaw || take("\"") else { throw failure("a text in quotes is expected") }
        var text = String.UnicodeScalarView()
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            switch scalar {
            case "`" where isRaw, "\"" where !isRaw: return String(text)
            case "\\" where !isRaw: text.append(try escape())
            default: text.append(scalar)
            }
        }
        throw failure("the text has no closing quote")
    }

    private mutating func escape() throws(LogQL.Failure) -> Unicode.Scalar {
        guard position < scalars.count else { throw failure("the text has no closing quote") }
        let scalar = scalars[position]
        position += 1
        switch scalar {
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "\\", "\"", "'": return scalar
        case "x": return try hexadecimal(2)
        case "u": return try hexadecimal(4)
        case "U": return try hexadecimal(8)
        default: throw failure("`\\\(scalar)` is no escape; write a back quote around a pattern")
        }
    }

    private mutating func hexadecimal(_ digits: Int) throws(LogQL.Failure) -> Unicode.Scalar {
        let end = position + digits
        guard end <= scalars.count,
            let value = UInt32(String(String.UnicodeScalarView(scalars[position..<end])), radix: 16),
            let scalar = Unicode.Scalar(value)
        else { throw failure("\(digits) hexadecimal digits of a character are expected") }
        position = end
        return scalar
    }
}
