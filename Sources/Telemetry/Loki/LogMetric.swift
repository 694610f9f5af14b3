import Kernel

/// A metric query of Grafana's language as far as its log views ask one (Loki documentation, "Metric queries"): lines
/// or bytes of a range, put together by labels, and compared with a number.
indirect enum LogMetric: Sendable {
    /// What a range makes of its lines.
    enum Measure: String, Sendable, CaseIterable {
        case count = "count_over_time"
        case rate
        case bytes = "bytes_over_time"
        case bytesRate = "bytes_rate"

        var isOfBytes: Bool { self == .bytes || self == .bytesRate }
        /// Whether it is by the second.
        var isRate: Bool { self == .rate || self == .bytesRate }
    }

    enum Operator: String, Sendable, CaseIterable {
        case sum, min, max, avg, count, topk
    }

    enum Comparison: String, Sendable {
        case equal = "=="
        case unequal = "!="
        case atLeast = ">="
        case atMost = "<="
        case above = ">"
        case below = "<"

        func holds(_ left: Double, _ right: Double) -> Bool {
            switch self {
            case .equal: left == right
            case .unequal: left != right
            case .atLeast: left >= right
            case .atMost: left <= right
            case .above: left > right
            case .below: left < right
            }
        }
    }

    /// Lines of the time from `range` before each moment on, in nanoseconds.
    case range(Measure, LogQL, range: Int64, offset: Int64)
    /// - `number`: How many `topk` leaves of each group.
    case aggregate(Operator, LogGrouping, number: Int, LogMetric)
    /// - `isBool`: Whether it says 1 or 0, and leaves nothing out.
    case compare(LogMetric, Comparison, Double, isBool: Bool)
    /// The same at each moment: what Grafana asks to see whether there is somebody.
    case constant(Double)

    /// What goes through the lines, with the labels that must be told apart; `nil` for a constant.
    var source: (measure: Measure, query: LogQL, range: Int64, offset: Int64, grouping: LogGrouping)? {
        switch self {
        case .range(let measure, let query, let range, let offset): (measure, query, range, offset, .all)
        case .aggregate(.sum, let grouping, _, .range(let measure, let query, let range, let offset)):
            // A sum of sums: nothing needs to be told apart that is put together at once.
            (measure, query, range, offset, grouping)
        case .aggregate(_, _, _, let inner), .compare(let inner, _, _, _): inner.source
        case .constant: nil
        }
    }
}

/// Which labels tell series apart.
enum LogGrouping: Sendable, Equatable {
    case by([String])
    case without([String])

    static let all = LogGrouping.without([])

    func labels(of labels: LogLabels) -> LogLabels {
        switch self {
        case .by(let names): LogLabels(labels.pairs.filter { names.contains($0.name) })
        case .without(let names): names.isEmpty ? labels : LogLabels(labels.pairs.filter { !names.contains($0.name) })
        }
    }
}
