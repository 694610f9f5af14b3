import Kernel

/// The settings of an Alertmanager that groups the shipped alerts and keeps quiet what follows from others.
public struct AlertmanagerExport: Sendable {
    /// Where alerts are posted; `nil` leaves the receivers without a way to anybody.
    public var webhook: String?

    public init(webhook: String?) { self.webhook = webhook }

    public var files: [ExportFile] {
        [
            ExportFile(
                path: "alertmanager.yml",
                text: """
                    # Alertmanager beside Reeve, by `reeve export alertmanager`.
                    # \(webhook == nil ? Self.nobody : Self.somebody)
                    # `amtool check-config alertmanager.yml` says whether all is well.

                    """ + YAMLDocument.text(document))
        ]
    }

    private static let somebody = "The receivers post to the webhook; add mail, chat or pagers to them."
    private static let nobody = "The receivers reach nobody yet: give them webhook_configs, email_configs or others."

    private var document: JSONValue {
        [
            "route": route,
            "inhibit_rules": .array(Self.inhibitions),
            "receivers": .array(
                ["reeve-critical", "reeve-warning", "reeve-watchdog"].map(receiver) + [["name": "nobody"]]),
        ]
    }

    /// Waits and repeats are Alertmanager's own defaults, written down.
    private var route: JSONValue {
        [
            "receiver": "reeve-warning", "group_by": ["alertname", "agent_type", "provider"], "group_wait": "30s",
            "group_interval": "5m", "repeat_interval": "4h",
            "routes": [
                [
                    "receiver": "reeve-watchdog", "matchers": [Self.named(TelemetryRules.watchdog)],
                    "group_wait": "0s", "group_interval": "1m", "repeat_interval": "5m",
                ],
                ["receiver": "nobody", "matchers": [#"severity="none""#]],
                ["receiver": "reeve-critical", "matchers": [#"severity="critical""#]],
            ],
        ]
    }

    /// Those that labels decide: an Alertmanager does not know who calls which provider, and would keep the whole fleet
    /// quiet.
    private static let inhibitions: [JSONValue] = ShippedInhibitions.entries.filter { !$0.isByProvider }.map { entry in
        var rule = JSONObject()
        rule["source_matchers"] = .array([named(entry.sources)])
        rule["target_matchers"] = .array([named(entry.targets)])
        if !entry.equal.isEmpty { rule["equal"] = .list(entry.equal) }
        return .object(rule)
    }

    private static func named(_ rules: AlertRule...) -> JSONValue { named(rules.map(\.name)) }

    private static func named(_ names: [String]) -> JSONValue {
        .string(names.count == 1 ? "alertname=\"\(names[0])\"" : "alertname=~\"\(names.joined(separator: "|"))\"")
    }

    private func receiver(_ name: String) -> JSONValue {
        var object = JSONObject([.init(name: "name", value: .string(name))])
        if let webhook {
            object.append("webhook_configs", [["url": .string(webhook), "send_resolved": true]])
        }
        return .object(object)
    }
}
