/// A regular expression of ECMAScript (ECMA-262 §22.2, as with its `u` flag) that is matched in bounded time.
///
/// Patterns come from outside, and a backtracking matcher takes exponential time for one such as `(a+)+$`. This one is
/// compiled to a small program whose states all advance together over the text (Thompson 1968, as told by Cox, "Regular
/// Expression Matching: the Virtual Machine Approach", 2009): a match costs at most text × program, and each state
/// visited is a step of the caller's budget. What cannot be matched so is refused when compiled: back references and
/// lookbehind. Lookahead is done by a run of its own, once for each place.
public struct BoundedPattern: Sendable {
    /// Characters of a pattern.
    public static let charactersMax = 2_000
    /// Instructions of a program; counted repetitions are written out, so `(a{100}){100}` has 10,000.
    public static let instructionsMax = 10_000
    /// Groups within each other.
    public static let depthMax = 50

    /// Why a text is not an acceptable pattern.
    public struct Failure: Error, Sendable, Equatable {
        public let reason: String
    }

    /// The pattern as it was given.
    public let text: String
    private let program: PatternProgram

    /// Instructions of the program: what the pattern needs of memory.
    public var instructions: Int { program.instructions.count }

    /// - Throws: ``Failure``.
    public init(_ text: String) throws {
        guard text.unicodeScalars.count <= Self.charactersMax else {
            throw Failure(reason: "it has more than \(Self.charactersMax) characters")
        }
        self.text = text
        var parser = PatternParser(text)
        let tree = try parser.parse()
        var writer = PatternWriter()
        program = try writer.program(tree)
    }

    /// Whether the pattern matches anywhere in a text, as JSON Schema has it.
    ///
    /// Takes its cost from `stepsLeft`. Where that falls below zero the match was given up and the result is `false`,
    /// which is no answer: the caller looks at `stepsLeft` first.
    public func isFound(in text: String, stepsLeft: inout Int) -> Bool {
        stepsLeft -= text.utf8.count / 16
        guard stepsLeft >= 0 else { return false }
        let scalars = text.unicodeScalars.map { $0 }
        var machine = PatternMachine(program, scalars, stepsLeft: stepsLeft)
        defer { stepsLeft = machine.stepsLeft }
        return machine.isFound()
    }
}

/// What a pattern says, before it is a program.
indirect enum PatternTree {
    case set(PatternSet)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    case sequence([PatternTree])
    case choice([PatternTree])
    /// `max` is `nil` without an upper end.
    case repetition(PatternTree, min: Int, max: Int?)
    case lookahead(PatternTree, isNegated: Bool)
}

/// A set of code points.
struct PatternSet: Sendable {
    /// Sorted and disjoint once ``normalize()`` has run.
    var ranges: [ClosedRange<UInt32>] = []
    var categories: Set<Unicode.GeneralCategory> = []
    var isNegated = false

    static func ranges(_ ranges: ClosedRange<UInt32>...) -> PatternSet {
        var set = PatternSet(ranges: ranges)
        set.normalize()
        return set
    }

    static let digits = ranges(48...57)
    static let words = ranges(48...57, 65...90, 95...95, 97...122)
    static let spaces = ranges(
        9...13, 32...32, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF)
    static let lineEnds = ranges(10...10, 13...13, 0x2028...0x2029)
    /// `.`: all but the ends of lines.
    static var any: PatternSet {
        var set = lineEnds
        set.isNegated = true
        return set
    }

    /// All that is in none of the ranges.
    var complement: [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { result.append(next...0x10FFFF) }
        return result
    }

    mutating func normalize() {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, range.lowerBound <= last.upperBound + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        ranges = merged
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < scalar.value { low = middle + 1 } else { high = middle }
        }
        var isInside = low < ranges.count && ranges[low].contains(scalar.value)
        if !isInside, !categories.isEmpty { isInside = categories.contains(scalar.properties.generalCategory) }
        return isInside != isNegated
    }
}

/// One instruction; the next one follows unless it says where to go.
enum PatternInstruction: Sendable {
    case set(Int)
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    /// Goes on where the program that begins at `target` matches from here, or where it does not.
    case lookahead(target: Int, isNegated: Bool)
    case match
}

struct PatternProgram: Sendable {
    var instructions: [PatternInstruction] = []
    var sets: [PatternSet] = []
}

/// Writes a tree as a program.
struct PatternWriter {
    private var program = PatternProgram()
    /// Counts copies too, as a copy of nothing writes no instruction.
    private var work = 0

    mutating func program(_ tree: PatternTree) throws -> PatternProgram {
        try write(tree)
        try emit(.match)
        return program
    }

    @discardableResult
    private mutating func emit(_ instruction: PatternInstruction) throws -> Int {
        try count()
        program.instructions.append(instruction)
        return program.instructions.count - 1
    }

