import Kernel
import Telemetry

/// Every page, over the services that it shows.
public struct Pages: Sendable {
    public let routes: [Route]

    /// - Parameter assets: Where style and scripts are to be had.
    public init(
        storage: any Storage, blobs: any Blobs, events: Events, tasks: TaskService, agents: AgentService,
        queues: QueueService, workload: any QueueWorkload, calls: CallService, costs: CostService,
        budgets: BudgetService, models: any LiveModels = NoLiveModels(), access: AccessService, audit: AuditService,
        traces: (any TraceReading)? = nil, logs: (any LogReading)? = nil,
        sessions: SessionService? = nil, retention: RetentionService? = nil,
        alerts: AlertPages.Parts? = nil, incidents: IncidentPages.Parts? = nil, onCall: OnCallService? = nil,
        runbooks: RunbookShelf = RunbookShelf(.shipped), bundles: BundleService? = nil, flags: FlagService? = nil,
        secrets: SecretRotationService? = nil, configValues: ConfigValueService? = nil,
        assets: PageAssets,
        world: World
    ) {
        // A template that does not parse ends the start, not somebody's visit.
        _ = PageLibrary.shared
        let shell = PageShell(assets: assets, world: world) {
            let counts = try await storage.read { try tasks.store.counts(finishedSince: world.now, in: $0) }
            return PageShell.Badges(inReview: counts[.inReview] ?? 0, held: counts[.held] ?? 0)
        }
        let parts: [[Route]] = [
            FleetPages(shell: shell, storage: storage, tasks: tasks, agents: agents, events: events).routes,
            AgentPages(shell: shell, storage: storage, agents: agents, tasks: tasks, events: events).routes,
            TaskPages(shell: shell, storage: storage, tasks: tasks, events: events, blobs: blobs).routes,
            QueuePages(shell: shell, storage: storage, queues: queues, workload: workload).routes,
            ReviewPages(shell: shell, storage: storage, tasks: tasks, blobs: blobs).routes,
            EventPages(shell: shell, storage: storage, events: events).routes,
            AuditPages(shell: shell, storage: storage, audit: audit).routes,
            KeyPages(shell: shell, storage: storage, access: access).routes,
            SchedulePages(shell: shell, storage: storage).routes,
            CallPages(shell: shell, storage: storage, calls: calls, costs: costs).routes,
            ModelPages(shell: shell, live: models).routes,
            CostPages(shell: shell, storage: storage, costs: costs).routes,
            BudgetPages(shell: shell, storage: storage, budgets: budgets).routes,
            OverviewPages(shell: shell).routes,
            RunbookPages(shell: shell, shelf: runbooks).routes,
            bundles.map { BundlePages(shell: shell, storage: storage, service: $0).routes } ?? [],
            traces.map {
                TracePages(shell: shell, traces: $0, storage: storage, retention: retention).routes
            } ?? [],
            retention.map { RetentionPages(shell: shell, storage: storage, service: $0).routes } ?? [],
            alerts.map { AlertPages(shell: shell, parts: $0).routes } ?? [],
            incidents.map { IncidentPages(shell: shell, storage: storage, parts: $0).routes } ?? [],
            sessions.map { SessionPages(shell: shell, service: $0).routes } ?? [],
            logs.map { LogPages(shell: shell, logs: $0).routes } ?? [],
            flags.map { FlagPages(shell: shell, storage: storage, flags: $0, agents: agents).routes } ?? [],
            secrets.map { SecretPages(shell: shell, storage: storage, rotations: $0, audit: audit).routes } ?? [],
            configValues.map { ConfigValuePages(shell: shell, storage: storage, service: $0).routes } ?? [],
            onCall.map { OnCallPages(shell: shell, storage: storage, service: $0).routes } ?? [],
        ]
        routes = parts.flatMap(\.self)
    }
}
