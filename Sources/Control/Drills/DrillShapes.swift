import Kernel

/// The JSON shapes of drills, for `openapi.json`.
public enum DrillShapes {
    private static let kind: JSONValue = ["type": "string", "enum": .list(Drill.Kind.allCases.map(\.rawValue))]
    private static let text: JSONValue = ["type": "string"]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("DrillDraft", ["type": "object", "properties": ["name": kind], "required": ["name"]]),
        (
            "Drill",
            [
                "type": "object",
                "properties": [
                    "id": text, "drill": kind, "alert": text, "project": text, "prefix": text, "startedAt": time,
                    "startedBy": text,
                    "expiresAt": time, "endedAt": ["type": ["string", "null"]],
                    "agentType": text, "model": text, "provider": text, "tool": text, "label": text, "policy": text,
                    "words": ["type": "object", "additionalProperties": text],
                    "bounds": ["type": "object", "additionalProperties": ["type": "integer"]],
                ],
                "required": ["id", "drill", "alert", "prefix", "startedAt", "expiresAt", "endedAt", "bounds"],
            ]
        ),
    ]
}
