import Kernel

/// What was spent, over HTTP: as JSON, or as CSV for spreadsheets.
public struct CostRoutes: Sendable {
    let service: CostService
    let storage: any Storage

    public init(service: CostService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    private static let text: JSONValue = ["type": "string"]
    private static let query: [(name: String, schema: JSONValue, summary: String)] = [
        (
            "by", ["type": "string", "enum": .list(CostDimension.allCases.map(\.rawValue))],
            "What the sums are by; `agent` without it"
        ),
        ("since", text, "The first UTC day, such as 2026-11-01, or a time in it; 30 days back without it"),
        ("until", text, "The last UTC day, itself included; today without it"),
        ("agent", text, "Only calls of this agent"), ("project", text, "Only calls of this project"),
        ("model", text, "Only calls of this model; not by task or tag"),
        (
            "format", ["type": "string", "enum": ["json", "csv"]],
            "`csv` for a spreadsheet, as `Accept: text/csv` asks for too"
        ),
        ("limit", ["type": "integer", "minimum": 1], "Rows of the page; clamped to the page limit, for CSV to 50,000"),
        ("after", text, "The cursor that the last page ended with"),
    ]

    public var routes: [Route] {
        var shape = RouteShape.one("CostReport", query: Self.query)
        shape.otherTypes = ["text/csv"]
        return [
            Route(
                .get, "/api/v1/costs", .read,
                "Sum up what model calls cost, by agent, project, task, model, tag or day",
                shape: shape, handler: report)
        ]
    }

    private func report(_ request: APIRequest) async throws -> APIReply {
        let isCSV = try Self.wantsCSV(request)
        let query = try Self.query(request, today: service.today, isCSV: isCSV)
        let report = try await storage.read { try service.report(query, in: $0) }
        guard isCSV else { return .json(report.json) }
        return Self.csv(report, request)
    }

    /// What the address asks for. An agent's key sees its own agent's costs alone.
    static func query(_ request: APIRequest, today: CostDay, isCSV: Bool = false) throws -> CostQuery {
        func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        let dimension: CostDimension
        if let word = value("by") {
            guard let known = CostDimension(rawValue: word) else {
                let words = CostDimension.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("by", "\"\(word.prefix(40))\" is none of: \(words)")
            }
            dimension = known
        } else {
            dimension = .agent
        }
        let until = try day(value("until"), "until") ?? today
        var filter = CostFilter(
            since: try day(value("since"), "since") ?? CostDay(number: until.number - CostService.daysDefault + 1),
            until: until)
        guard filter.since <= filter.until else {
            throw Problem.invalid("since", "it is behind `until`, so no day is between them")
        }
        filter.agent = try CallRoutes.agent(request)
        filter.project = value("project")
        filter.model = value("model")
        var query = CostQuery(dimension, filter, limit: try request.page().limit, after: value("after"))
        if isCSV {
            let limit = value("limit").flatMap(Int.init) ?? CostService.exportRowsMax
            query.limit = min(limit, CostService.exportRowsMax)
        }
        return query
    }

    private static func day(_ text: String?, _ name: String) throws -> CostDay? {
        guard let text else { return nil }
        guard let day = CostDay(text) else {
            throw Problem.invalid(name, "a day such as 2026-11-20 is expected, or a time such as 2026-11-20T08:15:30Z")
        }
        return day
    }

    /// `format` decides; without it the first of the two types that `Accept` names (RFC 9110 §12.5.1, weights aside).
    private static func wantsCSV(_ request: APIRequest) throws -> Bool {
        switch request.queryValue("format") {
        case "csv": return true
        case "json": return false
        case nil, "":
            for type in (request.headers["accept"] ?? "").lowercased().split(separator: ",") {
                if type.contains("text/csv") { return true }
                if type.contains("json") || type.contains("*/*") { return false }
            }
            return false
        case let other?: throw Problem.invalid("format", "\"\(other.prefix(40))\" is none of: json, csv")
        }
    }

    private static func csv(_ report: CostReport, _ request: APIRequest) -> APIReply {
        let name = "costs-by-\(report.dimension.rawValue)-\(report.filter.since.text)-\(report.filter.until.text).csv"
        var headers = [
            ("content-type", "text/csv; charset=utf-8; header=present"),
            ("content-disposition", "attachment; filename=\"\(name)\""), ("vary", "accept"),
        ]
        if let next = report.next {
            // Addresses of a page's successor (RFC 8288), as a table has no place for them.
            let kept = request.query.filter { $0.name != "after" && $0.name != "format" }
            let path = PagePath.query(
                request.path, kept.map { ($0.name, $0.value) } + [("format", "csv"), ("after", next)])
            headers.append(("link", "<\(path)>; rel=\"next\""))
        }
        return APIReply(status: 200, headers: headers, body: .bytes(Array(CostCSV.text(report).utf8)))
    }
}
