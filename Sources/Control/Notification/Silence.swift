import Foundation
import Kernel
import Telemetry

/// A time in which nobody is told of some alerts, such as that of a planned work.
public struct Silence: Sendable {
    /// Silences that have not ended, at most.
    public static let activeMax: Int64 = 1_000
    static let commentMax = 2_000
    /// Those that ended are kept for so long (Alertmanager's `data.retention`).
    static let kept = Span.hours(120)

    public enum State: String, Sendable, CaseIterable {
        case active, pending, expired
    }

    /// A UUID, as clients of Alertmanager expect.
    public let id: String
    /// All of them must match.
    public let matchers: [LabelMatcher]
    public var startsAt: Timestamp
    public var endsAt: Timestamp
    public var updatedAt: Timestamp
    /// Whoever its author says to be; the audit log has the key.
    public let createdBy: String
    public let comment: String

    public func state(at now: Timestamp) -> State {
        if endsAt <= now { return .expired }
        return startsAt <= now ? .active : .pending
    }

    /// Whether matchers leave out next to nothing. Labels that all alerts have are asked for values that they may have;
    /// any other label may be absent.
    static func isOfEverything(_ matchers: [LabelMatcher]) -> Bool {
        // No alert is called so.
        let unlikely = "NoAlertIsCalled_5f1c"
        return matchers.allSatisfy { matcher in
            switch matcher.name {
            case "alertname": matcher.matches(unlikely)
            case "severity": Incident.Severity.allCases.allSatisfy { matcher.matches($0.rawValue) }
            default: matcher.matches("") && matcher.matches(unlikely)
            }
        }
    }

    /// A new id: a UUID of version 4 (RFC 9562 §5.4).
    static func newID(_ world: World) -> String {
        var bytes = world.entropy.bytes(16)
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let digits = Array(Hexadecimal.encode(bytes))
        let cuts = [0, 8, 12, 16, 20, 32]
        return zip(cuts, cuts.dropFirst()).map { String(digits[$0..<$1]) }.joined(separator: "-")
    }
}

extension LabelMatcher {
    var isRegex: Bool { kind == .matches || kind == .matchesNot }
    var isEqual: Bool { kind == .equal || kind == .matches }

    /// As Alertmanager's API has it.
    var object: JSONValue {
        ["name": .string(name), "value": .string(value), "isRegex": .bool(isRegex), "isEqual": .bool(isEqual)]
    }

    init?(object: JSONValue) {
        guard let name = object["name"]?.string, let value = object["value"]?.string else { return nil }
        for name in ["isRegex", "isEqual"] where object[name].map({ $0.bool == nil }) ?? false { return nil }
        let isRegex = object["isRegex"]?.bool ?? false
        let isEqual = object["isEqual"]?.bool ?? true
        let kind: Kind = isRegex ? (isEqual ? .matches : .matchesNot) : (isEqual ? .equal : .notEqual)
        guard let matcher = try? LabelMatcher(name, kind, value) else { return nil }
        self = matcher
    }
}

/// What keeps an alert from being told.
public struct AlertStanding: Sendable, Equatable {
    /// Ids of silences.
    public var silencedBy: [String] = []
    /// Fingerprints of alerts.
    public var inhibitedBy: [String] = []
    /// Each of them in words: by whom or what, and why.
    public var because: [String] = []

    public init() {}

    public var isSuppressed: Bool { !silencedBy.isEmpty || !inhibitedBy.isEmpty }
}

/// How alerts stand to each other and to silences at one moment.
public struct AlertStandings: Sendable {
    /// Alerts that are named as those that keep another quiet.
    static let inhibitorsMax = 10

    private let silences: [Silence]
    private let inhibitions: [(rule: AlertInhibition, sources: [String: [Alert]])]
    private let dependents: [Identifier<Alert>: ProviderDependents]

    /// - Parameters:
    ///   - silences: Those that are in force.
    ///   - dependents: Who leaned on the providers that alerts are about, by the alert's id.
    public init(
        firing: [Alert], silences: [Silence], inhibitions: [AlertInhibition],
        dependents: [Identifier<Alert>: ProviderDependents] = [:]
    ) {
        self.silences = silences
        self.dependents = dependents
        self.inhibitions = inhibitions.compactMap { rule in
            let sources = Dictionary(
                grouping: firing.filter(rule.isCause), by: { Self.key(rule, $0.labels) })
            return sources.isEmpty ? nil : (rule, sources)
        }
    }

    private static func key(_ rule: AlertInhibition, _ labels: LabelSet) -> String {
        rule.equal.map { labels[$0] }.joined(separator: "\0")
    }

    public func standing(of alert: Alert) -> AlertStanding {
        let labels = alert.labels
        var standing = AlertStanding()
        for silence in silences where silence.matchers.match(labels) {
            standing.silencedBy.append(silence.id)
            standing.because.append(
                "silenced by \(silence.createdBy)\(silence.comment.isEmpty ? "" : ": \(silence.comment)")")
        }
        for (rule, sources) in inhibitions where rule.targets.match(labels) {
            let causes = sources[Self.key(rule, labels)] ?? []
            for cause in causes where rule.mutes(labels, by: cause.labels) {
                guard standing.inhibitedBy.count < Self.inhibitorsMax else { break }
                guard !standing.inhibitedBy.contains(cause.fingerprint),
                    let why = reason(alert, follows: cause, by: rule)
                else { continue }
                standing.inhibitedBy.append(cause.fingerprint)
                standing.because.append(why)
            }
        }
        return standing
    }

    /// Why a rule has an alert follow from a cause that its labels allow; `nil` where it does not.
    private func reason(_ alert: Alert, follows cause: Alert, by rule: AlertInhibition) -> String? {
        let said = cause.summary.isEmpty ? cause.name : "\(cause.name) fires (\(cause.summary))"
        guard !rule.isByProvider else {
            return dependents[cause.id]?.reason(alert, follows: cause).map { "\(said), and \($0)" }
        }
        let same = rule.equal.filter { !alert.labels[$0].isEmpty }.map { "\($0) \(alert.labels[$0])" }
        return same.isEmpty ? said : "\(said), with the same \(same.joined(separator: " and "))"
    }
}
