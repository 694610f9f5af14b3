import Control
import Kernel

/// What load balancers and supervisors ask.
struct HealthRoutes: Sendable {
    let events: Events
    let storage: any Storage

    var routes: [Route] {
        let shape = RouteShape(reply: ["type": "object", "properties": ["status": ["type": "string"]]])
        return [
            Route(.get, "/health", .open, "Whether the process is alive", shape: shape) { _ in
                .json(["status": "ok"])
            },
            Route(.get, "/ready", .open, "Whether the store answers", shape: shape, handler: ready),
        ]
    }

    private func ready(_ request: APIRequest) async throws -> APIReply {
        do {
            _ = try await storage.read { try events.store.lastSeq(in: $0) }
            return .json(["status": "ready"])
        } catch {
            throw Problem(
                .storageUnavailable, "The store does not answer, so Reeve cannot serve.",
                hint: "Reeve goes on by itself once the store is back.", retryAfterSeconds: 1, cause: error)
        }
    }
}
