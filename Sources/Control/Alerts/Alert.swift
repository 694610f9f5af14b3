import Kernel
import Telemetry

/// Something that somebody should know of, from its beginning to its end: the condition of a rule held, or another
/// system said so.
public struct Alert: Sendable, Identified {
    public static let idPrefix = "alert"
    /// Alerts that fire at one time, at most; see ``AlertShares``.
    public static let firingMax = AlertShares().ofRules + AlertShares().posted
    /// Labels, and annotations, of one alert.
    public static let labelsMax = 64
    /// Characters of a label's value.
    public static let labelMax = 1_024
    /// Characters of an annotation.
    public static let annotationMax = 8_192
    /// Bytes of all labels and annotations of one alert, and of where its expression is shown.
    public static let bytesMax = 16_384

    public enum Origin: String, Sendable, CaseIterable {
        /// A rule that Reeve evaluates.
        case rule
        /// Somebody who speaks Alertmanager's API, such as a Prometheus.
        case external
    }

    /// Of this episode: the same alert that begins anew is another one.
    public let id: Identifier<Alert>
    /// With `alertname`; an alert is the same as another if it has the same labels.
    public let labels: LabelSet
    public var annotations: [String: String]
    /// What the rule's expression gave at last; `nil` for those of others.
    public var value: Double?
    public var origin: Origin
    /// Since when its condition holds.
    public let activeAt: Timestamp
    /// Since when it fires.
    public let startsAt: Timestamp
    /// `nil` while it fires.
    public var endsAt: Timestamp?
    /// When it was heard of at last.
    public var updatedAt: Timestamp
    /// Where its expression is shown.
    public var generatorURL: String
    /// The incident that it belongs to.
    public var incidentID: String?

    public var isFiring: Bool { endsAt == nil }
    public var name: String { labels["alertname"] }
    public var severity: String { labels["severity"] }
    public var summary: String { annotations["summary"] ?? "" }
    public var fingerprint: String { labels.fingerprintText }
}

/// What somebody says of an alert: that it fires, or has ended.
public struct AlertPost: Sendable {
    public let labels: LabelSet
    public var annotations: [String: String]
    public var value: Double?
    /// Since when its condition holds; `nil` for ``startsAt``.
    public var activeAt: Timestamp?
    public var startsAt: Timestamp?
    /// When it ended, or when it counts as ended if nobody says anything further; `nil` for
    /// ``AlertService/resolveAfter`` from now.
    public var endsAt: Timestamp?
    public var generatorURL: String

    public init(
        labels: LabelSet, annotations: [String: String] = [:], value: Double? = nil, activeAt: Timestamp? = nil,
        startsAt: Timestamp? = nil, endsAt: Timestamp? = nil, generatorURL: String = ""
    ) {
        self.labels = labels
        self.annotations = annotations
        self.value = value
        self.activeAt = activeAt
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.generatorURL = generatorURL
    }
}

/// What became of an alert, for those who act on it.
public enum AlertChange: Sendable {
    case fired(Alert)
    case resolved(Alert)

    public var alert: Alert {
        switch self {
        case .fired(let alert), .resolved(let alert): alert
        }
    }
}

/// Who acts on alerts in the same transaction in which they begin and end: incidents.
public protocol AlertFollower: Sendable {
    /// - Returns: The incident that the alert belongs to from now on, or `nil`.
    func fired(_ alert: Alert, in transaction: Transaction) throws -> String?
    func resolved(_ alert: Alert, in transaction: Transaction) throws
}

extension LabelSet {
    /// FNV-1a of 64 bits over names and values, each followed by a byte of 255 (Prometheus, `model.LabelSet`).
    public var fingerprint: UInt64 {
        var hash: UInt64 = 14_695_981_039_346_656_037
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
        for pair in pairs {
            pair.name.utf8.forEach(add)
            add(255)
            pair.value.utf8.forEach(add)
            add(255)
        }
        return hash
    }

    /// Sixteen digits of base 16.
    public var fingerprintText: String {
        let digits = String(fingerprint, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// An object of names and values.
    public var object: JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.name, value: .string($0.value)) }))
    }

    init(object: JSONValue) {
        self.init((object.object?.members ?? []).map { ($0.name, $0.value.string ?? "") })
    }
}

extension [String: String] {
    /// An object in the order of names.
    var sortedObject: JSONValue {
        .object(JSONObject(sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) }))
    }

    init(object: JSONValue) {
        self.init(
            (object.object?.members ?? []).map { ($0.name, $0.value.string ?? "") }, uniquingKeysWith: { $1 })
    }
}

extension Alert {
    /// What events and the timeline say of it.
    var facts: JSONValue {
        [
            "alertId": id.json, "alertname": .string(name), "severity": .string(severity),
            "fingerprint": .string(fingerprint), "labels": labels.object, "summary": .string(summary),
            "origin": .string(origin.rawValue), "incident": .of(incidentID),
        ]
    }
}
