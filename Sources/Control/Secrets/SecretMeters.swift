import Kernel
import Synchronization
import Telemetry

/// How secrets stand, and what was taken out of what came in, by what it was and where; none is named.
public final class SecretMeters: MetricSource {
    static let due = Metric.gauge(
        "reeve_secrets_due", "Secrets whose value is older than it may get.", labels: ["scope"])
    static let redacted = Metric.counter(
        "reeve_secrets_redacted_total",
        "What was taken out of texts since the start: values of secrets that Reeve keeps (`known`), and what looks "
            + "like a key, by its format; and the door where it was.",
        labels: ["kind", "door"])

    public static let metrics = [due, redacted]

    private let watch: SecretWatch
    private let overdue = Mutex<[SecretPath.Scope: Int64]>([:])

    init(watch: SecretWatch) { self.watch = watch }

    func set(due: [SecretPath.Scope: Int64]) { overdue.withLock { $0 = due } }

    public func collect(into page: inout MetricPage) {
        let overdue = overdue.withLock { $0 }
        var due = GaugeFamily(Self.due)
        for scope in SecretPath.Scope.allCases { due.set(Double(overdue[scope] ?? 0), [scope.rawValue]) }
        page.add(due)
        var redacted = CounterFamily(Self.redacted)
        for total in watch.totals { redacted.add(total.count, [total.kind, total.door]) }
        page.add(redacted)
    }
}
