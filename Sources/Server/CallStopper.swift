import Gateway
import Kernel
import Synchronization

/// Stops the model calls of tasks and agents that were killed, on every replica: it follows the event log.
final class CallStopper: Sendable {
    /// A call is stopped within this and the time of a read.
    static let interval = Span.milliseconds(200)
    static let eventsMax = 500

    private let gateway: ModelGateway
    private let events: Events
    private let storage: any Storage
    /// The last event that was looked at; `nil` before the first look.
    private let seen = Mutex<Int64?>(nil)

    init(gateway: ModelGateway, events: Events, storage: any Storage) {
        self.gateway = gateway
        self.events = events
        self.storage = storage
    }

    var loops: [Loop] { [Loop("gateway.stops", every: Self.interval) { try await self.look() }] }

    func look() async throws {
        guard let last = seen.withLock({ $0 }) else {
            let last = try await storage.read { [events] in try events.store.lastSeq(in: $0) }
            // Nothing is told to a bus of what was before it: it would look as if it were behind.
            events.bus.learn(head: last)
            return seen.withLock { $0 = last }
        }
        // Other replicas' events are known once somebody has read of them; the read below finds them anyway.
        guard events.bus.head != last || gateway.hasCalls else { return }
        let batch: [Event]
        if let recent = events.bus.recent(after: last, limit: Self.eventsMax) {
            batch = recent
        } else {
            batch = try await storage.read { [events] in
                try events.store.list(after: last, limit: Self.eventsMax, in: $0)
            }
        }
        guard let end = batch.last?.seq else { return }
        for event in batch { stop(event) }
        seen.withLock { $0 = end }
    }

    private func stop(_ event: Event) {
        switch event.type {
        case "task.canceled", "task.cancel_requested":
            if let task = event.taskID { gateway.stopCalls(ofTask: task, "The task \(task) was canceled.") }
        case "task.reassigned":
            // Who had it works on it no more; calls of the next owner are others'.
            guard let task = event.taskID, let agent = event.agent,
                ["claimed", "running"].contains(event.data["from"]?.string ?? "")
            else { return }
            gateway.stopCalls(ofTask: task, by: agent, "The task \(task) was taken from its agent.")
        case "agent.quarantined", "agent.deleted":
            if let agent = event.agent {
                gateway.stopCalls(
                    ofAgent: agent, "The agent \"\(agent)\" was \(event.type.dropFirst("agent.".count)).")
            }
        default: break
        }
    }
}
