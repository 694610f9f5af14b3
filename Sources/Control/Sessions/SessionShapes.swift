import Kernel
import Telemetry

extension Session: JSONConvertible {
    /// Without its steps, as lists show it.
    public var json: JSONValue { .object(object) }

    private var object: JSONObject {
        JSONObject([
            .init(name: "id", value: .string(id)),
            .init(name: "kind", value: .string(isTrace ? "trace" : "conversation")),
            .init(name: "agent", value: .of(agents.first)), .init(name: "agents", value: .list(agents)),
            .init(name: "state", value: .string(state.rawValue)),
            .init(name: "startTime", value: .string(SessionText.time(startedAt))),
            .init(name: "endTime", value: state == .running ? .null : .string(SessionText.time(endedAt))),
            .init(name: "durationMs", value: .double(Double(endedAt &- startedAt) / 1_000_000)),
            .init(name: "turns", value: .int(Int64(turns))), .init(name: "toolCalls", value: .int(Int64(tools))),
            .init(name: "errors", value: .int(Int64(errors))), .init(name: "tokens", value: .int(usage.total)),
            .init(name: "usage", value: usage.json),
            .init(name: "costUSD", value: .of(nanoUSD.map { Double($0) / 1e9 })),
            .init(name: "unpricedCalls", value: .int(Int64(unpriced))),
            .init(name: "traceIds", value: .list(traces.map(\.description))),
            .init(name: "truncated", value: .bool(!isWhole)),
        ])
    }

    /// With all steps.
    var whole: JSONValue {
        var object = object
        object.append("steps", .array(steps.enumerated().map { $1.json($0 + 1) }))
        return .object(object)
    }
}

extension Session.Step {
    fileprivate func json(_ number: Int) -> JSONValue {
        let isRunning = span.state == .running
        return [
            "step": .int(Int64(number)), "turn": .int(Int64(turn)), "traceId": .string(span.traceID.description),
            "spanId": .string(span.spanID.description), "operation": .string(span.operation.rawValue),
            "name": .string(span.name), "agent": .of(span.agent), "service": .string(span.service),
            "model": .of(span.model), "tool": .of(span.tool), "status": .string(span.status.rawValue),
            "state": .string(span.state.rawValue), "startTime": .string(SessionText.time(span.startedAt)),
            "endTime": isRunning ? .null : .string(SessionText.time(span.endedAt)),
            "durationMs": isRunning ? .null : .double(Double(span.endedAt &- span.startedAt) / 1_000_000),
            "correlationId": .string(span.correlationID ?? span.traceID.description),
            "usage": span.usage?.json ?? .null, "tokens": .int(span.usage?.total ?? 0),
            "costUSD": .of(cost.map { Double($0.nanoUSD) / 1e9 }), "costFrom": .of(cost?.source.rawValue),
            "contextUtilization": .of(contextUtilization),
        ]
    }
}

enum SessionText {
    static func time(_ nanoseconds: Int64) -> String { Timestamp(microseconds: nanoseconds / 1_000).rfc3339 }
}

/// The JSON shapes of sessions, for `openapi.json`.
public enum SessionShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let optionalNumber: JSONValue = ["type": ["number", "null"], "minimum": 0]
    private static let texts: JSONValue = ["type": "array", "items": ["type": "string"]]
    private static let states: JSONValue = ["type": "string", "enum": .list(SpanHead.State.allCases.map(\.rawValue))]

    private static let head: [(String, JSONValue)] = [
        ("id", text), ("kind", ["type": "string", "enum": ["conversation", "trace"]]), ("agent", optionalText),
        ("agents", texts), ("state", states), ("startTime", text), ("endTime", optionalText),
        ("durationMs", ["type": "number", "minimum": 0]), ("turns", count), ("toolCalls", count), ("errors", count),
        ("tokens", count), ("usage", ["type": "object"]), ("costUSD", optionalNumber), ("unpricedCalls", count),
        ("traceIds", texts), ("truncated", ["type": "boolean"]),
    ]

    private static let step: [(String, JSONValue)] = [
        ("step", count), ("turn", count), ("traceId", text), ("spanId", text), ("operation", text), ("name", text),
        ("agent", optionalText), ("service", text), ("model", optionalText), ("tool", optionalText), ("status", text),
        ("state", states), ("startTime", text), ("endTime", optionalText), ("durationMs", optionalNumber),
        ("correlationId", text), ("usage", ["type": ["object", "null"]]), ("tokens", count),
        ("costUSD", optionalNumber), ("costFrom", optionalText), ("contextUtilization", optionalNumber),
    ]

    static let search = RouteShape(
        query: [
            ("agent", text, "With a span of this agent"),
            ("since", text, "From this moment on: RFC 3339, nanoseconds since 1970, or how long ago, such as 1h"),
            ("until", text, "Before this moment"),
            ("limit", ["type": "integer", "minimum": 1], "Sessions, \(SessionQuery.limitMax) at most"),
        ], reply: ["$ref": "#/components/schemas/SessionList"])

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "SessionList",
            object([("items", ["type": "array", "items": object(head)]), ("complete", ["type": "boolean"])])
        ),
        ("Session", object(head + [("steps", ["type": "array", "items": object(step)])])),
    ]

    private static func object(_ members: [(String, JSONValue)]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(members.map(\.0)),
        ]
    }
}
