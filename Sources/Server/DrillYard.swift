import Control
import Gateway
import Kernel

/// What drills bring with them, in the features that it is part of.
struct DrillYard: DrillGround {
    /// Of each kind, in one go.
    private static let itemsMax = 500

    let tasks: TaskService
    let agents: AgentService
    let access: AccessService
    let budgets: BudgetService
    let gateway: ModelGateway

    func prepare(_ drill: Drill, in transaction: Transaction) throws {
        let limit: JSONObject = JSONObject([.init(name: "limit", value: ["usd": .int(Drill.dollarsMax)])])
        let draft = try BudgetDraft(Fields(limit, limits: Limits()))
        _ = try budgets.put(drill.purse, draft, ifMatch: nil, by: .system, in: transaction)
    }

    func clear(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        // Keys first: nobody goes on with what ends here.
        let isClear = [
            try revokeKeys(drill, in: transaction), try cancelTasks(drill, in: transaction),
            try removeAgents(drill, in: transaction),
            try transaction.isAllowed {
                try budgets.remove(drill.purse, ifMatch: nil, by: .system, in: transaction)
            },
        ]
        return isClear.allSatisfy(\.self)
    }

    private func revokeKeys(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        for key in try access.list(after: drill.firstKey, limit: Self.itemsMax, in: transaction)
        where key.revokedAt == nil && key.agent?.hasPrefix(drill.prefix) == true {
            try access.revoke(key.id, by: .system, in: transaction)
        }
        return true
    }

    private func cancelTasks(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        var filter = TaskFilter()
        filter.project = drill.project
        filter.states = TaskState.allCases.filter { !$0.isTerminal }
        // One that ends may end those behind it: they are looked at one by one.
        for task in try tasks.store.list(filter, page: Page(limit: Self.itemsMax), in: transaction) {
            _ = try transaction.isAllowed {
                try tasks.abandon("\(task.id)", reason: "The drill is over.", by: .system, in: transaction)
            }
        }
        return try tasks.store.list(filter, page: Page(limit: 1), in: transaction).isEmpty
    }

    private func removeAgents(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        let page = Page(limit: Self.itemsMax)
        let found = try agents.list(AgentFilter(project: drill.project), page: page, in: transaction).items
        var isClear = found.count < Self.itemsMax
        for agent in found {
            isClear =
                try transaction.isAllowed {
                    try agents.delete(agent.agent.name, ifMatch: nil, by: .system, in: transaction)
                } && isClear
        }
        return isClear
    }

    func mendModel() { _ = gateway.resetBreakers(model: DrillModel.name, target: nil) }
}

extension Drill {
    /// What it may spend.
    fileprivate var purse: BudgetScope { BudgetScope(.project, project) }

    /// Keys sort by the time at which they were made: those of the drill come behind this.
    fileprivate var firstKey: String {
        let digits = String(startedAt.microseconds / 1_000, radix: 16)
        return "key_" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}
