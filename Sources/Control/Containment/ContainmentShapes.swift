import Kernel

/// The JSON Schemas of containments, by the names that routes refer to.
public enum ContainmentShapes {
    static let text: JSONValue = ["type": "string"]
    static let optionalText: JSONValue = ["type": ["string", "null"]]
    static let time: JSONValue = ["type": "string", "format": "date-time"]
    static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    static let flag: JSONValue = ["type": "boolean"]
    static let count: JSONValue = ["type": "integer", "minimum": 0]

    static func object(_ members: KeyValuePairs<String, JSONValue>, required: [String]? = nil) -> JSONValue {
        [
            "type": "object", "required": .list(required ?? members.map(\.key)),
            "properties": .object(JSONObject(members.map { JSONObject.Member(name: $0.key, value: $0.value) })),
        ]
    }

    static func words<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> JSONValue
    where Word.RawValue == String {
        ["type": "string", "enum": .list(Word.allCases.map(\.rawValue))]
    }

    static func list(_ item: JSONValue) -> JSONValue { ["type": "array", "items": item] }

    private static let names: JSONValue = [
        "type": "array", "maxItems": .int(Int64(ContainmentOrder.namesMax)),
        "items": ["type": "string", "minLength": 1],
    ]
    private static let parameters: JSONValue = [
        "type": "object", "additionalProperties": false,
        "properties": .object(
            JSONObject(
                ContainmentParameter.allCases.map { parameter in
                    .init(name: parameter.rawValue, value: parameter.isSingle ? text : names)
                })),
    ]
    private static let outcomes = list(
        object(["target": text, "outcome": words(ContainmentOutcome.Word.self), "detail": text]))
    private static let step = object([
        "number": count, "action": words(ContainmentAction.self), "title": text, "parameters": parameters,
        "state": words(ContainmentStep.State.self), "reversible": flag, "targets": list(text),
        "outcomes": outcomes,
        "startedAt": optionalTime, "endedAt": optionalTime,
    ])
    private static let containment = object([
        "id": text, "incident": text, "origin": words(Containment.Origin.self), "name": text, "mode": optionalText,
        "state": words(Containment.State.self), "reason": text, "proposedBy": text, "decidedBy": optionalText,
        "reversedBy": optionalText,
        "createdAt": time, "decidedAt": optionalTime, "expiresAt": optionalTime, "endedAt": optionalTime,
        "overAt": optionalTime, "inForce": flag, "releasedAt": optionalTime, "reversible": flag, "steps": list(step),
    ])
    private static let named = object(["count": count, "names": list(text)])
    private static let radius = object([
        "agents": named, "protected": named, "tasksInProgress": named, "tasksHeld": named, "downstream": named,
        "queued": count,
        "models": list(text), "sessions": named, "others": list(text), "spared": outcomes, "complete": flag,
        "usdPerHour": ["type": "number", "minimum": 0], "usdInFlight": ["type": "number", "minimum": 0],
        "untouched": object(["agents": count]),
    ])
    private static let preview = object([
        "blastRadius": radius, "beyondLimits": optionalText,
        "steps": list(
            object([
                "action": words(ContainmentAction.self), "title": text, "parameters": parameters, "reversible": flag,
                "available": flag, "missing": optionalText, "targets": list(text), "agents": named, "spared": outcomes,
            ])),
    ])
    private static let draft: JSONValue = object(
        ["action": words(ContainmentAction.self), "parameters": parameters, "approve": flag],
        required: ["action", "parameters"])

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Containment", containment), ("ContainmentPreview", preview), ("ContainmentDraft", draft),
        ("ContainmentRefusal", object(["reason": text], required: [])),
    ]
}
