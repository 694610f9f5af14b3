import Kernel

/// What tasks tell the features that they do not know: how agents and queues stand.
extension TaskStore: AgentWorkload, QueueWorkload {
    private static let holdingsMax = 100

    public func currentTasks(of agent: String, in transaction: Transaction) throws -> [AgentHolding] {
        try inHand(of: agent, limit: Self.holdingsMax, in: transaction).map { task in
            AgentHolding(
                id: task.id.text, title: task.title, state: task.state.rawValue, leaseExpiresAt: task.leaseExpiresAt,
                isWaiting: task.state == .waiting)
        }
    }

    public func holdings(
        of agents: [String], in transaction: Transaction
    ) throws -> [String: (leased: Int, waiting: Int)] {
        var holdings: [String: (leased: Int, waiting: Int)] = [:]
        for row in try inHand(of: agents, in: transaction) {
            var holding = holdings[row.agent] ?? (0, 0)
            if row.isLeased { holding.leased += Int(row.count) } else { holding.waiting += Int(row.count) }
            holdings[row.agent] = holding
        }
        return holdings
    }

    public func cancellations(of agent: String, in transaction: Transaction) throws -> [String] {
        try cancelRequested(of: agent, in: transaction).map(\.text)
    }
}
