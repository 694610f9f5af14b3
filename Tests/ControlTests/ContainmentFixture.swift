import Kernel
import Synchronization
import Telemetry
import TestSupport

@testable import Control

/// Containments over the real services, with alerts and incidents.
struct ContainmentFixture {
    let base: TaskFixture
    let service: ContainmentService
    let incidents: IncidentService
    let alerts: AlertService
    let budgets: BudgetService
    let loop: ContainmentLoop
    let models: StillModels
    var storage: any Storage { base.storage }
    var time: ManualTime { base.time }

    static let migrations =
        TaskFixture.migrations + CallSchema.migrations + BudgetSchema.migrations + AlertSchema.migrations
        + IncidentSchema.migrations + ContainmentSchema.migrations + RunbookSchema.migrations
        + RetentionSchema.migrations + DrillSchema.migrations

    init(
        storage: any Storage, policy: ContainmentPolicy = ContainmentPolicy(),
        doors: ContainmentDoors = ContainmentDoors(), models: StillModels = StillModels(), seed: UInt64 = 1,
        verifications: [any IncidentVerification] = [], followers: [any IncidentFollower] = [],
        runbooks: RunbookShelf = RunbookShelf(.shipped)
    ) {
        base = TaskFixture(storage: storage, seed: seed)
        self.models = models
        let audit = AuditService(world: base.world)
        budgets = BudgetService(memory: NoBudgetMemory(), events: base.events, audit: audit, world: base.world)
        let (base, budgets) = (self.base, self.budgets)
        func incidents(_ followers: [any IncidentFollower]) -> IncidentService {
            IncidentService(
                events: base.events, audit: audit, world: base.world, followers: followers,
                verifications: verifications)
        }
        func containments(_ incidents: IncidentService) -> ContainmentService {
            ContainmentService(
                agents: base.agents, tasks: base.tasks, queues: base.queues, budgets: budgets, models: models,
                holds: NoRunHolds(), doors: doors, policy: policy, runbooks: runbooks,
                alerts: AlertService(events: base.events, world: base.world), incidents: incidents,
                events: base.events, audit: audit, world: base.world)
        }
        self.incidents = incidents([containments(incidents([]))] + followers)
        service = containments(self.incidents)
        alerts = AlertService(events: base.events, world: base.world, follower: self.incidents)
        loop = ContainmentLoop(service: service, storage: storage)
    }

