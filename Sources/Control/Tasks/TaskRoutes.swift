import Kernel

/// Tasks over HTTP, as those see them who give work and watch it. Workers' addresses are in `TaskWorkRoutes.swift`.
public struct TaskRoutes: Sendable {
    let service: TaskService
    let exchange: Exchange

    public init(service: TaskService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    private static let filters: [(name: String, schema: JSONValue, summary: String)] = [
        ("queue", ["type": "string"], "Only this queue"),
        ("status", ["type": "string"], "State names, comma-separated; without it finished ones are included"),
        ("agent", ["type": "string"], "Only tasks that this agent has, did, or is assigned"),
        ("project", ["type": "string"], "Only this project"),
        ("type", ["type": "string"], "Only this type"),
        ("correlationId", ["type": "string"], "Only tasks that belong to this correlation id"),
        ("q", ["type": "string"], "Part of the title, or an id"),
        ("since", ["type": "string"], "Only tasks that had not ended by then, such as 2026-11-20T08:15:30Z"),
        ("until", ["type": "string"], "Only tasks that were created before then"),
    ]

    public var routes: [Route] {
        let task = "/api/v1/tasks/{id}"
        return [
            Route(
                .post, "/api/v1/tasks", .operate, "Create a task",
                shape: .one("Task", body: "TaskRequest", success: 201), handler: create),
            Route(
                .post, "/api/v1/tasks/graph", .operate, "Create a graph of tasks, all or none",
                shape: .one("TaskList", body: "TaskGraphRequest", success: 201), handler: createGraph),
            Route(
                .get, "/api/v1/tasks", .read, "List tasks, the newest first",
                shape: .list("Task", query: Self.filters), handler: list),
            Route(
                .post, "/api/v1/tasks/requeue", .operate, "Let tasks that were set aside run again, many at once",
                shape: .one("", body: "RequeueRequest"), handler: requeue),
            Route(.get, task, .read, "Show a task", shape: .one("Task"), handler: show),
            Route(
                .get, "\(task)/explain", .read, "Why is it not running?", shape: .one("Explanation"), handler: explain),
            Route(
                .get, "\(task)/attempts", .read, "List the attempts of a task", shape: .list("Attempt"),
                handler: attempts),
            Route(
                .get, "\(task)/deliverables", .read, "List every revision of a task's deliverables",
                shape: .list("Deliverable"), handler: listDeliverables),
            Route(
                .get, "\(task)/reviews", .read, "List the verdicts on a task", shape: .list("Review"),
                handler: listReviews),
            Route(
                .post, "\(task)/cancel", .operate, "Cancel a task",
                shape: .one("Task", body: "Reason", isBodyRequired: false), handler: cancel),
            Route(
                .post, "\(task)/retry", .operate, "Let a task run again that was set aside, or do one anew that ended",
                shape: .one("Task", body: "RetryRequest", isBodyRequired: false), handler: retry),
            Route(
                .post, "\(task)/hold", .operate, "Keep a task from being claimed",
                shape: .one("Task", body: "HoldRequest", isBodyRequired: false), handler: hold),
            Route(
                .post, "\(task)/resume", .operate, "Lift holds, or answer a parked task",
                shape: .one("Task", body: "ResumeRequest", isBodyRequired: false), handler: resume),
            Route(
                .post, "\(task)/reassign", .operate, "Give a task to another agent",
                shape: .one("Task", body: "ReassignRequest"), handler: reassign),
            Route(
                .post, "\(task)/review", .operate, "Approve what was submitted, ask for changes, or reject it",
                shape: .one("Task", body: "ReviewRequest"), handler: review),
            Route(
                .get, "/api/v1/reviews", .read, "List tasks that wait for a reviewer, the oldest submission first",
                shape: .list("Task"), handler: listInReview),
        ]
    }

    // MARK: Creation

    private func create(_ request: APIRequest) async throws -> APIReply {
        let draft = try TaskDraft(request.fields(), policy: service.policy)
        return try await exchange.commit(request) { transaction in
            let (task, isNew) = try service.create(
                draft, by: request.principal, from: TaskCaller(request), in: transaction)
            return .json(try service.view(task, in: transaction).json, status: isNew ? 201 : 200)
        }
    }

    private func createGraph(_ request: APIRequest) async throws -> APIReply {
        let drafts = try request.fields().objects("tasks", max: request.limits.graphTasks).map { fields in
            try TaskDraft(fields, policy: service.policy)
        }
        guard !drafts.isEmpty else { throw Problem.invalid("tasks", "it is empty") }
        return try await exchange.commit(request) { transaction in
            let tasks = try service.createGraph(
                drafts, by: request.principal, from: TaskCaller(request), in: transaction)
            return .created(["items": .list(try service.views(tasks, in: transaction)), "next": .null])
        }
    }

    // MARK: Looking

    /// The filter that a list's query asks for.
    static func filter(_ request: APIRequest) throws -> TaskFilter {
        var filter = TaskFilter()
        filter.queue = request.queryValue("queue")
        filter.agent = request.queryValue("agent")
        filter.project = request.queryValue("project")
        filter.type = request.queryValue("type")
        filter.correlationID = request.queryValue("correlationId").flatMap { $0.isEmpty ? nil : $0 }
        filter.text = request.queryValue("q").flatMap { $0.isEmpty ? nil : $0 }
        filter.states = try (request.queryList("status") ?? []).map { word in
            guard let state = TaskState(rawValue: word) else {
                let words = TaskState.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("status", "\"\(word.prefix(40))\" is no state", hint: "States are: \(words).")
            }
            return state
        }
        filter.since = try request.queryTime("since")
        filter.until = try request.queryTime("until")
        return filter
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let filter = try Self.filter(request)
        return try await exchange.storage.read { transaction in
            let tasks = try service.store.list(filter, page: page, in: transaction)
            let (items, next) = page.cut(tasks, cursor: \.id.text)
            return .list(try service.views(items, in: transaction), next: next)
        }
    }

    private func listInReview(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        return try await exchange.storage.read { transaction in
            let tasks = try service.store.inReview(page: page, in: transaction)
            let (items, next) = page.cut(tasks, cursor: \.id.text)
            return .list(try service.views(items, in: transaction), next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { transaction in
            let task = try service.task(request.parameter("id"), in: transaction)
            return .json(try service.view(task, in: transaction).json)
        }
    }

    private func explain(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { transaction in
            .json(try service.explain(request.parameter("id"), in: transaction).json)
        }
    }

    private func attempts(_ request: APIRequest) async throws -> APIReply {
        _ = try request.page()
        return try await exchange.storage.read { transaction in
            let task = try service.task(request.parameter("id"), in: transaction)
            let attempts = try service.store.attempts(of: task.id, limit: request.limits.pageRows, in: transaction)
            return .list(attempts, next: nil)
        }
    }

    private func listDeliverables(_ request: APIRequest) async throws -> APIReply {
        _ = try request.page()
        return try await exchange.storage.read { transaction in
            let task = try service.task(request.parameter("id"), in: transaction)
            return .list(try service.deliverables.all(of: task.id, in: transaction), next: nil)
        }
    }

    private func listReviews(_ request: APIRequest) async throws -> APIReply {
        _ = try request.page()
        return try await exchange.storage.read { transaction in
            let task = try service.task(request.parameter("id"), in: transaction)
            return .list(try service.deliverables.reviews(of: task.id, in: transaction), next: nil)
        }
    }

    // MARK: Operations

    private func change(
        _ request: APIRequest, _ body: @escaping @Sendable (TaskService, Transaction) throws -> AgentTask
    ) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let task = try body(service, transaction)
            let isNew = task.supersedes != nil && task.id.text != request.parameter("id")
            return .json(try service.view(task, in: transaction).json, status: isNew ? 201 : 200)
        }
    }

    private func cancel(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: 1_000)
        return try await change(request) { service, transaction in
            try service.cancel(request.parameter("id"), reason: reason, by: request.principal, in: transaction)
        }
    }

