/// What is taken out of texts.
public struct RedactionRules: Sendable, Equatable {
    public var secrets: [SecretFormat]
    /// JSON web tokens and PEM private keys, which have shapes of their own.
    public var hasTokensAndKeys: Bool
    public var personal: Set<PersonalData>

    public init(
        secrets: [SecretFormat] = SecretFormat.all, hasTokensAndKeys: Bool = true, personal: Set<PersonalData> = []
    ) {
        self.secrets = secrets
        self.hasTokensAndKeys = hasTokensAndKeys
        self.personal = personal
    }

    public static let secretsOnly = RedactionRules()
    public static let all = RedactionRules(personal: Set(PersonalData.allCases))
}

/// Takes secrets, and where wanted personal data, out of a text that comes in pieces, and puts `[redacted:name]` in
/// their place; everything else comes out as it went in, in the same order, all of it by the end.
///
/// What might be the beginning of a secret is held back until that is decided, which is after ``holdMax`` bytes at the
/// latest; so a secret that is split over pieces is caught like any other, and a text gives the same in one piece as
/// in many. Matching is done by hand-written scanners that never go back: the work for each byte is bounded.
public struct Redactor: Sendable {
    /// Bytes that are held back at most.
    public static let holdMax = 2_048
    /// Bytes of a prefixed secret that are looked at before it is judged; the rest of it goes with it.
    static let tokenMax = 256

    /// A look at what is held.
    struct View {
        let bytes: UnsafeBufferPointer<UInt8>
        /// No more will come: what is undecided now is decided by what there is.
        let isFinal: Bool

        var count: Int { bytes.count }
        subscript(index: Int) -> UInt8 { bytes[index] }
    }

    enum Match: Equatable {
        case none
        /// It depends on what comes.
        case open
        /// Ends before `end`; what follows goes with it as far as `rest` says.
        case found(end: Int, rest: Rest)
    }

    /// What of the text behind a match still belongs to it.
    enum Rest: Sendable, Equatable {
        case nothing
        case run(ByteSet)
        /// Segments of a JSON web token, with the dots that may still come.
        case token(dots: Int)
        case key(KeyBody)
    }

    public let rules: RedactionRules
    /// What may begin with each byte.
    private let starts: [Starts]
    /// Whether anything may: most bytes need no further look.
    private let begins: [Bool]
    private var held: [UInt8] = []
    /// The byte before what is held.
    private var previous: UInt8 = 0
    private var rest = Rest.nothing
    /// How often each name was found. There are as many names as there are rules.
    public private(set) var findings: [String: Int] = [:]

    private struct Starts: Sendable {
        var formats: [Int] = []
        var isToken = false
        var isKey = false
        var personal: [PersonalData] = []

        var isEmpty: Bool { formats.isEmpty && !isToken && !isKey && personal.isEmpty }
    }

    public init(_ rules: RedactionRules = .secretsOnly) {
        self.rules = rules
        var starts = [Starts](repeating: Starts(), count: 256)
        for (index, format) in rules.secrets.enumerated() {
            if let first = format.prefix.first { starts[Int(first)].formats.append(index) }
        }
        if rules.hasTokensAndKeys {
            starts[Int(UInt8(ascii: "e"))].isToken = true
            starts[Int(UInt8(ascii: "-"))].isKey = true
        }
        for kind in PersonalData.allCases where rules.personal.contains(kind) {
            for byte in UInt8.min...UInt8.max where kind.begins(with: byte) { starts[Int(byte)].personal.append(kind) }
        }
        self.starts = starts
        begins = starts.map { !$0.isEmpty }
    }

    /// A text in one piece.
    public static func redact(_ text: String, _ rules: RedactionRules = .secretsOnly) -> String {
        var redactor = Redactor(rules)
        return redactor.push(text) + redactor.finish()
    }

    /// Takes the next piece and gives what is decided.
    public mutating func push(_ text: String) -> String {
        held.append(contentsOf: text.utf8)
        return run(isFinal: false)
    }

    /// Gives what is still held back; the next text begins anew.
    public mutating func finish() -> String {
        defer {
            previous = 0
            rest = .nothing
        }
        return run(isFinal: true)
    }

    /// Bytes that wait for what follows.
    public var heldBytes: Int { held.count }

