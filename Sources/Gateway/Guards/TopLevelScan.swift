#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Finds members of a JSON object (RFC 8259) in its raw bytes, in one pass and without reading the values.
///
/// A request goes to its provider byte for byte, so all that the gateway wants of it is where a few members stand.
/// What is checked: the outermost object whole, brackets and their nesting, and that a wanted member stands once,
/// whatever its spelling (`"mod\u0065l"` is `model`). What is not: the inside of strings, and the order of tokens
/// within nested values; the provider reads those. Members that are not asked for are not compared.
struct TopLevelScan: Sendable, Equatable {
    /// The members to look for. Made once, as it is the same for all requests of a door.
    struct Wanted: Sendable {
        static let namesMax = 64
        /// Letters of ASCII, digits and `_`.
        static let nameBytesMax = 48

        let names: [String]
        fileprivate let spellings: [[UInt8]]
        fileprivate let longest: Int
        /// The lengths that occur, as bits.
        fileprivate let lengths: UInt64

        /// Names beyond ``namesMax``, and longer ones than ``nameBytesMax``, are never found.
        init(_ names: [String]) {
            self.names = Array(names.prefix(Self.namesMax))
            spellings = self.names.map { $0.utf8.count <= Self.nameBytesMax ? Array($0.utf8) : [] }
            longest = spellings.map(\.count).max() ?? 0
            lengths = spellings.reduce(0) { $1.isEmpty ? $0 : $0 | 1 << UInt64($1.count) }
        }
    }

    /// Why a body is not forwarded.
    enum Failure: Error, Sendable, Equatable {
        /// The body is JSON of another kind, or nothing.
        case notAnObject
        case invalid(Flaw, offset: Int)
        case tooDeep(offset: Int)
        /// A wanted member stands twice, or once more in other letters, which some readers take for the same.
        case duplicate(name: String, offset: Int)
    }

    enum Flaw: String, Sendable, Equatable {
        case nameExpected = "a member's name in quotes is expected"
        case colonExpected = "':' is expected"
        case commaExpected = "',' or '}' is expected"
        case notAValue = "not a JSON value"
        case notANumber = "not a JSON number"
        case unterminatedString = "a string without an end"
        case badEscape = "an unknown escape in a string"
        case strayByte = "a character that cannot stand outside of strings"
        case mismatched = "brackets that do not match"
        case unterminated = "the document ends too early"
        case textAfterEnd = "text after the end of the document"
    }

    /// Nesting that is let through, as the parser of the Kernel counts it: the object itself is the first level.
    static let depthMax = 128

    /// Where each wanted member's value stands, in the order of the names; `nil` where it is absent.
    let ranges: [Range<Int>?]
    /// Just behind the opening brace: where a member can be put in front of the others.
    let start: Int
    let isEmpty: Bool
    /// The deepest nesting that was met.
    let depth: Int

    /// - Parameter depthMax: At most ``depthMax``.
    static func scan(
        _ bytes: UnsafeRawBufferPointer, for wanted: Wanted, depthMax: Int = TopLevelScan.depthMax
    ) throws(Failure) -> TopLevelScan {
        guard let base = bytes.baseAddress else { throw .notAnObject }
        var cursor = TopLevelCursor(
            base: base.assumingMemoryBound(to: UInt8.self), count: bytes.count, depthMax: min(depthMax, Self.depthMax))
        return try cursor.scan(wanted)
    }

    static func scan(_ bytes: [UInt8], for wanted: Wanted, depthMax: Int = TopLevelScan.depthMax) throws(Failure)
        -> TopLevelScan
    {
        // A closure's typed throw does not come through the standard library's rethrowing function.
        let result = bytes.withUnsafeBytes { pointer -> Result<TopLevelScan, Failure> in
            Result { () throws(Failure) in try scan(pointer, for: wanted, depthMax: depthMax) }
        }
        return try result.get()
    }
}

/// The pass itself. The pointer does not outlive the call that made it.
private struct TopLevelCursor {
    let base: UnsafePointer<UInt8>
    let count: Int
    let depthMax: Int
    var position = 0
    var deepest = 1

    init(base: UnsafePointer<UInt8>, count: Int, depthMax: Int) {
        self.base = base
        self.count = count
        self.depthMax = depthMax
    }

    typealias Failure = TopLevelScan.Failure

    private func flaw(_ flaw: TopLevelScan.Flaw) -> Failure { .invalid(flaw, offset: position) }

