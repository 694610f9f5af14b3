import Kernel

/// Why an evaluation came to nothing, by OpenFeature's words.
public struct FlagFailure: Error, Sendable, Equatable {
    public enum Code: String, Sendable {
        case parseError = "PARSE_ERROR"
        case targetingKeyMissing = "TARGETING_KEY_MISSING"
        case invalidContext = "INVALID_CONTEXT"
        case flagNotFound = "FLAG_NOT_FOUND"
        case general = "GENERAL"
    }

    public let code: Code
    public let details: String

    init(_ code: Code, _ details: String) {
        self.code = code
        self.details = details
    }
}

/// Whom a flag is evaluated for. Comes from programs that may be hostile, so every part of it is bounded.
public struct FlagContext: Sendable, Equatable {
    /// Attributes of a context.
    public static let attributesMax = 200
    /// Characters of the targeting key and of the session's id.
    public static let keyMax = 1_000
    /// Steps of a path such as `user.plan`.
    static let stepsMax = 8

    public let targetingKey: String?
    /// Whose pinned flags stay as they are.
    public let sessionID: String?
    /// All that was sent.
    let attributes: JSONObject
    private let values: [String: JSONValue]

    /// Of nobody in particular.
    static let empty = FlagContext()

    private init() { (targetingKey, sessionID, attributes, values) = (nil, nil, JSONObject(), [:]) }

    /// - Parameters:
    ///   - value: What came as `context`; an absent one is empty.
    ///   - agent: Whose key asks. An agent speaks for itself alone, so its attribute `agent` is its own name.
    public init(_ value: JSONValue?, agent: String? = nil) throws(FlagFailure) {
        var attributes = JSONObject()
        if let value, !value.isNull {
            guard let object = value.object else {
                throw FlagFailure(.invalidContext, "The context is \(value.typeName), where an object is expected.")
            }
            attributes = object
        }
        guard attributes.count <= Self.attributesMax else {
            throw FlagFailure(
                .invalidContext, "The context has \(attributes.count) attributes; \(Self.attributesMax) are allowed.")
        }
        targetingKey = try Self.text(attributes, "targetingKey")
        sessionID = try Self.text(attributes, "sessionId")
        if let agent { attributes["agent"] = .string(agent) }
        self.attributes = attributes
        values = Dictionary(attributes.members.map { ($0.name, $0.value) }) { first, _ in first }
    }

    /// Empty ones count as absent: several SDKs send them so.
    private static func text(_ attributes: JSONObject, _ name: String) throws(FlagFailure) -> String? {
        guard let value = attributes[name], !value.isNull else { return nil }
        guard let text = value.string else {
            throw FlagFailure(.invalidContext, "\(name) is \(value.typeName), where a string is expected.")
        }
        guard text.unicodeScalars.count <= keyMax else {
            throw FlagFailure(.invalidContext, "\(name) has more than \(keyMax) characters.")
        }
        return text.isEmpty ? nil : text
    }

    /// An attribute by its name, or by a path through objects.
    func value(_ name: String) -> JSONValue? {
        if let value = values[name] { return value }
        let steps = name.split(separator: ".", maxSplits: Self.stepsMax).map(String.init)
        guard steps.count > 1, var value = values[steps[0]] else { return nil }
        for step in steps.dropFirst() {
            guard let next = value[step] else { return nil }
            value = next
        }
        return value
    }
}
