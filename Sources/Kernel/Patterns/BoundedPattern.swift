/// A regular expression that is matched in bounded time.
///
/// Patterns come from outside, and a backtracking matcher takes exponential time for one such as `(a+)+$`. This one is
/// compiled to a small program whose states all advance together over the text (Thompson 1968, as told by Cox, "Regular
/// Expression Matching: the Virtual Machine Approach", 2009): a match costs at most text × program, and each state
/// visited is a step of the caller's budget. What cannot be matched so is refused when compiled: back references and
/// lookbehind. Lookahead is done by a run of its own, once for each place.
public struct BoundedPattern: Sendable {
    /// Whose syntax a pattern has.
    public enum Syntax: Sendable {
        /// ECMAScript's, as JSON Schema has it (ECMA-262 §22.2, with the `u` flag).
        case ecma
        /// RE2's, as Prometheus and Loki have it (github.com/google/re2/wiki/Syntax). Classes are those of ASCII.
        case re2
    }

    /// Characters of a pattern.
    public static let charactersMax = 4_096
    /// Instructions of a program; counted repetitions are written out, so `(a{100}){100}` has 10,000.
    public static let instructionsMax = 10_000
    /// Groups within each other.
    public static let depthMax = 50

    /// Why a text is not an acceptable pattern.
    public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
        public let reason: String
        public var description: String { reason }
    }

    /// The pattern as it was given.
    public let text: String
    /// The longest text that whatever matches has, letters of ASCII in either case; empty where none is known.
    public let literal: String
    /// The names of the groups that are told; the first one is the whole. Empty for ECMAScript's.
    public let groupNames: [String?]
    private let program: PatternProgram

    /// Instructions of the program: what the pattern needs of memory.
    public var instructions: Int { program.instructions.count }

    /// - Throws: ``Failure``.
    public init(_ text: String, syntax: Syntax = .ecma) throws {
        guard text.unicodeScalars.count <= Self.charactersMax else {
            throw Failure(reason: "it has more than \(Self.charactersMax) characters")
        }
        self.text = text
        let tree: PatternTree
        switch syntax {
        case .ecma:
            var parser = ECMAPatternParser(text)
            tree = try parser.parse()
            groupNames = []
        case .re2:
            var parser = RE2PatternParser(text)
            tree = try parser.parse()
            groupNames = parser.groupNames
        }
        literal = String(decoding: tree.literal, as: UTF8.self)
        var writer = PatternWriter()
        program = try writer.program(tree)
    }

    /// Whether the pattern matches anywhere in a text, as JSON Schema has it.
    ///
    /// Takes its cost from `stepsLeft`. Where that falls below zero the match was given up and the result is `false`,
    /// which is no answer: the caller looks at `stepsLeft` first.
    public func isFound(in text: String, stepsLeft: inout Int) -> Bool {
        run(text, &stepsLeft) { $0.isFound(isWhole: false) } ?? false
    }

    /// Whether the pattern matches the whole of a text, as Prometheus has it; the cost is taken as above.
    public func isWhole(_ text: String, stepsLeft: inout Int) -> Bool {
        run(text, &stepsLeft) { $0.isFound(isWhole: true) } ?? false
    }

    /// What the groups of a match of the whole text took, `nil` for one that took no part; `nil` without a match.
    public func groups(of text: String, stepsLeft: inout Int) -> [String?]? {
        let scalars = Array(text.unicodeScalars)
        guard let slots = run(text, &stepsLeft, { $0.groups(isWhole: true) }) ?? nil else { return nil }
        return Self.groups(slots, of: scalars)
    }

    /// The text with each match, from the left, replaced by what `replacement` makes of its groups; `nil` where the
    /// steps do not suffice. An empty match right behind another is none (Go, `Regexp.ReplaceAllString`).
    public func replacing(
        in text: String, stepsLeft: inout Int, with replacement: ([String?]) -> String
    ) -> String? {
        let scalars = Array(text.unicodeScalars)
        var output = String.UnicodeScalarView()
        var position = 0
        var lastEnd = -1
        let isDone: Void? = run(text, &stepsLeft) { machine in
            while position <= scalars.count, let slots = machine.groups(from: position, isWhole: false) {
                output.append(contentsOf: scalars[position..<slots[0]])
                position = slots[1]
                if slots[1] > slots[0] || slots[0] != lastEnd {
                    output.append(contentsOf: replacement(Self.groups(slots, of: scalars)).unicodeScalars)
                }
                lastEnd = slots[1]
                guard slots[1] == slots[0] else { continue }
                if position < scalars.count { output.append(scalars[position]) }
                position += 1
            }
        }
        guard isDone != nil, stepsLeft >= 0 else { return nil }
        if position < scalars.count { output.append(contentsOf: scalars[position...]) }
        return String(output)
    }

    private static func groups(_ slots: [Int], of scalars: [Unicode.Scalar]) -> [String?] {
        stride(from: 0, to: slots.count, by: 2).map { slot in
            guard slots[slot] >= 0, slots[slot + 1] >= slots[slot] else { return nil }
            return String(String.UnicodeScalarView(scalars[slots[slot]..<slots[slot + 1]]))
        }
    }

    private func run<Answer>(
        _ text: String, _ stepsLeft: inout Int, _ body: (inout PatternMachine) -> Answer
    ) -> Answer? {
        stepsLeft -= text.utf8.count / 16
        guard stepsLeft >= 0 else { return nil }
        var machine = PatternMachine(program, Array(text.unicodeScalars), stepsLeft: stepsLeft)
        defer { stepsLeft = machine.stepsLeft }
        return body(&machine)
    }
}
