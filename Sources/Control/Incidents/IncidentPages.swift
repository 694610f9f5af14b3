import Kernel
import Telemetry

/// Incidents for people: the list, the room of one, and the report.
public struct IncidentPages: Sendable {
    /// What the pages show.
    public struct Parts: Sendable {
        let service: IncidentService
        /// What others bring to the room.
        let sections: [any IncidentRoomSection]
        /// Whose previews have pages; `nil` where nothing contains anything.
        let containments: ContainmentService?

        public init(
            service: IncidentService, sections: [any IncidentRoomSection] = [], containments: ContainmentService? = nil
        ) {
            (self.service, self.sections, self.containments) = (service, sections, containments)
        }
    }

    /// Incidents on one page, and entries of a room: the latest.
    private static let rowsMax = 50
    static let entriesMax = 200

    let shell: PageShell
    let storage: any Storage
    private let parts: Parts
    private var service: IncidentService { parts.service }

    public init(shell: PageShell, storage: any Storage, parts: Parts) {
        (self.shell, self.storage, self.parts) = (shell, storage, parts)
    }

    public var routes: [Route] {
        [
            shell.route("/incidents", .operateOrView, "Incidents, the open ones first", handler: list),
            shell.route(
                "/incidents/report", .operateOrView, "Times of incidents, and noise of alerts", handler: report),
            shell.route("/incidents/{id}", .operateOrView, "The room of one incident", handler: room),
            shell.route("/containments", .operateOrView, "What is in force against incidents", handler: held),
            shell.route(
                "/containments/{id}", .operateOrView, "What a containment would touch now", handler: preview),
            shell.route(
                "/incidents/{id}/timeline", .operateOrView, "All that happened in one incident", handler: timeline),
        ]
    }

