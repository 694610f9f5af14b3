import Kernel
import Telemetry

/// Incidents over HTTP: finding them, saying how far they are, and what is known of them.
public struct IncidentRoutes: Sendable {
    static let path = "/api/v1/incidents"
    /// Entries of the timeline that an incident is shown with, the latest; the rest is at `…/timeline`.
    static let shownEntriesMax = 500

    let service: IncidentService
    /// Who knows which alerts are kept quiet; `nil` where nobody does.
    let quieting: (any AlertQuieting)?
    let exchange: Exchange

    public init(service: IncidentService, quieting: (any AlertQuieting)? = nil, exchange: Exchange) {
        (self.service, self.quieting, self.exchange) = (service, quieting, exchange)
    }

    public var routes: [Route] { looking + acting + PostmortemRoutes(service: service, exchange: exchange).routes }

    private var looking: [Route] {
        let one = "\(Self.path)/{id}"
        return [
            Route(
                .get, Self.path, .operateOrView, "List incidents, the newest first",
                shape: .list(
                    "Incident",
                    query: [
                        ("state", ["type": "string"], "`open`, `resolved`, or the milestone that was reached last"),
                        ("severity", ["type": "string"], "`critical`, `warning`, `info`"),
                        ("mode", ["type": "string"], "A failure mode, such as `llm-outage`"),
                    ]), handler: list),
            Route(
                .get, "\(Self.path)/report", .operateOrView, "How long incidents took, and which alerts were noise",
                shape: .one(
                    "IncidentReport",
                    query: [("days", ["type": "integer", "minimum": 1, "maximum": 366], "Of so many days; 90")]),
                handler: report),
            Route(
                .get, one, .operateOrView, "Show an incident with its alerts and its timeline",
                shape: .one("IncidentDetail"), handler: show),
            Route(
                .get, "\(one)/timeline", .operateOrView, "An incident's timeline in pages",
                shape: .list(
                    "IncidentEntry",
                    query: [
                        ("order", ["type": "string", "enum": ["oldest", "newest"]], "What comes first; `oldest`")
                    ]), handler: timeline),
            Route(
                .get, "\(one)/analysis", .operateOrView,
                "What may have caused an incident, whether it is infrastructure or behaviour, and what it did",
                shape: .one("IncidentAnalysis"), handler: analysis),
        ]
    }

    private var acting: [Route] {
        let one = "\(Self.path)/{id}"
        return [
            Route(
                .post, Self.path, .operate, "Open an incident by hand",
                shape: .one("Incident", body: "IncidentDraft", success: 201), handler: open),
            Route(
                .patch, one, .operate, "Correct an incident's title, severity, mode or nature",
                shape: .one("Incident", body: "IncidentEdit"), handler: edit),
            Route(
                .post, "\(one)/milestones", .operate, "Say that an incident reached a milestone",
                shape: .one("Incident", body: "IncidentMilestone"), handler: reach),
            Route(
                .post, "\(one)/reopen", .operate, "Open a resolved incident again",
                shape: .one("Incident", body: "", isBodyRequired: false), handler: reopen),
            Route(
                .post, "\(one)/notes", .operate, "Write a note into an incident's timeline",
                shape: .one("Incident", body: "IncidentText", success: 201), handler: remark),
            Route(
                .put, "\(one)/status", .operate, "Say what stakeholders are told",
                shape: .one("Incident", body: "IncidentText"), handler: tell),
            Route(
                .post, "\(one)/merge", .operate, "Make an incident a part of another one",
                shape: .one("Incident", body: "IncidentMerge"), handler: merge),
            Route(
                .post, "\(one)/split", .operate, "Take alerts out of an incident into one of their own",
                shape: .one("Incident", body: "IncidentSplit", success: 201), handler: split),
        ]
    }

    // MARK: Looking

    static func filter(_ request: APIRequest) throws -> IncidentFilter {
        func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        var filter = IncidentFilter()
        if let text = value("state") {
            guard let state = IncidentFilter.State(text) else {
                let words = ["open"] + Incident.Milestone.allCases.map(\.rawValue)
                throw Problem.invalid("state", "\"\(text.prefix(80))\" is none of: \(words.joined(separator: ", "))")
            }
            filter.state = state
        }
        filter.severity = try choice("severity", value("severity"))
        filter.mode = try choice("mode", value("mode"))
        return filter
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ text: String?
    ) throws -> Choice? where Choice.RawValue == String {
        guard let text else { return nil }
        guard let choice = Choice(rawValue: text) else {
            let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid(name, "\"\(text.prefix(80))\" is none of: \(words)")
        }
        return choice
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (page, filter) = (try request.page(), try Self.filter(request))
        let found = try await exchange.storage.read { try service.store.list(filter, page: page, in: $0) }
        let (items, next) = page.cut(found) { $0.id.text }
        return .list(items, next: next)
    }

