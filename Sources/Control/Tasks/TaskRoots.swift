import Kernel

/// Where the failures of tasks began: at the input of the first task above that failed, or else at that task.
///
/// Of a draft that was accepted and is bad, a review that fails on it and a print that is skipped with the review, the
/// draft is the root of both. What failed and depends on nothing began with itself, as did what went well. A task that
/// nobody has ended yet is struck by what is wrong above it.
struct TaskRoots: Sendable {
    /// Tasks that are looked at for one batch of events, and steps up the graph.
    static let tasksMax = 2_000
    static let stepsMax = 32

    /// A task, and where what befell it began.
    struct Struck: Sendable {
        let task: String
        /// Who had it; empty where nobody did.
        let agent: String
        /// Whether it went well itself.
        let isDone: Bool
        let root: FinishedTask

        /// Whether others brought it about.
        var isDownstream: Bool { root.id != task }
    }

    /// Each task that was asked for and that began somewhere.
    private(set) var struck: [Struck] = []
    private var above: [String: [TaskDependency]] = [:]
    private var known: [String: FinishedTask]
    private var living: Set<String>
    private var origins: [String: FinishedTask?] = [:]

    /// The roots of those whose failure was not their own matter, one for each.
    var downstream: [FinishedTask] {
        struck.filter { $0.isDownstream && !$0.root.agent.isEmpty }.map(\.root)
    }

    /// Of tasks in any state.
    init(of ids: some Collection<String>, _ store: TaskStore, in transaction: Transaction) throws {
        let ids = Array(ids.sorted().prefix(Self.tasksMax))
        let ended = try store.finished(ids, in: transaction)
        try self.init(
            of: ended, living: store.live(ids.compactMap(TaskID.init), in: transaction), store, in: transaction)
    }

    init(
        of ended: [FinishedTask], living: [AgentTask] = [], _ store: TaskStore, in transaction: Transaction
    ) throws {
        known = Dictionary(ended.map { ($0.id, $0) }) { first, _ in first }
        self.living = Set(living.map(\.id.text))
        try climb(from: ended.filter { $0.state != .done }.map(\.id) + living.map(\.id.text), store, in: transaction)
        for task in ended {
            let root = origin(of: task.id) ?? task
            struck.append(Struck(task: task.id, agent: task.agent, isDone: task.state == .done, root: root))
        }
        for task in living {
            guard let root = origin(of: task.id.text) else { continue }
            struck.append(Struck(task: task.id.text, agent: task.owner ?? "", isDone: false, root: root))
        }
    }

    /// Above what went well nobody looks.
    private mutating func climb(
        from first: [String], _ store: TaskStore, in transaction: Transaction
    ) throws {
        var level = first
        for _ in 0..<Self.stepsMax where !level.isEmpty && known.count + living.count < Self.tasksMax {
            let edges = try store.dependencies(of: level.compactMap(TaskID.init), in: transaction)
            for (task, edges) in edges { above[task] = edges.filter { !$0.isChild } }
            let further = Array(
                Set(level.flatMap { above[$0] ?? [] }.map(\.dependsOn.text)).subtracting(known.keys)
                    .subtracting(living).sorted().prefix(Self.tasksMax))
            let ended = try store.finished(further, in: transaction)
            for task in ended { known[task.id] = task }
            // What lives may wait for what failed further up.
            let waiting = Set(level.filter(living.contains).flatMap { above[$0] ?? [] }.map(\.dependsOn.text))
                .subtracting(known.keys).subtracting(living)
            living.formUnion(waiting)
            level = ended.filter { $0.state != .done }.map(\.id) + waiting.sorted()
        }
    }

    /// What went wrong comes before what is still to come, and that before what went well.
    private mutating func origin(of id: String, steps: Int = 0) -> FinishedTask? {
        let own = known[id]
        if own?.state == .done || steps >= Self.stepsMax { return own }
        if let seen = origins[id] { return seen }
        let inputs = (above[id] ?? []).map(\.dependsOn.text)
        var found = own
        if let spoilt = inputs.first(where: { known[$0].map { $0.state != .done } ?? false }) {
            found = origin(of: spoilt, steps: steps + 1)
        } else if own == nil, let root = firstOrigin(of: inputs.filter(living.contains), steps: steps + 1) {
            found = root
        } else if let input = inputs.first(where: { known[$0] != nil }) {
            found = known[input]
        }
        origins[id] = found
        return found
    }

    private mutating func firstOrigin(of ids: [String], steps: Int) -> FinishedTask? {
        for id in ids {
            if let root = origin(of: id, steps: steps) { return root }
        }
        return nil
    }
}

extension TaskRoots {
    /// Who most of it began with.
    struct Chief: Sendable {
        let agent: String
        /// Their tasks in which it began, that which led to most first.
        let tasks: [String]
        /// Tasks of others that it led to.
        let count: Int
    }

    /// - Parameter named: Among equals they come first.
    static func chief(of struck: [Struck], preferring named: [String]) -> Chief? {
        let by = Dictionary(grouping: struck.filter { !$0.root.agent.isEmpty }, by: \.root.agent)
        /// What it led to counts before what failed by itself, and that before results that may be well.
        func weight(_ agent: String) -> (Int, Int, Int, Int64) {
            let all = by[agent] ?? []
            return (
                all.count(where: \.isDownstream), all.count { !$0.isDone }, named.contains(agent) ? 1 : 0,
                all.map(\.root.finishedAt.microseconds).max() ?? 0
            )
        }
        let ranked = by.keys.sorted { left, right in
            let (one, other) = (weight(left), weight(right))
            return one == other ? left < right : one > other
        }
        guard let agent = ranked.first, let all = by[agent] else { return nil }
        let counts = Dictionary(grouping: all, by: \.root.id).mapValues { $0.count(where: \.isDownstream) }
        let tasks = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
        return Chief(agent: agent, tasks: tasks, count: all.count(where: \.isDownstream))
    }
}
