import Kernel

extension TraceQuery {
    /// From the query of a request.
    public init(_ request: APIRequest, now: Timestamp) throws {
        func text(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        self.init()
        label = text("label")
        (id, service, agent, session) = (text("correlationId"), text("service"), text("agent"), text("session"))
        switch text("status") {
        case nil: break
        case "error"?: isFailed = true
        default: throw Problem.invalid("status", "`error`, or nothing for all traces")
        }
        times = try LogTime.range(request, now: now)
        if let text = text("limit") {
            guard let value = Int(text), value > 0 else {
                throw Problem.invalid("limit", "a whole number above zero is expected")
            }
            limit = min(value, Self.limitMax)
        }
    }
}

extension SessionQuery {
    /// From the query of a request.
    public init(_ request: APIRequest, now: Timestamp) throws {
        self.init()
        agent = request.queryValue("agent").flatMap { $0.isEmpty ? nil : $0 }
        times = try LogTime.range(request, now: now)
        if let text = request.queryValue("limit"), !text.isEmpty {
            guard let value = Int(text), value > 0 else {
                throw Problem.invalid("limit", "a whole number above zero is expected")
            }
            limit = min(value, Self.limitMax)
        }
    }
}

extension TraceQuery {
    /// With the traces that have the label that is asked for.
    public func naming(_ labels: (any TraceLabels)?) async throws -> TraceQuery {
        guard let label else { return self }
        var query = self
        query.traces = try await labels?.traces(labelled: label, max: Self.labelledMax) ?? []
        return query
    }
}

extension LogTime {
    /// From `since` up to `until`.
    static func range(_ request: APIRequest, now: Timestamp) throws -> Range<Int64> {
        func moment(_ name: String) throws -> Int64? {
            guard let text = request.queryValue(name), !text.isEmpty else { return nil }
            guard let time = LogTime(text, now: now) else {
                throw Problem.invalid(name, "RFC 3339, nanoseconds since 1970, or how long ago, such as 15m, 2h or 7d")
            }
            return time.nanoseconds
        }
        let (since, until) = (try moment("since") ?? 0, try moment("until") ?? .max)
        guard since <= until else { throw Problem.invalid("until", "a time behind `since`") }
        return since..<until
    }
}

extension TraceSummary: JSONConvertible {
    public var json: JSONValue {
        [
            "traceId": .string(id.description), "rootName": .string(root.name),
            "status": .string(errors > 0 ? SpanHead.Status.error.rawValue : root.status.rawValue),
            "service": .string(root.service), "agent": .of(root.agent), "state": .string(state.rawValue),
            "startTime": .string(SpanHead.time(startedAt)), "endTime": .string(SpanHead.time(endedAt)),
            "durationMs": .double(Double(endedAt - startedAt) / 1e6), "spans": .int(Int64(spans)),
            "errors": .int(Int64(errors)), "tokens": .int(tokens), "correlationId": .string(correlationID),
            "sessionId": .of(root.session),
        ]
    }
}
