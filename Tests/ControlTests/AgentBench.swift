import Foundation
import Kernel
import Synchronization
import TestSupport

@testable import Control

/// Says what a test wants agents to hold.
final class ScriptedWorkload: AgentWorkload {
    private let state = Mutex<[String: [AgentHolding]]>([:])

    func set(_ agent: String, leased: Int, waiting: Int = 0) {
        let holdings = (0..<leased + waiting).map { index in
            AgentHolding(
                id: "task_\(index)", title: "Task \(index)", state: index < leased ? "running" : "waiting",
                leaseExpiresAt: nil, isWaiting: index >= leased)
        }
        state.withLock { $0[agent] = holdings }
    }

    func currentTasks(of agent: String, in transaction: Transaction) throws -> [AgentHolding] {
        state.withLock { $0[agent] ?? [] }
    }

    func holdings(
        of agents: [String], in transaction: Transaction
    ) throws -> [String: (leased: Int, waiting: Int)] {
        state.withLock { state in
            var holdings: [String: (leased: Int, waiting: Int)] = [:]
            for agent in agents {
                guard let held = state[agent] else { continue }
                let waiting = held.count(where: \.isWaiting)
                holdings[agent] = (held.count - waiting, waiting)
            }
            return holdings
        }
    }

    func cancellations(of agent: String, in transaction: Transaction) throws -> [String] {
        state.withLock { $0[agent]?.filter { !$0.isWaiting }.map(\.id) ?? [] }
    }
}

/// Answers health polls as a test says, and remembers whom it asked.
final class ScriptedProbe: HealthProbe {
    private let state = Mutex<(outcomes: [String: HealthOutcome], asked: [String])>(([:], []))

    func set(_ url: String, _ outcome: HealthOutcome) { state.withLock { $0.outcomes[url] = outcome } }

    func takeAsked() -> [String] {
        state.withLock { state in
            defer { state.asked = [] }
            return state.asked.sorted()
        }
    }

    func probe(_ url: String, timeout: Span) async -> HealthOutcome {
        state.withLock { state in
            state.asked.append(url)
            return state.outcomes[url] ?? .failed("no answer")
        }
    }
}

/// Says what a test wants flags to say.
final class ScriptedFlags: FlagValues {
    private let state = Mutex<[String: ConfigLayerValue]>([:])

    func set(_ key: String, _ value: JSONValue) {
        state.withLock { $0[key] = ConfigLayerValue(.flag, value, version: "7", author: "bob", flag: "cheap-models") }
    }

    func value(of key: String, for subject: ConfigSubject, pins: [String: FlagPin]) -> ConfigLayerValue? {
        state.withLock { $0[key] }
    }
}

/// The agents' feature on a store of its own, called through its routes as the server calls it.
struct AgentBench: Sendable {
    static let migrations =
        IdempotencySchema.migrations + EventSchema.migrations + AuditSchema.migrations + AgentSchema.migrations
        + BundleSchema.migrations + BundleTrialSchema.migrations + ConfigValueSchema.migrations
        + QueueSchema.migrations + TaskSchema.migrations

    let storage: any Storage
    let time: ManualTime
    let world: World
    let events: Events
    let workload = ScriptedWorkload()
    let flags = ScriptedFlags()
    let probe = ScriptedProbe()
    let agents: AgentService
    let bundles: BundleService
    let tasks: TaskService
    let rollouts: BundleTrialService
    let routes: [Route]
    let policy: AgentPolicy

    init(storage: any Storage, time: ManualTime, world: World, policy: AgentPolicy) {
        self.storage = storage
        self.time = time
        self.world = world
        self.policy = policy
        events = Events(world: world)
        agents = AgentService(
            world: world, events: events, audit: AuditService(world: world), workload: workload, policy: policy)
        let exchange = Exchange(storage: storage, world: world)
        bundles = BundleService(
            agents: agents, lint: BundleLint(),
            blobs: DirectoryBlobs(root: "\(NSTemporaryDirectory())bundle-blobs"), events: events,
            audit: AuditService(world: world), world: world)
        let values = ConfigValueService(
            bundles: bundles, flags: flags, events: events, audit: AuditService(world: world), world: world)
        let wakeups = Wakeups()
        tasks = TaskService(
            store: TaskStore(),
            queues: QueueService(events: events, audit: AuditService(world: world), wakeups: wakeups, world: world),
            agents: agents, audit: AuditService(world: world), events: events, wakeups: wakeups, policy: TaskPolicy(),
            limits: Limits(), world: world)
        rollouts = BundleTrialService(
            bundles: bundles, tasks: TaskStore(), alerts: nil, events: events, audit: AuditService(world: world),
            world: world)
        routes =
            TaskWorkRoutes(service: tasks, exchange: exchange, wakeups: wakeups, world: world).routes
            + TaskRoutes(service: tasks, exchange: exchange).routes
            + BundleTrialRoutes(service: rollouts, exchange: exchange).routes
            + AgentRoutes(service: agents, exchange: exchange).routes
            + BundleRoutes(service: bundles, values: values, trials: rollouts, exchange: exchange).routes
            + ConfigValueRoutes(service: values, exchange: exchange).routes
            + IngestRoutes(service: IngestService(agents: agents, events: events), exchange: exchange).routes
    }

