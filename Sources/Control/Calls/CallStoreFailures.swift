import Kernel

/// Calls of one kind that failed within a time.
public struct CallFailures: Sendable, Equatable {
    public let agent: String?
    public let model: String
    /// Provider and model that were asked last; `nil` where nobody was.
    public let target: String?
    /// Why, in one word.
    public let failure: String
    public let count: Int64

    public init(agent: String?, model: String, target: String?, failure: String, count: Int64) {
        (self.agent, self.model, self.target) = (agent, model, target)
        (self.failure, self.count) = (failure, count)
    }

    /// The provider's part of the target.
    public var provider: String? { target.flatMap { $0.split(separator: "/").first.map(String.init) } }
}

/// What calls came to within a time.
public struct CallSpend: Sendable, Equatable {
    public var calls: Int64 = 0
    public var failed: Int64 = 0
    public var nanoUSD: Int64 = 0
    public var sessions: Int64 = 0
    /// Whether there were more calls than are looked at: all numbers are lower bounds then.
    public var isCut = false

    public init() {}
}

extension CallStore {
    /// Models that an agent asked for lately, with the targets that answered.
    func targets(
        of agent: String, since: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [(model: String, target: String?)] {
        try transaction.rows(
            """
            SELECT DISTINCT model, target FROM (
              SELECT model, target FROM calls WHERE agent = \(agent) AND id >= \(Self.firstID(at: since))
              ORDER BY id DESC LIMIT \(limit)) AS latest
            ORDER BY model, target
            """
        ).map { ($0.text("model"), $0.optionalText("target")) }
    }

    /// Calls that failed within a time, by who asked for what and why it failed; the most first.
    ///
    /// - Parameter limit: Calls that are looked at.
    func failures(
        _ times: Range<Timestamp>, limit: Int, in transaction: Transaction
    ) throws -> [CallFailures] {
        try transaction.rows(
            """
            SELECT agent, model, target, failure, count(*) AS n FROM (
              SELECT agent, model, target, COALESCE(failure, 'unknown') AS failure FROM calls
              WHERE status <> 'done' AND status = 'failed' AND id >= \(Self.firstID(at: times.lowerBound))
                AND id < \(Self.firstID(at: times.upperBound))
              ORDER BY id LIMIT \(limit)) AS failed
            GROUP BY agent, model, target, failure ORDER BY n DESC, agent, model, target, failure LIMIT \(limit)
            """
        ).map { row in
            CallFailures(
                agent: row.optionalText("agent"), model: row.text("model"), target: row.optionalText("target"),
                failure: row.text("failure"), count: row.int("n"))
        }
    }

    /// What the calls of an agent, or for a model, came to within a time.
    func spend(
        agent: String? = nil, model: String? = nil, project: String? = nil, _ times: Range<Timestamp>, limit: Int,
        in transaction: Transaction
    ) throws -> CallSpend {
        var sql: SQLText =
            """
            SELECT nano_usd, status, session FROM calls WHERE id >= \(Self.firstID(at: times.lowerBound))
              AND id < \(Self.firstID(at: times.upperBound))
            """
        if let agent { sql += "AND agent = \(agent)" }
        if let model { sql += "AND model = \(model)" }
        if let project { sql += "AND project = \(project)" }
        let row = try transaction.first(
            """
            SELECT count(*) AS calls, CAST(COALESCE(SUM(nano_usd), 0) AS BIGINT) AS nano_usd,
              CAST(COALESCE(SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0) AS BIGINT) AS failed,
              count(DISTINCT session) AS sessions
            FROM (\(sql: sql) ORDER BY id LIMIT \(limit)) AS looked_at
            """)
        var spend = CallSpend()
        guard let row else { return spend }
        (spend.calls, spend.nanoUSD) = (row.int("calls"), row.int("nano_usd"))
        (spend.failed, spend.sessions) = (row.int("failed"), row.int("sessions"))
        spend.isCut = spend.calls >= Int64(limit)
        return spend
    }
}
