import Kernel
import Telemetry

/// What a receiver is told at one time: the alerts of one group.
public struct AlertBundle: Sendable {
    /// Alerts that are told at most; the rest is counted.
    public static let alertsMax = 500

    /// One alert as it is told.
    public struct Item: Sendable {
        public let labels: LabelSet
        public let annotations: [String: String]
        public let startsAt: Timestamp
        /// `nil` while it fires.
        public let endsAt: Timestamp?
        /// Where its expression is shown.
        public let generatorURL: String

        public var isFiring: Bool { endsAt == nil }

        init(_ alert: Alert) {
            labels = alert.labels
            annotations = alert.annotations
            (startsAt, endsAt, generatorURL) = (alert.startsAt, alert.endsAt, alert.generatorURL)
        }

        init(
            labels: LabelSet, annotations: [String: String], startsAt: Timestamp, endsAt: Timestamp? = nil,
            generatorURL: String = ""
        ) {
            (self.labels, self.annotations, self.startsAt) = (labels, annotations, startsAt)
            (self.endsAt, self.generatorURL) = (endsAt, generatorURL)
        }
    }

    public let receiver: String
    public let groupKey: String
    public let groupLabels: LabelSet
    public let externalURL: String
    /// The firing ones first.
    public let items: [Item]
    public let truncated: Int

    public init(receiver: String, groupKey: String, groupLabels: LabelSet, externalURL: String, items: [Item]) {
        (self.receiver, self.groupKey, self.groupLabels, self.externalURL) = (
            receiver, groupKey, groupLabels, externalURL
        )
        let sorted = items.sorted { left, right in
            left.isFiring == right.isFiring ? left.labels < right.labels : left.isFiring
        }
        self.items = Array(sorted.prefix(Self.alertsMax))
        truncated = sorted.count - self.items.count
    }

    public var isFiring: Bool { items.contains(where: \.isFiring) }
    public var status: String { isFiring ? "firing" : "resolved" }

    /// Labels that all have with the same values.
    public var commonLabels: LabelSet {
        guard let first = items.first else { return .none }
        let pairs = first.labels.pairs.filter { pair in items.allSatisfy { $0.labels[pair.name] == pair.value } }
        return LabelSet(pairs.map { ($0.name, $0.value) })
    }

    public var commonAnnotations: [String: String] {
        guard let first = items.first else { return [:] }
        return first.annotations.filter { pair in items.allSatisfy { $0.annotations[pair.key] == pair.value } }
    }

    /// Where a reader finds what it is about: what all of it comes from, where that is ours, else the page of the
    /// alerts of its name, else that of all alerts.
    public var link: String {
        let sources = Set(items.map(\.generatorURL))
        if sources.count == 1, let source = sources.first, source.hasPrefix("\(externalURL)/") { return source }
        let name = commonLabels["alertname"]
        return externalURL + (name.isEmpty ? "/alerts" : AlertPages.path(ofAlert: name))
    }

    /// One line for people: `[FIRING:2] AgentDown (writer)`.
    public var title: String {
        let firing = items.count(where: \.isFiring)
        let mark = firing > 0 ? "FIRING:\(firing + (isFiring ? truncated : 0))" : "RESOLVED"
        let others = groupLabels.pairs.filter { $0.name != "alertname" }.map(\.value)
        let name = commonLabels["alertname"]
        return "[\(mark)] \(name.isEmpty ? "\(items.count) alerts" : name)"
            + (others.isEmpty ? "" : " (\(others.joined(separator: " ")))")
    }
}

// MARK: - Webhook

extension AlertBundle: JSONConvertible {
    /// The body of a webhook of version 4 (prometheus.io/docs/alerting/0.25/configuration, "webhook_config").
    public var json: JSONValue {
        [
            "receiver": .string(receiver), "status": .string(status), "alerts": .list(items),
            "groupLabels": groupLabels.object, "commonLabels": commonLabels.object,
            "commonAnnotations": commonAnnotations.sortedObject, "externalURL": .string(externalURL),
            "version": "4", "groupKey": .string(groupKey), "truncatedAlerts": .int(Int64(truncated)),
        ]
    }
}

extension AlertBundle.Item: JSONConvertible {
    /// What stands for the end of an alert that has none.
    private static let noEnd = "0001-01-01T00:00:00Z"

    public var json: JSONValue {
        [
            "status": .string(isFiring ? "firing" : "resolved"), "labels": labels.object,
            "annotations": annotations.sortedObject, "startsAt": .string(startsAt.rfc3339),
            "endsAt": .string(endsAt?.rfc3339 ?? Self.noEnd), "generatorURL": .string(generatorURL),
            "fingerprint": .string(labels.fingerprintText),
        ]
    }
}
