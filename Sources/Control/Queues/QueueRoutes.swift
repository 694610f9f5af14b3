import Kernel

/// Queues and projects over HTTP.
public struct QueueRoutes: Sendable {
    let service: QueueService
    let workload: any QueueWorkload
    let exchange: Exchange
    let world: World

    /// Minutes of throughput that a queue shows.
    static let throughputMinutes: Int64 = 30

    public init(service: QueueService, workload: any QueueWorkload, exchange: Exchange, world: World) {
        self.service = service
        self.workload = workload
        self.exchange = exchange
        self.world = world
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/queues", .read, "List queues with depth, oldest task and throughput",
                shape: .list("Queue"), handler: list),
            Route(.get, "/api/v1/queues/{name}", .read, "Show a queue", shape: .one("Queue"), handler: show),
            Route(
                .patch, "/api/v1/queues/{name}", .operate,
                "Set a queue's concurrency, or the model that its tasks ask for",
                shape: .one("Queue", body: "QueueChange"), handler: change),
            Route(
                .post, "/api/v1/queues/{name}/pause", .operate, "Stop handing out a queue's tasks",
                shape: .one("Queue", body: "Reason", isBodyRequired: false), handler: pause),
            Route(
                .post, "/api/v1/queues/{name}/resume", .operate, "Hand out a queue's tasks again",
                shape: .one("Queue"), handler: resume),
            Route(.get, "/api/v1/projects", .read, "List projects", shape: .list("Project"), handler: projects),
            Route(
                .patch, "/api/v1/projects/{name}", .operate, "Set a project's weight",
                shape: .one("Project", body: "ProjectChange"), handler: changeProject),
            Route(
                .post, "/api/v1/projects/{name}/pause", .operate, "Stop handing out a project's tasks",
                shape: .one("Project", body: "Reason", isBodyRequired: false), handler: pauseProject),
            Route(
                .post, "/api/v1/projects/{name}/resume", .operate, "Hand out a project's tasks again",
                shape: .one("Project"), handler: resumeProject),
        ]
    }

    private func name(_ request: APIRequest) throws -> String {
        try Fields.checkedName(request.parameter("name"), path: "name", limits: request.limits)
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        return try await exchange.storage.read { transaction in
            let queues = try service.queues(page: page, in: transaction)
            let (items, next) = page.cut(queues, cursor: \.name)
            return .list(try describe(items, in: transaction), next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let name = try name(request)
        return try await exchange.storage.read { transaction in
            guard let queue = try service.queue(name, in: transaction) else { throw Problem.notFound("queue", name) }
            return try reply(queue, in: transaction)
        }
    }

    private func change(_ request: APIRequest) async throws -> APIReply {
        let name = try name(request)
        let fields = try request.fields()
        let concurrency = try fields.optionalInt("concurrency", in: 0...1_000_000)
        // Of both, what is not there stays; with neither, the limit is lifted.
        let setsModel = fields.object["model"] != nil || fields.object["tier"] != nil
        let setsConcurrency = fields.object["concurrency"] != nil || !setsModel
        let model = try ModelWish.read(fields)
        let ifMatch = request.headers["if-match"]
        return try await exchange.commit(request) { transaction in
            let principal = request.principal
            var queue: Queue?
            if setsConcurrency {
                queue = try service.setConcurrency(
                    concurrency, queue: name, ifMatch: ifMatch, by: principal, in: transaction)
            }
            if setsModel {
                queue = try service.setModel(
                    model, queue: name, ifMatch: queue == nil ? ifMatch : nil, by: principal, in: transaction)
            }
            guard let queue else { throw Problem.notFound("queue", name) }
            return try reply(queue, in: transaction)
        }
    }

    private func pause(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: 1_000) ?? "no reason given"
        return try await setPause(request, reason: reason)
    }

    private func resume(_ request: APIRequest) async throws -> APIReply { try await setPause(request, reason: nil) }

    private func setPause(_ request: APIRequest, reason: String?) async throws -> APIReply {
        let name = try name(request)
        return try await exchange.commit(request) { transaction in
            let queue = try service.setPause(queue: name, reason: reason, by: request.principal, in: transaction)
            return try reply(queue, in: transaction)
        }
    }

    private func projects(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        return try await exchange.storage.read { transaction in
            let projects = try service.projects(page: page, in: transaction)
            let (items, next) = page.cut(projects, cursor: \.name)
            return .list(items, next: next)
        }
    }

    private func changeProject(_ request: APIRequest) async throws -> APIReply {
        let name = try name(request)
        let fields = try request.fields()
        guard let weight = try fields.optionalDouble("weight", in: Project.weights) else {
            throw Problem.invalid("weight", "it is missing")
        }
        return try await exchange.commit(request) { transaction in
            .json(try service.setWeight(weight, project: name, by: request.principal, in: transaction).json)
        }
    }

    private func pauseProject(_ request: APIRequest) async throws -> APIReply {
        let name = try name(request)
        let reason = try request.optionalFields().optionalString("reason", max: 1_000) ?? "no reason given"
        return try await exchange.commit(request) { transaction in
            .json(try service.setPause(project: name, reason: reason, by: request.principal, in: transaction).json)
        }
    }

    private func resumeProject(_ request: APIRequest) async throws -> APIReply {
        let name = try name(request)
        return try await exchange.commit(request) { transaction in
            .json(try service.setPause(project: name, reason: nil, by: request.principal, in: transaction).json)
        }
    }

    private func reply(_ queue: Queue, in transaction: Transaction) throws -> APIReply {
        var reply = APIReply.json(try describe([queue], in: transaction).first ?? .null)
        reply.headers.append(("etag", queue.etag))
        return reply
    }

    /// Queues as JSON, with how they stand.
    func describe(_ queues: [Queue], in transaction: Transaction) throws -> [JSONValue] {
        let now = world.now
        let depths = try workload.depths(in: transaction)
        let since = now - Span.minutes(Self.throughputMinutes)
        let throughput = try workload.throughput(since: since, in: transaction)
        let lastMinute = now.microseconds / 60_000_000
        return queues.map { queue in
            let depth = depths[queue.name] ?? QueueDepth()
            let minutes = (0..<Self.throughputMinutes).map { lastMinute - Self.throughputMinutes + 1 + $0 }
            return [
                "name": .string(queue.name), "paused": .bool(queue.pause != nil), "pause": .of(queue.pause),
                "concurrency": .of(queue.concurrency), "model": .of(queue.model), "depth": .int(depth.ready),
                "ready": .int(depth.ready),
                "running": .int(depth.leased), "scheduled": .int(depth.scheduled), "blocked": .int(depth.blocked),
                "waiting": .int(depth.waiting), "inReview": .int(depth.inReview), "held": .int(depth.held),
                "oldestReadyAt": .of(depth.oldestReadyAt),
                "throughput": .list(minutes.map { throughput[queue.name]?[$0] ?? 0 }),
                "createdAt": queue.createdAt.json,
            ]
        }
    }
}

extension Project: JSONConvertible {
    public var json: JSONValue {
        [
            "name": .string(name), "paused": .bool(pause != nil), "pause": .of(pause), "weight": .double(weight),
            "createdAt": createdAt.json,
        ]
    }
}
