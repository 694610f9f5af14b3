import Kernel

/// What tasks need to know of the models that they ask for. The gateway's side implements it, from memory: nothing here
/// may wait.
///
/// A task asks for a model where it says so itself (`model`, `tier`), or else its type, or else its queue. Where nobody
/// says anything, nothing is ever held back.
public protocol TaskModels: Sendable {
    /// What tasks of a type ask for that do not say it themselves.
    func model(ofType type: String) -> String?
    /// Throws ``Problem`` where callers of the gateway would not get this model.
    func check(_ model: String, path: String) throws

    /// Whether the tasks of any model are held back, wholly or in part. Every claim asks: it costs a look at a flag.
    var isHoldingBack: Bool { get }
    /// The models, by all names that tasks have for them, of which no task may go at this moment.
    func heldBack() -> [String]
    /// Asks for so many tasks of one model. Each that is let through counts as gone.
    func admit(_ model: String, count: Int) -> ModelAdmission
    /// The probe that was let through is in an agent's hands, for good.
    func probeLeft(_ model: String)
    /// How the dispatch of its tasks stands; `nil` where there is no such model.
    func standing(of model: String) -> ModelDispatch?
}

/// What may go of the tasks of one model.
public enum ModelAdmission: Sendable, Equatable {
    case tasks(Int)
    /// One, to find out whether the model is well again.
    case probe
}

/// How far the tasks of a model are handed out.
public struct ModelDispatch: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        /// All are.
        case normal
        /// None of its targets takes calls; single tasks go as probes.
        case outage
        /// It is back, and a growing share of its tasks goes.
        case ramping
        /// A containment holds its tasks back.
        case paused
    }

    /// The model's own name, whatever tier was asked for.
    public var model: String
    public var state: State
    /// The share of claims that get a task of it: 0 to 1.
    public var share: Double
    /// Since when it is so; `nil` where it is normal.
    public var since: Timestamp?

    public init(model: String, state: State = .normal, share: Double = 1, since: Timestamp? = nil) {
        self.model = model
        self.state = state
        self.share = share
        self.since = since
    }
}

extension ModelDispatch: JSONConvertible {
    public var json: JSONValue {
        ["state": .string(state.rawValue), "share": .double(share), "since": .of(since)]
    }
}

extension TaskService {
    /// Whether the tasks of any model are held back.
    var isHoldingBack: Bool { models?.isHoldingBack ?? false }
}
