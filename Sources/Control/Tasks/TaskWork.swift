import Kernel

/// A claim's outcome for one task.
public struct ClaimedTask: Sendable {
    public let task: AgentTask
    public let attempt: Int64
    /// The version to run it with; `nil` where its agent has none.
    public var bundle: TaskBundle?
}

/// A task that is worked on, with what was made and the edges of the graph at both of its sides.
public struct WorkedTask: Sendable {
    let task: AgentTask
    /// The newest revision of each.
    let deliverables: [Deliverable]
    let edges: [TaskDependency]

    var dependencies: [TaskDependency] { edges.filter { $0.taskID == task.id } }
    var dependents: [TaskDependency] { edges.filter { $0.dependsOn == task.id && $0.state == .pending } }
}

/// What a worker tells with a heartbeat.
public struct TaskBeat: Sendable {
    public var progress: Double?
    public var note: String?
    /// Totals of the attempt so far.
    public var usage: TaskUsage?
    public var checkpoint: JSONValue = .null

    public init() {}
}

/// How a worker parks its task.
public struct TaskParking: Sendable {
    public var kind: WaitKind
    public var prompt: String?
    public var until: Timestamp?
    /// The answer that stands in when nobody gave one in time; without it the task is set aside then.
    public var fallback: JSONValue?
    public var children: [TaskID] = []
    public var checkpoint: JSONValue = .null

    public init(_ kind: WaitKind) {
        self.kind = kind
    }
}

/// The workers' verbs. Each takes the fence of its claim: whoever lost the task since can change nothing.
extension TaskService {
    // MARK: Who may write

    /// The task and the agent whose work it is, if this principal has it under this fence; otherwise why not, in the
    /// words that make a worker stop.
    ///
    /// - Parameter takesLate: whether the verb brings a result, which is taken after a lost lease until the task is
    ///   claimed anew.
    func owned(
        _ id: String, fence: Int64, by principal: Principal, verb: String, takesLate: Bool = false,
        known: AgentTask? = nil, in transaction: Transaction
    ) throws -> (task: AgentTask, worker: String?) {
        let task = try known ?? task(id, in: transaction)
        if let agent = principal.agent, agent != task.owner {
            guard try store.hasAttempt(of: task.id, by: agent, in: transaction) else {
                throw Problem(
                    .forbidden, "The agent \"\(agent)\" does not hold this task.",
                    hint: "Claim tasks with POST /api/v1/tasks/claim and write only to those.")
            }
        }
        guard fence == task.fence else { throw staleFence(task, sent: fence) }
        if task.state.isLeased {
            guard principal.agent == nil || principal.agent == task.owner else { throw staleFence(task, sent: fence) }
            return (task, task.owner)
        }
        if task.acceptsLateResult {
            let last = try store.attempt(of: task.id, fence: fence, in: transaction)
            guard principal.agent == nil || principal.agent == last?.agent else { throw staleFence(task, sent: fence) }
            if takesLate { return (task, last?.agent) }
            throw Problem(
                .leaseLost, "The lease ran out, and the task is \(task.state.rawValue) again.",
                hint: "Stop work. A result that is finished already can still be sent, until another agent claims it.",
                members: JSONObject([JSONObject.Member(name: "next", value: "stop work; lease lost")]))
        }
        throw task.refusal(verb)
    }

    private func staleFence(_ task: AgentTask, sent: Int64) -> Problem {
        var members = JSONObject()
        members["currentFence"] = .int(task.fence)
        members["state"] = .string(task.state.rawValue)
        members["next"] = "stop work on this task"
        return Problem(
            .staleFence, "The fence \(sent) is not the task's any more; it is \(task.fence) now.",
            hint: "Stop work on this task: somebody else decides on it. Nothing of this request was kept.",
            members: members)
    }

    /// 6: the first fenced write of a claim starts the attempt; returns when, if it is this one. The caller writes the
    /// rows of the task and of the attempt.
    func start(
        _ task: inout AgentTask, by principal: Principal, in transaction: Transaction
    ) throws -> Timestamp? {
        let before = task
        let now = world.now
        guard task.start(now: now) else { return nil }
        try journal.keep(
            &task, from: before, "task.started", by: principal.actor, isFollowed: true, in: transaction)
        return now
    }

    // MARK: Claim

