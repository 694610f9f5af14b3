import Control
import Kernel
import TestSupport

/// The real services on a real store, with time and chance in the test's hand.
struct TaskFixture {
    let time = ManualTime()
    let world: World
    let storage: any Storage
    let tasks: TaskService
    let queues: QueueService
    let agents: AgentService
    let events: Events

    static let migrations =
        IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations + AgentSchema.migrations
        + QueueSchema.migrations + TaskSchema.migrations

    static let operatorKey = Principal(keyID: "key_operator", name: "olga", role: .operator_)
    static let reviewerKey = Principal(keyID: "key_reviewer", name: "rita", role: .operator_)

    static func agentKey(_ name: String) -> Principal {
        Principal(keyID: "key_\(name)", name: name, role: .agent, agent: name)
    }

    init(
        storage: any Storage, seed: UInt64 = 1, policy: TaskPolicy = TaskPolicy(), models: (any TaskModels)? = nil,
        spans: TaskSpans? = nil
    ) {
        self.storage = storage
        world = .test(seed: seed, time: time)
        events = Events(world: world)
        let store = TaskStore()
        let audit = AuditService(world: world)
        let wakeups = Wakeups()
        agents = AgentService(world: world, events: events, audit: audit, workload: store)
        queues = QueueService(events: events, audit: audit, models: models, wakeups: wakeups, world: world)
        tasks = TaskService(
            store: store, queues: queues, agents: agents, audit: audit, models: models, spans: spans,
            events: events, wakeups: wakeups,
            policy: policy, limits: Limits(), world: world)
    }

    static func on(
        _ engine: TestEngine, policy: TaskPolicy = TaskPolicy(), _ body: (TaskFixture) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: migrations) { storage in
            try await body(TaskFixture(storage: storage, policy: policy))
        }
    }

    // MARK: Verbs, each in a transaction of its own

    func create(_ json: JSONValue = [:]) async throws -> AgentTask {
        let draft = try TaskDraft(Fields(json.object ?? JSONObject(), limits: Limits()), policy: TaskPolicy())
        return try await storage.write { [tasks] in
            try tasks.create(draft, by: Self.operatorKey, from: .nobody, in: $0).task
        }
    }

    func graph(_ items: [JSONValue]) async throws -> [AgentTask] {
        let drafts = try items.enumerated().map { index, item in
            try TaskDraft(
                Fields(item.object ?? JSONObject(), limits: Limits(), path: "tasks/\(index)"), policy: TaskPolicy())
        }
        return try await storage.write { [tasks] in
            try tasks.createGraph(drafts, by: Self.operatorKey, from: .nobody, in: $0)
        }
    }

    func claim(_ agent: String = "alpha", queues names: [String] = ["default"], limit: Int = 1) async throws
        -> [AgentTask]
    {
        try await storage.write { [tasks] in
            try tasks.claim(queues: names, limit: limit, agent: agent, by: Self.agentKey(agent), in: $0).map(\.task)
        }
    }

    func claimOne(_ agent: String = "alpha") async throws -> AgentTask {
        guard let task = try await claim(agent).first else { throw Problem.notFound("ready task", agent) }
        return task
    }

    func beat(_ task: AgentTask, _ agent: String = "alpha", _ beat: TaskBeat = TaskBeat()) async throws -> AgentTask {
        try await storage.write { [tasks] in
            try tasks.beat(task.id.text, fence: task.fence, beat, by: Self.agentKey(agent), in: $0).task
        }
    }

    func complete(_ task: AgentTask, _ agent: String = "alpha", output: JSONValue = .null) async throws -> AgentTask {
        try await storage.write { [tasks] in
            try tasks.complete(task.id.text, fence: task.fence, output: output, by: Self.agentKey(agent), in: $0).task
        }
    }

    func fail(
        _ task: AgentTask, _ failure: FailureClass = .retryable, _ agent: String = "alpha"
    ) async throws -> AgentTask {
        try await storage.write { [tasks] in
            try tasks.fail(
                task.id.text, fence: task.fence, failure, message: "no luck", delay: nil, by: Self.agentKey(agent),
                in: $0)
        }
    }

    func change(_ body: @escaping @Sendable (TaskService, Transaction) throws -> AgentTask) async throws -> AgentTask {
        try await storage.write { [tasks] in try body(tasks, $0) }
    }

    func task(_ id: TaskID) async throws -> AgentTask {
        try await storage.read { [tasks] in try tasks.task(id.text, in: $0) }
    }

    /// Lets time pass and sweeps until nothing is due.
    func pass(_ span: Span) async throws {
        time.advance(by: span)
        while try await storage.write({ [tasks] in try tasks.sweep(in: $0) }) > 0 {}
    }

    /// The events of a task, by type.
    func history(_ id: TaskID) async throws -> [String] {
        try await storage.read { transaction in
            try EventStore().list(after: 0, limit: 1_000, filter: EventFilter(taskID: id.text), in: transaction).map(
                \.type)
        }
    }
}

/// The problem's code that `body` throws; `nil` where it throws none.
func code(_ body: () async throws -> some Any) async -> String? {
    do {
        _ = try await body()
        return nil
    } catch let problem as Problem {
        return problem.code.name
    } catch {
        return "\(error)"
    }
}
