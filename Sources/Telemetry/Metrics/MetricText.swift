/// Prometheus' text format, version 0.0.4 (Prometheus documentation, "Exposition formats").
public struct MetricText: Sendable {
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var bytes: [UInt8] = []
    /// The agent whose series are shown, of metrics that tell agents apart; `nil` for all.
    public let agent: String?

    public init(agent: String? = nil) {
        self.agent = agent.map(Self.clipped)
    }

    // MARK: Families

    public mutating func write(_ family: CounterFamily) {
        write(family.table) { text, labels, value in
            text.line(family.table.metric, "", labels, nil, Self.decimal(value, digits: family.digits))
        }
    }

    public mutating func write(_ family: GaugeFamily) {
        write(family.table) { text, labels, value in
            text.line(family.table.metric, "", labels, nil, Self.number(value))
        }
    }

    public mutating func write(_ family: HistogramFamily) {
        let metric = family.table.metric
        write(family.table) { text, labels, spread in
            var count: UInt64 = 0
            for (place, bound) in family.bounds.enumerated() {
                count += spread.counts[place]
                text.line(metric, "_bucket", labels, ("le", Self.number(bound)), "\(count)")
            }
            text.line(metric, "_bucket", labels, ("le", "+Inf"), "\(spread.count)")
            text.line(metric, "_sum", labels, nil, Self.number(spread.sum))
            text.line(metric, "_count", labels, nil, "\(spread.count)")
        }
    }

    /// A gauge that is not kept as a family.
    public mutating func write(_ metric: Metric, _ value: Double) {
        var family = GaugeFamily(metric, seriesMax: 1)
        family.set(value)
        write(family)
    }

    private mutating func write<Value>(
        _ table: SeriesTable<Value>, _ each: (inout MetricText, [String], Value) -> Void
    ) {
        let metric = table.metric
        append("# HELP \(metric.name) \(Self.escapedHelp(metric.help))\n")
        append("# TYPE \(metric.name) \(metric.kind.rawValue)\n")
        let place = agent == nil ? nil : metric.labels.firstIndex(of: "agent")
        for (labels, value) in table.series {
            if let place, labels[place] != agent { continue }
            each(&self, labels, value)
        }
    }

    // MARK: Lines

    private mutating func line(
        _ metric: Metric, _ suffix: String, _ values: [String], _ extra: (name: String, value: String)?,
        _ value: String
    ) {
        append(metric.name)
        append(suffix)
        var isFirst = true
        for (name, value) in zip(metric.labels, values) { append(name, value, &isFirst) }
        if let extra { append(extra.name, extra.value, &isFirst) }
        append(isFirst ? " " : "} ")
        append(value)
        append("\n")
    }

    private mutating func append(_ name: String, _ value: String, _ isFirst: inout Bool) {
        append(isFirst ? "{" : ",")
        isFirst = false
        append(name)
        append("=\"")
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append("\\\\")
            case UInt8(ascii: "\""): append("\\\"")
            case UInt8(ascii: "\n"): append("\\n")
            // The format has no word for other control characters, and readers differ in what they make of them.
            case 0..<0x20, 0x7F: append("\u{FFFD}")
            default: bytes.append(byte)
            }
        }
        append("\"")
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private static func escapedHelp(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    /// A number as Go's `ParseFloat` reads it.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
        return "\(value)"
    }

    /// An integer with a point before its last digits, exactly.
    static func decimal(_ value: Int64, digits: Int) -> String {
        guard digits > 0 else { return "\(value)" }
        var text = "\(value.magnitude)"
        text = String(repeating: "0", count: max(0, digits + 1 - text.utf8.count)) + text
        return "\(value < 0 ? "-" : "")\(text.dropLast(digits)).\(text.suffix(digits))"
    }

    /// At most ``SeriesNames/valueBytesMax`` bytes, cut between characters.
    static func clipped(_ value: String) -> String {
        guard value.utf8.count > SeriesNames.valueBytesMax else { return value }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in value.unicodeScalars {
            count += scalar.utf8.count
            guard count <= SeriesNames.valueBytesMax else { break }
            kept.append(scalar)
        }
        return String(kept)
    }
}
