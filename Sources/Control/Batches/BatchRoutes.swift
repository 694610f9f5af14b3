import Kernel

/// How the doors of both dialects refuse; the gateway knows their words.
public struct DoorRefusals: Sendable {
    let openAI: Route.Refusal
    let anthropic: Route.Refusal

    public init(openAI: @escaping Route.Refusal, anthropic: @escaping Route.Refusal) {
        self.openAI = { openAI(Self.asTheyKnowIt($0), $1) }
        self.anthropic = { anthropic(Self.asTheyKnowIt($0), $1) }
    }

    /// Their clients expect 400 where Reeve's own interface says 422.
    private static func asTheyKnowIt(_ problem: Problem) -> Problem {
        guard problem.code.status == 422 else { return problem }
        return Problem(.badRequest, problem.detail, hint: problem.hint, field: problem.field)
    }
}

/// Files and batches as OpenAI's SDK knows them.
public struct BatchRoutes: Sendable {
    /// OpenAI API reference, "List batch": 1 to 100, 20 by default; "List files": to 10,000.
    static let batchesPerPage = (most: 100, usual: 20)
    static let filesPerPage = (most: 10_000, usual: 10_000)

    let service: BatchService
    let exchange: Exchange
    let blobs: any Blobs
    let refusal: Route.Refusal

    public init(service: BatchService, exchange: Exchange, blobs: any Blobs, refusals: DoorRefusals) {
        self.service = service
        self.exchange = exchange
        self.blobs = blobs
        refusal = refusals.openAI
    }

    private static let object: JSONValue = ["type": "object"]

    public var routes: [Route] { fileRoutes + batchRoutes }

