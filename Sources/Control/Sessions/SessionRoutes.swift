import Kernel
import Telemetry

/// Sessions over HTTP.
public struct SessionRoutes: Sendable {
    let service: SessionService
    let world: World

    public init(service: SessionService, world: World) {
        (self.service, self.world) = (service, world)
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/sessions", .operateOrView, "List the latest sessions of agents",
                shape: SessionShapes.search, handler: list),
            Route(
                .get, "/api/v1/sessions/{id}", .operateOrView, "Show a session, step by step", shape: .one("Session"),
                handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let found = try await service.list(try SessionQuery(request, now: world.now))
        return .json(["items": .array(found.sessions.map(\.json)), "complete": .bool(found.isComplete)])
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        .json(try await service.session(request.parameter("id")).whole)
    }
}
