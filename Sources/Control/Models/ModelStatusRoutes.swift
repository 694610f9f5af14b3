import Kernel

/// Models and their targets over HTTP.
public struct ModelStatusRoutes: Sendable {
    let live: any LiveModels
    let events: Events
    let audit: AuditService
    let exchange: Exchange

    public init(live: any LiveModels, events: Events, audit: AuditService, exchange: Exchange) {
        self.live = live
        self.events = events
        self.audit = audit
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/models", .read, "List models with their targets, breakers, limits and prices",
                shape: .list("Model"), handler: list),
            Route(.get, "/api/v1/models/{name}", .read, "Show a model", shape: .one("Model"), handler: show),
            Route(
                .post, "/api/v1/models/{name}/reset", .operate, "Close the breakers of a model's targets, or of one",
                shape: .one("Model", body: "BreakerReset", isBodyRequired: false), handler: reset),
        ]
    }

    private func list(_ request: APIRequest) throws -> APIReply {
        let page = try request.page()
        let models = live.models()
        var first = 0
        if let after = page.after {
            guard let place = models.firstIndex(where: { $0.name == after }) else {
                throw Problem.invalid("after", "it is no cursor of this list", hint: "Use the `next` of a page.")
            }
            first = place + 1
        }
        let (items, next) = page.cut(Array(models.dropFirst(first)), cursor: \.name)
        return .list(items, next: next)
    }

    private func show(_ request: APIRequest) throws -> APIReply { .json(try model(request).json) }

    private func model(_ request: APIRequest) throws -> ModelStatus {
        let name = request.parameter("name")
        guard let model = live.models().first(where: { $0.name == name }) else { throw Problem.notFound("model", name) }
        return model
    }

    private func reset(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let fields = try request.optionalFields()
        let target = try fields.optionalString("target", max: 500)
        let model = try model(request)
        if let target, !model.targets.contains(where: { $0.name == target }) {
            let names = model.targets.map(\.name).joined(separator: ", ")
            throw Problem.invalid("target", "the model \"\(model.name)\" has no such target; it has \(names)")
        }
        return try await exchange.commit(request) { transaction in
            try audit.record(
                "model.breaker_reset", by: request.principal, target: "model:\(model.name)",
                detail: ["target": .of(target)], in: transaction)
            var data = JSONObject([.init(name: "model", value: .string(model.name))])
            if let target { data.append("target", .string(target)) }
            try events.append(
                EventDraft("model.breaker_reset", actor: request.principal.actor, data: .object(data)), in: transaction)
            let live = live
            transaction.afterCommit { _ = live.reset(model: model.name, target: target) }
            return model.name
        } reply: { name in
            live.models().first { $0.name == name }.map { .json($0.json) } ?? .noContent
        }
    }
}
