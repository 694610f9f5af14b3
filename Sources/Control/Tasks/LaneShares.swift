import Kernel

/// Shares a queue among its projects: whoever was served least, for its weight, is next (start-time fair queueing).
///
/// A project that was idle begins at the queue's clock, so it gets its share from now on and nothing for the past.
struct LaneShares {
    private var lanes: [OpenLane]
    private var served: [String: Int64] = [:]
    private var weights: [String: Double] = [:]
    private var clock: Int64
    private var changed: Set<String> = []

    /// What serving one task adds at weight 1.
    private static let unit = 1_000_000.0

    init(
        _ lanes: [OpenLane], queue: String, store: TaskStore, queues: QueueService, in transaction: Transaction
    ) throws {
        self.lanes = lanes
        clock = 0
        for name in Set(lanes.map(\.project)) {
            weights[name] = try queues.project(name, in: transaction)?.weight ?? 1
        }
        guard isContested else { return }
        let stored = try store.served(queue: queue, in: transaction)
        clock = stored[""] ?? 0
        for name in weights.keys { served[name] = max(stored[name] ?? 0, clock) }
    }

    /// Whether more than one project has something ready.
    var isContested: Bool { weights.count > 1 }

    /// The lane to serve: of the least served project, the one whose first task is oldest.
    func next() -> OpenLane? {
        lanes.min { left, right in
            let (servedLeft, servedRight) = (served[left.project] ?? 0, served[right.project] ?? 0)
            return (servedLeft, left.head, left.id) < (servedRight, right.head, right.id)
        }
    }

    /// Counts tasks taken from a lane; `head` is the order key of what stands first in it now, `nil` when it is empty.
    mutating func took(_ count: Int, from lane: OpenLane, head: Int64?) {
        if isContested {
            let weight = weights[lane.project] ?? 1
            clock = max(clock, served[lane.project] ?? 0)
            served[lane.project, default: 0] += Int64(Double(count) * Self.unit / weight)
            changed.insert(lane.project)
        }
        guard let index = lanes.firstIndex(where: { $0.id == lane.id }) else { return }
        if let head, count > 0 { lanes[index].head = head } else { lanes.remove(at: index) }
    }

    /// Leaves a lane out from here on: what is ready in it may not go now.
    mutating func drop(_ lane: OpenLane) { lanes.removeAll { $0.id == lane.id } }

    func save(queue: String, store: TaskStore, in transaction: Transaction) throws {
        guard !changed.isEmpty else { return }
        for project in changed.sorted() {
            try store.setServed(served[project] ?? 0, queue: queue, project: project, in: transaction)
        }
        try store.setServed(clock, queue: queue, project: "", in: transaction)
    }
}
