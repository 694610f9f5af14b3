import Control
import Gateway
import Kernel
import Logging
import NIOPosix
import Telemetry

/// The list of what Reeve is made of: the only place where stores and services are made.
public struct Features: Sendable {
    public let storage: any Storage
    public let blobs: any Blobs
    public let events: Events
    public let exchange: Exchange
    public let audit: AuditService
    public let access: AccessService
    /// Flags, and their evaluation.
    public let flags: FlagService
    public let agents: AgentService
    public let queues: QueueService
    public let tasks: TaskService
    public let schedules: ScheduleService
    /// Model calls.
    public let gateway: ModelGateway
    public let calls: CallService
    public let costs: CostService
    public let budgets: BudgetService
    /// What calls hold of budgets in this process.
    public let budgetClerk: BudgetClerk
    /// Batches of model calls.
    public let batches: BatchService
    private let batchRunner: BatchRunner
    /// What agents run with.
    public let bundles: BundleService
    /// What holds for agents and users above that.
    public let configValues: ConfigValueService
    /// The same for those who ask with each call: the gateway, and whoever keeps agents' memory.
    public let callers: CallerBook
    /// Bundles that are given out step by step.
    public var rollouts: BundleTrialService {
        BundleTrialService(
            bundles: bundles, tasks: taskStore, alerts: alerting.alerts, events: events, audit: audit, world: world)
    }
    /// Where spans come in; `nil` where none do, as in simulations.
    public let spans: TelemetryIngest?
    /// Where metrics come in, and are found; `nil` where none are, as in simulations.
    public let metrics: MetricIngest?
    /// Reeve's own spans; `nil` where they are switched off.
    let ownSpans: OwnSpans?
    /// Claims that wait for work.
    public let wakeups = Wakeups()

    /// What agents and clients need to reach others, sealed.
    public let secrets: SecretService
    /// How their values are replaced.
    let rotations: SecretRotationService
    let connections = ConnectionSet()
    let requests = RequestMeters()

    private let taskStore = TaskStore()
    /// The keys of providers; empty until it is first loaded.
    public let keyring: ProviderKeyring
    private let keyVault: GatewaySecrets
    private let stopper: CallStopper
    private let dispatch: GatewayDispatch
    /// Which tasks agents hold; empty until it is first looked at.
    let fleetTasks: FleetTasks
    private let eventRoutes: EventRoutes
    private let vault: StoredBudgetVault
    /// What keeps the records of model calls.
    let ledger: GatewayLedger
    private let house: HouseMetrics
    /// What agents do, from calls and spans.
    let agentMeters: AgentMeters
    /// Rules that are evaluated, and what comes of them.
    let alerting: AlertParts
    /// What erases subjects; `nil` where no spans come in.
    let erasures: ErasureService?
    private let idempotency = IdempotencyStore()
    private let settings: Settings
    private let world: World

