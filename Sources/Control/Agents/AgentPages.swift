import Kernel

/// The pages of the agents.
public struct AgentPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let agents: AgentService
    let tasks: TaskService
    let events: Events

    private static let eventsMax = 15
    private static let tasksMax = 50

    public init(
        shell: PageShell, storage: any Storage, agents: AgentService, tasks: TaskService, events: Events
    ) {
        self.shell = shell
        self.storage = storage
        self.agents = agents
        self.tasks = tasks
        self.events = events
    }

    public var routes: [Route] {
        [
            shell.route("/agents", .read, "The agents", handler: list),
            shell.route("/agents/{name}", .read, "One agent", handler: show),
        ]
    }

    // MARK: The list

    private func list(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let page = try request.page()
        let project = request.queryValue("project").flatMap { $0.isEmpty ? nil : $0 }
        let status = request.queryValue("status").flatMap { AgentStatus(rawValue: $0) }
        let filter = AgentFilter(project: project, statuses: status.map { [$0] })
        let view = try await storage.read { transaction in
            let counts = try agents.statusCounts(project: project, in: transaction)
            let (items, next) = try agents.list(filter, page: page, in: transaction)
            let total = counts.values.reduce(0, +)
            return AgentListView(
                subtitle: PageText.plural(total, "agent"),
                filters: Self.filters(counts, total: total, current: status, project: project),
                status: status?.rawValue, project: project ?? "", hasAgents: !items.isEmpty,
                agents: items.map { AgentRowView($0, now: now) },
                noAgents: total == 0
                    ? Self.nobody(request)
                    : EmptyView(headline: "No agent is like that", explanation: "Choose another status or project."),
                pager: PagerView(after: page.after, next: next) {
                    PagePath.query("/agents", [("status", status?.rawValue), ("project", project), ("after", $0)])
                })
        }
        return try await shell.page(
            "Agents", at: .agents, template: "agents", view: view, topics: ["agent", "task"], request: request)
    }

    private static func filters(
        _ counts: [AgentStatus: Int], total: Int, current: AgentStatus?, project: String?
    ) -> [FilterView] {
        let all = FilterView(
            path: PagePath.query("/agents", [("project", project)]), label: "All", state: "", count: "\(total)",
            isCurrent: current == nil)
        return [all]
            + AgentStatus.allCases.compactMap { status in
                let count = counts[status] ?? 0
                guard count > 0 || status == current else { return nil }
                return FilterView(
                    path: PagePath.query("/agents", [("status", status.rawValue), ("project", project)]),
                    label: PageText.label(status.rawValue), state: status.rawValue, count: "\(count)",
                    isCurrent: status == current)
            }
    }

    static func nobody(_ request: APIRequest) -> EmptyView {
        EmptyView(
            headline: "No agents yet", explanation: "An agent is there from its first heartbeat on:",
            command: """
                curl -X POST \(request.origin)/api/events/ingest -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"type":"agent.heartbeat","agent":"writer","statusMessage":"Hello"}'
                # or run any program as one:
                reeve run --agent writer -- python3 agent.py
                """)
    }

    // MARK: One agent

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let name = request.parameter("name")
        let view = try await storage.read { transaction in
            let agent = try agents.view(name, in: transaction)
            let held = try tasks.store.inHand(of: name, limit: Self.tasksMax, in: transaction)
            let latest =
                request.principal.agent.map { $0 == name } ?? true
                ? try events.store.latest(limit: Self.eventsMax, filter: EventFilter(agent: name), in: transaction) : []
            return AgentPageView(agent, tasks: held, events: latest, now: now)
        }
        return try await shell.page(
            name, at: .agents, template: "agent", view: view, topics: ["agent", "task"], request: request)
    }
}

// MARK: - Views

struct AgentListView: PageView {
    let subtitle: String
    let filters: [FilterView]
    let status: String?
    let project: String
    let hasAgents: Bool
    let agents: [AgentRowView]
    let noAgents: EmptyView
    let pager: PagerView
}

/// An agent as a row of a list.
struct AgentRowView: PageView {
    struct Work: PageView {
        let path: String
        let title: String
        let more: String?
    }

    let name: String
    let path: String
    let project: String
    let state: String
    let stateLabel: String
    let task: Work?
    let message: String?
    let idleText: String
    let since: TimeView
    let cpu: String
    let memory: String
    let heartbeat: TimeView?
    /// Whether it is still to take up what it is to run with.
    let isBehind: Bool

    init(_ view: AgentView, now: Timestamp) {
        let agent = view.agent
        isBehind = AgentConfigState.isBehind(desired: agent.configDesired, reported: agent.configReported)
        name = agent.name
        path = PagePath.agent(agent.name)
        project = agent.project
        state = view.status.rawValue
        stateLabel = PageText.label(view.status.rawValue)
        let others = view.currentTasks.count - 1
        task = view.currentTasks.first.map { holding in
            Work(path: PagePath.task(holding.id), title: holding.title, more: others > 0 ? "and \(others) more" : nil)
        }
        message = agent.statusMessage.flatMap { $0.isEmpty ? nil : PageText.clipped($0, 200) }
        idleText = Self.idleText(view)
        since = .span(view.statusSince, now: now)
        // What a silent agent used when it was last heard of says nothing of now.
        cpu = (view.status.isSilent ? nil : agent.cpuPercent).map(PageText.percent) ?? "–"
        memory = (view.status.isSilent ? nil : agent.memoryBytes).map(PageText.bytes) ?? "–"
        heartbeat = .ago(agent.lastHeartbeatAt, now: now)
    }

