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

    /// What follows from what. Agents, models and task types do not say which provider they lean on, so an outage of
    /// one keeps their alerts quiet whatever the provider; timeouts name theirs.
    private static let inhibitions: [JSONValue] = [
        [
            "source_matchers": [named(ModelRules.providerOutage)], "target_matchers": [named(ModelRules.modelTimeouts)],
            "equal": ["provider"],
        ],
        [
            "source_matchers": [named(ModelRules.providerOutage)],
            "target_matchers": [
                named(
                    ModelRules.highErrorRate, ModelRules.errorRateSpike, FleetRules.taskStuck, FleetRules.queueBackup,
                    BehaviourRules.sessionAbnormal, TaskRules.cascadingFailure, QualityRules.modelSlow,
                    QualityRules.breakerFlapping)
            ],
        ],
        [
            "source_matchers": [named(FleetRules.fleetPaused)],
            "target_matchers": [named(FleetRules.agentDown, FleetRules.taskStuck, FleetRules.queueBackup)],
        ],
    ]

    private static func named(_ rules: AlertRule...) -> JSONValue {
        let names = rules.map(\.name).joined(separator: "|")
        return .string(rules.count == 1 ? "alertname=\"\(names)\"" : "alertname=~\"\(names)\"")
    }

    private func receiver(_ name: String) -> JSONValue {
        var object = JSONObject([.init(name: "name", value: .string(name))])
        if let webhook {
            object.append("webhook_configs", [["url": .string(webhook), "send_resolved": true]])
        }
        return .object(object)
    }
}
