import Kernel

/// The door for heartbeats and events: `POST /api/events/ingest`.
///
/// The body is JSON whatever its content type says: one object, an array of them, or `{"events":[…]}`.
public struct IngestRoutes: Sendable {
    let service: IngestService
    let exchange: Exchange

    public init(service: IngestService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/api/events/ingest", .ingest,
                "Sends a heartbeat or an event, or a batch of them; one heartbeat is answered with commands",
                shape: .one("IngestReply", body: "Ingest"), handler: ingest)
        ]
    }

    private func ingest(_ request: APIRequest) async throws -> APIReply {
        let document = try request.json()
        if let batch = try Self.batch(document, limits: request.limits) {
            return try await keep(batch, of: request)
        }
        let item = try read(document, of: request)
        return try await exchange.commit(request, urgency: .soon) { transaction in
            try service.keep(item, isAnswered: true, in: transaction)
        } reply: {
            .json($0?.json ?? Self.summary(accepted: 1, rejected: []))
        }
    }

    /// The items of a batch; `nil` for a single event.
    private static func batch(_ document: JSONValue, limits: Limits) throws -> [JSONValue]? {
        if let items = document.array {
            var object = JSONObject()
            object["events"] = .array(items)
            return try Fields(object, limits: limits).optionalArray("events", max: limits.batchItems)
        }
        guard let object = document.object, object["type"] == nil, object["events"] != nil else { return nil }
        return try Fields(object, limits: limits).optionalArray("events", max: limits.batchItems) ?? []
    }

    private func read(_ value: JSONValue, of request: APIRequest) throws -> IngestService.Item {
        try service.read(
            value, limits: request.limits, from: request.principal, correlationID: request.correlationID)
    }

    /// Keeps what is acceptable of a batch in one transaction, and says of the rest why it is not.
    private func keep(_ batch: [JSONValue], of request: APIRequest) async throws -> APIReply {
        var items: [(index: Int, item: IngestService.Item)] = []
        var unread: [Rejection] = []
        for (index, value) in batch.enumerated() {
            do {
                items.append((index, try read(value, of: request)))
            } catch let problem as Problem {
                unread.append(Rejection(index: index, problem: problem))
            }
        }
        return try await exchange.commit(request, urgency: .soon) { [items, unread] transaction in
            var rejected = unread
            for (index, item) in items {
                do {
                    _ = try transaction.part { try service.keep(item, isAnswered: false, in: transaction) }
                } catch let problem as Problem {
                    rejected.append(Rejection(index: index, problem: problem))
                }
            }
            rejected.sort { $0.index < $1.index }
            return .json(Self.summary(accepted: batch.count - rejected.count, rejected: rejected))
        }
    }

    private static func summary(accepted: Int, rejected: [Rejection]) -> JSONValue {
        ["accepted": accepted.json, "rejected": .list(rejected)]
    }
}

/// Why an item of a batch was not taken.
private struct Rejection: Sendable, JSONConvertible {
    let index: Int
    let problem: Problem

    var json: JSONValue {
        var object = JSONObject()
        object["index"] = index.json
        object["code"] = .string(problem.code.name)
        object["detail"] = .string(problem.detail)
        if !problem.hint.isEmpty { object["hint"] = .string(problem.hint) }
        if let field = problem.field { object["field"] = .string(field) }
        return .object(object)
    }
}
