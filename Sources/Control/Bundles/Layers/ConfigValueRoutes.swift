import Kernel

/// Effective values over HTTP: read by all who may look and by each agent its own, set by operators.
public struct ConfigValueRoutes: Sendable {
    let service: ConfigValueService
    let exchange: Exchange

    public init(service: ConfigValueService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        let path = "/api/v1/agents/{name}/config/values"
        let user: (name: String, schema: JSONValue, summary: String) = (
            "user", ["type": "string"], "With what holds for this user"
        )
        let session: (name: String, schema: JSONValue, summary: String) = (
            "session", ["type": "string"], "With what this session keeps of pinned flags; it keeps nothing by asking"
        )
        return [
            Route(
                .get, path, .read, "Every key of an agent's configuration with the value that holds, and why",
                shape: .list(of: RouteShape.ref("EffectiveValue"), query: [user, session]), handler: list),
            Route(
                .get, "\(path)/{key}", .read, "The value that holds for a key, and why",
                shape: .one("EffectiveValue", query: [user, session]), handler: explain),
            Route(
                .put, "\(path)/{key}", .operate, "Sets a key for the agent or for one of its users; takes If-Match",
                shape: .one("EffectiveValue", body: "ConfigValueDraft"), handler: set),
            Route(
                .delete, "\(path)/{key}", .operate,
                "Takes back what was set for the agent or for one of its users; takes If-Match",
                shape: .one(
                    "EffectiveValue",
                    query: [("layer", ["type": "string", "enum": ["environment", "user"]], "Whose"), user]),
                handler: remove),
        ]
    }

    static func user(_ text: String?) throws -> String? { try name(text, "user") }

    private static func name(_ text: String?, _ field: String) throws -> String? {
        guard let text else { return nil }
        guard !text.isEmpty, text.unicodeScalars.count <= ConfigValueService.userCharactersMax else {
            throw Problem.invalid(field, "1 to \(ConfigValueService.userCharactersMax) characters are expected")
        }
        return text
    }

    private static func layer(_ text: String?) throws -> ConfigLayer {
        guard let layer = text.flatMap({ ConfigLayer(rawValue: $0) }) else {
            throw Problem.invalid("layer", "environment or user is expected")
        }
        return layer
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let name = try BundleRoutes.agent(request)
        let (user, page) = (try Self.user(request.queryValue("user")), try request.page())
        let base = try await service.base(name, exchange.storage)
        let session = try Self.name(request.queryValue("session"), "session")
        let values = try await exchange.storage.read {
            try service.all(base, user: user, session: session, in: $0)
        }
        let rest = values.drop { value in page.after.map { value.rule.key <= $0 } ?? false }
        let (items, next) = page.cut(Array(rest.prefix(page.limit + 1)), cursor: \.rule.key)
        return .list(items, next: next)
    }

    private func explain(_ request: APIRequest) async throws -> APIReply {
        let name = try BundleRoutes.agent(request)
        let user = try Self.user(request.queryValue("user"))
        let session = try Self.name(request.queryValue("session"), "session")
        let base = try await service.base(name, exchange.storage)
        let value = try await exchange.storage.read {
            try service.explain(request.parameter("key"), base, user: user, session: session, in: $0)
        }
        // Nothing is set for a session, so there is nothing that its answer's tag could guard.
        return session == nil ? Self.reply(value) : .json(value.json)
    }

    private static func reply(_ value: EffectiveValue) -> APIReply {
        var reply = APIReply.json(value.json)
        reply.headers.append(("etag", value.etag))
        return reply
    }

    private func set(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let layer = try Self.layer(fields.optionalString("layer", max: 20))
        let user = try Self.user(fields.optionalString("user", max: .max))
        guard let value = fields.value("value") else { throw Problem.invalid("value", "it is missing") }
        return try await change(request, fields, value, layer, user)
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        try await change(
            request, request.optionalFields(), nil, Self.layer(request.queryValue("layer")),
            Self.user(request.queryValue("user")))
    }

    private func change(
        _ request: APIRequest, _ fields: Fields, _ value: JSONValue?, _ layer: ConfigLayer, _ user: String?
    ) async throws -> APIReply {
        let reason = try fields.optionalString("reason", max: ConfigValueService.reasonMax)
        let base = try await service.base(request.parameter("name"), exchange.storage)
        return try await exchange.commit(request) { transaction in
            Self.reply(
                try service.set(
                    request.parameter("key"), value, in: layer, user: user, base, reason: reason,
                    ifMatch: request.headers["if-match"], by: request.principal, in: transaction))
        }
    }

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "EffectiveValue",
            [
                "type": "object", "required": ["key", "value", "layer", "rule", "layers"],
                "properties": [
                    "key": ["type": "string"], "value": [:], "layer": layers, "version": ["type": ["string", "null"]],
                    "author": ["type": ["string", "null"]], "flag": ["type": ["string", "null"]],
                    "variant": ["type": ["string", "null"]], "pinned": ["type": "boolean"], "rule": ["type": "string"],
                    "explanation": ["type": "string"],
                    "merge": ["type": "string", "enum": ["replace", "minimum"]],
                    "highest": layers,
                    "layers": [
                        "type": "array",
                        "items": ["type": "object", "properties": ["layer": layers, "value": [:]]],
                    ],
                ],
            ]
        ),
        (
            "ConfigValueDraft",
            [
                "type": "object", "required": ["layer", "value"],
                "properties": [
                    "layer": ["type": "string", "enum": ["environment", "user"]],
                    "user": ["type": ["string", "null"]], "value": [:],
                    "reason": ["type": "string", "maxLength": ConfigValueService.reasonMax.json],
                ],
            ]
        ),
    ]

    private static let layers: JSONValue = ["type": "string", "enum": .list(ConfigLayer.allCases.map(\.rawValue))]
}
