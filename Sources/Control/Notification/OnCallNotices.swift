import Foundation
import Kernel
import Telemetry

/// Brings the notices of on-call to receivers: to one by its name, or to a person's address by the way that the
/// settings' receivers of that kind have.
extension NotificationService: OnCallNotifying {
    /// A notice that did not arrive.
    struct NotDelivered: Error, CustomStringConvertible {
        let description: String
    }

    public func notify(_ notice: OnCallNotice) async throws {
        guard let receiver = try receiver(for: notice) else {
            throw NotDelivered(description: "nobody is on call")
        }
        let labels = LabelSet([
            ("alertname", notice.isReminder ? "PostmortemDue" : "OnCall"), ("severity", notice.severity),
            ("incident", notice.incident),
            ("path", notice.path.rawValue), ("person", notice.person ?? ""),
        ])
        let link = "\(address)/incidents/\(notice.incident)"
        let item = AlertBundle.Item(
            labels: labels, annotations: ["summary": notice.title, "incident_url": link], startsAt: notice.createdAt,
            endsAt: notice.action == .resolve ? notice.createdAt : nil, generatorURL: link)
        let outcome = await voice(receiver).say(
            ReceiverVoice.Saying(
                // All steps of an escalation are about the same: its end is the end of each.
                groupKey: "oncall:\(notice.escalation.text)", groupLabels: labels, items: [item],
                messageID: "msg_\(notice.key)", isAcknowledged: notice.action == .acknowledge))
        guard outcome.state == .delivered else { throw NotDelivered(description: outcome.answer) }
    }

    /// The receiver of the root route, which hears of what no other route is for.
    public var general: OnCallChannel? { settings.route.map { .receiver($0.receiver) } }

    /// PagerDuty pages on until it hears more.
    public func keepsOpen(_ channel: OnCallChannel) -> Bool {
        guard case .receiver(let name) = channel else { return false }
        return settings.receiver(name)?.kind == .pagerduty
    }

    private static func isSameServer(_ one: String, _ other: String?) -> Bool {
        guard let one = URLComponents(string: one), let other = other.flatMap(URLComponents.init(string:)) else {
            return false
        }
        return one.scheme == other.scheme && one.host == other.host && one.port == other.port && one.host != nil
    }

    private func receiver(for notice: OnCallNotice) throws -> AlertReceiver? {
        switch notice.channel {
        case nil: return nil
        case .receiver(let name):
            guard let receiver = settings.receiver(name) else {
                throw NotDelivered(description: "alerts.receivers has none that is called \(name)")
            }
            return receiver
        case .email(let address):
            guard var receiver = settings.receivers.first(where: { $0.kind == .smtp }), receiver.mail != nil else {
                throw NotDelivered(description: "alerts.receivers has none of the kind smtp, which mail goes by")
            }
            receiver.mail?.to = [address]
            return receiver
        case .ntfy(let topic):
            guard var receiver = settings.receivers.first(where: { $0.kind == .ntfy }) else {
                throw NotDelivered(description: "alerts.receivers has none of the kind ntfy, which topics go by")
            }
            if !Self.isSameServer(topic, receiver.url) {
                // What is for one server is not for another.
                (receiver.bearer, receiver.headers, receiver.caFile, receiver.allowPrivate) = (nil, [], nil, false)
            }
            (receiver.url, receiver.urlSecret) = (topic, nil)
            return receiver
        }
    }
}

extension NotificationSettings {
    /// What is missing for notices of on-call to go a way, and what to do; `nil` where they can.
    func lack(of channel: OnCallChannel) -> String? {
        let names = receivers.map(\.name).sorted()
        switch channel {
        case .receiver(let name):
            guard receiver(name) == nil else { return nil }
            let known = names.isEmpty ? "" : ", or name one that is there: \(names.prefix(20).joined(separator: ", "))"
            return "there is no receiver \(name): add it to alerts.receivers of the settings\(known)"
        case .email:
            guard !receivers.contains(where: { $0.kind == .smtp }) else { return nil }
            return "mail goes by a receiver of the kind smtp: add one to alerts.receivers of the settings"
        case .ntfy:
            guard !receivers.contains(where: { $0.kind == .ntfy }) else { return nil }
            return "topics go by a receiver of the kind ntfy: add one to alerts.receivers of the settings"
        }
    }
}

extension IncidentService: AlertAcknowledging {
    /// Whoever acknowledges an alert sees to its incident, where nothing in it fires that somebody else told of.
    public func acknowledged(
        _ alert: Alert, by principal: Principal, in transaction: Transaction, where isOwn: (String) throws -> Bool
    ) throws {
        guard let id = alert.incidentID.map({ Identifier<Incident>(stored: $0) }),
            let incident = try store.incident(id, in: transaction), incident.isOpen
        else { return }
        let firing = try links.alerts(of: id, limit: Incident.alertsMax, in: transaction).filter { $0.endedAt == nil }
        guard try firing.allSatisfy({ try isOwn($0.fingerprint) }) else { return }
        _ = try state(.acknowledged, of: id.text, note: "", by: principal, in: transaction)
    }
}

extension IncidentService: OnCallFollowing {
    /// Whoever answers a page sees to the incident.
    public func acknowledged(incident: String, by principal: Principal, in transaction: Transaction) throws {
        guard let id = Identifier<Incident>(incident), try self.incident(id, in: transaction) != nil else { return }
        _ = try reach(.acknowledged, of: id, by: principal, in: transaction)
    }
}

extension NotificationService: AlertQuieting {
    public func quiet(
        among firing: [Alert], in transaction: Transaction
    ) throws -> [Identifier<Alert>: AlertStanding] { try standings(firing, in: transaction) }
}