    /// - Parameters:
    ///   - catalogue: The models that agents may ask for; see ``ModelGateway/settings(_:)``.
    ///   - journal: Where holds are written; `nil` where none are made, as for the reference.
    ///   - replicaID: The data directory's own name.
    ///   - spans: What takes spans in.
    ///   - metrics: What takes metrics in.
    ///   - plan: What the settings say of alerts and of what is done about them.
    ///   - sealing: What secrets are sealed with.
    ///   - watch: Whose values must not turn up anywhere.
    ///   - calendar: When secrets may be rotated.
    public init(
        storage: any Storage, blobs: any Blobs, settings: Settings, catalogue: GatewaySettings = GatewaySettings(),
        world: World, journal: HoldJournal? = nil, replicaID: String = "replica", spans: TelemetryIngest? = nil,
        metrics: MetricIngest? = nil, plan: AlertPlan = AlertPlan(), sealing: SecretSealing = .absent,
        watch: SecretWatch = SecretWatch(entropy: SystemEntropy()), calendar: RotationCalendar = .always
    ) {
        (self.storage, self.spans, self.blobs, self.settings, self.world) = (storage, spans, blobs, settings, world)
        (self.metrics, events, audit) = (metrics, Events(world: world, watch: watch), AuditService(world: world))
        ownSpans = settings.telemetry.ownSpans ? spans.map { OwnSpans(intake: $0, bindings: $0.bindings) } : nil
        exchange = Exchange(storage: storage, world: world)
        vault = StoredBudgetVault(storage: storage, events: events)
        (secrets, flags) = Self.kept(sealing, watch, (events, audit), storage, world)
        access = AccessService(storage: storage, audit: audit, events: events, world: world, limits: settings.limits)
        let (book, rounds) = (BudgetBook(journal: journal), journal?.records ?? RecordRounds())
        agents = AgentService(
            world: world, events: events, audit: audit, workload: taskStore,
            budgets: FleetBudgets(book: book, world: world), policy: AgentPolicy(settings.agents))
        let models = GatewayTaskModels(settings: catalogue, ramps: DispatchRamps(catalogue, world: world))
        queues = QueueService(events: events, audit: audit, models: models, wakeups: wakeups, world: world)
        budgets = BudgetService(memory: book, events: events, audit: audit, world: world)
        tasks = TaskService(
            store: taskStore, queues: queues, agents: agents, audit: audit, caps: budgets, models: models,
            spans: ownSpans.map(TaskSpans.init), events: events, wakeups: wakeups,
            policy: TaskPolicy(settings.tasks, failoverGraceSeconds: settings.agents.failoverGraceSeconds),
            limits: settings.limits, world: world)
        schedules = ScheduleService(tasks: tasks, events: events, audit: audit, world: world)
        fleetTasks = FleetTasks(tasks: tasks, events: events, storage: storage)
        let fleet = FleetMeters(tasks: tasks, events: events, storage: storage, world: world)
        agentMeters = AgentMeters(world: world, windows: catalogue.contextTokens(of:), types: fleet.type(of:))
        keyVault = GatewaySecrets(secrets: secrets, events: events, storage: storage)
        keyring = ProviderKeyring(catalogue, settingsFile: settings.catalogue.file, vault: keyVault, world: world)
        budgetClerk = Self.clerk(book, vault, replicaID, world)
        (bundles, configValues) = Self.bundles(agents, flags, catalogue, blobs, (events, audit), world)
        callers = Self.callers(configValues, flags, fleet, events, storage, world)
        gateway = ModelGateway(
            catalogue, keys: keyring, clerk: budgetClerk, projects: FleetProjects(agents, storage, world),
            tasks: fleetTasks, policy: CallerPolicy(book: callers), sessions: SessionUse(storage: storage),
            sessionRefresh: SessionUse.refresh(storage), dispatch: models.ramps, agentMeters: agentMeters,
            keepsContent: Self.keepsContent(settings), world: world, eventLoops: MultiThreadedEventLoopGroup.singleton)
        calls = CallService(
            live: gateway, bundles: FleetBundles(agents: agents, attempts: taskStore),
            retentionDays: settings.calls.retentionDays, events: events, audit: audit, world: world)
        ledger = GatewayLedger(
            gateway: gateway, calls: calls, storage: storage, rounds: rounds, spans: ownSpans, watch: watch)
        let outages = ModelOutageService(events: events, replica: replicaID)
        dispatch = GatewayDispatch(
            ramps: models.ramps, outages: outages, wakeups: wakeups, storage: storage, world: world)
        stopper = CallStopper(gateway: gateway, events: events, storage: storage)
        costs = CostService(work: DeliverableStore(), world: world)
        alerting = AlertParts(
            plan, metrics, .init(tasks, agents, queues, budgets, access, gateway, calls), (events, audit), storage,
            replicaID, settings, world)
        rotations = Self.rotations(secrets, alerting, spans, calendar, replicaID, settings)
        erasures = Self.erasures(
            (spans, metrics, ownSpans), agentMeters, calls, (events, audit), storage, replicaID, settings, world)
        house = Self.house((agents, tasks, taskStore, budgets), fleet, events, storage, world)
        batches = BatchService(policy: BatchPolicy(settings.batches), events: events, world: world)
        batchRunner = Self.batchRunner(batches, gateway, access, storage, blobs, world)
        eventRoutes = Self.eventRoutes(events, taskStore, access, storage, settings, world)
    }

    /// The gateway's calls come first: spans that tell of them are known by that.
    private func countSpans() {
        spans?.tell { [gateway, agentMeters] spans in
            gateway.count()
            agentMeters.observe(spans)
        }
    }

    /// What agents held and which models were out before this start: known before it listens.
    func goOn() async throws {
        countSpans()
        try await house.meters.look()
        try await fleetTasks.look()
        try await dispatch.resume(gateway.catalogue)
        try await flags.book.open()
        try await callers.look()
        try await erasures?.goOn()
        try await secrets.learn()
        try await keyVault.look()
        try await alerting.resume()
    }

