/// All metrics of one moment, for whoever writes them down: families are values, so a page is cheap and stays as it is
/// while counting goes on.
public struct MetricPage: Sendable {
    public enum Family: Sendable {
        case counter(CounterFamily)
        case gauge(GaugeFamily)
        case histogram(HistogramFamily)

        public var metric: Metric {
            switch self {
            case .counter(let family): family.table.metric
            case .gauge(let family): family.table.metric
            case .histogram(let family): family.table.metric
            }
        }
    }

    /// In the order in which they came; no two have one name.
    public private(set) var families: [Family] = []
    /// The agent whose series are shown, of metrics that tell agents apart; `nil` for all.
    public let agent: String?

    public init(agent: String? = nil) {
        self.agent = agent.map(SeriesNames.clipped)
    }

    public mutating func add(_ family: CounterFamily) { families.append(.counter(family)) }
    public mutating func add(_ family: GaugeFamily) { families.append(.gauge(family)) }
    public mutating func add(_ family: HistogramFamily) { families.append(.histogram(family)) }

    /// A gauge that is not kept as a family.
    public mutating func add(_ metric: Metric, _ value: Double) {
        var family = GaugeFamily(metric, seriesMax: 1)
        family.set(value)
        add(family)
    }

    /// Whether the page's reader may see a series with these values of the metric's labels.
    func shows(_ labels: [String], of metric: Metric) -> Bool {
        guard let agent, let place = metric.labels.firstIndex(of: "agent") else { return true }
        return labels[place] == agent
    }

    // MARK: Samples

    /// A number with its name and labels, as Prometheus would keep it.
    public struct Sample: Sendable {
        /// With `_bucket`, `_sum` and `_count` where it is of a histogram.
        public let name: String
        /// In the metric's order; `le` of a bucket is the last, and written as in the text format 0.0.4.
        public let labels: [(name: String, value: String)]
        public let value: Double
        /// Of the family. All samples of a histogram rise as a counter does.
        public let kind: Metric.Kind
    }

    /// Every number of the page, in the order of the text format. Counts beyond 2^53 lose their last digits.
    public var samples: [Sample] {
        var samples: [Sample] = []
        eachSample { samples.append($0) }
        return samples
    }

    /// Like ``samples``, one after the other.
    public func eachSample(_ body: (Sample) throws -> Void) rethrows {
        for family in families {
            let metric = family.metric
            switch family {
            case .counter(let family):
                let unit = Self.power(of: family.digits)
                for (labels, value) in family.table.series where shows(labels, of: metric) {
                    try body(Self.sample(metric, "", labels, Double(value) / unit))
                }
            case .gauge(let family):
                for (labels, value) in family.table.series where shows(labels, of: metric) {
                    try body(Self.sample(metric, "", labels, value))
                }
            case .histogram(let family):
                for (labels, spread) in family.table.series where shows(labels, of: metric) {
                    for (bound, count) in family.buckets(of: spread) {
                        try body(
                            Self.sample(metric, "_bucket", labels, Double(count), ("le", MetricLines.number(bound))))
                    }
                    try body(Self.sample(metric, "_sum", labels, spread.sum))
                    try body(Self.sample(metric, "_count", labels, Double(spread.count)))
                }
            }
        }
    }

    private static func sample(
        _ metric: Metric, _ suffix: String, _ values: [String], _ value: Double,
        _ extra: (name: String, value: String)? = nil
    ) -> Sample {
        var labels = zip(metric.labels, values).map { (name: $0, value: $1) }
        if let extra { labels.append(extra) }
        return Sample(name: metric.name + suffix, labels: labels, value: value, kind: metric.kind)
    }

    private static func power(of digits: Int) -> Double { (0..<digits).reduce(1) { power, _ in power * 10 } }
}
