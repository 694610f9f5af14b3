import Kernel
import Telemetry

/// Something that went wrong: the alerts that told of it, what was done about it, and how far that is.
public struct Incident: Sendable, Identified {
    public static let idPrefix = "incident"
    /// Incidents that are open at one time, at most; further alerts join the newest one.
    public static let openMax: Int64 = 1_000
    /// Alerts of one incident, by their labels: those beyond it open another one.
    public static let alertsMax = 1_000
    /// Characters of a title.
    public static let titleMax = 300
    /// Characters of a note, and of what stakeholders are told.
    public static let noteMax = 10_000

    /// How bad it is. The worst of its alerts, or what somebody said.
    public enum Severity: String, Sendable, CaseIterable, Comparable {
        case critical, warning, info

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
        private var rank: Int { [.info: 0, .warning: 1, .critical: 2][self] ?? 0 }
    }

    /// What was reached, in its order. The state of an incident is the last one that it reached.
    public enum Milestone: String, Sendable, CaseIterable, Comparable {
        case detected, acknowledged, contained, mitigated, verified, resolved, postmortem

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
        /// Its name in JSON: `detectedAt`.
        public var field: String { "\(rawValue)At" }
    }

    public let id: Identifier<Incident>
    public var title: String
    public var severity: Severity
    /// How it fails, as far as that is known.
    public var mode: FailureMode?
    public var kind: FailureKind?
    /// What the alerts that open it have in common; further ones with the same join it.
    public let groupKey: String
    /// Agents, tasks, models… that it is about, as `agent:writer`, `task:task_…`, `provider:openai`, `queue:inbox`.
    public var subjects: [String]
    public var milestones: [Milestone: Timestamp]
    public let openedBy: String
    /// What stakeholders are told, in words of a person.
    public var status: IncidentStatus?
    /// How often it came back after it was resolved.
    public var reopenings: Int64 = 0
    /// Since when none of its alerts fires; `nil` where one does, or it never had one.
    public var quietSince: Timestamp?
    /// When somebody first did something about it: a person, a containment, a runbook.
    public var actedAt: Timestamp?
    /// The incident that it became a part of.
    public var mergedInto: String?
    /// Up to which event of the log its timeline was written.
    var seenEvent: Int64 = 0
    /// When it is looked at again by itself; see ``IncidentPolicy/nextLook(at:lastFlap:)``.
    var dueAt: Timestamp?
    /// Of people's edits, for the ETag.
    public var revision: Int64 = 1

    public init(
        id: Identifier<Incident>, title: String, severity: Severity, mode: FailureMode? = nil,
        kind: FailureKind? = nil, groupKey: String, subjects: [String], milestones: [Milestone: Timestamp],
        openedBy: String
    ) {
        self.id = id
        self.title = title
        self.severity = severity
        self.mode = mode
        self.kind = kind ?? mode?.kind
        self.groupKey = groupKey
        self.subjects = subjects
        self.milestones = milestones
        self.openedBy = openedBy
    }

    public var state: Milestone { milestones.keys.max() ?? .detected }
    /// Whether somebody still has to see to it.
    public var isOpen: Bool { milestones[.resolved] == nil }
    public var detectedAt: Timestamp? { milestones[.detected] }
    /// When it began as far as anybody knows; its id says so where nothing else does.
    public var begin: Timestamp { milestones[.detected] ?? Timestamp(microseconds: 0) }
    public var etag: String { "\"\(revision)\"" }
    public var target: String { "incident:\(id.text)" }

    /// Refuses what belongs to the incident that this one became a part of.
    func checkIsWhole() throws {
        guard let other = mergedInto else { return }
        throw Problem(
            .conflict, "The incident became a part of \(other).", hint: "Say it of that one.",
            members: JSONObject([.init(name: "mergedInto", value: .string(other))]))
    }

    /// Names of one kind among the subjects: `agent`, `task`.
    public func subjects(of kind: String) -> [String] {
        subjects.compactMap { $0.hasPrefix("\(kind):") ? String($0.dropFirst(kind.count + 1)) : nil }
    }
}

