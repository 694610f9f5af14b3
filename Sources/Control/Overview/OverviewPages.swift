import Kernel
import Telemetry

/// The fleet's numbers over time, in the four rows of the dashboard that `reeve export grafana` writes. The page asks
/// the questions; `overview.js` has them answered at `/prometheus/api/v1` and draws.
public struct OverviewPages: Sendable {
    let shell: PageShell

    /// How far the page looks back, with the step between its points: about 120 of them.
    private static let ranges: [(name: String, label: String, seconds: Int64)] = [
        ("1h", "1 hour", 3_600), ("6h", "6 hours", 21_600), ("24h", "24 hours", 86_400), ("7d", "7 days", 604_800),
    ]
    private static let points: Int64 = 120
    /// A rate looks at four points at least, and never at less than four scrapes.
    private static let windowMin: Int64 = 300

    public init(shell: PageShell) { self.shell = shell }

    public var routes: [Route] {
        [shell.route("/overview", .operateOrView, "The fleet's numbers over time", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let wanted = request.queryValue("range") ?? "6h"
        guard let range = Self.ranges.first(where: { $0.name == wanted }) else {
            throw Problem.invalid("range", "one of \(Self.ranges.map(\.name).joined(separator: ", ")) is expected")
        }
        let agent = request.queryValue("agent").flatMap { $0.isEmpty ? nil : $0 }
        let step = range.seconds / Self.points
        let window = "\(max(Self.windowMin, 4 * step))s"
        let view = OverviewView(
            seconds: range.seconds, step: step, range: range.name, agent: agent ?? "",
            ranges: Self.ranges.map { each in
                FilterView(
                    path: PagePath.query("/overview", [("range", each.name), ("agent", agent)]), label: each.label,
                    state: "", isCurrent: each.name == wanted)
            },
            rows: ShippedDashboard.rows.map { row in
                OverviewView.Row(row, agent: agent.map(Self.pattern) ?? ".*", window: window)
            })
        return try await shell.page(
            "Overview", at: .overview, template: "overview", view: view, topics: [], request: request)
    }

    /// A name as a regular expression within a string of PromQL: what is no letter and no digit loses its meaning.
    static func pattern(_ name: String) -> String {
        name.map { character in
            switch character {
            // Once for the string, once for the expression.
            case "\\", "^": "\\\\\(character == "\\" ? "\\\\" : "^")"
            case "\"": "\\\""
            case _ where character.isLetter || character.isNumber || character == "_" || !character.isASCII:
                "\(character)"
            default: "[\(character)]"
            }
        }.joined()
    }
}

struct OverviewView: PageView {
    struct Panel: PageView {
        let id: String
        let title: String
        let detail: String
        let path: String
        let form: String
        let unit: String
        /// A JSON list of expressions with their legends.
        let queries: String
        let absent: String?

        init(_ panel: DashboardPanel, agent: String, window: String) {
            id = panel.id
            title = panel.title
            detail = panel.detail
            path = panel.page
            form = panel.form.rawValue
            unit = panel.unit.rawValue
            absent = panel.absent
            let list = panel.queries.map { query -> JSONValue in
                [
                    "expr": .string(query.filled(agent: agent, model: ".*", window: window)),
                    "legend": .string(query.legend),
                ]
            }
            queries = JSONValue.array(list).text
        }
    }

    struct Row: PageView {
        let title: String
        let hasNumbers: Bool
        let numbers: [Panel]
        let charts: [Panel]

        init(_ row: DashboardRow, agent: String, window: String) {
            title = row.title
            numbers = row.panels.filter { $0.form == .number }.map { Panel($0, agent: agent, window: window) }
            charts = row.panels.filter { $0.form != .number }.map { Panel($0, agent: agent, window: window) }
            hasNumbers = !numbers.isEmpty
        }
    }

    let seconds: Int64
    let step: Int64
    let range: String
    let agent: String
    let ranges: [FilterView]
    let rows: [Row]
}
