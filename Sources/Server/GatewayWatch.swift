import Control
import Gateway
import Kernel

/// Writes down when breakers open and close: one look a second at all of them, and never on the way of a call.
struct GatewayWatch: Sendable {
    static let interval = Span.seconds(1)

    let gateway: ModelGateway
    let events: Events
    let storage: any Storage

    /// Where the store fails, the same is told the next time.
    func look() async throws {
        try await gateway.tellBreakers { changes in
            try await storage.write { transaction in
                for change in changes {
                    let type = change.isOpen ? "model.breaker_opened" : "model.breaker_closed"
                    let draft = EventDraft(type, actor: Principal.system.actor, data: change.json)
                    try events.append(draft, in: transaction)
                }
            }
        }
    }

    var loops: [Loop] { [Loop("gateway.breakers", every: Self.interval) { try await look() }] }
}

extension BreakerChange: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        object.append("model", .string(model))
        object.append("target", .string(target))
        object.append("changedAt", .of(at))
        if isOpen {
            object.append("cause", .of(cause))
            object.append("lastFailure", .of(lastFailure))
            object.append("openUntil", .of(openUntil))
            object.append("openings", .int(Int64(openings)))
        }
        return .object(object)
    }
}
