import Kernel

/// The first page: who is alive, doing what, since when; and what needs a person.
public struct FleetPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let tasks: TaskService
    let agents: AgentService
    let events: Events

    /// Agents shown here; the rest is on their own page.
    private static let agentsMax = 25
    private static let attentionMax = 12
    private static let eventsMax = 8
    private static let chartMinutes: Int64 = 30

    public init(
        shell: PageShell, storage: any Storage, tasks: TaskService, agents: AgentService, events: Events
    ) {
        self.shell = shell
        self.storage = storage
        self.tasks = tasks
        self.agents = agents
        self.events = events
    }

    public var routes: [Route] {
        [
            shell.route("/", .read, "The fleet at a glance", handler: show),
            shell.route("/ui/digest", .read, "What happened while a viewer was away", handler: digest),
        ]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let view = try await storage.read { try fleet(request, in: $0) }
        return try await shell.page(
            "Fleet", at: .fleet, template: "fleet", view: view, topics: ["task", "agent", "queue"], request: request)
    }

    private func fleet(_ request: APIRequest, in transaction: Transaction) throws -> FleetPageView {
        let now = shell.world.now
        let counts = try tasks.store.counts(finishedSince: now - .hours(24), in: transaction)
        let statuses = try agents.statusCounts(in: transaction)
        let total = statuses.values.reduce(0, +)
        let attention = try attention(now: now, in: transaction)
        let sight = FileChangeSight(request.principal)
        let latest = try events.store.latest(
            limit: Self.eventsMax, filter: EventFilter(agent: request.principal.agent), in: transaction)
        let rows = try agentRows(now: now, in: transaction)
        return FleetPageView(
            subtitle: total == 0
                ? "no agents yet"
                : "\(PageText.plural(total, "agent")), \(statuses[.busy] ?? 0) at work",
            numbers: try numbers(counts, statuses, now: now, in: transaction), hasAgents: !rows.isEmpty, agents: rows,
            noAgents: AgentPages.nobody(request), agentCount: total,
            taskCount: PageText.count(counts.values.reduce(0, +)), states: StateShare.all(counts),
            hasStates: counts.values.contains { $0 > 0 }, chart: try chart(now: now, in: transaction),
            attentionCount: attention.isEmpty ? nil : attention.count, hasAttention: !attention.isEmpty,
            attention: attention, events: latest.map { EventView(sight.seen($0), now: now) })
    }

    // MARK: Numbers

    private func numbers(
        _ counts: [TaskState: Int64], _ statuses: [AgentStatus: Int], now: Timestamp, in transaction: Transaction
    ) throws -> [FleetPageView.Number] {
        func count(_ states: TaskState...) -> Int64 { states.reduce(0) { $0 + (counts[$1] ?? 0) } }
        func oldest(_ state: TaskState) throws -> String {
            try tasks.store.oldest(state, in: transaction).map { "oldest \(PageText.span(now - $0))" } ?? "none waits"
        }
        let total = statuses.values.reduce(0, +)
        let silent = (statuses[.unreachable] ?? 0) + (statuses[.offline] ?? 0)
        let alive = total - silent - (statuses[.neverSeen] ?? 0)
        let waiting = count(.waiting)
        let held = count(.held)
        let lost = count(.failed, .canceled, .expired, .skipped)
        return [
            .init(
                id: "agents", path: "/agents", state: silent > 0 ? "unreachable" : "idle", label: "Agents alive",
                value: "\(alive)", of: "of \(total)",
                note: silent > 0 ? "\(silent) gone silent" : total == 0 ? "none has come yet" : "all are well",
                isAlarming: silent > 0),
            .init(
                id: "running", path: "/tasks?status=claimed,running", state: "running", label: "Running",
                value: PageText.count(count(.claimed, .running)),
                note: waiting > 0 ? "\(waiting) parked for an answer" : "none is parked"),
            .init(
                id: "ready", path: "/tasks?status=ready", state: "ready", label: "Ready",
                value: PageText.count(count(.ready)), note: try oldest(.ready)),
            .init(
                id: "in_review", path: "/reviews", state: "in_review", label: "To review",
                value: PageText.count(count(.inReview)), note: try oldest(.inReview)),
            .init(
                id: "held", path: "/tasks?status=held", state: "held", label: "Set aside",
                value: PageText.count(held), note: held > 0 ? "they wait for an operator" : "nothing is stuck",
                isAlarming: held > 0),
            .init(
                id: "done", path: "/tasks?status=done", state: "done", label: "Done in 24 h",
                value: PageText.count(count(.done)),
                note: lost > 0 ? "\(PageText.count(lost)) ended otherwise" : "none failed"),
        ]
    }

    /// Agents in trouble first, then those at work.
    private func agentRows(now: Timestamp, in transaction: Transaction) throws -> [AgentRowView] {
        let order: [AgentStatus] = [
            .quarantined, .unreachable, .busy, .waiting, .draining, .paused, .idle, .offline, .neverSeen,
        ]
        var rows: [AgentRowView] = []
        for status in order where rows.count < Self.agentsMax {
            let page = Page(limit: Self.agentsMax - rows.count)
            let found = try agents.list(AgentFilter(statuses: [status]), page: page, in: transaction).items
            rows += found.map { AgentRowView($0, now: now) }
        }
        return rows
    }

    private func chart(now: Timestamp, in transaction: Transaction) throws -> ChartView? {
        let since = now - .minutes(Self.chartMinutes)
        let finished = try tasks.store.finished(since: since, in: transaction)
        guard !finished.isEmpty else { return nil }
        let last = now.microseconds / 60_000_000
        let minutes = (0..<Self.chartMinutes).map { last - Self.chartMinutes + 1 + $0 }
        let labels = minutes.map { minute in
            String(Timestamp(microseconds: minute * 60_000_000).rfc3339.dropFirst(11).prefix(5)) + "Z"
        }
        let others = finished.filter { $0.key != TaskState.done.rawValue }.values
        let done = minutes.map { finished[TaskState.done.rawValue]?[$0] ?? 0 }
        let rest = minutes.map { minute in others.reduce(0) { $0 + ($1[minute] ?? 0) } }
        let series: JSONValue = [
            "labels": .list(labels),
            "series": [
                ["label": "Done", "state": "done", "values": .list(done)],
                ["label": "Ended otherwise", "state": "failed", "values": .list(rest)],
            ],
        ]
        return ChartView(
            series: series.text,
            summary: "\(done.reduce(0, +)) done and \(rest.reduce(0, +)) ended otherwise in 30 minutes")
    }

    // MARK: What needs a person

    private func attention(now: Timestamp, in transaction: Transaction) throws -> [AttentionView] {
        let reviews = try tasks.store.inReview(page: Page(limit: Self.attentionMax), in: transaction).map { task in
            AttentionView(
                kind: "review", state: task.state.rawValue, title: task.title,
                path: PagePath.query("/reviews", [("task", task.id.text)]),
                since: .ago(task.submittedAt ?? task.updatedAt, now: now),
                reason: "waits for a verdict" + (task.owner.map { ", by \($0)" } ?? ""))
        }
        var filter = TaskFilter()
        filter.states = [.held, .waiting]
        let stuck = try tasks.store.list(filter, page: Page(limit: Self.attentionMax), in: transaction).map { task in
            AttentionView(
                kind: task.state.rawValue, state: task.state.rawValue, title: task.title,
                path: PagePath.task(task.id.text), since: .ago(task.updatedAt, now: now),
                reason: task.state == .held
                    ? "set aside: \(PageText.label(task.reason ?? "no reason given").lowercased())"
                    : "parked for \(task.wait["kind"]?.string ?? "an answer")")
        }
        let silent = try agents.list(
            AgentFilter(statuses: [.unreachable, .quarantined]), page: Page(limit: Self.attentionMax), in: transaction
        ).items.map { view in
            AttentionView(
                kind: "agent", state: view.status.rawValue, title: view.agent.name,
                path: PagePath.agent(view.agent.name), since: .ago(view.statusSince, now: now),
                reason: view.status == .quarantined
                    ? "quarantined: \(view.agent.quarantineReason ?? "no reason given")"
                    : "missed its heartbeats, and holds \(PageText.plural(view.currentTasks.count, "task"))")
        }
        return Array((silent + reviews.prefix(Self.attentionMax) + stuck).prefix(Self.attentionMax))
    }

    // MARK: Since you left

    private func digest(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        guard let after = request.queryValue("after").flatMap(Int64.init), after > 0 else {
            throw Problem.invalid("after", "the number of an event is expected")
        }
        let since = request.queryValue("since").flatMap(Int64.init).map {
            min(now, max(Timestamp(microseconds: 0), Timestamp(microseconds: 0) + .milliseconds($0)))
        }
        let counts = try await storage.read { try events.store.counts(after: after, in: $0) }
        let kinds: [(type: String, state: String, path: String, noun: String)] = [
            ("task.done", "done", "/tasks?status=done", "done"),
            ("task.submitted", "in_review", "/reviews", "handed in for review"),
            ("task.held", "held", "/tasks?status=held", "set aside"),
            ("task.failed", "failed", "/tasks?status=failed", "failed"),
            ("task.lease_lost", "lost", "/events?type=task.lease_lost", "lost with their agent"),
            ("task.canceled", "canceled", "/tasks?status=canceled", "canceled"),
            ("agent.registered", "idle", "/agents", "new agents"),
        ]
        let items = kinds.compactMap { kind in
            counts[kind.type].map { count in
                DigestView.Item(path: kind.path, state: kind.state, count: PageText.count(count), label: kind.noun)
            }
        }
        return shell.fragment(
            "digest", DigestView(hasNews: !items.isEmpty, since: .ago(since, now: now), items: items))
    }
}

