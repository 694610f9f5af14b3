import Kernel
import Telemetry

/// Where alerts go, as a tree: an alert goes down to the first route below that matches it, and on to the next ones
/// where that says so (prometheus.io/docs/alerting/0.25/configuration, "route").
public struct AlertRoute: Sendable {
    /// What alerts of a group have in common.
    public enum Grouping: Sendable, Equatable {
        case by([String])
        /// Each alert by itself: `...`.
        case all

        func labels(of labels: LabelSet) -> LabelSet {
            switch self {
            case .by(let names): labels.keeping(LabelNames(names))
            case .all: labels
            }
        }
    }

    /// From the root on: `{}/{team="a"}`.
    public let key: String
    public let matchers: [LabelMatcher]
    public let receiver: String
    public let grouping: Grouping
    /// How long a new group waits for others to come with it.
    public let groupWait: Span
    /// How long a group waits after it was told before what is new in it is.
    public let groupInterval: Span
    /// When what goes on firing is told again.
    public let repeatInterval: Span
    /// Names of times at which nothing is told.
    public let muteTimes: [String]
    /// Names of times at which something is told; none for always.
    public let activeTimes: [String]
    public let goesOn: Bool
    public let routes: [AlertRoute]
    /// Whether it, or one above it, asks for alerts by their name or severity: it means what it gets.
    public var isExpress = false

    /// This route and all below it.
    public var all: [AlertRoute] { [self] + routes.flatMap(\.all) }

    /// The routes that an alert with these labels takes.
    public func matching(_ labels: LabelSet) -> [AlertRoute] {
        guard matchers.match(labels) else { return [] }
        var found: [AlertRoute] = []
        for route in routes {
            let below = route.matching(labels)
            found += below
            if !below.isEmpty, !route.goesOn { break }
        }
        return found.isEmpty ? [self] : found
    }
}

/// What a receiver was told of a group at last.
public struct AlertNotice: Sendable, Equatable {
    /// Fingerprints of alerts.
    public var firing: Set<UInt64>
    public var resolved: Set<UInt64>
    public var at: Timestamp

    public init(firing: Set<UInt64>, resolved: Set<UInt64>, at: Timestamp) {
        (self.firing, self.resolved, self.at) = (firing, resolved, at)
    }

    /// Whether a receiver has to be told, and why (Alertmanager 0.25, `notify.DedupStage.needsUpdate`).
    public enum Reason: String, Sendable {
        case first, newAlerts, allResolved, someResolved, repetition
    }

    /// - Parameters:
    ///   - last: What it was told before; `nil` for nothing.
    ///   - sendsResolved: Whether it hears of ends.
    public static func reason(
        after last: AlertNotice?, firing: Set<UInt64>, resolved: Set<UInt64>, sendsResolved: Bool,
        repeatInterval: Span, now: Timestamp
    ) -> Reason? {
        guard let last else { return firing.isEmpty ? nil : .first }
        if !firing.isSubset(of: last.firing) { return .newAlerts }
        // Also where ends are not told: what was told as firing must be forgotten.
        if firing.isEmpty { return last.firing.isEmpty ? nil : .allResolved }
        if sendsResolved, !resolved.isSubset(of: last.resolved) { return .someResolved }
        return now - last.at > repeatInterval ? .repetition : nil
    }
}

/// Alerts that keep others quiet (prometheus.io/docs/alerting/0.25/configuration, "inhibit_rule").
public struct AlertInhibition: Sendable {
    public let sources: [LabelMatcher]
    public let targets: [LabelMatcher]
    /// Labels that both have the same values of; one that neither has is the same.
    public let equal: [String]
    /// Whether only alerts of Reeve's own rules are causes: what somebody posts under their names keeps nobody quiet.
    public let isOwn: Bool
    /// Whether only what leaned on the cause's provider is kept quiet; see ``ProviderDependents``.
    public let isByProvider: Bool

    public init(
        sources: [LabelMatcher], targets: [LabelMatcher], equal: [String], isOwn: Bool = false,
        isByProvider: Bool = false
    ) {
        (self.sources, self.targets, self.equal) = (sources, targets, equal)
        (self.isOwn, self.isByProvider) = (isOwn, isByProvider)
    }

    /// Whether an alert that fires may keep others quiet. One of a drill does not: they would be real.
    public func isCause(_ alert: Alert) -> Bool {
        alert.drill == nil && (!isOwn || alert.origin == .rule) && sources.match(alert.labels)
    }

    /// Whether `source`, which fires, keeps `target` quiet. One that is both source and target is not kept quiet by
    /// others that are both as well: they would all be.
    public func mutes(_ target: LabelSet, by source: LabelSet) -> Bool {
        guard targets.match(target), sources.match(source) else { return false }
        guard equal.allSatisfy({ source[$0] == target[$0] }) else { return false }
        return !(sources.match(target) && targets.match(source))
    }
}
