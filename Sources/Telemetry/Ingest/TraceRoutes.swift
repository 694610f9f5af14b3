import Kernel

/// Traces over HTTP: in by OTLP, out as JSON.
public struct TraceRoutes: Sendable {
    let ingest: TelemetryIngest
    let world: World
    /// Those whose work is seen while it is done.
    private let running: [any RunningSpans]
    private let metrics: MetricIngest?

    /// - Parameter metrics: Whose ledger is shown beside those of traces and logs.
    public init(
        ingest: TelemetryIngest, running: [any RunningSpans] = [], metrics: MetricIngest? = nil, world: World
    ) {
        self.ingest = ingest
        self.running = running
        self.metrics = metrics
        self.world = world
    }

    public var routes: [Route] {
        // Described as JSON; protobuf is the same message in bytes.
        let door = RouteShape(body: ["type": "object"], reply: ["type": "object"])
        let trace = "/api/v1/traces/{id}"
        return [
            Route(
                .post, "/v1/traces", .ingest, "Take in spans (OTLP/HTTP, protobuf or JSON, gzip or plain)", shape: door,
                bodyBytesMax: TelemetryLimits.bodyBytes, refusal: { problem, _ in OTLPReply.json.refusal(problem) },
                handler: take),
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

    // MARK: in

    private func take(_ request: APIRequest) async throws -> APIReply {
        let reply = try OTLPReply(request)
        do {
            return reply.success(
                rejected: try await keep(try request.unpackedBody(), of: request, reply), name: "Spans")
        } catch let problem as Problem {
            return reply.refusal(problem)
        } catch let fault as TelemetryIngest.Fault {
            let problem = fault.problem(
                "ExportTraceServiceRequest",
                hint: "Send OTLP's protobuf, or JSON with Content-Type: application/json.")
            // What fails here is for the log as well.
            guard problem.code.status < 500 else { throw problem }
            return reply.refusal(problem)
        }
    }

    private func keep(_ body: [UInt8], of request: APIRequest, _ reply: OTLPReply) async throws -> [RecordFlaw: Int] {
        guard reply.isJSON else { return try await ingest.take(body, agent: request.principal.agent) }
        var refused: [RecordFlaw: Int] = [:]
        let document: JSONValue
        do { document = try JSONParser.parse(body, depthMax: Self.jsonDepthMax) } catch {
            throw Problem(.badRequest, "The body is no JSON document.", hint: "Send one in UTF-8.", cause: error)
        }
        let message: [UInt8]
        do { message = try OTLPJSON.traces(document) { refused[$0, default: 0] += 1 } } catch {
            throw Problem(
                .badRequest, "The body is no ExportTraceServiceRequest.",
                hint: "Send {\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[…]}]}]}.")
        }
        return try await ingest.take(message, agent: request.principal.agent, refusedBefore: refused)
    }

    /// Each level of a value is four of its document's.
    static let jsonDepthMax = 16 + 4 * AttributeValue.depthMax

    // MARK: out

    private func list(_ request: APIRequest) async throws -> APIReply {
        let findings = try await ingest.traces(try TraceQuery(request, now: world.now))
        return .json([
            "items": .array(findings.traces.map(\.json)), "complete": .bool(findings.isComplete),
        ])
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let id = try Self.traceID(request)
        let own = running.flatMap { $0.heads(of: id, at: ingest.now) }
        let spans = TraceHeads.merged(try await ingest.trace(id), own)
        guard !spans.isEmpty else { throw Problem.notFound("trace", id.description) }
        return .json([
            "traceId": .string(id.description), "state": .string(TraceHeads.state(of: spans).rawValue),
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
        return .json(["items": ledgers.json])
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
