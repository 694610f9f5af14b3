/// The members of a JSON object from outside, read with their types and limits; errors name the field's path.
public struct Fields: Sendable {
    public let object: JSONObject
    public let limits: Limits
    private let path: String

    public init(_ object: JSONObject, limits: Limits, path: String = "") {
        self.object = object
        self.limits = limits
        self.path = path
    }

    /// A member's full path for an error message.
    public func path(_ name: String) -> String { path.isEmpty ? name : "\(path)/\(name)" }

    /// The member, with `null` meaning absent.
    public func value(_ name: String) -> JSONValue? {
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    private func wrongType(_ name: String, _ expected: String, _ value: JSONValue) -> Problem {
        .invalid(path(name), "\(expected) is expected, not \(value.typeName)")
    }

    private func required<Value>(_ name: String, _ value: Value?) throws -> Value {
        guard let value else { throw Problem.invalid(path(name), "it is missing") }
        return value
    }

    /// Free text of at most `max` characters.
    public func optionalString(_ name: String, max: Int = 10_000) throws -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.string else { throw wrongType(name, "a string", value) }
        guard text.unicodeScalars.count <= max else {
            throw Problem.invalid(path(name), "at most \(max) characters are allowed")
        }
        return text
    }

    public func string(_ name: String, max: Int = 10_000) throws -> String {
        try required(name, optionalString(name, max: max))
    }

    /// A name that may stand in addresses, file names and labels.
    public func optionalName(_ name: String) throws -> String? {
        guard let text = try optionalString(name, max: .max) else { return nil }
        return try Fields.checkedName(text, path: path(name), limits: limits)
    }

    public func name(_ name: String) throws -> String { try required(name, optionalName(name)) }

    public func optionalBool(_ name: String) throws -> Bool? {
        guard let value = value(name) else { return nil }
        guard let bool = value.bool else { throw wrongType(name, "true or false", value) }
        return bool
    }

    public func optionalInt(_ name: String, in range: ClosedRange<Int64>) throws -> Int64? {
        guard let value = value(name) else { return nil }
        guard let int = value.int else { throw wrongType(name, "a whole number", value) }
        guard range.contains(int) else {
            throw Problem.invalid(path(name), "\(range.lowerBound) to \(range.upperBound) is allowed, not \(int)")
        }
        return int
    }

    public func int(_ name: String, in range: ClosedRange<Int64>) throws -> Int64 {
        try required(name, optionalInt(name, in: range))
    }

    public func optionalDouble(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
        guard let value = value(name) else { return nil }
        guard let number = value.double else { throw wrongType(name, "a number", value) }
        guard range.contains(number) else {
            throw Problem.invalid(path(name), "\(range.lowerBound) to \(range.upperBound) is allowed, not \(number)")
        }
        return number
    }

    /// A length of time in seconds, with fractions.
    public func optionalSpan(_ name: String, in range: ClosedRange<Double>) throws -> Span? {
        try optionalDouble(name, in: range).map { Span.seconds($0) }
    }

    public func optionalTime(_ name: String) throws -> Timestamp? {
        guard let text = try optionalString(name, max: 64) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw Problem.invalid(path(name), "a time such as 2026-11-20T08:15:30Z is expected")
        }
        return time
    }

    public func optionalArray(_ name: String, max: Int) throws -> [JSONValue]? {
        guard let value = value(name) else { return nil }
        guard let array = value.array else { throw wrongType(name, "an array", value) }
        guard array.count <= max else { throw Problem.invalid(path(name), "at most \(max) items are allowed") }
        return array
    }

    /// An array of names without repeats, in its order.
    public func optionalNames(_ name: String, max: Int) throws -> [String]? {
        guard let array = try optionalArray(name, max: max) else { return nil }
        var names: [String] = []
        for (index, item) in array.enumerated() {
            let itemPath = "\(path(name))/\(index)"
            guard let text = item.string else {
                throw Problem.invalid(itemPath, "a string is expected, not \(item.typeName)")
            }
            let checked = try Fields.checkedName(text, path: itemPath, limits: limits)
            if !names.contains(checked) { names.append(checked) }
        }
        return names
    }

    /// Refuses members of other names, for documents that people write: a misspelt one would else be without effect.
    public func refuseOthers(than names: [String]) throws {
        for member in object.members where !names.contains(member.name) {
            throw Problem.invalid(
                path(member.name), "nothing of this name is known", hint: "Known are: \(names.joined(separator: ", "))."
            )
        }
    }

    /// The members of a setting that is `true` (none), `false` (`nil`), or an object with some of `names`.
    public static func ifOn(_ value: JSONValue, path: String, names: [String]) throws -> Fields? {
        if let isOn = value.bool { return isOn ? Fields(JSONObject(), limits: Limits(), path: path) : nil }
        guard let object = value.object else {
            throw Problem.invalid(path, "true, false or an object is expected, not \(value.typeName)")
        }
        let fields = Fields(object, limits: Limits(), path: path)
        try fields.refuseOthers(than: names)
        return fields
    }

    /// A nested object.
    public func optionalFields(_ name: String) throws -> Fields? {
        guard let value = value(name) else { return nil }
        guard let object = value.object else { throw wrongType(name, "an object", value) }
        return Fields(object, limits: limits, path: path(name))
    }

    /// An array of objects.
    public func objects(_ name: String, max: Int) throws -> [Fields] {
        try required(name, optionalArray(name, max: max)).enumerated().map { index, item in
            let itemPath = "\(path(name))/\(index)"
            guard let object = item.object else {
                throw Problem.invalid(itemPath, "an object is expected, not \(item.typeName)")
            }
            return Fields(object, limits: limits, path: itemPath)
        }
    }

    /// One of an enumeration's words.
    public func optionalChoice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text = try optionalString(name, max: 100) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid(path(name), "\"\(text)\" is none of: \(words)")
        }
        return choice
    }

    public func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws -> Choice where Choice.RawValue == String {
        try required(name, optionalChoice(name, type))
    }

    /// Refuses what could climb out of a folder, break an address or hide in a log.
    public static func checkedName(_ text: String, path: String, limits: Limits) throws -> String {
        if isPlainName(text), text.utf8.count <= limits.nameCharacters { return text }
        guard !text.isEmpty else { throw Problem.invalid(path, "it is empty") }
        // Scalars, not what people see as characters: one of those may be any number of bytes long.
        guard text.unicodeScalars.count <= limits.nameCharacters else {
            throw Problem.invalid(path, "at most \(limits.nameCharacters) characters are allowed")
        }
        guard text.unicodeScalars.first != "." else { throw Problem.invalid(path, "it may not begin with a dot") }
        guard !text.unicodeScalars.allSatisfy(\.properties.isWhitespace) else {
            throw Problem.invalid(path, "it may not be blank")
        }
        let isClean = text.unicodeScalars.allSatisfy { scalar in
            scalar != "/" && scalar != "\\" && scalar.properties.generalCategory != .control
        }
        guard isClean else { throw Problem.invalid(path, "it may not contain /, \\ or control characters") }
        return text
    }

    /// What nearly every name is: letters, digits, `-`, `_` and dots behind the first place. Told without asking
    /// Unicode about each of them.
    private static func isPlainName(_ text: String) -> Bool {
        guard let first = text.utf8.first, first != UInt8(ascii: ".") else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}
