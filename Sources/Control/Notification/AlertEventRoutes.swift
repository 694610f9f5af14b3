import Kernel

/// PagerDuty's Events API v2, so that what sends events there may send them here (developer.pagerduty.com, "Send an
/// Alert Event").
public struct AlertEventRoutes: Sendable {
    /// What PagerDuty takes.
    static let bodyBytesMax = 512 << 10

    let service: AlertEventService
    let access: AccessService
    let storage: any Storage

    public init(service: AlertEventService, access: AccessService, storage: any Storage) {
        (self.service, self.access, self.storage) = (service, access, storage)
    }

    public var routes: [Route] {
        var shape = RouteShape(
            body: RouteShape.ref("AlertEventDraft"), success: 202, reply: RouteShape.ref("AlertEventReply"))
        shape.isBodyRequired = true
        var change = shape
        change.body = RouteShape.ref("ChangeEventDraft")
        change.reply = RouteShape.ref("ChangeEventReply")
        return [
            // The key is in the body.
            Route(
                .post, "/v2/enqueue", .open, "Take in an event as PagerDuty does; its routing key is an ingest key",
                shape: shape, bodyBytesMax: Self.bodyBytesMax, refusal: { problem, _ in Self.refusal(problem) },
                handler: take),
            Route(
                .post, "/v2/change/enqueue", .open,
                "Take in a change as PagerDuty does: it stands in incidents' timelines",
                shape: change, bodyBytesMax: Self.bodyBytesMax, refusal: { problem, _ in Self.refusal(problem) },
                handler: takeChange),
        ]
    }

    private static func refusal(_ problem: Problem) -> APIReply {
        let status = problem.code.status == 422 ? 400 : problem.code.status
        var reply = APIReply.json(
            [
                "status": .string(status == 400 ? "invalid event" : problem.code.name),
                "message": .string(status == 400 ? "Event object is invalid" : problem.code.title),
                "errors": [.string(problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)")],
            ], status: status)
        if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
        return reply
    }

    private func take(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let principal = try await principal(fields, request)
        let event = try AlertEvent(fields)
        let source = "events:\(principal.keyID)"
        let key = try await storage.write { [service] transaction in
            try service.take(event, from: source, by: principal, in: transaction)
        }
        return .json(
            ["status": "success", "message": "Event processed", "dedup_key": .string(key)], status: 202)
    }

    private func takeChange(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let principal = try await principal(fields, request)
        let change = try ChangeEvent(fields)
        try await storage.write { [service] transaction in
            try service.take(change, by: principal, in: transaction)
        }
        return .json(["status": "success", "message": "Change event processed"], status: 202)
    }

    /// Whose key came, as `routing_key` or as a bearer's.
    private func principal(_ fields: Fields, _ request: APIRequest) async throws -> Principal {
        let bearer = request.headers["authorization"].flatMap { text -> String? in
            text.lowercased().hasPrefix("bearer ") ? String(text.dropFirst("bearer ".count)) : nil
        }
        try access.checkLogins(from: request.remoteAddress)
        guard let key = try bearer ?? fields.optionalString("routing_key", max: 500),
            let principal = try await access.authenticate(key: key)
        else {
            access.noteFailedLogin(from: request.remoteAddress)
            throw Problem(
                .unauthenticated, "The routing key is none of Reeve's.",
                hint: "Make one with `reeve keys create --role ingest`, and send it as routing_key.")
        }
        guard Permission.tell.admits(principal.role) else {
            throw Problem(.forbidden, "A key with the role \"\(principal.role.rawValue)\" may not send events.")
        }
        return principal
    }

    private static let text: JSONValue = ["type": "string"]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "AlertEventDraft",
            [
                "type": "object", "required": ["routing_key", "event_action"],
                "properties": [
                    "routing_key": text,
                    "event_action": ["type": "string", "enum": ["trigger", "acknowledge", "resolve"]],
                    "dedup_key": ["type": "string", "maxLength": .int(Int64(AlertEvent.dedupKeyMax))],
                    "client": text, "client_url": text,
                    "payload": [
                        "type": "object", "required": ["summary", "source", "severity"],
                        "properties": [
                            "summary": text, "source": text,
                            "severity": ["type": "string", "enum": ["critical", "error", "warning", "info"]],
                            "timestamp": text, "component": text, "group": text, "class": text,
                        ],
                    ],
                ],
            ]
        ),
        (
            "ChangeEventDraft",
            [
                "type": "object", "required": ["routing_key", "payload"],
                "properties": [
                    "routing_key": text,
                    "payload": [
                        "type": "object", "required": ["summary"],
                        "properties": [
                            "summary": text, "source": text, "timestamp": text, "custom_details": ["type": "object"],
                        ],
                    ],
                    "links": [
                        "type": "array", "maxItems": .int(Int64(ChangeEvent.linksMax)),
                        "items": ["type": "object", "properties": ["href": text, "text": text]],
                    ],
                ],
            ]
        ),
        (
            "ChangeEventReply",
            [
                "type": "object", "required": ["status", "message"],
                "properties": ["status": text, "message": text],
            ]
        ),
        (
            "AlertEventReply",
            [
                "type": "object", "required": ["status", "message", "dedup_key"],
                "properties": ["status": text, "message": text, "dedup_key": text],
            ]
        ),
    ]
}
