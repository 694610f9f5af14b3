import Kernel

/// The workers' addresses: claim, signs of life, and the ways in which an attempt ends.
public struct TaskWorkRoutes: Sendable {
    let service: TaskService
    let exchange: Exchange
    let wakeups: Wakeups
    let world: World

    public init(service: TaskService, exchange: Exchange, wakeups: Wakeups, world: World) {
        self.service = service
        self.exchange = exchange
        self.wakeups = wakeups
        self.world = world
    }

    public var routes: [Route] {
        let task = "/api/v1/tasks/{id}"
        return [
            Route(
                .post, "/api/v1/tasks/claim", .work, "Take up tasks; waits for one where asked to",
                shape: .one("ClaimReply", body: "ClaimRequest"), waits: true, handler: claim),
            Route(
                .post, "/api/v1/tasks/complete", .work, "Complete several tasks, each judged by itself",
                shape: .one("", body: "CompleteManyRequest"), handler: completeMany),
            Route(
                .post, "\(task)/heartbeat", .work, "Extend the lease and hear what to do",
                shape: .one("BeatReply", body: "BeatRequest"), handler: beat),
            Route(
                .post, "\(task)/submit", .work, "Hand in the deliverables for review",
                shape: .one("", body: "EndRequest"), handler: submit),
            Route(
                .post, "\(task)/complete", .work, "The task is done",
                shape: .one("Task", body: "EndRequest"), handler: complete),
            Route(
                .post, "\(task)/fail", .work, "The attempt failed",
                shape: .one("Task", body: "FailRequest"), handler: fail),
            Route(
                .post, "\(task)/release", .work, "Give the task back",
                shape: .one("Task", body: "ReleaseRequest"), handler: release),
            Route(
                .post, "\(task)/park", .work, "Wait without lease or slot",
                shape: .one("", body: "ParkRequest"), handler: park),
        ]
    }

    private static let fences: ClosedRange<Int64> = 0...Int64.max

    // MARK: Claim

    private func claim(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let agent = try request.principal.actingAgent(named: fields.optionalName("agent"))
        let queues = try fields.optionalNames("queues", max: 100) ?? ["default"]
        guard !queues.isEmpty else { throw Problem.invalid("queues", "at least one is expected") }
        let limit = Int(try fields.optionalInt("limit", in: 1...Int64(request.limits.batchItems)) ?? 1)
        let wait = try fields.optionalSpan("waitSeconds", in: 0...Double(request.limits.claimWaitSeconds)) ?? .zero
        let takesBundle = try fields.optionalBool("takesBundle") ?? false
        let deadline = world.now + wait
        var generation = wakeups.generation(queues)
        var reply = try await tryClaim(request, queues: queues, limit: limit, agent: agent, takesBundle)
        var contactedAt = world.now
        while !reply.isKept {
            let left = deadline - world.now
            guard left > .zero, !Task.isCancelled else { return reply }
            await pause(queues, since: generation, for: min(left, service.isHoldingBack ? Self.pollInOutage : poll))
            generation = wakeups.generation(queues)
            // An idle fleet waits by reading: only a claim that will find something writes.
            let hasWork = try await exchange.storage.read { try service.hasWork(queues: queues, agent: agent, in: $0) }
            // A waiting agent is not a silent one: now and then the claim itself says that it is there.
            if hasWork || world.now - contactedAt >= Self.contactEvery {
                reply = try await tryClaim(request, queues: queues, limit: limit, agent: agent, takesBundle)
                contactedAt = world.now
            }
        }
        return reply
    }

    private static let contactEvery = Span.seconds(Int64(8))

    /// How often a waiting claim looks again by itself: another replica's tasks come without a signal.
    private var poll: Span { exchange.storage.dialect == .postgres ? .seconds(Int64(1)) : .seconds(Int64(5)) }

    /// While a model is out or coming back: each look asks for a share of its work anew.
    private static let pollInOutage = Span.seconds(Int64(1))

