import Kernel
import Telemetry

/// How far Reeve may go by itself: the part `containment` of the settings' section `alerts`.
///
///     alerts:
///       containment:
///         default: suggest
///         modes: {llm-outage: act, budget-runaway: {critical: act, warning: ask}}
///         never: [agent:payer, queue:payroll]
///         limits: {agentsMax: 5, tasksMax: 100, perHour: 10}
///         askMinutes: 60
///         rampBackSeconds: 60
public struct ContainmentPolicy: Sendable, Equatable {
    public enum Stance: String, Sendable, CaseIterable {
        /// Is shown to whoever looks at the incident.
        case suggest
        /// Waits for a person's yes, for a while.
        case ask
        /// Acts at once, within the limits.
        case act
    }

    public var fallback = Stance.suggest
    var modes: [FailureMode: [Incident.Severity: Stance]] = [:]
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
        try fields.refuseOthers(than: ["default", "modes", "never", "limits", "askMinutes", "rampBackSeconds"])
        fallback = try fields.optionalChoice("default", Stance.self) ?? fallback
        if let modes = try fields.optionalFields("modes") { try read(modes: modes, given["modes"] ?? .null, limits) }
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
            var stances: [Incident.Severity: Stance] = [:]
            if let object = value.object {
                let severities = Fields(object, limits: limits, path: fields.path(mode.rawValue))
                try severities.refuseOthers(than: Incident.Severity.allCases.map(\.rawValue))
                for severity in Incident.Severity.allCases {
                    stances[severity] = try severities.optionalChoice(severity.rawValue, Stance.self)
                }
            } else {
                let stance = try fields.choice(mode.rawValue, Stance.self)
                for severity in Incident.Severity.allCases { stances[severity] = stance }
            }
            modes[mode] = stances
        }
    }

    public func stance(of mode: FailureMode, _ severity: Incident.Severity) -> Stance {
        modes[mode]?[severity] ?? fallback
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
