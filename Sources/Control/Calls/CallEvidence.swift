import Kernel

/// What calls say of a time in which something went wrong. Each answer looks at a bounded number of calls.
extension CallService {
    /// Calls that an answer looks at.
    static let evidenceCallsMax = 20_000
    /// The latest calls of an agent from which is told what it depends on.
    static let dependenceCallsMax = 200

    /// Models that an agent asked for lately, with the targets that answered.
    public func targets(
        of agent: String, since: Timestamp, in transaction: Transaction
    ) throws -> [(model: String, target: String?)] {
        try store.targets(of: agent, since: since, limit: Self.dependenceCallsMax, in: transaction)
    }

    public func failures(_ times: Range<Timestamp>, in transaction: Transaction) throws -> [CallFailures] {
        try store.failures(times, limit: Self.evidenceCallsMax, in: transaction)
    }

    public func spend(
        agent: String? = nil, model: String? = nil, project: String? = nil, _ times: Range<Timestamp>,
        in transaction: Transaction
    ) throws -> CallSpend {
        try store.spend(
            agent: agent, model: model, project: project, times, limit: Self.evidenceCallsMax, in: transaction)
    }
}
