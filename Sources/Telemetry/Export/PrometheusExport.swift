import Kernel

/// The settings of a Prometheus that scrapes Reeve and evaluates the shipped rules.
public struct PrometheusExport: Sendable {
    /// `host:port` of each replica.
    public var targets: [String]
    /// Whether Reeve is reached by TLS.
    public var isTLS: Bool
    /// Where Prometheus finds a viewer's key, from its settings file on.
    public var credentialsFile: String
    /// `host:port` of each Alertmanager.
    public var alertmanagers: [String]

    public init(targets: [String], isTLS: Bool, credentialsFile: String, alertmanagers: [String]) {
        self.targets = targets
        self.isTLS = isTLS
        self.credentialsFile = credentialsFile
        self.alertmanagers = alertmanagers
    }

    /// `prometheus.yml`, `rules/` and the rules' `tests/`.
    public var files: [ExportFile] {
        [ExportFile(path: "prometheus.yml", text: settings)]
            + ShippedRules.entries.flatMap { entry in
                // Prometheus' own address has no runbooks; that of the first replica has.
                let file = targets.first.map { entry.file.runbooks(at: "\(scheme)://\($0)") } ?? entry.file
                let tests = Dictionary(grouping: entry.cases, by: \.isSlow).sorted { !$0.key && $1.key }
                return [ExportFile(path: "rules/\(file.name).yml", text: Self.rules(file))]
                    + tests.map { isSlow, cases in
                        let name = isSlow ? "\(file.name)-slow" : file.name
                        return ExportFile(path: "tests/\(name).yml", text: Self.tests(file, cases, isSlow: isSlow))
                    }
            }
    }

    private var scheme: String { isTLS ? "https" : "http" }

    private var settings: String {
        let scrape: JSONValue = [
            "job_name": "reeve", "scheme": .string(scheme),
            "authorization": ["credentials_file": .string(credentialsFile)],
            "static_configs": [["targets": .list(targets)]],
        ]
        let document: JSONValue = [
            "global": ["scrape_interval": "15s", "evaluation_interval": "15s"],
            "rule_files": ["rules/*.yml"], "scrape_configs": [scrape],
            "alerting": ["alertmanagers": [["static_configs": [["targets": .list(alertmanagers)]]]]],
        ]
        return """
            # Prometheus beside Reeve, by `reeve export prometheus`. The key is one of the role viewer:
            #   reeve keys create --role viewer --name prometheus
            # `promtool check config prometheus.yml` and `promtool test rules tests/*.yml` say whether all is well.

            """ + YAMLDocument.text(document)
    }

    private static func rules(_ file: RuleFile) -> String {
        "# Rules that Reeve ships; tests/\(file.name)*.yml prove them.\n" + YAMLDocument.text(file.json)
    }

    /// - Parameter isSlow: Whether rules are evaluated as often as the slowest group is, and not each minute: promtool
    ///   takes half a minute for days of minutes.
    static func tests(_ file: RuleFile, _ cases: [RuleCase], isSlow: Bool = false) -> String {
        let alerts = file.alerts
        let cases = cases.compactMap { each in
            alerts.first { $0.name == each.alert }.map(each.json)
        }
        let document: JSONValue = [
            "rule_files": ["../rules/\(file.name).yml".json], "evaluation_interval": isSlow ? "5m" : "1m",
            "tests": .array(cases),
        ]
        let name = "\(file.name)\(isSlow ? "-slow" : "").yml"
        return "# What each alert does with a known history: promtool test rules \(name)\n"
            + YAMLDocument.text(document)
    }
}
