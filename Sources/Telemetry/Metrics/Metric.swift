/// What a metric is called, what it says, and what tells its series apart.
public struct Metric: Sendable {
    public enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    public let kind: Kind
    /// As Prometheus takes it: letters, digits and underscores.
    public let name: String
    public let help: String
    public let labels: [String]
    /// Labels whose values come from agents, callers and providers, as places in ``labels``, in the order in which they
    /// are given up for ``SeriesNames/other`` when there are too many.
    let open: [Int]

    /// - Parameter open: Names among `labels`.
    public init(_ kind: Kind, _ name: String, _ help: String, labels: [String] = [], open: [String] = []) {
        self.kind = kind
        self.name = name
        self.help = help
        self.labels = labels
        self.open = open.compactMap { labels.firstIndex(of: $0) }
    }

    public static func counter(
        _ name: String, _ help: String, labels: [String] = [], open: [String] = []
    ) -> Metric { Metric(.counter, name, help, labels: labels, open: open) }

    public static func gauge(
        _ name: String, _ help: String, labels: [String] = [], open: [String] = []
    ) -> Metric { Metric(.gauge, name, help, labels: labels, open: open) }

    public static func histogram(
        _ name: String, _ help: String, labels: [String] = [], open: [String] = []
    ) -> Metric { Metric(.histogram, name, help, labels: labels, open: open) }
}

/// Something that has metrics to show.
public protocol MetricSource: Sendable {
    /// Puts what it counts on the page. Called for each scrape; answers from memory.
    func collect(into page: inout MetricPage)
}
