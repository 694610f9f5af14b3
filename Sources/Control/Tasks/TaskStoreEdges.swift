import Kernel

/// That one task waits, or waited, for what another one makes.
public struct TaskEdge: Sendable, Equatable {
    public let upstream: String
    public let downstream: String
    /// Who had them last; `nil` where nobody did.
    public let upstreamAgent: String?
    public let downstreamAgent: String?

    public init(upstream: String, downstream: String, upstreamAgent: String?, downstreamAgent: String?) {
        (self.upstream, self.downstream) = (upstream, downstream)
        (self.upstreamAgent, self.downstreamAgent) = (upstreamAgent, downstreamAgent)
    }
}

extension TaskStore {
    /// The tasks that agents had last, live and finished.
    func latest(ofOwners agents: [String], limit: Int, in transaction: Transaction) throws -> [String] {
        guard !agents.isEmpty else { return [] }
        let live = try transaction.rows(
            "SELECT id FROM tasks WHERE owner IN \(list: agents) AND owner IS NOT NULL ORDER BY id DESC LIMIT \(limit)")
        let ended = try transaction.rows(
            """
            SELECT id FROM tasks_finished WHERE owner IN \(list: agents) AND owner IS NOT NULL
            ORDER BY id DESC LIMIT \(limit)
            """)
        return (live + ended).map { $0.text("id") }
    }

    /// The edges that lead to and from tasks, settled ones too, with who has the tasks.
    func edges(touching ids: [String], limit: Int, in transaction: Transaction) throws -> [TaskEdge] {
        guard !ids.isEmpty else { return [] }
        let rows = try transaction.rows(
            """
            SELECT task_id, depends_on FROM task_dependencies WHERE task_id IN \(list: ids)
            UNION SELECT task_id, depends_on FROM task_dependencies WHERE depends_on IN \(list: ids)
            ORDER BY depends_on, task_id LIMIT \(limit)
            """
        ).map { (down: $0.text("task_id"), up: $0.text("depends_on")) }
        let owners = try owners(of: Array(Set(rows.flatMap { [$0.down, $0.up] })), in: transaction)
        return rows.map {
            TaskEdge(
                upstream: $0.up, downstream: $0.down, upstreamAgent: owners[$0.up], downstreamAgent: owners[$0.down])
        }
    }

    private func owners(of ids: [String], in transaction: Transaction) throws -> [String: String] {
        guard !ids.isEmpty else { return [:] }
        let rows = try transaction.rows(
            """
            SELECT id, owner FROM tasks WHERE id IN \(list: ids) AND owner IS NOT NULL
            UNION ALL SELECT id, owner FROM tasks_finished WHERE id IN \(list: ids) AND owner IS NOT NULL
            """)
        return Dictionary(rows.map { ($0.text("id"), $0.text("owner")) }) { first, _ in first }
    }
}

extension TaskService {
    /// Tasks of agents that are looked at for what leads to and from them.
    static let edgeTasksMax = 100
    static let edgesMax = 500
    static let deliverablesMax = 100

    /// What was handed in within a time, of tasks and of the latest tasks of agents; the oldest first.
    func deliverables(
        ofAgents agents: [String], tasks: [String], _ times: Range<Timestamp>, in transaction: Transaction
    ) throws -> [Deliverable] {
        let owned = try store.latest(ofOwners: agents, limit: Self.edgeTasksMax, in: transaction)
        let ids = Set(owned + tasks.prefix(Self.edgeTasksMax)).compactMap { TaskID($0) }.sorted()
        return try deliverables.all(of: ids, within: times, limit: Self.deliverablesMax, in: transaction)
    }

    /// How the graph of tasks ties agents and tasks to others.
    public func edges(
        ofAgents agents: [String], tasks: [String] = [], in transaction: Transaction
    ) throws -> [TaskEdge] {
        let owned = try store.latest(ofOwners: agents, limit: Self.edgeTasksMax, in: transaction)
        return try store.edges(
            touching: Array(Set(owned + tasks.prefix(Self.edgeTasksMax))).sorted(), limit: Self.edgesMax,
            in: transaction)
    }
}
