import Kernel
import Telemetry

/// How far Reeve may go by itself: the part `containment` of the settings' section `alerts`.
///
///     alerts:
///       containment:
///         default: suggest
///         modes: {llm-outage: act, budget-runaway: {critical: act, warning: ask}}
///         alerts: {AgentDown: act}
///         actions: {quarantineAgent: ask}
///         agents: [{labels: {env: production}, stance: ask}]
///         never: [agent:payer, queue:payroll]
///         limits: {agentsMax: 5, tasksMax: 100, perHour: 10}
///         askMinutes: 60
///         rampBackSeconds: 60
public struct ContainmentPolicy: Sendable, Equatable {
    public enum Stance: String, Sendable, CaseIterable, Comparable {
        /// Is shown to whoever looks at the incident.
        case suggest
        /// Waits for a person's yes, for a while.
        case ask
        /// Acts at once, within the limits.
        case act

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// How far Reeve may go by itself with agents that have all of these labels: their type, their environment.
    struct AgentBound: Sendable, Equatable {
        let labels: [String: String]
        let stance: Stance

        var words: String { labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ") }

        func isMeant(_ agent: [String: String]) -> Bool { labels.allSatisfy { agent[$0.key] == $0.value } }
    }

    public var fallback = Stance.suggest
    var modes: [FailureMode: [Incident.Severity: Stance]] = [:]
    /// By the names of alerts; they count before the mode.
    var alerts: [String: [Incident.Severity: Stance]] = [:]
    /// How far actions go at most, whatever the mode.
    var actions: [ContainmentAction: Stance] = [:]
    /// The same, of what reaches such agents.
    var agents: [AgentBound] = []
    /// `agent:NAME` and `queue:NAME`.
    public var never: Set<String> = []
    /// Agents, and tasks, that Reeve may touch without asking.
    public var agentsMax: Int64 = 5
    public var tasksMax: Int64 = 100
    /// Containments that Reeve lets act by itself within an hour.
    public var perHour: Int64 = 10
    /// How long a question is open.
    public var askTime = Span.minutes(60)
    /// How long a condition must be over before the way back is taken.
    public var rampBack = Span.seconds(60)

    /// Names in `never`.
    public static let neverMax = 1_000
    /// Names in `alerts`.
    public static let alertsMax = 1_000
    /// Bounds in `agents`.
    public static let boundsMax = 100

    public init() {}

    /// Reads the section `alerts` of the settings file; absent parts keep their defaults.
    ///
    /// - Throws: ``Problem`` `invalid` that names the field.
    public init(_ document: JSONValue) throws {
        guard let given = document["containment"], !given.isNull else { return }
        let limits = Limits()
        guard let object = given.object else {
            throw Problem.invalid("alerts/containment", "an object is expected")
        }
        let fields = Fields(object, limits: limits, path: "alerts/containment")
        try fields.refuseOthers(
            than: [
                "default", "modes", "alerts", "actions", "agents", "never", "limits", "askMinutes", "rampBackSeconds",
            ])
        fallback = try fields.optionalChoice("default", Stance.self) ?? fallback
        if let modes = try fields.optionalFields("modes") { try read(modes: modes, given["modes"] ?? .null, limits) }
        if let names = try fields.optionalFields("alerts") { try read(alerts: names, given["alerts"] ?? .null, limits) }
        if let actions = try fields.optionalFields("actions") {
            try actions.refuseOthers(than: ContainmentAction.allCases.map(\.rawValue))
            for action in ContainmentAction.allCases {
                self.actions[action] = try actions.optionalChoice(action.rawValue, Stance.self)
            }
        }
        if fields.value("agents") != nil {
            agents = try fields.objects("agents", max: Self.boundsMax).map(Self.bound)
        }
        for name in try fields.optionalNames("never", max: Self.neverMax) ?? [] {
            // A bare name is meant of both.
            let isPlain = !name.hasPrefix("agent:") && !name.hasPrefix("queue:")
            never.formUnion(isPlain ? ["agent:\(name)", "queue:\(name)"] : [name])
        }
        if let bounds = try fields.optionalFields("limits") {
            try bounds.refuseOthers(than: ["agentsMax", "tasksMax", "perHour"])
            agentsMax = try bounds.optionalInt("agentsMax", in: 0...100_000) ?? agentsMax
            tasksMax = try bounds.optionalInt("tasksMax", in: 0...1_000_000) ?? tasksMax
            perHour = try bounds.optionalInt("perHour", in: 0...10_000) ?? perHour
        }
        if let minutes = try fields.optionalInt("askMinutes", in: 1...10_080) { askTime = .minutes(minutes) }
        if let seconds = try fields.optionalInt("rampBackSeconds", in: 0...86_400) { rampBack = .seconds(seconds) }
    }