    private func route(
        _ method: APIRequest.Method, _ path: String, _ summary: String, _ shape: RouteShape? = nil,
        bodyBytesMax: Int? = nil, _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            method, path, .work, summary, shape: shape ?? RouteShape(reply: Self.object),
            bodyBytesMax: bodyBytesMax, refusal: refusal, handler: handler)
    }

    private static let paging: [(name: String, schema: JSONValue, summary: String)] = [
        ("limit", ["type": "integer", "minimum": 1], "Rows of the page"),
        ("after", ["type": "string"], "The id that the last page ended with"),
    ]

    private var fileRoutes: [Route] {
        var upload = RouteShape(
            body: [
                "type": "object", "required": ["file", "purpose"],
                "properties": [
                    "file": ["type": "string", "format": "binary"], "purpose": ["type": "string", "enum": ["batch"]],
                ],
            ], reply: Self.object)
        upload.bodyType = "multipart/form-data"
        let listing = RouteShape(
            query: Self.paging + [
                ("order", ["type": "string", "enum": ["asc", "desc"]], "By time of making; `desc` where absent"),
                ("purpose", ["type": "string"], "Only files of this purpose: `batch`, `batch_output`"),
            ], reply: Self.object)
        return [
            route(
                .post, "/v1/files", "Uploads the requests of a batch, as OpenAI's Files", upload,
                bodyBytesMax: service.policy.fileBytes + BatchPolicy.formBytes, self.upload),
            route(.get, "/v1/files", "Lists one's own files, as OpenAI's Files", listing, listFiles),
            route(.get, "/v1/files/{id}", "Shows a file", nil, showFile),
            route(
                .get, "/v1/files/{id}/content", "The content of a file",
                RouteShape(contentType: "application/octet-stream"), content),
            route(.delete, "/v1/files/{id}", "Deletes a file", nil, deleteFile),
        ]
    }

    private var batchRoutes: [Route] {
        [
            route(
                .post, "/v1/batches", "Has the requests of a file answered within a day, as OpenAI's Batches",
                RouteShape(body: Self.object, reply: Self.object), bodyBytesMax: BatchPolicy.createBytes, create),
            route(
                .get, "/v1/batches", "Lists one's own batches, the newest first",
                RouteShape(query: Self.paging, reply: Self.object), list),
            route(
                .get, "/v1/batches/{id}", "Shows a batch: how far it is, and which files hold its results", nil, show),
            route(
                .post, "/v1/batches/{id}/cancel", "Ends a batch; what was answered by then is kept",
                RouteShape(body: Self.object, isBodyRequired: false, reply: Self.object), cancel),
        ]
    }

    // MARK: files

    private func upload(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let upload = try BatchRequest.upload(request, max: service.policy.fileBytes)
        let principal = request.principal
        // Who has no room is told before anything reaches the disk.
        try await exchange.storage.read { try service.checkRoom(upload.content.count, for: principal, in: $0) }
        let now = service.world.now
        let file = BatchFile(
            id: BatchFile.newID(service.world), owner: principal.batchOwner, purpose: .batch, name: upload.name,
            size: Int64(upload.content.count), sha256: try await blobs.put(upload.content), createdAt: now,
            expiresAt: now + (upload.span ?? service.policy.retention))
        return try await exchange.commit(request) { transaction in
            try service.checkRoom(upload.content.count, for: principal, in: transaction)
            try service.keep(file, in: blobs, transaction)
            return .json(file.json)
        }
    }

    private func listFiles(_ request: APIRequest) async throws -> APIReply {
        let limit = try Self.limit(request, Self.filesPerPage)
        let order = request.queryValue("order") ?? "desc"
        guard order == "asc" || order == "desc" else {
            throw BatchRequest.invalid("order", "\"asc\" or \"desc\" is expected")
        }
        let all = BatchFile.Purpose.allCases.filter(\.isListed)
        let purposes = request.queryValue("purpose").map { name in all.filter { $0.rawValue == name } } ?? all
        let after = request.queryValue("after")
        let found = try await exchange.storage.read { transaction in
            try service.files.list(
                of: request.principal.batchOwner, purposes: purposes, after: after, isAscending: order == "asc",
                limit: limit + 1, in: transaction)
        }
        return Self.list(found.map { ($0.id, $0.json) }, limit: limit)
    }

    private func showFile(_ request: APIRequest) async throws -> APIReply { .json(try await file(request).json) }

    private func file(_ request: APIRequest) async throws -> BatchFile {
        try await exchange.storage.read {
            try service.file(request.parameter("id"), for: request.principal, in: $0)
        }
    }

    private func content(_ request: APIRequest) async throws -> APIReply {
        let file = try await file(request)
        return APIReply(
            status: 200,
            headers: [("content-type", "application/octet-stream"), ("content-disposition", "attachment")],
            body: .bytes(try await blobs.get(file.sha256)))
    }

    private func deleteFile(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        try await exchange.storage.write { try service.deleteFile(id, by: request.principal, in: $0) }
        return .json(["id": .string(id), "object": "file", "deleted": true])
    }

    // MARK: batches

    private func create(_ request: APIRequest) async throws -> APIReply {
        let batch = try BatchRequest.batch(request, policy: service.policy, world: service.world)
        return try await exchange.commit(request) { transaction in
            let input = try service.file(batch.inputFile, for: request.principal, in: transaction)
            guard input.purpose == .batch else {
                throw BatchRequest.invalid("input_file_id", "the file's purpose is not \"batch\"")
            }
            try service.create(batch, in: transaction)
            return .json(batch.openAI)
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let limit = try Self.limit(request, Self.batchesPerPage)
        let found = try await exchange.storage.read { transaction in
            try service.batches.list(
                of: request.principal.batchOwner, .openAI, after: request.queryValue("after"), before: nil,
                limit: limit + 1, in: transaction)
        }
        return Self.list(found.map { ($0.id, $0.openAI) }, limit: limit)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        .json(
            try await exchange.storage.read {
                try service.batch(request.parameter("id"), .openAI, for: request.principal, in: $0)
            }.openAI)
    }

    private func cancel(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            .json(
                try service.cancel(request.parameter("id"), .openAI, by: request.principal, in: transaction).openAI)
        }
    }

    // MARK: lists

    static func limit(_ request: APIRequest, _ bounds: (most: Int, usual: Int)) throws -> Int {
        guard let text = request.queryValue("limit") else { return bounds.usual }
        guard let value = Int(text), value > 0 else {
            throw BatchRequest.invalid("limit", "a whole number above zero is expected")
        }
        return min(value, bounds.most)
    }

    /// A page, of whose rows one more than its limit was read.
    static func list(_ rows: [(id: String, json: JSONValue)], limit: Int, isAnthropic: Bool = false) -> APIReply {
        let shown = rows.prefix(limit)
        var object = JSONObject()
        if !isAnthropic { object.append("object", "list") }
        object.append("data", .array(shown.map(\.json)))
        object.append("first_id", .of(shown.first?.id))
        object.append("last_id", .of(shown.last?.id))
        object.append("has_more", .bool(rows.count > limit))
        return .json(.object(object))
    }
}

extension BatchService {
    /// Keeps a file whose content is in the store of blobs.
    func keep(_ file: BatchFile, in blobs: any Blobs, _ transaction: Transaction) throws {
        guard blobs.contains(file.sha256) else {
            throw Problem(
                .overloaded, "The content was removed with another file that had it, at this very moment.",
                hint: "Send it again.", retryAfterSeconds: 1)
        }
        try files.insert(file, in: transaction)
    }
}
