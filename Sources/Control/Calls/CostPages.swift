import Kernel

/// What was spent, by whom and for what, over some days.
public struct CostPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let costs: CostService

    /// Rows of one page.
    private static let rowsMax = 50
    /// Names with a colour of their own in the chart; the rest is one.
    private static let chartNamesMax = 5
    /// Days of the chart: more are not told apart.
    static let chartDaysMax: Int64 = 400

    public init(shell: PageShell, storage: any Storage, costs: CostService) {
        self.shell = shell
        self.storage = storage
        self.costs = costs
    }

    public var routes: [Route] { [shell.route("/costs", .read, "What was spent", handler: show)] }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let address = try CostAddress(request, today: costs.today)
        var query = address.query
        // Days come the newest first here, and all at once.
        let isByDay = query.dimension == .day
        query.limit = isByDay ? Int(Self.chartDaysMax) : Self.rowsMax
        let asked = query
        let view = try await storage.read { transaction in
            let report = try costs.report(asked, in: transaction)
            let rows = (isByDay ? report.rows.reversed() : report.rows).map { CostRowView($0, report, address) }
            return CostPageView(
                subtitle: address.subtitle, numbers: CallNumberView.total(report, address),
                dimensions: CostDimension.allCases.map(address.choice), periods: address.periods,
                agent: asked.filter.agent ?? "", project: asked.filter.project ?? "", model: asked.filter.model ?? "",
                hasModel: asked.dimension.kind == .model, by: asked.dimension.rawValue, days: address.days,
                isFiltered: address.isFiltered, clearPath: address.path(filtered: false),
                heading: PageText.label(asked.dimension.rawValue), hasRows: !rows.isEmpty, rows: rows,
                hasAccepted: report.total.accepted != nil,
                chart: try chart(report, in: transaction), noRows: Self.nothing(request, address),
                csvPath: address.csvPath,
                pager: PagerView(after: asked.after, next: report.next) { address.path(after: $0) })
        }
        return try await shell.page(
            "Costs", at: .costs, template: "costs", view: view, topics: ["call", "budget"], request: request)
    }

    private static func nothing(_ request: APIRequest, _ address: CostAddress) -> EmptyView {
        if address.isFiltered || address.query.dimension.kind != .model {
            return EmptyView(
                headline: "Nothing was spent like that", explanation: "Take more days, or clear the filter.")
        }
        return EmptyView(
            headline: "Nothing was spent in these days",
            explanation: "Every model call that goes through Reeve is priced and turns up here. "
                + "Prices stand beside each model in the settings:",
            command: """
                models:
                  gpt-4o-mini:
                    targets: [{provider: main, model: gpt-4o-mini-2024-07-18}]
                    price: {input: 0.15, output: 0.60, cacheRead: 0.075}   # dollars per million tokens
                """)
    }

    // MARK: The chart

    /// Dollars a day: of the most expensive names, or by day what came of it.
    private func chart(_ report: CostReport, in transaction: Transaction) throws -> ChartView? {
        let filter = report.filter
        guard report.total.sums[.nanoUSD] > 0, filter.until.number - filter.since.number < Self.chartDaysMax,
            filter.until > filter.since
        else { return nil }
        let perDay = try costs.report(
            CostQuery(.day, filter, limit: Int(Self.chartDaysMax)), in: transaction
        ).rows.reduce(into: [String: CostSums]()) { $0[$1.name ?? ""] = $1.sums }
        let days = (filter.since.number...filter.until.number).map(CostDay.init(number:))
        var series: [(label: String, state: String, values: [Int64])] = []
        if report.dimension == .day || report.dimension.kind != .model {
            // A call with two tags counts under both, so names do not add up to the day's total.
            let lost = days.map { perDay[$0.text]?.lostNanoUSD ?? 0 }
            let kept = zip(days, lost).map { (perDay[$0.text]?[.nanoUSD] ?? 0) - $1 }
            series = [("Spent on answers", "running", kept), ("Lost", "failed", lost)]
        } else {
            let names = report.rows.prefix(Self.chartNamesMax).compactMap(\.name)
            let shares = try costs.perDay(by: report.dimension, names: names, filter, in: transaction)
            let states = ["running", "in_review", "done", "waiting", "held"]
            series = zip(names, states).map { name, state in
                (PageText.clipped(name, 32), state, days.map { shares[$0]?[name] ?? 0 })
            }
            let rest = days.map { day in
                (perDay[day.text]?[.nanoUSD] ?? 0) - (shares[day]?.values.reduce(0, +) ?? 0)
            }
            if rest.contains(where: { $0 > 0 }) { series.append(("Others", "canceled", rest)) }
        }
        let document: JSONValue = [
            "labels": .list(days.map { String($0.text.dropFirst(5)) }), "unit": "usd",
            "series": .array(
                series.map { line in
                    [
                        "label": .string(line.label), "state": .string(line.state),
                        "values": .list(line.values.map { Double($0) / 1e9 }),
                    ]
                }),
        ]
        let total = CallText.money(report.total.sums[.nanoUSD])
        return ChartView(series: document.text, summary: "\(total) in \(PageText.plural(days.count, "day"))")
    }
}

