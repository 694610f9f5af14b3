import Kernel

/// What a rule asks of one attribute of the context: all of its tests must hold.
public struct FlagCondition: Sendable, Equatable {
    /// Values of one list.
    static let valuesMax = 1_000
    /// Tests of one condition.
    static let testsMax = 10
    /// Characters of a text that is compared.
    static let textMax = 1_000

    enum Test: Sendable, Equatable {
        case isIn([JSONValue])
        case isNotIn([JSONValue])
        case startsWith([String])
        case endsWith([String])
        case contains([String])
        case compare(Comparison, JSONValue)
        case semver([FlagVersionRange])
        case exists(Bool)
    }

    enum Comparison: String, Sendable, CaseIterable {
        case greater, greaterOrEqual, less, lessOrEqual

        func holds(_ isLess: Bool, _ isEqual: Bool) -> Bool {
            switch self {
            case .greater: !isLess && !isEqual
            case .greaterOrEqual: !isLess
            case .less: isLess
            case .lessOrEqual: isLess || isEqual
            }
        }
    }

    static let operators =
        ["in", "notIn", "equals", "notEquals", "startsWith", "endsWith", "contains"]
        + Comparison.allCases.map(\.rawValue) + ["semver", "exists"]

    public let attribute: String
    let tests: [Test]

    /// Whether it holds for an attribute's value; `nil` is an attribute that is not there.
    ///
    /// A list holds what one of its items holds. What is not there holds `notIn`, `notEquals` and `exists: false`
    /// alone.
    func holds(_ value: JSONValue?) -> Bool {
        let value = value.flatMap { $0.isNull ? nil : $0 }
        return tests.allSatisfy { Self.holds($0, value) }
    }

    private static func holds(_ test: Test, _ value: JSONValue?) -> Bool {
        switch test {
        case .exists(let isThere): return (value != nil) == isThere
        case .isNotIn(let values): return value.map { !any($0) { item in values.contains { same($0, item) } } } ?? true
        default: break
        }
        guard let value else { return false }
        return any(value) { item in
            switch test {
            case .isIn(let values): values.contains { same($0, item) }
            case .startsWith(let texts): item.string.map { text in texts.contains { has(text, prefix: $0) } } ?? false
            case .endsWith(let texts): item.string.map { text in texts.contains { has(text, suffix: $0) } } ?? false
            case .contains(let texts): item.string.map { text in texts.contains { has(text, part: $0) } } ?? false
            case .compare(let comparison, let bound): compare(item, comparison, bound)
            case .semver(let ranges):
                item.string.flatMap { FlagVersion($0) }.map { version in ranges.allSatisfy { $0.holds(version) } }
                    ?? false
            case .isNotIn, .exists: false
            }
        }
    }

    private static func any(_ value: JSONValue, _ test: (JSONValue) -> Bool) -> Bool {
        guard let items = value.array else { return test(value) }
        return items.contains(where: test)
    }

    /// JSON does not tell 1 from 1.0, and neither do people.
    static func same(_ left: JSONValue, _ right: JSONValue) -> Bool {
        if case .int(let left) = left, case .int(let right) = right { return left == right }
        if let left = left.double, let right = right.double { return left == right }
        return left == right
    }

    // Bytes and not characters: what looks alike is not the same, on no machine and in no version of Unicode.
    private static func has(_ text: String, prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

    private static func has(_ text: String, suffix: String) -> Bool {
        text.utf8.reversed().starts(with: suffix.utf8.reversed())
    }

    private static func has(_ text: String, part: String) -> Bool {
        Array(text.utf8).firstRange(of: Array(part.utf8)) != nil || part.isEmpty
    }

    private static func compare(_ item: JSONValue, _ comparison: Comparison, _ bound: JSONValue) -> Bool {
        if let left = item.double, let right = bound.double { return comparison.holds(left < right, left == right) }
        guard let left = item.string, let right = bound.string else { return false }
        let isLess = left.utf8.lexicographicallyPrecedes(right.utf8)
        return comparison.holds(isLess, !isLess && left.utf8.elementsEqual(right.utf8))
    }
}

extension FlagCondition {
    /// `{operator: operand, …}`, or a value that the attribute is to equal, or a list that it is to be in.
    init(_ attribute: String, _ value: JSONValue, path: String) throws {
        self.attribute = attribute
        switch value {
        case .object(let object):
            guard (1...Self.testsMax).contains(object.count) else {
                throw Problem.invalid(path, "1 to \(Self.testsMax) tests are expected")
            }
            tests = try object.members.map { try Self.test($0.name, $0.value, path: "\(path)/\($0.name)") }
        case .array: tests = [.isIn(try Self.scalars(value, path: path))]
        default: tests = [.isIn([try Self.scalar(value, path: path)])]
        }
    }

    private static func test(_ name: String, _ value: JSONValue, path: String) throws -> Test {
        if let comparison = Comparison(rawValue: name) {
            guard value.double != nil || value.string != nil else {
                throw Problem.invalid(path, "a number or a string is expected, not \(value.typeName)")
            }
            return .compare(comparison, try scalar(value, path: path))
        }
        switch name {
        case "in": return .isIn(try scalars(value, path: path))
        case "notIn": return .isNotIn(try scalars(value, path: path))
        case "equals": return .isIn([try scalar(value, path: path)])
        case "notEquals": return .isNotIn([try scalar(value, path: path)])
        case "startsWith": return .startsWith(try texts(value, path: path))
        case "endsWith": return .endsWith(try texts(value, path: path))
        case "contains": return .contains(try texts(value, path: path))
        case "semver": return .semver(try FlagVersionRange.ranges(value, path: path))
        case "exists":
            guard let isThere = value.bool else {
                throw Problem.invalid(path, "true or false is expected, not \(value.typeName)")
            }
            return .exists(isThere)
        default:
            throw Problem.invalid(
                path, "there is no test of this name", hint: "Known are: \(operators.joined(separator: ", ")).")
        }
    }

    private static func scalar(_ value: JSONValue, path: String) throws -> JSONValue {
        switch value {
        case .bool, .int, .double: return value
        case .string(let text) where text.unicodeScalars.count <= textMax: return value
        case .string: throw Problem.invalid(path, "at most \(textMax) characters are allowed")
        default: throw Problem.invalid(path, "a string, a number or a boolean is expected, not \(value.typeName)")
        }
    }

    private static func scalars(_ value: JSONValue, path: String) throws -> [JSONValue] {
        guard let items = value.array else {
            throw Problem.invalid(path, "an array is expected, not \(value.typeName)")
        }
        guard (1...valuesMax).contains(items.count) else {
            throw Problem.invalid(path, "1 to \(valuesMax) values are expected")
        }
        return try items.enumerated().map { try scalar($1, path: "\(path)/\($0)") }
    }

    /// One text, or several of which one must fit.
    private static func texts(_ value: JSONValue, path: String) throws -> [String] {
        let items = value.array == nil ? [value] : try scalars(value, path: path)
        return try items.map { item in
            guard case .string(let text) = try scalar(item, path: path) else {
                throw Problem.invalid(path, "a string is expected, not \(item.typeName)")
            }
            return text
        }
    }
}
