import Kernel

/// Message batches as Anthropic's SDK knows them.
public struct MessageBatchRoutes: Sendable {
    /// Anthropic API reference, "List Message Batches": 1 to 1,000, 20 by default.
    static let perPage = (most: 1_000, usual: 20)

    let service: BatchService
    let exchange: Exchange
    let blobs: any Blobs
    let refusal: Route.Refusal
    /// What addresses of results begin with; `nil` where that is how the caller reached Reeve.
    let publicURL: String?

    public init(
        service: BatchService, exchange: Exchange, blobs: any Blobs, refusals: DoorRefusals, publicURL: String?
    ) {
        self.service = service
        self.exchange = exchange
        self.blobs = blobs
        refusal = refusals.anthropic
        self.publicURL = publicURL
    }

    private static let object: JSONValue = ["type": "object"]

    public var routes: [Route] {
        let batches = "/v1/messages/batches"
        let paging: [(name: String, schema: JSONValue, summary: String)] = [
            ("limit", ["type": "integer", "minimum": 1], "Rows of the page"),
            ("after_id", ["type": "string"], "Only batches older than this one"),
            ("before_id", ["type": "string"], "Only batches newer than this one"),
        ]
        let one = RouteShape(reply: Self.object)
        return [
            route(
                .post, batches, "Has messages answered within a day, as Anthropic's Message Batches",
                RouteShape(body: Self.object, reply: Self.object), bodyBytesMax: BatchPolicy.messageBatchBytes, create),
            route(
                .get, batches, "Lists one's own message batches, the newest first",
                RouteShape(query: paging, reply: Self.object), list),
            route(.get, "\(batches)/{id}", "Shows a message batch and how far it is", one, show),
            route(
                .get, "\(batches)/{id}/results", "The results of a message batch, as JSON lines",
                RouteShape(contentType: "application/x-jsonl"), results),
            route(
                .post, "\(batches)/{id}/cancel", "Ends a message batch; what was answered by then is kept",
                RouteShape(body: Self.object, isBodyRequired: false, reply: Self.object), cancel),
            route(.delete, "\(batches)/{id}", "Deletes a message batch that has ended", one, delete),
        ]
    }

    /// Every answer names its request, as Anthropic's do.
    private func route(
        _ method: APIRequest.Method, _ path: String, _ summary: String, _ shape: RouteShape,
        bodyBytesMax: Int? = nil, _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            method, path, .work, summary, shape: shape, bodyBytesMax: bodyBytesMax, refusal: refusal
        ) { request in
            var reply = try await handler(request)
            reply.headers.append(("request-id", request.requestID))
            return reply
        }
    }

    private func json(_ batch: Batch, _ request: APIRequest) -> JSONValue {
        batch.anthropic(origin: publicURL ?? "http://\(request.headers["host"] ?? "127.0.0.1")")
    }

    private func create(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let world = service.world
        let fileID = BatchFile.newID(world)
        let batch = try BatchRequest.messageBatch(
            request, inputFile: fileID, policy: service.policy, world: world)
        let principal = request.principal
        try await exchange.storage.read { try service.checkRoom(request.body.count, for: principal, in: $0) }
        let file = BatchFile(
            id: fileID, owner: principal.batchOwner, purpose: .messageBatch, name: "\(batch.id).json",
            size: Int64(request.body.count), sha256: try await blobs.put(request.body), createdAt: batch.createdAt,
            expiresAt: batch.createdAt + service.policy.retention)
        let reply = json(batch, request)
        return try await exchange.commit(request) { transaction in
            try service.checkRoom(request.body.count, for: principal, in: transaction)
            try service.keep(file, in: blobs, transaction)
            try service.create(batch, in: transaction)
            return .json(reply)
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let limit = try BatchRoutes.limit(request, Self.perPage)
        let before = request.queryValue("before_id")
        let found = try await exchange.storage.read { transaction in
            try service.batches.list(
                of: request.principal.batchOwner, .anthropic, after: request.queryValue("after_id"), before: before,
                limit: limit + 1, in: transaction)
        }
        var rows = found.map { (id: $0.id, json: json($0, request)) }
        // Read towards newer ones; shown, as ever, the newest first.
        if before != nil { rows = rows.prefix(limit).reversed() + rows.dropFirst(limit) }
        return BatchRoutes.list(rows, limit: limit, isAnthropic: true)
    }

    private func batch(_ request: APIRequest) async throws -> Batch {
        try await exchange.storage.read {
            try service.batch(request.parameter("id"), .anthropic, for: request.principal, in: $0)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply { .json(json(try await batch(request), request)) }

    private func cancel(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let batch = try service.cancel(
                request.parameter("id"), .anthropic, by: request.principal, in: transaction)
            return .json(json(batch, request))
        }
    }

    /// Results are the agent's own alone, also where others may see the batch.
    private func results(_ request: APIRequest) async throws -> APIReply {
        let batch = try await batch(request)
        guard batch.owner == request.principal.batchOwner else { throw Problem.notFound("batch", batch.id) }
        guard batch.state.hasEnded else {
            throw Problem(
                .badRequest, "The batch \"\(batch.id)\" has not ended, so it has no results yet.",
                hint: "Ask again once its processing_status is \"ended\".")
        }
        let file = try await exchange.storage.read { transaction in
            try batch.outputFile.flatMap { try service.files.file($0, in: transaction) }
        }
        guard let file else { throw Problem.notFound("results of the batch", batch.id) }
        return APIReply(
            status: 200, headers: [("content-type", "application/x-jsonl")],
            body: .bytes(try await blobs.get(file.sha256)))
    }

    private func delete(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        try await exchange.storage.write { try service.delete(id, .anthropic, by: request.principal, in: $0) }
        return .json(["id": .string(id), "type": "message_batch_deleted"])
    }
}
