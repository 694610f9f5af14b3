import Kernel

/// A door of OTLP/HTTP: what its three signals have in common, from the request to the answer in the protocol's words.
struct OTLPDoor: Sendable {
    /// The address, such as `/v1/traces`.
    let path: String
    let summary: String
    /// The message that comes, and how it looks in JSON.
    let message: String
    let example: String
    /// What records are called in a partial success, such as `Spans`.
    let records: String
    /// From JSON to the message's bytes; hears of each record that has no such form.
    let encode: @Sendable (JSONValue, (RecordFlaw) -> Void) throws -> [UInt8]
    /// Takes the message, with what was refused of it before, and says all that is.
    let take: @Sendable ([UInt8], APIRequest, [RecordFlaw: Int]) async throws -> [RecordFlaw: Int]
    let room: BodyRoom
    /// Throws where there is no room for what comes of the request, before it is read.
    var checkRoom: @Sendable () throws -> Void = {}
    /// Hears of a request for which there is no room.
    let noteCrowded: @Sendable () -> Void

    var route: Route {
        Route(
            .post, path, .ingest, "\(summary) (OTLP/HTTP, protobuf or JSON, gzip or plain)",
            // Described as JSON; protobuf is the same message in bytes.
            shape: RouteShape(body: ["type": "object"], reply: ["type": "object"]),
            bodyBytesMax: TelemetryLimits.bodyBytes, refusal: { problem, _ in OTLPReply.json.refusal(problem) },
            handler: answer)
    }

    /// Levels of a document: each one of a value is four of it, and the deepest record lies within twenty.
    private static let jsonDepthMax = 20 + 4 * AttributeValue.depthMax

    private func answer(_ request: APIRequest) async throws -> APIReply {
        let reply = try OTLPReply(request)
        let lease = room.lease()
        defer { lease.end() }
        do {
            try checkRoom()
            let body = try request.unpackedBody(lease)
            if reply.isJSON { try lease.takeDocument(of: body) }
            let (message, refused) = reply.isJSON ? try fromJSON(body) : (body, [:])
            return reply.success(rejected: try await take(message, request, refused), name: records)
        } catch let problem as Problem {
            return reply.refusal(problem)
        } catch TelemetryIngest.Fault.crowded {
            noteCrowded()
            return reply.refusal(TelemetryIngest.Fault.crowded.problem(message, hint: ""))
        } catch let fault as TelemetryIngest.Fault {
            let problem = fault.problem(
                message, hint: "Send OTLP's protobuf, or JSON with Content-Type: application/json.")
            // What fails here is for the log as well.
            guard problem.code.status < 500 else { throw problem }
            return reply.refusal(problem)
        }
    }

    private func fromJSON(_ body: [UInt8]) throws -> ([UInt8], [RecordFlaw: Int]) {
        let document: JSONValue
        do { document = try JSONParser.parse(body, depthMax: Self.jsonDepthMax) } catch {
            throw Problem(.badRequest, "The body is no JSON document.", hint: "Send one in UTF-8.", cause: error)
        }
        var refused: [RecordFlaw: Int] = [:]
        do { return (try encode(document) { refused[$0, default: 0] += 1 }, refused) } catch {
            throw Problem(.badRequest, "The body is no \(message).", hint: "Send \(example).")
        }
    }
}
