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

extension RunbookService {
    func aim(
        of runbook: Runbook, _ incident: Incident, in transaction: Transaction
    ) throws -> RunbookAim {
        let hands = containments.hands
        let mode = runbook.mode ?? incident.mode
        let plan = try mode.map {
            try containments.plans.plan(for: $0, incident, evidence: incident.title, in: transaction)
        }
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
        ]
        let subjects = kinds.flatMap { kind, names in names.map { "\(kind):\($0)" } }
        return RunbookAim(
            subjects: Array(IncidentGrouping.merged([], subjects).prefix(RunbookAim.subjectsMax)),
            orders: orders.compactMap { order in
                // By then an earlier step has taken them.
                guard order.action == .reassign else { return order }
                return ContainmentOrder(.reassign, order.values.merging([.tasks: tasks]) { $1 })
            })
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
