import Kernel

/// The JSON shapes of logs, for `openapi.json`.
public enum LogShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]

    static let search: RouteShape = RouteShape(
        query: [
            ("correlationId", text, "What belongs to this correlation id or trace"),
            ("q", text, "Words that the record has, in either case; several in quotes stand together"),
            ("traceId", text, "Of this trace"), ("service", text, "Of this service"), ("agent", text, "Of this agent"),
            ("session", text, "Of this session"), ("tool", text, "Of this tool"), ("logger", text, "Of this logger"),
            ("level", ["type": "string", "enum": .list(LogSeverity.allCases.map(\.name))], "So grave at least"),
            (
                "category", ["type": "string", "enum": .list(TelemetryCategory.allCases.map(\.rawValue))],
                "About this"
            ),
            ("since", text, "From this moment on: RFC 3339, nanoseconds since 1970, or how long ago, such as 1h"),
            ("until", text, "Before this moment"),
            ("order", ["type": "string", "enum": ["desc", "asc"]], "The newest first, or the oldest"),
            ("limit", ["type": "integer", "minimum": 1], "Records of a page, \(LogQuery.limitMax) at most"),
            ("after", text, "The `next` of the page before"),
        ], reply: ["$ref": "#/components/schemas/LogList"])

    private static let record: JSONValue = object(
        [
            ("timestamp", text), ("level", text), ("service", text), ("message", text), ("category", text),
            ("correlation_id", text), ("agent_id", text), ("session_id", text), ("turn", ["type": "integer"]),
            ("tool", text), ("duration_ms", ["type": "number"]), ("trace_id", text), ("span_id", text),
            ("logger", text), ("attributes", ["type": "object"]), ("labels", ["type": "object"]),
        ], required: ["timestamp", "level", "service", "message", "category"])

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("LogRecord", record),
        (
            "LogList",
            object(
                [
                    ("items", ["type": "array", "items": ["$ref": "#/components/schemas/LogRecord"]]),
                    ("complete", ["type": "boolean"]), ("next", ["type": ["string", "null"]]),
                ], required: ["items", "complete", "next"])
        ),
        (
            "LogReceipt",
            object(
                [
                    ("accepted", count), ("rejected", count),
                    (
                        "errors",
                        [
                            "type": "array",
                            "items": object(
                                [
                                    ("index", ["type": ["integer", "null"], "minimum": 0]), ("reason", text),
                                    ("message", text), ("count", count),
                                ],
                                required: ["index", "reason", "message"]),
                        ]
                    ),
                ], required: ["accepted", "rejected", "errors"])
        ),
    ]

    private static func object(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(required),
        ]
    }
}