    static func days(_ request: APIRequest) throws -> Int64 {
        guard let text = request.queryValue("days"), !text.isEmpty else { return 90 }
        guard let days = Int64(text), IncidentReport.daysRange.contains(days) else {
            throw Problem.invalid("days", "1 to 366 is expected")
        }
        return days
    }

    private func report(_ request: APIRequest) async throws -> APIReply {
        let days = try Self.days(request)
        return .json(try await exchange.storage.read { try service.report(days: days, in: $0).json })
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            var object = incident.json.object ?? JSONObject()
            let alerts = try service.links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
            object["alerts"] = .array(try self.alerts(alerts, of: incident, in: transaction))
            let begun = alerts.compactMap(\.activeAt).min()
            object["beganAt"] = .of(begun.map { min($0, incident.begin) })
            var seconds = object["seconds"]?.object ?? JSONObject()
            seconds["detected"] = .of(incident.seconds(to: .detected, begun: begun))
            object["seconds"] = .object(seconds)
            let (found, more) = try Self.latest(service, incident, in: transaction)
            let entries = found.map(FileChangeSight(request.principal).seen)
            object["timeline"] = .list(entries)
            object["timelineIsCut"] = .bool(more != nil)
            object["timelineMore"] = .of(more)
            let traces = try service.links.traces(of: incident.id, limit: IncidentTraces.tracesMax, in: transaction)
            object["traces"] = .array(
                traces.map {
                    [
                        "traceId": .string($0.id), "at": $0.at.json, "agent": .string($0.agent),
                        "correlationId": .of($0.correlationID),
                    ]
                })
            let deliverables = try service.deliverables(incident, entries, in: transaction)
            object["deliverables"] = .array(
                deliverables.map {
                    [
                        "id": $0.id.json, "taskId": $0.taskID.json, "name": .string($0.name),
                        "revision": .int($0.revision), "agent": .string($0.agent), "at": $0.createdAt.json,
                    ]
                })
            object["actions"] = .list(try service.postmortems.items(of: incident.id, in: transaction))
            object["postmortem"] = try service.postmortem(incident, in: transaction).json(of: incident)
            object["links"] = try service.links(incident, entries, deliverables, in: transaction).json
            return Self.reply(incident, .object(object))
        }
    }

    private func alerts(
        _ alerts: [IncidentAlert], of incident: Incident, in transaction: Transaction
    ) throws -> [JSONValue] {
        let latest = try AlertService.latest(ofIncident: incident.id.text, in: transaction)
        let firing = latest.values.filter(\.isFiring).sorted { $0.id < $1.id }
        let quiet = firing.isEmpty ? [:] : try quieting?.quiet(among: firing, in: transaction) ?? [:]
        return alerts.map { one in
            let known = latest[one.fingerprint]
            return one.json(
                of: incident.id, latest: known, isSuppressed: known.flatMap { quiet[$0.id] }?.isSuppressed ?? false)
        }
    }

    /// The latest entries in the order in which they happened, and where the earlier ones are.
    private static func latest(
        _ service: IncidentService, _ incident: Incident, in transaction: Transaction
    ) throws -> (entries: [IncidentEntry], more: String?) {
        let page = Page(limit: shownEntriesMax)
        let rows = try service.story.entries(of: incident.id, before: .end, limit: page.limit + 1, in: transaction)
        let (items, next) = page.cut(rows) { IncidentCursor(time: $0.entry.at, seq: $0.seq).text }
        let more = next.map {
            PagePath.query("\(path)/\(incident.id.text)/timeline", [("order", "newest"), ("after", $0)])
        }
        return (items.reversed().map(\.entry), more)
    }

    /// Whether the newest come first.
    static func isNewestFirst(_ request: APIRequest) throws -> Bool {
        switch request.queryValue("order") ?? "" {
        case "", "oldest": return false
        case "newest": return true
        default: throw Problem.invalid("order", "`oldest` or `newest` is expected")
        }
    }

    private func timeline(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let isNewestFirst = try Self.isNewestFirst(request)
        guard let after = page.after.map({ IncidentCursor($0) }) ?? (isNewestFirst ? .end : IncidentCursor()) else {
            throw Problem.invalid("after", "no cursor of a timeline", hint: "Use the `next` of the page before.")
        }
        return try await exchange.storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            let rows =
                isNewestFirst
                ? try service.story.entries(of: incident.id, before: after, limit: page.limit + 1, in: transaction)
                : try service.story.entries(of: incident.id, after: after, limit: page.limit + 1, in: transaction)
            let (items, next) = page.cut(rows) { IncidentCursor(time: $0.entry.at, seq: $0.seq).text }
            let sight = FileChangeSight(request.principal)
            return .list(items.map { sight.seen($0.entry) }, next: next)
        }
    }

    private func analysis(_ request: APIRequest) async throws -> APIReply {
        try await exchange.storage.read { transaction in
            let incident = try service.known(request.parameter("id"), in: transaction)
            return .json(try service.analysis(incident, FileChangeSight(request.principal), in: transaction).json)
        }
    }

    // MARK: Acting

    static func reply(_ incident: Incident, _ document: JSONValue? = nil, status: Int = 200) -> APIReply {
        var reply = APIReply.json(document ?? incident.json, status: status)
        reply.headers.append(("etag", incident.etag))
        return reply
    }

    private func change(
        _ request: APIRequest, status: Int = 200,
        _ body: @escaping @Sendable (Transaction) throws -> Incident
    ) async throws -> APIReply {
        try await exchange.commit(request) { transaction in
            let changed = try body(transaction)
            return Self.reply(try service.known(changed.id.text, in: transaction), status: status)
        }
    }

    private func open(_ request: APIRequest) async throws -> APIReply {
        let draft = try IncidentDraft(try request.fields())
        return try await change(request, status: 201) {
            try service.open(draft, by: request.principal, in: $0)
        }
    }

    private func edit(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["title", "severity", "mode", "kind"])
        var edit = IncidentService.Edit()
        edit.title = fields.value("title") == nil ? nil : try IncidentDraft.title(fields)
        edit.severity = try fields.optionalChoice("severity", Incident.Severity.self)
        edit.mode = try fields.optionalChoice("mode", FailureMode.self)
        edit.kind = try fields.optionalChoice("kind", FailureKind.self)
        let (id, wanted, ifMatch) = (request.parameter("id"), edit, request.headers["if-match"])
        return try await change(request) {
            try service.edit(id, wanted, ifMatch: ifMatch, by: request.principal, in: $0)
        }
    }

    private func reach(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["milestone", "note"])
        let milestone = try fields.choice("milestone", Incident.Milestone.self)
        let note = try fields.optionalString("note", max: Incident.noteMax) ?? ""
        let id = request.parameter("id")
        return try await change(request) { transaction in
            milestone == .postmortem
                ? try service.publish(id, note: note, by: request.principal, in: transaction)
                : try service.state(milestone, of: id, note: note, by: request.principal, in: transaction)
        }
    }

    private func reopen(_ request: APIRequest) async throws -> APIReply {
        let note = try request.optionalFields().optionalString("note", max: Incident.noteMax) ?? ""
        let id = request.parameter("id")
        return try await change(request) { try service.reopen(id, note: note, by: request.principal, in: $0) }
    }

    static func words(_ request: APIRequest) throws -> String {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["text"])
        let text = try fields.string("text", max: Incident.noteMax)
        guard !text.allSatisfy(\.isWhitespace) else { throw Problem.invalid("text", "it is empty") }
        return text
    }

    private func remark(_ request: APIRequest) async throws -> APIReply {
        let (text, id) = (try Self.words(request), request.parameter("id"))
        return try await change(request, status: 201) {
            try service.remark(id, text, by: request.principal, in: $0)
        }
    }

    private func tell(_ request: APIRequest) async throws -> APIReply {
        let (text, id, ifMatch) = (try Self.words(request), request.parameter("id"), request.headers["if-match"])
        return try await change(request) {
            try service.tell(id, text, ifMatch: ifMatch, by: request.principal, in: $0)
        }
    }

    private func merge(_ request: APIRequest) async throws -> APIReply {
        let (other, id) = (try request.fields().string("into", max: 100), request.parameter("id"))
        return try await change(request) { try service.merge(id, into: other, by: request.principal, in: $0) }
    }

    private func split(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["alerts", "title"])
        guard let alerts = try fields.optionalNames("alerts", max: Incident.alertsMax) else {
            throw Problem.invalid("alerts", "it is missing")
        }
        let title = fields.value("title") == nil ? nil : try IncidentDraft.title(fields)
        let id = request.parameter("id")
        return try await change(request, status: 201) {
            try service.split(id, alerts: alerts, title: title, by: request.principal, in: $0)
        }
    }
}