    private func retry(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        let input = fields.object["input"]
        let agent = try fields.optionalName("agent")
        return try await change(request) { service, transaction in
            try service.retry(
                request.parameter("id"), input: input, agent: agent, by: request.principal, in: transaction)
        }
    }

    private func hold(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        let hold = try fields.optionalChoice("hold", TaskHold.self) ?? .pausedTask
        let reason = try fields.optionalString("reason", max: 1_000) ?? "no reason given"
        return try await change(request) { service, transaction in
            try service.hold(request.parameter("id"), hold, reason: reason, by: request.principal, in: transaction)
        }
    }

    private func resume(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        let hold = try fields.optionalChoice("hold", TaskHold.self)
        let token = try fields.optionalString("token", max: 200)
        let answer = fields.object["answer"] ?? .null
        return try await change(request) { service, transaction in
            try service.resume(
                request.parameter("id"), hold, answer: answer, token: token, by: request.principal, in: transaction)
        }
    }

    private func reassign(_ request: APIRequest) async throws -> APIReply {
        let agent = try request.fields().optionalName("agent")
        return try await change(request) { service, transaction in
            try service.reassign(request.parameter("id"), to: agent, by: request.principal, in: transaction)
        }
    }

    private func review(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let verdict = try fields.choice("verdict", ReviewVerdict.self)
        let sha256 = try fields.optionalString("sha256", max: 64)
        let comment = try fields.optionalString("comment") ?? ""
        return try await change(request) { service, transaction in
            try service.review(
                request.parameter("id"), verdict, sha256: sha256, comment: comment, by: request.principal,
                in: transaction)
        }
    }

    /// Bulk requeue of what was set aside: by ids, or by queue and reason.
    private func requeue(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let ids = try fields.optionalNames("ids", max: request.limits.batchItems) ?? []
        let queue = try fields.optionalName("queue")
        let reason = try fields.optionalString("reason", max: 200)
        guard !ids.isEmpty || queue != nil || reason != nil else {
            throw Problem.invalid("ids", "name tasks by ids, or all that were set aside by queue or reason")
        }
        return try await exchange.commit(request) { transaction in
            let chosen =
                ids.isEmpty
                ? try service.store.held(
                    queue: queue, reason: reason, limit: request.limits.batchItems, in: transaction)
                : ids
            var requeued: [JSONValue] = []
            var refused: [JSONValue] = []
            for id in chosen {
                do {
                    let task = try transaction.part {
                        let task = try service.task(id, in: transaction)
                        guard task.state == .held else { throw task.refusal("requeue") }
                        return try service.retry(id, input: nil, agent: nil, by: request.principal, in: transaction)
                    }
                    requeued.append(task.id.json)
                } catch let problem as Problem {
                    refused.append([
                        "id": .string(id), "code": .string(problem.code.name), "detail": .string(problem.detail),
                    ])
                }
            }
            return .json(["requeued": .array(requeued), "refused": .array(refused)])
        }
    }
}
