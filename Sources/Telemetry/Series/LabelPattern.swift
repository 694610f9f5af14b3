/// A regular expression over the whole of a label's value, as Prometheus takes it (RE2 syntax, anchored at both ends).
///
/// Patterns come from outside: they are compiled to a program whose states advance together over the text (Pike's
/// machine; Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009), so a match costs at most
/// text × program, and tells its groups for `label_replace`. Classes are those of ASCII; `\p{…}` is refused.
public struct LabelPattern: Sendable {
    /// Bytes of a pattern.
    public static let bytesMax = 4_096
    /// Instructions of a program; counted repetitions are written out.
    public static let instructionsMax = 10_000
    /// Groups within each other.
    public static let depthMax = 50
    /// Of a counted repetition (RE2's limit).
    static let repetitionsMax = 1_000

    /// Why a text is no pattern.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    private enum Form {
        /// Any of these values.
        case words(Set<[UInt8]>)
        case anything
        /// At least one character, none of which ends a line.
        case something
        case program
    }

    public let text: String
    private let form: Form
    private let program: LabelPatternProgram
    private let names: [String?]

    /// - Throws: ``Failure``.
    public init(_ text: String) throws {
        guard text.utf8.count <= Self.bytesMax else {
            throw Failure(description: "it has more than \(Self.bytesMax) bytes")
        }
        self.text = text
        var parser = LabelPatternParser(text)
        let tree = try parser.parse()
        var writer = LabelPatternWriter()
        program = try writer.program(tree)
        names = parser.groupNames
        let special = Set("\\.+*?()[]{}^$".utf8)
        if text.utf8.allSatisfy({ !special.contains($0) }) {
            form = .words(
                Set(text.utf8.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false).map { Array($0) }))
        } else {
            form = text == ".*" ? .anything : text == ".+" ? .something : .program
        }
    }

    public func isMatch(_ value: String) -> Bool {
        switch form {
        case .words(let words): words.contains(Array(value.utf8))
        case .anything: !value.utf8.contains(10)
        case .something: !value.isEmpty && !value.utf8.contains(10)
        case .program: program.run(Array(value.unicodeScalars), hasGroups: false) != nil
        }
    }

    /// What a template becomes with the groups of a match; `nil` where the value does not match.
    ///
    /// - Parameter template: With `$1`, `${1}`, `$name` or `${name}` for groups, and `$$` for a dollar sign.
    func expand(_ template: String, with value: String) -> String? {
        let scalars = Array(value.unicodeScalars)
        guard let slots = program.run(scalars, hasGroups: true) else { return nil }
        func group(_ name: String) -> String {
            let isNumber = name.utf8.allSatisfy { (48...57).contains($0) }
            guard let place = isNumber ? Int(name) : names.firstIndex(of: name), 2 * place + 1 < slots.count,
                slots[2 * place] >= 0, slots[2 * place + 1] >= 0
            else { return "" }
            return String(String.UnicodeScalarView(scalars[slots[2 * place]..<slots[2 * place + 1]]))
        }
        var output = String.UnicodeScalarView()
        var rest = Array(template.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            guard scalar == "$" else {
                output.append(scalar)
                continue
            }
            if rest.first == "$" {
                rest.removeFirst()
                output.append("$")
            } else if let name = Self.name(&rest) {
                output.append(contentsOf: group(name).unicodeScalars)
            } else {
                output.append("$")
            }
        }
        return String(output)
    }

    /// The name behind a dollar sign, as Go's `Regexp.Expand` reads it: as long as it can be.
    private static func name(_ rest: inout ArraySlice<Unicode.Scalar>) -> String? {
        let isBraced = rest.first == "{"
        let name = rest.dropFirst(isBraced ? 1 : 0).prefix { LabelPatternSet.word.contains($0) }
        guard !name.isEmpty else { return nil }
        let behind = rest.dropFirst(name.count + (isBraced ? 1 : 0))
        if isBraced {
            guard behind.first == "}" else { return nil }
            rest = behind.dropFirst()
        } else {
            rest = behind
        }
        return String(String.UnicodeScalarView(name))
    }
}

/// A set of characters.
struct LabelPatternSet: Sendable {
    var ranges: [ClosedRange<UInt32>]

