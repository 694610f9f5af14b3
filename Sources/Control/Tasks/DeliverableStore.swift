import Kernel

/// The only SQL on deliverables and reviews.
public struct DeliverableStore: Sendable {
    public init() {}

    func insert(_ deliverable: Deliverable, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO deliverables (id, task_id, name, revision, content_type, size, sha256, agent, key_id, fence,
              round, is_approved, created_at, correlation_id)
            VALUES (\(deliverable.id), \(deliverable.taskID), \(deliverable.name), \(deliverable.revision),
              \(deliverable.contentType), \(deliverable.size), \(deliverable.sha256), \(deliverable.agent),
              \(deliverable.keyID), \(deliverable.fence), \(deliverable.round), \(deliverable.isApproved),
              \(deliverable.createdAt), \(deliverable.correlationID))
            """)
    }

    public func deliverable(_ id: DeliverableID, in transaction: Transaction) throws -> Deliverable? {
        try transaction.first("SELECT * FROM deliverables WHERE id = \(id)").map(Deliverable.init(row:))
    }

    /// Every revision, by name and revision.
    public func all(of id: TaskID, in transaction: Transaction) throws -> [Deliverable] {
        try transaction.rows("SELECT * FROM deliverables WHERE task_id = \(id) ORDER BY name, revision")
            .map(Deliverable.init(row:))
    }

    /// Every revision of several tasks, the oldest first.
    func all(of ids: [TaskID], limit: Int, in transaction: Transaction) throws -> [Deliverable] {
        guard !ids.isEmpty else { return [] }
        return try transaction.rows(
            "SELECT * FROM deliverables WHERE task_id IN \(list: ids) ORDER BY created_at, id LIMIT \(limit)"
        ).map(Deliverable.init(row:))
    }

    /// Those of several tasks that were handed in within a time, the oldest first.
    func all(
        of ids: [TaskID], within times: Range<Timestamp>, limit: Int, in transaction: Transaction
    ) throws -> [Deliverable] {
        guard !ids.isEmpty else { return [] }
        return try transaction.rows(
            """
            SELECT * FROM deliverables WHERE task_id IN \(list: ids) AND created_at >= \(times.lowerBound)
              AND created_at < \(times.upperBound) ORDER BY created_at, id LIMIT \(limit)
            """
        ).map(Deliverable.init(row:))
    }

    /// The newest revision of each name.
    public func latest(of id: TaskID, in transaction: Transaction) throws -> [Deliverable] {
        Self.latest(try all(of: id, in: transaction))
    }

    func latest(of ids: [TaskID], in transaction: Transaction) throws -> [String: [Deliverable]] {
        let rows = try transaction.rows(
            "SELECT * FROM deliverables WHERE task_id IN \(list: ids) ORDER BY task_id, name, revision")
        return Dictionary(grouping: rows.map(Deliverable.init(row:)), by: \.taskID.text).mapValues(Self.latest)
    }

    private static func latest(_ sorted: [Deliverable]) -> [Deliverable] {
        sorted.enumerated().filter { index, deliverable in
            index + 1 == sorted.count || sorted[index + 1].name != deliverable.name
        }.map(\.element)
    }

    func approved(of ids: [TaskID], in transaction: Transaction) throws -> [String: [Deliverable]] {
        let rows = try transaction.rows(
            "SELECT * FROM deliverables WHERE task_id IN \(list: ids) AND is_approved = 1 ORDER BY task_id, name")
        return Dictionary(grouping: rows.map(Deliverable.init(row:)), by: \.taskID.text)
    }

    func approve(_ deliverables: [Deliverable], in transaction: Transaction) throws {
        guard !deliverables.isEmpty else { return }
        try transaction.run("UPDATE deliverables SET is_approved = 1 WHERE id IN \(list: deliverables.map(\.id))")
    }

    // MARK: Retention

    /// Forgets the deliverables and reviews of tasks; their contents are looked at again by ``contentsLeft``.
    func forget(of ids: [TaskID], in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO deliverable_contents_left (sha256)
            SELECT DISTINCT sha256 FROM deliverables WHERE task_id IN \(list: ids)
            ON CONFLICT (sha256) DO NOTHING
            """)
        try transaction.run("DELETE FROM deliverables WHERE task_id IN \(list: ids)")
        try transaction.run("DELETE FROM reviews WHERE task_id IN \(list: ids)")
    }

    /// Contents that a forgotten deliverable had, and whether another deliverable has them still.
    func contentsLeft(limit: Int, in transaction: Transaction) throws -> [(sha256: String, isUsed: Bool)] {
        try transaction.rows(
            """
            SELECT sha256,
              CASE WHEN EXISTS (SELECT 1 FROM deliverables d WHERE d.sha256 = l.sha256) THEN 1 ELSE 0 END AS is_used
            FROM deliverable_contents_left l ORDER BY sha256 LIMIT \(limit)
            """
        ).map { ($0.text("sha256"), $0.bool("is_used")) }
    }

    func settleContents(_ sha256s: [String], in transaction: Transaction) throws {
        guard !sha256s.isEmpty else { return }
        try transaction.run("DELETE FROM deliverable_contents_left WHERE sha256 IN \(list: sha256s)")
    }

    // MARK: Reviews

    func insert(_ review: Review, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO reviews (task_id, number, round, verdict, sha256, comment, reviewer, key_id, at)
            VALUES (\(review.taskID), \(review.number), \(review.round), \(review.verdict.rawValue), \(review.sha256),
              \(review.comment), \(review.reviewer), \(review.keyID), \(review.at))
            """)
    }

    public func reviews(of id: TaskID, in transaction: Transaction) throws -> [Review] {
        try transaction.rows("SELECT * FROM reviews WHERE task_id = \(id) ORDER BY number").map(Review.init(row:))
    }
}

extension Deliverable {
    init(row: StoredRow) {
        self.init(
            id: row.id("id"), taskID: row.id("task_id"), name: row.text("name"), revision: row.int("revision"),
            contentType: row.text("content_type"), size: row.int("size"), sha256: row.text("sha256"),
            agent: row.text("agent"), keyID: row.text("key_id"), fence: row.int("fence"), round: row.int("round"),
            isApproved: row.bool("is_approved"), createdAt: row.time("created_at"),
            correlationID: row.optionalText("correlation_id"))
    }
}

extension Review {
    init(row: StoredRow) {
        self.init(
            taskID: row.id("task_id"), number: row.int("number"), round: row.int("round"),
            verdict: ReviewVerdict(rawValue: row.text("verdict")) ?? .changes, sha256: row.text("sha256"),
            comment: row.text("comment"), reviewer: row.text("reviewer"), keyID: row.text("key_id"), at: row.time("at"))
    }
}
