import Kernel

/// Runs that are held, over HTTP: what they are held for, and how a person lets them go on.
public struct RunHoldRoutes: Sendable {
    let holds: any RunHolds
    let events: Events
    let audit: AuditService
    let exchange: Exchange

    public init(holds: any RunHolds, events: Events, audit: AuditService, exchange: Exchange) {
        self.holds = holds
        self.events = events
        self.audit = audit
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/loops", .read, "List the runs whose model calls are held because they went in circles",
                shape: RouteShape(
                    reply: [
                        "type": "object", "required": ["items", "next"],
                        "properties": ["items": ["type": "array", "items": ["type": "object"]], "next": [:]],
                    ]), handler: list),
            Route(
                .post, "/api/v1/loops/{id}/release", .operate, "Let a run go on that is held",
                shape: RouteShape(reply: ["type": "object"]), handler: release),
        ]
    }

    private func list(_ request: APIRequest) -> APIReply {
        .list(holds.heldNow().sorted { $0.id < $1.id }.map(\.json), next: nil)
    }

    private func release(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        guard let hold = holds.heldNow().first(where: { $0.id == id }) else { throw Problem.notFound("held run", id) }
        return try await exchange.commit(request) { transaction in
            try events.append(
                EventDraft(
                    "model.loop_released", actor: request.principal.actor, agent: hold.agent, taskID: hold.task,
                    data: hold.json), in: transaction)
            try audit.record(
                "model.loop_released", by: request.principal, target: "run:\(id)", detail: hold.json, in: transaction)
            transaction.afterCommit { _ = holds.letGo(id) }
            return .json(hold.json)
        }
    }
}
