import Kernel

/// Traces over HTTP: in by OTLP, out as JSON.
public struct TraceRoutes: Sendable {
    let ingest: TelemetryIngest
    let world: World
    /// Those whose work is seen while it is done.
    private let running: [any RunningSpans]
    private let metrics: MetricIngest?
    private let labels: (any TraceLabels)?

    /// - Parameters:
    ///   - metrics: Whose ledger is shown beside those of traces and logs.
    ///   - labels: What was said of traces.
    public init(
        ingest: TelemetryIngest, running: [any RunningSpans] = [], metrics: MetricIngest? = nil,
        labels: (any TraceLabels)? = nil, world: World
    ) {
        self.ingest = ingest
        self.running = running
        self.metrics = metrics
        self.labels = labels
        self.world = world
    }

    public var routes: [Route] {
        let trace = "/api/v1/traces/{id}"
        return [
            OTLPDoor(
                path: "/v1/traces", summary: "Take in spans", message: "ExportTraceServiceRequest",
                example: "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[…]}]}]}", records: "Spans",
                encode: { try OTLPJSON.traces($0, refuse: $1) },
                take: { [ingest] in try await ingest.take($0, agent: $1.principal.agent, refusedBefore: $2) },
                room: ingest.room, checkRoom: { [ingest] in try ingest.checkRoom(.traces) },
                noteCrowded: { [ingest] in ingest.noteCrowded(.traces) }
            ).route,
            Route(
                .get, "/api/v1/traces", .operateOrView, "List the traces with the latest spans",
                shape: TraceShapes.search, handler: list),
            Route(
                .get, trace, .operateOrView, "Show a trace's spans, without their bodies", shape: .one("Trace"),
                handler: show),
            Route(
                .get, "\(trace)/spans/{spanId}", .operateOrView, "Show all of a span", shape: .one("SpanDetail"),
                handler: showSpan),
            Route(
                .get, "/api/v1/telemetry/ledger", .operateOrView, "What became of every record that came in",
                shape: .one("TelemetryLedger"), handler: ledger),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let query = try await TraceQuery(request, now: world.now).naming(labels)
        let findings = try await ingest.traces(query)
        let known = try await labels?.labels(of: findings.traces.map(\.id)) ?? [:]
        let items = findings.traces.map { trace in
            var item = trace.json.object ?? JSONObject()
            item.append("labels", .list(known[trace.id] ?? []))
            return JSONValue.object(item)
        }
        return .json(["items": .array(items), "complete": .bool(findings.isComplete)])
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let id = try Self.traceID(request)
        let own = running.flatMap { $0.heads(of: id, at: ingest.now) }
        let spans = TraceHeads.merged(try await ingest.trace(id), own)
        guard !spans.isEmpty else { throw Problem.notFound("trace", id.description) }
        let known = try await labels?.labels(of: [id])[id] ?? []
        return .json([
            "traceId": .string(id.description), "labels": .list(known),
            "state": .string(TraceHeads.state(of: spans).rawValue),
            "currentSpanId": .of(TraceHeads.current(of: spans)?.spanID.description),
            "spans": .array(spans.map(\.json)),
        ])
    }

    private func showSpan(_ request: APIRequest) async throws -> APIReply {
        let id = try Self.traceID(request)
        guard let span = SpanID(request.parameter("spanId")), let found = try await ingest.span(span, of: id) else {
            throw Problem.notFound("span", request.parameter("spanId"))
        }
        return .json(found.json)
    }

    private func ledger(_: APIRequest) async throws -> APIReply {
        var ledgers = ingest.ledgers
        if let metrics { ledgers[.metrics] = metrics.ledger }
        let unkept = ingest.unkeptTraces
        return .json([
            "items": ledgers.json, "unkeptTraces": .int(Int64(unkept)),
            "advice": .of(unkept == 0 ? nil : UnkeptTraces.advice),
        ])
    }

    private static func traceID(_ request: APIRequest) throws -> TraceID {
        guard let id = TraceID(request.parameter("id")) else {
            throw Problem.notFound("trace", request.parameter("id"))
        }
        return id
    }
}

extension Permission {
    /// Whoever may look at all of the fleet.
    public static let operateOrView = Permission.roles([.admin, .operator_, .viewer])
}