    private mutating func run(isFinal: Bool) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(held.count)
        let bytes = held
        held = []
        let done = bytes.withUnsafeBufferPointer { buffer in
            run(View(bytes: buffer, isFinal: isFinal), &output)
        }
        held = Array(bytes[done...])
        return String(decoding: output, as: UTF8.self)
    }

    private mutating func run(_ view: View, _ output: inout [UInt8]) -> Int {
        var index = 0
        while index < view.count {
            if rest != .nothing {
                index = swallow(view, from: index)
                continue
            }
            let byte = view[index]
            // Within a word nothing begins, except the dashes of a key.
            if begins[Int(byte)], byte == UInt8(ascii: "-") || !ByteSet.alphanumeric.contains(previous) {
                let (name, match) = match(view, at: index, starts[Int(byte)])
                switch match {
                case .none: break
                case .open: return index
                case .found(let end, let rest):
                    output += "[redacted:\(name)]".utf8
                    findings[name, default: 0] += 1
                    previous = view[end - 1]
                    self.rest = rest
                    index = end
                    continue
                }
            }
            output.append(byte)
            previous = byte
            index += 1
        }
        return index
    }

    /// Leaves out what belongs to the last match, and says where it ends.
    private mutating func swallow(_ view: View, from start: Int) -> Int {
        var index = start
        while index < view.count {
            let byte = view[index]
            switch rest {
            case .nothing: return index
            case .run(let set):
                guard set.contains(byte) else {
                    rest = .nothing
                    return index
                }
            case .token(let dots):
                if byte == UInt8(ascii: "."), dots > 0 {
                    rest = .token(dots: dots - 1)
                } else if !ByteSet.base64URL.contains(byte) {
                    rest = .nothing
                    return index
                }
            case .key(var body):
                switch body.take(byte) {
                case .inside: rest = .key(body)
                case .last: rest = .nothing
                case .outside:
                    rest = .nothing
                    return index
                }
            }
            previous = byte
            index += 1
        }
        return index
    }

    /// What begins here: the longest of all that fit. What is undecided is waited for, as it may be longer.
    private func match(_ view: View, at index: Int, _ start: Starts) -> (String, Match) {
        var best = ("", Match.none)
        func consider(_ name: String, _ match: Match) -> Bool {
            switch (match, best.1) {
            case (.open, _): return true
            case (.found(let end, _), .found(let other, _)) where end <= other: break
            case (.found, _): best = (name, match)
            case (.none, _): break
            }
            return false
        }
        if !ByteSet.alphanumeric.contains(previous) {
            for number in start.formats {
                let format = rules.secrets[number]
                if consider(format.name, format.match(view, at: index)) { return ("", .open) }
            }
            if start.isToken, consider("jwt", WebToken.match(view, at: index)) { return ("", .open) }
        }
        if start.isKey, consider("private_key", KeyBody.match(view, at: index)) { return ("", .open) }
        for kind in start.personal where consider(kind.rawValue, kind.match(view, at: index, after: previous)) {
            return ("", .open)
        }
        return best
    }
}

extension Redactor.View {
    /// Compares with a text: `nil` where the view ends within it.
    func hasPrefix(_ text: [UInt8], at index: Int) -> Bool? {
        for (offset, byte) in text.enumerated() {
            guard index + offset < count else { return isFinal ? false : nil }
            guard bytes[index + offset] == byte else { return false }
        }
        return true
    }

    /// The end of a run of a set's bytes, at most `max` of them.
    func run(of set: ByteSet, from index: Int, max: Int) -> Int {
        let limit = Swift.min(count, index + max)
        var end = index
        while end < limit, set.contains(bytes[end]) { end += 1 }
        return end
    }

    /// Whether what comes at an index is not known yet.
    func isOpen(at index: Int) -> Bool { index >= count && !isFinal }
}

extension SecretFormat {
    func match(_ view: Redactor.View, at index: Int) -> Redactor.Match {
        guard let isHere = view.hasPrefix(prefix, at: index) else { return .open }
        guard isHere else { return .none }
        let body = index + prefix.count
        let most = Redactor.tokenMax - prefix.count
        var end = view.run(of: alphabet, from: body, max: most)
        if end - body < most, view.isOpen(at: end) { return .open }
        let isCut = end - body == most
        // A full stop ends a sentence, not a key.
        while !isCut, end > body, view[end - 1] == UInt8(ascii: ".") { end -= 1 }
        guard length.contains(end - body), isProven(view.bytes[body..<end]) else { return .none }
        return .found(end: end, rest: isCut ? .run(alphabet) : .nothing)
    }
}
