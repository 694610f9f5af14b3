import Kernel
import Synchronization

/// Who did what to the fleet, and whether the record is whole.
public struct AuditPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let audit: AuditService
    private let latest = LatestReport()

    private static let rowsMax = 100
    /// The page comes anew with every act, and a walk along the whole chain is not worth that.
    private static let reportLifetime = Span.seconds(Int64(20))

    public init(shell: PageShell, storage: any Storage, audit: AuditService) {
        self.shell = shell
        self.storage = storage
        self.audit = audit
    }

    public var routes: [Route] {
        [shell.route("/audit", PagePlace.audit.permission, "The audit log", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let before = request.queryValue("before").flatMap(Int64.init)
        let rows = try await storage.read {
            try audit.latest(before: before ?? .max, limit: Self.rowsMax, in: $0)
        }
        let report = try await report(now: now)
        let view = AuditListView(
            subtitle: PageText.plural(report.rows, "row"), chain: AuditChainView(report), hasRows: !rows.isEmpty,
            rows: rows.map { AuditRowView($0, now: now) },
            noRows: EmptyView(
                headline: "No acts yet",
                explanation: "Keys made, queues paused, agents drained: each leaves a row here."),
            pager: PagerView(after: before, next: rows.count == Self.rowsMax ? rows.last?.number : nil) {
                PagePath.query("/audit", [("before", $0.map(String.init))])
            })
        return try await shell.page(
            "Audit", at: .audit, template: "audit", view: view, topics: ["key", "queue", "agent"], request: request)
    }

    private func report(now: Timestamp) async throws -> AuditReport {
        if let known = latest.known.withLock(\.self), now - known.at < Self.reportLifetime { return known.report }
        let report = try await audit.verify(storage)
        latest.known.withLock { $0 = (now, report) }
        return report
    }
}

/// What the last walk along the chain found.
private final class LatestReport: Sendable {
    let known = Mutex<(at: Timestamp, report: AuditReport)?>(nil)
}

struct AuditListView: PageView {
    let subtitle: String
    let chain: AuditChainView
    let hasRows: Bool
    let rows: [AuditRowView]
    let noRows: EmptyView
    let pager: PagerView
}

/// Whether the chain holds.
struct AuditChainView: PageView {
    let state: String
    let stateLabel: String
    let text: String
    let head: String

    init(_ report: AuditReport) {
        state = report.isValid ? "valid" : "broken"
        stateLabel = report.isValid ? "Valid" : "Broken"
        text =
            report.isValid
            ? "Each of the \(PageText.plural(report.rows, "row")) is bound to the one before."
            : "Row \(report.brokenAt ?? 0) is not as it was written, or is missing. "
                + "Restore the store from a backup, and find out who could write to it."
        head = String(report.head.prefix(12))
    }
}

/// One act.
struct AuditRowView: PageView {
    let seq: Int64
    let at: TimeView
    let actor: String
    let action: String
    let subject: String
    let details: String?
    let hash: String
    let shortHash: String

    init(_ entry: AuditEntry, now: Timestamp) {
        seq = entry.number
        at = .ago(entry.at, now: now)
        actor = entry.actor
        action = entry.action
        subject = entry.target
        let document = try? JSONParser.parse(entry.detail, depthMax: Limits.jsonDepthStored)
        let text = document?.prettyText ?? entry.detail
        details = document?.object?.isEmpty == true ? nil : DeliverablePreview.clipped(text)
        hash = entry.hash
        shortHash = String(entry.hash.prefix(12))
    }
}