/// What stakeholders are told of an incident.
public struct IncidentStatus: Sendable, Equatable {
    public let text: String
    public let at: Timestamp
    public let by: String
}

/// One thing that happened in an incident, or was done about it.
public struct IncidentEntry: Sendable {
    /// `alert`, `milestone`, `containment`, `runbook`, `note`, `change`, `page`…
    public let kind: String
    /// What, such as `fired`, `paused`, `acknowledged`.
    public let action: String
    /// With what: `agent:writer`, `alert:AgentDown`.
    public let target: String
    /// Who: `reeve`, `operator:alice`.
    public let actor: String
    public let at: Timestamp
    public let detail: JSONValue
    /// The event of the log that it is: each stands in a timeline once.
    let event: Int64?

    public init(
        kind: String, action: String, target: String, actor: String, at: Timestamp, detail: JSONValue = [:]
    ) {
        self.init(kind: kind, action: action, target: target, actor: actor, at: at, detail: detail, event: nil)
    }

    init(
        kind: String, action: String, target: String, actor: String, at: Timestamp, detail: JSONValue, event: Int64?
    ) {
        (self.kind, self.action, self.target) = (kind, action, target)
        (self.actor, self.at, self.detail, self.event) = (actor, at, detail, event)
    }
}

extension IncidentEntry: JSONConvertible {
    public var json: JSONValue {
        [
            "time": at.json, "kind": .string(kind), "action": .string(action), "target": .string(target),
            "actor": .string(actor), "detail": detail,
        ]
    }
}

/// Who acts on incidents in the same transaction in which they begin and go on: containment, on-call.
public protocol IncidentFollower: Sendable {
    func opened(_ incident: Incident, by alert: Alert?, in transaction: Transaction) throws
    func joined(_ incident: Incident, by alert: Alert, in transaction: Transaction) throws
    /// - Parameter principal: Who says so; Reeve itself where it came by itself.
    func reached(
        _ milestone: Incident.Milestone, _ incident: Incident, by principal: Principal, in transaction: Transaction
    ) throws
    /// Somebody changed how bad it is, or what it needs; or another incident became a part of it.
    func changed(_ incident: Incident, by principal: Principal, in transaction: Transaction) throws
    /// What belongs to one incident is another's from now on: they were merged, or one was split.
    func moved(_ move: IncidentMove, in transaction: Transaction) throws
    /// Incidents are forgotten, and what belongs to them with them.
    func forget(_ incidents: [Identifier<Incident>], in transaction: Transaction) throws
    /// Whether something of an incident that is over still goes on, so that it is not forgotten.
    func keeps(_ incident: Identifier<Incident>, in transaction: Transaction) throws -> Bool
    /// A postmortem has to be written soon, or should be there by now.
    func reminds(_ reminder: PostmortemReminder, of incident: Incident, in transaction: Transaction) throws
    /// Nobody has to be reminded any more: it is published, or none is needed.
    func remindsNoMore(of incident: Incident, in transaction: Transaction) throws
    /// Who sees to an incident as far as this one knows: a name of a person.
    func owner(of incident: Incident, in transaction: Transaction) throws -> String?
}

extension IncidentFollower {
    public func changed(_ incident: Incident, by principal: Principal, in transaction: Transaction) throws {}
    public func moved(_ move: IncidentMove, in transaction: Transaction) throws {}
    public func forget(_ incidents: [Identifier<Incident>], in transaction: Transaction) throws {}
    public func keeps(_ incident: Identifier<Incident>, in transaction: Transaction) throws -> Bool { false }
    public func reminds(
        _ reminder: PostmortemReminder, of incident: Incident, in transaction: Transaction
    ) throws {}
    public func remindsNoMore(of incident: Incident, in transaction: Transaction) throws {}
    public func owner(of incident: Incident, in transaction: Transaction) throws -> String? { nil }
}

/// What goes from one incident to another.
public struct IncidentMove: Sendable {
    /// What was split off, and is of nothing that stays.
    public struct Part: Sendable {
        public let subjects: Set<String>
        /// Names of alerts.
        public let alerts: Set<String>
    }

    public let from: Incident
    public let to: Incident
    /// `nil` where all of it goes: the one became a part of the other.
    public let part: Part?
}
