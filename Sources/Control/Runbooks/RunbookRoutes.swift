import Kernel

/// Runbooks and their runs over HTTP.
public struct RunbookRoutes: Sendable {
    let service: RunbookService
    let exchange: Exchange

    public init(service: RunbookService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        let ofIncident = "/api/v1/incidents/{id}"
        let run = "/api/v1/runs/{id}"
        return [
            Route(
                .get, "/api/v1/runbooks", .read, "List runbooks by name", shape: .list("Runbook"), handler: list),
            Route(.get, "/api/v1/runbooks/{name}", .read, "Show a runbook", shape: .one("Runbook"), handler: show),
            Route(
                .post, "\(ofIncident)/run", .operate, "Run a runbook on an incident",
                shape: .one("RunbookRun", body: "RunbookStart", isBodyRequired: false, success: 201), handler: start),
            Route(
                .get, "\(ofIncident)/runs", .operateOrView, "List runs of runbooks on an incident, the newest first",
                shape: .list("RunbookRun"), handler: runs),
            Route(.get, run, .operateOrView, "Show a run of a runbook", shape: .one("RunbookRun"), handler: showRun),
            Route(
                .post, "\(run)/stop", .operate, "Stop a run; what it did stays until it is taken back",
                shape: .one("RunbookRun", body: "ContainmentRefusal", isBodyRequired: false), handler: stop),
            Route(
                .post, "\(run)/checks/{number}", .operate, "Tick an item of a run",
                shape: .one("RunbookRun", body: "RunbookTick", isBodyRequired: false), handler: tick),
        ]
    }

    private func list(_ request: APIRequest) throws -> APIReply {
        let page = try request.page()
        let behind = service.library.runbooks.drop { runbook in page.after.map { runbook.name <= $0 } ?? false }
        let (items, next) = page.cut(Array(behind), cursor: \.name)
        return .list(items, next: next)
    }

    private func show(_ request: APIRequest) throws -> APIReply {
        let name = request.parameter("name")
        guard let runbook = service.library.runbook(name) else { throw Problem.notFound("runbook", name) }
        return .json(runbook.json)
    }

    private func start(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        try fields.refuseOthers(than: ["runbook", "approve"])
        let name = try fields.optionalString("runbook", max: 100)
        let approves = try fields.optionalBool("approve") ?? false
        return try await exchange.commit(request) { [service] transaction in
            let (run, isNew) = try service.start(
                name, on: request.parameter("id"), approves: approves, by: request.principal, in: transaction)
            return .json(run.json, status: isNew ? 201 : 200)
        }
    }

    private func runs(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let found = try await exchange.storage.read { [service] transaction in
            let incident = try service.containments.incident(request.parameter("id"), in: transaction)
            return try service.store.runs(of: incident.id.text, page: page, in: transaction)
        }
        let (items, next) = page.cut(found) { $0.id.text }
        return .list(items, next: next)
    }

    private func showRun(_ request: APIRequest) async throws -> APIReply {
        .json(try await exchange.storage.read { try service.run(request.parameter("id"), in: $0).json })
    }

    private func stop(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: 1_000)
        return try await exchange.commit(request) { [service] transaction in
            .json(
                try service.stop(
                    request.parameter("id"), reason: reason, by: request.principal, in: transaction
                ).json)
        }
    }

    private func tick(_ request: APIRequest) async throws -> APIReply {
        let note = try request.optionalFields().optionalString("note", max: 1_000)
        guard let number = Int(request.parameter("number")) else {
            throw Problem.notFound("item", request.parameter("number"))
        }
        return try await exchange.commit(request) { [service] transaction in
            .json(
                try service.tick(
                    number, of: request.parameter("id"), note: note, by: request.principal, in: transaction
                ).json)
        }
    }
}

/// The JSON Schemas of runbooks and runs.
public enum RunbookShapes {
    private typealias Parts = ContainmentShapes
    private static let question = Parts.object([
        "title": Parts.text, "kind": Parts.words(Runbook.Question.Kind.self), "text": Parts.text,
        "expect": Parts.optionalText,
    ])
    private static let runbook = Parts.object([
        "name": Parts.text, "title": Parts.text, "alerts": Parts.list(Parts.text), "mode": Parts.optionalText,
        "summary": Parts.text, "shipped": Parts.flag, "file": Parts.text, "diagnosis": Parts.list(question),
        "actions": Parts.list(["type": "object"]), "stops": Parts.list(question), "verify": Parts.list(question),
        "verifyAfterSeconds": Parts.count, "verifyWithinSeconds": Parts.count, "checks": Parts.list(Parts.text),
        "url": Parts.text,
    ])
    private static let step = Parts.object([
        "number": Parts.count, "kind": Parts.words(RunbookStep.Kind.self), "title": Parts.text,
        "state": Parts.words(RunbookStep.State.self), "evidence": ["type": "object"],
        "containment": Parts.optionalText, "actor": Parts.optionalText, "startedAt": Parts.optionalTime,
        "endedAt": Parts.optionalTime, "dueAt": Parts.optionalTime,
    ])
    private static let run = Parts.object([
        "id": Parts.text, "incident": Parts.text, "runbook": Parts.text, "state": Parts.words(RunbookRun.State.self),
        "reason": Parts.text, "startedBy": Parts.text, "approves": Parts.flag, "startedAt": Parts.time,
        "endedAt": Parts.optionalTime, "about": Parts.list(Parts.text), "steps": Parts.list(step),
    ])

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Runbook", runbook), ("RunbookRun", run),
        ("RunbookStart", Parts.object(["runbook": Parts.text, "approve": Parts.flag], required: [])),
        ("RunbookTick", Parts.object(["note": Parts.text], required: [])),
    ]
}
