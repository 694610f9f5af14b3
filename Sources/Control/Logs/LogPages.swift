import Kernel
import Telemetry

/// Where log records are found.
public protocol LogReading: Sendable {
    func logs(_ query: LogQuery) async throws -> LogFindings
}

extension TelemetryIngest: LogReading {}

/// Log records: what is looked for, and what comes.
public struct LogPages: Sendable {
    let shell: PageShell
    let logs: any LogReading

    public init(shell: PageShell, logs: any LogReading) {
        self.shell = shell
        self.logs = logs
    }

    public var routes: [Route] {
        [shell.route("/logs", .operateOrView, "Log records, as they come", handler: show)]
    }

    /// The parameters are those of `GET /api/v1/logs`, so that a page's address tells the request.
    private static let filters = ["q", "correlationId", "service", "agent", "level", "category", "since", "until"]

    private func show(_ request: APIRequest) async throws -> APIReply {
        func value(_ name: String) -> String { request.queryValue(name) ?? "" }
        let query = try LogQuery(request, now: shell.world.now)
        let found = try await logs.logs(query)
        // What comes is shown where nothing says that only the past is asked for.
        let isLive = query.after == nil && value("until").isEmpty
        let asked: [(name: String, value: String?)] = Self.filters.map { ($0, value($0).isEmpty ? nil : value($0)) }
        let view = LogListView(
            isLive: isLive, isComplete: found.isComplete, words: value("q"), correlation: value("correlationId"),
            service: value("service"), agent: value("agent"),
            levels: LogSeverity.allCases.map { LogChoice($0.name, isChosen: value("level") == $0.name) },
            isFiltered: asked.contains { $0.value != nil },
            records: LogRowView.rows(found.records, now: shell.world.now),
            noRecords: Self.nothing(request, isFiltered: asked.contains { $0.value != nil }),
            pager: PagerView(after: query.after, next: found.next) {
                PagePath.query("/logs", asked + [("after", $0?.description)])
            })
        return try await shell.page("Logs", at: .logs, template: "logs", view: view, topics: [], request: request)
    }

    private static func nothing(_ request: APIRequest, isFiltered: Bool) -> EmptyView {
        if isFiltered {
            return EmptyView(headline: "No record is like that", explanation: "Change the filter, or clear it.")
        }
        return EmptyView(
            headline: "No logs yet",
            explanation: "What `reeve run` starts is heard by itself. Others send JSON, Loki's push or OTLP:",
            command: """
                curl \(request.origin)/api/v1/logs -H "Authorization: Bearer $REEVE_KEY" \\
                  -H "Content-Type: application/json" -d '{"message":"hello"}'
                """)
    }
}

// MARK: - Views

struct LogListView: PageView {
    let isLive: Bool
    let isComplete: Bool
    let words: String
    let correlation: String
    let service: String
    let agent: String
    let levels: [LogChoice]
    let isFiltered: Bool
    let records: [LogRowView]
    let noRecords: EmptyView
    let pager: PagerView
}

struct LogChoice: PageView {
    let name: String
    let isChosen: Bool

    init(_ name: String, isChosen: Bool) { (self.name, self.isChosen) = (name, isChosen) }
}

struct LogRowView: PageView {
    let id: String
    let at: TimeView
    /// As the sender calls it, and what it means to the page.
    let level: String
    let grade: String
    let message: String
    let service: String
    let agent: LinkView?
    let tool: String?
    let trace: LinkView?
    let correlation: LinkView?
    let details: String

    /// Characters of a message in its row; the details have all of it.
    private static let messageMax = 2_000

    /// Records of one moment are told apart by their place, so that a row keeps its name while others come.
    static func rows(_ records: [LogRecord], now: Timestamp) -> [LogRowView] {
        var counts: [Int64: Int] = [:]
        return Array(
            records.reversed().map { record in
                counts[record.time, default: 0] += 1
                return LogRowView(record, number: counts[record.time] ?? 0, now: now)
            }.reversed())
    }

    private init(_ record: LogRecord, number: Int, now: Timestamp) {
        id = "\(record.time)-\(number)"
        at = .ago(Timestamp(microseconds: record.time / 1_000), now: now)
        level = PageText.clipped(record.level, 20)
        grade = record.severity >= .error ? "failed" : record.severity == .warning ? "held" : "done"
        message = PageText.clipped(record.message, Self.messageMax)
        service = record.service
        agent = .agent(record.agent)
        tool = record.tool
        trace = record.traceID.map { LinkView(path: PagePath.trace($0), label: String($0.prefix(8))) }
        correlation = record.correlationID.map {
            LinkView(path: PagePath.query("/logs", [("correlationId", $0)]), label: $0)
        }
        details = record.json.prettyText
    }
}
