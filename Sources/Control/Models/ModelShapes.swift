import Kernel

/// The JSON Schemas of models, by the names that routes refer to.
public enum ModelShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Model", model), ("BreakerReset", reset),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let optionalCount: JSONValue = ["type": ["integer", "null"], "minimum": 0]
    private static let optionalNumber: JSONValue = ["type": ["number", "null"], "minimum": 0]

    private static func object(
        _ members: KeyValuePairs<String, JSONValue>, isNullable: Bool = false
    ) -> JSONValue {
        [
            "type": isNullable ? ["object", "null"] : "object", "required": .list(members.map(\.key)),
            "properties": .object(JSONObject(members.map { JSONObject.Member(name: $0.key, value: $0.value) })),
        ]
    }

    private static let breaker = object([
        "state": ["type": "string", "enum": .list(TargetStatus.Breaker.allCases.map(\.rawValue))],
        "changedAt": optionalTime, "openUntil": optionalTime, "cause": optionalText, "lastFailure": optionalText,
        "openings": count,
    ])
    private static let recent = object([
        "calls": count, "failures": count, "errorRate": optionalNumber,
        "latencyMs": object(["p50": optionalNumber, "p95": optionalNumber, "p99": optionalNumber]),
        "firstTokenMs": object(["p50": optionalNumber, "p95": optionalNumber]),
    ])
    private static let limit = object(["limit": count, "remaining": count, "resetAt": optionalTime])
    private static let price: JSONValue = [
        "type": ["object", "null"], "properties": ["from": optionalText],
        "additionalProperties": ["type": "number", "minimum": 0],
    ]
    private static let target = object([
        "target": text, "provider": text, "model": text, "breaker": breaker, "recent": recent,
        "limits": ["type": "object", "additionalProperties": limit], "limitsAt": optionalTime,
        "limitedUntil": optionalTime, "price": price,
    ])
    private static let dispatch = object([
        "state": ["type": "string", "enum": .list(ModelDispatch.State.allCases.map(\.rawValue))],
        "share": ["type": "number", "minimum": 0, "maximum": 1], "since": optionalTime,
    ])
    private static let model = object([
        "name": text, "tier": optionalText, "contextTokens": optionalCount, "dispatch": dispatch,
        "targets": ["type": "array", "items": target],
    ])
    private static let reset: JSONValue = ["type": "object", "properties": ["target": text]]
}