    /// Every table of the control store.
    public static var migrations: [Migration] {
        IdempotencySchema.migrations + EventSchema.migrations + AccessSchema.migrations + AuditSchema.migrations
            + AgentSchema.migrations + QueueSchema.migrations + TaskSchema.migrations
            + ScheduleSchema.migrations + CallSchema.migrations + BudgetSchema.migrations + BatchSchema.migrations
            + ModelOutageSchema.migrations + RetentionSchema.migrations + AlertSchema.migrations
            + IncidentSchema.migrations + NotificationSchema.migrations + DrillSchema.migrations
            + OnCallSchema.migrations + ContainmentSchema.migrations + RunbookSchema.migrations
            + AlertSchema.sourceMigrations + FileChangeSchema.migrations + BundleSchema.migrations
            + BundleTrialSchema.migrations + ConfigValueSchema.migrations + SecretSchema.migrations
            + FlagSchema.migrations
    }

    /// Every address of the interface, `openapi.json` among them.
    public var routes: [Route] {
        let interface = interfaceRoutes
        return interface + OpenAPI(described: interface, schemas: Self.schemas).routes
    }

    /// The JSON shapes that `openapi.json` names.
    static let schemas =
        AgentShapes.schemas + TaskShapes.schemas + ScheduleShapes.schemas
        + CallShapes.schemas + ModelShapes.schemas + BudgetShapes.schemas + TraceShapes.schemas + LogShapes.schemas
        + AlertShapes.schemas + DrillShapes.schemas + SessionShapes.schemas + TimelineRoutes.schemas
        + RetentionShapes.schemas + OnCallShapes.schemas + IncidentShapes.schemas
        + ContainmentShapes.schemas + RunbookShapes.schemas + NoticeParts.schemas
        + BacktestRoutes.schemas + BundleShapes.schemas + BundleTrialShapes.schemas + ConfigValueRoutes.schemas
        + SecretRoutes.schemas + SecretRotationRoutes.schemas
        + FlagShapes.schemas

    private var interfaceRoutes: [Route] {
        let assets = Assets()
        let parts: [[Route]] = [
            HealthRoutes(events: events, storage: storage, spans: spans).routes,
            AccessRoutes(
                service: access, exchange: exchange,
                adminKeyFile: AdminKeyFile(dataDirectory: settings.storage.dataDirectory)
            ).routes,
            AuditRoutes(service: audit, storage: storage).routes,
            AgentRoutes(service: agents, exchange: exchange).routes,
            BundleRoutes(service: bundles, values: configValues, trials: rollouts, exchange: exchange).routes,
            BundleTrialRoutes(service: rollouts, exchange: exchange).routes,
            ConfigValueRoutes(service: configValues, exchange: exchange).routes,
            IngestRoutes(service: IngestService(agents: agents, events: events), exchange: exchange).routes,
            QueueRoutes(service: queues, workload: taskStore, exchange: exchange, world: world).routes,
            TaskRoutes(service: tasks, exchange: exchange).routes,
            TaskWorkRoutes(service: tasks, exchange: exchange, wakeups: wakeups, world: world).routes,
            DeliverableRoutes(service: tasks, exchange: exchange, blobs: blobs, watch: secrets.watch).routes,
            ScheduleRoutes(service: schedules, exchange: exchange).routes,
            CallRoutes(service: calls, storage: storage).routes,
            CostRoutes(service: costs, storage: storage).routes,
            BudgetRoutes(service: budgets, exchange: exchange).routes,
            eventRoutes.routes,
            ModelRoutes(gateway: gateway).routes,
            ModelStatusRoutes(live: gateway, events: events, audit: audit, exchange: exchange).routes,
            ownMetrics.routes,
            BatchRoutes(service: batches, exchange: exchange, blobs: blobs, refusals: doorRefusals).routes,
            MessageBatchRoutes(
                service: batches, exchange: exchange, blobs: blobs, refusals: doorRefusals,
                publicURL: settings.http.publicURL
            ).routes,
            IncidentRoutes(
                service: incidents, quieting: alerting.notices.notification, exchange: exchange
            ).routes,
            RunHoldRoutes(holds: gateway, events: events, audit: audit, exchange: exchange).routes,
            ContainmentRoutes(service: alerting.containments, exchange: exchange).routes,
            RunbookRoutes(service: alerting.runbooks, exchange: exchange).routes,
            spans.map(telemetryRoutes) ?? [],
            TimelineRoutes(sources: timeline).routes,
            OnCallRoutes(service: onCall, exchange: exchange, world: world).routes,
            SecretRoutes(service: secrets).routes, VaultRoutes(service: secrets).routes,
            SecretRotationRoutes(service: rotations).routes,
            FlagRoutes(service: flags, exchange: exchange).routes,
            OFREPRoutes(
                service: flags, access: access, publicURL: settings.http.publicURL, limits: settings.limits
            ).routes,
            metrics.map { MetricIngestRoutes(ingest: $0, room: spans?.room ?? BodyRoom()).routes } ?? [],
            metrics.map { metricRoutes($0) } ?? [],
            alerting.routes, assets.routes,
            Pages(
                storage: storage, blobs: blobs, events: events, tasks: tasks, agents: agents, queues: queues,
                workload: taskStore, calls: calls, costs: costs, budgets: budgets, models: gateway, access: access,
                audit: audit, traces: spans, logs: spans, sessions: sessions, retention: retention,
                alerts: alerting.alertPages, incidents: alerting.incidentPages, onCall: onCall,
                runbooks: alerting.plan.runbooks, bundles: bundles, flags: flags,
                secrets: rotations, configValues: configValues,
                assets: assets.pageAssets, world: world
            ).routes,
        ]
        return parts.flatMap(\.self)
    }

