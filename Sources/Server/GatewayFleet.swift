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

    init(_ agents: AgentService, _ storage: any Storage, _ world: World) {
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
    /// Claims that are known; those beyond it have their calls booked on no task.
    static let claimsMax = 100_000
    private static let leased: Set<String> = ["claimed", "running"]

    private struct State {
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

        mutating func follow(_ event: Event) {
            // Events that agents send are about their own matters.
            guard let task = event.taskID, event.taskSeq != nil, let state = event.data["to"]?.string else { return }
            let trace = event.data["traceparent"]?.string.map {
                TaskTrace(traceparent: $0, correlationID: event.correlationID)
            }
            set(
                task, to: leased.contains(state) ? event.agent : nil, model: event.data["model"]?.string,
                trace: trace, bundle: event.data["bundle"]?.string)
        }
    }

    private let service: TaskService
    private let state: LogFollower<State>

    init(tasks: TaskService, events: Events, storage: any Storage) {
        service = tasks
        state = LogFollower(State(), events: events, storage: storage) { $0.follow($1) }
    }

    func wish(of task: String) -> TaskWish {
        state.withState { state in
            guard state.owners[task] != nil else { return .unknown }
            return state.models[task].map(TaskWish.model) ?? .nothing
        }
    }

    func trace(of task: String, by agent: String?) -> TaskTrace? {
        state.withState { state in
            agent != nil && state.owners[task] == agent ? state.traces[task] : nil
        }
    }

    func bundle(of task: String, by agent: String?) -> String? {
        state.withState { state in
            agent != nil && state.owners[task] == agent ? state.bundles[task] : nil
        }
    }

    func held(by agent: String) -> String? {
        state.withState { state in
            guard let held = state.tasks[agent], held.count == 1 else { return nil }
            return held.first
        }
    }

    var loops: [Loop] { [Loop("gateway.tasks", every: Self.interval) { try await self.look() }] }

    /// Follows the log to its end, from the store where this process does not have it at hand.
    func look() async throws {
        try await state.look { [service] transaction in
            let held = try service.leased(limit: Self.claimsMax, in: transaction)
            return { state in
                for held in held {
                    let trace = held.traceparent.map { TaskTrace(traceparent: $0, correlationID: held.correlationID) }
                    state.set(held.task, to: held.agent, model: held.model, trace: trace, bundle: held.bundle)
                }
            }
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
