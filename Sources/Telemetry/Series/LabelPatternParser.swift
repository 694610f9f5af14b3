/// What a pattern says, before it is a program.
indirect enum LabelPatternTree {
    case set(LabelPatternSet)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    case sequence([LabelPatternTree])
    case choice([LabelPatternTree])
    case repetition(LabelPatternTree, min: Int, max: Int?, isLazy: Bool)
    case group(Int, LabelPatternTree)
}

/// Reads RE2's syntax (github.com/google/re2/wiki/Syntax).
struct LabelPatternParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var isCaseless = false
    private var dotTakesNewline = false
    /// The names of the groups; the first is for the whole.
    private(set) var groupNames: [String?] = [nil]

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws -> LabelPatternTree {
        let tree = try choice()
        guard position == scalars.count else { throw failure("a ) without its (") }
        return .group(0, tree)
    }

    private func failure(_ reason: String) -> LabelPattern.Failure {
        LabelPattern.Failure(description: "\(reason), at character \(position + 1)")
    }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard scalars[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    private mutating func choice() throws -> LabelPatternTree {
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws -> LabelPatternTree {
        var parts: [LabelPatternTree] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            guard let part = try part() else { continue }
            parts.append(try repeated(part))
        }
        return .sequence(parts)
    }

    /// A part, or `nil` for flags, which are for those that follow.
    private mutating func part() throws -> LabelPatternTree? {
        guard let scalar = next else { throw failure("it ends too early") }
        position += 1
        switch scalar {
        case "^": return .start
        case "$": return .end
        case ".": return .set(dotTakesNewline ? .all : .notNewline)
        case "(": return try group()
        case "[": return .set(cased(try bracket()))
        case "\\": return try escape()
        case "*", "+", "?": throw failure("a repetition of nothing")
        default: return .set(cased(LabelPatternSet(ranges: [scalar.value...scalar.value])))
        }
    }

    private func cased(_ set: LabelPatternSet) -> LabelPatternSet { isCaseless ? set.caseless : set }

    private mutating func group() throws -> LabelPatternTree? {
        guard depth < LabelPattern.depthMax else { throw failure("too many groups within each other") }
        depth += 1
        defer { depth -= 1 }
        let flags = (isCaseless, dotTakesNewline)
        var number: Int?
        if take("?P<") || take("?<") {
            let name = scalars[position...].prefix { LabelPatternSet.word.contains($0) }
            position += name.count
            guard !name.isEmpty, take(">") else { throw failure("a group's name is expected") }
            number = groupNames.count
            groupNames.append(String(String.UnicodeScalarView(name)))
        } else if take("?") {
            if try setFlags() { return nil }
        } else {
            number = groupNames.count
            groupNames.append(nil)
        }
        let tree = try choice()
        guard take(")") else { throw failure("a ( without its )") }
        (isCaseless, dotTakesNewline) = flags
        return number.map { .group($0, tree) } ?? tree
    }

    /// `i`, `s` and `-` up to `:` or `)`; whether it was the latter, so that they hold for what follows.
    private mutating func setFlags() throws -> Bool {
        var isOn = true
        while let scalar = next {
            position += 1
            switch scalar {
            case "i": isCaseless = isOn
            case "s": dotTakesNewline = isOn
            case "-": isOn = false
            case ":": return false
            case ")": return true
            default: throw failure("a kind of group or a flag that is not known")
            }
        }
        throw failure("a ( without its )")
    }

    private mutating func repeated(_ part: LabelPatternTree) throws -> LabelPatternTree {
        var part = part
        var isFirst = true
        while let (min, max) = try quantifier() {
            guard isFirst else { throw failure("a repetition of a repetition") }
            isFirst = false
            part = .repetition(part, min: min, max: max, isLazy: take("?"))
        }
        return part
    }

    private mutating func quantifier() throws -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard next == "{" else { return nil }
        let start = position
        position += 1
        if let min = number() {
            if take("}") { return try counted(min, min) }
            if take(",") {
                let max = number()
                if take("}") { return try counted(min, max) }
            }
        }
        // One that begins no count stands for itself.
        position = start
        return nil
    }

    private func counted(_ min: Int, _ max: Int?) throws -> (Int, Int?) {
        guard Swift.max(min, max ?? 0) <= LabelPattern.repetitionsMax, min <= max ?? min else {
            throw failure("a count of repetitions that is not allowed")
        }
        return (min, max)
    }

    private mutating func number() -> Int? {
        let digits = scalars[position...].prefix { LabelPatternSet.digit.contains($0) }
        guard !digits.isEmpty, digits.count <= 6 else { return nil }
        position += digits.count
        return Int(String(String.UnicodeScalarView(digits)))
    }

    // MARK: Escapes and sets

    private mutating func escape() throws -> LabelPatternTree {
        if take("b") { return .wordBoundary(isNegated: false) }
        if take("B") { return .wordBoundary(isNegated: true) }
        if take("A") { return .start }
        if take("z") { return .end }
        if take("Q") {
            var parts: [LabelPatternTree] = []
            while let scalar = next, !take("\\E") {
                position += 1
                parts.append(.set(cased(LabelPatternSet(ranges: [scalar.value...scalar.value]))))
            }
            return .sequence(parts)
        }
        return .set(cased(try escapedSet()))
    }

    private mutating func escapedSet() throws -> LabelPatternSet {
        guard let scalar = next else { throw failure("it ends with a backslash") }
        position += 1
        let value: UInt32
        switch scalar {
        case "d": return .digit
        case "D": return LabelPatternSet.digit.complement
        case "w": return .word
        case "W": return LabelPatternSet.word.complement
        case "s": return .space
        case "S": return LabelPatternSet.space.complement
        case "t": value = 9
        case "n": value = 10
        case "v": value = 11
        case "f": value = 12
        case "r": value = 13
        case "a": value = 7
        case "x": value = try hexadecimal()
        default:
            guard scalar.value < 128, !LabelPatternSet.word.contains(scalar) || scalar == "_" else {
                throw failure("\\\(scalar) is no escape that is known here")
            }
            value = scalar.value
        }
        return LabelPatternSet(ranges: [value...value])
    }

    private mutating func hexadecimal() throws -> UInt32 {
        let isBraced = take("{")
        let digits = scalars[position...].prefix(isBraced ? 8 : 2).prefix { $0.properties.isASCIIHexDigit }
        position += digits.count
        guard let value = UInt32(String(String.UnicodeScalarView(digits)), radix: 16), value <= 0x10FFFF,
            isBraced ? take("}") : digits.count == 2
        else { throw failure("hexadecimal digits are expected") }
        return value
    }

    private static let classes: [String: [ClosedRange<UInt32>]] = [
        "alnum": [48...57, 65...90, 97...122], "alpha": [65...90, 97...122], "ascii": [0...127],
        "blank": [9...9, 32...32], "cntrl": [0...31, 127...127], "digit": [48...57], "graph": [33...126],
        "lower": [97...122], "print": [32...126], "punct": [33...47, 58...64, 91...96, 123...126],
        "space": [9...13, 32...32], "upper": [65...90], "word": [48...57, 65...90, 95...95, 97...122],
        "xdigit": [48...57, 65...70, 97...102],
    ]

    private mutating func bracket() throws -> LabelPatternSet {
        var set = LabelPatternSet(ranges: [])
        let isNegated = take("^")
        var isFirst = true
        while isFirst || !take("]") {
            guard next != nil else { throw failure("a [ without its ]") }
            isFirst = false
            if take("[:") {
                let isOther = take("^")
                let name = scalars[position...].prefix { LabelPatternSet.word.contains($0) }
                position += name.count
                guard let ranges = Self.classes[String(String.UnicodeScalarView(name))], take(":]") else {
                    throw failure("a class that is not known")
                }
                set.ranges += isOther ? LabelPatternSet(ranges: ranges).complement.ranges : ranges
                continue
            }
            let low = try bracketItem()
            if next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
                position += 1
                guard let from = low.single, let to = try bracketItem().single, from <= to else {
                    throw failure("a range that is none")
                }
                set.ranges.append(from...to)
            } else {
                set.ranges += low.ranges
            }
        }
        return isNegated ? (isCaseless ? set.caseless : set).complement : set
    }

    private mutating func bracketItem() throws -> LabelPatternSet {
        guard let scalar = next else { throw failure("a [ without its ]") }
        position += 1
        return scalar == "\\" ? try escapedSet() : LabelPatternSet(ranges: [scalar.value...scalar.value])
    }
}

