import Kernel
import Telemetry

/// The times of one mode, or of all.
struct IncidentTimesView: PageView {
    let name: String
    let incidents: String
    let times: [FactView]
}

struct AlertNoiseView: PageView {
    let rule: String
    let fired: String
    let actedOn: String
    let ignored: String
    let pending: String
    let share: ShareView
}

struct IncidentReportView: PageView {
    let days: Int64
    let subtitle: String
    let choices: [FilterView]
    let headings: [String]
    let hasIncidents: Bool
    let rows: [IncidentTimesView]
    let weeks: [FactView]
    let spark: SparkView?
    let hasRules: Bool
    let rules: [AlertNoiseView]
    let noIncidents: EmptyView

    init(_ report: IncidentReport) {
        days = report.days
        subtitle = "\(PageText.plural(report.incidents, "incident")) in \(PageText.plural(report.days, "day"))"
        choices = [7, 30, 90, 365].map {
            FilterView(
                path: "/incidents/report?days=\($0)", label: "\($0) days", state: "", isCurrent: report.days == $0)
        }
        headings = Self.headings
        hasIncidents = report.incidents > 0
        let total = IncidentTimesView(
            name: "All", incidents: PageText.count(Int64(report.incidents)), times: Self.cells(report.times))
        rows =
            [total]
            + (report.bySeverity + report.byMode).map {
                IncidentTimesView(
                    name: $0.name.isEmpty ? "no mode named" : $0.name, incidents: PageText.count(Int64($0.incidents)),
                    times: Self.cells($0.times))
            }
        weeks = report.weeks.map { FactView(name: $0.start, value: PageText.count(Int64($0.count))) }
        spark = SparkView(report.weeks.map { Int64($0.count) }, label: "Incidents a week")
        rules = report.noise.prefix(100).map { rule in
            AlertNoiseView(
                rule: rule.rule, fired: PageText.count(rule.fired), actedOn: PageText.count(rule.actedOn),
                ignored: PageText.count(rule.ignored), pending: PageText.count(rule.pending),
                share: ShareView(rule.fired == 0 ? 0 : Double(rule.ignored) / Double(rule.fired), hotAbove: 0.5))
        }
        hasRules = !report.noise.isEmpty
        noIncidents = EmptyView(headline: "No incidents", explanation: "There were none in this time.")
    }

    private static let headings = IncidentReport.milestones.map { PageText.label($0.rawValue) }

    /// Each under its heading: on a phone there is no row of headings.
    private static func cells(_ times: [IncidentReport.Times]) -> [FactView] {
        zip(headings, times).map { FactView(name: $0, value: cell($1)) }
    }

    private static func cell(_ times: IncidentReport.Times) -> String {
        guard let median = times.median, let p90 = times.p90 else { return "–" }
        return "\(PageText.span(.seconds(median))) / \(PageText.span(.seconds(p90)))"
    }
}
