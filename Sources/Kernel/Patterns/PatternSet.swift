/// A set of code points.
struct PatternSet: Sendable {
    /// Sorted and disjoint once ``normalize()`` has run.
    var ranges: [ClosedRange<UInt32>] = []
    var categories: Set<Unicode.GeneralCategory> = []
    var isNegated = false

    static func ranges(_ ranges: ClosedRange<UInt32>...) -> PatternSet { sorted(ranges) }

    static func sorted(_ ranges: [ClosedRange<UInt32>]) -> PatternSet {
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
    static let all = ranges(0...0x10FFFF)
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

    /// The one character of a set that has just one.
    var single: UInt32? {
        guard ranges.count == 1, categories.isEmpty, ranges[0].count == 1, !isNegated else { return nil }
        return ranges[0].lowerBound
    }

    /// The ASCII character of a set that has just that one, or a letter in both cases: a small one then.
    var letter: UInt8? {
        guard categories.isEmpty, !isNegated, ranges.allSatisfy({ $0.count == 1 && $0.lowerBound < 0x80 }) else {
            return nil
        }
        let folded = Set(
            ranges.map { (65...90).contains($0.lowerBound) ? UInt8($0.lowerBound) | 0x20 : UInt8($0.lowerBound) })
        return folded.count == 1 ? folded.first : nil
    }

    /// With the other case of its letters; of those beyond ASCII the simple ones.
    var caseless: PatternSet {
        var set = self
        for range in ranges where range.count <= Self.caselessRangeMax {
            for value in range {
                guard let properties = Unicode.Scalar(value)?.properties else { continue }
                for text in [properties.lowercaseMapping, properties.uppercaseMapping] {
                    let scalars = text.unicodeScalars
                    if scalars.count == 1, let first = scalars.first, first.value != value {
                        set.ranges.append(first.value...first.value)
                    }
                }
            }
        }
        let cased: Set<Unicode.GeneralCategory> = [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter]
        if !set.categories.isDisjoint(with: cased) { set.categories.formUnion(cased) }
        set.normalize()
        return set
    }

    /// Larger ranges have both cases of most letters.
    private static let caselessRangeMax = 1_000
}

extension PatternSet {
    /// - Parameter property: A general category of Unicode, `Any` or `ASCII`; `nil` for another one.
    init?(property: String, isNegated: Bool) {
        if property == "Any" || property == "ASCII" {
            let range = PatternSet.ranges(0...(property == "Any" ? 0x10FFFF : 0x7F))
            self = isNegated ? PatternSet(ranges: range.complement) : range
        } else {
            guard let categories = PatternCategories.named(property) else { return nil }
            self.init(categories: isNegated ? PatternCategories.all.subtracting(categories) : categories)
        }
    }
}

/// Unicode's general categories by their names (UAX #44, table 12).
enum PatternCategories {
    private static let table: [(short: String, long: String, category: Unicode.GeneralCategory)] = [
        ("Lu", "Uppercase_Letter", .uppercaseLetter), ("Ll", "Lowercase_Letter", .lowercaseLetter),
        ("Lt", "Titlecase_Letter", .titlecaseLetter), ("Lm", "Modifier_Letter", .modifierLetter),
        ("Lo", "Other_Letter", .otherLetter), ("Mn", "Nonspacing_Mark", .nonspacingMark),
        ("Mc", "Spacing_Mark", .spacingMark), ("Me", "Enclosing_Mark", .enclosingMark),
        ("Nd", "Decimal_Number", .decimalNumber), ("Nl", "Letter_Number", .letterNumber),
        ("No", "Other_Number", .otherNumber), ("Pc", "Connector_Punctuation", .connectorPunctuation),
        ("Pd", "Dash_Punctuation", .dashPunctuation), ("Ps", "Open_Punctuation", .openPunctuation),
        ("Pe", "Close_Punctuation", .closePunctuation), ("Pi", "Initial_Punctuation", .initialPunctuation),
        ("Pf", "Final_Punctuation", .finalPunctuation), ("Po", "Other_Punctuation", .otherPunctuation),
        ("Sm", "Math_Symbol", .mathSymbol), ("Sc", "Currency_Symbol", .currencySymbol),
        ("Sk", "Modifier_Symbol", .modifierSymbol), ("So", "Other_Symbol", .otherSymbol),
        ("Zs", "Space_Separator", .spaceSeparator), ("Zl", "Line_Separator", .lineSeparator),
        ("Zp", "Paragraph_Separator", .paragraphSeparator), ("Cc", "Control", .control), ("Cf", "Format", .format),
        ("Cs", "Surrogate", .surrogate), ("Co", "Private_Use", .privateUse), ("Cn", "Unassigned", .unassigned),
    ]
    private static let groups = [
        "Letter": "L", "Mark": "M", "Number": "N", "Punctuation": "P", "punct": "P", "Symbol": "S", "Separator": "Z",
        "Other": "C", "digit": "Nd", "cntrl": "Cc",
    ]

    static let all = Set(table.map(\.category))

    static func named(_ name: String) -> Set<Unicode.GeneralCategory>? {
        let short = groups[name] ?? name
        let isGroup = short.count == 1
        let found = table.filter { $0.short == short || $0.long == short || (isGroup && $0.short.hasPrefix(short)) }
        return found.isEmpty ? nil : Set(found.map(\.category))
    }
}
