/// Lines of Prometheus' formats, which differ little.
struct MetricLines {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// A name with its labels and a value, without the end of its line.
    mutating func sample(
        _ metric: Metric, name: String, _ values: [String], _ extra: (name: String, value: String)?, _ value: String
    ) {
        append(name)
        var isFirst = true
        for (name, value) in zip(metric.labels, values) { label(name, value, &isFirst) }
        if let extra { label(extra.name, extra.value, &isFirst) }
        append(isFirst ? " " : "} ")
        append(value)
    }

    private mutating func label(_ name: String, _ value: String, _ isFirst: inout Bool) {
        append(isFirst ? "{" : ",")
        isFirst = false
        append(name)
        append("=\"")
        text(value)
        append("\"")
    }

    /// The value of a label.
    mutating func text(_ value: String) {
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
}
