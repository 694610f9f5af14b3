import Kernel
import Telemetry

/// Labels of traces, legal holds and erasures over HTTP.
public struct RetentionRoutes: Sendable {
    let service: RetentionService
    let erasures: ErasureService
    let traces: any TraceReading
    let exchange: Exchange

    public init(
        service: RetentionService, erasures: ErasureService, traces: any TraceReading, exchange: Exchange
    ) {
        self.service = service
        self.erasures = erasures
        self.traces = traces
        self.exchange = exchange
    }

    public var routes: [Route] {
        let label = "/api/v1/traces/{id}/labels/{label}"
        let (holds, orders) = ("/api/v1/telemetry/holds", "/api/v1/telemetry/erasures")
        return [
            Route(
                .put, label, .operate, "Label a trace, which is kept longer then", shape: .one("TraceLabels"),
                handler: put),
            Route(
                .delete, label, .operate, "Remove a label of a trace", shape: RouteShape(success: 204),
                handler: remove),
            Route(
                .get, holds, .operate, "List legal holds, the newest first, with those that were lifted",
                shape: .list("LegalHold"), handler: list),
            Route(
                .post, holds, .operate, "Put a legal hold on records",
                shape: .one("LegalHold", body: "LegalHoldDraft", success: 201), handler: hold),
            Route(
                .delete, "\(holds)/{id}", .operate, "Lift a legal hold", shape: .one("LegalHold"), handler: lift),
            Route(
                .get, orders, .administer, "List erasures, the newest first", shape: .list("Erasure"),
                handler: listErasures),
            Route(
                .get, "\(orders)/{id}", .administer, "Show an erasure: how far it is, or what it found and removed",
                shape: .one("Erasure"), handler: showErasure),
            Route(
                .post, orders, .administer, "Erase a subject's records, or look for them",
                shape: .one("Erasure", body: "ErasureDraft", success: 202), handler: erase),
        ]
    }

    // MARK: Labels

    private func trace(_ request: APIRequest) throws -> TraceID {
        guard let id = TraceID(request.parameter("id")) else {
            throw Problem.notFound("trace", request.parameter("id"))
        }
        return id
    }

    private func put(_ request: APIRequest) async throws -> APIReply {
        let id = try trace(request)
        let label = request.parameter("label")
        let heads = try await traces.trace(id)
        guard !heads.isEmpty else { throw Problem.notFound("trace", id.description) }
        let correlation = heads.lazy.compactMap(\.correlationID).first
        return try await exchange.commit(request) { transaction in
            try service.label(id, label, correlationID: correlation, by: request.principal, in: transaction)
            let labels = try service.labels(of: id, in: transaction).map(\.label)
            return .json(["traceId": .string(id.description), "labels": .list(labels)])
        }
    }

    private func remove(_ request: APIRequest) async throws -> APIReply {
        let id = try trace(request)
        return try await exchange.commit(request) { transaction in
            try service.unlabel(id, request.parameter("label"), by: request.principal, in: transaction)
            return .noContent
        }
    }

    // MARK: Holds

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let holds = try await exchange.storage.read { try service.holds.list(page: page, in: $0) }
        let (items, next) = page.cut(holds) { $0.id.text }
        return .list(items, next: next)
    }

    private func hold(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let target = try TelemetryHold.Target(fields)
        let reason = try fields.string("reason", max: LegalHold.reasonMax)
        return try await exchange.commit(request) { transaction in
            let hold = try service.hold(target, reason: reason, by: request.principal, in: transaction)
            return .json(hold.json, status: 201)
        }
    }

    private func lift(_ request: APIRequest) async throws -> APIReply {
        guard let id = Identifier<LegalHold>(request.parameter("id")) else {
            throw Problem.notFound("hold", request.parameter("id"))
        }
        return try await exchange.commit(request) { transaction in
            .json(try service.lift(id, by: request.principal, in: transaction).json)
        }
    }

    // MARK: Erasures

    private func listErasures(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let (items, next) = page.cut(try await erasures.list(page: page)) { $0.id.text }
        return .list(items, next: next)
    }

    private func showErasure(_ request: APIRequest) async throws -> APIReply {
        guard let id = Identifier<Erasure>(request.parameter("id")), let erasure = try await erasures.erasure(id) else {
            throw Problem.notFound("erasure", request.parameter("id"))
        }
        return .json(erasure.json)
    }

    /// Not kept under its `Idempotency-Key`, which would keep a digest of the body that tells of the subject: the same
    /// order again finds nothing left.
    private func erase(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["subject", "text", "dryRun", "reason"])
        let subject = SubjectMatch(
            try SubjectMatch.checked(try fields.string("subject", max: 1_000)),
            isAnywhere: try fields.optionalBool("text") ?? false)
        let erasure = try await erasures.order(
            subject, isDryRun: try fields.optionalBool("dryRun") ?? false,
            reason: try fields.optionalString("reason", max: Erasure.reasonMax), by: request.principal)
        return .json(erasure.json, status: 202)
    }
}