    private mutating func count() throws {
        work += 1
        guard work <= BoundedPattern.instructionsMax else {
            throw BoundedPattern.Failure(reason: "it is too large once its repetitions are written out")
        }
    }

    private var here: Int { program.instructions.count }

    private mutating func write(_ tree: PatternTree) throws {
        switch tree {
        case .set(let set):
            try emit(.set(program.sets.count))
            program.sets.append(set)
        case .start: try emit(.start)
        case .end: try emit(.end)
        case .wordBoundary(let isNegated): try emit(.wordBoundary(isNegated: isNegated))
        case .sequence(let parts): for part in parts { try write(part) }
        case .choice(let branches): try writeChoice(branches)
        case .repetition(let part, let min, let max): try writeRepetition(part, min, max)
        case .lookahead(let part, let isNegated):
            let jump = try emit(.jump(0))
            let target = here
            try write(part)
            try emit(.match)
            program.instructions[jump] = .jump(here)
            try emit(.lookahead(target: target, isNegated: isNegated))
        }
    }

    private mutating func writeChoice(_ branches: [PatternTree]) throws {
        var jumps: [Int] = []
        for (index, branch) in branches.enumerated() {
            guard index < branches.count - 1 else {
                try write(branch)
                break
            }
            let split = try emit(.split(0, 0))
            try write(branch)
            jumps.append(try emit(.jump(0)))
            program.instructions[split] = .split(split + 1, here)
        }
        for jump in jumps { program.instructions[jump] = .jump(here) }
    }

    private mutating func writeRepetition(_ part: PatternTree, _ min: Int, _ max: Int?) throws {
        for _ in 0..<min {
            try count()
            try write(part)
        }
        guard let max else {
            let split = try emit(.split(0, 0))
            try write(part)
            try emit(.jump(split))
            program.instructions[split] = .split(split + 1, here)
            return
        }
        var splits: [Int] = []
        for _ in min..<Swift.max(min, max) {
            splits.append(try emit(.split(0, 0)))
            try write(part)
        }
        for split in splits { program.instructions[split] = .split(split + 1, here) }
    }
}

/// Runs a program over one text.
struct PatternMachine {
    private let program: PatternProgram
    private let text: [Unicode.Scalar]
    private(set) var stepsLeft: Int
    /// Outcomes of lookaheads by instruction and place, so that none is run twice.
    private var looked: [Int: Bool] = [:]

    init(_ program: PatternProgram, _ text: [Unicode.Scalar], stepsLeft: Int) {
        self.program = program
        self.text = text
        self.stepsLeft = stepsLeft
    }

    mutating func isFound() -> Bool {
        var isAnchored = false
        if case .start? = program.instructions.first { isAnchored = true }
        return run(from: 0, at: 0, isAnchored: isAnchored)
    }

    /// Whether the program at `entry` reaches a match from `start`, or from any later place unless `isAnchored`.
    private mutating func run(from entry: Int, at start: Int, isAnchored: Bool) -> Bool {
        var seen = [Int](repeating: -1, count: program.instructions.count)
        stepsLeft -= seen.count / 16
        var waiting: [Int] = []
        var pending: [Int] = []
        var position = start
        while true {
            if position == start || !isAnchored { pending.append(entry) }
            var next: [Int] = []
            // Follows what takes no character; what takes one is tried on this place's.
            while let index = pending.popLast() {
                guard seen[index] != position else { continue }
                seen[index] = position
                stepsLeft -= 1
                guard stepsLeft >= 0 else { return false }
                switch program.instructions[index] {
                case .match: return true
                case .jump(let target): pending.append(target)
                case .split(let first, let second):
                    pending.append(second)
                    pending.append(first)
                case .set(let set):
                    if position < text.count, program.sets[set].contains(text[position]) { next.append(index + 1) }
                case .start: if position == 0 { pending.append(index + 1) }
                case .end: if position == text.count { pending.append(index + 1) }
                case .wordBoundary(let isNegated):
                    if isWordBoundary(position) != isNegated { pending.append(index + 1) }
                case .lookahead(let target, let isNegated):
                    if look(target, index, position) != isNegated { pending.append(index + 1) }
                }
            }
            waiting = next
            guard position < text.count, !waiting.isEmpty || !isAnchored else { return false }
            position += 1
            pending = waiting
        }
    }

    private mutating func look(_ target: Int, _ index: Int, _ position: Int) -> Bool {
        let key = position * program.instructions.count + index
        if let known = looked[key] { return known }
        let outcome = run(from: target, at: position, isAnchored: true)
        looked[key] = outcome
        return outcome
    }

    private func isWordBoundary(_ position: Int) -> Bool {
        let before = position > 0 && PatternSet.words.contains(text[position - 1])
        let after = position < text.count && PatternSet.words.contains(text[position])
        return before != after
    }
}
