import Kernel

/// What is started by the clock.
public struct SchedulePages: Sendable {
    let shell: PageShell
    let storage: any Storage
    private let store = ScheduleStore()

    /// Schedules shown on one page.
    private static let schedulesMax = 200

    public init(shell: PageShell, storage: any Storage) {
        self.shell = shell
        self.storage = storage
    }

    public var routes: [Route] {
        [shell.route("/schedules", .read, "The schedules", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let after = try request.page().after
        let found = try await storage.read {
            try store.schedules(page: Page(limit: Self.schedulesMax, after: after), in: $0)
        }
        let rows = found.prefix(Self.schedulesMax).map { ScheduleRowView($0, now: now) }
        let paused = rows.count { $0.isPaused }
        let view = ScheduleListView(
            subtitle: PageText.plural(rows.count, "schedule") + (paused > 0 ? ", \(paused) paused" : ""),
            hasSchedules: !rows.isEmpty, schedules: rows,
            noSchedules: EmptyView(
                headline: "No schedules yet", explanation: "Have a task made every weekday morning:",
                command: """
                    curl -X POST \(request.origin)/api/v1/schedules -H "Authorization: Bearer $REEVE_KEY" \\
                      -d '{"name":"morning","cron":"0 8 * * 1-5","timezone":"Europe/Berlin",
                           "task":{"project":"demo","queue":"default","type":"digest","title":"Morning digest"}}'
                    """),
            pager: PagerView(
                after: after, next: found.count > Self.schedulesMax ? rows.last?.name : nil, of: "/schedules"))
        return try await shell.page(
            "Schedules", at: .schedules, template: "schedules", view: view, topics: ["schedule"], request: request)
    }
}

struct ScheduleListView: PageView {
    let subtitle: String
    let hasSchedules: Bool
    let schedules: [ScheduleRowView]
    let noSchedules: EmptyView
    let pager: PagerView
}

/// A schedule as a row.
struct ScheduleRowView: PageView {
    let id: String
    let name: String
    let state: String
    let title: String
    let words: String
    let cron: String
    let queue: String
    let queuePath: String
    let last: TimeView?
    let lastTask: LinkView?
    let lastError: String?
    let next: TimeView?
    let pauseText: String?
    let isPaused: Bool
    let apiPath: String

    init(_ schedule: Schedule, now: Timestamp) {
        id = schedule.id.text
        name = schedule.name
        isPaused = schedule.pause != nil
        state = isPaused ? "paused" : schedule.lastError == nil ? "open" : "held"
        title = schedule.task["title"]?.string ?? "a task without a title"
        words = schedule.words
        cron = schedule.cron.text
        queue = schedule.task["queue"]?.string ?? "default"
        queuePath = PagePath.query("/tasks", [("queue", queue)])
        last = .ago(schedule.lastAt, now: now)
        lastTask = schedule.lastTaskID.map { LinkView(path: PagePath.task($0), label: "its task") }
        lastError = schedule.lastError.map { PageText.clipped($0, 200) }
        next = .ago(schedule.nextAt, now: now)
        pauseText = schedule.pause.map { "by \($0.actor), \(PageText.span(now - $0.at)) ago: \($0.reason)" }
        apiPath = "/api/v1/schedules/\(PagePath.encoded(schedule.id.text))"
    }
}
