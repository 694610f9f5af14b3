import Kernel

/// Who holds the model calls of tasks to the tasks' budgets, before the money is spent. Each verb comes in the
/// transaction of the change that it is about, and only for tasks whose budget ``TaskBudget/capsCalls``.
public protocol TaskCaps: Sendable {
    func taskBegan(_ id: TaskID, _ budget: TaskBudget, by actor: String, in transaction: Transaction) throws
    func taskWasClaimed(_ id: TaskID, in transaction: Transaction) throws
    func taskEnded(_ id: TaskID, in transaction: Transaction) throws
}

extension TaskBudget {
    /// Whether it limits something that model calls use; tool calls and time are none of that.
    var capsCalls: Bool { nanoUSD != nil || tokens != nil || steps != nil }
}
