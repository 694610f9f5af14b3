/// What became of the log records that go on to Kafka.
public struct KafkaMetrics: MetricSource {
    public static let metrics = [records, waiting]
    private static let records = Metric.counter(
        "reeve_kafka_records_total", "Log records on their way to Kafka since the start, by what became of them.",
        labels: ["outcome"])
    private static let waiting = Metric.gauge(
        "reeve_kafka_records_waiting", "Log records that Kafka has not confirmed yet.")

    private let outlet: KafkaOutlet?

    public init(_ outlet: KafkaOutlet?) { self.outlet = outlet }

    public func collect(into page: inout MetricPage) {
        guard let counts = outlet?.counts else { return }
        var records = CounterFamily(Self.records)
        for (outcome, count) in [
            ("delivered", counts.delivered), ("failed", counts.failed), ("dropped", counts.dropped),
        ] {
            records.add(Int64(count), [outcome])
        }
        page.add(records)
        var waiting = GaugeFamily(Self.waiting)
        waiting.set(Double(counts.waiting))
        page.add(waiting)
    }
}
