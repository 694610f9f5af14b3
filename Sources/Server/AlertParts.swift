import Control
import Gateway
import Kernel
import Logging
import Telemetry

/// What alerts are made of: the rules, what fires, and the incidents that come of it.
struct AlertParts: Sendable {
    /// The features that incidents are about.
    struct Ground: Sendable {
        let tasks: TaskService
        let agents: AgentService
        let queues: QueueService
        let budgets: BudgetService
        let access: AccessService
        let gateway: ModelGateway
        let calls: CallService

        init(
            _ tasks: TaskService, _ agents: AgentService, _ queues: QueueService, _ budgets: BudgetService,
            _ access: AccessService, _ gateway: ModelGateway, _ calls: CallService
        ) {
            (self.tasks, self.agents, self.queues, self.budgets) = (tasks, agents, queues, budgets)
            (self.access, self.gateway, self.calls) = (access, gateway, calls)
        }
    }

    let incidentMeters = IncidentMeters()
    let alerts: AlertService
    let incidents: IncidentService
    let containments: ContainmentService
    let runbooks: RunbookService
    let plan: AlertPlan
    /// Who is told.
    let notices: AlertFeatures
    let onCall: OnCallService
    /// `nil` where no metrics are kept, as in simulations.
    let engine: RuleEngine?
    let address: PublicAddress
    private let rules: AlertRules?
    private let drills: DrillService
    private let exchange: Exchange
    private let storage: any Storage
    private let world: World

    init(
        _ plan: AlertPlan, _ metrics: MetricIngest?, _ ground: Ground,
        _ records: (events: Events, audit: AuditService),
        _ storage: any Storage, _ replicaID: String, _ settings: Settings, _ world: World
    ) {
        (self.plan, self.storage, self.world) = (plan, storage, world)
        exchange = Exchange(storage: storage, world: world)
        let address = PublicAddress(settings.http)
        self.address = address
        let calling = OnCallFollower()
        (incidents, containments, runbooks) = Self.answers(
            plan, ground, calling, RuleVerification(hasSeries: metrics != nil), records, settings, world)
        let drills = DrillService(
            ground: DrillYard(
                tasks: ground.tasks, agents: ground.agents, access: ground.access, gateway: ground.gateway),
            incidents: incidents, containments: containments, model: DrillModel.name, events: records.events,
            audit: records.audit, world: world)
        self.drills = drills
        alerts = AlertService(events: records.events, world: world, follower: incidents)
        notices = AlertFeatures(
            plan.notification, service: alerts, acknowledging: incidents, events: records.events,
            audit: records.audit, access: ground.access, exchange: exchange, address: address, replicaID: replicaID,
            world: world)
        onCall = OnCallService(
            plan: plan.onCall, notifier: notices.notification, follower: incidents, events: records.events,
            audit: records.audit,
            storage: storage, world: world)
        calling.begin(onCall)
        let engine = metrics.map { RuleEngine(store: $0.store, externalURL: { address.url }, world: world) }
        let logger = Logger(label: "reeve.alerts")
        self.engine = engine
        rules = engine.map { [alerts, heart = notices.heart] engine in
            AlertRules(
                engine: engine, service: alerts, sources: plan.rules.settings.rules, temporary: drills,
                retentionDays: plan.rules.settings.retentionDays,
                storage: storage, replica: replicaID, world: world, link: { _ in "\(address.url)/alerts" },
                onRound: heart.beat,
                onWarning: { logger.warning("\($0)") })
        }
    }

    /// Incidents, and those who act on them.
    private static func answers(
        _ plan: AlertPlan, _ ground: Ground, _ calling: OnCallFollower, _ verification: RuleVerification,
        _ records: (events: Events, audit: AuditService), _ settings: Settings, _ world: World
    ) -> (IncidentService, ContainmentService, RunbookService) {
        func incidents(_ followers: [any IncidentFollower]) -> IncidentService {
            IncidentService(
                events: records.events, audit: records.audit, world: world, followers: followers,
                surroundings: IncidentSurroundings(tasks: ground.tasks, calls: ground.calls),
                policy: IncidentPolicy(settings.incidents), verifications: [verification])
        }
        let containments = ContainmentService(
            agents: ground.agents, tasks: ground.tasks, queues: ground.queues, budgets: ground.budgets,
            models: ContainedModels(gateway: ground.gateway), holds: ground.gateway, policy: plan.containment,
            alerts: AlertService(events: records.events, world: world), incidents: incidents([]),
            events: records.events, audit: records.audit, world: world)
        let runbooks = RunbookService(
            shelf: plan.runbooks, containments: containments, events: records.events, audit: records.audit,
            world: world)
        return (incidents([containments, calling]), containments, runbooks)
    }

    var alertPages: AlertPages.Parts {
        AlertPages.Parts(notification: notices.notification, alerts: alerts, pending: alerts)
    }

    var incidentPages: IncidentPages.Parts {
        IncidentPages.Parts(
            service: incidents,
            sections: [ContainmentRoom(service: containments), RunbookRoom(service: runbooks)])
    }

    func resume() async throws { try await rules?.resume(plan.rules.book) }

    /// Whether samples are wanted as often as rules look.
    var isHurried: Bool { rules?.isHurried ?? false }

    private var drillRoutes: DrillRoutes { DrillRoutes(service: drills, exchange: exchange) }

    var routes: [Route] {
        AlertRoutes(
            service: alerts, rules: rules, quieting: notices.notification, storage: storage, world: world
        ).routes + notices.routes + drillRoutes.routes
    }

    var loops: [Loop] { (rules?.loops ?? []) + notices.loops + drillRoutes.loops }
}
