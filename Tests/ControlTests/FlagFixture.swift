import Kernel
import TestSupport
import Testing

@testable import Control

/// Makes flags from documents, as the interface does.
enum FlagSample {
    static func definition(_ json: JSONValue, salt: String = "salt") throws -> FlagDefinition {
        try FlagDefinition(Fields(json.object ?? JSONObject(), limits: Limits()), salt: salt)
    }

    static func flag(_ key: String, _ json: JSONValue, salt: String = "salt") throws -> FeatureFlag {
        let definition = try definition(json, salt: salt)
        let moment = Timestamp(microseconds: 0)
        return FeatureFlag(
            key: key, definition: definition,
            shares: Dictionary(definition.splits.map { ($0.id, FlagShares($0.wishes)) }) { one, _ in one }, version: 1,
            revision: 1, createdAt: moment, createdBy: "test", updatedAt: moment, updatedBy: "test")
    }

    /// A switch, with more members.
    static func toggle(_ more: JSONValue = [:]) -> JSONValue {
        var object = JSONObject()
        object["type"] = "boolean"
        object["variants"] = ["on": true, "off": false]
        object["defaultVariant"] = "off"
        for member in more.object?.members ?? [] { object[member.name] = member.value }
        return .object(object)
    }

    static func split(_ percents: JSONValue) -> JSONValue {
        toggle(["rules": [["id": "share", "split": percents]]])
    }

    static let now = Timestamp(microseconds: 1_795_161_600_000_000)

    static func decide(
        _ flags: [FeatureFlag], _ context: JSONValue, key: String? = nil, at now: Timestamp = now
    ) throws -> FlagDecision {
        let evaluator = FlagEvaluator(
            flags: Dictionary(flags.map { ($0.key, $0) }) { one, _ in one }, context: try FlagContext(context), now: now
        )
        return try evaluator.decide(key ?? flags[0].key)
    }
}
