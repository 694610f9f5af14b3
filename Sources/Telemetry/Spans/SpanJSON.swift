import Kernel

extension SpanHead: JSONConvertible {
    public var json: JSONValue { .object(object) }

    var object: JSONObject {
        JSONObject(
            [
                .init(name: "spanId", value: .string(spanID.description)),
                .init(name: "parentSpanId", value: .of(parentID?.description)),
                .init(name: "name", value: .string(name)),
                .init(name: "status", value: .string(status.rawValue)),
                .init(name: "service", value: .string(service)),
                .init(name: "agent", value: .of(agent)),
                .init(name: "state", value: .string(state.rawValue)),
                .init(name: "operation", value: .string(operation.rawValue)),
                .init(name: "category", value: .string(category.rawValue)),
                .init(name: "startTime", value: .string(Self.time(startedAt))),
                .init(name: "endTime", value: state == .running ? .null : .string(Self.time(endedAt))),
                .init(name: "durationMs", value: state == .running ? .null : milliseconds),
            ]
                // Of one that runs, the end is the moment at which it was looked at.
                + (state == .running ? [.init(name: "elapsedMs", value: milliseconds)] : []))
    }

    private var milliseconds: JSONValue { .double(Double(endedAt &- startedAt) / 1_000_000) }

    static func time(_ nanoseconds: Int64) -> String { Timestamp(microseconds: nanoseconds / 1_000).rfc3339 }
}

extension SpanUsage: JSONConvertible {
    public var json: JSONValue {
        [
            "inputTokens": .int(input), "cacheReadTokens": .int(cacheRead), "cacheWriteTokens": .int(cacheWrite),
            "outputTokens": .int(output), "reasoningTokens": .int(reasoning),
        ]
    }
}

extension SpanDetail: JSONConvertible {
    private static let kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"]

    /// What whoever sent it says that it cost: Reeve's own spans, OpenInference, OpenLIT, Pydantic Logfire.
    private var costUSD: Double? {
        for name in ["reeve.cost.usd", "llm.cost.total", "gen_ai.usage.cost", "operation.cost"] {
            switch attributes[name] {
            case .double(let dollars)? where dollars.isFinite && dollars >= 0: return dollars
            case .int(let dollars)? where dollars >= 0: return Double(dollars)
            default: continue
            }
        }
        return nil
    }

    public var json: JSONValue {
        var object = head.object
        object["name"] = .string(name)
        object.append("kind", .string(Self.kinds.indices.contains(kind) ? Self.kinds[kind] : Self.kinds[0]))
        object.append("ingestedAt", .of(head.ingestedAt?.rfc3339))
        object.append("statusMessage", .of(statusMessage))
        object.append("model", .of(head.model))
        object.append("provider", .of(head.provider))
        object.append("tool", .of(head.tool))
        object.append("sessionId", .of(head.session))
        object.append("taskId", .of(head.task))
        object.append("correlationId", .string(head.correlationID ?? head.traceID.description))
        object.append("usage", head.usage?.json ?? .null)
        object.append("costUSD", .of(costUSD))
        let content = SpanContent(self)
        object.append("normalised", .int(Int64(SpanContent.version)))
        object.append("dialect", .of(content.dialect?.rawValue))
        object.append("input", content.input.map(JSONValue.list) ?? .null)
        object.append("output", content.output.map(JSONValue.list) ?? .null)
        object.append("finishReasons", .list(content.finishReasons))
        object.append("truncated", .bool(!content.isWhole))
        object.append("attributes", attributes.json)
        object.append("resource", resource.json)
        object.append("scope", ["name": .string(scopeName), "version": .of(scopeVersion)])
        object.append("events", .array(events.map(\.json)))
        object.append("links", .array(links.map(\.json)))
        return .object(object)
    }
}

extension SpanDetail.Event {
    var json: JSONValue {
        ["time": .string(SpanHead.time(time)), "name": .string(name), "attributes": attributes.json]
    }
}

extension SpanDetail.Link {
    var json: JSONValue {
        [
            "traceId": .of(traceID?.description), "spanId": .of(spanID?.description), "attributes": attributes.json,
        ]
    }
}