    /// 5: hands out up to `limit` tasks of these queues. Queues are served in their order; within a queue projects by
    /// their shares, and within a project the task that was enqueued first, a priority of N counting as N seconds.
    ///
    /// - Parameter takesBundle: Whether the worker runs each task with the version that its claim names.
    public func claim(
        queues names: [String], limit: Int, agent name: String, takesBundle: Bool = false, by principal: Principal,
        in transaction: Transaction
    ) throws -> [ClaimedTask] {
        let agent = try agents.contact(name, project: nil, in: transaction)
        guard agent.facts.refusal == nil else { return [] }
        let taker = Taker(
            agent: agent, takesBundle: takesBundle,
            arms: try agent.configRollout.flatMap {
                try bundles.arms(of: $0, agent: agent, takesBundle: takesBundle, in: transaction)
            })
        let capabilities = Set(agent.capabilities)
        let heldBack = heldBackModels
        var claimed: [ClaimedTask] = []
        for queue in names where claimed.count < limit {
            let (room, lanes) = try openings(
                queue, limit: limit - claimed.count, agent: name, capabilities, heldBack, in: transaction)
            guard room > 0, !lanes.isEmpty else { continue }
            claimed += try take(room, from: lanes, queue: queue, by: taker, principal, in: transaction)
        }
        return claimed
    }

    /// Whether a claim would find something now: looked at before a waiting claim writes again.
    public func hasWork(
        queues names: [String], agent name: String, in transaction: Transaction
    ) throws -> Bool {
        let agent = try agents.agent(named: name, in: transaction)
        guard agent?.refusal == nil else { return false }
        let capabilities = Set(agent?.capabilities ?? [])
        let heldBack = heldBackModels
        return try names.contains { queue in
            let (room, lanes) = try openings(queue, limit: 1, agent: name, capabilities, heldBack, in: transaction)
            return room > 0 && !lanes.isEmpty
        }
    }

    /// Models whose tasks stay ready for now; with none of them out this costs a look at a flag.
    private var heldBackModels: [String] {
        guard let models, models.isHoldingBack else { return [] }
        return models.heldBack()
    }

    /// What an agent may have of a queue at this moment: how many tasks, and from which lanes.
    private func openings(
        _ name: String, limit: Int, agent: String, _ capabilities: Set<String>, _ heldBack: [String],
        in transaction: Transaction
    ) throws -> (room: Int, lanes: [OpenLane]) {
        guard let queue = try queues.queue(name, in: transaction), queue.pause == nil else { return (0, []) }
        var room = limit
        if let concurrency = queue.concurrency {
            room = min(room, Int(max(0, concurrency - (try store.leasedCount(queue: name, in: transaction)))))
        }
        guard room > 0 else { return (0, []) }
        let lanes = try store.openLanes(queue: name, agent: agent, heldBack: heldBack, in: transaction)
            .filter { $0.requires.allSatisfy(capabilities.contains) }
        return (room, try lanes.filter { try queues.project($0.project, in: transaction)?.pause == nil })
    }

    /// Who claims, and which versions its tasks are given to.
    private struct Taker {
        let agent: AgentStanding
        let takesBundle: Bool
        let arms: (any TaskArms)?

        /// The version to name, and the one that the attempt runs with as far as is known.
        func bundle(_ task: AgentTask, in transaction: Transaction) throws -> (named: TaskBundle?, ran: String?) {
            if let given = try arms?.bundle(for: task, in: transaction) { return (given, given.version) }
            let named = agent.configDesired.map { TaskBundle(version: $0) }
            return (named, takesBundle ? named?.version ?? agent.configReported : agent.configReported)
        }
    }

