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

/// The tightest budget of an agent, for its heartbeats.
struct FleetBudgets: AgentBudgets {
    let book: BudgetBook
    let world: World

    func standing(of agent: String, project: String) -> JSONValue? {
        let scopes = [BudgetScope.org, BudgetScope(.project, project), BudgetScope(.agent, agent)]
        return book.standing(scopes, at: world.now).max { $0.fraction < $1.fraction }?.json
    }
}
