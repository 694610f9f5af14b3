import Kernel
import Telemetry

/// What a run is about beyond what its incident names: whom that leads to, and what the plan for its mode would do.
///
/// It is found out once, as the run begins: a task that one step took from an agent is not in that agent's hands any
/// more as the next one looks.
struct RunbookAim: Sendable, Equatable {
    /// Subjects that are kept.
    static let subjectsMax = 200

    /// As incidents have them: `agent:writer`, `task:task_…`.
    var subjects: [String] = []
    /// Those of the plan, for actions that name nobody.
    var orders: [ContainmentOrder] = []
}

extension RunbookAim: JSONConvertible {
    var json: JSONValue { ["subjects": .list(subjects), "orders": .list(orders)] }

    init(stored json: JSONValue) {
        subjects = json["subjects"]?.array?.compactMap(\.string) ?? []
        orders = (json["orders"]?.array ?? []).compactMap { order in
            guard let action = order["action"]?.string.flatMap(ContainmentAction.init(rawValue:)) else { return nil }
            return ContainmentOrder(stored: action, order["parameters"] ?? .null)
        }
    }
}

extension FailureMode {
    /// The actions that ``ContainmentPlans`` may have against it, which a runbook may leave to the plan.
    var plannedActions: Set<ContainmentAction> {
        switch self {
        case .llmOutage: [.pauseDispatch, .useFallback, .openBreaker, .pauseAgent]
        case .modelDegradation: [.useFallback, .openBreaker, .pauseAgent]
        case .infiniteLoop: [.holdTask, .pauseAgent, .killProcess, .reassign]
        case .cascadingFailure: [.holdDownstream, .pauseAgent]
        case .staleContext: [.pauseAgent, .clearContext]
        case .contextPoisoning: [.quarantineSession, .restoreContext]
        case .memoryCorruption: [.memoryReadOnly, .offerMemoryRestore]
        case .silentDrift: [.goldenSetRun, .pinBack]
        case .budgetRunaway: [.cutBudget]
        }
    }
}

extension RunbookAim {
    /// How far back the work on a queue says who would do it.
    static let workedWithin = Span.hours(24)

    init(
        of runbook: Runbook, _ incident: Incident, _ plans: ContainmentPlans, in transaction: Transaction
    ) throws {
        let hands = plans.hands
        let mode = runbook.mode ?? incident.mode
        let plan = try mode.map { try plans.plan(for: $0, incident, evidence: incident.title, in: transaction) }
        let orders = plan?.orders ?? []
        func names(_ parameter: ContainmentParameter) -> [String] { orders.flatMap { $0[parameter] } }
        func within(_ kind: String) -> [String] { IncidentFacts.names(of: kind, in: names(.scopes)) }

        var agents = incident.subjects(of: "agent")
        if agents.isEmpty { agents = names(.agents) + within("agent") }
        if agents.isEmpty { agents = plan?.agents.sorted() ?? [] }
        if agents.isEmpty { agents = try ContainmentPlans.agents(of: incident, hands, in: transaction) }
        let held = try agents.prefix(IncidentSurroundings.agentsMax).flatMap {
            try hands.tasks.store.inHand(of: $0, limit: ContainmentHands.tasksOfAgentMax, in: transaction)
        }
        var tasks = names(.tasks)
        if mode == .infiniteLoop, let stuck = Self.oldest(held, of: incident) { tasks = stuck }
        if tasks.isEmpty { tasks = held.map(\.id.text) }
        let kinds: [(String, [String])] = [
            ("agent", agents), ("task", tasks), ("scope", names(.scopes)), ("project", within("project")),
            ("model", names(.models)), ("provider", names(.providers)), ("queue", names(.queues)),
            ("session", names(.sessions)),
            (Self.paused, try Self.paused(agents, incident.subjects(of: "queue"), hands, in: transaction)),
        ]
        let subjects = kinds.flatMap { kind, names in names.map { "\(kind):\($0)" } }
        self.subjects = Array(IncidentGrouping.merged([], subjects).prefix(Self.subjectsMax))
        self.orders = orders.compactMap { order in
            // By then an earlier step has taken them.
            guard order.action == .reassign else { return order }
            return ContainmentOrder(.reassign, order.values.merging([.tasks: tasks]) { $1 })
        }
    }

    /// What stands for those of its agents that are paused: `{{paused}}`. Of a queue they are those who worked for it
    /// lately, and those of the projects whose tasks wait in it.
    static let paused = "paused"

    private static func paused(
        _ agents: [String], _ queues: [String], _ hands: ContainmentHands, in transaction: Transaction
    ) throws -> [String] {
        guard !agents.isEmpty || !queues.isEmpty else { return [] }
        let paused = try hands.agents.paused(in: transaction)
        guard !paused.isEmpty else { return [] }
        var meant = Set(agents)
        if !queues.isEmpty {
            let store = hands.tasks.store
            let since = hands.world.now - workedWithin
            meant.formUnion(try store.workers(ofQueues: queues, since: since, in: transaction))
            let projects = Set(try store.projects(waitingIn: queues, in: transaction))
            meant.formUnion(paused.filter { $0.project.map(projects.contains) ?? false }.map(\.name))
        }
        return paused.map(\.name).filter(meant.contains)
    }

    /// Of the types of tasks that an incident names, the one of each of its agents that began first: what else they
    /// have in hand may be well. `nil` where it does not name both.
    private static func oldest(_ held: [AgentTask], of incident: Incident) -> [String]? {
        let types = Set(incident.subjects(of: "task_type"))
        guard !types.isEmpty, !incident.subjects(of: "agent").isEmpty else { return nil }
        let first = Dictionary(grouping: held.filter { types.contains($0.type) }) { $0.owner ?? "" }
            .compactMapValues { $0.min { ($0.startedAt ?? $0.updatedAt) < ($1.startedAt ?? $1.updatedAt) } }
        return first.values.map(\.id.text).sorted()
    }
}

extension ContainmentPlans {
    /// What a runbook's typed actions come to on an incident; those that find nobody to act on are left out.
    func plan(by runbook: Runbook, _ incident: Incident, in transaction: Transaction) throws -> ContainmentPlan {
        let aim = try RunbookAim(of: runbook, incident, self, in: transaction)
        let subjects = RunbookSubjects(incident: incident, aim: aim)
        var orders: [ContainmentOrder] = []
        for order in runbook.actions.flatMap(subjects.orders) where !orders.contains(where: { $0.key == order.key }) {
            if try !hands.aim(order, in: transaction).targets.isEmpty { orders.append(order) }
        }
        let about = incident.subjects + aim.subjects
        let agents = IncidentFacts.names(of: "agent", in: about) + IncidentFacts.names(of: RunbookAim.paused, in: about)
        var plan = ContainmentPlan(orders: orders, agents: Set(agents))
        plan.isAboutAllReached = Self.sharedKinds.contains { !incident.subjects(of: $0).isEmpty }
        return plan
    }
}