    mutating func scan(_ wanted: TopLevelScan.Wanted) throws(Failure) -> TopLevelScan {
        skipSpace()
        guard position < count, base[position] == UInt8(ascii: "{") else { throw .notAnObject }
        guard depthMax >= 1 else { throw .tooDeep(offset: position) }
        position += 1
        let start = position
        var ranges = [Range<Int>?](repeating: nil, count: wanted.names.count)
        var seen = Seen()
        skipSpace()
        let isEmpty = take("}")
        var isOpen = !isEmpty
        while isOpen {
            let index = try name(wanted, &seen)
            skipSpace()
            guard take(":") else { throw flaw(.colonExpected) }
            skipSpace()
            let from = position
            try value()
            if let index { ranges[index] = from..<position }
            skipSpace()
            if take(",") {
                skipSpace()
            } else if take("}") {
                isOpen = false
            } else {
                throw flaw(position < count ? .commaExpected : .unterminated)
            }
        }
        skipSpace()
        guard position == count else { throw flaw(.textAfterEnd) }
        return TopLevelScan(ranges: ranges, start: start, isEmpty: isEmpty, depth: deepest)
    }

    private mutating func skipSpace() {
        while position < count {
            switch base[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < count, base[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    // MARK: Names

    /// Which wanted members were met, as bits: in their own letters, and in others.
    private struct Seen {
        var exact: UInt64 = 0
        var folded: UInt64 = 0
    }

    /// Reads a member's name; the index of the wanted one that it is.
    private mutating func name(_ wanted: TopLevelScan.Wanted, _ seen: inout Seen) throws(Failure) -> Int? {
        let at = position
        guard take("\"") else { throw flaw(position < count ? .nameExpected : .unterminated) }
        let start = position
        try skipString()
        let length = position - 1 - start
        // A letter takes six bytes at most, as \u006d; longer names can be none of the wanted.
        guard length <= 6 * wanted.longest else { return nil }
        let text = UnsafeBufferPointer(start: base + start, count: length)
        guard memchr(base + start, 0x5C, length) != nil else { return try match(text, wanted, &seen, at: at) }
        // Found before the closure, as a closure's typed throw does not come through `withUnsafeTemporaryAllocation`.
        let decoded = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, wanted.longest)) {
            buffer -> Result<Int?, Failure> in
            switch Self.unescape(text, into: buffer) {
            case .text(let length):
                let text = UnsafeBufferPointer(start: UnsafePointer(buffer.baseAddress), count: length)
                return Result { () throws(Failure) in try match(text, wanted, &seen, at: at) }
            case .other: return .success(nil)
            case .invalid: return .failure(.invalid(.badEscape, offset: at))
            }
        }
        return try decoded.get()
    }

    private func match(
        _ text: UnsafeBufferPointer<UInt8>, _ wanted: TopLevelScan.Wanted, _ seen: inout Seen, at offset: Int
    ) throws(Failure) -> Int? {
        guard text.count < 64, wanted.lengths >> UInt64(text.count) & 1 == 1 else { return nil }
        for (index, spelling) in wanted.spellings.enumerated() where spelling.count == text.count {
            var isExact = true
            var isSame = true
            for (byte, other) in zip(text, spelling) where byte != other {
                isExact = false
                let folded = byte | 0x20
                guard folded == other | 0x20, (97...122).contains(folded) else {
                    isSame = false
                    break
                }
            }
            guard isSame else { continue }
            let bit: UInt64 = 1 << UInt64(index)
            // Go's decoder takes `Model` for `model`, and the last one of both: what is priced must be what is asked.
            let isTwice = isExact ? (seen.exact | seen.folded) & bit != 0 : seen.exact & bit != 0
            guard !isTwice else { throw .duplicate(name: wanted.names[index], offset: offset) }
            guard isExact else {
                seen.folded |= bit
                return nil
            }
            seen.exact |= bit
            return index
        }
        return nil
    }

    private enum Unescaped {
        case text(Int)
        /// None of the wanted: too long, or not ASCII.
        case other
        case invalid
    }

    private static func unescape(
        _ text: UnsafeBufferPointer<UInt8>, into buffer: UnsafeMutableBufferPointer<UInt8>
    ) -> Unescaped {
        var index = 0
        var length = 0
        var isOther = false
        while index < text.count {
            var byte = text[index]
            index += 1
            if byte == 0x5C {
                guard index < text.count else { return .invalid }
                let kind = text[index]
                index += 1
                switch kind {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte = kind
                // No name has a control character.
                case UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
                    byte = 0
                case UInt8(ascii: "u"):
                    guard index + 4 <= text.count else { return .invalid }
                    var code: UInt32 = 0
                    for digit in text[index..<index + 4] {
                        guard let value = hexadecimal(digit) else { return .invalid }
                        code = code << 4 | value
                    }
                    index += 4
                    byte = code < 0x80 ? UInt8(code) : 0
                default: return .invalid
                }
            }
            if byte == 0 || length == buffer.count { isOther = true }
            if !isOther {
                buffer[length] = byte
                length += 1
            }
        }
        return isOther ? .other : .text(length)
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 48...57: UInt32(byte - 48)
        case 65...70: UInt32(byte - 55)
        case 97...102: UInt32(byte - 87)
        default: nil
        }
    }

    // MARK: Values

    private mutating func value() throws(Failure) {
        guard position < count else { throw flaw(.unterminated) }
        switch base[position] {
        case UInt8(ascii: "\""):
            position += 1
            try skipString()
        case UInt8(ascii: "{"), UInt8(ascii: "["): try skipContainer()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        default: throw flaw(.notAValue)
        }
    }

    private mutating func literal(_ word: StaticString) throws(Failure) {
        let length = word.utf8CodeUnitCount
        guard length <= count - position, memcmp(base + position, word.utf8Start, length) == 0 else {
            throw flaw(.notAValue)
        }
        position += length
    }

    private mutating func number() throws(Failure) {
        _ = take("-")
        let leading = position
        try digits()
        if base[leading] == UInt8(ascii: "0"), position - leading > 1 { throw flaw(.notANumber) }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
    }

    private mutating func digits() throws(Failure) {
        let start = position
        while position < count, base[position] &- 48 < 10 { position += 1 }
        if position == start { throw flaw(.notANumber) }
    }

    /// Leaves the position behind the closing quote of a string whose opening one was taken.
    ///
    /// A quote ends the string where an even number of backslashes stands before it. Each backslash is counted for one
    /// quote only, so the pass stays linear; `memchr` does the rest at the machine's speed.
    private mutating func skipString() throws(Failure) {
        let base = base
        var position = position
        while position < count {
            // Most strings, and most stretches between escaped quotes, are short, and a call costs more than they do.
            let near = min(count, position + 16)
            while position < near {
                let byte = base[position]
                if byte == UInt8(ascii: "\"") {
                    self.position = position + 1
                    return
                }
                position += byte == 0x5C ? 2 : 1
            }
            guard position < count, let found = memchr(base + position, 0x22, count - position) else { break }
            let quote = UnsafeRawPointer(found) - UnsafeRawPointer(base)
            var back = quote
            while back > position, base[back - 1] == 0x5C { back -= 1 }
            position = quote + 1
            if (quote - back) & 1 == 0 {
                self.position = position
                return
            }
        }
        self.position = count
        throw flaw(.unterminatedString)
    }

    /// The bytes below 64 but the quote, and from 64 on, that can stand outside of strings.
    private static let allowedLow: UInt64 = bits("\t\n\r +,-.0123456789:")
    private static let allowedHigh: UInt64 = bits("E[]aeflnrstu{}")

    private static func bits(_ characters: String) -> UInt64 { characters.utf8.reduce(0) { $0 | 1 << UInt64($1 & 63) } }

    /// Goes through an object or array by its brackets and strings.
    @inline(never)
    private mutating func skipContainer() throws(Failure) {
        let base = base
        let count = count
        let low = Self.allowedLow
        let high = Self.allowedHigh
        // A bit for each level: whether it is an object. The outermost object is level 1.
        var kinds: (UInt64, UInt64) = (0, 0)
        var depth = 1
        // Kept in a register: this loop is the price of a body that is not mostly text.
        var place = position
        while place < count {
            var byte = base[place]
            // Numbers, commas and space, which are many, in a loop of their own.
            while byte < 64, low &>> UInt64(byte) & 1 == 1 {
                place &+= 1
                guard place < count else { break }
                byte = base[place]
            }
            guard place < count else { break }
            if byte == UInt8(ascii: "\"") {
                position = place + 1
                try skipString()
                place = position
                continue
            }
            guard byte &- 64 < 64, high &>> UInt64(byte & 63) & 1 == 1 else {
                throw .invalid(.strayByte, offset: place)
            }
            // Brackets and braces are the same but for one bit.
            switch byte | 0x20 {
            case UInt8(ascii: "{"):
                guard depth < depthMax else { throw .tooDeep(offset: place) }
                kinds = (kinds.0 << 1 | UInt64(byte &>> 5 & 1), kinds.1 << 1 | kinds.0 >> 63)
                depth += 1
                if depth > deepest { deepest = depth }
            case UInt8(ascii: "}"):
                guard kinds.0 & 1 == UInt64(byte &>> 5 & 1) else { throw .invalid(.mismatched, offset: place) }
                kinds = (kinds.0 >> 1 | kinds.1 << 63, kinds.1 >> 1)
                depth -= 1
                if depth == 1 {
                    position = place + 1
                    return
                }
            default: break
            }
            place &+= 1
        }
        position = count
        throw flaw(.unterminated)
    }
}
