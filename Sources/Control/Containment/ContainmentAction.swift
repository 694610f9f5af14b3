import Kernel

/// What can be done so that something that fails does no further harm. Each is typed, previewed and written down.
public enum ContainmentAction: String, Sendable, CaseIterable {
    /// Hands out no task that asks for these models.
    case pauseDispatch
    /// Leaves the targets of models, or of providers, alone.
    case openBreaker
    /// Answers calls for a model by another one.
    case useFallback
    /// Sets tasks aside with the evidence.
    case holdTask
    /// Ends the attempts that run: their processes lose their lease and are ended by `reeve work`.
    case killProcess
    /// Gives tasks to another agent, or to any.
    case reassign
    /// Holds all that depends on tasks, however far down.
    case holdDownstream
    /// Hands named agents no new work; the others go on.
    case pauseAgent
    case resumeAgent
    /// Sets named agents apart, and ends their model calls.
    case quarantineAgent
    case pauseQueue
    /// Ends spending of a scope where it stands now.
    case cutBudget
    case clearContext
    case quarantineSession
    case restoreContext
    case memoryReadOnly
    case offerMemoryRestore
    case goldenSetRun
    /// Asks agents to go back to a version of their configuration.
    case pinBack

    /// Whether it is known beforehand that nobody can act, and why.
    func absence(_ order: ContainmentOrder, _ doors: ContainmentDoors) -> String? {
        if let door, !doors.has(door) { return door.absence }
        guard self == .pinBack, order.single(.version) == nil else { return nil }
        return "Which version still got it right golden sets would say, which Reeve does not run yet: name one by hand."
    }

    /// Whether it takes back what a person did, which Reeve never does without asking.
    var undoesPerson: Bool { self == .resumeAgent }

    /// What it is called on pages.
    public var title: String {
        switch self {
        case .pauseDispatch: "Pause dispatch of dependent tasks"
        case .openBreaker: "Open the breaker"
        case .useFallback: "Use the fallback model"
        case .holdTask: "Hold the task with its evidence"
        case .killProcess: "Kill the process"
        case .reassign: "Reassign the task"
        case .holdDownstream: "Hold downstream tasks"
        case .pauseAgent: "Pause the agent"
        case .resumeAgent: "Resume the agent"
        case .quarantineAgent: "Quarantine the agent"
        case .pauseQueue: "Pause the queue"
        case .cutBudget: "Cut the budget"
        case .clearContext: "Clear the context and reprocess"
        case .quarantineSession: "Quarantine the session"
        case .restoreContext: "Restore the context snapshot"
        case .memoryReadOnly: "Make memory read-only"
        case .offerMemoryRestore: "Offer to restore memory"
        case .goldenSetRun: "Run the golden set"
        case .pinBack: "Pin back the configuration"
        }
    }

    /// Whether there is a way back. A process that was killed stays so; what was asked is answered.
    public var isReversible: Bool {
        switch self {
        case .killProcess, .offerMemoryRestore, .goldenSetRun, .clearContext, .restoreContext: false
        default: true
        }
    }

    /// The part of Reeve that acts, where that is behind a door.
    public var door: ContainmentDoor? {
        switch self {
        case .clearContext, .quarantineSession, .restoreContext: .sessions
        case .memoryReadOnly, .offerMemoryRestore: .memory
        case .goldenSetRun: .goldenSets
        default: nil
        }
    }

    /// One of these must be named.
    var subjects: [ContainmentParameter] {
        switch self {
        case .pauseDispatch, .openBreaker: [.models, .providers]
        case .useFallback: [.models]
        case .holdTask, .killProcess, .reassign, .holdDownstream: [.tasks, .agents]
        case .pauseAgent, .resumeAgent, .quarantineAgent, .memoryReadOnly, .offerMemoryRestore, .pinBack: [.agents]
        case .pauseQueue: [.queues]
        case .cutBudget: [.scopes]
        case .clearContext, .quarantineSession, .restoreContext: [.sessions, .agents]
        case .goldenSetRun: [.goldenSets, .agents, .models]
        }
    }

    /// What must be said besides, and what may be.
    var details: (required: [ContainmentParameter], optional: [ContainmentParameter]) {
        switch self {
        case .useFallback: ([.to], [])
        case .pinBack: ([.version], [])
        case .holdTask: ([], [.evidence])
        case .reassign: ([], [.to])
        case .restoreContext, .offerMemoryRestore: ([], [.snapshot])
        default: ([], [])
        }
    }
}

/// What actions are told.
public enum ContainmentParameter: String, Sendable, CaseIterable {
    case agents, tasks, models, providers, queues, scopes, sessions, goldenSets
    /// An agent, or a model.
    case to
    case version, snapshot, evidence

    /// Whether it is one text rather than a list of names.
    public var isSingle: Bool {
        switch self {
        case .to, .version, .snapshot, .evidence: true
        default: false
        }
    }
}

