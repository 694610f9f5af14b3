import Kernel

/// A log query of Grafana's language (Loki documentation, "Log queries"): a selector, line filters, `| json`, `| drop`
/// and label filters. What it has beyond that is refused by name, and with its place. For metric queries see
/// ``LogMetric``.
struct LogQL: Sendable {
    /// Why a text is no query that is answered here.
    struct Failure: Error, Equatable {
        let reason: String
        /// Unicode scalars before the place.
        let offset: Int
    }

    /// Characters of a query.
    static let charactersMax = 5_000

    fileprivate(set) var conditions: [LogCondition] = []
    /// The labels that the selector names.
    fileprivate(set) var selected: [String] = []
    /// Whether attributes are shown as labels.
    fileprivate(set) var showsAttributes = false
    /// Labels that are not shown.
    fileprivate(set) var dropped: Set<String> = []

    fileprivate init() {}

    /// Whether there is nothing behind the selector.
    var isSelector: Bool { conditions.count == selected.count && !showsAttributes && dropped.isEmpty }

    init(_ text: String) throws(Failure) {
        var parser = try Self.parser(text)
        self = try parser.logQuery()
    }

    private static func parser(_ text: String) throws(Failure) -> LogQLParser {
        guard text.unicodeScalars.count <= charactersMax else {
            throw Failure(reason: "the query has more than \(charactersMax) characters", offset: 0)
        }
        return LogQLParser(text)
    }

    /// A metric query; `nil` for one that begins as a log query does.
    static func metric(_ text: String) throws(Failure) -> LogMetric? {
        var parser = try Self.parser(text)
        return parser.beginsSelector ? nil : try parser.metric()
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
        case drop([String])
        case condition(LogCondition)
    }

    private let scalars: [Unicode.Scalar]
    /// Unicode scalars that are read.
    private(set) var position = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    /// - Parameter place: Where it is wrong; where the reader stands, if nothing is said.
    func failure(_ reason: String, at place: Int? = nil) -> LogQL.Failure {
        LogQL.Failure(reason: reason, offset: place ?? position)
    }

    var isAtEnd: Bool { position == scalars.count }

    /// Whether a log query begins here; nothing at all is one that is wrong.
    var beginsSelector: Bool {
        var copy = self
        copy.skipSpace()
        return copy.isAtEnd || copy.take("{")
    }

    /// A selector and its pipeline.
    ///
    /// - Parameter isOfRange: Whether it ends with the `[` of a range, which stays; it ends with the text otherwise.
    mutating func logQuery(isOfRange: Bool = false) throws(LogQL.Failure) -> LogQL {
        var query = LogQL()
        query.conditions = try selector()
        query.selected = query.conditions.compactMap { if case .field(let name, _) = $0 { name } else { nil } }
        while true {
            skipSpace()
            if isOfRange, position < scalars.count, scalars[position] == "[" { return query }
            guard let stage = try stage() else { return query }
            switch stage {
            case .parse: query.showsAttributes = true
            case .drop(let names): query.dropped.formUnion(names)
            case .condition(let condition): query.conditions.append(condition)
            }
            guard query.conditions.count + query.dropped.count <= LogQuery.conditionsMax else {
                throw failure("the query has more than \(LogQuery.conditionsMax) conditions")
            }
        }
    }

    /// - Parameter isStream: Whether it may say nothing that only a query would be too wide with.
    mutating func selector(isStream: Bool = false) throws(LogQL.Failure) -> [LogCondition] {
        skipSpace()
        guard take("{") else {
            throw failure("a selector such as {service_name=\"writer\"} is expected")
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
        case "drop": return .drop(try names())
        case let name
        where [
            "logfmt", "pattern", "regexp", "unpack", "line_format", "label_format", "keep", "decolorize", "unwrap",
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

    /// Labels, one at least.
    private mutating func names() throws(LogQL.Failure) -> [String] {
        var names: [String] = []
        repeat {
            skipSpace()
            let name = word()
            guard LogQL.isLabelName(name) else { throw failure("a label's name is expected") }
            names.append(name)
            skipSpace()
        } while take(",")
        return names
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

    mutating func skipSpace() {
        while position < scalars.count, scalars[position].properties.isWhitespace { position += 1 }
    }

    mutating func take(_ text: String) -> Bool {
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

    func peekWord() -> String {
        var copy = self
        return copy.word()
    }

    mutating func word() -> String {
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
