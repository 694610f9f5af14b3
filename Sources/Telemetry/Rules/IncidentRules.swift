/// What is owed after an incident.
enum IncidentRules {
    static let entry = ShippedRules.Entry(
        file: RuleFile(
            name: "incidents",
            groups: [RuleGroup(name: "reeve.incidents", rules: [.alert(overdue)])]),
        cases: cases)

    static let overdue = AlertRule(
        name: "PostmortemOverdue", severity: .warning, nature: .behavioural,
        expression: "max(reeve_incident_postmortems_overdue) > 0",
        holdsFor: "5m",
        // An incident of its own would owe a postmortem too.
        labels: [("incident", "none")],
        summary: "A postmortem is overdue",
        detail: "{{ $value | humanize }} postmortems were not published within 48 hours after their incidents were "
            + "resolved.",
        action: "The list of incidents names them: publish the draft after a look at it, or say why none is needed.")

    private static let cases: [RuleCase] = [
        RuleCase(
            title: "two are not published in time", alert: "PostmortemOverdue",
            series: [("reeve_incident_postmortems_overdue", "0x10 2x20")], at: "20m",
            firing: [.init(labels: [], shown: ["2"])]),
        RuleCase(
            title: "the last one is published", alert: "PostmortemOverdue",
            series: [("reeve_incident_postmortems_overdue", "1x10 0x20")], at: "20m"),
    ]
}
