import Foundation
import Kernel
import Telemetry

/// All about the alerts of one name: the rules that lead to them with their expressions, what fires, and what did.
/// Where `generatorURL` leads.
extension AlertPages {
    /// Of those of the name that ended lately, the ones that are counted.
    private static let rulePageEndedMax = 1_000

    /// Where the alerts of a name are shown.
    public static func path(ofAlert name: String) -> String { "/alerts/rules/\(PagePath.encoded(name))" }

    func showRule(_ request: APIRequest) async throws -> APIReply {
        let (name, now) = (request.parameter("name"), shell.world.now)
        let (alerts, notification, pending) = (alerts, notification, pending)
        let (firing, ended, waiting, standings) = try await notification.storage.read { transaction in
            let (firing, ended) = try alerts.alerts(
                named: name, endedSince: now - Self.endedSince, limit: Self.rulePageEndedMax, in: transaction)
            return (
                firing, ended, try pending?.pending(in: transaction).filter { $0.labels["alertname"] == name } ?? [],
                // What keeps them quiet is among all that fire.
                try notification.standings(firing, in: transaction)
            )
        }
        let rules = await rules().entries.flatMap { entry in
            entry.group.rules.filter { $0.alert != nil && $0.name == name }.map { AlertRuleView($0, in: entry) }
        }
        guard !(rules.isEmpty && firing.isEmpty && ended.isEmpty && waiting.isEmpty) else {
            throw Problem.notFound("alert", name)
        }
        let canOperate = Permission.operate.admits(request.principal.role)
        let sections = [
            AlertSectionView(
                "firing", "Firing",
                firing.map {
                    AlertRowView($0, standings[$0.id] ?? AlertStanding(), canOperate: canOperate, now: now)
                }, max: Self.rowsMax),
            AlertSectionView(
                "pending", "Pending", waiting.map { AlertRowView($0, canOperate: canOperate, now: now) },
                max: Self.rowsMax),
            AlertSectionView(
                "ended", "Ended in the last day", ended.map { AlertRowView($0, nil, canOperate: false, now: now) },
                max: Self.rowsMax),
        ].filter { $0.hasRows }
        let view = AlertRulePageView(
            name: name, subtitle: "\(PageText.count(Int64(firing.count))) firing", hasRules: !rules.isEmpty,
            rules: rules,
            sections: sections, isQuiet: sections.isEmpty,
            quiet: EmptyView(
                headline: "It does not fire", explanation: "Nor did it in the last day, and nothing waits for its time."
            ))
        return try await shell.page(
            PageText.clipped(name, 80), at: .alerts, template: "alert-rule", view: view,
            topics: ["alert", "silence", "incident"], request: request)
    }
}

/// What is shown of the alerts of one name.
struct AlertRulePageView: PageView {
    let name: String
    let subtitle: String
    let hasRules: Bool
    let rules: [AlertRuleView]
    let sections: [AlertSectionView]
    let isQuiet: Bool
    let quiet: EmptyView
}

/// A rule with its expression.
struct AlertRuleView: PageView {
    let expression: String
    let queryPath: String
    let facts: [FactView]

    init(_ rule: RuleProgram.Rule, in entry: RuleBook.Entry) {
        expression = rule.query.text
        queryPath = PagePath.query("/api/v1/query", [("query", rule.query.text)])
        var facts = [
            FactView(name: "Group", value: entry.group.name),
            FactView(
                name: "File",
                value: entry.file == RuleBook.shippedFile
                    ? "shipped with Reeve" : "\((entry.file as NSString).lastPathComponent), line \(rule.line)"),
            FactView(name: "Looked at every", value: PageText.span(.milliseconds(entry.interval))),
        ]
        if let alert = rule.alert {
            facts.append(FactView(name: "Must hold for", value: PageText.span(.milliseconds(alert.holdsFor))))
            if alert.keepsFiringFor > 0 {
                facts.append(
                    FactView(name: "Goes on for", value: PageText.span(.milliseconds(alert.keepsFiringFor))))
            }
        }
        self.facts = facts
    }
}
