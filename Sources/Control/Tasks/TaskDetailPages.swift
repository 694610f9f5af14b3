import Kernel

/// Everything that one task's page reads from the store, at one moment.
struct TaskRecord: Sendable {
    let task: AgentTask
    let holds: [(hold: String, reason: String, actor: String)]
    let explanation: TaskExplanation
    let deliverables: [Deliverable]
    let reviews: [Review]
    let attempts: [TaskAttempt]
    /// The oldest first.
    let events: [Event]
    let upstream: [AgentTask]
    let downstream: [AgentTask]
    let agentNames: [String]
}

extension TaskPages {
    private static let attemptsMax = 50
    private static let eventsMax = 500
    private static let edgesMax = 50

    func show(_ request: APIRequest) async throws -> APIReply {
        let id = request.parameter("id")
        let record = try await storage.read { try self.record(id, in: $0) }
        let previews = await DeliverablePreview.latest(of: record.deliverables, blobs: blobs)
        let view = TaskPageView(record, previews: previews, principal: request.principal, now: shell.world.now)
        return try await shell.page(
            record.task.title, at: .tasks, template: "task", view: view, topics: ["task", "queue"], request: request)
    }

    private func record(_ id: String, in transaction: Transaction) throws -> TaskRecord {
        let task = try tasks.task(id, in: transaction)
        let parents = try tasks.store.dependencies(of: task.id, in: transaction).prefix(Self.edgesMax)
        let children = try tasks.store.allDependents(on: task.id, limit: Self.edgesMax, in: transaction)
        let eligible =
            task.state.isTerminal
            ? [] : try tasks.agents.eligible(requires: task.requires, pinned: nil, in: transaction)
        return TaskRecord(
            task: task, holds: try tasks.store.holds(on: task.id, in: transaction),
            explanation: try tasks.explain(id, in: transaction),
            deliverables: try tasks.deliverables.all(of: task.id, in: transaction),
            reviews: try tasks.deliverables.reviews(of: task.id, in: transaction),
            attempts: try tasks.store.attempts(of: task.id, limit: Self.attemptsMax, in: transaction),
            events: try events.store.list(
                after: 0, limit: Self.eventsMax, filter: EventFilter(taskID: task.id.text), in: transaction),
            upstream: try parents.compactMap { try tasks.store.task($0.dependsOn, in: transaction) },
            downstream: try children.compactMap { try tasks.store.task($0, in: transaction) },
            agentNames: eligible.map(\.name))
    }
}

// MARK: - Views

/// The page of one task.
struct TaskPageView: PageView {
    private static let eventsShown = 20

    let id: String
    let title: String
    let state: String
    let stateLabel: String
    let progress: ShareView?
    let note: String?
    let apiPath: String
    let canRetry: Bool
    let retryLabel: String
    let canResume: Bool
    let canHold: Bool
    let canReassign: Bool
    let canCancel: Bool
    let canReview: Bool
    let reviewPath: String
    let agentNames: [String]
    let explain: ExplainView?
    let question: QuestionView?
    let steps: [TaskStepView]
    let deliverables: [DeliverableView]
    let output: String?
    let input: String?
    let hasAttempts: Bool
    let attemptRows: [AttemptView]
    let events: [EventView]
    let eventsPath: String
    let facts: [FactView]
    let hasUsage: Bool
    let usage: [UsageView]
    let hasUpstream: Bool
    let upstream: [TaskRowView]
    let hasDownstream: Bool
    let downstream: [TaskRowView]
    let hasFeedback: Bool
    let feedback: [RemarkView]

