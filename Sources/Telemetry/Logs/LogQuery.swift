import Kernel

/// Which log records somebody asks for.
public struct LogQuery: Sendable {
    /// Records of one answer.
    public static let limitMax = 5_000
    public static let limitDefault = 100
    /// Conditions of one query.
    public static let conditionsMax = 32

    /// An id that records are found by: a correlation id, or a trace's.
    public var id: String?
    /// All of them must hold.
    public var conditions: [LogCondition] = []
    /// Nanoseconds since 1970.
    public var times: Range<Int64> = 0..<Int64.max
    public var limit = LogQuery.limitDefault
    public var isNewestFirst = true
    /// Where the page before ended.
    public var after: LogCursor?

    public init() {}
}

/// What a record must be like.
public enum LogCondition: Sendable {
    /// A field of the schema, or a label, whose text is as said; an absent one is the empty text, as with Prometheus.
    case field(String, LogMatcher)
    /// The message, the attributes or the ids hold a text, letters in either case.
    case words(String)
    /// The message, the attributes or the ids hold it; where it is negated, none of them does.
    case line(LogMatcher)
    case severity(atLeast: LogSeverity)
}

/// What a text must be like.
public struct LogMatcher: Sendable {
    enum Kind: Sendable {
        case equal(String)
        case contains(TextNeedle)
        /// Somewhere in the text, which has a needle wherever the pattern matches.
        case finds(BoundedPattern, TextNeedle)
        /// The whole text.
        case matches(BoundedPattern)
    }

    let kind: Kind
    let isNegated: Bool

    private init(_ kind: Kind, isNegated: Bool) {
        self.kind = kind
        self.isNegated = isNegated
    }

    public static func equal(_ text: String, isNegated: Bool = false) -> LogMatcher {
        LogMatcher(.equal(text), isNegated: isNegated)
    }

    static func contains(_ text: String, isNegated: Bool = false) -> LogMatcher {
        LogMatcher(.contains(TextNeedle(text)), isNegated: isNegated)
    }

    static func finds(_ pattern: BoundedPattern, isNegated: Bool = false) -> LogMatcher {
        LogMatcher(.finds(pattern, TextNeedle(pattern.literal, isFolded: true)), isNegated: isNegated)
    }

    static func matches(_ pattern: BoundedPattern, isNegated: Bool = false) -> LogMatcher {
        LogMatcher(.matches(pattern), isNegated: isNegated)
    }

    var isPositive: LogMatcher { LogMatcher(kind, isNegated: false) }

    /// Steps that all patterns of one query may take together.
    static let stepsMax = 2_000_000_000

    /// A text that all that is meant has, letters of ASCII in either case; `nil` where none is known.
    var needle: String? {
        guard !isNegated else { return nil }
        switch kind {
        case .equal(let text): return text
        case .contains(let needle): return needle.text
        case .finds(let pattern, _), .matches(let pattern): return pattern.literal
        }
    }

    func isMet(by text: ArraySlice<UInt8>, stepsLeft: inout Int) -> Bool {
        let isFound =
            switch kind {
            case .equal(let meant): meant.utf8.elementsEqual(text)
            case .contains(let needle): needle.isFound(in: text)
            case .finds(let pattern, let needle):
                needle.isFound(in: text)
                    && pattern.isFound(in: String(decoding: text, as: UTF8.self), stepsLeft: &stepsLeft)
            case .matches(let pattern):
                pattern.isWhole(String(decoding: text, as: UTF8.self), stepsLeft: &stepsLeft)
            }
        return isFound != isNegated
    }
}

/// Texts within texts, in either case of ASCII's letters where so asked.
struct TextNeedle: Sendable {
    let text: String
    private let bytes: [UInt8]
    private let isFolded: Bool

    init(_ text: String, isFolded: Bool = false) {
        self.text = text
        bytes = isFolded ? text.utf8.map(Self.folded) : Array(text.utf8)
        self.isFolded = isFolded
    }

    func isFound(in text: ArraySlice<UInt8>) -> Bool { text.withUnsafeBufferPointer { isFound(in: $0) } }

    private func isFound(in text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let first = bytes.first else { return true }
        guard text.count >= bytes.count else { return false }
        let last = text.count - bytes.count
        var start = 0
        while start <= last {
            let byte = isFolded ? Self.folded(text[start]) : text[start]
            if byte == first, isAt(start, of: text) { return true }
            start += 1
        }
        return false
    }

    private func isAt(_ start: Int, of text: UnsafeBufferPointer<UInt8>) -> Bool {
        for index in 1..<max(1, bytes.count) {
            let byte = isFolded ? Self.folded(text[start + index]) : text[start + index]
            guard byte == bytes[index] else { return false }
        }
        return true
    }

    @inline(__always)
    private static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
