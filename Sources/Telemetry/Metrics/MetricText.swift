/// Prometheus' text format, version 0.0.4 (Prometheus documentation, "Exposition formats").
public enum MetricText {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public static func bytes(of page: MetricPage) -> [UInt8] {
        var lines = MetricLines()
        for family in page.families {
            let metric = family.metric
            lines.append("# HELP \(metric.name) \(escaped(metric.help))\n")
            lines.append("# TYPE \(metric.name) \(metric.kind.rawValue)\n")
            func line(_ suffix: String, _ labels: [String], _ value: String, le: String? = nil) {
                lines.sample(metric, name: metric.name + suffix, labels, le.map { ("le", $0) }, value)
                lines.append("\n")
            }
            switch family {
            case .counter(let family):
                for (labels, value) in family.table.series where page.shows(labels, of: metric) {
                    line("", labels, MetricLines.decimal(value, digits: family.digits))
                }
            case .gauge(let family):
                for (labels, value) in family.table.series where page.shows(labels, of: metric) {
                    line("", labels, MetricLines.number(value))
                }
            case .histogram(let family):
                for (labels, spread) in family.table.series where page.shows(labels, of: metric) {
                    for (bound, count) in family.buckets(of: spread) {
                        line("_bucket", labels, "\(count)", le: MetricLines.number(bound))
                    }
                    line("_sum", labels, MetricLines.number(spread.sum))
                    line("_count", labels, "\(spread.count)")
                }
            }
        }
        return lines.bytes
    }

    private static func escaped(_ help: String) -> String {
        help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }
}
