import Kernel

/// Schedules over HTTP. `{id}` is a schedule's id or its name.
public struct ScheduleRoutes: Sendable {
    let service: ScheduleService
    let exchange: Exchange

    public init(service: ScheduleService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/api/v1/schedules", .operate, "Make a task again and again, by the clock",
                shape: .one("Schedule", body: "ScheduleDraft", success: 201), handler: create),
            Route(.get, "/api/v1/schedules", .read, "List schedules by name", shape: .list("Schedule"), handler: list),
            Route(
                .get, "/api/v1/schedules/{id}", .read, "Show a schedule with its next ticks and its last firings",
                shape: .one("ScheduleDetail"), handler: show),
            Route(
                .patch, "/api/v1/schedules/{id}", .operate, "Change a schedule; takes If-Match",
                shape: .one("Schedule", body: "ScheduleChange"), handler: change),
            Route(
                .delete, "/api/v1/schedules/{id}", .operate, "Delete a schedule; tasks that it made stay",
                shape: RouteShape(success: 204), handler: delete),
            Route(
                .post, "/api/v1/schedules/{id}/run", .operate, "Make a schedule's task now, besides its ticks",
                shape: .one("ScheduleRun", success: 201), handler: run),
            Route(
                .post, "/api/v1/schedules/{id}/pause", .operate, "Stop a schedule's ticks",
                shape: .one("Schedule", body: "Reason", isBodyRequired: false), handler: pause),
            Route(
                .post, "/api/v1/schedules/{id}/resume", .operate, "Let a schedule's ticks come again",
                shape: .one("Schedule"), handler: resume),
        ]
    }

    private func create(_ request: APIRequest) async throws -> APIReply {
        let draft = try service.draft(request.fields())
        return try await exchange.commit(request) { transaction in
            let schedule = try service.create(draft, by: request.principal, in: transaction)
            return reply(schedule, schedule.json, status: 201)
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        return try await exchange.storage.read { transaction in
            let schedules = try service.schedules(page: page, in: transaction)
            let (items, next) = page.cut(schedules, cursor: \.name)
            return .list(items, next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { transaction in
            let (schedule, json) = try service.detail(request.parameter("id"), in: transaction)
            return reply(schedule, json)
        }
    }

    private func change(_ request: APIRequest) async throws -> APIReply {
        let edit = try service.edit(request.fields())
        return try await exchange.commit(request) { transaction in
            let schedule = try service.change(
                request.parameter("id"), edit, ifMatch: request.headers["if-match"], by: request.principal,
                in: transaction)
            return reply(schedule, schedule.json)
        }
    }

    private func delete(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            try service.delete(
                request.parameter("id"), ifMatch: request.headers["if-match"], by: request.principal, in: transaction)
            return .noContent
        }
    }

    private func run(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let (schedule, taskID) = try service.run(
                request.parameter("id"), by: request.principal, in: transaction)
            return .created(["taskId": .string(taskID), "schedule": schedule.json])
        }
    }

    private func pause(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: 1_000) ?? "no reason given"
        return try await setPause(request, reason: reason)
    }

    private func resume(_ request: APIRequest) async throws -> APIReply { try await setPause(request, reason: nil) }

    private func setPause(_ request: APIRequest, reason: String?) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let schedule = try service.setPause(
                request.parameter("id"), reason: reason, by: request.principal, in: transaction)
            return reply(schedule, schedule.json)
        }
    }

    private func reply(_ schedule: Schedule, _ json: JSONValue, status: Int = 200) -> APIReply {
        var reply = APIReply.json(json, status: status)
        reply.headers.append(("etag", schedule.etag))
        return reply
    }
}
