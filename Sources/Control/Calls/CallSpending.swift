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
        var filter = CallFilter()
        filter.agent = agent
        filter.since = now - .hours(1)
        let page = Page(limit: spendingCallsMax, after: nil)
        let calls = try CallStore().list(filter, page: page, in: transaction).prefix(spendingCallsMax)
        let sum = calls.reduce(Int64(0)) { $0 + ($1.cost?.nanoUSD ?? 0) }
        guard calls.count == spendingCallsMax, let oldest = calls.last?.startedAt else { return sum }
        return Int64(Double(sum) / max(1, (now - oldest).seconds) * 3_600)
    }
}
