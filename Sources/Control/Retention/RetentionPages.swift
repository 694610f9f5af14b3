import Kernel
import Telemetry

/// The legal holds, beside the audit log.
public struct RetentionPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let service: RetentionService

    /// Holds shown on one page.
    private static let holdsMax = 200

    public init(shell: PageShell, storage: any Storage, service: RetentionService) {
        self.shell = shell
        self.storage = storage
        self.service = service
    }

    public var routes: [Route] { [shell.route("/audit/holds", .operate, "The legal holds", handler: show)] }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let page = Page(limit: Self.holdsMax, after: try request.page().after)
        let found = try await storage.read { try service.holds.list(page: page, in: $0) }
        let (holds, next) = page.cut(found) { $0.id.text }
        let inForce = holds.count { $0.liftedAt == nil }
        let unkept = service.unkept()
        let view = LegalHoldListView(
            subtitle: "\(inForce) in force",
            unkept: unkept == 0
                ? nil : "\(PageText.plural(unkept, "trace")) with an error went. \(UnkeptTraces.advice)",
            hasHolds: !holds.isEmpty,
            holds: holds.map { LegalHoldRowView($0, now: shell.world.now) },
            noHolds: EmptyView(
                headline: "No holds", explanation: "What is under a hold outlives its time until the hold is lifted."),
            pager: PagerView(after: page.after, next: next, of: "/audit/holds"))
        return try await shell.page(
            "Legal holds", at: .audit, template: "legal-holds", view: view, topics: ["telemetry"], request: request)
    }
}

struct LegalHoldListView: PageView {
    let subtitle: String
    /// What could not be kept for longer, and what to do; `nil` where nothing was to be kept.
    let unkept: String?
    let hasHolds: Bool
    let holds: [LegalHoldRowView]
    let noHolds: EmptyView
    let pager: PagerView
}

/// A hold as a row.
struct LegalHoldRowView: PageView {
    let id: String
    let state: String
    let kind: String
    let target: String
    let reason: String
    let by: String
    let created: TimeView
    let lifted: String?
    let apiPath: String

    init(_ hold: LegalHold, now: Timestamp) {
        id = hold.id.text
        state = hold.liftedAt == nil ? "held" : "done"
        kind = hold.kind
        target = hold.text
        reason = hold.reason
        by = hold.createdBy
        created = .ago(hold.createdAt, now: now)
        lifted = hold.liftedBy
        apiPath = "/api/v1/telemetry/holds/\(id)"
    }
}
