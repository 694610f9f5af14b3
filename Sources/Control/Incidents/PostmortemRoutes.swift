import Kernel

/// Postmortems and their action items over HTTP.
struct PostmortemRoutes: Sendable {
    private static let markdown = "text/markdown"

    let service: IncidentService
    let exchange: Exchange

    var routes: [Route] {
        let one = "\(IncidentRoutes.path)/{id}"
        let text: JSONValue = ["type": "string"]
        var put = RouteShape(body: text, reply: text, contentType: Self.markdown)
        put.bodyType = Self.markdown
        return [
            Route(
                .get, "\(one)/postmortem", .operateOrView, "An incident's postmortem as Markdown, or its draft",
                shape: RouteShape(reply: text, contentType: Self.markdown), handler: show),
            Route(
                .put, "\(one)/postmortem", .operate, "Edit a postmortem", shape: put,
                bodyBytesMax: Postmortem.documentMax * 2, handler: write),
            Route(
                .post, "\(one)/postmortem/waive", .operate, "Say that no postmortem is needed",
                shape: .one("Incident", body: "IncidentWaiver"), handler: waive),
            Route(
                .get, "\(one)/actions", .operateOrView, "What is to be done after an incident",
                shape: .list("ActionItem"), handler: list),
            Route(
                .post, "\(one)/actions", .operate, "Add something to be done",
                shape: .one("ActionItem", body: "ActionItemDraft", success: 201), handler: add),
            Route(
                .patch, "\(one)/actions/{number}", .operate, "Change something to be done, or say that it is",
                shape: .one("ActionItem", body: "ActionItemEdit"), handler: edit),
        ]
    }

    private func reply(_ id: String, in transaction: Transaction) throws -> APIReply {
        let (text, postmortem) = try service.document(try service.known(id, in: transaction), in: transaction)
        return APIReply(
            status: 200, headers: [("content-type", "\(Self.markdown); charset=utf-8"), ("etag", postmortem.etag)],
            body: .bytes(Array(text.utf8)))
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { try reply(request.parameter("id"), in: $0) }
    }

    /// The document itself, or JSON with it as `document`, as the page sends it.
    private func write(_ request: APIRequest) async throws -> APIReply {
        let document: String
        if request.headers["content-type"]?.hasPrefix("application/json") == true {
            document = try request.fields().string("document", max: Postmortem.documentMax)
        } else {
            guard let text = String(validating: request.body, as: UTF8.self) else {
                throw Problem.invalid("document", "it is no UTF-8")
            }
            document = text
        }
        let (id, ifMatch) = (request.parameter("id"), request.headers["if-match"])
        return try await exchange.commit(request) { transaction in
            _ = try service.write(document, of: id, ifMatch: ifMatch, by: request.principal, in: transaction)
            return try reply(id, in: transaction)
        }
    }

    private func waive(_ request: APIRequest) async throws -> APIReply {
        let why = try request.fields().string("reason", max: 1_000)
        guard !why.allSatisfy(\.isWhitespace) else { throw Problem.invalid("reason", "it is empty") }
        return try await exchange.commit(request) { transaction in
            IncidentRoutes.reply(
                try service.waive(request.parameter("id"), why: why, by: request.principal, in: transaction))
        }
    }

    // MARK: Action items

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let after = try page.sequenceCursor()
        let found = try await exchange.storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            return try service.postmortems.items(of: incident.id, in: transaction)
        }
        let (items, next) = page.cut(found.filter { $0.number > after }) { String($0.number) }
        return .list(items, next: next)
    }

    private func read(_ fields: Fields) throws -> IncidentService.ActionEdit {
        var edit = IncidentService.ActionEdit()
        edit.summary = try text("summary", fields, max: ActionItem.summaryMax)
        edit.owner = try fields.optionalName("owner")
        edit.state = try fields.optionalChoice("state", ActionItem.State.self)
        if let day = try fields.optionalString("dueOn", max: 10) {
            guard day.isEmpty || Self.isDay(day) else {
                throw Problem.invalid("dueOn", "a day such as 2026-11-30 is expected")
            }
            edit.dueOn = day
        }
        return edit
    }

    private func text(_ name: String, _ fields: Fields, max: Int) throws -> String? {
        guard let text = try fields.optionalString(name, max: max) else { return nil }
        guard !text.allSatisfy(\.isWhitespace) else { throw Problem.invalid(name, "it is empty") }
        return text
    }

    static func isDay(_ text: String) -> Bool {
        text.utf8.count == 10 && Timestamp(rfc3339: "\(text)T00:00:00Z") != nil
    }

    private func add(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["summary", "owner", "dueOn", "proposal"])
        var draft = try read(fields)
        draft.proposal = try fields.optionalString("proposal", max: ActionItem.summaryMax)
        let edit = draft
        guard edit.summary != nil else { throw Problem.invalid("summary", "it is missing") }
        guard edit.owner != nil else { throw Problem.invalid("owner", "it is missing") }
        return try await exchange.commit(request) { transaction in
            .created(
                try service.addAction(edit, to: request.parameter("id"), by: request.principal, in: transaction).json)
        }
    }

    private func edit(_ request: APIRequest) async throws -> APIReply {
        guard let number = Int64(request.parameter("number")) else {
            throw Problem.notFound("action item", request.parameter("number"))
        }
        let fields = try request.fields()
        try fields.refuseOthers(than: ["summary", "owner", "dueOn", "state"])
        let edit = try read(fields)
        return try await exchange.commit(request) { transaction in
            .json(
                try service.editAction(
                    number, edit, of: request.parameter("id"), by: request.principal, in: transaction
                ).json)
        }
    }
}
