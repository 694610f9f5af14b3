import Kernel

/// Model calls over HTTP: what they cost and how they were decided.
public struct CallRoutes: Sendable {
    let service: CallService
    let storage: any Storage

    public init(service: CallService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    private static let text: JSONValue = ["type": "string"]
    private static let filters: [(name: String, schema: JSONValue, summary: String)] = [
        ("agent", text, "Only calls of this agent"), ("project", text, "Only calls of this project"),
        ("task", text, "Only calls made for this task, by its id"),
        ("session", text, "Only calls of this session"), ("model", text, "Only this model, as callers name it"),
        ("tag", text, "Only calls with this tag"),
        ("correlationId", text, "Only calls that belong to this correlation id"),
        ("status", text, "`running`, `done`, `failed`, `canceled`; several with commas"),
        ("since", ["type": "string"], "Only calls that began then or later, such as 2026-11-20T08:15:30Z"),
        ("until", ["type": "string"], "Only calls that began before then"),
    ]

    public var routes: [Route] {
        let call = "/api/v1/calls/{id}"
        return [
            Route(
                .get, "/api/v1/calls", .read, "List model calls, the newest first",
                shape: .list("Call", query: Self.filters), handler: list),
            Route(.get, call, .read, "Show a model call", shape: .one("Call"), handler: show),
            Route(
                .get, "\(call)/explain", .read, "Why did it go there, and what became of it?",
                shape: .one("CallExplanation"), handler: explain),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let filter = try Self.filter(request)
        try Self.check(cursor: page.after)
        let running = service.running(filter, after: page.after)
        return try await storage.read { transaction in
            let found = try service.list(filter, page: page, running: running, in: transaction)
            let (items, next) = page.cut(found) { $0.id.text }
            return .list(items, next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let call = try await call(request)
        var object = call.json.object ?? JSONObject()
        object.append("otel", CallAttributes.attributes(of: call))
        return .json(.object(object))
    }

    private func explain(_ request: APIRequest) async throws -> APIReply {
        .json(CallExplanation(try await call(request)).json)
    }

    /// An agent's key sees its own agent's calls alone: others are not there.
    private func call(_ request: APIRequest) async throws -> Call {
        try await service.call(request.parameter("id"), agent: request.principal.agent, storage: storage)
    }

    // MARK: What the address asks for

    static func filter(_ request: APIRequest) throws -> CallFilter {
        func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        var filter = CallFilter()
        filter.agent = try agent(request)
        filter.project = value("project")
        filter.taskID = value("task")
        filter.session = value("session")
        filter.model = value("model")
        filter.tag = value("tag")
        filter.correlationID = value("correlationId")
        filter.statuses = try (request.queryList("status") ?? []).map { word in
            guard let status = Call.Status(rawValue: word) else {
                let words = Call.Status.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("status", "\"\(word.prefix(40))\" is none of: \(words)")
            }
            return status
        }
        filter.since = try request.queryTime("since")
        filter.until = try request.queryTime("until")
        return filter
    }

    /// The agent that is asked for. An agent's key sees its own agent alone.
    static func agent(_ request: APIRequest) throws -> String? {
        let named = request.queryValue("agent").flatMap { $0.isEmpty ? nil : $0 }
        guard let own = request.principal.agent else { return named }
        guard named == nil || named == own else {
            throw Problem(
                .forbidden, "This key belongs to the agent \"\(own)\" and sees that agent's calls alone.",
                hint: "Leave `agent` out, or use a viewer key.", field: "agent")
        }
        return own
    }

    static func check(cursor: String?) throws {
        guard let cursor, Identifier<Call>(cursor) == nil else { return }
        throw Problem.invalid("after", "it is no cursor of this list", hint: "Use the `next` of a page.")
    }
}

extension APIRequest {
    /// A time of the address; `nil` where it is absent or empty.
    func queryTime(_ name: String) throws -> Timestamp? {
        guard let text = queryValue(name), !text.isEmpty else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw Problem.invalid(name, "a time such as 2026-11-20T08:15:30Z is expected")
        }
        return time
    }
}
