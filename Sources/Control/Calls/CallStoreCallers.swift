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

    /// Agents with one of these calls among their newest since a moment, by name.
    ///
    /// Steps from agent to agent in the index and looks at the newest calls of each: whoever floods hides nobody.
    ///
    /// - Parameter depth: Calls of one agent that are looked at.
    static func callers(_ ground: CallGround, since: Timestamp, depth: Int, limit: Int) -> SQLText {
        let isMeant: SQLText =
            switch ground {
            case .models(let names): "latest.model IN \(list: names)"
            case .projects(let names): "latest.project IN \(list: names)"
            case .sessions(let names): "latest.session IN \(list: names)"
            case .keys(let names): "latest.key_id IN \(list: names)"
            case .tags(let names):
                """
                EXISTS (SELECT 1 FROM call_tags WHERE call_tags.tag IN \(list: names)
                  AND call_tags.call_id = latest.id)
                """
            case .any: "latest.id > ''"
            }
        return """
            WITH RECURSIVE callers (agent) AS (
              SELECT MIN(agent) FROM calls WHERE agent IS NOT NULL
              UNION ALL
              SELECT (SELECT MIN(agent) FROM calls WHERE agent IS NOT NULL AND agent > callers.agent) FROM callers
              WHERE callers.agent IS NOT NULL)
            SELECT agent FROM callers WHERE agent IS NOT NULL AND EXISTS (
              SELECT 1 FROM (
                SELECT id, model, project, session, key_id FROM calls
                WHERE calls.agent = callers.agent AND calls.id >= \(firstID(at: since))
                ORDER BY calls.id DESC LIMIT \(depth)) AS latest
              WHERE \(sql: isMeant))
            LIMIT \(limit)
            """
    }
}

extension CallService {
    /// Newest calls of one agent by which it is a caller.
    static let callerDepth = 1_000
    /// Callers that are named.
    static let callersMax = 20_000

    /// Agents that made one of these calls lately, in the order of names. Asked once for all that is changed together,
    /// to the minute: a plan asks it of each of its orders.
    static func callers(
        _ ground: CallGround, since: Timestamp, in transaction: Transaction
    ) throws -> [String] {
        let minute = Span.minutes(1).microseconds
        let since = Timestamp(microseconds: since.microseconds / minute * minute)
        return try transaction.remembered("callers:\(ground):\(since.microseconds)") {
            try transaction.rows(
                CallStore.callers(ground, since: since, depth: callerDepth, limit: callersMax)
            ).map { $0.text("agent") }.sorted()
        }
    }
}