    private mutating func read(modes fields: Fields, _ given: JSONValue, _ limits: Limits) throws {
        try fields.refuseOthers(than: FailureMode.allCases.map(\.rawValue))
        for mode in FailureMode.allCases {
            guard let value = given[mode.rawValue] else { continue }
            modes[mode] = try Self.stances(fields, mode.rawValue, value, limits)
        }
    }

    private mutating func read(alerts fields: Fields, _ given: JSONValue, _ limits: Limits) throws {
        let members = given.object?.members ?? []
        guard members.count <= Self.alertsMax else {
            throw Problem.invalid("alerts/containment/alerts", "it has at most \(Self.alertsMax) names")
        }
        for member in members {
            alerts[member.name] = try Self.stances(fields, member.name, member.value, limits)
        }
    }

    /// One for all, or one for each severity.
    private static func stances(
        _ fields: Fields, _ name: String, _ value: JSONValue, _ limits: Limits
    ) throws -> [Incident.Severity: Stance] {
        var stances: [Incident.Severity: Stance] = [:]
        guard let object = value.object else {
            let stance = try fields.choice(name, Stance.self)
            for severity in Incident.Severity.allCases { stances[severity] = stance }
            return stances
        }
        let severities = Fields(object, limits: limits, path: fields.path(name))
        try severities.refuseOthers(than: Incident.Severity.allCases.map(\.rawValue))
        for severity in Incident.Severity.allCases {
            stances[severity] = try severities.optionalChoice(severity.rawValue, Stance.self)
        }
        return stances
    }

    private static func bound(_ fields: Fields) throws -> AgentBound {
        try fields.refuseOthers(than: ["labels", "stance"])
        guard let labels = try AgentLabels.read(fields), !labels.isEmpty else {
            throw Problem.invalid(fields.path("labels"), "it is missing", hint: "Write {labels: {env: production}}.")
        }
        return AgentBound(labels: labels, stance: try fields.choice("stance", Stance.self))
    }

    /// - Parameters:
    ///   - mode: `nil` where only the runbook of an alert says what would be done.
    ///   - alert: Its name, where one brought the plan about.
    public func stance(of mode: FailureMode?, _ severity: Incident.Severity, alert: String? = nil) -> Stance {
        alert.flatMap { alerts[$0]?[severity] } ?? mode.flatMap { modes[$0]?[severity] } ?? fallback
    }

    /// How far these orders may go by what they do and whom they reach, and what says so; `nil` where nothing holds
    /// them back.
    ///
    /// - Parameter labels: Of the agents that they reach.
    func bound(
        of orders: [ContainmentOrder], labels: [[String: String]]
    ) -> (stance: Stance, reason: String)? {
        let byAction = orders.compactMap { order in
            actions[order.action].map { ($0, "The settings let \(order.action.rawValue) \($0.rawValue) at most.") }
        }
        let byAgent = agents.filter { bound in labels.contains(where: bound.isMeant) }.map {
            ($0.stance, "The settings let what reaches agents with \($0.words) \($0.stance.rawValue) at most.")
        }
        return (byAction + byAgent).min { $0.0 < $1.0 }
    }

    /// Whether a name that an order has is never to be touched.
    func spares(_ parameter: ContainmentParameter, _ name: String) -> Bool {
        switch parameter {
        case .agents: never.contains("agent:\(name)")
        case .queues: never.contains("queue:\(name)")
        case .scopes: never.contains(name)
        default: false
        }
    }

    /// Whether spending of this scope may be that of an agent that is never to be touched, although none of those was
    /// seen there lately: nobody is registered with a session, a key or a tag.
    func mayReachNever(_ scope: String) -> Bool {
        guard never.contains(where: { $0.hasPrefix("agent:") }) else { return false }
        return [.session, .key, .tag].contains(BudgetScope(stored: scope).kind)
    }

    /// Why Reeve may not do this by itself; `nil` where it may.
    func objection(_ radius: BlastRadius, actedAlone: Int64) -> String? {
        if let name = radius.protected.first {
            return "It reaches \(name), which is never to be touched."
        }
        if Int64(radius.agents.count) > agentsMax {
            return "It reaches \(PageText.plural(radius.agents.count, "agent")); without asking \(agentsMax) may be."
        }
        if radius.isCut { return "It touches more than \(ContainmentHands.targetsMax) things of one kind." }
        if radius.taskCount > tasksMax {
            return "It touches \(radius.taskCount) tasks; without asking \(tasksMax) may be."
        }
        if actedAlone >= perHour {
            return "Reeve acted \(actedAlone) times by itself within this hour; \(perHour) times it may."
        }
        return nil
    }
}
