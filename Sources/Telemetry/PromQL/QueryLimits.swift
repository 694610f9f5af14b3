import Kernel

/// Bounds of queries.
public enum QueryLimits {
    /// Bytes of an expression.
    public static let textBytes = 32 << 10
    /// Levels of an expression, and of parentheses within each other.
    public static let depthMax = 100
    /// Bytes of a label's value that a function makes: one within the other could double it with each.
    public static let labelBytes = 4_096
    /// Milliseconds of a range, an offset or a step: a hundred years.
    public static let durationMax: Int64 = 3_153_600_000_000
    /// Samples, and points of results, that one query may have in memory at a time, of 16 bytes each.
    public static let samplesMax = 10_000_000
    /// Points of each series of a query over a range (Prometheus, `web/api/v1`).
    public static let pointsMax = 11_000
    /// How far behind a moment the last sample of a series may lie, in milliseconds (Prometheus' default).
    public static let lookback: Int64 = 300_000
    /// The step of a subquery that says none, in milliseconds (Prometheus' default evaluation interval).
    public static let subqueryStep: Int64 = 60_000
    /// How long a query may take that asks for no less.
    public static let time = Span.seconds(30)
    /// Queries that are worked on at a time; more are told to come again.
    public static let queriesMax = 8
    /// Labels whose values are shown, and series that are listed.
    public static let namesMax = 100_000
}

/// Why a query has no answer.
public enum QueryFault: Error, Sendable, CustomStringConvertible {
    /// What it asks cannot be done with these samples.
    case execution(String)
    case timeout

    public static let tooManySamples = QueryFault.execution(
        "query processing would load too many samples into memory in query execution")

    public var description: String {
        switch self {
        case .execution(let text): text
        case .timeout: "query timed out in expression evaluation"
        }
    }
}
