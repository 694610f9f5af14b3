import Kernel

/// A part of a document that came from outside, with its path, so that each wrong type is an error that says where.
struct LocatedJSON: Sendable {
    let value: JSONValue
    /// Such as `messages[2].content[0]`; empty for the document itself.
    let path: String

    init(_ value: JSONValue, path: String = "") {
        self.value = value
        self.path = path
    }

    func path(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// An error about this value.
    func wrong(_ expectation: String) -> DialectError {
        let place = path.isEmpty ? "The body" : "'\(path.prefix(DialectError.paramCharactersMax))'"
        return .invalid(path, "\(place) \(expectation).")
    }

    private func mistyped(_ expected: String) -> DialectError {
        wrong("must be \(expected), not \(value.typeName)")
    }

    // MARK: Values

    var string: String {
        get throws {
            guard case .string(let text) = value else { throw mistyped("a string") }
            return text
        }
    }

    var bool: Bool {
        get throws {
            guard case .bool(let flag) = value else { throw mistyped("true or false") }
            return flag
        }
    }

    var double: Double {
        get throws {
            guard let number = value.double else { throw mistyped("a number") }
            return number
        }
    }

    var object: JSONObject {
        get throws {
            guard case .object(let object) = value else { throw mistyped("an object") }
            return object
        }
    }

    func int(atLeast least: Int64 = .min) throws -> Int {
        guard let number = value.int else { throw mistyped("an integer") }
        guard number >= least else { throw wrong("must be at least \(least)") }
        return Int(clamping: number)
    }

    /// A count of tokens as providers give it; what is below 0 or beyond all reason is brought within.
    var count: Int {
        get throws {
            guard let number = value.double else { throw mistyped("a number") }
            return Int(min(max(0, number), Double(DialectUsage.tokensMax)))
        }
    }

    func array(max: Int) throws -> [LocatedJSON] {
        guard case .array(let values) = value else { throw mistyped("an array") }
        guard values.count <= max else { throw wrong("has more than \(max) items") }
        return values.enumerated().map { LocatedJSON($0.element, path: "\(path)[\($0.offset)]") }
    }

    // MARK: Members

    /// The member, where it is there and not `null`; throws where this is no object.
    func optional(_ name: String) throws -> LocatedJSON? {
        guard let member = try object[name], !member.isNull else { return nil }
        return LocatedJSON(member, path: path(name))
    }

    func required(_ name: String) throws -> LocatedJSON {
        guard let member = try optional(name) else {
            throw DialectError.invalid(path(name), "Missing required parameter: '\(path(name))'.")
        }
        return member
    }

    /// The member as `read` understands it, with its path; empty where it is absent or `read` returns `nil`.
    func placed<Value>(_ name: String, _ read: (LocatedJSON) throws -> Value?) throws -> Placed<Value> {
        guard let member = try optional(name), let value = try read(member) else { return Placed() }
        return Placed(value, at: member.path)
    }

    /// The member `type`, by which variants are told apart.
    var type: String {
        get throws { try required("type").string }
    }

    /// Paths of members that are none of `known` and not `null`.
    func others(than known: Set<String>) throws -> [String] {
        try object.members.filter { !known.contains($0.name) && !$0.value.isNull }.map { path($0.name) }
    }
}