    private func metricRoutes(_ metrics: MetricIngest) -> [Route] {
        QueryRoutes(reader: metrics.store, ingest: metrics, rules: alerting.engine, world: world).routes
            + BacktestRoutes(reader: metrics.store, world: world) { [engine = alerting.engine] in
                await engine?.programs ?? []
            }.routes
    }

    private func telemetryRoutes(_ ingest: TelemetryIngest) -> [Route] {
        let running: [any RunningSpans] = ownSpans == nil ? [] : [gateway]
        let labels = StoredTraceLabels(service: retention, storage: storage)
        let kept = erasures.map {
            RetentionRoutes(service: retention, erasures: $0, traces: ingest, exchange: exchange).routes
        }
        return TraceRoutes(ingest: ingest, running: running, metrics: metrics, labels: labels, world: world).routes
            + (sessions.map { SessionRoutes(service: $0, world: world).routes } ?? []) + (kept ?? [])
            + LogRoutes(ingest: ingest, world: world).routes
            + LokiRoutes(ingest: ingest, world: world).routes
    }

    /// What is said about records so that they are kept.
    private var retention: RetentionService {
        RetentionService(events: events, audit: audit, world: world) { [spans] in
            spans?.digest($0) ?? ""
        } unkept: { [spans] in
            spans?.unkeptTraces ?? 0
        }
    }

    /// What is done against incidents.
    public var containments: ContainmentService { alerting.containments }

    /// Who answers, and is told until somebody does.
    public var onCall: OnCallService { alerting.onCall }

    /// What models cost and hold, as the settings of this moment have it.
    private var sessions: SessionService? {
        spans.map { [gateway] in
            SessionService(
                spans: $0, calls: calls, storage: storage,
                prices: Session.Prices(
                    price: { gateway.catalogue.cost(of: $0, $1, at: $2)?.value },
                    window: { gateway.catalogue.contextTokens(of: $0) }))
        }
    }

    /// Whose things stand in timelines.
    private var timeline: [any TimelineSource] {
        [
            TaskTimeline(service: tasks, storage: storage), CallTimeline(service: calls, storage: storage),
            EventTimeline(events: events, tasks: taskStore, storage: storage),
        ] + (spans.map { [SpanTimeline(spans: $0), LogTimeline(logs: $0)] } ?? [])
    }

    private var doorRefusals: DoorRefusals {
        DoorRefusals(openAI: ModelRoutes.openAIRefusal, anthropic: ModelRoutes.anthropicRefusal)
    }

    /// Reads the interface from within.
    private var ownReader: RouteReader { RouteReader(limits: settings.limits) { interfaceRoutes } }