    init(_ record: TaskRecord, previews: [String: DeliverablePreview], principal: Principal, now: Timestamp) {
        let task = record.task
        let row = TaskRowView(task, now: now)
        id = task.id.text
        title = task.title
        state = row.state
        stateLabel = row.stateLabel
        progress = row.progress
        note = task.state.isLeased ? row.note : nil
        apiPath = "/api/v1" + PagePath.task(task.id.text)
        let allowed = Set(task.state.allowedVerbs)
        canRetry = allowed.contains("retry")
        retryLabel = task.state == .held ? "Retry" : "Run again as a new task"
        canResume = allowed.contains("resume") && (task.holdCount > 0 || task.state == .waiting)
        canHold = allowed.contains("hold") && task.holdCount == 0 && task.state != .held
        canReassign = allowed.contains("reassign")
        canCancel = allowed.contains("cancel") && task.cancelRequestedAt == nil
        canReview = task.state == .inReview && Permission.operate.admits(principal.role)
        reviewPath = PagePath.query("/reviews", [("task", task.id.text)])
        agentNames = record.agentNames
        explain = ExplainView(record)
        question = QuestionView(task)
        steps = TaskStepView.path(of: task, events: record.events, now: now)
        deliverables = DeliverableView.all(record, previews: previews, now: now)
        output = task.output.isNull ? nil : DeliverablePreview.clipped(task.output.prettyText)
        input = task.input.isNull ? nil : DeliverablePreview.clipped(task.input.prettyText)
        hasAttempts = !record.attempts.isEmpty
        attemptRows = record.attempts.sorted { $0.number > $1.number }.map { AttemptView($0, now: now) }
        events = record.events.suffix(Self.eventsShown).reversed().map { EventView($0, now: now) }
        eventsPath = PagePath.query("/events", [("task", task.id.text)])
        facts = Self.facts(task, now: now)
        usage = UsageView.all(task)
        hasUsage = !usage.isEmpty
        upstream = record.upstream.map { TaskRowView($0, now: now) }
        hasUpstream = !upstream.isEmpty
        downstream = record.downstream.map { TaskRowView($0, now: now) }
        hasDownstream = !downstream.isEmpty
        feedback = record.reviews.reversed().map { RemarkView($0, now: now) }
        hasFeedback = !feedback.isEmpty
    }

    private static func facts(_ task: AgentTask, now: Timestamp) -> [FactView] {
        var facts = [
            FactView(
                name: "Queue",
                link: LinkView(path: PagePath.query("/tasks", [("queue", task.queue)]), label: task.queue)),
            FactView(
                name: "Project",
                link: LinkView(path: PagePath.query("/tasks", [("project", task.project)]), label: task.project)),
            FactView(name: "Type", value: task.type),
        ]
        if let trace = task.traceparent.flatMap(PagePath.traceID) {
            facts.append(FactView(name: "Trace", link: LinkView(path: PagePath.trace(trace), label: trace)))
        }
        if let owner = task.owner { facts.append(FactView(name: "Agent", link: .agent(owner))) }
        if let pinned = task.pinnedAgent { facts.append(FactView(name: "Only for", link: .agent(pinned))) }
        if !task.requires.isEmpty {
            facts.append(FactView(name: "Needs", value: task.requires.joined(separator: ", ")))
        }
        if let model = task.model { facts.append(FactView(name: "Model", value: model)) }
        facts.append(FactView(name: "Priority", value: "\(task.priority)"))
        facts.append(FactView(name: "Failures", value: "\(task.attempts) of \(task.maxAttempts) allowed"))
        if task.leaseLosses > 0 { facts.append(FactView(name: "Leases lost", value: "\(task.leaseLosses)")) }
        if task.reviewRounds > 0 { facts.append(FactView(name: "Review rounds", value: "\(task.reviewRounds)")) }
        if task.state.isLeased, let expires = task.leaseExpiresAt {
            facts.append(FactView(name: "Lease ends", time: .ago(expires, now: now)))
        }
        if task.state == .scheduled, let time = task.scheduledFor {
            facts.append(FactView(name: "Not before", time: .ago(time, now: now)))
        }
        if task.fence > 0 { facts.append(FactView(name: "Fence", value: "\(task.fence)")) }
        if let old = task.supersedes {
            facts.append(
                FactView(name: "In place of", link: LinkView(path: PagePath.task(old.text), label: "an earlier task")))
        }
        facts.append(FactView(name: "Created", value: " by \(task.createdBy)", time: .ago(task.createdAt, now: now)))
        if let finished = task.finishedAt { facts.append(FactView(name: "Ended", time: .ago(finished, now: now))) }
        facts.append(FactView(name: "Id", value: task.id.text))
        return facts
    }
}

/// What a parked task's agent wants to know.
struct QuestionView: PageView {
    let prompt: String
    let apiPath: String

    /// `nil` where nobody is asked: the task is not parked, or waits for a clock or for other tasks.
    init?(_ task: AgentTask) {
        guard task.state == .waiting, let kind = task.wait["kind"]?.string.flatMap(WaitKind.init(rawValue:)),
            [.input, .approval, .auth].contains(kind)
        else { return nil }
        prompt = task.wait["prompt"]?.string ?? "for \(kind.rawValue), without saying more."
        apiPath = "/api/v1" + PagePath.task(task.id.text)
    }
}

/// "Why isn't this running?"
struct ExplainView: PageView {
    struct Condition: PageView {
        let code: String
        let detail: String
        let task: LinkView?
        let liftedBy: String
    }

    let state: String
    let headline: String
    let hasUnmet: Bool
    let unmet: [Condition]

