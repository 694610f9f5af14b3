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
        let access: AccessService
        let gateway: ModelGateway
        let calls: CallService
    }

    let incidentMeters = IncidentMeters()
    let alerts: AlertService
    let incidents: IncidentService
    /// `nil` where no metrics are kept, as in simulations.
    let engine: RuleEngine?
    let address: PublicAddress
    private let rules: AlertRules?
    private let drills: DrillService
    private let exchange: Exchange
    private let set: AlertRuleSet
    private let storage: any Storage
    private let world: World

    init(
        _ set: AlertRuleSet, _ metrics: MetricIngest?, _ ground: Ground,
        _ records: (events: Events, audit: AuditService),
        _ storage: any Storage, _ replicaID: String, _ settings: Settings, _ world: World
    ) {
        (self.set, self.storage, self.world) = (set, storage, world)
        exchange = Exchange(storage: storage, world: world)
        let drills = DrillService(
            ground: DrillYard(
                tasks: ground.tasks, agents: ground.agents, access: ground.access, gateway: ground.gateway),
            model: DrillModel.name, events: records.events, audit: records.audit, world: world)
        self.drills = drills
        incidents = IncidentService(
            events: records.events, audit: records.audit, world: world,
            surroundings: IncidentSurroundings(tasks: ground.tasks, calls: ground.calls),
            policy: IncidentPolicy(settings.incidents))
        alerts = AlertService(events: records.events, world: world, follower: incidents)
        let address = PublicAddress(settings.http)
        self.address = address
        let engine = metrics.map { RuleEngine(store: $0.store, externalURL: { address.url }, world: world) }
        let logger = Logger(label: "reeve.alerts")
        self.engine = engine
        rules = engine.map { [alerts] engine in
            AlertRules(
                engine: engine, service: alerts, sources: set.settings.rules, temporary: drills, storage: storage, replica: replicaID,
                world: world, link: { _ in "\(address.url)/alerts" }, onWarning: { logger.warning("\($0)") })
        }
    }

    func resume() async throws { try await rules?.resume(set.book) }

    /// Whether samples are wanted as often as rules look.
    var isHurried: Bool { rules?.isHurried ?? false }

    private var drillRoutes: DrillRoutes { DrillRoutes(service: drills, exchange: exchange) }

    var routes: [Route] {
        AlertRoutes(service: alerts, rules: rules, storage: storage, world: world).routes + drillRoutes.routes
    }

    var loops: [Loop] { (rules?.loops ?? []) + drillRoutes.loops }
}
