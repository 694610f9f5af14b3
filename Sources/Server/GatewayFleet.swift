import Control
import Gateway
import Kernel
import Synchronization

/// Which project an agent belongs to, as the gateway asks for each call: from memory, and anew after ``span``.
final class FleetProjects: AgentProjects {
    /// How long an answer holds; so late a move to another project is seen.
    static let span = Span.seconds(10)
    static let agentsMax = 20_000

    private struct Known {
        let project: String
        let until: Timestamp
    }

    private let agents: AgentService
    private let storage: any Storage
    private let world: World
    private let known = Mutex<[String: Known]>([:])

    init(agents: AgentService, storage: any Storage, world: World) {
        self.agents = agents
        self.storage = storage
        self.world = world
    }

    func known(_ agent: String) -> String? {
        let now = world.now
        return known.withLock { $0[agent].flatMap { $0.until > now ? $0.project : nil } }
    }

    func find(_ agent: String) async -> String {
        let found = try? await storage.read { try self.agents.agent(named: agent, in: $0)?.project }
        let project = (found ?? nil) ?? Agent.projectDefault
        let until = world.now + Self.span
        known.withLock { known in
            if known.count >= Self.agentsMax { known = [:] }
            known[agent] = Known(project: project, until: until)
        }
        return project
    }
}

/// What agents hold by live claims, as the gateway asks for each call that names no task: a snapshot that follows the
/// event log. What this process did itself it knows at once, what other replicas did within a second.
final class FleetTasks: AgentTasks {
    static let interval = Span.milliseconds(200)
    static let eventsMax = 500
    /// Rounds of events that one call looks at, at most.
    static let roundsMax = EventBus.ringMax / eventsMax
    /// Claims that are known; those beyond it have their calls booked on no task.
    static let claimsMax = 100_000
    private static let leased: Set<String> = ["claimed", "running"]

    private struct State {
        /// The last event that was looked at; `nil` before the first look.
        var seen: Int64?
        var owners: [String: String] = [:]
        var tasks: [String: Set<String>] = [:]
        /// What the tasks ask for that ask for something.
        var models: [String: String] = [:]
        /// Where their calls belong.
        var traces: [String: TaskTrace] = [:]
        /// Which version of its agent's bundle each runs with that is in a roll-out.
        var bundles: [String: String] = [:]

        mutating func set(_ task: String, to agent: String?, model: String?, trace: TaskTrace?, bundle: String?) {
            models[task] = agent == nil ? nil : model ?? models[task]
            traces[task] = agent == nil ? nil : trace ?? traces[task]
            bundles[task] = agent == nil ? nil : bundle ?? bundles[task]
            if let owner = owners[task] {
                guard owner != agent else { return }
                owners[task] = nil
                tasks[owner]?.remove(task)
                if tasks[owner]?.isEmpty == true { tasks[owner] = nil }
            }
            guard let agent, owners.count < claimsMax else {
                models[task] = nil
                traces[task] = nil
                bundles[task] = nil
                return
            }
            owners[task] = agent
            tasks[agent, default: []].insert(task)
        }

        mutating func follow(_ batch: [Event]) {
            for event in batch {
                seen = event.seq
                // Events that agents send are about their own matters.
                guard let task = event.taskID, event.taskSeq != nil, let state = event.data["to"]?.string else {
                    continue
                }
                let trace = event.data["traceparent"]?.string.map {
                    TaskTrace(traceparent: $0, correlationID: event.correlationID)
                }
                set(
                    task, to: leased.contains(state) ? event.agent : nil, model: event.data["model"]?.string,
                    trace: trace, bundle: event.data["bundle"]?.string)
            }
        }
    }

    private let service: TaskService
    private let events: Events
    private let storage: any Storage
    private let state = Mutex(State())

    init(tasks: TaskService, events: Events, storage: any Storage) {
        service = tasks
        self.events = events
        self.storage = storage
    }

    func wish(of task: String) -> TaskWish {
        state.withLock { state in
            catchUp(&state)
            guard state.owners[task] != nil else { return .unknown }
            return state.models[task].map(TaskWish.model) ?? .nothing
        }
    }

    func trace(of task: String, by agent: String?) -> TaskTrace? {
        state.withLock { state in
            catchUp(&state)
            return agent != nil && state.owners[task] == agent ? state.traces[task] : nil
        }
    }

    func bundle(of task: String, by agent: String?) -> String? {
        state.withLock { state in
            catchUp(&state)
            return agent != nil && state.owners[task] == agent ? state.bundles[task] : nil
        }
    }

    /// Takes in what this process did itself.
    private func catchUp(_ state: inout State) {
        for _ in 0..<Self.roundsMax {
            guard let seen = state.seen, events.bus.head > seen,
                let batch = events.bus.recent(after: seen, limit: Self.eventsMax), !batch.isEmpty
            else { return }
            state.follow(batch)
        }
    }

    func held(by agent: String) -> String? {
        state.withLock { state in
            catchUp(&state)
            guard let held = state.tasks[agent], held.count == 1 else { return nil }
            return held.first
        }
    }

    var loops: [Loop] { [Loop("gateway.tasks", every: Self.interval) { try await self.look() }] }

    /// Follows the log to its end, from the store where this process does not have it at hand.
    func look() async throws {
        guard state.withLock({ $0.seen }) != nil else { return try await begin() }
        while let seen = state.withLock({ $0.seen }), events.bus.head > seen {
            let batch =
                if let recent = events.bus.recent(after: seen, limit: Self.eventsMax), !recent.isEmpty {
                    recent
                } else {
                    try await storage.read { [events] in
                        try events.store.list(after: seen, limit: Self.eventsMax, in: $0)
                    }
                }
            guard !batch.isEmpty else { return }
            // A call may have looked meanwhile, and further.
            state.withLock { state in if state.seen == seen { state.follow(batch) } }
        }
    }

    private func begin() async throws {
        let (last, held) = try await storage.read { [events, service] in
            (try events.store.lastSeq(in: $0), try service.leased(limit: Self.claimsMax, in: $0))
        }
        state.withLock { state in
            guard state.seen == nil else { return }
            for held in held {
                let trace = held.traceparent.map { TaskTrace(traceparent: $0, correlationID: held.correlationID) }
                state.set(held.task, to: held.agent, model: held.model, trace: trace, bundle: held.bundle)
            }
            state.seen = last
        }
    }
}

/// The tightest budget of an agent, for its heartbeats.
struct FleetBudgets: AgentBudgets {
    let book: BudgetBook
    let world: World

    func standing(of agent: String, project: String) -> JSONValue? {
        let scopes = [BudgetScope.org, BudgetScope(.project, project), BudgetScope(.agent, agent)]
        return book.standing(scopes, at: world.now).max { $0.fraction < $1.fraction }?.json
    }
}
