import Kernel

/// The JSON shapes of traces, for `openapi.json`.
public enum TraceShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]

    private static let states: JSONValue = ["type": "string", "enum": .list(SpanHead.State.allCases.map(\.rawValue))]

    private static let head: [(String, JSONValue)] = [
        ("spanId", text), ("parentSpanId", optionalText), ("name", text),
        ("status", ["type": "string", "enum": ["unset", "ok", "error"]]), ("service", text), ("agent", optionalText),
        ("state", states),
        ("operation", ["type": "string", "enum": .list(SpanOperation.allCases.map(\.rawValue))]),
        ("category", ["type": "string", "enum": .list(TelemetryCategory.allCases.map(\.rawValue))]),
        ("startTime", text), ("endTime", optionalText), ("durationMs", ["type": ["number", "null"], "minimum": 0]),
    ]

    static let search: RouteShape = RouteShape(
        query: [
            ("correlationId", text, "What belongs to this correlation id"),
            ("service", text, "With a span of this service"),
            ("agent", text, "With a span of this agent"), ("session", text, "With a span of this session"),
            ("status", ["type": "string", "enum": ["error"]], "Only those with an error"),
            ("label", text, "Only those with this label"),
            ("since", text, "From this moment on: RFC 3339, nanoseconds since 1970, or how long ago, such as 1h"),
            ("until", text, "Before this moment"),
            ("limit", ["type": "integer", "minimum": 1], "Traces, \(TraceQuery.limitMax) at most"),
        ], reply: ["$ref": "#/components/schemas/TraceList"])

    private static let summary: [(String, JSONValue)] = [
        ("traceId", text), ("rootName", text), ("status", text), ("service", text), ("agent", optionalText),
        ("state", text), ("startTime", text), ("endTime", text), ("durationMs", ["type": "number", "minimum": 0]),
        ("spans", count), ("errors", count), ("tokens", count), ("correlationId", text), ("sessionId", optionalText),
        ("labels", ["type": "array", "items": text]),
    ]

    /// In OpenTelemetry's words, see ``SpanMessage``.
    private static let messages: JSONValue = [
        "type": ["array", "null"],
        "items": object([
            ("role", text),
            ("parts", ["type": "array", "items": ["type": "object"]]),
        ]),
    ]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "TraceList",
            object([("items", ["type": "array", "items": object(summary)]), ("complete", ["type": "boolean"])])
        ),
        ("Span", object(head)),
        (
            "Trace",
            object([
                ("traceId", text), ("labels", ["type": "array", "items": text]), ("state", states),
                ("currentSpanId", optionalText),
                ("spans", ["type": "array", "items": ["$ref": "#/components/schemas/Span"]]),
            ])
        ),
        (
            "SpanDetail",
            object(
                head + [
                    ("kind", text), ("statusMessage", optionalText), ("model", optionalText),
                    ("provider", optionalText), ("tool", optionalText), ("sessionId", optionalText),
                    ("taskId", optionalText), ("correlationId", text), ("usage", ["type": ["object", "null"]]),
                    ("costUSD", ["type": ["number", "null"], "minimum": 0]), ("normalised", count),
                    ("dialect", optionalText), ("input", messages), ("output", messages),
                    ("finishReasons", ["type": "array", "items": text]), ("truncated", ["type": "boolean"]),
                    ("attributes", ["type": "object"]), ("resource", ["type": "object"]), ("scope", ["type": "object"]),
                    ("events", ["type": "array"]), ("links", ["type": "array"]),
                ])
        ),
        (
            "TelemetryLedger",
            object([
                (
                    "items",
                    [
                        "type": "array",
                        "items": object([
                            ("signal", text), ("received", count), ("stored", count), ("rejected", count),
                            ("duplicate", count), ("pending", count), ("shed", count),
                            ("shedByCategory", ["type": "object"]), ("rejectedByReason", ["type": "object"]),
                            ("refusedRequests", count),
                        ]),
                    ]
                ), ("unkeptTraces", count), ("advice", ["type": ["string", "null"]]),
            ])
        ),
    ]

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(members.map(\.0)),
        ]
    }
}
