import Kernel

/// Where the failures of tasks began: at the input of the first task above that failed, or else at that task.
///
/// Of a draft that was accepted and is bad, a review that fails on it and a print that is skipped with the review, the
/// draft is the root of both. A task that failed and depends on nothing has none: that is its own matter.
struct TaskRoots: Sendable {
    /// Tasks that are looked at for one batch of events, and steps up the graph.
    static let tasksMax = 2_000
    static let stepsMax = 32

    /// One for each task that has a root.
    private(set) var found: [FinishedTask] = []

    init(of spoilt: [FinishedTask], _ store: TaskStore, in transaction: Transaction) throws {
        var above: [String: [TaskDependency]] = [:]
        var known = Dictionary(spoilt.map { ($0.id, $0) }) { first, _ in first }
        var level = Array(known.keys)
        for _ in 0..<Self.stepsMax where !level.isEmpty && known.count < Self.tasksMax {
            let edges = try store.dependencies(of: level.compactMap { TaskID($0) }, in: transaction)
            for (task, edges) in edges { above[task] = edges.filter { !$0.isChild } }
            let further = Set(level.flatMap { above[$0] ?? [] }.map(\.dependsOn.text)).subtracting(known.keys)
            let ended = try store.finished(Array(further.prefix(Self.tasksMax)), in: transaction)
            for task in ended { known[task.id] = task }
            // Above what went well nobody looks.
            level = ended.filter { $0.state != .done }.map(\.id)
        }
        for task in spoilt {
            var (root, steps) = (task, 0)
            while steps < Self.stepsMax, let next = Self.next(above[root.id] ?? [], known) {
                (root, steps) = (next, steps + 1)
                if next.state == .done { break }
            }
            if steps > 0, !root.agent.isEmpty { found.append(root) }
        }
    }

    /// What went wrong comes before what did not.
    private static func next(_ edges: [TaskDependency], _ known: [String: FinishedTask]) -> FinishedTask? {
        let tasks = edges.compactMap { known[$0.dependsOn.text] }
        return tasks.first { $0.state != .done } ?? tasks.first
    }
}