    private func take(
        _ room: Int, from lanes: [OpenLane], queue: String, by taker: Taker, _ principal: Principal,
        in transaction: Transaction
    ) throws -> [ClaimedTask] {
        var shares = try LaneShares(lanes, queue: queue, store: store, queues: queues, in: transaction)
        var claimed: [ClaimedTask] = []
        while claimed.count < room, let lane = shares.next() {
            // With one project there is nothing to share: a whole run of the lane comes at once.
            let count = shares.isContested ? 1 : room - claimed.count
            let ready = try store.firstReady(
                lane: lane.id, limit: shares.isContested ? count + 1 : count, in: transaction)
            let allowed = admitted(min(count, ready.count), from: lane, in: transaction)
            for var task in ready.prefix(allowed) {
                let before = task
                let now = world.now
                task.claim(by: taker.agent.name, now: now)
                let bundle = try taker.bundle(task, in: transaction)
                let attempt = TaskAttempt(
                    taskID: task.id, number: task.claims, fence: task.fence, agent: taker.agent.name,
                    keyID: principal.keyID, bundle: bundle.ran, arm: bundle.named?.arm, armShare: bundle.named?.share,
                    state: .claimed, claimedAt: now, heartbeatAt: now, usage: TaskUsage())
                try store.insert(attempt, in: transaction)
                try journal.keep(
                    &task, from: before, "task.claimed", by: principal.actor, Self.armed(bundle.named),
                    in: transaction)
                claimed.append(ClaimedTask(task: task, attempt: task.claims, bundle: bundle.named))
            }
            guard allowed > 0 || ready.isEmpty else {
                shares.drop(lane)
                continue
            }
            let hasMore = allowed == count && ready.count > count
            shares.took(allowed, from: lane, head: hasMore ? ready[count].orderKey : nil)
        }
        try shares.save(queue: queue, store: store, in: transaction)
        return claimed
    }

    /// For whoever follows the log: the version that a roll-out gave this attempt, and on which side it is.
    private static func armed(_ bundle: TaskBundle?) -> JSONObject {
        var data = JSONObject()
        guard let bundle, let arm = bundle.arm else { return data }
        data["bundle"] = .string(bundle.version)
        data["arm"] = .string(arm.rawValue)
        return data
    }

    /// Of so many tasks of a lane, how many may go: all, unless the model that they ask for is out or coming back.
    private func admitted(_ count: Int, from lane: OpenLane, in transaction: Transaction) -> Int {
        guard count > 0, let model = lane.model, let models, models.isHoldingBack else { return count }
        switch models.admit(model, count: count) {
        case .tasks(let allowed): return min(count, allowed)
        case .probe:
            transaction.afterCommit { models.probeLeft(model) }
            return 1
        }
    }

    // MARK: Signs of life

    /// 8: extends the lease and keeps what the worker tells. Past its budget the task is set aside (26), and the reply
    /// says so.
    public func beat(
        _ id: String, fence: Int64, _ beat: TaskBeat, by principal: Principal, in transaction: Transaction
    ) throws -> (task: AgentTask, owner: AgentStanding?) {
        var task = try owned(id, fence: fence, by: principal, verb: "heartbeat", in: transaction).task
        if try start(&task, by: principal, in: transaction) != nil {
            try journal.startAttempt(of: task, in: transaction)
        }
        let before = task
        task.extendLease(now: world.now)
        if let usage = beat.usage { task.usageNow = task.usageNow.raised(to: usage) }
        if let progress = beat.progress { task.progress = progress }
        if let note = beat.note { task.note = note }
        if !beat.checkpoint.isNull { task.checkpoint = beat.checkpoint }
        let isNew =
            task.progress != before.progress || task.note != before.note || task.checkpoint != before.checkpoint
            || task.usageNow.steps > before.usageNow.steps || task.usageNow.toolCalls > before.usageNow.toolCalls
        if isNew { task.markProgress(now: world.now) }
        if let limit = task.budget?.exceeded(by: task.usage) {
            let usage = task.usageNow
            task.stopByGuard(HoldReason.budget, now: world.now)
            var end = Ending("task.held", .preempted, message: "budget: \(limit)", usage: usage)
            end.data["limit"] = .string(limit)
            try keepEnded(&task, from: before, end, by: principal, in: transaction)
            return (task, nil)
        }
        try store.save(&task, in: transaction)
        return (task, try task.owner.map { try agents.contact($0, project: nil, in: transaction) })
    }

    // MARK: Ends of an attempt

