/// Reads ECMAScript's syntax (ECMA-262 §22.2, as with its `u` flag).
struct ECMAPatternParser: PatternParser {
    let scalars: [Unicode.Scalar]
    var position = 0
    var depth = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws -> PatternTree { try whole() }

    mutating func sequence() throws -> PatternTree {
        var parts: [PatternTree] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            let (part, isRepeatable) = try self.part()
            guard let (min, max) = try quantifier() else {
                parts.append(part)
                continue
            }
            guard isRepeatable else { throw failure("a repetition of nothing") }
            parts.append(.repetition(part, min: min, max: max, isLazy: false))
        }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func part() throws -> (PatternTree, isRepeatable: Bool) {
        guard let scalar = next else { throw failure("it ends too early") }
        position += 1
        switch scalar {
        case "^": return (.start, false)
        case "$": return (.end, false)
        case ".": return (.set(.any), true)
        case "(": return try group()
        case "[": return (.set(try bracket()), true)
        case "\\": return try escape()
        case "*", "+", "?": throw failure("a repetition of nothing")
        default: return (.set(.ranges(scalar.value...scalar.value)), true)
        }
    }

    private mutating func group() throws -> (PatternTree, isRepeatable: Bool) {
        let lookahead = try groupSign()
        let tree = try inside()
        if let lookahead { return (.lookahead(tree, isNegated: lookahead), false) }
        return (tree, true)
    }

    /// What stands behind a group's `(`: for a lookahead whether it is negated, else `nil`.
    private mutating func groupSign() throws -> Bool? {
        guard take("?") else { return nil }
        if take("=") { return false }
        if take("!") { return true }
        if take("<=") || take("<!") { throw failure("lookbehind cannot be matched in bounded time") }
        if take("<") || take("P<") {
            guard !take(while: PatternSet.words.contains).isEmpty, take(">") else {
                throw failure("a group's name is expected")
            }
        } else if !take(":") {
            throw failure("an unknown kind of group")
        }
        return nil
    }

    /// `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`, each perhaps with `?`, which changes what is found but not whether.
    private mutating func quantifier() throws -> (Int, Int?)? {
        var result: (Int, Int?)?
        if take("*") {
            result = (0, nil)
        } else if take("+") {
            result = (1, nil)
        } else if take("?") {
            result = (0, 1)
        } else if next == "{" {
            result = try counted()
        }
        if result != nil { _ = take("?") }
        return result
    }

    /// A `{` that begins no count stands for itself, as in a browser.
    private mutating func counted() throws -> (Int, Int?)? {
        let start = position
        position += 1
        if let min = try number() {
            if take("}") { return (min, min) }
            if take(",") {
                let max = try number()
                if take("}") {
                    guard max.map({ $0 >= min }) ?? true else { throw failure("a repetition whose ends are swapped") }
                    return (min, max)
                }
            }
        }
        position = start
        return nil
    }

    private mutating func number() throws -> Int? {
        let digits = take(while: PatternSet.digits.contains)
        guard !digits.isEmpty else { return nil }
        guard let value = Int(digits), value <= BoundedPattern.instructionsMax else {
            throw failure("a repetition above \(BoundedPattern.instructionsMax)")
        }
        return value
    }

    // MARK: Escapes

    private mutating func escape() throws -> (PatternTree, isRepeatable: Bool) {
        if take("b") { return (.wordBoundary(isNegated: false), false) }
        if take("B") { return (.wordBoundary(isNegated: true), false) }
        if let scalar = next, (49...57).contains(scalar.value) || scalar == "k" {
            throw failure("a back reference cannot be matched in bounded time")
        }
        return (.set(try escapedSet()), true)
    }

