import Control
import Kernel
import Telemetry

/// What load balancers and supervisors ask.
struct HealthRoutes: Sendable {
    let events: Events
    let storage: any Storage
    let spans: TelemetryIngest?

    var routes: [Route] {
        let shape = RouteShape(
            reply: [
                "type": "object",
                "properties": [
                    "status": ["type": "string"],
                    "telemetry": ["type": "string", "enum": ["ready", "waiting"]],
                ],
            ])
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
            // Without its store telemetry is still taken in: that is no reason to send senders elsewhere.
            return .json(["status": "ready", "telemetry": spans?.storeFault == nil ? "ready" : "waiting"])
        } catch {
            throw Problem(
                .storageUnavailable, "The store does not answer, so Reeve cannot serve.",
                hint: "Reeve goes on by itself once the store is back.", retryAfterSeconds: 1, cause: error)
        }
    }
}
