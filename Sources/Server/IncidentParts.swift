import Control
import Gateway
import Kernel

/// Incidents, and those who act on them: containments, runbooks, and people.
struct IncidentParts: Sendable {
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
    let incidents: IncidentService
    let containments: ContainmentService
    let runbooks: RunbookService

    /// - Parameter calling: Tells people of incidents.
    init(
        _ plan: AlertPlan, _ ground: Ground, _ calling: OnCallFollower, _ verification: RuleVerification,
        _ records: (events: Events, audit: AuditService), _ settings: Settings, _ world: World
    ) {
        func incidents(_ followers: [any IncidentFollower]) -> IncidentService {
            IncidentService(
                events: records.events, audit: records.audit, world: world, followers: followers,
                surroundings: IncidentSurroundings(tasks: ground.tasks, calls: ground.calls),
                policy: IncidentPolicy(settings.incidents), verifications: [verification], runbooks: plan.runbooks)
        }
        func containments(_ incidents: IncidentService) -> ContainmentService {
            ContainmentService(
                agents: ground.agents, tasks: ground.tasks, queues: ground.queues, budgets: ground.budgets,
                models: ContainedModels(gateway: ground.gateway), holds: ground.gateway, policy: plan.containment,
                runbooks: plan.runbooks,
                alerts: AlertService(events: records.events, world: world), incidents: incidents,
                events: records.events, audit: records.audit, world: world)
        }
        func runbooks(_ containments: ContainmentService) -> RunbookService {
            RunbookService(
                shelf: plan.runbooks, containments: containments, events: records.events, audit: records.audit,
                world: world)
        }
        // Those who follow write into timelines alone. What acts and verifies brings incidents further, and all who
        // follow are told of that.
        let following = containments(incidents([]))
        self.incidents = incidents([following, runbooks(following), calling])
        self.containments = containments(self.incidents)
        self.runbooks = runbooks(self.containments)
    }

    var pages: IncidentPages.Parts {
        IncidentPages.Parts(
            service: incidents,
            sections: [ContainmentRoom(service: containments), RunbookRoom(service: runbooks)],
            containments: containments)
    }
}