    /// 12: the work is done, and no review is asked for.
    ///
    /// - Parameter known: the task with what belongs to it, where it was read in this transaction.
    public func complete(
        _ id: String, fence: Int64, output: JSONValue, by principal: Principal, known: WorkedTask? = nil,
        in transaction: Transaction
    ) throws -> TaskView {
        var (task, worker) = try owned(
            id, fence: fence, by: principal, verb: "complete", takesLate: true, known: known?.task, in: transaction)
        guard task.review == nil else {
            var members = JSONObject()
            members["state"] = .string(task.state.rawValue)
            members["allowed"] = .list(task.state.allowedVerbs.filter { $0 != "complete" })
            throw Problem(
                .badTransition, "The task is under review: it is submitted, not completed.",
                hint: "Send POST /api/v1/tasks/\(task.id)/submit with the same fence.", members: members)
        }
        let isLate = !task.state.isLeased
        let known = try known ?? worked(task, in: transaction)
        let latest = known.deliverables
        try checkSchema(of: task, latest)
        let begun = isLate ? nil : try start(&task, by: principal, in: transaction)
        let before = task
        let usage = task.usageNow
        if isLate { task.owner = worker }
        task.complete(output: output, now: world.now)
        try deliverables.approve(latest, in: transaction)
        let end = AttemptEnd(isLate ? .lateSucceeded : .succeeded, usage: usage, start: begun)
        try journal.endAttempt(of: task, fence: fence, end, in: transaction)
        try journal.keep(&task, from: before, "task.done", by: principal.actor, in: transaction)
        try conclude(task, known: known.dependents, in: transaction)
        return TaskView(
            task: task, holds: [], dependencies: known.dependencies, deliverables: latest.map(\.asApproved))
    }

    /// What a completion needs to know of a task.
    private func worked(_ task: AgentTask, in transaction: Transaction) throws -> WorkedTask {
        let edges = try store.edges(around: [task.id], in: transaction)
        let made = task.claims == 0 ? [] : try deliverables.latest(of: task.id, in: transaction)
        return WorkedTask(task: task, deliverables: made, edges: edges)
    }

    /// The same for several tasks, read at once; only those under lease, as ending one task changes none of these.
    public func worked(on ids: [String], in transaction: Transaction) throws -> [String: WorkedTask] {
        let ids = ids.compactMap { TaskID($0) }
        let tasks = try store.live(ids, in: transaction).filter(\.state.isLeased)
        guard !tasks.isEmpty else { return [:] }
        let edges = try store.edges(around: tasks.map(\.id), in: transaction)
        let made = try deliverables.latest(of: tasks.map(\.id), in: transaction)
        let known = tasks.map { task in
            let own = edges.isEmpty ? [] : edges.filter { $0.taskID == task.id || $0.dependsOn == task.id }
            return (task.id.text, WorkedTask(task: task, deliverables: made[task.id.text] ?? [], edges: own))
        }
        return Dictionary(known) { first, _ in first }
    }

    /// 11: what was made is sealed and goes to its reviewers.
    public func submit(
        _ id: String, fence: Int64, output: JSONValue, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        var (task, worker) = try owned(
            id, fence: fence, by: principal, verb: "submit", takesLate: true, in: transaction)
        let isLate = !task.state.isLeased
        let latest = try deliverables.latest(of: task.id, in: transaction)
        try checkSchema(of: task, latest)
        guard let sha256 = Submission.sha256(latest) else {
            throw Problem.invalid(
                "deliverables", "there is nothing to review yet",
                hint: "Send at least one with POST /api/v1/tasks/\(task.id)/deliverables, then submit.")
        }
        let begun = isLate ? nil : try start(&task, by: principal, in: transaction)
        let before = task
        let usage = task.usageNow
        if isLate { task.owner = worker }
        task.submit(sha256, output: output, now: world.now)
        let end = AttemptEnd(isLate ? .lateSucceeded : .succeeded, usage: usage, start: begun)
        try journal.endAttempt(of: task, fence: fence, end, in: transaction)
        try keepEnded(&task, from: before, "task.submitted", by: principal, JSONObject(), in: transaction)
        return task
    }

    private func checkSchema(of task: AgentTask, _ latest: [Deliverable]) throws {
        guard task.deliverableSchema != nil, !latest.contains(where: \.isJSON) else { return }
        throw Problem(
            .schemaViolation, "The task asks for a JSON deliverable that matches its schema, and has none yet.",
            hint: "Send it with POST /api/v1/tasks/\(task.id)/deliverables first.")
    }

    /// 16, 17: the attempt failed.
    public func fail(
        _ id: String, fence: Int64, _ failure: FailureClass, message: String?, delay: Span?, by principal: Principal,
        in transaction: Transaction
    ) throws -> AgentTask {
        var task = try owned(id, fence: fence, by: principal, verb: "fail", in: transaction).task
        let begun = try start(&task, by: principal, in: transaction)
        let before = task
        let usage = task.usageNow
        task.fail(failure, delay: delay, policy: policy, jitter: world.entropy.fraction(), now: world.now)
        let type = task.state == .scheduled ? "task.retry_scheduled" : "task.\(task.state.rawValue)"
        var end = Ending(type, .failed, message: message, usage: usage, start: begun)
        end.attempt.failureClass = failure.rawValue
        end.data["class"] = .string(failure.rawValue)
        if let message { end.data["message"] = .string(message) }
        try keepEnded(&task, from: before, end, by: principal, in: transaction)
        return task
    }

