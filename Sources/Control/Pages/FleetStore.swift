import Kernel

/// Queries that look across features for the fleet page; it changes nothing.
struct FleetStore: Sendable {
    /// Events that the digest looks back over at most, so that a long absence costs no more than a short one.
    static let digestEventsMax: Int64 = 100_000

    /// How many events of each type there are behind a number.
    func eventCounts(after seq: Int64, in transaction: Transaction) throws -> [String: Int64] {
        let rows = try transaction.rows(
            """
            SELECT type, COUNT(*) AS count FROM events
            WHERE seq > \(seq) AND seq > (SELECT COALESCE(MAX(seq), 0) FROM events) - \(Self.digestEventsMax)
            GROUP BY type
            """)
        return Dictionary(rows.map { ($0.text("type"), $0.int("count")) }, uniquingKeysWith: +)
    }

    /// Tasks that ended in each minute since a time, by state: `[state: [minute since the epoch: count]]`.
    func finished(since time: Timestamp, in transaction: Transaction) throws -> [String: [Int64: Int64]] {
        let rows = try transaction.rows(
            """
            SELECT state, finished_at / 60000000 AS minute, COUNT(*) AS count FROM tasks_finished
            WHERE finished_at >= \(time) GROUP BY state, finished_at / 60000000
            """)
        var result: [String: [Int64: Int64]] = [:]
        for row in rows { result[row.text("state"), default: [:]][row.int("minute")] = row.int("count") }
        return result
    }

    /// When the task that waits longest in a state last changed.
    func oldest(_ state: TaskState, in transaction: Transaction) throws -> Timestamp? {
        let column: SQLText = state == .ready ? "enqueued_at" : "updated_at"
        return try transaction.first("SELECT MIN(" + column + ") AS at FROM tasks WHERE state = \(state.rawValue)")?
            .optionalTime("at")
    }
}
