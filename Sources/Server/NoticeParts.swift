import Control
import Kernel
import Logging

/// Who is told of alerts, and who tells of them.
struct NoticeParts: Sendable {
    let notification: NotificationService
    /// Notices when nothing is evaluated: what evaluates tells it of each round.
    let heart: AlertHeart

    private let service: AlertService

    private let intake: AlertEventService
    private let audit: AuditService
    private let access: AccessService
    private let exchange: Exchange
    private let world: World

    init(
        _ receivers: NotificationSettings, service: AlertService, acknowledging: any AlertAcknowledging,
        events: Events, audit: AuditService, access: AccessService, exchange: Exchange, address: PublicAddress,
        replicaID: String, world: World
    ) {
        let storage = exchange.storage
        (self.audit, self.access, self.exchange, self.world) = (audit, access, exchange, world)
        self.service = service
        intake = AlertEventService(
            alerts: service, events: events, follower: acknowledging, world: world)
        heart = AlertHeart(
            alerts: service, storage: storage, replica: replicaID, externalURL: { address.url }, world: world)
        notification = NotificationService(
            settings: receivers, alerts: service,
            silences: SilenceService(events: events, audit: audit, world: world), courier: NotificationTransport(),
            storage: storage, externalURL: { address.url }, replica: replicaID,
            world: world
        ) { Logger(label: "reeve.alerts").warning("\($0)") }
    }

    static let schemas = AlertmanagerRoutes.schemas + AlertEventRoutes.schemas + NotificationRoutes.schemas

    var routes: [Route] {
        AlertmanagerRoutes(notification: notification, alerts: service, exchange: exchange, world: world).routes
            + AlertEventRoutes(service: intake, access: access, storage: exchange.storage).routes
            + NotificationRoutes(service: notification, audit: audit, exchange: exchange).routes
    }

    var loops: [Loop] {
        notification.loops + heart.loops + [
            Loop("alerts.events", every: .minutes(10)) {
                try await exchange.storage.write { [intake] in try intake.forget(in: $0) }
            }
        ]
    }
}
