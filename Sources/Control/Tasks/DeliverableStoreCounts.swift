import Kernel

/// What the other owners of blobs ask before they remove one.
extension DeliverableStore: BlobUse {
    public func uses(_ sha256: String, in transaction: Transaction) throws -> Bool {
        try transaction.first("SELECT id FROM deliverables WHERE sha256 = \(sha256) LIMIT 1") != nil
    }
}

/// What tasks tell costs: how many deliverables were accepted. Named as the store's, whose tables they read.
extension DeliverableStore: AcceptedWork {
    public func acceptedDeliverables(
        by unit: AcceptedUnit, from: Timestamp, until: Timestamp, agent: String?, project: String?, tasks: [String],
        in transaction: Transaction
    ) throws -> [String: Int64] {
        if unit == .task, tasks.isEmpty { return [:] }
        let column: SQLText =
            switch unit {
            case .agent: "d.agent"
            case .project: "t.project"
            case .day: "t.finished_at / 86400000000"
            case .task: "t.id"
            }
        var sql: SQLText =
            """
            SELECT \(sql: column) AS item, COUNT(*) AS count FROM tasks_finished t JOIN deliverables d
              ON d.task_id = t.id AND d.is_approved = 1
            WHERE t.state = 'done' AND t.finished_at >= \(from) AND t.finished_at < \(until)
            """
        if let agent { sql += "AND d.agent = \(agent)" }
        if let project { sql += "AND t.project = \(project)" }
        if unit == .task { sql += "AND t.id IN \(list: tasks)" }
        var counts: [String: Int64] = [:]
        for row in try transaction.rows(sql + "GROUP BY \(sql: column)") {
            let name = unit == .day ? CostDay(number: row.int("item")).text : row.text("item")
            counts[name] = row.int("count")
        }
        return counts
    }
}