    /// A claim that found nothing is not kept under its idempotency key: sent again, it may find something.
    private func tryClaim(
        _ request: APIRequest, queues: [String], limit: Int, agent: String, _ takesBundle: Bool
    ) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let claimed = try service.claim(
                queues: queues, limit: limit, agent: agent, takesBundle: takesBundle, by: request.principal,
                in: transaction)
            return try service.views(claimed, in: transaction)
        } reply: { claims in
            var reply = APIReply.json(["items": .list(claims)])
            reply.isKept = !claims.isEmpty
            return reply
        }
    }

    /// Waits for a signal, for at most a span.
    private func pause(_ queues: [String], since generation: Int, for span: Span) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wakeups.wait(queues, since: generation) }
            group.addTask { try? await world.time.sleep(for: span) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Signs of life

    private func beat(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        var beat = TaskBeat()
        beat.progress = try fields.optionalDouble("progress", in: 0...1)
        beat.note = try fields.optionalString("note", max: 2_000)
        beat.usage = try fields.optionalFields("usage").map { try TaskUsage($0) }
        beat.checkpoint = fields.object["checkpoint"] ?? .null
        let told = beat
        return try await exchange.commit(request) { transaction in
            let (task, owner) = try service.beat(
                request.parameter("id"), fence: fence, told, by: request.principal, in: transaction)
            return .json(try service.beatJSON(task, owner, in: transaction))
        }
    }

    // MARK: Ends

    private func complete(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        let output = fields.object["output"] ?? .null
        return try await exchange.commit(request) { transaction in
            try service.complete(
                request.parameter("id"), fence: fence, output: output, by: request.principal, in: transaction)
        } reply: {
            .json($0.json)
        }
    }

    private func completeMany(_ request: APIRequest) async throws -> APIReply {
        let items = try request.fields().objects("items", max: request.limits.batchItems).map { fields in
            (
                id: try fields.string("id", max: 100), fence: try fields.int("fence", in: Self.fences),
                output: fields.object["output"] ?? .null
            )
        }
        return try await exchange.commit(request) { transaction in
            var known = try service.worked(on: items.map(\.id), in: transaction)
            let results: [JSONValue] = try items.map { item in
                // An item that stands twice finds what the first one left.
                let worked = known.removeValue(forKey: item.id)
                do {
                    let done = try transaction.part {
                        try service.complete(
                            item.id, fence: item.fence, output: item.output, by: request.principal, known: worked,
                            in: transaction)
                    }
                    return ["id": .string(item.id), "status": 200, "state": .string(done.task.state.rawValue)]
                } catch let problem as Problem {
                    let error = problem.document(requestID: request.requestID)
                    return ["id": .string(item.id), "status": .int(Int64(problem.code.status)), "error": error]
                }
            }
            return .json(["items": .array(results)])
        }
    }

    private func submit(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        let output = fields.object["output"] ?? .null
        return try await exchange.commit(request) { transaction in
            let task = try service.submit(
                request.parameter("id"), fence: fence, output: output, by: request.principal, in: transaction)
            return .json([
                "id": task.id.json, "state": .string(task.state.rawValue), "sha256": .of(task.submissionSHA256),
                "task": try service.view(task, in: transaction).json,
            ])
        }
    }

    private func fail(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        let failure = try fields.optionalChoice("class", FailureClass.self) ?? .retryable
        let message = try fields.optionalString("message", max: 10_000)
        let delay = try fields.optionalSpan("delaySeconds", in: 0...Double(86_400 * 365))
        return try await exchange.commit(request) { transaction in
            let task = try service.fail(
                request.parameter("id"), fence: fence, failure, message: message, delay: delay, by: request.principal,
                in: transaction)
            return .json(try service.view(task, in: transaction).json)
        }
    }

    private func release(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        let delay = try fields.optionalSpan("delaySeconds", in: 0...Double(86_400 * 365)) ?? .zero
        return try await exchange.commit(request) { transaction in
            let task = try service.release(
                request.parameter("id"), fence: fence, delay: delay, by: request.principal, in: transaction)
            return .json(try service.view(task, in: transaction).json)
        }
    }

    private func park(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let fence = try fields.int("fence", in: Self.fences)
        let parking = try parking(fields)
        return try await exchange.commit(request) { transaction in
            let task = try service.park(
                request.parameter("id"), fence: fence, parking, by: request.principal, in: transaction)
            return .json([
                "id": task.id.json, "state": .string(task.state.rawValue), "resumeToken": task.wait["token"] ?? .null,
                "task": try service.view(task, in: transaction).json,
            ])
        }
    }

    private func parking(_ fields: Fields) throws -> TaskParking {
        var parking = TaskParking(try fields.optionalChoice("kind", WaitKind.self) ?? .input)
        parking.prompt = try fields.optionalString("prompt")
        parking.until = try fields.optionalTime("until")
        if let span = try fields.optionalSpan("seconds", in: 0...Double(86_400 * 365)) {
            parking.until = world.now + span
        }
        parking.fallback = fields.value("fallback")
        parking.checkpoint = fields.object["checkpoint"] ?? .null
        parking.children = try (fields.optionalNames("tasks", max: 1_000) ?? []).map { text in
            guard let id = TaskID(text) else {
                throw Problem.invalid("tasks", "\"\(text.prefix(80))\" is no task's id")
            }
            return id
        }
        if parking.kind == .timer, parking.until == nil {
            throw Problem.invalid("until", "a timer needs a time", hint: "Add \"until\" or \"seconds\".")
        }
        if parking.kind == .child, parking.children.isEmpty {
            throw Problem.invalid("tasks", "a task that waits for children needs their ids")
        }
        return parking
    }
}
