import Control
import Gateway
import Kernel
import Logging
import NIOPosix
import Telemetry

/// How the parts of ``Features`` are made that take more than a line.
extension Features {
    static func clerk(
        _ book: BudgetBook, _ vault: StoredBudgetVault, _ replicaID: String, _ world: World
    ) -> BudgetClerk {
        BudgetClerk(
            book: book, vault: vault, replicaID: replicaID, world: world, onReplay: GatewayLedger.riders,
            onWarning: { Logger(label: "reeve.budgets").warning("\($0)") })
    }

    static func callers(
        _ values: ConfigValueService, _ flags: FlagService, _ fleet: FleetMeters, _ events: Events,
        _ storage: any Storage, _ world: World
    ) -> CallerBook {
        CallerBook(
            values: values, flags: flags, events: events, storage: storage, world: world, types: fleet.type(of:))
    }

    static func house(
        _ parts: (agents: AgentService, tasks: TaskService, workload: TaskStore, budgets: BudgetService),
        _ meters: FleetMeters, _ events: Events, _ storage: any Storage, _ world: World
    ) -> HouseMetrics {
        HouseMetrics(
            agents: parts.agents, tasks: parts.tasks, workload: parts.workload, budgets: parts.budgets,
            meters: meters, events: events, storage: storage, world: world)
    }

    static func eventRoutes(
        _ events: Events, _ tasks: TaskStore, _ access: AccessService, _ storage: any Storage, _ settings: Settings,
        _ world: World
    ) -> EventRoutes {
        EventRoutes(
            events: events, tasks: tasks, storage: storage, access: access, world: world, limits: settings.limits,
            retention: .hours(24 * Int64(settings.events.retentionDays)))
    }

    /// What people set while Reeve runs, and Reeve keeps: secrets and flags.
    static func kept(
        _ sealing: SecretSealing, _ watch: SecretWatch, _ log: (events: Events, audit: AuditService),
        _ storage: any Storage, _ world: World
    ) -> (SecretService, FlagService) {
        let secrets = SecretService(
            sealing: sealing, watch: watch, events: log.events, audit: log.audit, storage: storage, world: world)
        return (secrets, FlagService(storage: storage, events: log.events, audit: log.audit, world: world))
    }

    static func rotations(
        _ secrets: SecretService, _ alerting: AlertParts, _ spans: TelemetryIngest?, _ calendar: RotationCalendar,
        _ replicaID: String, _ settings: Settings
    ) -> SecretRotationService {
        SecretRotationService(
            secrets: secrets,
            ground: .init(
                users: TaskStore(), sessions: { spans?.live.startsByAgent ?? [:] },
                window: DeploymentWindows([calendar, BundleTrialWindow()]),
                prober: HTTPSecretProber(allowPrivate: settings.secrets.probePrivate), alerts: alerting.alerts,
                replica: replicaID, externalURL: { [address = alerting.address] in address.url }))
    }

    /// Whether the spans of model calls tell what was said.
    static func keepsContent(_ settings: Settings) -> Bool {
        settings.telemetry.ownSpans && settings.telemetry.gatewayContent
    }

    static func erasures(
        _ telemetry: (spans: TelemetryIngest?, metrics: MetricIngest?, own: OwnSpans?), _ agents: AgentMeters,
        _ calls: CallService, _ records: (events: Events, audit: AuditService), _ storage: any Storage,
        _ replicaID: String, _ settings: Settings, _ world: World
    ) -> ErasureService? {
        guard let spans = telemetry.spans else { return nil }
        let tasks = TaskStore()
        let places = SubjectPlace.own(settings, events: records.events, calls: calls) {
            try tasks.count(having: $0, in: $1)
        }
        return ErasureService(
            spans: spans, metrics: telemetry.metrics, keepers: [agents], ownSpans: telemetry.own,
            retention: RetentionService(events: records.events, audit: records.audit, world: world), places: places,
            audit: records.audit, storage: storage, replica: replicaID, world: world)
    }

    static func bundles(
        _ agents: AgentService, _ flags: FlagService, _ catalogue: GatewaySettings, _ blobs: any Blobs,
        _ records: (events: Events, audit: AuditService), _ world: World
    ) -> (BundleService, ConfigValueService) {
        let bundles = BundleService(
            agents: agents, lint: BundleLint(pins: catalogue.isPinned), blobs: blobs,
            events: records.events, audit: records.audit, world: world)
        return (
            bundles,
            ConfigValueService(
                bundles: bundles, flags: flags, events: records.events, audit: records.audit, world: world)
        )
    }

    static func batchRunner(
        _ batches: BatchService, _ gateway: ModelGateway, _ access: AccessService, _ storage: any Storage,
        _ blobs: any Blobs, _ world: World
    ) -> BatchRunner {
        BatchRunner(
            service: batches, storage: storage, blobs: blobs, access: access,
            calls: GatewayBatchCalls(
                gateway: gateway, eventLoops: MultiThreadedEventLoopGroup.singleton, ids: TraceIDs(world.entropy))
        ) { id, error in
            Logger(label: "reeve.batches").error("a round failed", metadata: ["batch": "\(id)", "cause": "\(error)"])
        }
    }
}

/// What sessions used, by the records that are kept of their calls.
struct SessionUse: SessionRecords {
    /// After which the calls of other replicas are known.
    static let span = Span.seconds(5)

    let storage: any Storage

    /// Only where there can be other replicas.
    static func refresh(_ storage: any Storage) -> Span? { storage.dialect == .postgres ? span : nil }

    func tokens(of session: CallerSession, except calls: Set<String>) async throws -> Int64 {
        try await storage.read { transaction in
            try CallStore().tokens(
                ofSession: session.session, agent: session.agent, keyID: session.keyID, except: calls, in: transaction)
        }
    }
}
