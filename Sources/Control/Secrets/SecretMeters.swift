import Kernel
import Telemetry

/// Counts what was taken out of what came in, by what it was and where.
public struct SecretMeters: MetricSource {
    public static let redacted = Metric.counter(
        "reeve_secrets_redacted_total",
        "What was taken out of texts since the start: values of secrets that Reeve keeps (`known`), and what looks like "
            + "a key, by its format; and the door where it was.",
        labels: ["kind", "door"])
    public static let metrics = [redacted]

    private let watch: SecretWatch

    public init(watch: SecretWatch) { self.watch = watch }

    public func collect(into page: inout MetricPage) {
        var family = CounterFamily(Self.redacted)
        for total in watch.totals { family.add(total.count, [total.kind, total.door]) }
        page.add(family)
    }
}
