@testable import Kernel

/// Everything that the store holds on tasks at one moment, read past the services.
struct StoreSnapshot: Sendable {
    /// Columns by name; `Equatable`, so that a row that must not change can be compared whole.
    typealias Record = [String: SQLValue]

    var tasks: [String: Record] = [:]
    /// The ids of ``tasks`` that stand in the table of finished ones.
    var finished: Set<String> = []
    var attempts: [String: [Record]] = [:]
    var edges: [String: [Record]] = [:]
    var holds: [String: Set<String>] = [:]
    var deliverables: [String: [Record]] = [:]
    var reviews: [String: [Record]] = [:]
    var events: [Record] = []
    var queues: [Record] = []
    var projects: [Record] = []

    init(_ transaction: Transaction) throws {
        func read(_ sql: SQLText) throws -> [Record] { try transaction.rows(sql).map(\.record) }
        for row in try read("SELECT * FROM tasks") { tasks[row.text("id")] = row }
        for row in try read("SELECT * FROM tasks_finished") {
            precondition(tasks[row.text("id")] == nil, "a task is in both tables")
            tasks[row.text("id")] = row
            finished.insert(row.text("id"))
        }
        attempts = Dictionary(grouping: try read("SELECT * FROM task_attempts ORDER BY fence")) { $0.text("task_id") }
        let edgesMade = try read("SELECT * FROM task_dependencies ORDER BY task_id, depends_on")
        edges = Dictionary(grouping: edgesMade) { $0.text("task_id") }
        for row in try read("SELECT * FROM task_holds") {
            holds[row.text("task_id"), default: []].insert(row.text("hold"))
        }
        let made = try read("SELECT * FROM deliverables ORDER BY name, revision")
        deliverables = Dictionary(grouping: made) { $0.text("task_id") }
        reviews = Dictionary(grouping: try read("SELECT * FROM reviews ORDER BY number")) { $0.text("task_id") }
        events = try read("SELECT * FROM events ORDER BY seq")
        queues = try read("SELECT * FROM queues ORDER BY name")
        projects = try read("SELECT * FROM projects ORDER BY name")
    }
}

extension StoreSnapshot: Equatable {
    /// Where two stores that should hold the same do not.
    func differences(from other: StoreSnapshot) -> [String] {
        var differences: [String] = []
        for (id, row) in tasks where row != other.tasks[id] {
            let columns = row.keys.sorted().filter { row[$0] != other.tasks[id]?[$0] }
            differences += columns.map {
                "\(id).\($0): \(String(describing: row[$0])), \(String(describing: other.tasks[id]?[$0]))"
            }
        }
        if let index = zip(events, other.events).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
            differences.append("event \(index + 1): \(events[index]), \(other.events[index])")
        }
        if events.count != other.events.count { differences.append("\(events.count) events, \(other.events.count)") }
        if attempts != other.attempts { differences.append("attempts") }
        if edges != other.edges { differences.append("edges") }
        if holds != other.holds { differences.append("holds: \(holds), \(other.holds)") }
        if deliverables != other.deliverables { differences.append("deliverables") }
        if reviews != other.reviews { differences.append("reviews") }
        return differences
    }
}

extension StoredRow {
    fileprivate var record: StoreSnapshot.Record {
        Dictionary(uniqueKeysWithValues: columns.names.map { ($0, self[$0]) })
    }
}

extension StoreSnapshot.Record {
    func text(_ column: String) -> String {
        if case .text(let value)? = self[column] { return value }
        return ""
    }

    func int(_ column: String) -> Int64 { optionalInt(column) ?? 0 }

    func optionalInt(_ column: String) -> Int64? {
        if case .integer(let value)? = self[column] { return value }
        return nil
    }

    func optionalText(_ column: String) -> String? {
        if case .text(let value)? = self[column] { return value }
        return nil
    }
}
