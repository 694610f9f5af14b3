import Kernel

/// How the money of an agent stands, for the replies to its heartbeats.
public protocol AgentBudgets: Sendable {
    /// The tightest budget that counts the agent's calls, as `budget` of a heartbeat's reply; `nil` where none does.
    /// Called for each heartbeat, so it answers from memory.
    func standing(of agent: String, project: String) -> JSONValue?
}
