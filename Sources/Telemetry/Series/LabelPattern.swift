import Kernel

/// A regular expression over the whole of a label's value, as Prometheus takes it (RE2 syntax, anchored at both ends).
public struct LabelPattern: Sendable {
    /// Steps that one match may take: more than any value of a label needs.
    static let stepsMax = 100_000_000

    private enum Form {
        /// Any of these values.
        case words(Set<[UInt8]>)
        case anything
        /// At least one character, none of which ends a line.
        case something
        case pattern
    }

    private let form: Form
    private let pattern: BoundedPattern

    /// - Throws: ``BoundedPattern/Failure``.
    public init(_ text: String) throws {
        pattern = try BoundedPattern(text, syntax: .re2)
        let special = Set("\\.+*?()[]{}^$".utf8)
        if text.utf8.allSatisfy({ !special.contains($0) }) {
            form = .words(
                Set(text.utf8.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false).map { Array($0) }))
        } else {
            form = text == ".*" ? .anything : text == ".+" ? .something : .pattern
        }
    }

    public func isMatch(_ value: String) -> Bool {
        switch form {
        case .words(let words): return words.contains(Array(value.utf8))
        case .anything: return !value.utf8.contains(10)
        case .something: return !value.isEmpty && !value.utf8.contains(10)
        case .pattern:
            var steps = Self.stepsMax
            return pattern.isWhole(value, stepsLeft: &steps)
        }
    }

    /// What a template becomes with the groups of a match; `nil` where the value does not match.
    ///
    /// - Parameter template: With `$1`, `${1}`, `$name` or `${name}` for groups, and `$$` for a dollar sign.
    func expand(_ template: String, with value: String) -> String? {
        var steps = Self.stepsMax
        return pattern.groups(of: value, stepsLeft: &steps).map { Self.expand(template, $0, pattern.groupNames) }
    }

    /// The text with each match within it replaced by the template with the match's groups, as Go's
    /// `Regexp.ReplaceAllString` does; `nil` where that takes too long.
    static func replacing(_ pattern: BoundedPattern, in text: String, by template: String) -> String? {
        var steps = stepsMax
        return pattern.replacing(in: text, stepsLeft: &steps) { expand(template, $0, pattern.groupNames) }
    }

    private static func expand(_ template: String, _ groups: [String?], _ names: [String?]) -> String {
        func group(_ name: String) -> String {
            let isNumber = name.utf8.allSatisfy { (48...57).contains($0) }
            guard let place = isNumber ? Int(name) : names.firstIndex(of: name),
                groups.indices.contains(place)
            else { return "" }
            return groups[place] ?? ""
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
        let name = rest.dropFirst(isBraced ? 1 : 0).prefix { isWord($0) }
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

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
    }
}
