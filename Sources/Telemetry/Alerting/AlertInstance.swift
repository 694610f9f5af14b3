/// One alert of a rule: the rule's condition holds, or held, for these labels.
public struct AlertInstance: Sendable, Equatable {
    public enum State: String, Sendable {
        /// Its condition holds, but not for long enough yet.
        case pending
        case firing
        /// It ended, and is told as such for a while.
        case inactive
    }

    /// With the rule's own and `alertname`.
    public let labels: LabelSet
    public var annotations: [String: String]
    /// What the expression gave at last.
    public var value: Double
    public var state: State
    /// Milliseconds since 1970, as the other times.
    public let activeAt: Int64
    public var firedAt: Int64?
    public var resolvedAt: Int64?
    /// Since when its condition does not hold any more, while it goes on firing.
    public var keptSince: Int64?
    /// Until when it does not end for want of its condition: after a start the series may have no samples yet.
    public var heldUntil: Int64?

    public init(
        labels: LabelSet, annotations: [String: String], value: Double, state: State, activeAt: Int64
    ) {
        (self.labels, self.annotations, self.value) = (labels, annotations, value)
        (self.state, self.activeAt) = (state, activeAt)
    }
}

/// The alerts of one rule over time: a transition for each evaluation (Prometheus 2.42, `rules/alerting.go`).
public struct AlertStates: Sendable {
    /// How long an alert that ended is told, in milliseconds: whoever hears of alerts may have missed the end.
    public static let resolvedRetention: Int64 = 900_000

    public private(set) var instances: [LabelSet: AlertInstance]

    public init(_ instances: [LabelSet: AlertInstance] = [:]) { self.instances = instances }

    /// What an evaluation found for one set of labels.
    public struct Finding: Sendable {
        public let labels: LabelSet
        public let annotations: [String: String]
        public let value: Double
    }

    /// What an instance came to, for whoever tells of it.
    public enum Change: Sendable, Equatable {
        case fired(AlertInstance)
        case resolved(AlertInstance)
    }

    /// - Parameter found: By labels, each once.
    public mutating func evaluate(_ found: [Finding], _ rule: RuleProgram.Alert, at time: Int64) -> [Change] {
        var changes: [Change] = []
        var missing = Set(instances.keys)
        for finding in found {
            missing.remove(finding.labels)
            if var known = instances[finding.labels], known.state != .inactive {
                known.value = finding.value
                known.annotations = finding.annotations
                known.keptSince = nil
                known.heldUntil = nil
                instances[finding.labels] = known
            } else {
                instances[finding.labels] = AlertInstance(
                    labels: finding.labels, annotations: finding.annotations, value: finding.value, state: .pending,
                    activeAt: time)
            }
            if var known = instances[finding.labels], known.state == .pending,
                time - known.activeAt >= rule.holdsFor
            {
                known.state = .firing
                known.firedAt = time
                instances[finding.labels] = known
                changes.append(.fired(known))
            }
        }
        for labels in missing.sorted() { end(labels, rule, at: time, &changes) }
        return changes
    }

    private mutating func end(
        _ labels: LabelSet, _ rule: RuleProgram.Alert, at time: Int64, _ changes: inout [Change]
    ) {
        guard var known = instances[labels] else { return }
        if let heldUntil = known.heldUntil, time < heldUntil { return }
        switch known.state {
        case .pending: instances[labels] = nil
        case .inactive:
            if time - (known.resolvedAt ?? time) > Self.resolvedRetention { instances[labels] = nil }
        case .firing:
            if rule.keepsFiringFor > 0 {
                let since = known.keptSince ?? time
                known.keptSince = since
                guard time - since >= rule.keepsFiringFor else {
                    instances[labels] = known
                    return
                }
            }
            known.state = .inactive
            known.resolvedAt = time
            instances[labels] = known
            changes.append(.resolved(known))
        }
    }

    /// Lets go of all of them, as where a limit is exceeded.
    public mutating func clear() { instances = [:] }
}
