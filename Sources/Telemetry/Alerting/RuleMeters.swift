import Synchronization

/// How the evaluation of rules goes, as metrics.
public final class RuleMeters: MetricSource {
    public static let evaluations = Metric.counter(
        "reeve_rule_evaluations_total", "Evaluations of rules since the start, by group.", labels: ["rule_group"],
        open: ["rule_group"])
    public static let failures = Metric.counter(
        "reeve_rule_evaluation_failures_total", "Evaluations of rules that failed since the start, by group.",
        labels: ["rule_group"], open: ["rule_group"])
    public static let missed = Metric.counter(
        "reeve_rule_group_iterations_missed_total",
        "Evaluations of groups that were left out, as the ones before took too long.", labels: ["rule_group"],
        open: ["rule_group"])
    public static let duration = Metric.gauge(
        "reeve_rule_group_last_duration_seconds", "How long a group's last evaluation took.", labels: ["rule_group"],
        open: ["rule_group"])
    public static let last = Metric.gauge(
        "reeve_rule_group_last_evaluation_timestamp_seconds", "When a group was evaluated at last.",
        labels: ["rule_group"], open: ["rule_group"])

    public static let metrics = [evaluations, failures, missed, duration, last]

    private struct Row: Sendable {
        let group: String
        let evaluations: Int64
        let failures: Int64
        let missed: Int64
        let seconds: Double
        let evaluatedAt: Int64?
    }

    private let rows = Mutex<[Row]>([])

    init() {}

    func set(_ groups: [RuleEngine.Group]) {
        let now = groups.map { group in
            Row(
                group: group.entry.key, evaluations: group.evaluations, failures: group.failures,
                missed: group.missed, seconds: group.took.reduce(.zero, +) / .seconds(1),
                evaluatedAt: group.evaluatedAt)
        }
        rows.withLock { $0 = now }
    }

    public func collect(into page: inout MetricPage) {
        var (evaluations, failures) = (CounterFamily(Self.evaluations), CounterFamily(Self.failures))
        var (missed, duration) = (CounterFamily(Self.missed), GaugeFamily(Self.duration))
        var last = GaugeFamily(Self.last)
        for row in rows.withLock({ $0 }) {
            evaluations.add(row.evaluations, [row.group])
            failures.add(row.failures, [row.group])
            missed.add(row.missed, [row.group])
            guard let time = row.evaluatedAt else { continue }
            duration.raise(row.seconds, [row.group])
            last.raise(Double(time) / 1_000, [row.group])
        }
        page.add(evaluations)
        page.add(failures)
        page.add(missed)
        page.add(duration)
        page.add(last)
    }
}
