import Kernel

/// Looks at a request's body before anything is spent on it: its size, its nesting, the one place of each member that
/// the gateway reads, and, where an operator declared some, patterns that must not leave the house. Pure.
struct RequestCheck: Sendable {
    /// 32 MB, as the Anthropic API reference ("Errors", request size limits) has it; nesting as the doors state it.
    static let bytesMax = 32 << 20
    /// Patterns and literals of one check.
    static let refusedMax = 100
    /// Steps that all patterns together may take for one body: what cannot be looked through in that is refused.
    static let stepsMax = 200_000_000
    /// Longer strings are matched in windows of so many bytes, which overlap by so many.
    static let windowBytes = 1 << 16
    static let overlapBytes = 1 << 12

    /// Something that must not stand in a request, under the name that the refusal gives.
    struct Refused: Sendable {
        enum Form: Sendable {
            /// This text, whatever the case of its ASCII letters.
            case literal(String)
            case pattern(BoundedPattern)
        }

        let name: String
        let form: Form
    }

    enum Refusal: Error, Sendable, Equatable {
        case tooLarge(bytes: Int, limit: Int)
        case malformed(TopLevelScan.Failure)
        /// A declared pattern was found; the text that it matched is not repeated.
        case refused(name: String)
        /// The patterns' steps ran out.
        case notChecked(name: String)
    }

    let wanted: TopLevelScan.Wanted
    var bytesMax = RequestCheck.bytesMax
    var depthMax = TopLevelScan.depthMax
    private let literals: [(name: String, bytes: [UInt8])]
    private let patterns: [(name: String, pattern: BoundedPattern)]
    private let stepsMax: Int

    init(_ wanted: TopLevelScan.Wanted, refused: [Refused] = [], stepsMax: Int = RequestCheck.stepsMax) {
        self.wanted = wanted
        self.stepsMax = stepsMax
        var literals: [(name: String, bytes: [UInt8])] = []
        var patterns: [(name: String, pattern: BoundedPattern)] = []
        for entry in refused.prefix(Self.refusedMax) {
            switch entry.form {
            case .literal(let text): if !text.isEmpty { literals.append((entry.name, Self.folded(text.utf8))) }
            case .pattern(let pattern): patterns.append((entry.name, pattern))
            }
        }
        self.literals = literals
        self.patterns = patterns
    }

    /// Checks a whole body and says where its members stand.
    ///
    /// Without declared patterns this is one pass over the bytes. With them the body is parsed, and may take a while
    /// (``stepsMax``): such a check does not belong on an event loop.
    func check(_ bytes: UnsafeRawBufferPointer) throws(Refusal) -> TopLevelScan {
        guard bytes.count <= bytesMax else { throw .tooLarge(bytes: bytes.count, limit: bytesMax) }
        let scan: TopLevelScan
        do { scan = try TopLevelScan.scan(bytes, for: wanted, depthMax: depthMax) } catch { throw .malformed(error) }
        guard !literals.isEmpty || !patterns.isEmpty else { return scan }
        let document: JSONValue
        do {
            document = try JSONParser.parse(bytes, depthMax: depthMax)
        } catch {
            // What cannot be read cannot be looked through.
            throw .malformed(.invalid(.notAValue, offset: (error as? JSONParser.Failure)?.offset ?? 0))
        }
        var stepsLeft = stepsMax
        try look(at: document, &stepsLeft)
        return scan
    }

    func check(_ bytes: [UInt8]) throws(Refusal) -> TopLevelScan {
        let result = bytes.withUnsafeBytes { pointer -> Result<TopLevelScan, Refusal> in
            Result { () throws(Refusal) in try check(pointer) }
        }
        return try result.get()
    }

    /// Strings are looked at as they are meant, not as they are escaped; names as well as values.
    private func look(at value: JSONValue, _ stepsLeft: inout Int) throws(Refusal) {
        switch value {
        case .string(let text): try look(at: text, &stepsLeft)
        case .array(let values): for value in values { try look(at: value, &stepsLeft) }
        case .object(let object):
            for member in object.members {
                try look(at: member.name, &stepsLeft)
                try look(at: member.value, &stepsLeft)
            }
        case .null, .bool, .int, .double: break
        }
    }

    private func look(at text: String, _ stepsLeft: inout Int) throws(Refusal) {
        if !literals.isEmpty {
            let folded = Self.folded(text.utf8)
            for literal in literals where Self.contains(folded, literal.bytes) { throw .refused(name: literal.name) }
        }
        for entry in patterns {
            let isFound = Self.windows(text) { entry.pattern.isFound(in: $0, stepsLeft: &stepsLeft) }
            guard stepsLeft >= 0 else { throw .notChecked(name: entry.name) }
            if isFound { throw .refused(name: entry.name) }
        }
    }

    private static func windows(_ text: String, _ isFound: (String) -> Bool) -> Bool {
        let bytes = text.utf8
        guard bytes.count > windowBytes else { return isFound(text) }
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let end = bytes.index(start, offsetBy: windowBytes, limitedBy: bytes.endIndex) ?? bytes.endIndex
            // A character that is cut here is whole in the next window.
            if isFound(String(decoding: bytes[start..<end], as: UTF8.self)) { return true }
            guard end < bytes.endIndex else { return false }
            start = bytes.index(end, offsetBy: -overlapBytes)
        }
        return false
    }

    private static func folded(_ bytes: String.UTF8View) -> [UInt8] {
        bytes.map { (65...90).contains($0) ? $0 | 0x20 : $0 }
    }

    /// Looks for a text with a table of skips (Horspool 1980).
    static func contains(_ text: [UInt8], _ word: [UInt8]) -> Bool {
        guard let last = word.last, word.count <= text.count else { return word.isEmpty }
        var skips = [Int](repeating: word.count, count: 256)
        for (index, byte) in word.dropLast().enumerated() { skips[Int(byte)] = word.count - 1 - index }
        var end = word.count - 1
        while end < text.count {
            if text[end] == last, text[(end - word.count + 1)...end].elementsEqual(word) { return true }
            end += skips[Int(text[end])]
        }
        return false
    }
}