/// An action with what it is to act on.
public struct ContainmentOrder: Sendable, Equatable {
    /// Names of one parameter.
    public static let namesMax = 200
    /// Characters of an evidence.
    public static let evidenceMax = 2_000

    public let action: ContainmentAction
    public private(set) var values: [ContainmentParameter: [String]]
    /// Names that were too many to be taken in; none of an order from outside.
    private(set) var omitted = 0

    public subscript(parameter: ContainmentParameter) -> [String] { values[parameter] ?? [] }
    public func single(_ parameter: ContainmentParameter) -> String? { values[parameter]?.first }

    /// Reads `{action, parameters}` from outside; errors name the field.
    public init(_ fields: Fields, limits: Limits) throws {
        let parameters =
            try fields.optionalFields("parameters") ?? Fields(JSONObject(), limits: limits, path: "parameters")
        try self.init(fields.choice("action", ContainmentAction.self), parameters, limits: limits)
    }

    /// Reads the parameters of an action.
    public init(_ action: ContainmentAction, _ parameters: Fields, limits: Limits) throws {
        self.action = action
        let (required, optional) = action.details
        let known = action.subjects + required + optional
        try parameters.refuseOthers(than: known.map(\.rawValue))
        values = [:]
        for parameter in known {
            if parameter.isSingle {
                let max = parameter == .evidence ? Self.evidenceMax : limits.nameCharacters
                let text = try parameters.optionalString(parameter.rawValue, max: max)
                if let text, !text.isEmpty { values[parameter] = [text] }
            } else {
                let names = try parameters.optionalNames(parameter.rawValue, max: Self.namesMax) ?? []
                guard !names.contains(ContainmentTarget.everything) else {
                    throw Problem.invalid(
                        parameters.path(parameter.rawValue), "\(ContainmentTarget.everything) is no name",
                        hint: "Name each of them.")
                }
                if !names.isEmpty { values[parameter] = Self.unique(names) }
            }
        }
        try check { parameters.path($0) }
        for scope in self[.scopes] {
            _ = try BudgetScope(scope, path: parameters.path(ContainmentParameter.scopes.rawValue), limits: limits)
        }
    }

    /// One that Reeve itself makes; `nil` where it names nothing to act on.
    public init?(_ action: ContainmentAction, _ values: [ContainmentParameter: [String]]) {
        self.init(behindDoor: action, values)
        do { try check { $0 } } catch { return nil }
    }

    /// One of a plan for what is behind a door: it may be about all that there is behind it.
    init(behindDoor action: ContainmentAction, _ values: [ContainmentParameter: [String]] = [:]) {
        self.action = action
        // What alerts say may be any text; none of it stands for all that there is.
        let names = values.mapValues { Self.unique($0).filter { $0 != ContainmentTarget.everything } }
        self.values = names.filter { !$0.value.isEmpty }.mapValues { Array($0.prefix(Self.namesMax)) }
        omitted = names.values.reduce(0) { $0 + max(0, $1.count - Self.namesMax) }
    }

    /// Whether it names nobody, and so is about all that there is.
    var isAboutAll: Bool { action.subjects.allSatisfy { self[$0].isEmpty } }

    /// One that was checked when it was kept.
    init(stored action: ContainmentAction, _ json: JSONValue) {
        self.action = action
        values = [:]
        for member in json.object?.members ?? [] {
            guard let parameter = ContainmentParameter(rawValue: member.name) else { continue }
            values[parameter] = member.value.string.map { [$0] } ?? member.value.array?.compactMap(\.string) ?? []
        }
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    private func check(_ path: (String) -> String) throws {
        guard action.subjects.contains(where: { !self[$0].isEmpty }) else {
            let names = action.subjects.map(\.rawValue).joined(separator: " or ")
            throw Problem.invalid(
                path(action.subjects.first?.rawValue ?? "parameters"), "\(action.rawValue) needs \(names)",
                hint: "Name at least one of them.")
        }
        for parameter in action.details.required where self[parameter].isEmpty {
            throw Problem.invalid(path(parameter.rawValue), "\(action.rawValue) needs it")
        }
    }

    /// The parameters alone, in their order.
    public var parameters: JSONValue {
        var object = JSONObject()
        for parameter in ContainmentParameter.allCases {
            guard let names = values[parameter], let first = names.first else { continue }
            object.append(parameter.rawValue, parameter.isSingle ? .string(first) : .list(names))
        }
        return .object(object)
    }

    /// The same order has the same key, whoever gives it.
    public var key: String { String(Digest.sha256("\(action.rawValue) \(parameters.text)").prefix(24)) }

    /// In a few words: `pauseAgent writer, editor`.
    public var words: String {
        let names = ContainmentParameter.allCases.filter { $0 != .evidence }.flatMap { self[$0] }
        return "\(action.rawValue) \(names.prefix(5).joined(separator: ", "))" + (names.count > 5 ? "…" : "")
    }
}

extension ContainmentOrder: JSONConvertible {
    public var json: JSONValue { ["action": .string(action.rawValue), "parameters": parameters] }
}
