import Kernel
import Telemetry

/// What happened to one correlation id, of all kinds, over HTTP.
public struct TimelineRoutes: Sendable {
    /// Traces of one correlation id that are looked into.
    static let tracesMax = 50

    let sources: [any TimelineSource]

    public init(sources: [any TimelineSource]) { self.sources = sources }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/timeline", .operateOrView, "What happened under a correlation id, oldest first",
                shape: .list(
                    "TimelineItem",
                    query: [("correlationId", ["type": "string", "minLength": 1], "Whose timeline; it must be there")]),
                handler: list)
        ]
    }

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "TimelineItem",
            [
                "type": "object",
                "properties": [
                    "time": ["type": "string", "format": "date-time"],
                    "kind": ["type": "string", "enum": .list(TimelineItem.Kind.allCases.map(\.rawValue))],
                    "id": ["type": "string"], "title": ["type": "string"], "agent": ["type": ["string", "null"]],
                    "traceId": ["type": ["string", "null"]],
                ],
                "required": ["time", "kind", "id", "title", "agent", "traceId"],
            ]
        )
    ]

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        guard let id = request.queryValue("correlationId"), !id.isEmpty else {
            throw Problem.invalid(
                "correlationId", "it is missing", hint: "Name one, such as ?correlationId=order-17.")
        }
        var after: TimelineCursor?
        if let text = page.after {
            guard let cursor = TimelineCursor(text) else {
                throw Problem.invalid("after", "it is no cursor of this list", hint: "Use the `next` of a page.")
            }
            after = cursor
        }
        // The one that stands behind the page says that there is a next one.
        var question = TimelineQuestion(correlationID: id, limit: page.limit + 1, after: after)
        var traces: [TraceID] = []
        // An id that nobody gave is its trace's.
        if let own = TraceID(id) { traces.append(own) }
        for source in sources { traces += try await source.traces(of: id) }
        question.traces = Array(Set(traces).sorted().prefix(Self.tracesMax))
        var items: [TimelineItem] = []
        for source in sources { items += try await source.items(question) }
        let (found, next) = page.cut(question.part(items)) { TimelineCursor($0).text }
        return .list(found, next: next)
    }
}
