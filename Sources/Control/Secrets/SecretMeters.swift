import Kernel
import Synchronization
import Telemetry

/// How secrets stand, as metrics; none of them names one.
public final class SecretMeters: MetricSource {
    static let due = Metric.gauge(
        "reeve_secrets_due", "Secrets whose value is older than it may get.", labels: ["scope"])
    static let leaks = Metric.counter(
        "reeve_secret_leaks_total", "How often values of secrets turned up where none belong, and were taken out.")

    public static let metrics = [due, leaks]

    private let state = Mutex<(due: [SecretPath.Scope: Int64], leaks: Int)>(([:], 0))

    public init() {}

    func set(due: [SecretPath.Scope: Int64]) { state.withLock { $0.due = due } }

    func count(leaks: Int) { state.withLock { $0.leaks += leaks } }

    public func collect(into page: inout MetricPage) {
        let (due, leaks) = state.withLock { $0 }
        var family = GaugeFamily(Self.due)
        for scope in SecretPath.Scope.allCases { family.set(Double(due[scope] ?? 0), [scope.rawValue]) }
        page.add(family)
        page.add(Self.leaks, Double(leaks))
    }
}
