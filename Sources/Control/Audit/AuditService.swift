import Kernel

/// Keeps a row for every administrative act, in the transaction of the act itself, chained by hashes so that a changed,
/// removed or inserted row shows.
public struct AuditService: Sendable {
    private static let verifyRows = 1_000

    private let store = AuditStore()
    private let world: World

    public init(world: World) {
        self.world = world
    }

    /// Adds a row behind the last one. Changes run one after the other, so the numbers have no gap.
    ///
    /// - Parameters:
    ///   - action: `noun.verb`, such as `key.created`.
    ///   - detail: Facts about the act; never a key, token or other secret.
    public func record(
        _ action: String, by principal: Principal, target: String, detail: JSONValue = [:], in transaction: Transaction
    ) throws {
        var detail = detail
        // Within the chain, like all that an entry says.
        if let id = principal.correlationID, var object = detail.object {
            object["correlationId"] = .string(id)
            detail = .object(object)
        }
        let last = try store.last(in: transaction)
        let entry = AuditEntry(
            number: (last?.number ?? 0) + 1, at: world.now, action: action, actor: principal.actor,
            keyID: principal.keyID, target: target, detail: detail.text, previous: last?.hash ?? AuditEntry.genesis)
        try store.insert(entry, in: transaction)
    }

    /// Entries with a number above `after`, oldest first.
    public func list(after: Int64, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try store.list(after: after, limit: limit, in: transaction)
    }

    /// Entries with a number below `before`, newest first: for pages that open at the end.
    public func latest(before: Int64 = .max, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try store.latest(before: before, limit: limit, in: transaction)
    }

    /// How many of the newest entries are looked through for those on one target: the table has no index by target, as
    /// nothing but pages asks for that.
    static let targetRows: Int64 = 20_000

    /// Entries on a target among the newest ``targetRows``, newest first.
    public func latest(on target: String, limit: Int, in transaction: Transaction) throws -> [AuditEntry] {
        try store.latest(on: target, among: Self.targetRows, limit: limit, in: transaction)
    }

    /// Walks the chain from its first row, a bounded number of rows at a time; works beside a running server as well as
    /// on a store that nobody serves.
    public func verify(_ storage: any Storage) async throws -> AuditReport {
        var number: Int64 = 0
        var hash = AuditEntry.genesis
        while true {
            let after = number
            let entries = try await storage.read { try store.list(after: after, limit: Self.verifyRows, in: $0) }
            for entry in entries {
                guard entry.follows(number: number, hash: hash) else {
                    return AuditReport(isValid: false, rows: number, brokenAt: number + 1, head: hash)
                }
                number = entry.number
                hash = entry.hash
            }
            if entries.count < Self.verifyRows {
                return AuditReport(isValid: true, rows: number, brokenAt: nil, head: hash)
            }
        }
    }
}
