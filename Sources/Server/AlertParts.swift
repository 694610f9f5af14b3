import Control
import Gateway
import Kernel
import Logging
import Telemetry

/// What alerts are made of: the rules, what fires, who is told of it, and the incidents that come of it.
struct AlertParts: Sendable {
    let alerts: AlertService
    let plan: AlertPlan
    /// Who is told.
    let notices: NoticeParts
    let onCall: OnCallService
    /// `nil` where no metrics are kept, as in simulations.
    let engine: RuleEngine?
    let address: PublicAddress
    /// What comes of alerts.
    private let answers: IncidentParts
    private let rules: AlertRules?
    /// Tells what people changed in files.
    private let fileChanges: FileChangeService
    private let drills: DrillService
    private let exchange: Exchange
    private let storage: any Storage
    private let world: World

    init(
        _ plan: AlertPlan, _ metrics: MetricIngest?, _ ground: IncidentParts.Ground,
        _ records: (events: Events, audit: AuditService),
        _ storage: any Storage, _ replicaID: String, _ settings: Settings, _ world: World
    ) {
        (self.plan, self.storage, self.world) = (plan, storage, world)
        exchange = Exchange(storage: storage, world: world)
        let address = PublicAddress(settings.http)
        self.address = address
        let calling = OnCallFollower()
        let answers = IncidentParts(
            plan, ground, calling, RuleVerification(hasSeries: metrics != nil), records, settings, world)
        self.answers = answers
        let drills = DrillService(
            ground: DrillYard(
                tasks: ground.tasks, agents: ground.agents, access: ground.access, budgets: ground.budgets,
                gateway: ground.gateway),
            incidents: answers.incidents, containments: answers.containments, model: DrillModel.name,
            events: records.events, audit: records.audit, world: world)
        self.drills = drills
        alerts = AlertService(events: records.events, world: world, follower: answers.incidents)
        notices = NoticeParts(
            plan.notification, service: alerts, acknowledging: answers.incidents, events: records.events,
            audit: records.audit, access: ground.access, exchange: exchange, address: address, replicaID: replicaID,
            world: world)
        onCall = OnCallService(
            plan: plan.onCall, notifier: notices.notification, follower: answers.incidents,
            events: records.events, audit: records.audit, storage: storage, world: world)
        calling.begin(onCall)
        let engine = metrics.map { RuleEngine(store: $0.store, externalURL: { address.url }, world: world) }
        let logger = Logger(label: "reeve.alerts")
        self.engine = engine
        let rules = engine.map { [alerts, heart = notices.heart] engine in
            AlertRules(
                engine: engine, service: alerts, sources: plan.rules.settings.rules, temporary: drills,
                retentionDays: plan.rules.settings.retentionDays,
                storage: storage, replica: replicaID, world: world,
                link: { address.url + AlertPages.path(ofAlert: $0) },
                onRound: heart.beat,
                onWarning: { logger.warning("\($0)") })
        }
        self.rules = rules
        fileChanges = FileChangeService(
            settings: settings, onCall: plan.onCall,
            sources: [.runbooks(plan.runbooks)] + (rules.map { rules in [.rules { await rules.files }] } ?? []),
            events: records.events, storage: storage, replica: replicaID, world: world)
    }

    var alertPages: AlertPages.Parts {
        AlertPages.Parts(notification: notices.notification, alerts: alerts, pending: pending) { [rules] in
            await rules?.files.book ?? RuleBook()
        }
    }

    var incidents: IncidentService { answers.incidents }
    var containments: ContainmentService { answers.containments }
    var runbooks: RunbookService { answers.runbooks }
    var incidentMeters: IncidentMeters { answers.incidentMeters }
    var incidentPages: IncidentPages.Parts { answers.pages }

    func resume() async throws {
        try await rules?.resume(plan.rules.book)
        try await fileChanges.begin()
    }

    /// Whether samples are wanted as often as rules look.
    var isHurried: Bool { rules?.isHurried ?? false }

    /// What every list of pending alerts is made of.
    private var pending: any PendingAlerts { rules ?? alerts }

    private var drillRoutes: DrillRoutes { DrillRoutes(service: drills, exchange: exchange) }

    var routes: [Route] {
        AlertRoutes(
            service: alerts, pending: pending, quieting: notices.notification, storage: storage, world: world
        ).routes + notices.routes + drillRoutes.routes
    }

    var loops: [Loop] { (rules?.loops ?? []) + notices.loops + drillRoutes.loops + fileChanges.loops }
}
