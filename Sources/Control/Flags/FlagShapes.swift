import Kernel

/// The JSON Schemas of flags, by the names that routes refer to.
public enum FlagShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Flag", flag), ("FlagDraft", draft), ("FlagReason", reason), ("FlagVersion", version),
        ("OFREPQuestion", question), ("OFREPDecision", decision), ("OFREPDecisions", decisions),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let whole: JSONValue = ["type": "integer"]
    private static let object: JSONValue = ["type": "object"]

    private static let outcome: [(String, JSONValue)] = [
        ("id", text), ("variant", text), ("split", ["type": "object", "additionalProperties": ["type": "number"]]),
    ]

    private static func list(of members: [(String, JSONValue)]) -> JSONValue {
        let properties = JSONObject(members.map { .init(name: $0.0, value: $0.1) })
        return [
            "type": "array",
            "items": ["type": "object", "additionalProperties": false, "properties": .object(properties)],
        ]
    }

    private static let definition: [(String, JSONValue)] = [
        ("type", ["type": "string", "enum": ["boolean", "string", "number", "object"]]),
        ("mode", ["type": "string", "enum": ["pinned", "live"]]), ("enabled", ["type": "boolean"]),
        ("variants", ["type": "object", "minProperties": 1]), ("defaultVariant", text), ("offVariant", text),
        ("rules", list(of: outcome + [("when", object)])),
        ("schedules", list(of: outcome + [("from", time), ("until", time)])),
        ("prerequisites", list(of: [("flag", text), ("variants", ["type": "array", "items": text])])),
        ("configKey", text), ("description", text), ("metadata", object), ("salt", text),
    ]

    private static func schema(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        [
            "type": "object", "required": .list(required),
            "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
        ]
    }

    private static let own: [(String, JSONValue)] = [
        ("key", text), ("version", whole), ("createdAt", time), ("createdBy", text), ("updatedAt", time),
        ("updatedBy", text),
    ]

    private static let flag = schema(
        own + definition,
        required: own.map(\.0) + [
            "type", "mode", "enabled", "variants", "defaultVariant", "rules", "schedules", "prerequisites", "metadata",
            "salt",
        ])

    private static let draft = schema(
        definition + own + [("reason", text)], required: ["type", "variants", "defaultVariant"])

    private static let reason: JSONValue = ["type": "object", "properties": ["reason": text]]

    private static let version: JSONValue = [
        "type": "object", "required": ["version", "at", "author", "act", "reason", "definition", "changes"],
        "properties": [
            "version": whole, "at": time, "author": text,
            "act": ["type": "string", "enum": .list(FlagVersionRecord.Act.allCases.map(\.rawValue))],
            "reason": ["type": ["string", "null"]], "definition": object,
            "changes": [
                "type": "array",
                "items": ["type": "object", "required": ["path", "from", "to"], "properties": ["path": text]],
            ],
        ],
    ]

    private static let question: JSONValue = [
        "type": "object", "properties": ["context": ["type": ["object", "null"]]],
    ]

    private static let decision: JSONValue = [
        "type": "object", "required": ["key"],
        "properties": [
            "key": text, "value": [:], "variant": text, "reason": text, "metadata": object, "errorCode": text,
            "errorDetails": text,
        ],
    ]

    private static let decisions: JSONValue = [
        "type": "object", "required": ["flags"],
        "properties": [
            "flags": ["type": "array", "items": RouteShape.ref("OFREPDecision")],
            "eventStreams": ["type": "array", "items": object], "metadata": object,
        ],
    ]
}
