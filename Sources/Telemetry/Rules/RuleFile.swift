import Kernel

/// Rules as Prometheus reads them: one file of groups, each evaluated in order
/// (prometheus.io/docs/prometheus/latest/configuration/recording_rules).
public struct RuleFile: Sendable, Equatable {
    /// Without folder and ending.
    public let name: String
    public let groups: [RuleGroup]
}

/// Rules that are evaluated one after the other at the same moment: a later one sees what an earlier one recorded.
public struct RuleGroup: Sendable, Equatable {
    public let name: String
    /// Seconds between evaluations; `nil` for the server's own.
    public var intervalSeconds: Int?
    public let rules: [Rule]
}

/// What a group holds.
public enum Rule: Sendable, Equatable {
    case recording(RecordingRule)
    case alert(AlertRule)
}

/// A series that is made of others.
public struct RecordingRule: Sendable, Equatable {
    /// `level:metric:operations` (prometheus.io/docs/practices/rules).
    public let name: String
    public let expression: String
}

/// A condition that somebody should know of.
public struct AlertRule: Sendable, Equatable {
    /// What it asks of whom.
    public enum Severity: String, Sendable, CaseIterable {
        /// Somebody looks now.
        case critical
        /// Somebody looks today.
        case warning
        /// Nobody is told: it stands for a state that other rules or routes refer to.
        case none
    }

    /// Where an alert's runbook is found on the server that evaluates the rule.
    static let serverURL = "{{ $externalURL }}"

    public let name: String
    public let severity: Severity
    /// Whose fault it is likely to be, which says who is to look.
    public let nature: FailureKind
    /// What it detects, where that is one of the failures with a containment of their own.
    public var mode: FailureMode?
    public let expression: String
    /// How long the condition must hold, in Prometheus' words (`5m`); `nil` for no time at all.
    public var holdsFor: String?
    /// How long it goes on after the condition ended.
    public var keepsFiringFor: String?
    /// Labels beside `severity`.
    public var labels: [(name: String, value: String)] = []
    /// One line: what is wrong and with whom. A template of Prometheus'.
    public let summary: String
    /// What it means, and where the threshold comes from. A template too.
    public let detail: String
    /// What to do first.
    public let action: String

    /// The server that has the runbook: its address, or a template of it.
    var runbooksURL = AlertRule.serverURL

    public static func == (left: AlertRule, right: AlertRule) -> Bool { left.json == right.json }

    /// Its labels, in their order: by `failure_mode` it is known what contains what it tells of.
    var allLabels: [(name: String, value: String)] {
        [("severity", severity.rawValue)] + (mode.map { [("failure_mode", $0.rawValue)] } ?? []) + labels
    }

    /// Its annotations, in their order.
    var annotations: [(name: String, value: String)] {
        [
            ("summary", summary), ("description", detail), ("action", action),
            ("runbook_url", "\(runbooksURL)/runbooks/\(name)"),
        ]
    }
}

extension RuleFile: JSONConvertible {
    public var json: JSONValue { ["groups": .list(groups)] }

    /// The same rules for somebody else who evaluates them, and has no runbooks.
    ///
    /// - Parameter url: The address of the Reeve that has them.
    func runbooks(at url: String) -> RuleFile {
        RuleFile(
            name: name,
            groups: groups.map { group in
                let rules = group.rules.map { rule -> Rule in
                    guard case .alert(var alert) = rule else { return rule }
                    alert.runbooksURL = url
                    return .alert(alert)
                }
                return RuleGroup(name: group.name, intervalSeconds: group.intervalSeconds, rules: rules)
            })
    }

    /// Every alert of the file.
    public var alerts: [AlertRule] {
        groups.flatMap(\.rules).compactMap { rule in
            guard case .alert(let alert) = rule else { return nil }
            return alert
        }
    }
}

extension RuleGroup: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject([.init(name: "name", value: .string(name))])
        if let intervalSeconds { object.append("interval", .string("\(intervalSeconds)s")) }
        object.append("rules", .list(rules))
        return .object(object)
    }
}

extension Rule: JSONConvertible {
    public var json: JSONValue {
        switch self {
        case .recording(let rule): rule.json
        case .alert(let rule): rule.json
        }
    }
}

extension RecordingRule: JSONConvertible {
    public var json: JSONValue { ["record": .string(name), "expr": .string(expression)] }
}

extension AlertRule: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject([
            .init(name: "alert", value: .string(name)), .init(name: "expr", value: .string(expression)),
        ])
        if let holdsFor { object.append("for", .string(holdsFor)) }
        if let keepsFiringFor { object.append("keep_firing_for", .string(keepsFiringFor)) }
        object.append("labels", Self.object(allLabels))
        object.append("annotations", Self.object(annotations))
        return .object(object)
    }

    private static func object(_ pairs: [(name: String, value: String)]) -> JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.name, value: .string($0.value)) }))
    }
}
