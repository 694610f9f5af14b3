import Kernel

/// Budgets over HTTP. `{scope}` is `org`, or `project:NAME`, `agent:NAME`, `task:ID`, `session:ID`, `key:ID` or
/// `tag:NAME`.
public struct BudgetRoutes: Sendable {
    let service: BudgetService
    let exchange: Exchange

    public init(service: BudgetService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/budgets", .read, "List budgets by scope, with what is settled, held and left",
                shape: .list("Budget"), handler: list),
            Route(
                .get, "/api/v1/budgets/{scope}", .read, "Show a scope's budget, with what is settled, held and left",
                shape: .one("Budget"), handler: show),
            Route(
                .put, "/api/v1/budgets/{scope}", .operate, "Set a scope's budget; takes If-Match",
                shape: .one("Budget", body: "BudgetDraft"), handler: put),
            Route(
                .delete, "/api/v1/budgets/{scope}", .operate, "Remove a scope's budget; takes If-Match",
                shape: RouteShape(success: 204), handler: remove),
        ]
    }

    private func scope(_ request: APIRequest) throws -> BudgetScope {
        try BudgetScope(request.parameter("scope"), path: "scope", limits: request.limits)
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let views = try await service.views(page: page, storage: exchange.storage)
        let (items, next) = page.cut(views, cursor: { $0.budget.scope.description })
        return .list(items, next: next)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        reply(try await service.view(scope(request), storage: exchange.storage))
    }

    private func put(_ request: APIRequest) async throws -> APIReply {
        let scope = try scope(request)
        let draft = try BudgetDraft(request.fields())
        let ifMatch = request.headers["if-match"]
        _ = try await exchange.storage.write { transaction in
            try service.put(scope, draft, ifMatch: ifMatch, by: request.principal, in: transaction)
        }
        return reply(try await service.view(scope, storage: exchange.storage))
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        let scope = try scope(request)
        return try await exchange.commit(request) { transaction in
            try service.remove(
                scope, ifMatch: request.headers["if-match"], by: request.principal, in: transaction)
            return .noContent
        }
    }

    private func reply(_ view: BudgetView) -> APIReply {
        var reply = APIReply.json(view.json)
        reply.headers.append(("etag", view.budget.etag))
        return reply
    }
}