    /// What stands behind a backslash, in a bracket or out of it.
    private mutating func escapedSet() throws -> PatternSet {
        guard let scalar = next else { throw failure("it ends with a backslash") }
        position += 1
        switch scalar {
        case "d": return .digits
        case "D": return PatternSet(ranges: PatternSet.digits.complement)
        case "w": return .words
        case "W": return PatternSet(ranges: PatternSet.words.complement)
        case "s": return .spaces
        case "S": return PatternSet(ranges: PatternSet.spaces.complement)
        case "p", "P": return try property(isNegated: scalar == "P")
        default:
            let value = try escapedScalar(scalar)
            return .ranges(value...value)
        }
    }

    private mutating func escapedScalar(_ scalar: Unicode.Scalar) throws -> UInt32 {
        switch scalar {
        case "t": return 9
        case "n": return 10
        case "v": return 11
        case "f": return 12
        case "r": return 13
        case "0":
            if let digit = next, PatternSet.digits.contains(digit) { throw failure("octal escapes are not allowed") }
            return 0
        case "c":
            guard let letter = next, (65...90).contains(letter.value & ~0x20) else {
                throw failure("\\c needs a letter")
            }
            position += 1
            return letter.value & 31
        case "x": return try hexadecimal(2)
        case "u": return try unicode()
        default:
            let isLetter = (65...90).contains(scalar.value & ~0x20) || PatternSet.digits.contains(scalar)
            guard !isLetter else { throw failure("\\\(scalar) is no escape") }
            return scalar.value
        }
    }

    private mutating func hexadecimal(_ width: Int) throws -> UInt32 {
        guard position + width <= scalars.count,
            let value = UInt32(String(String.UnicodeScalarView(scalars[position..<position + width])), radix: 16)
        else { throw failure("\(width) hexadecimal digits are expected") }
        position += width
        return value
    }

    /// `\u0041`, `\u{1F600}`, or a surrogate pair of two.
    private mutating func unicode() throws -> UInt32 {
        if take("{") {
            let value = UInt32(take { $0 != "}" }, radix: 16)
            guard take("}"), let value, value <= 0x10FFFF else { throw failure("a code point in braces is expected") }
            return value
        }
        let first = try hexadecimal(4)
        guard (0xD800..<0xDC00).contains(first), take("\\u") else { return first }
        let second = try hexadecimal(4)
        guard (0xDC00..<0xE000).contains(second) else { throw failure("half of a surrogate pair") }
        return 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }

    // MARK: Sets

    private mutating func bracket() throws -> PatternSet {
        var set = PatternSet()
        let isNegated = take("^")
        while true {
            guard let scalar = next else { throw failure("a [ without its ]") }
            if take("]") { break }
            let low = try bracketItem()
            // `a-z`, but not `\d-z`, and a hyphen at the end stands for itself.
            if next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
                position += 1
                let high = try bracketItem()
                guard let from = low.single, let to = high.single else { throw failure("a range needs two characters") }
                guard from <= to else { throw failure("a range whose ends are swapped, from \(scalar)") }
                set.ranges.append(from...to)
            } else {
                set.ranges += low.ranges
                set.categories.formUnion(low.categories)
            }
        }
        set.normalize()
        set.isNegated = isNegated
        return set
    }

    private mutating func bracketItem() throws -> PatternSet {
        guard let scalar = next else { throw failure("a [ without its ]") }
        position += 1
        guard scalar == "\\" else { return .ranges(scalar.value...scalar.value) }
        if take("b") { return .ranges(8...8) }
        return try escapedSet()
    }

    private mutating func property(isNegated: Bool) throws -> PatternSet {
        guard take("{") else { throw failure("\\p needs a name in braces") }
        var text = take { $0 != "}" }
        guard take("}") else { throw failure("\\p needs a name in braces") }
        for prefix in ["General_Category=", "gc="] where text.hasPrefix(prefix) { text.removeFirst(prefix.count) }
        guard let set = PatternSet(property: text, isNegated: isNegated) else {
            throw failure("\\p knows general categories such as L, Lu, Letter or Nd, and not \(text.prefix(40))")
        }
        return set
    }
}
