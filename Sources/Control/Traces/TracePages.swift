import Kernel
import Telemetry

/// Traces: the list of them, one as a tree beside its times, and one step after the other.
public struct TracePages: Sendable {
    let shell: PageShell
    let traces: any TraceReading
    private let labels: StoredTraceLabels?

    public init(
        shell: PageShell, traces: any TraceReading, storage: any Storage, retention: RetentionService? = nil
    ) {
        self.shell = shell
        self.traces = traces
        labels = retention.map { StoredTraceLabels(service: $0, storage: storage) }
    }

    public var routes: [Route] {
        [
            shell.route("/traces", .operateOrView, "The traces", handler: showList),
            shell.route("/traces/{id}", .operateOrView, "One trace", handler: show),
            shell.route("/traces/{id}/replay", .operateOrView, "One trace, step by step", handler: replay),
            Route(
                .get, "/ui/traces/{id}", .operateOrView, "A trace's rows as columns, for its page", shape: .page,
                handler: columns),
        ]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let id = try await known(request)
        let api = "/api/v1/traces/\(id.description)/labels/"
        let known = try await labels?.labels(of: [id])[id] ?? []
        let view = TracePageView(
            id: id.description, short: String(id.description.prefix(16)), labelsPath: api,
            canLabel: Permission.operate.admits(request.principal.role),
            labels: known.map {
                TraceLabelView(name: $0, path: PagePath.query("/traces", [("label", $0)]), apiPath: api + $0)
            },
            hasLabels: !known.isEmpty)
        return try await shell.page(
            "Trace", at: .traces, template: "trace", view: view, topics: ["trace"], request: request)
    }

    /// Any trace is gone through as a session is.
    private func replay(_ request: APIRequest) async throws -> APIReply {
        let id = try await known(request).description
        let view = ReplayPageView(
            title: "Replay", short: "\(id.prefix(16))…", source: "/api/v1/sessions/\(id)", tree: "/traces/\(id)")
        return try await shell.page("Replay", at: .traces, template: "replay", view: view, topics: [], request: request)
    }

    /// What is not in the archive may still run.
    private func known(_ request: APIRequest) async throws -> TraceID {
        let text = request.parameter("id")
        if let id = TraceID(text) {
            if try await traces.hasTrace(id) { return id }
            if try await !traces.trace(id).isEmpty { return id }
        }
        throw Problem(
            .notFound, "There is no trace \(PageText.clipped(text, 64)).",
            hint: "Its spans may not have come yet, or their time to be kept is over. An id has 32 hexadecimal digits.")
    }

    private func columns(_ request: APIRequest) async throws -> APIReply {
        guard let id = TraceID(request.parameter("id")) else {
            throw Problem.notFound("trace", request.parameter("id"))
        }
        let spans = try await traces.trace(id)
        guard !spans.isEmpty else { throw Problem.notFound("trace", id.description) }
        return APIReply(
            status: 200, headers: [("content-type", "application/json"), ("cache-control", "no-store")],
            body: .bytes(TraceColumns(id, spans).bytes))
    }

    // MARK: The list

    private func showList(_ request: APIRequest) async throws -> APIReply {
        if let id = request.queryValue("id").flatMap({ TraceID($0.trimmed) }) {
            return .redirect("/traces/\(id.description)")
        }
        // The page shows what is typed; what is no status means all.
        let query = try await TraceQuery(request, now: shell.world.now).naming(labels)
        let found = try await traces.traces(query)
        let asked = [query.service, query.agent, query.id, query.label]
        let isFiltered = query.isFailed || asked.contains { $0 != nil }
        let view = TraceListView(
            unknown: request.queryValue("id").flatMap { $0.isEmpty ? nil : $0 }, service: query.service ?? "",
            agent: query.agent ?? "", correlation: query.id ?? "", label: query.label ?? "", isFailed: query.isFailed,
            isFiltered: isFiltered,
            hasTraces: !found.traces.isEmpty, traces: found.traces.map { TraceRowView($0, now: shell.world.now) },
            noTraces: Self.nothing(request, isFiltered: isFiltered))
        return try await shell.page(
            "Traces", at: .traces, template: "traces", view: view, topics: [], request: request)
    }

    private static func nothing(_ request: APIRequest, isFiltered: Bool) -> EmptyView {
        if isFiltered {
            return EmptyView(headline: "No trace is like that", explanation: "Change the filter, or clear it.")
        }
        return EmptyView(
            headline: "No traces yet", explanation: "OpenTelemetry's SDKs send them here, in any language:",
            command: """
                export OTEL_EXPORTER_OTLP_ENDPOINT=\(request.origin)
                export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer $REEVE_KEY"
                """)
    }
}

extension String {
    fileprivate var trimmed: String { String(drop { $0.isWhitespace }.prefix { !$0.isWhitespace }) }
}

// MARK: - Views

struct TracePageView: PageView {
    let id: String
    let short: String
    let labelsPath: String
    let canLabel: Bool
    let labels: [TraceLabelView]
    let hasLabels: Bool
}

struct TraceLabelView: PageView {
    let name: String
    let path: String
    let apiPath: String
}

struct TraceListView: PageView {
    /// What was asked for as an id and is none.
    let unknown: String?
    let service: String
    let agent: String
    let correlation: String
    let label: String
    let isFailed: Bool
    let isFiltered: Bool
    let hasTraces: Bool
    let traces: [TraceRowView]
    let noTraces: EmptyView
}

struct TraceRowView: PageView {
    let id: String
    let path: String
    let name: String
    let service: String
    let agent: LinkView?
    let state: String
    let stateLabel: String
    let spans: String
    let errors: String?
    let tokens: String?
    let took: String
    let began: TimeView
    let correlation: String?

    init(_ trace: TraceSummary, now: Timestamp) {
        id = trace.id.description
        path = "/traces/\(id)"
        name = trace.root.name
        service = trace.root.service
        agent = .agent(trace.root.agent)
        let isBroken = trace.errors > 0 && trace.state == .ended
        state = isBroken ? "failed" : trace.state == .ended ? "done" : trace.state.rawValue
        stateLabel = isBroken ? "With errors" : PageText.label(trace.state.rawValue)
        spans = PageText.count(Int64(trace.spans))
        errors = trace.errors > 0 ? PageText.plural(trace.errors, "error") : nil
        tokens = trace.tokens > 0 ? CallText.tokens(trace.tokens) : nil
        took = CallText.milliseconds((trace.endedAt - trace.startedAt) / 1_000_000)
        began = .ago(Timestamp(microseconds: trace.startedAt / 1_000), now: now)
        correlation = trace.correlationID == id ? nil : trace.correlationID
    }
}
