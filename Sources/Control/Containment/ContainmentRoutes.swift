import Kernel

/// Containments over HTTP.
public struct ContainmentRoutes: Sendable {
    let service: ContainmentService
    let exchange: Exchange

    public init(service: ContainmentService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        let (ofIncident, one) = ("/api/v1/incidents/{id}/containments", "/api/v1/containments/{id}")
        let preview = "Show what an action, or a containment as it is proposed, would touch now"
        return [
            Route(
                .get, ofIncident, .operateOrView,
                "List what is proposed and done against an incident, the newest first",
                shape: .list("Containment"), handler: list),
            Route(
                .post, ofIncident, .operate, "Propose an action against an incident, or act at once",
                shape: .one("Containment", body: "ContainmentDraft", success: 201), handler: propose),
            Route(
                .post, "\(ofIncident)/preview", .operate, preview,
                shape: .one("ContainmentPreview", body: "ContainmentDraft"), handler: previewOrder),
            Route(
                .get, "/api/v1/containments", .operateOrView,
                "List what is in force, of all incidents, the newest first",
                shape: .list("Containment"), handler: held),
            Route(.get, one, .operateOrView, "Show a containment", shape: .one("Containment"), handler: show),
            Route(
                .get, "\(one)/preview", .operateOrView, preview, shape: .one("ContainmentPreview"),
                handler: previewOne),
            Route(
                .post, "\(one)/approve", .operate, "Let a proposed containment act",
                shape: .one("Containment"), handler: approve),
            Route(
                .post, "\(one)/refuse", .operate, "Refuse a proposed containment",
                shape: .one("Containment", body: "ContainmentRefusal", isBodyRequired: false), handler: refuse),
            Route(
                .post, "\(one)/reverse", .operate, "Take back what a containment did",
                shape: .one("Containment"), handler: reverse),
        ]
    }

    // MARK: Of an incident

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let found = try await exchange.storage.read { [service] transaction in
            let incident = try service.incident(request.parameter("id"), in: transaction)
            return try service.containments(of: incident.id.text, in: transaction)
        }
        let behind = found.reversed().drop { containment in page.after.map { containment.id.text >= $0 } ?? false }
        let (items, next) = page.cut(Array(behind)) { $0.id.text }
        return .list(items, next: next)
    }

    private func order(_ request: APIRequest, others: [String] = []) throws -> ContainmentOrder {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["action", "parameters"] + others)
        return try ContainmentOrder(fields, limits: request.limits)
    }

    private func propose(_ request: APIRequest) async throws -> APIReply {
        let order = try order(request, others: ["approve"])
        let acts = try request.fields().optionalBool("approve") ?? false
        return try await exchange.commit(request) { [service] transaction in
            let containment = try service.propose(
                order, for: request.parameter("id"), acts: acts, by: request.principal, in: transaction)
            return .created(containment.json)
        }
    }

    private func previewOrder(_ request: APIRequest) async throws -> APIReply {
        let order = try order(request, others: ["approve"])
        return .json(
            try await exchange.storage.read { [service] transaction in
                _ = try service.incident(request.parameter("id"), in: transaction)
                return try service.preview([order], in: transaction)
            })
    }

    // MARK: Of all incidents

    private func held(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let found = try await exchange.storage.read { [service] in try service.held(page, in: $0) }
        let (items, next) = page.cut(found) { $0.id.text }
        return .list(items, next: next)
    }

    // MARK: One

    private func show(_ request: APIRequest) async throws -> APIReply {
        .json(try await exchange.storage.read { try service.containment(request.parameter("id"), in: $0).json })
    }

    private func previewOne(_ request: APIRequest) async throws -> APIReply {
        .json(
            try await exchange.storage.read { [service] transaction in
                let containment = try service.containment(request.parameter("id"), in: transaction)
                return try service.preview(containment.steps.map(\.order), in: transaction)
            })
    }

    private func approve(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { [service] transaction in
            .json(try service.approve(request.parameter("id"), by: request.principal, in: transaction).json)
        }
    }

    private func refuse(_ request: APIRequest) async throws -> APIReply {
        let reason = try request.optionalFields().optionalString("reason", max: 1_000)
        return try await exchange.commit(request) { [service] transaction in
            .json(
                try service.refuse(
                    request.parameter("id"), reason: reason, by: request.principal, in: transaction
                ).json)
        }
    }

    private func reverse(_ request: APIRequest) async throws -> APIReply {
        try await exchange.commit(request) { [service] transaction in
            .json(try service.reverse(request.parameter("id"), by: request.principal, in: transaction).json)
        }
    }
}