    /// 7, 18: the worker gives the task back; no attempt is counted.
    public func release(
        _ id: String, fence: Int64, delay: Span, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        var task = try owned(id, fence: fence, by: principal, verb: "release", in: transaction).task
        let before = task
        let usage = task.usageNow
        task.release(delay: delay, policy: policy, now: world.now)
        let end = Ending("task.released", .released, usage: usage)
        try keepEnded(&task, from: before, end, by: principal, in: transaction)
        return task
    }

    /// 9: parks the task without lease or slot; returns it with the token that resumes it.
    public func park(
        _ id: String, fence: Int64, _ parking: TaskParking, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        var task = try owned(id, fence: fence, by: principal, verb: "park", in: transaction).task
        let begun = try start(&task, by: principal, in: transaction)
        let before = task
        let usage = task.usageNow
        if task.cancelRequestedAt != nil {
            task.release(delay: .zero, policy: policy, now: world.now)
            let end = Ending("task.released", .released, usage: usage, start: begun)
            try keepEnded(&task, from: before, end, by: principal, in: transaction)
            return task
        }
        var wait = JSONObject()
        wait["kind"] = .string(parking.kind.rawValue)
        wait["since"] = world.now.json
        wait["token"] = .string(Hexadecimal.encode(world.entropy.bytes(16)))
        if let prompt = parking.prompt { wait["prompt"] = .string(prompt) }
        if let until = parking.until { wait["until"] = until.json }
        if let fallback = parking.fallback { wait["fallback"] = fallback }
        if !parking.children.isEmpty { wait["tasks"] = .list(parking.children) }
        task.park(.object(wait), until: parking.until, checkpoint: parking.checkpoint, now: world.now)
        let end = AttemptEnd(.parked, usage: usage, start: begun)
        try journal.endAttempt(of: task, fence: fence, end, in: transaction)
        try journal.keep(&task, from: before, "task.parked", by: principal.actor, in: transaction)
        guard parking.kind == .child else { return task }
        try waitForChildren(parking.children, of: task, in: transaction)
        return try store.task(task.id, in: transaction) ?? task
    }

    private func waitForChildren(_ children: [TaskID], of task: AgentTask, in transaction: Transaction) throws {
        var ended: [AgentTask] = []
        for id in children {
            guard id != task.id, let child = try store.task(id, in: transaction) else {
                throw Problem.invalid("tasks", "there is no task \"\(id)\" to wait for")
            }
            let edge = TaskDependency(
                taskID: task.id, dependsOn: id, ifUnmet: .run, isChild: true, state: .pending)
            try store.insert(edge, in: transaction)
            if child.state.isTerminal { ended.append(child) }
        }
        for child in ended { try conclude(child, in: transaction) }
    }

    /// Ends the attempt that the task was in, and keeps what became of it. Where it was canceled, whatever ended the
    /// attempt, the event says that; an attempt that nobody heard of, or that took too long, stays what it was.
    func keepEnded(
        _ task: inout AgentTask, from before: AgentTask, _ end: Ending, by principal: Principal,
        in transaction: Transaction
    ) throws {
        let isCanceled = task.state == .canceled
        var attempt = end.attempt
        if isCanceled, attempt.state != .lost, attempt.state != .timedOut { attempt.state = .canceled }
        try journal.endAttempt(of: task, fence: before.fence, attempt, in: transaction)
        try keepEnded(
            &task, from: before, isCanceled ? "task.canceled" : end.type, by: principal, end.data, in: transaction)
    }

    /// Keeps a task, with what follows where it has ended.
    func keepEnded(
        _ task: inout AgentTask, from before: AgentTask, _ type: String, by principal: Principal, _ data: JSONObject,
        in transaction: Transaction
    ) throws {
        try journal.keep(&task, from: before, type, by: principal.actor, data, in: transaction)
        if task.state.isTerminal { try conclude(task, in: transaction) }
    }
}
