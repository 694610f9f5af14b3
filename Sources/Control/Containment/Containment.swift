import Kernel
import Telemetry

/// Steps against one incident, one after the other: proposed, approved, done, and taken back.
public struct Containment: Sendable, Identified {
    public static let idPrefix = "containment"
    /// Steps of one.
    public static let stepsMax = 20
    /// Of one incident.
    public static let perIncidentMax: Int64 = 100

    /// Who thought of it.
    public enum Origin: String, Sendable, CaseIterable {
        /// The plan for a mode of failure.
        case plan
        case person
        case runbook
    }

    public enum State: String, Sendable, CaseIterable {
        /// Somebody may let it act.
        case proposed
        /// Somebody must say yes in time.
        case asked
        case acting, acted
        case reversing, reversed
        case refused, expired, failed

        /// Whether a person may still decide.
        public var isOpen: Bool { self == .proposed || self == .asked }
        /// Whether the loop has to do something.
        public var isMoving: Bool { self == .acting || self == .reversing }
        /// Whether somebody, or a policy, said yes and nobody has taken it back.
        public var isLetAct: Bool { self == .acted || isMoving }
    }

    public let id: Identifier<Containment>
    public let incidentID: String
    public let origin: Origin
    /// `llm-outage`, or the action's name.
    public let name: String
    public let mode: FailureMode?
    /// The same thing is proposed once for each incident.
    public let key: String
    public var state: State
    /// Why it waits for a person, failed or was refused.
    public var reason: String
    public let proposedBy: String
    /// Who let it act, or refused it.
    public var decidedBy: String?
    /// Who had it taken back.
    public var reversedBy: String?
    public let createdAt: Timestamp
    public var decidedAt: Timestamp?
    /// When a question is open no more.
    public var expiresAt: Timestamp?
    public var endedAt: Timestamp?
    /// When it was said that the condition is over.
    public var overAt: Timestamp?
    /// Since when nothing is held by what it did, though nobody took that back: others ended it, or it was final.
    public var releasedAt: Timestamp?
    public var steps: [ContainmentStep] = []
    /// How often its present step failed.
    var failures: Int64 = 0

    /// Whether it moves, or something is held by it that would be different if it were taken back. This is what is
    /// meant wherever something is said to be in force; ``ContainmentHands/isHolding(_:in:)`` finds out, and
    /// ``ContainmentService/settle(_:in:)`` writes it down.
    public var isInForce: Bool { state.isMoving || (state == .acted && releasedAt == nil) }

    /// Who has it act at this moment, for timelines.
    var actor: String {
        (state == .reversing || state == .reversed ? reversedBy : nil) ?? decidedBy ?? Principal.system.actor
    }

    /// Tasks that steps before one took from those who had them.
    func tasksTaken(before step: ContainmentStep) -> [String] {
        guard step.order.action == .reassign, !step.order[.agents].isEmpty else { return [] }
        return steps.filter { $0.number < step.number && $0.order[.agents] == step.order[.agents] }
            .flatMap(\.targets).filter(\.kind.isOfTask).map(\.name)
    }
}

/// One action of a containment, with what was before it.
public struct ContainmentStep: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        case waiting
        /// What it is to act on is written down; it may have acted or not.
        case started
        case done
        /// Some of its targets could not be changed.
        case partial
        case failed
        /// The part of Reeve that would act is not there yet.
        case unavailable
        /// Begun to be taken back.
        case reversing
        case reversed
        /// It cannot be taken back.
        case final
    }

    public let number: Int
    public let order: ContainmentOrder
    public var state = State.waiting
    /// What it acts on, decided when it started.
    public var targets: [ContainmentTarget] = []
    public var outcomes: [ContainmentOutcome] = []
    public var startedAt: Timestamp?
    public var endedAt: Timestamp?

    init(_ number: Int, _ order: ContainmentOrder) {
        self.number = number
        self.order = order
    }

    /// Whether something was changed by it that was not taken back.
    var hasActed: Bool { state == .done || state == .partial }

    /// Ends it by what became of its targets.
    mutating func end(isActing: Bool, at now: Timestamp) {
        endedAt = now
        guard isActing else {
            state = .reversed
            return
        }
        let tried = outcomes.filter { $0.word != .spared }
        let refused = tried.count { $0.word == .refused }
        state = refused == tried.count ? .failed : refused > 0 ? .partial : .done
    }

    /// Names the step to those who act: the same again acts once.
    func key(of containment: Identifier<Containment>) -> String { "\(containment.text)/\(number)" }
}

