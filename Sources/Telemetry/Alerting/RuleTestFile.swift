import Kernel

/// Tests of rules, as `promtool test rules` reads them
/// (prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules, of 2.42).
public struct RuleTestFile: Sendable {
    /// Paths and patterns of rule files, from the folder of the file on.
    public let ruleFiles: [String]
    /// Milliseconds between evaluations.
    let evaluationInterval: Int64
    /// Names of groups in the order in which they are evaluated; those that are not named come last.
    let groupOrder: [String]
    let tests: [Test]

    struct Test: Sendable {
        let name: String
        let line: Int
        let interval: Int64
        let series: [(labels: LabelSet, values: [Double?])]
        let externalLabels: LabelSet
        let externalURL: String
        let alerts: [ExpectedAlerts]
        let queries: [ExpectedSamples]
    }

    struct ExpectedAlerts: Sendable {
        let time: Int64
        let name: String
        /// Labels with `alertname`.
        let alerts: [(labels: LabelSet, annotations: LabelSet)]
        let line: Int
    }

    struct ExpectedSamples: Sendable {
        let time: Int64
        let text: String
        let query: PromQLQuery
        let samples: [(labels: LabelSet, value: Double)]
        let line: Int
    }

    /// Milliseconds between evaluations where a file says nothing.
    static let defaultInterval: Int64 = 60_000

    /// - Throws: `MarkedYAML.Fault`.
    public init(_ text: String) throws(MarkedYAML.Fault) {
        let members = try MarkedYAML(text).members([
            "rule_files", "evaluation_interval", "group_eval_order", "tests",
        ])
        var files: [String] = []
        for node in try members["rule_files"]?.elements() ?? [] { files.append(try node.text()) }
        ruleFiles = files
        let interval = try members["evaluation_interval"]?.duration() ?? 0
        evaluationInterval = interval == 0 ? Self.defaultInterval : interval
        var order: [String] = []
        for node in try members["group_eval_order"]?.elements() ?? [] { order.append(try node.text()) }
        groupOrder = order
        var tests: [Test] = []
        for node in try members["tests"]?.elements() ?? [] { tests.append(try Self.test(node, evaluationInterval)) }
        self.tests = tests
    }

    private static func test(_ node: MarkedYAML, _ evaluation: Int64) throws(MarkedYAML.Fault) -> Test {
        let members = try node.members([
            "interval", "input_series", "alert_rule_test", "promql_expr_test", "external_labels", "external_url",
            "name",
        ])
        let interval = try members["interval"]?.duration() ?? 0
        var series: [(labels: LabelSet, values: [Double?])] = []
        for node in try members["input_series"]?.elements() ?? [] {
            let parts = try node.members(["series", "values"])
            guard let name = parts["series"] else { throw node.fault("a series and its values are expected") }
            let values = try parts["values"]?.text() ?? ""  // promtool takes a series without any: it has no samples
            do { series.append((try labels(name), try SampleNotation.values(values))) } catch {
                throw error as? MarkedYAML.Fault ?? (parts["values"] ?? node).fault("\(error)")
            }
        }
        var alerts: [ExpectedAlerts] = []
        for node in try members["alert_rule_test"]?.elements() ?? [] { alerts.append(try expectedAlerts(node)) }
        var queries: [ExpectedSamples] = []
        for node in try members["promql_expr_test"]?.elements() ?? [] { queries.append(try expectedSamples(node)) }
        return Test(
            name: try members["name"]?.text() ?? "", line: node.line, interval: interval == 0 ? evaluation : interval,
            series: series, externalLabels: try labelSet(members["external_labels"]),
            externalURL: try members["external_url"]?.text() ?? "", alerts: alerts, queries: queries)
    }

    private static func expectedAlerts(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> ExpectedAlerts {
        let members = try node.members(["eval_time", "alertname", "exp_alerts"])
        let name = try members["alertname"]?.text() ?? ""
        guard !name.isEmpty else {
            throw node.fault("an item under alert_rule_test misses required attribute alertname")
        }
        var alerts: [(labels: LabelSet, annotations: LabelSet)] = []
        for one in try members["exp_alerts"]?.elements() ?? [] {
            let parts = try one.members(["exp_labels", "exp_annotations"])
            let labels = try labelSet(parts["exp_labels"]).setting("alertname", name)
            alerts.append((labels, try labelSet(parts["exp_annotations"])))
        }
        return ExpectedAlerts(
            time: try members["eval_time"]?.duration() ?? 0, name: name, alerts: alerts, line: node.line)
    }

    private static func expectedSamples(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> ExpectedSamples {
        let members = try node.members(["expr", "eval_time", "exp_samples"])
        guard let expression = members["expr"] else { throw node.fault("field expr is missing") }
        var samples: [(labels: LabelSet, value: Double)] = []
        for one in try members["exp_samples"]?.elements() ?? [] {
            let parts = try one.members(["labels", "value"])
            let text = try parts["value"]?.text() ?? "0"
            guard let value = number(text) else { throw one.fault("\"\(text)\" is no number") }
            samples.append((try parts["labels"].map(labels) ?? .none, value))
        }
        return ExpectedSamples(
            time: try members["eval_time"]?.duration() ?? 0, text: try expression.text(),
            query: try RuleReader.query(expression), samples: samples, line: node.line)
    }

    /// A number as YAML writes it.
    private static func number(_ text: String) -> Double? {
        switch text.lowercased() {
        case ".inf", "+.inf": .infinity
        case "-.inf": -.infinity
        case ".nan": .nan
        default: Double(text)
        }
    }

    /// `name{label="value"}`.
    private static func labels(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> LabelSet {
        let text = try node.text()
        if text.isEmpty || text == "{}" { return .none }
        do {
            guard case .selector(let selector) = try PromQLParser.parse(text).kind,
                selector.matchers.allSatisfy({ $0.kind == .equal })
            else { throw node.fault("\"\(text)\" names no series") }
            return LabelSet(selector.matchers.map { ($0.name, $0.value) })
        } catch { throw error as? MarkedYAML.Fault ?? node.fault("\(error)") }
    }

    private static func labelSet(_ node: MarkedYAML?) throws(MarkedYAML.Fault) -> LabelSet {
        var labels = LabelSet.none
        for (name, value) in try node?.texts() ?? [] { labels = labels.setting(name, try value.text()) }
        return labels
    }
}
