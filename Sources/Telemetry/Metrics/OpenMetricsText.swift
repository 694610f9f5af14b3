/// OpenMetrics' text format, version 1.0.0 (OpenMetrics specification, "Text format").
public enum OpenMetricsText {
    public static let contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    /// Words that end a family's name and are its unit.
    private static let units = ["seconds", "bytes", "ratio", "dollars", "usd"]

    public static func bytes(of page: MetricPage) -> [UInt8] {
        var lines = MetricLines()
        for family in page.families {
            let metric = family.metric
            let name = name(of: metric)
            lines.append("# TYPE \(name) \(metric.kind.rawValue)\n")
            if let unit = units.first(where: { name.hasSuffix("_\($0)") }) { lines.append("# UNIT \(name) \(unit)\n") }
            lines.append("# HELP \(name) \(escaped(metric.help))\n")
            func line(
                _ suffix: String, _ labels: [String], _ value: String, le: String? = nil, _ exemplar: Exemplar? = nil
            ) {
                lines.sample(metric, name: name + suffix, labels, le.map { ("le", $0) }, value)
                if let exemplar { write(exemplar, to: &lines) }
                lines.append("\n")
            }
            switch family {
            case .counter(let family):
                for (place, (labels, value)) in family.table.series.enumerated()
                where page.shows(labels, of: metric) {
                    let text = MetricLines.decimal(value, digits: family.digits)
                    line("_total", labels, text, family.exemplars[place])
                }
            case .gauge(let family):
                for (labels, value) in family.table.series where page.shows(labels, of: metric) {
                    line("", labels, MetricLines.number(value))
                }
            case .histogram(let family):
                for (place, (labels, spread)) in family.table.series.enumerated()
                where page.shows(labels, of: metric) {
                    for (bucket, (bound, count)) in family.buckets(of: spread).enumerated() {
                        line(
                            "_bucket", labels, "\(count)", le: threshold(bound),
                            family.exemplars[.init(series: place, bucket: bucket)])
                    }
                    line("_sum", labels, MetricLines.number(spread.sum))
                    line("_count", labels, "\(spread.count)")
                }
            }
        }
        lines.append("# EOF\n")
        return lines.bytes
    }

    /// Only 32 hexadecimal digits are a trace; so the labels of an exemplar stay below the 128 characters that they may
    /// have.
    private static func write(_ exemplar: Exemplar, to lines: inout MetricLines) {
        guard exemplar.trace.utf8.count == 32 else { return }
        lines.append(" # {trace_id=\"")
        lines.text(exemplar.trace)
        lines.append("\"} \(MetricLines.number(exemplar.value)) \(MetricLines.number(exemplar.at))")
    }

    /// A counter's family goes without `_total`, which its samples have.
    static func name(of metric: Metric) -> String {
        metric.kind == .counter && metric.name.hasSuffix("_total") ? String(metric.name.dropLast(6)) : metric.name
    }

    /// The specification wants bounds written as floating-point numbers ("Considerations: Canonical Numbers").
    static func threshold(_ value: Double) -> String {
        let text = MetricLines.number(value)
        return text.allSatisfy { $0.isNumber || $0 == "-" } ? "\(text).0" : text
    }

    private static func escaped(_ help: String) -> String {
        help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n").replacing("\"", with: "\\\"")
    }
}