    static func run(
        _ engine: TestEngine, policy: AgentPolicy = AgentPolicy(), _ body: (AgentBench) async throws -> Void
    ) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        try await withStorage(engine, migrations: migrations, world: world) { storage in
            try await body(AgentBench(storage: storage, time: time, world: world, policy: policy))
        }
    }

    /// The same store under a Reeve that starts at this moment.
    func restarted() -> AgentBench {
        AgentBench(storage: storage, time: time, world: world, policy: policy)
    }

    static let operator_ = Principal(keyID: "key_1", name: "alice", role: .operator_)
    static let viewer = Principal(keyID: "key_2", name: "bob", role: .viewer)
    static let ingest = Principal(keyID: "key_3", name: "collector", role: .ingest)
    static func agent(_ name: String) -> Principal {
        Principal(keyID: "key_\(name)", name: name, role: .agent, agent: name)
    }

    /// Sends a request to the route that its path matches; a problem comes back as the server renders it.
    func call(
        _ method: APIRequest.Method, _ target: String, _ body: String = "", as principal: Principal = Self.operator_,
        headers: RequestHeaders = [:], limits: Limits = Limits()
    ) async throws -> Answer {
        let halves = target.split(separator: "?", maxSplits: 1).map(String.init)
        let parts = halves[0].split(separator: "/")
        for route in routes where route.method == method {
            let pattern = route.path.split(separator: "/")
            guard pattern.count == parts.count, zip(pattern, parts).allSatisfy({ $0.hasPrefix("{") || $0 == $1 }) else {
                continue
            }
            guard route.permission.admits(principal.role) else { return Answer(status: 403, body: .null, headers: [:]) }
            var parameters: [String: String] = [:]
            for (name, part) in zip(pattern, parts) where name.hasPrefix("{") {
                parameters[String(name.dropFirst().dropLast())] = String(part)
            }
            let query: [(name: String, value: String)] =
                halves.count < 2
                ? []
                : halves[1].split(separator: "&").map { pair in
                    let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
                    return (name: sides[0], value: sides.count > 1 ? sides[1] : "")
                }
            let request = APIRequest(
                method: method, route: route.path, path: halves[0], parameters: parameters, query: query,
                headers: headers, body: Array(body.utf8), principal: principal, requestID: "req", limits: limits)
            do {
                return Answer(try await route.handler(request))
            } catch let problem as Problem {
                return Answer(.problem(problem, requestID: "req"))
            }
        }
        return Answer(status: 404, body: .null, headers: [:])
    }

    /// Beats with an agent's own key.
    @discardableResult
    func beat(_ agent: String, _ members: String = "") async throws -> Answer {
        try await call(
            .post, "/api/events/ingest", #"{"type":"agent.heartbeat""# + (members.isEmpty ? "}" : ",\(members)}"),
            as: Self.agent(agent))
    }

    func show(_ agent: String) async throws -> JSONValue {
        try await call(.get, "/api/v1/agents/\(agent)").body
    }

    func status(_ agent: String) async throws -> String? { try await show(agent)["status"]?.string }

    /// The status as it stands in the table, for what the loop alone moves.
    func recordedStatus(_ agent: String) async throws -> AgentStatus? {
        try await storage.read { try agents.agent(named: agent, in: $0)?.status }
    }

    func allEvents() async throws -> [Event] {
        try await storage.read { try events.store.list(after: 0, limit: 100_000, in: $0) }
    }

    /// `type from>to` of every event, oldest first.
    func story() async throws -> [String] {
        try await allEvents().map { event in
            guard let from = event.data["from"]?.string, let to = event.data["to"]?.string else { return event.type }
            return "\(event.type) \(from)>\(to)"
        }
    }

    func auditRows() async throws -> [AuditEntry] {
        try await storage.read { try AuditService(world: world).list(after: 0, limit: 1_000, in: $0) }
    }
}

/// A reply, read.
struct Answer: Sendable {
    let status: Int
    let body: JSONValue
    let headers: [String: String]

    init(status: Int, body: JSONValue, headers: [String: String]) {
        self.status = status
        self.body = body
        self.headers = headers
    }

    init(_ reply: APIReply) {
        status = reply.status
        headers = Dictionary(reply.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        if case .bytes(let bytes) = reply.body { body = (try? JSONParser.parse(bytes)) ?? .null } else { body = .null }
    }

    subscript(name: String) -> JSONValue? { body[name] }
    var code: String? { body["code"]?.string }
}
