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
    let gateway: ModelGateway

    func clear(_ drill: Drill, in transaction: Transaction) throws -> Bool {
        let page = Page(limit: Self.itemsMax)
        var filter = TaskFilter()
        filter.project = drill.project
        filter.states = TaskState.allCases.filter { !$0.isTerminal }
        for task in try tasks.store.list(filter, page: page, in: transaction) {
            _ = try tasks.cancel("\(task.id)", reason: "The drill is over.", by: .system, in: transaction)
        }
        for key in try access.list(after: drill.firstKey, limit: Self.itemsMax, in: transaction)
        where key.revokedAt == nil && key.agent?.hasPrefix(drill.prefix) == true {
            try access.revoke(key.id, by: .system, in: transaction)
        }
        let found = try agents.list(AgentFilter(project: drill.project), page: page, in: transaction).items
        var isClear = found.count < Self.itemsMax
        for agent in found {
            guard agent.currentTasks.isEmpty else {
                isClear = false
                continue
            }
            try agents.delete(agent.agent.name, ifMatch: nil, by: .system, in: transaction)
        }
        return isClear
    }

    func mendModel() { _ = gateway.resetBreakers(model: DrillModel.name, target: nil) }
}

extension Drill {
    /// Keys sort by the time at which they were made: those of the drill come behind this.
    fileprivate var firstKey: String {
        let digits = String(startedAt.microseconds / 1_000, radix: 16)
        return "key_" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}
