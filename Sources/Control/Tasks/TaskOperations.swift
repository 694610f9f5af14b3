import Kernel

/// The operators' verbs. Each is audited beside its event.
extension TaskService {
    private func record(
        _ action: String, _ task: AgentTask, _ detail: JSONValue, by principal: Principal, in transaction: Transaction
    ) throws {
        try audit.record(action, by: principal, target: "task:\(task.id)", detail: detail, in: transaction)
    }

    /// 21, 23: cancels at once where nobody works on the task, else asks its owner and forces it after a grace.
    public func cancel(
        _ id: String, reason: String?, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        var task = try task(id, in: transaction)
        let before = task
        try task.cancel(policy: policy, now: world.now)
        if task == before { return task }
        var data = JSONObject()
        if let reason { data["message"] = .string(reason) }
        let type = task.state == .canceled ? "task.canceled" : "task.cancel_requested"
        try keepEnded(&task, from: before, type, by: principal, data, in: transaction)
        try record(type, task, ["reason": .of(reason)], by: principal, in: transaction)
        return task
    }

    /// 21, 22: cancels a task without waiting for its owner, for work that nobody is at any more.
    public func abandon(
        _ id: String, reason: String, by principal: Principal, in transaction: Transaction
    ) throws {
        let asked = try cancel(id, reason: reason, by: principal, in: transaction)
        guard asked.state.isLeased else { return }
        var task = asked
        task.forceStop(now: world.now)
        let end = Ending("task.preempted", .preempted, message: "stopped by force", usage: asked.usageNow)
        try keepEnded(&task, from: asked, end, by: principal, in: transaction)
    }

    /// 25, 27: lets a task that was set aside run again; one that has ended gets a successor that `supersedes` it.
    public func retry(
        _ id: String, input: JSONValue?, agent: String?, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        let before = try task(id, in: transaction)
        guard !before.state.isTerminal else {
            return try succeed(before, input: input, agent: agent, by: principal, in: transaction)
        }
        var task = before
        let pending = try store.dependencies(of: task.id, in: transaction).count { $0.state == .pending && !$0.isChild }
        try task.retry(pending: pending, now: world.now)
        if let input { task.input = input }
        if let agent { task.pinnedAgent = agent }
        try journal.keep(&task, from: before, "task.requeued", by: principal.actor, in: transaction)
        try record("task.requeued", task, ["from": .of(before.reason)], by: principal, in: transaction)
        return task
    }

    private func succeed(
        _ ended: AgentTask, input: JSONValue?, agent: String?, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        guard ended.state != .done else { throw ended.refusal("retry") }
        var draft = TaskDraft(copying: ended)
        if let input { draft.input = input }
        if let agent { draft.agent = agent }
        let task = try insert(
            draft, id: TaskID(world), edges: [], by: principal, from: TaskCaller(again: ended),
            supersedes: ended.id, in: transaction)
        try record("task.superseded", ended, ["by": task.id.json], by: principal, in: transaction)
        return task
    }

    /// Keeps the task from being claimed. Who works on it now is asked to stop, and loses it after a grace.
    public func hold(
        _ id: String, _ hold: TaskHold, reason: String, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        let before = try task(id, in: transaction)
        guard before.state.allowedVerbs.contains("hold") else { throw before.refusal("hold") }
        var task = before
        let isNew = try store.addHold(
            hold, reason: reason, actor: principal.actor, on: task.id, now: world.now, in: transaction)
        guard isNew else { return task }
        task.holdCount += 1
        task.updatedAt = world.now
        task.requestPause(policy: policy, now: world.now)
        var data = JSONObject()
        data["hold"] = .string(hold.rawValue)
        data["message"] = .string(reason)
        try journal.keep(&task, from: before, "task.hold_set", by: principal.actor, data, in: transaction)
        try record("task.hold_set", task, .object(data), by: principal, in: transaction)
        return task
    }

