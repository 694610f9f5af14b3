import Kernel
import Synchronization

/// What incidents do by themselves: timelines, milestones, reminders, traces, metrics.
public struct IncidentLoops: Sendable {
    /// What is done once.
    private final class Start: Sendable {
        private let state = Mutex(false)

        var isOver: Bool { state.withLock { $0 } }
        func end() { state.withLock { $0 = true } }
    }

    static let sweepInterval = Span.seconds(1)

    let service: IncidentService
    let timelines: IncidentTimelines
    let traces: IncidentTraces?
    let meters: IncidentMeters
    let storage: any Storage

    public init(
        service: IncidentService, timelines: IncidentTimelines, traces: IncidentTraces?, meters: IncidentMeters,
        storage: any Storage
    ) {
        (self.service, self.timelines, self.traces) = (service, timelines, traces)
        (self.meters, self.storage) = (meters, storage)
    }

    public var loops: [Loop] {
        let start = Start()
        var loops = [
            Loop("incidents.timelines", every: IncidentTimelines.interval) { try await timelines.follow() },
            Loop("incidents.sweep", every: Self.sweepInterval) {
                if !start.isOver {
                    try await storage.write { try service.arm(in: $0) }
                    start.end()
                }
                // A look costs no write where nothing is due.
                guard try await storage.read({ try service.hasWork(in: $0) }) else { return }
                try await storage.write { _ = try service.sweep(in: $0) }
            },
            Loop("incidents.metrics", every: IncidentMeters.interval) { try await meters.look(service, storage) },
            Loop("incidents.retention", every: IncidentRetention.interval) {
                try await IncidentRetention(service: service, storage: storage).forget()
            },
            Loop("incidents.review", every: IncidentMeters.reviewInterval) {
                try await meters.review(service, storage)
            },
        ]
        if let traces {
            loops.append(Loop("incidents.traces", every: IncidentTraces.interval) { try await traces.keep() })
        }
        return loops
    }
}
