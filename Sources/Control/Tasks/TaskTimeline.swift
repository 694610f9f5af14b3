import Kernel
import Telemetry

/// Tasks and what was made for them in a timeline.
public struct TaskTimeline: TimelineSource {
    /// Tasks of one correlation id that are shown.
    static let tasksMax = 1_000

    let service: TaskService
    let storage: any Storage

    public init(service: TaskService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public func traces(of correlationID: String) async throws -> [TraceID] {
        try await storage.read { try tasks(of: correlationID, in: $0).map(\.place.traceID) }
    }

    private func tasks(of correlationID: String, in transaction: Transaction) throws -> [AgentTask] {
        let ids = try service.store.ids(ofCorrelation: correlationID, limit: Self.tasksMax, in: transaction)
        return try service.store.tasks(ids, in: transaction)
    }

    public func items(_ question: TimelineQuestion) async throws -> [TimelineItem] {
        try await storage.read { transaction in
            let tasks = try tasks(of: question.correlationID, in: transaction)
            let traces = Dictionary(uniqueKeysWithValues: tasks.map { ($0.id, $0.place.traceID.description) })
            let created = tasks.map { task in
                TimelineItem(
                    .task, task.id.text, at: task.createdAt, task.title, agent: task.owner ?? task.pinnedAgent,
                    traceID: traces[task.id])
            }
            let made = try service.deliverables.all(of: tasks.map(\.id), limit: Self.deliverablesMax, in: transaction)
            let sealed = made.map { one in
                TimelineItem(
                    .deliverable, one.id.text, at: one.createdAt, "\(one.name), revision \(one.revision)",
                    agent: one.agent, traceID: traces[one.taskID])
            }
            return question.part(created + sealed)
        }
    }

    static let deliverablesMax = 10_000
}

/// Changes of tasks, and whatever else was said under the correlation id.
public struct EventTimeline: TimelineSource {
    /// Of these the thing itself stands in the timeline.
    private static let told: Set<String> = ["task.created", "task.deliverable_sealed"]

    let events: Events
    let tasks: any CorrelatedTasks
    let storage: any Storage

    public init(events: Events, tasks: any CorrelatedTasks, storage: any Storage) {
        self.events = events
        self.tasks = tasks
        self.storage = storage
    }

    public func items(_ question: TimelineQuestion) async throws -> [TimelineItem] {
        let start = question.start(of: .event)
        let found = try await storage.read { transaction in
            var filter = EventFilter()
            filter.correlationID = question.correlationID
            filter.tasks = try tasks.ids(
                ofCorrelation: question.correlationID, limit: TaskTimeline.tasksMax, in: transaction)
            return try events.store.list(
                from: start.time, after: Int64(start.order) ?? 0, limit: question.limit, filter: filter,
                exceptTypes: Self.told.sorted(), in: transaction)
        }
        return found.map { event in
            TimelineItem(
                .event, String(event.seq), at: event.at, event.type, agent: event.agent,
                order: String(repeating: "0", count: max(0, 19 - String(event.seq).count)) + String(event.seq))
        }
    }
}
