import Kernel

/// What runs at this moment and may hold a value that it read when it began.
public protocol SecretUsers: Sendable {
    /// Tasks in the hands of agents, and since when they run; `nil` for one that was claimed and did not begin.
    func running(of agents: [String], limit: Int, in transaction: Transaction) throws -> [RunningUse]
}

/// Something of an agent that runs.
public struct RunningUse: Sendable, Equatable {
    public let agent: String
    public let since: Timestamp?

    public init(agent: String, since: Timestamp?) { (self.agent, self.since) = (agent, since) }
}
