/// What became of records, as a metric: what is not kept must be seen where people look.
public struct LedgerMetrics: MetricSource {
    public static let metric = Metric.counter(
        "reeve_telemetry_records_total", "Records of telemetry over all starts, by what became of them.",
        labels: ["signal", "outcome"])

    public static let failures = Metric.counter(
        "reeve_telemetry_store_failures_total",
        "Tries to put records into the store of telemetry that failed since the start; they wait in the spool.")

    public static let unkept = Metric.counter(
        "reeve_telemetry_unkept_traces_total",
        "Traces with an error that were not kept for longer, as kept traces had no more room.")

    public static let drop = Metric.gauge(
        "reeve_telemetry_drop_seconds",
        "How long the last drop of a day's telemetry held up whoever sends and looks; absent before there was one.")

    public static let metrics = [metric, failures, unkept, drop]

    private let ingest: TelemetryIngest?
    private let metrics: MetricIngest?

    public init(_ ingest: TelemetryIngest?, metrics: MetricIngest?) {
        self.ingest = ingest
        self.metrics = metrics
    }

    public func collect(into page: inout MetricPage) {
        var ledgers = ingest?.ledgers ?? TelemetryLedgers()
        if let metrics { ledgers[.metrics] = metrics.ledger }
        var family = CounterFamily(Self.metric)
        for signal in TelemetrySignal.allCases {
            let ledger = ledgers[signal]
            for (outcome, count) in [
                ("stored", ledger.stored), ("rejected", ledger.rejected), ("duplicate", ledger.duplicate),
                ("shed", ledger.shed),
            ] {
                family.add(Int64(count), [signal.rawValue, outcome])
            }
        }
        page.add(family)
        var failures = CounterFamily(Self.failures)
        failures.add(Int64(ingest?.storeFailures ?? 0), [])
        page.add(failures)
        var unkept = CounterFamily(Self.unkept)
        unkept.add(Int64(ingest?.unkeptTraces ?? 0), [])
        page.add(unkept)
        if let last = ingest?.lastDrop { page.add(Self.drop, last / .seconds(1)) }
    }
}
