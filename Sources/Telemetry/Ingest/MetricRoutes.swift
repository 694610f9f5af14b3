import Kernel

/// Metrics over HTTP, in by OTLP.
public struct MetricIngestRoutes: Sendable {
    let ingest: MetricIngest

    public init(ingest: MetricIngest) { self.ingest = ingest }

    public var routes: [Route] {
        // Described as JSON; protobuf is the same message in bytes.
        let door = RouteShape(body: ["type": "object"], reply: ["type": "object"])
        return [
            Route(
                .post, "/v1/metrics", .ingest, "Take in metrics (OTLP/HTTP, protobuf or JSON, gzip or plain)",
                shape: door, bodyBytesMax: TelemetryLimits.bodyBytes,
                refusal: { problem, _ in OTLPReply.json.refusal(problem) }, handler: take)
        ]
    }

    private func take(_ request: APIRequest) async throws -> APIReply {
        let reply = try OTLPReply(request)
        do {
            let refused = try await keep(try request.unpackedBody(), of: request, reply)
            return reply.success(rejected: refused, name: "DataPoints")
        } catch let problem as Problem {
            return reply.refusal(problem)
        } catch let fault as MetricIngest.Fault {
            let problem = fault.problem(
                "ExportMetricsServiceRequest",
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
        do { message = try OTLPJSON.metrics(document) { refused[$0, default: 0] += 1 } } catch {
            throw Problem(
                .badRequest, "The body is no ExportMetricsServiceRequest.",
                hint: "Send {\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[…]}]}]}.")
        }
        return try await ingest.take(message, agent: request.principal.agent, refusedBefore: refused)
    }

    /// Each level of a value is four of its document's.
    private static let jsonDepthMax = 20 + 4 * AttributeValue.depthMax
}