// MARK: - Views

struct FleetPageView: PageView {
    struct Number: PageView {
        let id: String
        let path: String
        let state: String
        let label: String
        let value: String
        var of: String?
        let note: String
        var isAlarming = false
    }

    let subtitle: String
    let numbers: [Number]
    let hasAgents: Bool
    let agents: [AgentRowView]
    let noAgents: EmptyView
    let agentCount: Int
    let taskCount: String
    let states: [StateShare]
    let hasStates: Bool
    let chart: ChartView?
    let attentionCount: Int?
    let hasAttention: Bool
    let attention: [AttentionView]
    let events: [EventView]
}

/// One state's part of all tasks, as a piece of a bar that is 1,000 wide.
struct StateShare: PageView {
    let state: String
    let label: String
    let count: String
    let path: String
    let start: Int
    let width: Int

    static func all(_ counts: [TaskState: Int64]) -> [StateShare] {
        let total = Double(max(1, counts.values.reduce(0, +)))
        var start = 0.0
        return TaskState.allCases.compactMap { state in
            guard let count = counts[state], count > 0 else { return nil }
            let width = Double(count) / total * 1_000
            defer { start += width }
            return StateShare(
                state: state.rawValue, label: PageText.label(state.rawValue), count: PageText.count(count),
                path: "/tasks?status=\(state.rawValue)", start: Int(start), width: max(2, Int(width) - 2))
        }
    }
}

/// What Chart.js draws, as JSON in an attribute.
struct ChartView: PageView {
    let series: String
    let summary: String
}

struct AttentionView: PageView {
    let kind: String
    let state: String
    let title: String
    let path: String
    let since: TimeView
    let reason: String
}

struct DigestView: PageView {
    struct Item: PageView {
        let path: String
        let state: String
        let count: String
        let label: String
    }

    let hasNews: Bool
    let since: TimeView?
    let items: [Item]
}
