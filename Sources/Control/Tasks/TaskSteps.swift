import Kernel

/// A step on a task's way: the main path from creation to done, with what left it hanging below.
struct TaskStepView: PageView {
    /// A way off the main path: a wait, a setback, another end.
    struct Branch: PageView {
        let id: String
        let state: String
        let stateLabel: String
        let times: Int?
        let at: TimeView?
        let detail: String?
    }

    let id: String
    let label: String
    /// `past`, `now` or `todo-step`.
    let phase: String
    let state: String
    let times: Int?
    let at: TimeView?
    let detail: String?
    let hasBranches: Bool
    let branches: [Branch]

    /// A task's way so far, read from its events: each names the state that it came to.
    static func path(of task: AgentTask, events: [Event], now: Timestamp) -> [TaskStepView] {
        let visits = Visits(task: task, events: events)
        var ids = ["created", "ready", "running"]
        if visits["blocked"] != nil { ids.insert("blocked", at: 1) }
        if task.review != nil || visits["in_review"] != nil { ids.append("in_review") }
        ids.append("done")
        let isOver = task.state.isTerminal && task.state != .done
        return ids.filter { !(isOver && $0 == "done") }.map { step($0, task, visits, now: now) }
            + (isOver ? [end(task, now: now)] : [])
    }

    private static func step(_ id: String, _ task: AgentTask, _ visits: Visits, now: Timestamp) -> TaskStepView {
        let visit = visits[id]
        let isNow = id == current(task)
        let branches = branchStates(below: id).flatMap { name in
            visits.branches(name).map { branch($0, isNow: name == task.state.rawValue, now: now) }
        }
        return TaskStepView(
            id: id, label: id == "running" && task.state == .claimed ? "Claimed" : PageText.label(id),
            phase: isNow ? "now" : visit == nil ? "todo-step" : "past", state: color(id),
            times: visit.flatMap { $0.count > 1 ? $0.count : nil }, at: .ago(visit?.last, now: now),
            detail: visit?.detail, hasBranches: !branches.isEmpty, branches: branches)
    }

    /// How a task ended that was not done.
    private static func end(_ task: AgentTask, now: Timestamp) -> TaskStepView {
        TaskStepView(
            id: task.state.rawValue, label: PageText.label(task.state.rawValue), phase: "now",
            state: task.state.rawValue, times: nil, at: .ago(task.finishedAt, now: now),
            detail: task.reason.map { PageText.label($0).lowercased() }, hasBranches: false, branches: [])
    }

    private static func branch(_ visit: Visits.Visit, isNow: Bool, now: Timestamp) -> Branch {
        Branch(
            id: visit.name, state: visit.name, stateLabel: visit.label,
            times: visit.count > 1 ? visit.count : nil, at: .ago(visit.last, now: now),
            detail: isNow ? (visit.detail.map { "\($0), now" } ?? "now") : visit.detail)
    }

    /// The step of the main path that the task's state belongs to.
    private static func current(_ task: AgentTask) -> String {
        switch task.state {
        case .scheduled, .ready: "ready"
        case .blocked: "blocked"
        case .claimed, .running, .waiting: "running"
        case .inReview: "in_review"
        case .done: "done"
        case .held: task.fence > 0 ? "running" : "ready"
        default: ""
        }
    }

    private static func branchStates(below id: String) -> [String] {
        switch id {
        case "ready": ["scheduled"]
        case "running": ["waiting", "lost", "timed_out", "held"]
        case "in_review": ["changes"]
        default: []
        }
    }

    private static func color(_ id: String) -> String { id == "created" ? "ready" : id }
}

/// When, how often and why a task was in each state.
private struct Visits {
    struct Visit {
        let name: String
        let label: String
        var count = 0
        var last: Timestamp?
        var detail: String?
    }

    private var visits: [String: Visit] = [:]

    init(task: AgentTask, events: [Event]) {
        note("created", at: task.createdAt, detail: "by \(task.createdBy)")
        var state: String?
        for event in events {
            if let setback = Self.setback(event) { note(setback, at: event.at, detail: Self.detail(event)) }
            guard let to = event.data["to"]?.string, to != state else { continue }
            // A claim and its first write are one step for a reader.
            let isStart = to == "running" && state == "claimed"
            state = to
            if !isStart { note(to == "claimed" ? "running" : to, at: event.at, detail: Self.detail(event)) }
        }
    }

    subscript(name: String) -> Visit? { visits[name] }

    func branches(_ name: String) -> [Visit] { visits[name].map { [$0] } ?? [] }

    private mutating func note(_ name: String, at time: Timestamp, detail: String?) {
        let label =
            switch name {
            case "lost": "Agent lost"
            case "changes": "Changes asked for"
            default: PageText.label(name)
            }
        var visit = visits[name] ?? Visit(name: name, label: label)
        visit.count += 1
        visit.last = time
        visit.detail = detail
        visits[name] = visit
    }

    /// Events that tell of a setback, whatever state follows.
    private static func setback(_ event: Event) -> String? {
        switch event.type {
        case "task.lease_lost": "lost"
        case "task.timed_out": "timed_out"
        case "task.reviewed" where event.data["verdict"]?.string == ReviewVerdict.changes.rawValue: "changes"
        default: nil
        }
    }

    private static func detail(_ event: Event) -> String? {
        switch event.data["to"]?.string {
        case "claimed", "running", "in_review", "waiting": event.agent.map { "by \($0)" }
        case "scheduled", "held", "failed":
            event.data["reason"]?.string.map { PageText.label(PageText.clipped($0, 80)).lowercased() }
        default: nil
        }
    }
}