    /// Lifts one hold, or all that people set; what it had reached is untouched. A parked task goes on with `answer`.
    public func resume(
        _ id: String, _ hold: TaskHold?, answer: JSONValue, token: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> AgentTask {
        let before = try task(id, in: transaction)
        guard before.state.allowedVerbs.contains("resume") else { throw before.refusal("resume") }
        var task = before
        let present = try store.holds(on: task.id, in: transaction).compactMap { TaskHold(rawValue: $0.hold) }
        let lifted = present.filter { $0 == hold || (hold == nil && $0 != .concurrencyKey) }
        for hold in lifted where try store.removeHold(hold, on: task.id, in: transaction) { task.holdCount -= 1 }
        if task.holdCount == 0 { task.pauseRequestedAt = nil }
        if task.pauseRequestedAt == nil, task.cancelRequestedAt == nil { task.stopDeadline = nil }
        if task.state == .waiting, hold == nil {
            if let token, token != task.wait["token"]?.string {
                throw Problem(
                    .conflict, "The token is not the one of this wait: it was answered before, or never asked.",
                    hint: "Read the task again; leave the token out to answer as an operator.")
            }
            task.resolveWait(answer: answer, policy: policy, now: world.now)
        } else if lifted.isEmpty {
            return task
        }
        task.updatedAt = world.now
        var data = JSONObject()
        if !lifted.isEmpty { data["holds"] = .list(lifted.map(\.rawValue)) }
        try journal.keep(&task, from: before, "task.resumed", by: principal.actor, data, in: transaction)
        try record("task.resumed", task, .object(data), by: principal, in: transaction)
        return task
    }

    /// Gives the task to another agent, or to any that may. Who works on it now is stopped by the higher fence.
    public func reassign(
        _ id: String, to agent: String?, by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        let before = try task(id, in: transaction)
        var task = before
        let usage = task.usageNow
        try task.reassign(to: agent, now: world.now)
        if before.state.isLeased {
            let end = AttemptEnd(.preempted, message: "reassigned", usage: usage)
            try journal.endAttempt(of: task, fence: before.fence, end, in: transaction)
        }
        var data = JSONObject()
        data["assignedTo"] = .of(agent)
        try journal.keep(&task, from: before, "task.reassigned", by: principal.actor, data, in: transaction)
        try record("task.reassigned", task, .object(data), by: principal, in: transaction)
        return task
    }

    // MARK: Review

    /// 13, 14, 15: a verdict on exactly the content that was submitted, by somebody who did not make it.
    public func review(
        _ id: String, _ verdict: ReviewVerdict, sha256: String?, comment: String, by principal: Principal,
        in transaction: Transaction
    ) throws -> AgentTask {
        let before = try task(id, in: transaction)
        guard before.state == .inReview, let submitted = before.submissionSHA256 else { throw before.refusal("review") }
        guard let sha256 else {
            throw Problem.invalid(
                "sha256", "it is missing",
                hint: "Name the content that you judged: the task's submission.sha256.")
        }
        guard sha256 == submitted else {
            throw Problem(
                .conflict, "The verdict is on other content than the one that is under review now.",
                hint: "Read the task's deliverables again and judge what is there.",
                members: JSONObject([JSONObject.Member(name: "currentSha256", value: .string(submitted))]))
        }
        let latest = try deliverables.latest(of: before.id, in: transaction)
        let round = latest.map(\.round).max() ?? before.reviewRounds
        try checkIndependence(of: principal, from: latest)
        let earlier = try deliverables.reviews(of: before.id, in: transaction)
        let review = Review(
            taskID: before.id, number: Int64(earlier.count) + 1, round: before.reviewRounds, verdict: verdict,
            sha256: sha256, comment: comment, reviewer: principal.actor, keyID: principal.keyID, at: world.now)
        let repeats = earlier.contains {
            $0.verdict == .approve && verdict == .approve && $0.sha256 == sha256 && $0.keyID == principal.keyID
                && $0.round == before.reviewRounds
        }
        guard !repeats else { return before }
        try deliverables.insert(review, in: transaction)
        return try settle(review, of: before, latest, earlier, round: round, by: principal, in: transaction)
    }

    private func checkIndependence(of principal: Principal, from latest: [Deliverable]) throws {
        let isAuthor = latest.contains { $0.keyID == principal.keyID || $0.agent == principal.agent }
        guard !isAuthor else {
            throw Problem(
                .authorIsReviewer, "Who made a deliverable does not review it.",
                hint: "Let somebody else review it, with a key of their own.")
        }
    }

    private func settle(
        _ review: Review, of before: AgentTask, _ latest: [Deliverable], _ earlier: [Review], round: Int64,
        by principal: Principal, in transaction: Transaction
    ) throws -> AgentTask {
        var task = before
        var data = JSONObject()
        data["verdict"] = .string(review.verdict.rawValue)
        data["sha256"] = .string(review.sha256)
        if !review.comment.isEmpty { data["comment"] = .string(review.comment) }
        switch review.verdict {
        case .approve:
            let approvers = Set(
                (earlier + [review])
                    .filter { $0.verdict == .approve && $0.sha256 == review.sha256 && $0.round == before.reviewRounds }
                    .map(\.keyID))
            data["approvals"] = .int(Int64(approvers.count))
            if approvers.count >= task.review?.approvals ?? 1 {
                task.finish(.done, reason: nil, now: world.now)
                try deliverables.approve(latest, in: transaction)
            } else {
                task.updatedAt = world.now
            }
        case .changes: task.requestChanges(policy: policy, now: world.now)
        case .reject: task.hold(HoldReason.rejected, now: world.now)
        }
        let type = task.state == .done ? "task.done" : "task.reviewed"
        try keepEnded(&task, from: before, type, by: principal, data, in: transaction)
        try record("task.reviewed", task, .object(data), by: principal, in: transaction)
        return task
    }
}

extension ProblemCode {
    static let authorIsReviewer = ProblemCode("author_is_reviewer", 403, "Nobody reviews their own work")
}

extension TaskDraft {
    /// The same request once more, for a task that is to follow one that has ended.
    init(copying task: AgentTask) {
        ref = nil
        project = task.project
        queue = task.queue
        type = task.type
        title = task.title
        input = task.input
        model = task.model
        priority = task.priority
        dependsOn = []
        agent = task.pinnedAgent
        requires = task.requires
        deliverableSchema = task.deliverableSchema
        review = task.review
        budget = task.budget
        maxAttempts = max(1, task.maxAttempts)
        timeout = task.timeout
        lease = task.lease
        startWithin = task.startWithin
        progressWithin = task.progressWithin
        startBy = nil
        scheduledFor = nil
        uniqueKey = nil
        concurrencyKey = task.concurrencyKey
        onLeaseLost = task.onLeaseLost
        onExhausted = task.onExhausted
    }
}
