import Kernel

/// Which version of its agent's bundle an attempt is given.
public struct TaskBundle: Sendable, Equatable {
    public enum Arm: String, Sendable, CaseIterable {
        case new, old
    }

    public let version: String
    /// Which side of a roll-out it is on, where one counts it; and what the new version was given then.
    public var arm: Arm?
    public var share: Double?
    public var rollout: String?

    public init(version: String, arm: Arm? = nil, share: Double? = nil, rollout: String? = nil) {
        (self.version, self.arm, self.share, self.rollout) = (version, arm, share, rollout)
    }
}

extension TaskBundle: JSONConvertible {
    public var json: JSONValue {
        [
            "version": .string(version), "arm": .of(arm?.rawValue), "share": .of(share), "rollout": .of(rollout),
        ]
    }
}

/// What claims need to know of roll-outs. Asked only for agents that are in one.
public protocol TaskBundles: Sendable {
    /// How an agent's tasks are given out now; `nil` where nothing is given out.
    func arms(
        of rollout: String, agent: AgentStanding, takesBundle: Bool, in transaction: Transaction
    ) throws -> (any TaskArms)?
}

/// Gives the tasks of one claim to the versions of a roll-out.
public protocol TaskArms: Sendable {
    /// The version that the attempt which this claim begins is given, and keeps word of it; `nil` where none is.
    func bundle(for task: AgentTask, in transaction: Transaction) throws -> TaskBundle?
}
