import Kernel
import Synchronization

/// Drills over HTTP.
public struct DrillRoutes: Sendable {
    let service: DrillService
    let exchange: Exchange

    public init(service: DrillService, exchange: Exchange) {
        self.service = service
        self.exchange = exchange
    }

    public var routes: [Route] {
        let path = "/api/v1/drills"
        return [
            Route(
                .get, path, .operateOrView, "List drills, the newest first", shape: .list("Drill"), handler: list),
            Route(
                .post, path, .operate, "Begin a drill: rules tightened to seconds look for its fault until it ends",
                shape: .one("Drill", body: "DrillDraft", success: 201), handler: start),
            Route(.get, "\(path)/{id}", .operateOrView, "Show a drill", shape: .one("Drill"), handler: show),
            Route(
                .post, "\(path)/{id}/mend", .operate, "Let the model of drills be asked again",
                shape: .one("Drill", isBodyRequired: false), handler: mend),
            Route(
                .post, "\(path)/{id}/end", .operate, "End a drill, and remove its agents, tasks and keys",
                shape: .one("Drill", isBodyRequired: false), handler: end),
        ]
    }

    public var loops: [Loop] {
        let swept = Swept()
        return [
            Loop("drills.sweep", every: .seconds(1)) { [service, exchange] in
                let last = swept.at.withLock { $0 }
                guard try await exchange.storage.read({ try service.needsSweep(after: last, in: $0) }) else { return }
                try await exchange.storage.write { try service.sweep(in: $0) }
                swept.at.withLock { $0 = service.world.now }
            }
        ]
    }

    /// When the loop last did something.
    private final class Swept: Sendable {
        let at = Mutex<Timestamp?>(nil)
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let drills = try await exchange.storage.read { [service] in try service.list(page: page, in: $0) }
        let (items, next) = page.cut(drills) { $0.id.text }
        return .list(items, next: next)
    }

    private func start(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["name"])
        let kind = try fields.choice("name", Drill.Kind.self)
        return try await exchange.commit(request) { [service] transaction in
            .json(try service.start(kind, by: request.principal, in: transaction).json, status: 201)
        }
    }

    private func id(_ request: APIRequest) throws -> Identifier<Drill> {
        guard let id = Identifier<Drill>(request.parameter("id")) else {
            throw Problem.notFound("drill", request.parameter("id"))
        }
        return id
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let id = try id(request)
        guard let drill = try await exchange.storage.read({ [service] in try service.drill(id, in: $0) }) else {
            throw Problem.notFound("drill", id.text)
        }
        return .json(drill.json)
    }

    private func mend(_ request: APIRequest) async throws -> APIReply {
        let id = try id(request)
        return try await exchange.commit(request) { [service] transaction in
            .json(try service.mend(id, in: transaction).json)
        }
    }

    private func end(_ request: APIRequest) async throws -> APIReply {
        let id = try id(request)
        return try await exchange.commit(request) { [service] transaction in
            .json(try service.end(id, by: request.principal, in: transaction).json)
        }
    }
}