extension LabelPatternSet {
    fileprivate var single: UInt32? {
        ranges.count == 1 && ranges[0].count == 1 ? ranges[0].lowerBound : nil
    }
}

/// Writes a tree as a program.
struct LabelPatternWriter {
    private var program = LabelPatternProgram()
    /// Counts copies too, as a copy of nothing writes no instruction.
    private var work = 0

    mutating func program(_ tree: LabelPatternTree) throws -> LabelPatternProgram {
        try write(tree)
        try emit(.match)
        return program
    }

    private var here: Int { program.instructions.count }

    @discardableResult
    private mutating func emit(_ instruction: LabelPatternInstruction) throws -> Int {
        try count()
        program.instructions.append(instruction)
        return here - 1
    }

    private mutating func count() throws {
        work += 1
        guard work <= LabelPattern.instructionsMax else {
            throw LabelPattern.Failure(description: "it is too large once its repetitions are written out")
        }
    }

    private mutating func write(_ tree: LabelPatternTree) throws {
        switch tree {
        case .set(let set):
            try emit(.set(program.sets.count))
            program.sets.append(set)
        case .start: try emit(.start)
        case .end: try emit(.end)
        case .wordBoundary(let isNegated): try emit(.wordBoundary(isNegated: isNegated))
        case .sequence(let parts): for part in parts { try write(part) }
        case .choice(let branches): try writeChoice(branches)
        case .group(let number, let tree):
            program.slots = max(program.slots, 2 * number + 2)
            try emit(.save(2 * number))
            try write(tree)
            try emit(.save(2 * number + 1))
        case .repetition(let part, let min, let max, let isLazy): try writeRepetition(part, min, max, isLazy)
        }
    }

    private mutating func writeChoice(_ branches: [LabelPatternTree]) throws {
        var jumps: [Int] = []
        for branch in branches.dropLast() {
            let split = try emit(.split(0, 0))
            try write(branch)
            jumps.append(try emit(.jump(0)))
            program.instructions[split] = .split(split + 1, here)
        }
        if let last = branches.last { try write(last) }
        for jump in jumps { program.instructions[jump] = .jump(here) }
    }

    private mutating func writeRepetition(
        _ part: LabelPatternTree, _ min: Int, _ max: Int?, _ isLazy: Bool
    ) throws {
        func split(_ inside: Int, _ behind: Int) -> LabelPatternInstruction {
            isLazy ? .split(behind, inside) : .split(inside, behind)
        }
        for _ in 0..<min {
            try count()
            try write(part)
        }
        guard let max else {
            let start = try emit(.split(0, 0))
            try write(part)
            try emit(.jump(start))
            program.instructions[start] = split(start + 1, here)
            return
        }
        var splits: [Int] = []
        for _ in min..<Swift.max(min, max) {
            splits.append(try emit(.split(0, 0)))
            try write(part)
        }
        for start in splits { program.instructions[start] = split(start + 1, here) }
    }
}
