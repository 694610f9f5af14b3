import Kernel

/// How often a rule would have fired. Times are milliseconds since 1970.
public struct BacktestReport: Sendable {
    /// One alert from when it fired to its end.
    public struct Episode: Sendable, Equatable {
        public let labels: LabelSet
        /// Since when its condition held.
        public let activeAt: Int64
        public let start: Int64
        /// `nil` for one that fires to the end of the period.
        public var end: Int64?
        /// The largest value while it fired, or the smallest where the condition is for small values.
        public var peak: Double
    }

    public let rule: String
    public let from: Int64
    public let through: Int64
    public let step: Int64
    public internal(set) var evaluations = 0
    /// In the order in which they began; the first ``RuleBacktest/episodesMax``.
    public internal(set) var episodes: [Episode] = []
    /// All that there were.
    public internal(set) var count = 0
    /// For how long at least one alert fired.
    public internal(set) var firing: Int64 = 0
    /// Evaluations of the alert, or of what it depends on, that came to nothing, and why the first did.
    public internal(set) var faults = 0
    public internal(set) var firstFault: String?
    /// The share of the period in which there was no sample of any metric that the rule asks for.
    public internal(set) var withoutData = 0.0
    /// Metrics of which there was no sample at all.
    public internal(set) var absent: [String] = []

    static let week: Int64 = 7 * 86_400_000

    public var perWeek: Double { Double(count) * Double(Self.week) / Double(max(step, through - from)) }
}

extension BacktestReport: JSONConvertible {
    public var json: JSONValue {
        [
            "rule": .string(rule), "from": Self.time(from), "until": Self.time(through),
            "stepSeconds": .double(Double(step) / 1_000), "evaluations": .int(Int64(evaluations)),
            "count": .int(Int64(count)), "perWeek": .double(perWeek),
            "firingSeconds": .double(Double(firing) / 1_000), "withoutData": .double(withoutData),
            "absentMetrics": .list(absent), "failedEvaluations": .int(Int64(faults)), "failure": .of(firstFault),
            "episodes": .list(episodes),
        ]
    }

    fileprivate static func time(_ milliseconds: Int64) -> JSONValue {
        Timestamp(microseconds: milliseconds * 1_000).json
    }
}

extension BacktestReport.Episode: JSONConvertible {
    public var json: JSONValue {
        [
            "labels": labels.json, "activeAt": BacktestReport.time(activeAt), "start": BacktestReport.time(start),
            "end": end.map(BacktestReport.time) ?? .null,
            // JSON has no infinities.
            "peak": .string(QueryText.number(peak)),
        ]
    }
}
