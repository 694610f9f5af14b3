import Kernel

/// What calls have in common whose callers are asked for.
enum CallGround: Sendable, Equatable {
    /// Any of these models.
    case models([String])
    case projects([String])
    case sessions([String])
    case keys([String])
    case tags([String])
    /// All calls.
    case any

    /// Whether it names nothing, so that nobody can be meant.
    var isEmpty: Bool {
        switch self {
        case .models(let names), .projects(let names), .sessions(let names), .keys(let names), .tags(let names):
            names.isEmpty
        case .any: false
        }
    }
}

extension CallStore {
    /// What the newest calls of an agent cost, how many they are, and when the oldest of them began.
    func spent(
        by agent: String, since: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> (calls: Int, nanoUSD: Int64, oldest: Timestamp?) {
        let row = try transaction.first(
            """
            SELECT count(*) AS calls, CAST(COALESCE(SUM(nano_usd), 0) AS BIGINT) AS nano_usd,
              MIN(started_at) AS oldest
            FROM (
              SELECT nano_usd, started_at FROM calls
              WHERE agent = \(agent) AND id >= \(Self.firstID(at: since - Self.idSlack)) AND started_at >= \(since)
              ORDER BY id DESC LIMIT \(limit)) AS latest
            """)
        return (Int(row?.int("calls") ?? 0), row?.int("nano_usd") ?? 0, row?.optionalTime("oldest"))
    }

    // MARK: Callers

    /// Callers that one statement writes down.
    private static let callersTogetherMax = 64

    /// Writes down when callers were heard of at last: nothing where it is known already.
    func put(_ callers: [Caller: Timestamp], in transaction: Transaction) throws {
        var rest = callers.map { caller, minute -> SQLText in
            "(\(caller.kind.rawValue), \(caller.name), \(caller.agent), \(minute))"
        }[...]
        while !rest.isEmpty {
            // Powers of two, so that few statements stay prepared.
            var count = 1
            while count * 2 <= min(rest.count, Self.callersTogetherMax) { count *= 2 }
            var rows = rest.removeFirst()
            for row in rest.prefix(count - 1) { rows = "\(sql: rows), \(sql: row)" }
            rest = rest.dropFirst(count - 1)
            try transaction.run(
                """
                INSERT INTO callers (kind, name, agent, last_at) VALUES \(sql: rows)
                ON CONFLICT (kind, name, agent) DO UPDATE SET last_at = excluded.last_at
                WHERE callers.last_at < excluded.last_at
                """)
        }
    }

    /// Agents that called since a moment, to the minute, by name; of sessions, whose calls have an index of their own
    /// and are few, see ``callers(ofSession:since:limit:)``.
    static func callers(_ kind: Caller.Kind, _ names: [String]?, since: Timestamp, limit: Int) -> SQLText {
        let named: SQLText = names.map { "AND name IN \(list: $0)" } ?? ""
        return """
            SELECT DISTINCT agent FROM callers
            WHERE kind = \(kind.rawValue) \(sql: named) AND last_at >= \(since.wholeMinute)
            ORDER BY agent LIMIT \(limit)
            """
    }

    /// Agents with one of the newest calls of a session.
    ///
    /// - Parameter limit: Calls that are looked at.
    static func callers(ofSession session: String, since: Timestamp, limit: Int) -> SQLText {
        """
        SELECT agent, count(*) AS calls FROM (
          SELECT agent FROM calls WHERE session = \(session) AND session IS NOT NULL AND id >= \(firstID(at: since))
          ORDER BY id DESC LIMIT \(limit)) AS latest
        GROUP BY agent ORDER BY agent
        """
    }

    /// Forgets those that were not heard of since a moment. Returns how many.
    func purgeCallers(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM callers WHERE (kind, name, agent) IN (
              SELECT kind, name, agent FROM callers WHERE last_at < \(time) LIMIT \(limit))
            """)
    }
}

extension CallService {
    /// Callers that are named.
    static let callersMax = 20_000
    /// Calls of sessions that are looked at together.
    static let sessionCallsMax = 20_000
    /// For so long it is known who called: as far back as an incident looks, and a day.
    static let callersKept = Span.hours(24 * 8)

    /// Agents that made one of these calls since a moment, to the minute, in the order of names. Asked once for all
    /// that is changed together: a plan asks it of each of its orders.
    static func callers(
        _ ground: CallGround, since: Timestamp, in transaction: Transaction
    ) throws -> [String] {
        try transaction.remembered("callers:\(ground):\(since.wholeMinute.microseconds)") {
            func known(_ kind: Caller.Kind, _ names: [String]?) throws -> [String] {
                try transaction.rows(CallStore.callers(kind, names, since: since, limit: callersMax))
                    .map { $0.text("agent") }
            }
            switch ground {
            case .models(let names): return try known(.model, names)
            case .projects(let names): return try known(.project, names)
            case .keys(let names): return try known(.key, names)
            case .tags(let names): return try known(.tag, names)
            case .any: return try known(.model, nil)
            case .sessions(let names): return try callers(ofSessions: names, since: since, in: transaction)
            }
        }
    }

    private static func callers(
        ofSessions names: [String], since: Timestamp, in transaction: Transaction
    ) throws -> [String] {
        var found: Set<String> = []
        var left = sessionCallsMax
        for name in names where left > 0 {
            let rows = try transaction.rows(
                CallStore.callers(ofSession: name, since: since.wholeMinute, limit: left))
            left -= Int(rows.reduce(0) { $0 + $1.int("calls") })
            found.formUnion(rows.compactMap { $0.optionalText("agent") })
        }
        return found.sorted()
    }
}
