import Kernel

/// Who is told of alerts, and what became of it, over HTTP.
public struct NotificationRoutes: Sendable {
    let service: NotificationService
    let audit: AuditService
    let exchange: Exchange

    public init(service: NotificationService, audit: AuditService, exchange: Exchange) {
        (self.service, self.audit, self.exchange) = (service, audit, exchange)
    }

    public var routes: [Route] {
        let receivers = "/api/v1/notifications/receivers"
        return [
            Route(
                .get, receivers, .operateOrView, "List the receivers of alerts, each with the last attempt to tell it",
                shape: .list("NotificationReceiver"), handler: list),
            Route(
                .post, "\(receivers)/{name}/test", .operate, "Tell a receiver of an alert that is none",
                shape: .one("NotificationDelivery"), handler: test),
            Route(
                .get, "/api/v1/notifications/deliveries", .operateOrView,
                "List attempts to tell receivers, the newest first",
                shape: .list(
                    "NotificationDelivery",
                    query: [("receiver", ["type": "string"], "Only those to this receiver")]), handler: deliveries),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (service, page) = (service, try request.page())
        let all = service.settings.receivers
        let behind = page.after.flatMap { name in all.firstIndex { $0.name == name } }
        let (receivers, next) = page.cut(Array(all.dropFirst(behind.map { $0 + 1 } ?? 0)), cursor: \.name)
        let items = try await exchange.storage.read { transaction in
            try receivers.map { receiver -> JSONValue in
                [
                    "name": .string(receiver.name), "kind": .string(receiver.kind.rawValue),
                    "host": .string(receiver.host), "allowPrivate": .bool(receiver.allowPrivate),
                    "sendResolved": .bool(receiver.sendResolved),
                    "last": .of(try service.store.last(of: receiver.name, in: transaction)),
                ]
            }
        }
        return .list(items, next: next)
    }

    private func test(_ request: APIRequest) async throws -> APIReply {
        let name = request.parameter("name")
        guard service.settings.receiver(name) != nil else { throw Problem.notFound("receiver", name) }
        try await exchange.storage.write { [audit] transaction in
            try audit.record(
                "receiver.tested", by: request.principal, target: "receiver:\(name)", in: transaction)
        }
        return .json(try await service.sendTest(to: name).json)
    }

    private func deliveries(_ request: APIRequest) async throws -> APIReply {
        let (page, receiver) = (try request.page(), request.queryValue("receiver"))
        let store = service.store
        let found = try await exchange.storage.read { try store.deliveries(of: receiver, page: page, in: $0) }
        let (items, next) = page.cut(found) { $0.id.text }
        return .list(items, next: next)
    }

    private static let text: JSONValue = ["type": "string"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "NotificationReceiver",
            [
                "type": "object", "required": ["name", "kind", "host", "allowPrivate", "sendResolved", "last"],
                "properties": [
                    "name": text, "kind": kind, "host": text, "allowPrivate": ["type": "boolean"],
                    "sendResolved": ["type": "boolean"],
                    "last": ["anyOf": [RouteShape.ref("NotificationDelivery"), ["type": "null"]]],
                ],
            ]
        ),
        (
            "NotificationDelivery",
            [
                "type": "object",
                "required": [
                    "id", "receiver", "kind", "group", "reason", "alerts", "state", "status", "attempt", "at",
                    "milliseconds", "answer",
                ],
                "properties": [
                    "id": text, "receiver": text, "kind": kind, "group": text, "reason": text, "alerts": count,
                    "state": ["type": "string", "enum": ["delivered", "failed", "refused"]],
                    "status": ["type": ["integer", "null"]], "attempt": count,
                    "at": ["type": "string", "format": "date-time"], "milliseconds": count, "answer": text,
                ],
            ]
        ),
    ]

    private static let kind: JSONValue = [
        "type": "string", "enum": .list(AlertReceiver.Kind.allCases.map(\.rawValue)),
    ]
}

extension AlertReceiver {
    /// Where it is, for people: no path, no secret.
    var host: String { url.map(ReceiverURL.host) ?? "" }
}
