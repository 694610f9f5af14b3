import Kernel
import Telemetry

/// What fires, who is told of it, and silences.
public struct AlertPages: Sendable {
    /// Rows of a part of the page.
    static let rowsMax = 200
    private static let endedMax = 50
    static let endedSince = Span.hours(24)

    /// What the pages show.
    public struct Parts: Sendable {
        let notification: NotificationService
        let alerts: AlertService
        let pending: (any PendingAlerts)?
        /// The rules that are evaluated now.
        let rules: @Sendable () async -> RuleBook

        public init(
            notification: NotificationService, alerts: AlertService, pending: (any PendingAlerts)? = nil,
            rules: @escaping @Sendable () async -> RuleBook = { RuleBook() }
        ) {
            (self.notification, self.alerts, self.pending, self.rules) = (notification, alerts, pending, rules)
        }
    }

    let shell: PageShell
    let notification: NotificationService
    let alerts: AlertService
    let pending: (any PendingAlerts)?
    let rules: @Sendable () async -> RuleBook

    public init(shell: PageShell, parts: Parts) {
        self.shell = shell
        (notification, alerts, pending, rules) = (parts.notification, parts.alerts, parts.pending, parts.rules)
    }

    public var routes: [Route] {
        [
            shell.route("/alerts", .operateOrView, "What fires", handler: show),
            shell.route("/alerts/rules/{name}", .operateOrView, "All about the alerts of a name", handler: showRule),
            shell.route("/alerts/receivers", .operateOrView, "Who is told of alerts", handler: showReceivers),
        ]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let (alerts, notification, pending) = (alerts, notification, pending)
        let (firing, ended, waiting, standings, silences) = try await notification.storage.read { transaction in
            let firing = try alerts.firing(in: transaction)
            return (
                firing, try alerts.ended(since: now - Self.endedSince, limit: Self.endedMax, in: transaction),
                try pending?.pending(in: transaction) ?? [],
                try notification.standings(of: firing, in: transaction),
                try notification.silences.store.open(at: now, in: transaction)
            )
        }
        let canOperate = Permission.operate.admits(request.principal.role)
        let rows = firing.map { AlertRowView($0, standings.standing(of: $0), canOperate: canOperate, now: now) }
        let loud = rows.filter { $0.state == "failed" }.enumerated().sorted { left, right in
            (Self.rank(left.element.severity), left.offset) < (Self.rank(right.element.severity), right.offset)
        }.map(\.element)
        let sections = [
            AlertSectionView("firing", "Firing", loud, max: Self.rowsMax),
            AlertSectionView(
                "pending", "Pending", waiting.map { AlertRowView($0, canOperate: canOperate, now: now) },
                max: Self.rowsMax),
            AlertSectionView("suppressed", "Suppressed", rows.filter { $0.state != "failed" }, max: Self.rowsMax),
            AlertSectionView(
                "ended", "Ended in the last day", ended.map { AlertRowView($0, nil, canOperate: false, now: now) },
                max: Self.rowsMax),
        ].filter { $0.hasRows }
        let view = AlertListView(
            subtitle: "\(PageText.count(Int64(loud.count))) firing", sections: sections,
            isQuiet: loud.isEmpty,
            quiet: EmptyView(
                headline: "Nothing fires",
                explanation: "Alerts of Reeve's rules, and of any Prometheus that sends its own here, turn up here."),
            hasSilences: !silences.isEmpty,
            silences: silences.prefix(Self.rowsMax).map { SilenceRowView($0, canOperate: canOperate, now: now) })
        return try await shell.page(
            "Alerts", at: .alerts, template: "alerts", view: view, topics: ["alert", "silence", "incident"],
            request: request)
    }

    /// What asks nothing of anybody, such as the watchdog, comes last.
    private static func rank(_ severity: String) -> Int {
        ["critical": 0, "warning": 1, "info": 3, "none": 4][severity] ?? 2
    }

