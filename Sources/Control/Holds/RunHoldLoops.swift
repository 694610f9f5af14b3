import Kernel

/// Tells of new holds as events, beside the calls that met them.
public struct RunHoldLoops: Sendable {
    static let interval = Span.milliseconds(250)

    let holds: any RunHolds
    let events: Events
    let storage: any Storage

    public init(holds: any RunHolds, events: Events, storage: any Storage) {
        self.holds = holds
        self.events = events
        self.storage = storage
    }

    public var loops: [Loop] { [Loop("gateway.holds", every: Self.interval) { try await tell() }] }

    func tell() async throws {
        let new = holds.newHolds()
        guard !new.isEmpty else { return }
        try await storage.write { transaction in
            for hold in new {
                try events.append(
                    EventDraft(
                        "model.loop_detected", actor: Principal.system.actor, agent: hold.agent, taskID: hold.task,
                        data: hold.json), in: transaction)
            }
        }
    }
}