    static let digit = LabelPatternSet(ranges: [48...57])
    static let word = LabelPatternSet(ranges: [48...57, 65...90, 95...95, 97...122])
    static let space = LabelPatternSet(ranges: [9...10, 12...13, 32...32])
    static let notNewline = LabelPatternSet(ranges: [10...10]).complement
    static let all = LabelPatternSet(ranges: [0...0x10FFFF])

    func contains(_ scalar: Unicode.Scalar) -> Bool { ranges.contains { $0.contains(scalar.value) } }

    var complement: LabelPatternSet {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = max(next, range.upperBound + 1)
        }
        if next <= 0x10FFFF { result.append(next...0x10FFFF) }
        return LabelPatternSet(ranges: result)
    }

    /// With the other case of its letters; of those beyond ASCII the simple ones.
    var caseless: LabelPatternSet {
        var result = ranges
        for range in ranges where range.count <= 1_000 {
            for value in range {
                guard let properties = Unicode.Scalar(value)?.properties else { continue }
                for text in [properties.lowercaseMapping, properties.uppercaseMapping] {
                    let scalars = text.unicodeScalars
                    if let first = scalars.first, scalars.count == 1, first.value != value {
                        result.append(first.value...first.value)
                    }
                }
            }
        }
        return LabelPatternSet(ranges: result)
    }
}

/// One instruction; the next one follows unless it says where to go.
enum LabelPatternInstruction: Sendable {
    case set(Int)
    /// Both ways, the first preferred.
    case split(Int, Int)
    case jump(Int)
    case save(Int)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    case match
}

/// What a pattern is compiled to.
struct LabelPatternProgram: Sendable {
    var instructions: [LabelPatternInstruction] = []
    var sets: [LabelPatternSet] = []
    var slots = 2

    private struct Threads {
        var list: [(place: Int, slots: [Int])] = []
        var seen: [Int]
        var generation = 0
    }

    /// The places of the groups where the whole text matches, each as its start and end, -1 for one that took no part.
    func run(_ text: [Unicode.Scalar], hasGroups: Bool) -> [Int]? {
        var now = Threads(seen: [Int](repeating: 0, count: instructions.count))
        var next = now
        var found: [Int]?
        now.generation = 1
        follow(0, [Int](repeating: -1, count: hasGroups ? slots : 0), text, 0, &now)
        for position in 0...text.count {
            next.list.removeAll(keepingCapacity: true)
            next.generation = position + 2
            for thread in now.list {
                switch instructions[thread.place] {
                case .match:
                    // Anchored: only the end of the text ends a match, and the first thread is the preferred one.
                    if position == text.count, found == nil { found = thread.slots }
                case .set(let set):
                    guard position < text.count, sets[set].contains(text[position]) else { continue }
                    follow(thread.place + 1, thread.slots, text, position + 1, &next)
                default: break
                }
            }
            if position == text.count || next.list.isEmpty { break }
            swap(&now, &next)
        }
        return found
    }

    /// Follows what takes no character.
    private func follow(
        _ place: Int, _ slots: [Int], _ text: [Unicode.Scalar], _ position: Int, _ threads: inout Threads
    ) {
        var pending = [(place, slots)]
        while let (place, slots) = pending.popLast() {
            guard threads.seen[place] != threads.generation else { continue }
            threads.seen[place] = threads.generation
            switch instructions[place] {
            case .jump(let target): pending.append((target, slots))
            case .split(let first, let second):
                pending.append((second, slots))
                pending.append((first, slots))
            case .save(let slot):
                var slots = slots
                if slot < slots.count { slots[slot] = position }
                pending.append((place + 1, slots))
            case .start: if position == 0 { pending.append((place + 1, slots)) }
            case .end: if position == text.count { pending.append((place + 1, slots)) }
            case .wordBoundary(let isNegated):
                let before = position > 0 && LabelPatternSet.word.contains(text[position - 1])
                let after = position < text.count && LabelPatternSet.word.contains(text[position])
                if (before != after) != isNegated { pending.append((place + 1, slots)) }
            case .set, .match: threads.list.append((place, slots))
            }
        }
    }
}
