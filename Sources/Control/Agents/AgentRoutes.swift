import Kernel

/// The agents' registry over HTTP.
public struct AgentRoutes: Sendable {
    let service: AgentService
    let exchange: Exchange

    public init(service: AgentService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        registryRoutes + AgentDirective.allCases.map(directiveRoute) + [
            Route(
                .post, "/api/v1/agents/{name}/messages", .operate, "Leaves a message for an agent's next heartbeat",
                shape: .one("AgentMessage", body: "AgentMessageDraft", success: 201), handler: send)
        ]
    }

    private var registryRoutes: [Route] {
        [
            Route(
                .post, "/api/v1/agents", .operate, "Registers an agent before it comes",
                shape: .one("Agent", body: "AgentDraft", success: 201), handler: register),
            Route(
                .get, "/api/v1/agents", .read, "Lists agents by name",
                shape: .list(
                    "Agent",
                    query: [
                        ("project", ["type": "string"], "Of one project"),
                        ("status", ["type": "string"], "Of these statuses, comma-separated"),
                    ]),
                handler: list),
            Route(.get, "/api/v1/agents/{name}", .read, "Shows an agent", shape: .one("Agent"), handler: show),
            Route(
                .patch, "/api/v1/agents/{name}", .operate, "Changes an agent's entry; takes If-Match",
                shape: .one("Agent", body: "AgentChange"), handler: edit),
            Route(
                .delete, "/api/v1/agents/{name}", .operate, "Removes an agent that holds no task",
                shape: RouteShape(success: 204), handler: delete),
        ]
    }

    private func directiveRoute(_ directive: AgentDirective) -> Route {
        Route(
            .post, "/api/v1/agents/{name}/\(directive.rawValue)", .operate, directive.summary,
            shape: .one("Agent", body: "Reason", isBodyRequired: false)
        ) { request in
            let reason = try request.optionalFields()
                .optionalString("reason", max: AgentPolicy.reasonCharactersMax)
            return try await exchange.commit(request) { transaction in
                Self.reply(
                    try service.direct(
                        directive, request.parameter("name"), reason: reason, by: request.principal, in: transaction))
            }
        }
    }

    // MARK: Handlers

    private func register(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        var draft = AgentDraft(
            name: try fields.name("name"), project: try fields.optionalName("project") ?? Agent.projectDefault)
        draft.labels = try AgentLabels.read(fields) ?? [:]
        draft.capabilities = try fields.optionalNames("capabilities", max: AgentPolicy.capabilitiesMax) ?? []
        draft.healthURL = try Self.healthURL(fields)
        draft.release = try fields.optionalString("release", max: AgentPolicy.versionCharactersMax)
        draft.configDesired = try fields.optionalString("desiredConfigVersion", max: AgentPolicy.versionCharactersMax)
        return try await exchange.commit(request) { [draft] transaction in
            let (view, isNew) = try service.register(draft, by: request.principal, in: transaction)
            return Self.reply(view, status: isNew ? 201 : 200)
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        var filter = AgentFilter(project: request.queryValue("project").flatMap { $0.isEmpty ? nil : $0 })
        filter.statuses = try request.queryList("status").flatMap { $0.isEmpty ? nil : $0 }?.map { word in
            guard let status = AgentStatus(rawValue: word) else {
                let words = AgentStatus.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("status", "\"\(word.prefix(40))\" is none of: \(words)")
            }
            return status
        }
        return try await exchange.storage.read { [filter] transaction in
            let (items, next) = try service.list(filter, page: page, in: transaction)
            return .list(items, next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let name = request.parameter("name")
        return Self.reply(try await exchange.storage.read { try service.view(name, in: $0) })
    }

    private func edit(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        var edit = AgentEdit()
        edit.project = try fields.optionalName("project")
        edit.labels = try AgentLabels.read(fields)
        edit.capabilities = try fields.optionalNames("capabilities", max: AgentPolicy.capabilitiesMax)
        if fields.object["healthURL"] != nil { edit.healthURL = .some(try Self.healthURL(fields)) }
        if fields.object["release"] != nil {
            edit.release = .some(try fields.optionalString("release", max: AgentPolicy.versionCharactersMax))
        }
        if fields.object["desiredConfigVersion"] != nil {
            edit.configDesired = .some(
                try fields.optionalString("desiredConfigVersion", max: AgentPolicy.versionCharactersMax))
        }
        return try await exchange.commit(request) { [edit] transaction in
            Self.reply(
                try service.edit(
                    request.parameter("name"), edit, ifMatch: request.headers["if-match"], by: request.principal,
                    in: transaction))
        }
    }

    private func delete(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            try service.delete(
                request.parameter("name"), ifMatch: request.headers["if-match"], by: request.principal,
                in: transaction)
            return .noContent
        }
    }

    private func send(_ request: APIRequest) async throws -> APIReply {
        let text = try request.fields().string("text", max: AgentPolicy.messageCharactersMax)
        guard !text.isEmpty else { throw Problem.invalid("text", "it is empty") }
        return try await exchange.commit(request) { transaction in
            .created(
                try service.send(text, to: request.parameter("name"), by: request.principal, in: transaction).json)
        }
    }

    // MARK: Wire

    private static func healthURL(_ fields: Fields) throws -> String? {
        guard let text = try fields.optionalString("healthURL", max: .max) else { return nil }
        return try HealthURL.checked(text, field: fields.path("healthURL"))
    }

    private static func reply(_ view: AgentView, status: Int = 200) -> APIReply {
        var reply = APIReply.json(view.json, status: status)
        reply.headers.append(("etag", view.agent.etag))
        return reply
    }
}

extension AgentDirective {
    /// One line for the reference.
    var summary: String {
        switch self {
        case .pause: "Hands an agent no new work until it is resumed"
        case .resume: "Takes back a pause and a drain"
        case .drain: "Lets an agent finish what it has, and hands it nothing new"
        case .quarantine: "Sets an agent apart until it is released"
        case .releaseQuarantine: "Lets an agent out of quarantine"
        }
    }
}
