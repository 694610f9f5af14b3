import Kernel

/// A history of series, and which alerts it leads to: what `promtool test rules` runs
/// (prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules).
public struct RuleCase: Sendable {
    /// An alert that is to fire.
    public struct Firing: Sendable {
        /// The alert's labels beside `alertname` and `severity`.
        public var labels: [(name: String, value: String)] = []
        /// What each `$value` of the rule's annotations becomes, in the order in which they appear.
        public var shown: [String] = []
    }

    public let title: String
    public let alert: String
    /// Time between the samples of ``series``, in Prometheus' words.
    public var interval = "1m"
    /// A series and its samples in Prometheus' expanding notation, such as `0+1x60`.
    public let series: [(name: String, values: String)]
    /// When it is looked, from the first sample on.
    public let at: String
    /// Empty where nothing may fire.
    public var firing: [Firing] = []
}

extension RuleCase {
    /// Whether its samples are so far apart that minutes between them bring nothing.
    var isSlow: Bool { PromQLLexer.duration(interval).map { $0 >= 300_000 } ?? false }

    /// - Parameter rule: The alert of that name.
    func json(_ rule: AlertRule) -> JSONValue {
        let inputs = series.map { series -> JSONValue in
            ["series": .string(series.name), "values": .string(series.values)]
        }
        let expected = firing.map { firing -> JSONValue in
            var shown = firing.shown[...]
            let annotations = rule.annotations.map {
                (name: $0.name, value: Self.filled($0.value, firing.labels, &shown))
            }
            let labels = rule.allLabels + firing.labels
            return ["exp_labels": Self.object(labels), "exp_annotations": Self.object(annotations)]
        }
        return [
            "name": .string(title), "interval": .string(interval), "input_series": .array(inputs),
            "alert_rule_test": [
                ["eval_time": .string(at), "alertname": .string(alert), "exp_alerts": .array(expected)]
            ],
        ]
    }

    /// The text with its templates replaced by what they are said to become.
    private static func filled(
        _ text: String, _ labels: [(name: String, value: String)], _ shown: inout ArraySlice<String>
    ) -> String {
        var filled = ""
        var rest = text[...]
        while let begin = rest.firstRange(of: "{{"), let end = rest[begin.upperBound...].firstRange(of: "}}") {
            filled += rest[..<begin.lowerBound]
            let inner = rest[begin.upperBound..<end.lowerBound]
            let label = labels.first { inner.contains("$labels.\($0.name) ") }
            filled += label?.value ?? (inner.contains("$value") ? shown.popFirst() ?? "" : "")
            rest = rest[end.upperBound...]
        }
        return filled + rest
    }

    private static func object(_ pairs: [(name: String, value: String)]) -> JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.name, value: .string($0.value)) }))
    }
}
