import Foundation
import Kernel
import Testing

@testable import Server
@testable import Telemetry

@Suite("The rules that are shipped")
struct ShippedRulesTests {
    /// Alerts whose names, and severities where they are given, others rely on.
    private static let promised: [String: AlertRule.Severity?] = [
        "AgentDown": .critical, "TaskStuck": .warning, "HighErrorRate": .critical, "CostSpike": .warning,
        "QueueBackup": .warning, "ErrorRateSpike": nil, "ContextExhaustion": nil, "MemoryStoreSlow": nil,
        "ModelTimeouts": nil, "SessionAbnormal": nil, "ToolStorm": nil, "TelemetryLoss": nil, "ProviderOutage": nil,
        "Watchdog": nil,
    ]

    @Test("The alerts that others rely on are there")
    func names() {
        for (name, severity) in Self.promised {
            let alert = ShippedRules.alerts[name]
            #expect(alert != nil, "\(name) is not shipped")
            if let severity { #expect(alert?.severity == severity, "\(name)") }
        }
        #expect(ShippedRules.alerts.count == ShippedRules.entries.flatMap(\.file.alerts).count, "a name stands twice")
    }

    @Test("The guide's table has each alert, with its severity, and none that is not shipped")
    func guide() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/guide/monitoring.md")
        let row = try Regex(#"(?m)^\| `(\w+)` \| .+ \| (\w+) \|$"#, as: (Substring, Substring, Substring).self)
        let rows = try String(contentsOf: file, encoding: .utf8).matches(of: row).map {
            "\($0.output.1) \($0.output.2)"
        }
        let shipped = ShippedRules.alerts.values.map { "\($0.name) \($0.severity.rawValue)" }
        #expect(rows.sorted() == shipped.sorted())
    }

    @Test("What is read from the exported files is what was written")
    func programs() throws {
        for (entry, read) in zip(ShippedRules.entries, try ShippedRules.programs()) {
            #expect(read.file == entry.file.name)
            let written = entry.file.groups.flatMap(\.rules)
            #expect(read.program.rules.count == written.count)
            for (rule, one) in zip(written, read.program.rules) {
                switch rule {
                case .recording(let rule):
                    #expect(one.alert == nil && one.name == rule.name && one.query.text == rule.expression)
                case .alert(let rule):
                    let alert = try #require(one.alert)
                    #expect(one.name == rule.name && one.query.text == rule.expression)
                    #expect(one.labels.map(\.name) == rule.allLabels.map(\.name))
                    #expect(alert.annotations.map(\.name) == ["summary", "description", "action", "runbook_url"])
                    #expect(alert.holdsFor == (rule.holdsFor.flatMap(PromQLLexer.duration) ?? 0))
                }
            }
        }
    }

    /// Metrics of stores of memories, which tell of themselves once there is one.
    private static let comeLater: Set<String> = []

    @Test("A rule asks only for metrics and labels that Reeve exports")
    func metrics() throws {
        var known: [String: Set<String>] = [:]
        for metric in Reference.allMetrics {
            let labels = Set(metric.labels)
            guard metric.kind == .histogram else {
                known[metric.name] = labels
                continue
            }
            known["\(metric.name)_bucket"] = labels.union(["le"])
            for part in ["count", "sum"] { known["\(metric.name)_\(part)"] = labels }
        }
        for program in try ShippedRules.programs().map(\.program) {
            let recorded = Set(program.rules.filter { $0.alert == nil }.map(\.name))
            for rule in program.rules {
                for selector in rule.query.expression.selectors {
                    let name = try #require(
                        selector.matchers.metricName, "\(rule.name) asks for a metric without a name")
                    guard !recorded.contains(name), !Self.comeLater.contains(name) else { continue }
                    guard let labels = known[name] else {
                        Issue.record("\(rule.name) asks for \(name), which nobody exports")
                        continue
                    }
                    let asked = Set(selector.matchers.map(\.name)).subtracting([LabelSet.metricName])
                    #expect(asked.isSubset(of: labels), "\(rule.name) asks \(name) for \(asked.subtracting(labels))")
                }
            }
        }
    }

    @Test("Each failure has an alert")
    func modes() {
        #expect(Set(ShippedRules.alerts.values.compactMap(\.mode)) == Set(FailureMode.allCases))
    }
}