    private func showReceivers(_ request: APIRequest) async throws -> APIReply {
        let page = Page(limit: 50, after: try request.page().after)
        let (now, notification) = (shell.world.now, notification)
        let (found, last) = try await notification.storage.read { transaction in
            (
                try notification.store.deliveries(of: nil, page: page, in: transaction),
                try notification.settings.receivers.map {
                    try notification.store.last(of: $0.name, in: transaction)
                }
            )
        }
        let (deliveries, next) = page.cut(found) { $0.id.text }
        let canOperate = Permission.operate.admits(request.principal.role)
        let receivers = zip(notification.settings.receivers, last).map {
            ReceiverRowView($0, last: $1, canOperate: canOperate, now: now)
        }
        let view = ReceiverListView(
            subtitle: PageText.plural(receivers.count, "receiver"), hasReceivers: !receivers.isEmpty,
            receivers: receivers,
            noReceivers: EmptyView(
                headline: "Nobody is told",
                explanation: "Name receivers in the settings file, and alerts are sent there:",
                command: "alerts:\n  receivers:\n    - {name: team, kind: webhook, url: https://example.org/alerts}"),
            hasDeliveries: !deliveries.isEmpty,
            deliveries: deliveries.map { DeliveryRowView($0, now: now) },
            pager: PagerView(after: page.after, next: next, of: "/alerts/receivers"))
        return try await shell.page(
            "Receivers of alerts", at: .alerts, template: "alert-receivers", view: view, topics: ["alert"],
            request: request)
    }
}

// MARK: - Views

struct AlertListView: PageView {
    let subtitle: String
    let sections: [AlertSectionView]
    let isQuiet: Bool
    let quiet: EmptyView
    let hasSilences: Bool
    let silences: [SilenceRowView]
}

/// The alerts of one state.
struct AlertSectionView: PageView {
    let id: String
    let heading: String
    let count: String
    let hasRows: Bool
    let rows: [AlertRowView]
    let rest: String?

    init(_ id: String, _ heading: String, _ rows: [AlertRowView], max: Int) {
        (self.id, self.heading, hasRows) = (id, heading, !rows.isEmpty)
        count = PageText.count(Int64(rows.count))
        self.rows = Array(rows.prefix(max))
        rest = rows.count > max ? "and \(PageText.count(Int64(rows.count - max))) more" : nil
    }
}

/// A choice of how long to silence.
struct SilenceChoiceView: PageView {
    let label: String
    let body: String
}

/// An alert as a row.
struct AlertRowView: PageView {
    let name: String
    let state: String
    let stateLabel: String
    let severity: String
    let summary: String
    let labels: [String]
    let since: TimeView
    let ended: TimeView?
    let reason: String?
    let incident: LinkView?
    let runbook: LinkView?
    let source: LinkView?
    let canSilence: Bool
    let choices: [SilenceChoiceView]

    /// - Parameter standing: `nil` for one that has ended.
    init(_ alert: Alert, _ standing: AlertStanding?, canOperate: Bool, now: Timestamp) {
        name = alert.name.isEmpty ? "(no name)" : alert.name
        switch standing {
        case nil: (state, stateLabel) = ("done", "Ended")
        case let standing? where standing.isSuppressed: (state, stateLabel) = ("paused", "Suppressed")
        default: (state, stateLabel) = ("failed", "Firing")
        }
        severity = alert.severity
        summary = alert.summary
        labels = Self.labels(alert.labels)
        since = .ago(alert.startsAt, now: now)
        ended = .ago(alert.endsAt, now: now)
        reason = standing.flatMap(Self.reason)
        incident = alert.incidentID.map { LinkView(path: "/incidents/\(PagePath.encoded($0))", label: "Incident") }
        runbook = Self.link(alert.annotations["runbook_url"], "Runbook")
        source = Self.link(alert.generatorURL, "Expression")
        canSilence = canOperate && standing.map(\.silencedBy.isEmpty) ?? false
        choices = canSilence ? Self.choices(alert.labels) : []
    }

    init(_ pending: PendingAlert, canOperate: Bool, now: Timestamp) {
        name = pending.labels["alertname"]
        (state, stateLabel) = ("waiting", "Pending")
        severity = pending.labels["severity"]
        summary = pending.annotations["summary"] ?? ""
        labels = Self.labels(pending.labels)
        since = .ago(pending.activeAt, now: now)
        (ended, reason, incident, source) = (nil, nil, nil, nil)
        runbook = Self.link(pending.annotations["runbook_url"], "Runbook")
        canSilence = canOperate
        choices = canOperate ? Self.choices(pending.labels) : []
    }