/// What the page's address asks for.
struct CostAddress: Sendable {
    static let periods: [(days: Int64, label: String)] = [
        (1, "Today"), (7, "7 days"), (30, "30 days"), (90, "90 days"),
    ]

    let query: CostQuery
    /// The length that was chosen; `nil` where the address names days itself.
    let days: Int64?
    private let request: APIRequest

    init(_ request: APIRequest, today: CostDay) throws {
        var query = try CostRoutes.query(request, today: today)
        let named = ["since", "until"].contains { request.queryValue($0).map { !$0.isEmpty } ?? false }
        var days: Int64? = named ? nil : CostService.daysDefault
        if let text = request.queryValue("days"), !text.isEmpty, !named {
            guard let count = Int64(text), (1...CostPages.chartDaysMax).contains(count) else {
                throw Problem.invalid("days", "1 to \(CostPages.chartDaysMax) is allowed")
            }
            days = count
            query.filter.since = CostDay(number: query.filter.until.number - count + 1)
        }
        // The sums by task and tag do not know of models: the page leaves that filter out where it asks for those.
        if query.dimension.kind != .model { query.filter.model = nil }
        self.query = query
        self.days = days
        self.request = request
    }

    private func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }

    /// An agent's own name is no filter that it could clear.
    var isFiltered: Bool { value("agent") != nil || value("project") != nil || query.filter.model != nil }

    func path(
        by dimension: CostDimension? = nil, days: Int64? = nil, after: String? = nil, filtered: Bool = true
    ) -> String {
        let days = days ?? self.days
        let names = filtered ? ["agent", "project", "model"].map { ($0, value($0)) } : []
        let times = days == nil ? ["since", "until"].map { ($0, value($0)) } : [("days", days.map { String($0) })]
        return PagePath.query(
            "/costs", [("by", (dimension ?? query.dimension).rawValue)] + times + names + [("after", after)])
    }

    var csvPath: String {
        PagePath.query(
            "/api/v1/costs",
            [
                ("by", query.dimension.rawValue), ("since", query.filter.since.text),
                ("until", query.filter.until.text), ("agent", value("agent")), ("project", value("project")),
                ("model", query.filter.model), ("format", "csv"),
            ])
    }

    var subtitle: String {
        let filter = query.filter
        return filter.since == filter.until
            ? "\(filter.since.text) (UTC)" : "\(filter.since.text) to \(filter.until.text) (UTC)"
    }

    func choice(_ dimension: CostDimension) -> FilterView {
        FilterView(
            path: path(by: dimension), label: "By \(dimension.rawValue)", state: "",
            isCurrent: dimension == query.dimension)
    }

    var periods: [FilterView] {
        Self.periods.map { period in
            FilterView(path: path(days: period.days), label: period.label, state: "", isCurrent: period.days == days)
        }
    }
}

// MARK: - Views

struct CostPageView: PageView {
    let subtitle: String
    let numbers: [CallNumberView]
    let dimensions: [FilterView]
    let periods: [FilterView]
    let agent: String
    let project: String
    let model: String
    let hasModel: Bool
    let by: String
    let days: Int64?
    let isFiltered: Bool
    let clearPath: String
    let heading: String
    let hasRows: Bool
    let rows: [CostRowView]
    let hasAccepted: Bool
    let chart: ChartView?
    let noRows: EmptyView
    let csvPath: String
    let pager: PagerView
}

