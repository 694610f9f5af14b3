import Kernel

/// The only SQL on queues and projects.
public struct QueueStore: Sendable {
    public init() {}

    /// Makes a queue or leaves the one that is there.
    func ensureQueue(_ name: String, now: Timestamp, in transaction: Transaction) throws {
        transaction.forget("queue:\(name)")
        try transaction.run(
            """
            INSERT INTO queues (name, revision, created_at) VALUES (\(name), 1, \(now)) ON CONFLICT (name) DO NOTHING
            """)
    }

    func ensureProject(_ name: String, now: Timestamp, in transaction: Transaction) throws {
        transaction.forget("project:\(name)")
        try transaction.run(
            """
            INSERT INTO projects (name, weight, created_at) VALUES (\(name), 1.0, \(now)) ON CONFLICT (name) DO NOTHING
            """)
    }

    func queue(_ name: String, in transaction: Transaction) throws -> Queue? {
        try transaction.remembered("queue:\(name)") {
            try transaction.first("SELECT * FROM queues WHERE name = \(name)").map(queue)
        }
    }

    func project(_ name: String, in transaction: Transaction) throws -> Project? {
        try transaction.remembered("project:\(name)") {
            try transaction.first("SELECT * FROM projects WHERE name = \(name)").map(project)
        }
    }

    func queues(page: Page, in transaction: Transaction) throws -> [Queue] {
        try transaction.rows(
            "SELECT * FROM queues WHERE name > \(page.after ?? "") ORDER BY name LIMIT \(page.limit + 1)"
        ).map(queue)
    }

    func projects(page: Page, in transaction: Transaction) throws -> [Project] {
        try transaction.rows(
            "SELECT * FROM projects WHERE name > \(page.after ?? "") ORDER BY name LIMIT \(page.limit + 1)"
        ).map(project)
    }

    func save(_ queue: Queue, in transaction: Transaction) throws {
        transaction.forget("queue:\(queue.name)")
        try transaction.run(
            """
            UPDATE queues SET paused_at = \(queue.pause?.at), pause_reason = \(queue.pause?.reason),
              paused_by = \(queue.pause?.actor), concurrency = \(queue.concurrency), model = \(queue.model),
              revision = revision + 1
            WHERE name = \(queue.name)
            """)
    }

    func save(_ project: Project, in transaction: Transaction) throws {
        transaction.forget("project:\(project.name)")
        try transaction.run(
            """
            UPDATE projects SET paused_at = \(project.pause?.at), pause_reason = \(project.pause?.reason),
              paused_by = \(project.pause?.actor), weight = \(project.weight) WHERE name = \(project.name)
            """)
    }

    private func pause(_ row: StoredRow) -> Pause? {
        row.optionalTime("paused_at").map { time in
            Pause(at: time, reason: row.optionalText("pause_reason") ?? "", actor: row.optionalText("paused_by") ?? "")
        }
    }

    private func queue(_ row: StoredRow) -> Queue {
        Queue(
            name: row.text("name"), pause: pause(row), concurrency: row.optionalInt("concurrency"),
            model: row.optionalText("model"),
            createdAt: row.time("created_at"), revision: row.int("revision"))
    }

    private func project(_ row: StoredRow) -> Project {
        Project(
            name: row.text("name"), pause: pause(row), weight: row.real("weight"), createdAt: row.time("created_at"))
    }
}
