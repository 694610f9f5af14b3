import Kernel
import Telemetry

/// The JSON shapes of labels, holds and erasures, for `openapi.json`.
public enum RetentionShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let flag: JSONValue = ["type": "boolean"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let subject: JSONValue = [
        "type": "string", "minLength": .int(Int64(SubjectMatch.charactersRange.lowerBound)),
        "maxLength": .int(Int64(SubjectMatch.charactersRange.upperBound)),
    ]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]

    private static let targets: [(String, JSONValue)] = [
        ("correlationId", text), ("traceId", text), ("agent", text), ("subject", subject), ("since", time),
        ("until", time),
    ]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "TraceLabels",
            object(
                [("traceId", text), ("labels", ["type": "array", "items": text])], required: ["traceId", "labels"])
        ),
        ("LegalHoldDraft", object(targets + [("reason", text)], required: ["reason"])),
        (
            "LegalHold",
            object(
                targets + [
                    ("id", text), ("reason", text), ("createdAt", time), ("createdBy", text),
                    ("liftedAt", optionalText), ("liftedBy", optionalText),
                ], required: ["id", "reason", "createdAt", "createdBy", "liftedAt", "liftedBy"])
        ),
        (
            "ErasureDraft",
            object(
                [("subject", subject), ("text", flag), ("dryRun", flag), ("reason", text)], required: ["subject"])
        ),
        (
            "Erasure",
            object(
                [
                    ("id", text),
                    ("state", ["type": "string", "enum": ["running", "done", "partial", "failed", "interrupted"]]),
                    ("subjectDigest", text), ("dryRun", flag), ("text", flag), ("reason", optionalText),
                    ("createdAt", time), ("createdBy", text), ("endedAt", optionalText), ("found", count),
                    ("removed", count), ("held", count), ("remaining", ["type": ["integer", "null"]]),
                    ("holds", ["type": "array", "items": text]), ("foundIn", ["type": "object"]),
                    ("files", ["type": "array", "items": ["type": "object"]]), ("searched", ["type": "object"]),
                    ("progress", ["type": "object"]), ("starts", count),
                    ("elsewhere", ["type": "array", "items": ["type": "object"]]), ("error", text),
                ], required: ["id", "state", "subjectDigest", "dryRun", "text", "createdAt", "createdBy", "endedAt"])
        ),
    ]

    private static func object(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(required),
        ]
    }
}
