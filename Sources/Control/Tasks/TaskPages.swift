import Kernel

/// The list of tasks. One task's page is in `TaskDetailPages.swift`.
public struct TaskPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let tasks: TaskService
    let events: Events
    let blobs: any Blobs

    private static let queueNamesMax = 100

    public init(
        shell: PageShell, storage: any Storage, tasks: TaskService, events: Events, blobs: any Blobs
    ) {
        self.shell = shell
        self.storage = storage
        self.tasks = tasks
        self.events = events
        self.blobs = blobs
    }

    public var routes: [Route] {
        [
            shell.route("/tasks", .read, "The tasks", handler: list),
            shell.route("/tasks/{id}", .read, "One task", handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let page = try request.page()
        let query = TaskListQuery(request)
        let filter = try query.filter()
        let view = try await storage.read { transaction in
            let found = try tasks.store.list(filter, page: page, in: transaction)
            let rows = found.prefix(page.limit).map { TaskRowView($0, now: now) }
            let counts = try tasks.store.counts(finishedSince: now, in: transaction)
            let live = counts.filter { !$0.key.isTerminal }.values.reduce(0, +)
            let queues = try tasks.queues.queues(page: Page(limit: Self.queueNamesMax), in: transaction).map(\.name)
            let last = found.count > page.limit ? rows.last?.id : nil
            return TaskListView(
                subtitle: "\(PageText.count(live)) unfinished", filters: query.filters(counts),
                status: query.status, q: query.text ?? "", queue: query.queue ?? "", agent: query.agent ?? "",
                project: query.project ?? "", windowSince: query.since, windowUntil: query.until,
                isFiltered: query.isFiltered, queueNames: queues,
                hasTasks: !rows.isEmpty, tasks: rows, noTasks: Self.nothing(request, query),
                pager: PagerView(after: page.after, next: last) { query.path(after: $0) })
        }
        return try await shell.page(
            "Tasks", at: .tasks, template: "tasks", view: view, topics: ["task"], request: request)
    }

    private static func nothing(_ request: APIRequest, _ query: TaskListQuery) -> EmptyView {
        guard !query.isFiltered, query.status == nil else {
            return EmptyView(headline: "No task is like that", explanation: "Change the filter, or clear it.")
        }
        return EmptyView(
            headline: "No tasks yet", explanation: "Create the first one:",
            command: """
                curl -X POST \(request.origin)/api/v1/tasks -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"project":"demo","queue":"default","type":"hello","title":"Say hello"}'
                # and let any command do it:
                reeve work --queue default --agent greeter -- sh -c 'echo hello'
                """)
    }
}

/// What the list's address asks for.
struct TaskListQuery: Sendable {
    let status: String?
    let text: String?
    let queue: String?
    let agent: String?
    let project: String?
    let since: String?
    let until: String?
    private let request: APIRequest

    init(_ request: APIRequest) {
        func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        self.request = request
        status = value("status")
        text = value("q")
        queue = value("queue")
        agent = value("agent")
        project = value("project")
        since = value("since")
        until = value("until")
    }

    var isFiltered: Bool { [text, queue, agent, project, since, until].contains { $0 != nil } }

    /// The same filter that the interface uses, without the empty fields that a form sends.
    func filter() throws -> TaskFilter {
        var filter = try TaskRoutes.filter(request)
        filter.queue = queue
        filter.agent = agent
        filter.project = project
        filter.type = filter.type.flatMap { $0.isEmpty ? nil : $0 }
        return filter
    }

    func path(status: String?, after: String? = nil) -> String {
        PagePath.query(
            "/tasks",
            [
                ("status", status), ("q", text), ("queue", queue), ("agent", agent), ("project", project),
                ("since", since), ("until", until), ("after", after),
            ])
    }

    func path(after: String? = nil) -> String { path(status: status, after: after) }

    /// One for each state, with how many tasks are in it now; ended ones are not counted, as there may be millions.
    func filters(_ counts: [TaskState: Int64]) -> [FilterView] {
        let working = "claimed,running"
        let all = FilterView(path: path(status: nil), label: "All", state: "", isCurrent: status == nil)
        let both = FilterView(
            path: path(status: working), label: "Running", state: "running",
            count: PageText.count((counts[.claimed] ?? 0) + (counts[.running] ?? 0)), isCurrent: status == working)
        let rest: [TaskState] = [
            .ready, .scheduled, .blocked, .waiting, .inReview, .held, .done, .failed, .canceled, .expired, .skipped,
        ]
        return [all, both]
            + rest.map { state in
                FilterView(
                    path: path(status: state.rawValue), label: PageText.label(state.rawValue), state: state.rawValue,
                    count: state.isTerminal ? nil : PageText.count(counts[state] ?? 0),
                    isCurrent: status == state.rawValue)
            }
    }
}

struct TaskListView: PageView {
    let subtitle: String
    let filters: [FilterView]
    let status: String?
    let q: String
    let queue: String
    let agent: String
    let project: String
    let windowSince: String?
    let windowUntil: String?
    let isFiltered: Bool
    let queueNames: [String]
    let hasTasks: Bool
    let tasks: [TaskRowView]
    let noTasks: EmptyView
    let pager: PagerView
}

/// A task as a row of a list.
struct TaskRowView: PageView {
    let id: String
    let path: String
    let title: String
    let state: String
    let stateLabel: String
    let type: String
    let project: String
    let queue: String
    let queuePath: String
    let agent: LinkView?
    let attempts: Int64
    let note: String?
    let progress: ShareView?
    let updated: TimeView

    init(_ task: AgentTask, now: Timestamp) {
        id = task.id.text
        path = PagePath.task(task.id.text)
        title = task.title
        state = task.state.rawValue
        stateLabel = PageText.label(task.state.rawValue)
        type = task.type
        project = task.project
        queue = task.queue
        queuePath = PagePath.query("/tasks", [("queue", task.queue)])
        agent = .agent(task.owner ?? task.pinnedAgent)
        attempts = task.claims
        note = Self.note(task)
        progress = task.state.isLeased ? task.progress.map { ShareView($0, hotAbove: 2) } : nil
        updated = .ago(task.updatedAt, now: now)
    }

    /// What its agent says, or why it stands still.
    private static func note(_ task: AgentTask) -> String? {
        if task.cancelRequestedAt != nil, task.state.isLeased { return "asked to stop" }
        if task.holdCount > 0 { return "kept from being claimed" }
        if task.state.isLeased { return task.note.map { PageText.clipped($0, 160) } }
        return task.reason.map { PageText.label(PageText.clipped($0, 160)) }
    }
}
