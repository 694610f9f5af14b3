import Kernel

/// A version by Semantic Versioning 2.0.0, for conditions. Missing parts count as zero, a leading `v` as nothing.
struct FlagVersion: Sendable, Equatable, Comparable {
    static let charactersMax = 256

    let numbers: [UInt64]
    let prerelease: [Substring]

    init?(_ text: String) {
        guard text.utf8.count <= Self.charactersMax else { return nil }
        let plain = text.hasPrefix("v") ? text.dropFirst() : Substring(text)
        let withoutBuild = plain.prefix { $0 != "+" }
        let core = withoutBuild.prefix { $0 != "-" }
        let parts = core.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap(Self.number)
        guard (1...3).contains(parts.count), numbers.count == parts.count else { return nil }
        self.numbers = numbers + Array(repeating: 0, count: 3 - numbers.count)
        guard core.endIndex != withoutBuild.endIndex else {
            prerelease = []
            return
        }
        let rest = withoutBuild[withoutBuild.index(after: core.endIndex)...]
        prerelease = rest.split(separator: ".", omittingEmptySubsequences: false)
        guard prerelease.allSatisfy({ !$0.isEmpty }) else { return nil }
    }

    /// Digits alone: `UInt64` reads a sign too.
    private static func number(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy { (48...57).contains($0) } ? UInt64(text) : nil
    }

    /// Semantic Versioning §11.
    static func < (left: FlagVersion, right: FlagVersion) -> Bool {
        if left.numbers != right.numbers { return left.numbers.lexicographicallyPrecedes(right.numbers) }
        if left.prerelease.isEmpty || right.prerelease.isEmpty {
            return !left.prerelease.isEmpty && right.prerelease.isEmpty
        }
        for (one, other) in zip(left.prerelease, right.prerelease) where one != other {
            switch (number(one), number(other)) {
            case (let one?, let other?): return one < other
            case (.some, nil): return true
            case (nil, .some): return false
            case (nil, nil): return one.utf8.lexicographicallyPrecedes(other.utf8)
            }
        }
        return left.prerelease.count < right.prerelease.count
    }
}

/// `>=1.2.0`, `<2`, `=1.4.1`, `!=1.4.2`, `^1.2` (below the next major) or `~1.2.3` (below the next minor version).
struct FlagVersionRange: Sendable, Equatable {
    enum Sign: String, Sendable, CaseIterable {
        // Those of two characters first, as they begin with others.
        case notBelow = ">=", notAbove = "<=", isNot = "!=", above = ">", below = "<", same = "=", caret = "^",
            tilde = "~"
    }

    static let rangesMax = 5

    let sign: Sign
    let version: FlagVersion

    func holds(_ other: FlagVersion) -> Bool {
        switch sign {
        case .notBelow: other >= version
        case .notAbove: other <= version
        case .isNot: other != version
        case .above: other > version
        case .below: other < version
        case .same: other == version
        case .caret: other >= version && other.numbers[0] == version.numbers[0]
        case .tilde: other >= version && other.numbers.prefix(2) == version.numbers.prefix(2)
        }
    }

    /// Several with spaces between them; all must hold.
    static func ranges(_ value: JSONValue, path: String) throws -> [FlagVersionRange] {
        let words = value.string?.split(separator: " ") ?? []
        let ranges = words.compactMap { word -> FlagVersionRange? in
            let sign = Sign.allCases.first { word.hasPrefix($0.rawValue) }
            let rest = word.dropFirst(sign?.rawValue.count ?? 0)
            return FlagVersion(String(rest)).map { FlagVersionRange(sign: sign ?? .same, version: $0) }
        }
        guard (1...rangesMax).contains(words.count), ranges.count == words.count else {
            throw Problem.invalid(
                path, "a range of versions is expected",
                hint: "Write one such as \">=1.2.0 <2.0.0\", \"^1.4\" or \"~1.4.2\".")
        }
        return ranges
    }
}