/// One thing that a step acts on.
public struct ContainmentTarget: Sendable, Hashable {
    public enum Kind: String, Sendable, CaseIterable {
        case agentPause, agentResume, agentQuarantine, taskHold, taskAttempt, taskOwner, dispatch, breaker, route
        case queue, budget, config, session, memory, goldenSet

        var isOfTask: Bool { self == .taskHold || self == .taskAttempt || self == .taskOwner }
    }

    public let kind: Kind
    public let name: String

    /// Stands for all that there is of a kind, where nobody is named.
    public static let everything = "*"
    /// Only what is behind doors may be about all that there is: elsewhere it is the name of something.
    public var isEverything: Bool {
        name == Self.everything && [.session, .memory, .goldenSet, .config].contains(kind)
    }

    init(_ kind: Kind, _ name: String) { (self.kind, self.name) = (kind, name) }

    /// As timelines name it: `agent:writer`.
    public var text: String {
        switch kind {
        case .agentPause, .agentResume, .agentQuarantine, .config: "agent:\(name)"
        case .taskHold, .taskAttempt, .taskOwner: "task:\(name)"
        case .dispatch, .route: "model:\(name)"
        case .breaker: "target:\(name)"
        case .budget: "budget:\(name)"
        default: "\(kind.rawValue):\(name)"
        }
    }

    var json: JSONValue { ["kind": .string(kind.rawValue), "name": .string(name)] }

    init?(_ json: JSONValue) {
        guard let kind = json["kind"]?.string.flatMap(Kind.init), let name = json["name"]?.string else { return nil }
        self.init(kind, name)
    }
}

/// What became of one target.
public struct ContainmentOutcome: Sendable, Equatable {
    public enum Word: String, Sendable, CaseIterable {
        /// It was changed.
        case acted
        /// It was so already.
        case unchanged
        /// It could not be changed.
        case refused
        /// It was restored.
        case restored
        /// Others changed it since, or hold it too: it stays as it is.
        case left
        /// The settings keep containments from it.
        case spared
    }

    public let target: String
    public let word: Word
    public var detail = ""

    var json: JSONValue {
        ["target": .string(target), "outcome": .string(word.rawValue), "detail": .string(detail)]
    }

    init(_ target: String, _ word: Word, _ detail: String = "") {
        (self.target, self.word, self.detail) = (target, word, detail)
    }

    init?(_ json: JSONValue) {
        guard let target = json["target"]?.string, let word = json["outcome"]?.string.flatMap(Word.init) else {
            return nil
        }
        self.init(target, word, json["detail"]?.string ?? "")
    }
}

extension ContainmentStep: JSONConvertible {
    public var json: JSONValue {
        [
            "number": .int(Int64(number)), "action": .string(order.action.rawValue),
            "title": .string(order.action.title), "parameters": order.parameters, "state": .string(state.rawValue),
            "reversible": .bool(order.action.isReversible), "targets": .list(targets.map(\.text)),
            "outcomes": .array(outcomes.map(\.json)), "startedAt": .of(startedAt), "endedAt": .of(endedAt),
        ]
    }
}

extension Containment: JSONConvertible {
    public var json: JSONValue {
        [
            "id": id.json, "incident": .string(incidentID), "origin": .string(origin.rawValue), "name": .string(name),
            "mode": .of(mode?.rawValue), "state": .string(state.rawValue), "reason": .string(reason),
            "proposedBy": .string(proposedBy), "decidedBy": .of(decidedBy),
            "reversedBy": .of(reversedBy), "createdAt": createdAt.json,
            "decidedAt": .of(decidedAt), "expiresAt": .of(expiresAt), "endedAt": .of(endedAt),
            "overAt": .of(overAt), "inForce": .bool(isInForce), "releasedAt": .of(releasedAt),
            "reversible": .bool(canReverse), "steps": .list(steps),
        ]
    }

    /// Whether something of it can be taken back.
    public var canReverse: Bool {
        state == .acted && releasedAt == nil && steps.contains { $0.hasActed && $0.order.action.isReversible }
    }
}