    private static func idleText(_ view: AgentView) -> String {
        switch view.status {
        case .neverSeen: "Registered, and has not come yet"
        case .paused: "Paused" + (view.agent.pausedReason.map { ": \($0)" } ?? "")
        case .draining: "Draining" + (view.agent.drainingReason.map { ": \($0)" } ?? "")
        case .quarantined: "Quarantined" + (view.agent.quarantineReason.map { ": \($0)" } ?? "")
        case .unreachable, .offline: "Not heard of"
        case .idle, .busy, .waiting: "Ready for work"
        }
    }
}

/// The page of one agent.
struct AgentPageView: PageView {
    struct Notice: PageView {
        let state: String
        let text: String
    }

    let name: String
    let state: String
    let stateLabel: String
    let since: TimeView
    let canPause: Bool
    let canResume: Bool
    let canDrain: Bool
    let apiPath: String
    let notices: [Notice]
    let tasksPath: String
    let eventsPath: String
    let configPath: String
    let hasTasks: Bool
    let tasks: [TaskRowView]
    let noTasks: EmptyView
    let events: [EventView]
    let heartbeat: TimeView?
    let message: String?
    let cpu: String
    let cpuBar: ShareView?
    let memory: String
    let facts: [FactView]
    let hasCapabilities: Bool
    let capabilities: [String]
    let hasLabels: Bool
    let labels: [String]

    init(_ view: AgentView, tasks held: [AgentTask], events latest: [Event], now: Timestamp) {
        let agent = view.agent
        name = agent.name
        state = view.status.rawValue
        stateLabel = PageText.label(view.status.rawValue)
        since = .span(view.statusSince, now: now)
        canPause = !agent.isPaused
        canResume = agent.isPaused || agent.isDraining
        canDrain = !agent.isDraining
        apiPath = "/api/v1" + PagePath.agent(agent.name)
        notices = Self.notices(agent)
        tasksPath = PagePath.query("/tasks", [("agent", agent.name)])
        eventsPath = PagePath.query("/events", [("agent", agent.name)])
        configPath = ConfigValuePageView.path(agent.name)
        hasTasks = !held.isEmpty
        tasks = held.map { TaskRowView($0, now: now) }
        noTasks = EmptyView(
            headline: "Nothing in hand",
            explanation: agent.refusal.map { "It is \($0), and is handed no work." }
                ?? "It gets the next ready task that it asks for.")
        events = latest.map { EventView($0, now: now) }
        heartbeat = .ago(agent.lastHeartbeatAt, now: now)
        message = agent.statusMessage.flatMap { $0.isEmpty ? nil : $0 }
        cpu = agent.cpuPercent.map(PageText.percent) ?? "not told"
        cpuBar = agent.cpuPercent.map { ShareView($0 / 100) }
        memory = agent.memoryBytes.map(PageText.bytes) ?? "not told"
        facts = Self.facts(agent, now: now)
        hasCapabilities = !agent.capabilities.isEmpty
        capabilities = agent.capabilities
        hasLabels = !agent.labels.isEmpty
        labels = agent.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    private static func notices(_ agent: Agent) -> [Notice] {
        var notices: [Notice] = []
        if agent.isQuarantined {
            notices.append(
                Notice(state: "quarantined", text: "Quarantined: \(agent.quarantineReason ?? "no reason given")"))
        }
        if agent.isPaused {
            notices.append(Notice(state: "paused", text: "Paused: \(agent.pausedReason ?? "no reason given")"))
        }
        if agent.isDraining {
            notices.append(Notice(state: "draining", text: "Draining: \(agent.drainingReason ?? "no reason given")"))
        }
        if agent.health.status == .unhealthy {
            let error = agent.health.lastError.map { ": \($0)" } ?? ""
            notices.append(Notice(state: "unreachable", text: "Its health address reports trouble\(error)"))
        }
        return notices
    }

    private static func facts(_ agent: Agent, now: Timestamp) -> [FactView] {
        var facts = [FactView(name: "Project", value: agent.project)]
        if let release = agent.release { facts.append(FactView(name: "Release", value: release)) }
        if agent.configDesired != nil || agent.configReported != nil {
            let reported = agent.configReported ?? "none"
            let differs = agent.configDesired != nil && agent.configDesired != agent.configReported
            let words = differs ? "\(reported), to become \(agent.configDesired ?? "")" : reported
            facts.append(FactView(name: "Config", value: words))
        }
        if let url = agent.healthURL {
            facts.append(FactView(name: "Health", value: "\(agent.health.status.rawValue), asked at \(url)"))
        }
        facts.append(FactView(name: "Interval", value: "\(agent.heartbeatSeconds) s"))
        if agent.messagesWaiting > 0 {
            facts.append(FactView(name: "Messages", value: "\(agent.messagesWaiting) wait for its next heartbeat"))
        }
        facts.append(FactView(name: "Known", time: .ago(agent.createdAt, now: now)))
        return facts
    }
}

extension APIRequest {
    /// How a command line reaches this server: what the browser itself used.
    var origin: String { "http://\(headers["host"] ?? headers[":authority"] ?? "127.0.0.1:7070")" }
}
