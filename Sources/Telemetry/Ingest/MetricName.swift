/// What an OTLP metric and its attributes are called in Prometheus (OpenTelemetry specification, "Prometheus and
/// OpenMetrics Compatibility"; the tables of units are those of its collector).
enum MetricName {
    private static let units = [
        "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
        "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
        "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
        "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
        "Hz": "hertz", "1": "", "%": "percent",
    ]
    private static let perUnits = [
        "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
    ]

    /// - Parameters:
    ///   - unit: UCUM, with annotations in braces, which are no part of the name.
    ///   - isCounter: A sum that only rises.
    static func of(_ name: String, unit: String, isCounter: Bool, isGauge: Bool) -> String {
        var words = name.unicodeScalars.split { !isWord($0) }.map { String(String.UnicodeScalarView($0)) }
        for word in suffixes(of: unit) where !word.isEmpty && !words.contains(word) { words.append(word) }
        if isCounter {
            words.removeAll { $0 == "total" }
            words.append("total")
        }
        if isGauge, unit == "1" {
            words.removeAll { $0 == "ratio" }
            words.append("ratio")
        }
        let text = words.joined(separator: "_")
        return text.utf8.first.map { (48...57).contains($0) } ?? true ? "_\(text)" : text
    }

    private static func suffixes(of unit: String) -> [String] {
        let halves = unit.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        func word(_ text: String, _ table: [String: String]) -> String {
            guard !text.contains("{") else { return "" }
            return table[text]
                ?? text.unicodeScalars.split { !isWord($0) }
                .map { String(String.UnicodeScalarView($0)) }.joined(separator: "_")
        }
        let main = halves.first.map { word($0, units) } ?? ""
        let per = halves.count > 1 ? word(halves[1], perUnits) : ""
        return [main, per.isEmpty ? "" : "per_\(per)"]
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 48...57, 65...90, 97...122: true
        default: false
        }
    }

    /// An attribute's name as a label's: two underscores in front are Prometheus' own.
    static func label(_ name: String) -> String {
        let text = String(String.UnicodeScalarView(name.unicodeScalars.map { isWord($0) || $0 == "_" ? $0 : "_" }))
        if text.utf8.first.map({ (48...57).contains($0) }) ?? true { return "key_\(text)" }
        return text.hasPrefix("__") ? "key\(text)" : text
    }

    /// An attribute's value as a label's.
    static func value(_ value: AttributeValue) -> String {
        switch value {
        case .string(let text): text
        case .int(let number): "\(number)"
        case .bool(let flag): flag ? "true" : "false"
        case .double(let number): QueryText.number(number)
        case .empty: ""
        default: value.json.text
        }
    }

    /// Labels of attributes; of those that are called alike the values are put behind each other.
    static func labels(_ attributes: [Attribute]) -> [String: String] {
        var labels: [String: String] = [:]
        for attribute in attributes.sorted(by: { $0.name < $1.name }) {
            let (name, text) = (label(attribute.name), value(attribute.value))
            labels[name] = labels[name].map { "\($0);\(text)" } ?? text
        }
        return labels
    }
}
