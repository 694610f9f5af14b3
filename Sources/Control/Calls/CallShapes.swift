import Kernel

/// The JSON Schemas of calls and costs, by the names that routes refer to.
public enum CallShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Call", call), ("CallExplanation", explanation), ("CostReport", report), ("CostRow", row),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let flag: JSONValue = ["type": "boolean"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let optionalCount: JSONValue = ["type": ["integer", "null"], "minimum": 0]
    private static let status: JSONValue = ["type": "string", "enum": .list(Call.Status.allCases.map(\.rawValue))]

    private static func object(
        _ members: [(name: String, schema: JSONValue)], optional: [(name: String, schema: JSONValue)] = [],
        isNullable: Bool = false
    ) -> JSONValue {
        let properties = JSONObject((members + optional).map { JSONObject.Member(name: $0.name, value: $0.schema) })
        return [
            "type": isNullable ? ["object", "null"] : "object", "required": .list(members.map(\.name)),
            "properties": .object(properties),
        ]
    }

    private static func list(_ item: JSONValue) -> JSONValue { ["type": "array", "items": item] }

    private static let cost = object([("nanoUSD", count), ("priceFrom", optionalText)], isNullable: true)
    private static let attempt = object([
        ("target", text), ("startedAt", time), ("durationMs", optionalCount), ("status", optionalCount),
        ("failure", optionalText), ("costNanoUSD", optionalCount),
    ])
    private static let usage = object([
        ("raw", [:]), ("buckets", ["type": "object"]), ("estimated", flag),
    ])
    private static let hold = object([("scope", text), ("nanoUSD", optionalCount), ("tokens", optionalCount)])
    private static let refusal = object([("scope", text), ("code", text), ("detail", text)], isNullable: true)

    private static let call = object(
        [
            ("id", text), ("status", status), ("agent", optionalText), ("project", optionalText),
            ("task", optionalText), ("session", optionalText), ("run", optionalText), ("key", optionalText),
            ("tags", list(text)), ("door", text), ("model", text), ("tier", optionalText), ("stream", flag),
            ("target", optionalText), ("answeredModel", optionalText), ("attempts", list(attempt)), ("usage", usage),
            ("cost", cost), ("savedNanoUSD", count), ("holds", list(hold)), ("refusal", refusal),
            ("failure", optionalText), ("httpStatus", optionalCount), ("cache", optionalText), ("startedAt", time),
            ("durationMs", optionalCount), ("ttftMs", optionalCount), ("overheadMicroseconds", optionalCount),
            ("requestBytes", count), ("responseBytes", count), ("correlationId", optionalText),
            ("traceId", optionalText), ("spanId", optionalText),
            ("bundle", optionalText),
        ],
        optional: [
            ("bookedCost", cost), ("repricedAt", time), ("otel", ["type": "object"]), ("context", ["type": "object"]),
            ("quality", ["type": "object"]), ("redacted", ["type": "object"]), ("keys", ["type": "object"]),
            ("batch", ["type": "object"]), ("judge", ["type": "object"]),
            ("semantic", ["type": "object"]),
        ])

    private static let explanation = object([
        ("id", text), ("status", status), ("summary", text),
        ("steps", list(object([("afterMs", optionalCount), ("kind", text), ("text", text)]))), ("decision", [:]),
    ])

    private static let row = object([
        ("name", optionalText), ("calls", count), ("done", count), ("failed", count), ("canceled", count),
        ("refused", count),
        (
            "tokens",
            object([
                ("input", count), ("cacheRead", count), ("cacheWrite", count), ("output", count),
                ("reasoning", count), ("total", count),
            ])
        ), ("nanoUSD", count), ("unpricedCalls", count), ("estimatedCalls", count),
        ("lost", object([("retriesNanoUSD", count), ("abortedNanoUSD", count)])), ("savedNanoUSD", count),
        ("acceptedDeliverables", optionalCount), ("nanoUSDPerAccepted", optionalCount),
    ])

    private static let report = object([
        ("by", ["type": "string", "enum": .list(CostDimension.allCases.map(\.rawValue))]),
        ("since", ["type": "string", "format": "date"]), ("until", ["type": "string", "format": "date"]),
        ("total", RouteShape.ref("CostRow")), ("items", list(RouteShape.ref("CostRow"))), ("next", optionalText),
    ])
}