    static func on(
        _ engine: TestEngine, policy: ContainmentPolicy = ContainmentPolicy(),
        doors: ContainmentDoors = ContainmentDoors(), models: StillModels = StillModels(),
        verifications: [any IncidentVerification] = [], followers: [any IncidentFollower] = [],
        runbooks: RunbookShelf = RunbookShelf(.shipped), _ body: (ContainmentFixture) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: migrations) { storage in
            try await body(
                ContainmentFixture(
                    storage: storage, policy: policy, doors: doors, models: models, verifications: verifications,
                    followers: followers, runbooks: runbooks))
        }
    }

    static func acting(_ modes: [FailureMode] = FailureMode.allCases) throws -> ContainmentPolicy {
        let members = modes.map { JSONObject.Member(name: $0.rawValue, value: "act") }
        return try ContainmentPolicy(["containment": ["modes": .object(JSONObject(members))]])
    }

    // MARK: Verbs

    /// An alert begins, and brings its incident.
    @discardableResult
    func fire(
        _ name: String, _ labels: [(String, String)], mode: FailureMode? = nil, summary: String = "something is wrong",
        origin: Alert.Origin = .rule
    ) async throws -> String {
        let all =
            [("alertname", name), ("severity", "critical")] + labels
            + (mode.map { [("failure_mode", $0.rawValue)] } ?? [])
        let post = AlertPost(
            labels: LabelSet(all), annotations: ["summary": summary], endsAt: base.world.now + .hours(48))
        let changes = try await storage.write { [alerts] in
            try alerts.take([post], origin: origin, from: "test", in: $0)
        }
        guard let id = changes.first?.alert.incidentID else { throw Problem.notFound("incident", name) }
        return id
    }

    func end(
        _ name: String, _ labels: [(String, String)], mode: FailureMode? = nil, origin: Alert.Origin = .rule
    ) async throws {
        let all =
            [("alertname", name), ("severity", "critical")] + labels
            + (mode.map { [("failure_mode", $0.rawValue)] } ?? [])
        let post = AlertPost(labels: LabelSet(all), endsAt: base.world.now)
        try await storage.write { [alerts] in _ = try alerts.take([post], origin: origin, from: "test", in: $0) }
    }

    func register(_ names: String..., labels: [String: String] = [:]) async throws {
        for name in names {
            var draft = AgentDraft(name: name)
            draft.labels = labels
            try await storage.write { [base, draft] in
                _ = try base.agents.register(draft, by: TaskFixture.operatorKey, in: $0)
            }
        }
    }

    func propose(
        _ action: ContainmentAction, _ values: [ContainmentParameter: [String]], for incident: String,
        acts: Bool = true
    ) async throws -> Containment {
        guard let order = ContainmentOrder(action, values) else { throw Problem.invalid("action", "no order") }
        return try await storage.write { [service] in
            try service.propose(order, for: incident, acts: acts, by: TaskFixture.operatorKey, in: $0)
        }
    }

    func approve(_ id: Identifier<Containment>) async throws {
        try await storage.write { [service] in
            _ = try service.approve(id.text, by: TaskFixture.operatorKey, in: $0)
        }
    }

    func reverse(_ id: Identifier<Containment>) async throws {
        try await storage.write { [service] in
            _ = try service.reverse(id.text, by: TaskFixture.operatorKey, in: $0)
        }
        try await loop.act()
    }

    func act() async throws { try await loop.act() }

    func containments(_ incident: String) async throws -> [Containment] {
        try await storage.read { [service] in try service.containments(of: incident, in: $0) }
    }

    func containment(_ id: Identifier<Containment>) async throws -> Containment {
        try await storage.read { [service] in try service.containment(id.text, in: $0) }
    }

    func agent(_ name: String) async throws -> Agent {
        guard let agent = try await storage.read({ [base] in try base.agents.agent(named: name, in: $0) }) else {
            throw Problem.notFound("agent", name)
        }
        return agent
    }

    func direct(_ directive: AgentDirective, _ name: String, reason: String? = nil) async throws {
        try await storage.write { [base] in
            _ = try base.agents.direct(directive, name, reason: reason, by: TaskFixture.operatorKey, in: $0)
        }
    }

    /// The holds on a task.
    func holds(_ id: TaskID) async throws -> [String] {
        try await storage.read { [base] in try base.tasks.store.holds(on: id, in: $0).map(\.hold) }
    }

    func eventTypes(_ prefix: String) async throws -> [String] {
        try await storage.read { try EventStore().list(after: 0, limit: 5_000, in: $0) }
            .map(\.type).filter { $0.hasPrefix(prefix) }
    }

    func timeline(_ incident: String) async throws -> [IncidentEntry] {
        guard let id = Identifier<Incident>(incident) else { return [] }
        return try await storage.read { [incidents] in try incidents.entries(of: id, in: $0) }
    }
}

/// Models as a test says that they stand.
final class StillModels: LiveModels {
    private let all: [ModelStatus]

    /// `model: [provider/target]`, in the order of names; all of one tier.
    ///
    /// - Parameter out: Targets whose breaker is open.
    init(_ models: KeyValuePairs<String, [String]> = [:], tier: String? = "cheap", out: Set<String> = []) {
        all = models.map { name, targets in
            ModelStatus(
                name: name, tier: tier,
                targets: targets.map { label in
                    let parts = label.split(separator: "/").map(String.init)
                    var target = TargetStatus(provider: parts[0], model: parts[1])
                    if out.contains(label) { target.breaker = .open }
                    return target
                })
        }
    }

    func models() -> [ModelStatus] { all }
    func reset(model: String, target: String?) -> [String] { [] }
}

struct NoRunHolds: RunHolds {
    func heldNow() -> [RunHold] { [] }
    func letGo(_ id: String) -> Bool { false }
    func newHolds() -> [RunHold] { [] }
}

/// A door that writes down what it is asked, once for each key.
final class TestDoor: SessionDoor, MemoryDoor, GoldenSetDoor {
    private let state = Mutex<(acted: [String], reversed: [String], asked: Int)>(([], [], 0))

    var acted: [String] { state.withLock { $0.acted } }
    var reversed: [String] { state.withLock { $0.reversed } }
    var asked: Int { state.withLock { $0.asked } }

    func act(_ errand: ContainmentErrand) async throws -> String {
        state.withLock { state in
            state.asked += 1
            if !state.acted.contains(errand.key) { state.acted.append(errand.key) }
        }
        return "\(errand.action.rawValue) \(errand.name)"
    }

    func reverse(_ errand: ContainmentErrand) async throws -> String {
        state.withLock { if !$0.reversed.contains(errand.key) { $0.reversed.append(errand.key) } }
        return "back"
    }

    func run(_ errand: ContainmentErrand) async throws -> String { try await act(errand) }
}
