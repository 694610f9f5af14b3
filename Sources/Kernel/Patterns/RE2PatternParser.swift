/// Reads RE2's syntax (github.com/google/re2/wiki/Syntax).
struct RE2PatternParser: PatternParser {
    /// Of a counted repetition (RE2's limit).
    private static let repetitionsMax = 1_000
    private static let spaces = PatternSet.ranges(9...10, 12...13, 32...32)
    private static let notNewline = PatternSet(ranges: PatternSet.ranges(10...10).complement)

    let scalars: [Unicode.Scalar]
    var position = 0
    var depth = 0
    private var isCaseless = false
    private var dotTakesNewline = false
    /// The names of the groups; the first is for the whole.
    private(set) var groupNames: [String?] = [nil]

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws -> PatternTree { .group(0, try whole()) }

    mutating func sequence() throws -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            guard let part = try part() else { continue }
            parts.append(try repeated(part))
        }
        return .sequence(parts)
    }

    /// A part, or `nil` for flags, which are for those that follow.
    private mutating func part() throws -> PatternTree? {
        guard let scalar = next else { throw failure("it ends too early") }
        position += 1
        switch scalar {
        case "^": return .start
        case "$": return .end
        case ".": return .set(dotTakesNewline ? .all : Self.notNewline)
        case "(": return try group()
        case "[": return .set(try bracket())
        case "\\": return try escape()
        case "*", "+", "?": throw failure("a repetition of nothing")
        default: return .set(cased(.ranges(scalar.value...scalar.value)))
        }
    }

    private func cased(_ set: PatternSet) -> PatternSet { isCaseless ? set.caseless : set }

    private mutating func group() throws -> PatternTree? {
        let flags = (isCaseless, dotTakesNewline)
        var number: Int?
        if take("?P<") || take("?<") {
            let name = take(while: PatternSet.words.contains)
            guard !name.isEmpty, take(">") else { throw failure("a group's name is expected") }
            number = groupNames.count
            groupNames.append(name)
        } else if take("?") {
            if try setFlags() { return nil }
        } else {
            number = groupNames.count
            groupNames.append(nil)
        }
        let tree = try inside()
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

    private mutating func repeated(_ part: PatternTree) throws -> PatternTree {
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
        guard Swift.max(min, max ?? 0) <= Self.repetitionsMax, min <= max ?? min else {
            throw failure("a count of repetitions that is not allowed")
        }
        return (min, max)
    }

    private mutating func number() -> Int? {
        let digits = scalars[position...].prefix { PatternSet.digits.contains($0) }
        guard !digits.isEmpty, digits.count <= 6 else { return nil }
        position += digits.count
        return Int(String(String.UnicodeScalarView(digits)))
    }

    // MARK: Escapes and sets

    private mutating func escape() throws -> PatternTree {
        if take("b") { return .wordBoundary(isNegated: false) }
        if take("B") { return .wordBoundary(isNegated: true) }
        if take("A") { return .start }
        if take("z") { return .end }
        if take("Q") {
            var parts: [PatternTree] = []
            while let scalar = next, !take("\\E") {
                position += 1
                parts.append(.set(cased(.ranges(scalar.value...scalar.value))))
            }
            return .sequence(parts)
        }
        return .set(cased(try escapedSet()))
    }

    private mutating func escapedSet() throws -> PatternSet {
        guard let scalar = next else { throw failure("it ends with a backslash") }
        position += 1
        let value: UInt32
        switch scalar {
        case "d": return .digits
        case "D": return PatternSet(ranges: PatternSet.digits.complement)
        case "w": return .words
        case "W": return PatternSet(ranges: PatternSet.words.complement)
        case "s": return Self.spaces
        case "S": return PatternSet(ranges: Self.spaces.complement)
        case "p", "P": return try property(isNegated: scalar == "P")
        case "t": value = 9
        case "n": value = 10
        case "v": value = 11
        case "f": value = 12
        case "r": value = 13
        case "a": value = 7
        case "x": value = try hexadecimal()
        default:
            guard scalar.value < 128, !PatternSet.words.contains(scalar) || scalar == "_" else {
                throw failure("\\\(scalar) is no escape that is known here")
            }
            value = scalar.value
        }
        return .ranges(value...value)
    }

    /// `\pN`, `\p{Greek}` or `\p{^Lu}`: of these the general categories.
    private mutating func property(isNegated: Bool) throws -> PatternSet {
        var name = scalars[position...].prefix(1)
        var isOther = isNegated
        if take("{") {
            if take("^") { isOther.toggle() }
            name = scalars[position...].prefix { $0 != "}" }
            position += 1
        }
        position += name.count
        let text = String(String.UnicodeScalarView(name))
        guard position <= scalars.count, let set = PatternSet(property: text, isNegated: isOther) else {
            throw failure("\\p knows general categories such as L, Lu or Nd")
        }
        return set
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

    private mutating func bracket() throws -> PatternSet {
        var set = PatternSet(ranges: [])
        let isNegated = take("^")
        var isFirst = true
        while isFirst || !take("]") {
            guard next != nil else { throw failure("a [ without its ]") }
            isFirst = false
            if take("[:") {
                let isOther = take("^")
                guard let ranges = Self.classes[take(while: PatternSet.words.contains)], take(":]") else {
                    throw failure("a class that is not known")
                }
                set.ranges += isOther ? PatternSet.sorted(ranges).complement : ranges
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
                set.categories.formUnion(low.categories)
            }
        }
        set = cased(set)
        set.normalize()
        set.isNegated = isNegated
        return set
    }

    private mutating func bracketItem() throws -> PatternSet {
        guard let scalar = next else { throw failure("a [ without its ]") }
        position += 1
        return scalar == "\\" ? try escapedSet() : .ranges(scalar.value...scalar.value)
    }
}