    public var loops: [Loop] {
        let parts: [[Loop]] = [
            access.loops, eventRoutes.loops, secrets.loops, rotations.loops,
            SecretAlarm(
                watch: secrets.watch, alerts: alerting.alerts, storage: storage,
                externalURL: { [address = alerting.address] in address.url }, world: world
            ).loops,
            AgentLoops(storage: storage, agents: agents, probe: HTTPHealthProbe()).loops,
            TaskLoops(
                service: tasks, storage: storage, blobs: blobs,
                otherContents: BlobUses(batches.blobUse, bundles.blobUse),
                sweepEvery: .milliseconds(Int64(settings.tasks.sweepMilliseconds))
            ).loops,
            ScheduleLoops(service: schedules, storage: storage).loops,
            FlagLoops(service: flags).loops,
            BundleTrialLoop(service: rollouts, storage: storage).loops,
            CallLoops(service: calls, storage: storage).loops,
            BatchLoops(runner: batchRunner, otherContents: BlobUses(DeliverableStore(), bundles.blobUse)).loops,
            ledger.loops, house.meters.loops, stopper.loops, fleetTasks.loops, callers.loops, keyVault.loops,
            GatewayWatch(gateway: gateway, events: events, storage: storage).loops,
            dispatch.loops,
            ContainmentLoop(service: alerting.containments, storage: storage).loops,
            RunbookLoop(service: alerting.runbooks, reader: ownReader, storage: storage).loops,
            alerting.engine.map { engine in
                IncidentProofLoop(
                    incidents: alerting.incidents, reader: ownReader, rules: { await engine.alertExpressions },
                    storage: storage, world: world
                ).loops
            } ?? [],
            GatewayJudgements(gateway: gateway, calls: calls, storage: storage).loops,
            RunHoldLoops(holds: gateway, events: events, storage: storage).loops,
            incidentLoops,
            [
                Loop("gateway.keys", every: .seconds(5)) { keyring.reload() }
            ],
            BudgetLoops(service: budgets, vault: vault, storage: storage, world: world).loops,
            [Loop("budgets.exchange", every: BudgetClerk.interval) { await budgetClerk.keepUp() }],
            spans.map(telemetryLoops) ?? [], ownSpans?.loops ?? [],
            metrics.map(metricLoops) ?? [], alerting.loops, onCall.loops,
            [
                Loop("idempotency.purge", every: .minutes(10)) {
                    let now = world.now
                    try await storage.write { _ = try idempotency.purge(in: $0, now: now) }
                }
            ],
        ]
        return parts.flatMap(\.self)
    }

    /// What alerts open and people see to.
    public var incidents: IncidentService { alerting.incidents }

    private var incidentLoops: [Loop] {
        IncidentLoops(
            service: incidents, timelines: IncidentTimelines(service: incidents, storage: storage),
            traces: spans.map {
                IncidentTraces(service: incidents, retention: retention, traces: $0, storage: storage)
            }, meters: alerting.incidentMeters, storage: storage
        ).loops
    }

    private var ownMetrics: MetricsRoutes {
        var own: [any MetricSource] = ownSpans.map { [$0] } ?? []
        if let engine = alerting.engine { own.append(engine.meters) }
        own += [LedgerMetrics(spans, metrics: metrics), KafkaMetrics(spans?.kafka)] as [any MetricSource]
        return MetricsRoutes(
            house: house,
            sources: [
                gateway, agentMeters, alerting.alerts.meters, alerting.incidentMeters, flags.meters, rotations.meters,
                connections, requests,
            ]
                + own)
    }

    private func metricLoops(_ metrics: MetricIngest) -> [Loop] {
        let (source, store) = (ownMetrics, metrics.store)
        let sampler = MetricSampler(
            store: store, instance: "\(settings.http.host):\(settings.http.port)", world: world
        ) { await source.page() }
        return [
            Loop("metrics.sample", every: .seconds(Int64(settings.telemetry.sampleInterval))) {
                try await sampler.sample()
            },
            Loop("metrics.hurry", every: .seconds(1)) {
                if alerting.isHurried { try await sampler.sample() }
            },
            Loop("metrics.flush", every: SeriesStore.flushInterval) { try await store.flushIfDue() },
            Loop("metrics.ledger", every: .seconds(5)) { try metrics.keepLedger() },
            Loop("metrics.retention", every: .minutes(10)) { try await store.forget() },
        ]
    }

    private func telemetryLoops(_ spans: TelemetryIngest) -> [Loop] {
        let (retention, service) = (TelemetryRetention(settings.telemetry), retention)
        return [
            Loop("telemetry.spans", every: spans.flushInterval) { try await spans.flushIfDue() }
        ]
            + (spans.kafka.map { kafka in
                [Loop("telemetry.kafka", every: KafkaOutlet.sendInterval) { try await kafka.send() }]
            } ?? [])
            + LostSpans(
                live: spans.live, intake: spans, agents: agents, events: events, storage: storage,
                silence: .seconds(Int64(settings.telemetry.liveSilenceSeconds)), world: world
            ).loops + [
                Loop("telemetry.quota", every: .seconds(5)) { try await spans.measure() },
                Loop("telemetry.retention", every: .minutes(1)) {
                    let marks = try await storage.read { try service.evidence(in: $0) }
                    try await spans.forget(retention, marks)
                },
            ] + (erasures?.loops ?? [])
    }
}