    // MARK: The list

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (filter, now) = (try IncidentRoutes.filter(request), shell.world.now)
        let page = Page(limit: Self.rowsMax, after: try request.page().after)
        let isPlain = filter.state == nil && page.after == nil
        let (open, found) = try await storage.read { transaction in
            var openOnes = filter
            openOnes.state = .open
            let first = Page(limit: Self.rowsMax)
            return (
                isPlain ? try service.store.list(openOnes, page: first, in: transaction) : [],
                try service.store.list(filter, page: page, in: transaction)
            )
        }
        let (items, next) = page.cut(found) { $0.id.text }
        // Without a filter those that somebody has to see to stand first, however old they are.
        let known = Set(open.map(\.id))
        let rows = Array(open.prefix(Self.rowsMax)) + items.filter { !known.contains($0.id) }
        let query = [("state", request.queryValue("state")), ("severity", request.queryValue("severity"))]
        let view = IncidentListView(
            subtitle: "\(PageText.count(Int64(open.count)))\(open.count > Self.rowsMax ? "+" : "") open",
            showsSubtitle: isPlain,
            filters: Self.filters(request), state: request.queryValue("state"),
            severity: request.queryValue("severity") ?? "", mode: request.queryValue("mode") ?? "",
            modes: FailureMode.allCases.map(\.rawValue), hasIncidents: !rows.isEmpty,
            incidents: rows.map { IncidentRowView($0, now: now) },
            noIncidents: EmptyView(
                headline: "No incidents", explanation: "Alerts open them, and so can you:",
                command: "reeve incidents open \"The writer is stuck\" --severity warning --subject agent:writer"),
            pager: PagerView(after: page.after, next: next) {
                PagePath.query("/incidents", query + [("after", $0)])
            })
        return try await shell.page(
            "Incidents", at: .incidents, template: "incidents", view: view, topics: ["incident", "alert"],
            request: request)
    }

    private static func filters(_ request: APIRequest) -> [FilterView] {
        let (state, severity) = (request.queryValue("state") ?? "", request.queryValue("severity"))
        let states = [("", "All"), ("open", "Open"), ("resolved", "Resolved"), ("postmortem", "Postmortem done")]
        return states.map { value, label in
            FilterView(
                path: PagePath.query("/incidents", [("state", value), ("severity", severity)]), label: label,
                state: value == "open" ? "detected" : value, isCurrent: state == value)
        }
    }

    // MARK: The room

    private func room(_ request: APIRequest) async throws -> APIReply {
        let (principal, now) = (request.principal, shell.world.now)
        let (canOperate, sight) = (Permission.operate.admits(principal.role), FileChangeSight(principal))
        let (title, view) = try await storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            let entries = try service.entries(of: incident.id, in: transaction).map(sight.seen)
            let (document, postmortem) = try service.document(incident, in: transaction)
            let facts = IncidentRoomFacts(
                incident: incident, entries: entries,
                alerts: try service.links.alerts(of: incident.id, limit: 100, in: transaction),
                analysis: try service.analysis(incident, sight, in: transaction), document: document,
                postmortem: postmortem,
                items: try service.postmortems.items(of: incident.id, in: transaction),
                traces: try service.links.traces(of: incident.id, limit: IncidentTraces.tracesMax, in: transaction),
                sections: try parts.sections.compactMap {
                    try $0.section(incident, for: principal, in: transaction)
                }, deliverables: try service.deliverables(incident, entries, in: transaction),
                window: service.window(incident))
            return (incident.title, IncidentRoomView(facts, canOperate: canOperate, now: now))
        }
        return try await shell.page(
            PageText.clipped(title, 60), at: .incidents, template: "incident", view: view,
            topics: ["incident", "alert", "containment", "runbook", "page", "model"], request: request)
    }

    private func preview(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        guard let containments = parts.containments else { throw Problem.notFound("containment", id) }
        let canOperate = Permission.operate.admits(request.principal.role)
        let view = try await storage.read { try containments.previewView(id, canOperate: canOperate, in: $0) }
        return try await shell.page(
            "Preview", at: .incidents, template: "containment-preview", view: view,
            topics: ["containment", "agent", "task"], request: request)
    }

    private func held(_ request: APIRequest) async throws -> APIReply {
        let page = Page(limit: Self.rowsMax, after: try request.page().after)
        guard let containments = parts.containments else { throw Problem.notFound("page", "containments") }
        let view = try await storage.read { try containments.heldView(page, in: $0) }
        return try await shell.page(
            "Containments", at: .incidents, template: "containments-held", view: view,
            topics: ["containment", "incident"], request: request)
    }

    // MARK: The timeline

    private func timeline(_ request: APIRequest) async throws -> APIReply {
        let isOldestFirst = try request.queryValue("order") != nil && !IncidentRoutes.isNewestFirst(request)
        let page = Page(limit: Self.entriesMax, after: try request.page().after)
        guard let after = page.after.map({ IncidentCursor($0) }) ?? (isOldestFirst ? IncidentCursor() : .end) else {
            throw Problem.invalid("after", "no cursor of a timeline", hint: "Begin at the first page.")
        }
        let (incident, rows) = try await storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            let story = service.story
            return (
                incident,
                isOldestFirst
                    ? try story.entries(of: incident.id, after: after, limit: page.limit + 1, in: transaction)
                    : try story.entries(of: incident.id, before: after, limit: page.limit + 1, in: transaction)
            )
        }
        let (items, next) = page.cut(rows) { IncidentCursor(time: $0.entry.at, seq: $0.seq).text }
        let sight = FileChangeSight(request.principal)
        let view = IncidentTimelineView(
            incident, items.map { sight.seen($0.entry) }, isOldestFirst: isOldestFirst, isFirst: page.after == nil,
            next: next,
            now: shell.world.now)
        return try await shell.page(
            "Timeline of \(PageText.clipped(incident.title, 40))", at: .incidents, template: "incident-story",
            view: view, topics: ["incident"], request: request)
    }

    // MARK: The report

    private func report(_ request: APIRequest) async throws -> APIReply {
        let days = try IncidentRoutes.days(request)
        let report = try await storage.read { try service.report(days: days, in: $0) }
        return try await shell.page(
            "Incident report", at: .incidents, template: "incident-report", view: IncidentReportView(report),
            topics: ["incident"], request: request)
    }
}
