import Kernel

extension CallService {
    /// Calls of one agent that its spending is reckoned from.
    static let spendingCallsMax = 500

    /// Models that an agent asked for since a moment, by its newest calls.
    static func models(
        calledBy agent: String, since: Timestamp, in transaction: Transaction
    ) throws -> [String] {
        try CallStore().targets(of: agent, since: since, limit: dependenceCallsMax, in: transaction).map(\.model)
    }

    /// What an agent's calls of the last hour cost; where they were too many to look at, reckoned from the newest.
    static func nanoUSDPerHour(
        of agent: String, at now: Timestamp, in transaction: Transaction
    ) throws -> Int64 {
        let spent = try CallStore().spent(
            by: agent, since: now - .hours(1), limit: spendingCallsMax, in: transaction)
        guard spent.calls == spendingCallsMax, let oldest = spent.oldest else { return spent.nanoUSD }
        return Int64(Double(spent.nanoUSD) / max(1, (now - oldest).seconds) * 3_600)
    }
}