/// One agent, project, task, model, tag or day.
struct CostRowView: PageView {
    let name: String
    let path: String?
    let callsPath: String?
    let calls: String
    let note: String?
    let tokens: String
    let cost: String
    let share: ShareView
    let lost: String?
    let accepted: String
    let perAccepted: String?

    init(_ row: CostReport.Row, _ report: CostReport, _ address: CostAddress) {
        let sums = row.sums
        name = row.name ?? "none"
        path = row.name.flatMap { name in
            switch report.dimension {
            case .agent: PagePath.agent(name)
            case .task: PagePath.task(name)
            case .day: "/costs?by=agent&since=\(name)&until=\(name)"
            case .project: PagePath.query("/costs", [("by", "agent"), ("project", name)])
            case .model: PagePath.query("/costs", [("by", "agent"), ("model", name)])
            case .tag: PagePath.query("/calls", [("tag", name)])
            }
        }
        callsPath = row.name.flatMap { name in
            report.dimension == .day ? nil : PagePath.query("/calls", [(report.dimension.rawValue, name)])
        }
        calls = PageText.count(sums[.calls])
        var notes: [String] = []
        if sums[.failed] > 0 { notes.append("\(PageText.count(sums[.failed])) failed") }
        if sums[.canceled] > 0 { notes.append("\(PageText.count(sums[.canceled])) canceled") }
        if sums[.unpriced] > 0 { notes.append("\(PageText.count(sums[.unpriced])) without a price") }
        note = notes.isEmpty ? nil : notes.joined(separator: ", ")
        tokens = CallText.tokens(sums.tokens)
        cost = CallText.money(sums[.nanoUSD])
        share = ShareView(Double(sums[.nanoUSD]) / Double(max(1, report.total.sums[.nanoUSD])), hotAbove: 2)
        lost = sums.lostNanoUSD > 0 ? CallText.money(sums.lostNanoUSD) : nil
        accepted = row.accepted.map { PageText.count($0) } ?? "–"
        perAccepted = row.nanoUSDPerAccepted.map(CallText.money)
    }
}

extension CallNumberView {
    static func total(_ report: CostReport, _ address: CostAddress) -> [CallNumberView] {
        let sums = report.total.sums
        let lost = Double(sums.lostNanoUSD) / Double(max(1, sums[.nanoUSD]))
        let accepted = report.total.accepted
        return [
            CallNumberView(
                id: "spent", path: address.path(by: .day), state: "ready", label: "Spent",
                value: CallText.money(sums[.nanoUSD]), note: "in \(PageText.plural(sums[.calls], "call"))"),
            CallNumberView(
                id: "tokens", path: address.path(by: .model), state: "in_review", label: "Tokens",
                value: CallText.tokens(sums.tokens), note: CallText.cached(sums)),
            CallNumberView(
                id: "lost", path: address.path(by: .day), state: "held", label: "Lost",
                value: CallText.money(sums.lostNanoUSD),
                note: "\(PageText.percent(lost * 100)) in retries, broken calls",
                isAlarming: lost > 0.1),
            CallNumberView(
                id: "saved", path: address.path(by: .model), state: "done", label: "Saved",
                value: CallText.money(sums[.savedNanoUSD]), note: "by cached and shared answers"),
            CallNumberView(
                id: "unpriced", path: address.path(by: .model), state: sums[.unpriced] > 0 ? "held" : "done",
                label: "Without a price", value: PageText.count(sums[.unpriced]),
                note: sums[.unpriced] > 0 ? "their cost is not in here" : "every call is priced",
                isAlarming: sums[.unpriced] > 0),
            CallNumberView(
                id: "accepted", path: address.path(by: .task), state: "done", label: "Each deliverable",
                value: report.total.nanoUSDPerAccepted.map(CallText.money) ?? "–",
                note: accepted.map { "\(PageText.count($0)) accepted in these days" } ?? "not told apart here"),
        ]
    }
}