    private static func labels(_ labels: LabelSet) -> [String] {
        labels.pairs.filter { !["alertname", "severity"].contains($0.name) }
            .map { "\($0.name)=\(PageText.clipped($0.value, 60))" }
    }

    private static func reason(_ standing: AlertStanding) -> String? {
        guard let first = standing.because.first else { return nil }
        let others = standing.because.count - 1
        return PageText.clipped(first, 200) + (others > 0 ? ", and \(others) more" : "")
    }

    /// Only what a browser may go to: the address came from outside.
    private static func link(_ text: String?, _ label: String) -> LinkView? {
        guard let text, text.hasPrefix("https://") || text.hasPrefix("http://") || text.hasPrefix("/") else {
            return nil
        }
        return LinkView(path: text, label: label)
    }

    private static func choices(_ labels: LabelSet) -> [SilenceChoiceView] {
        let matchers: [JSONValue] = labels.pairs.map {
            ["name": .string($0.name), "value": .string($0.value), "isRegex": false, "isEqual": true]
        }
        return [("1 hour", "1h"), ("4 hours", "4h"), ("1 day", "1d")].map { label, duration in
            let body: JSONValue = [
                "matchers": .array(matchers), "duration": .string(duration), "comment": "From the page of alerts",
            ]
            return SilenceChoiceView(label: label, body: body.text)
        }
    }
}

/// A silence as a row.
struct SilenceRowView: PageView {
    let id: String
    let matchers: String
    let comment: String
    let by: String
    let isPending: Bool
    let ends: TimeView
    let canOperate: Bool
    let apiPath: String

    init(_ silence: Silence, canOperate: Bool, now: Timestamp) {
        id = silence.id
        matchers = silence.matchers.map(\.description).joined(separator: ", ")
        (comment, by) = (silence.comment, silence.createdBy)
        isPending = silence.state(at: now) == .pending
        ends = .ago(silence.endsAt, now: now)
        self.canOperate = canOperate
        apiPath = "/api/v2/silence/\(PagePath.encoded(silence.id))"
    }
}

struct ReceiverListView: PageView {
    let subtitle: String
    let hasReceivers: Bool
    let receivers: [ReceiverRowView]
    let noReceivers: EmptyView
    let hasDeliveries: Bool
    let deliveries: [DeliveryRowView]
    let pager: PagerView
}

/// A receiver as a row.
struct ReceiverRowView: PageView {
    let name: String
    let kind: String
    let host: String
    let state: String
    let stateLabel: String
    let last: TimeView?
    let canOperate: Bool
    let apiPath: String

    init(_ receiver: AlertReceiver, last: NotificationDelivery?, canOperate: Bool, now: Timestamp) {
        (name, kind, host) = (receiver.name, receiver.kind.rawValue, receiver.host)
        (state, stateLabel) = last.map(DeliveryRowView.state) ?? ("scheduled", "Not told yet")
        self.last = last.map { .ago($0.at, now: now) }
        self.canOperate = canOperate
        apiPath = "/api/v1/notifications/receivers/\(PagePath.encoded(name))/test"
    }
}

/// An attempt as a row.
struct DeliveryRowView: PageView {
    let id: String
    let receiver: String
    let state: String
    let stateLabel: String
    let reason: String
    let alerts: String
    let attempt: String
    let answer: String
    let took: String
    let at: TimeView

    static func state(_ delivery: NotificationDelivery) -> (String, String) {
        switch delivery.outcome.state {
        case .delivered: ("done", "Delivered")
        case .failed: ("failed", "Failed")
        case .refused: ("rejected", "Refused")
        }
    }

    init(_ delivery: NotificationDelivery, now: Timestamp) {
        id = delivery.id.text
        receiver = delivery.receiver
        (state, stateLabel) = Self.state(delivery)
        reason = delivery.reason
        alerts = PageText.plural(delivery.alerts, "alert")
        attempt = delivery.attempt > 1 ? "attempt \(delivery.attempt)" : ""
        let status = delivery.outcome.status.map { "\($0) " } ?? ""
        answer = PageText.clipped(status + delivery.outcome.answer, 120)
        took = "\(PageText.count(delivery.milliseconds)) ms"
        at = .ago(delivery.at, now: now)
    }
}
