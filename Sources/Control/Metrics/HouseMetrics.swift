import Kernel
import Telemetry

/// Numbers of agents, tasks, queues and events, read from the store for each scrape.
public struct HouseMetrics: Sendable {
    static let build = Metric.gauge(
        "reeve_build_info", "Always 1; the label says which Reeve this is.", labels: ["version"])
    static let start = Metric.gauge("process_start_time_seconds", "When this process began, in seconds since 1970.")
    static let store = Metric.gauge("reeve_store_up", "1 where the store answered this scrape.")
    static let agents = Metric.gauge("reeve_agents", "Agents by status.", labels: ["status"])
    static let tasks = Metric.gauge("reeve_tasks", "Tasks that have not ended, by state.", labels: ["state"])
    static let queued = Metric.gauge(
        "reeve_queue_tasks", "Tasks of a queue: ready to be claimed, leased, or set aside.",
        labels: ["queue", "state"],
        open: ["queue"])
    static let oldest = Metric.gauge(
        "reeve_queue_oldest_ready_seconds", "How long the oldest ready task of a queue has waited.", labels: ["queue"],
        open: ["queue"])
    static let events = Metric.counter("reeve_events_total", "Events in the log, over all time.")

    /// What the metrics of the house are called.
    public static let metrics =
        [build, start, store, agents, tasks, queued, oldest, events] + BudgetHeadroom.all + FleetMetrics.all

    /// Tasks whose time is shown.
    static let inHandMax = 1_000

    private struct Counts: Sendable {
        var agents: [AgentStatus: Int] = [:]
        var tasks: [TaskState: Int64] = [:]
        var queues: [(name: String, depth: QueueDepth)] = []
        var events: Int64 = 0
        var roster: [RosterEntry] = []
        var inProgress: [String: Timestamp] = [:]
        var inHand: [OldestTask] = []
        var headroom: [BudgetHeadroom] = []
    }

    let service: AgentService
    let taskService: TaskService
    let workload: any QueueWorkload
    let budgets: BudgetService
    let log: Events
    let storage: any Storage
    let world: World
    public let meters: FleetMeters
    private let startedAt: Timestamp

    public init(
        agents: AgentService, tasks: TaskService, workload: any QueueWorkload, budgets: BudgetService,
        meters: FleetMeters, events: Events, storage: any Storage, world: World
    ) {
        self.budgets = budgets
        self.meters = meters
        service = agents
        taskService = tasks
        self.workload = workload
        log = events
        self.storage = storage
        self.world = world
        startedAt = world.now
    }

    /// Where the store does not answer, the rest is shown all the same: that is when somebody looks.
    func collect(into page: inout MetricPage) async {
        var build = GaugeFamily(Self.build)
        build.set(1, [ReeveVersion.current])
        page.add(build)
        page.add(Self.start, Double(startedAt.microseconds) / 1e6)
        let found = try? await storage.read { try counts(in: $0) }
        page.add(Self.store, found == nil ? 0 : 1)
        if let found {
            collect(found, into: &page)
            collectFleet(found, into: &page)
        }
        try? await meters.look()
        meters.collect(into: &page)
    }

    private func counts(in transaction: Transaction) throws -> Counts {
        Counts(
            agents: try service.statusCounts(in: transaction),
            tasks: try taskService.store.counts(finishedSince: world.now, in: transaction),
            queues: try workload.depths(in: transaction).sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            events: try log.store.lastSeq(in: transaction), roster: try service.roster(in: transaction),
            inProgress: try taskService.store.oldestInProgress(in: transaction),
            inHand: try taskService.store.inHandForLongest(limit: Self.inHandMax, in: transaction),
            headroom: try budgets.headroom(in: transaction))
    }

    private func collectFleet(_ counts: Counts, into page: inout MetricPage) {
        meters.learn(counts.roster)
        // Where agents share a series, the one shows that was silent longest.
        var heartbeats = GaugeFamily(FleetMetrics.heartbeat, first: .infinity)
        var statuses = GaugeFamily(FleetMetrics.status)
        for agent in counts.roster {
            if let at = agent.lastHeartbeatAt {
                heartbeats.lower(Double(at.microseconds) / 1e6, [agent.name, agent.type])
            }
            statuses.add(1, [agent.name, agent.type, agent.status.rawValue])
        }
        page.add(heartbeats)
        page.add(statuses)
        var depths = GaugeFamily(FleetMetrics.depth)
        for (name, depth) in counts.queues {
            let parts = [
                ("unassigned", depth.ready), ("leased", depth.leased), ("scheduled", depth.scheduled),
                ("blocked", depth.blocked), ("waiting", depth.waiting), ("in_review", depth.inReview),
                ("held", depth.held),
            ]
            for (state, count) in parts { depths.add(Double(count), [name, state]) }
        }
        page.add(depths)
        var oldest = GaugeFamily(FleetMetrics.oldest)
        var inProgress = GaugeFamily(FleetMetrics.inProgress)
        for (type, since) in counts.inProgress { oldest.raise(max(0, (world.now - since).seconds), [type]) }
        for task in counts.inHand {
            inProgress.raise(max(0, (world.now - task.since).seconds), [task.type, task.agent])
        }
        page.add(oldest)
        page.add(inProgress)
    }

    private func collect(_ counts: Counts, into page: inout MetricPage) {
        var agents = GaugeFamily(Self.agents)
        for status in AgentStatus.allCases { agents.set(Double(counts.agents[status] ?? 0), [status.rawValue]) }
        page.add(agents)
        var tasks = GaugeFamily(Self.tasks)
        for state in TaskState.allCases where !state.isTerminal {
            tasks.set(Double(counts.tasks[state] ?? 0), [state.rawValue])
        }
        page.add(tasks)
        var queued = GaugeFamily(Self.queued)
        var oldest = GaugeFamily(Self.oldest)
        for (name, depth) in counts.queues {
            queued.add(Double(depth.ready), [name, "ready"])
            queued.add(Double(depth.leased), [name, "leased"])
            queued.add(Double(depth.held), [name, "held"])
            if let since = depth.oldestReadyAt { oldest.raise(max(0, (world.now - since).seconds), [name]) }
        }
        page.add(queued)
        page.add(oldest)
        page.add(counts.headroom)
        var events = CounterFamily(Self.events)
        events.add(counts.events, [])
        page.add(events)
    }
}