    /// `nil` where a task runs or has ended: then there is nothing to explain.
    init?(_ record: TaskRecord) {
        let explanation = record.explanation
        guard !explanation.state.isTerminal else { return nil }
        let conditions = explanation.unmet.filter { $0.code != "leased" }
        guard !explanation.state.isLeased || !conditions.isEmpty else { return nil }
        state = explanation.state.rawValue
        hasUnmet = !conditions.isEmpty
        if explanation.isClaimable {
            let agents = record.agentNames
            headline =
                agents.isEmpty
                ? "Ready: the next agent that asks gets it"
                : "Ready: the next of \(PageText.plural(agents.count, "agent")) that asks gets it"
        } else {
            headline = explanation.state.isLeased ? "It runs, but" : "Why isn’t this running?"
        }
        unmet = conditions.map { condition in
            Condition(
                code: condition.code, detail: Self.sentence(condition.detail),
                task: condition.taskID.map { LinkView(path: PagePath.task($0.text), label: "Open that task") },
                liftedBy: Self.people(condition.liftedBy))
        }
    }

    /// Who can lift a condition, in words for people: the interface's addresses become the page's verbs.
    static func people(_ text: String) -> String {
        var words: [String] = []
        var isAddress = false
        for word in text.split(separator: " ").map(String.init) {
            if word == "POST" || word == "PATCH" {
                isAddress = true
                if let last = words.last, last.hasSuffix(":") { words[words.count - 1] = last.dropLast() + "," }
            } else if isAddress {
                isAddress = false
                words.append(verb(word) + (word.hasSuffix(",") ? "," : ""))
            } else {
                words.append(word)
            }
        }
        return words.joined(separator: " ")
    }

    private static func verb(_ address: String) -> String {
        let parts = address.split(separator: "/").map { $0.filter(\.isLetter) }
        let isProject = parts.contains("projects")
        let place = parts.contains("queues") ? " on the queues page" : isProject ? " of the project" : ""
        if parts.contains("models") { return "“Close its breakers” on the models page" }
        guard let last = parts.last, ["retry", "resume", "reassign", "review"].contains(last) else {
            return "a change\(place)"
        }
        return "“\(PageText.label(last))”\(place)"
    }

    private static func sentence(_ text: String) -> String {
        let label = text.contains(" ") ? text.prefix(1).uppercased() + text.dropFirst() : PageText.label(text)
        return label.hasSuffix(".") ? label : label + "."
    }
}

/// One attempt as a row.
struct AttemptView: PageView {
    let number: Int64
    let fence: Int64
    let agent: LinkView?
    let state: String
    let stateLabel: String
    let message: String
    /// The version of its agent's bundle, and the side of a roll-out that it was on.
    let bundle: String
    let tokens: String
    let took: String
    let at: TimeView

    init(_ attempt: TaskAttempt, now: Timestamp) {
        number = attempt.number
        fence = attempt.fence
        agent = .agent(attempt.agent)
        state = attempt.state.rawValue
        stateLabel = PageText.label(attempt.state.rawValue)
        let message = attempt.message.map { PageText.clipped($0, 400) }
        self.message = [attempt.failureClass, message].compactMap(\.self).joined(separator: ": ")
        let side = attempt.arm.map { " (\($0.rawValue))" } ?? ""
        bundle = attempt.bundle.map { AgentBundle.short($0) + side } ?? ""
        tokens = PageText.count(attempt.usage.inputTokens + attempt.usage.outputTokens)
        took = PageText.span((attempt.endedAt ?? now) - attempt.claimedAt)
        at = .ago(attempt.claimedAt, now: now)
    }
}

/// What a task used, against what it may use.
struct UsageView: PageView {
    let name: String
    let value: String
    let share: ShareView?

    static func all(_ task: AgentTask) -> [UsageView] {
        let used = task.usage
        let budget = task.budget
        func line(_ name: String, _ amount: Int64, of limit: Int64?, _ words: (Int64) -> String) -> UsageView? {
            guard amount > 0 || limit != nil else { return nil }
            return UsageView(
                name: name, value: limit.map { "\(words(amount)) of \(words($0))" } ?? words(amount),
                share: limit.map { ShareView(Double(amount) / Double(max(1, $0))) })
        }
        return [
            line("Tokens", used.inputTokens + used.outputTokens, of: budget?.tokens, PageText.count),
            line("Cost", used.nanoUSD, of: budget?.nanoUSD) { PageText.dollars(nano: $0) },
            line("Tool calls", used.toolCalls, of: budget?.toolCalls, PageText.count),
            line("Steps", used.steps, of: budget?.steps, PageText.count),
        ].compactMap(\.self)
    }
}
