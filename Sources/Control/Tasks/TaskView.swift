import Kernel

/// A task with what belongs to it, as the interface shows it.
public struct TaskView: Sendable {
    public let task: AgentTask
    public let holds: [String]
    public let dependencies: [TaskDependency]
    public let deliverables: [Deliverable]
}

extension TaskService {
    public func view(_ task: AgentTask, in transaction: Transaction) throws -> TaskView {
        try views([task], in: transaction)[0]
    }

    /// Several at once, with one query for each kind of thing that may belong to them.
    public func views(_ tasks: [AgentTask], in transaction: Transaction) throws -> [TaskView] {
        guard !tasks.isEmpty else { return [] }
        let ids = tasks.map(\.id)
        let held = tasks.filter { $0.holdCount > 0 && !$0.state.isTerminal }.map(\.id)
        let holds = held.isEmpty ? [:] : try store.holds(on: held, in: transaction)
        let edges = try store.dependencies(of: ids, in: transaction)
        // Only who has a task makes its deliverables.
        let worked = tasks.filter { $0.claims > 0 }.map(\.id)
        let made = worked.isEmpty ? [:] : try deliverables.latest(of: worked, in: transaction)
        return tasks.map { task in
            TaskView(
                task: task, holds: holds[task.id.text] ?? [], dependencies: edges[task.id.text] ?? [],
                deliverables: made[task.id.text] ?? [])
        }
    }

    /// What a worker gets with its claim: each task, what its parents made, and what reviewers said so far.
    func views(_ claims: [ClaimedTask], in transaction: Transaction) throws -> [ClaimView] {
        let views = try views(claims.map(\.task), in: transaction)
        return try zip(claims, views).map { claim, view in
            ClaimView(
                claim: claim, view: view, parents: try parents(view.dependencies, in: transaction),
                feedback: try feedback(on: claim.task, in: transaction))
        }
    }

    private func parents(_ edges: [TaskDependency], in transaction: Transaction) throws -> [ClaimView.Parent] {
        guard !edges.isEmpty else { return [] }
        let approved = try deliverables.approved(of: edges.map(\.dependsOn), in: transaction)
        return try edges.compactMap { edge in
            try store.task(edge.dependsOn, in: transaction).map { ($0, approved[$0.id.text] ?? []) }
        }
    }

    /// Reviews come behind a first attempt.
    private func feedback(on task: AgentTask, in transaction: Transaction) throws -> [Review] {
        guard task.claims > 1 else { return [] }
        return try deliverables.reviews(of: task.id, in: transaction).filter {
            $0.verdict != .approve || !$0.comment.isEmpty
        }
    }

    /// The reply to a task's heartbeat: what its worker is to do next.
    ///
    /// - Parameter owner: the agent that has it; `nil` where it was just taken away.
    func beatJSON(_ task: AgentTask, _ owner: AgentStanding?, in transaction: Transaction) throws -> JSONValue {
        let commands = try owner.map { try agents.commands(for: $0, in: transaction) } ?? AgentCommands()
        var object = commands.json.object ?? JSONObject()
        let isOver = !task.state.isLeased
        object["leaseExpiresAt"] = .of(task.leaseExpiresAt)
        let beatSeconds = max(0.2, (task.lease.seconds / 3 * 1_000).rounded() / 1_000)
        object["nextHeartbeatSeconds"] = .double(min(beatSeconds, 60))
        object["cancel"] = .bool(task.cancelRequestedAt != nil || isOver)
        object["pause"] = .bool(task.pauseRequestedAt != nil || object["pause"]?.bool == true)
        object["budget"] = [
            "remaining": task.budget?.remaining(after: task.usage) ?? .null,
            "wrapUp": .bool(isOver || task.budget?.isNearlyUsed(by: task.usage) ?? false),
        ]
        object["state"] = .string(task.state.rawValue)
        object["serverTime"] = world.now.json
        return .object(object)
    }
}

/// A claimed task as its worker gets it.
struct ClaimView: Sendable, JSONConvertible {
    typealias Parent = (task: AgentTask, deliverables: [Deliverable])

    let claim: ClaimedTask
    let view: TaskView
    let parents: [Parent]
    let feedback: [Review]

    var json: JSONValue {
        var object = view.json.object ?? JSONObject()
        object.append("parents", .array(parents.map(parentJSON)))
        object.append("feedback", .list(feedback))
        object.append("checkpoint", claim.task.checkpoint)
        return [
            "task": .object(object), "attempt": .int(claim.attempt), "fence": .int(claim.task.fence),
            "leaseExpiresAt": .of(claim.task.leaseExpiresAt),
            "correlationId": .of(claim.task.correlationID),
            "traceparent": .string(claim.task.attemptContext(claim.task.fence).traceparent),
            "tracestate": .of(claim.task.tracestate), "bundle": .of(claim.bundle),
        ]
    }

    private func parentJSON(_ parent: Parent) -> JSONValue {
        [
            "id": parent.task.id.json, "title": .string(parent.task.title), "type": .string(parent.task.type),
            "state": .string(parent.task.state.rawValue), "output": parent.task.output,
            "deliverables": .list(parent.deliverables),
        ]
    }
}

extension TaskView: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        addRequest(to: &object)
        addStanding(to: &object)
        addTimes(to: &object)
        return .object(object)
    }

    private func addRequest(to object: inout JSONObject) {
        object.append("id", task.id.json)
        object.append("project", .string(task.project))
        object.append("queue", .string(task.queue))
        object.append("type", .string(task.type))
        object.append("title", .string(task.title))
        object.append("input", task.input)
        object.append("state", .string(task.state.rawValue))
        object.append("reason", .of(task.reason))
        object.append("holds", .list(holds))
        object.append("priority", .int(task.priority))
        object.append("attempts", .int(task.attempts))
        object.append("maxAttempts", .int(task.maxAttempts))
        object.append("fence", .int(task.fence))
        object.append("agent", .of(task.owner ?? task.pinnedAgent))
        object.append("assignedAgent", .of(task.pinnedAgent))
        object.append("requires", .list(task.requires))
        object.append("dependsOn", .list(dependencies.filter { !$0.isChild }.map(\.dependsOn)))
        object.append("deliverableSchema", task.deliverableSchema ?? .null)
        object.append("review", task.review?.json ?? .bool(false))
        object.append("budget", task.budget?.json ?? .null)
        object.append("model", .of(task.model))
        object.append("tier", .of(ModelWish.tier(of: task.model)))
        object.append("timeoutSeconds", .of(task.timeout?.seconds))
        object.append("leaseSeconds", .double(task.lease.seconds))
        object.append("uniqueKey", .of(task.uniqueKey))
        object.append("concurrencyKey", .of(task.concurrencyKey))
        object.append("onLeaseLost", .string(task.onLeaseLost.rawValue))
        object.append("onExhausted", .string(task.onExhausted.rawValue))
        object.append("supersedes", .of(task.supersedes))
        object.append("correlationId", .of(task.correlationID))
        object.append("traceparent", .of(task.traceparent))
        object.append("tracestate", .of(task.tracestate))
    }

    private func addStanding(to object: inout JSONObject) {
        object.append("deliverables", .list(deliverables))
        object["submission"] =
            task.submissionSHA256.map { sha256 in
                ["sha256": .string(sha256), "round": .int(task.reviewRounds), "at": .of(task.submittedAt)]
            } ?? .null
        object.append("output", task.output)
        object.append("progress", .of(task.progress))
        object.append("note", .of(task.note))
        object.append("usage", task.usage.json)
        object.append("leaseLosses", .int(task.leaseLosses))
        object.append("snoozes", .int(task.snoozes))
        object.append("reviewRounds", .int(task.reviewRounds))
        object.append("pendingDependencies", .int(task.pendingDependencies))
        var wait = task.wait.object
        wait?["token"] = nil
        object.append("wait", wait.map(JSONValue.object) ?? .null)
        object.append("cancelRequested", .bool(task.cancelRequestedAt != nil))
        object.append("pauseRequested", .bool(task.pauseRequestedAt != nil))
    }

    private func addTimes(to object: inout JSONObject) {
        object.append("leaseExpiresAt", .of(task.leaseExpiresAt))
        object.append("scheduledFor", .of(task.scheduledFor))
        object.append("enqueuedAt", .of(task.enqueuedAt))
        object.append("startedAt", .of(task.startedAt))
        object.append("createdBy", .string(task.createdBy))
        object.append("createdAt", task.createdAt.json)
        object.append("updatedAt", task.updatedAt.json)
        object.append("finishedAt", .of(task.finishedAt))
    }
}

extension ReviewPolicy: JSONConvertible {
    public var json: JSONValue { ["approvals": .int(Int64(approvals)), "maxRounds": .of(roundsMax)] }
}

extension TaskBudget: JSONConvertible {
    public var json: JSONValue {
        [
            "usd": nanoUSD.map(BudgetLimit.dollars) ?? .null, "tokens": .of(tokens), "toolCalls": .of(toolCalls),
            "steps": .of(steps), "seconds": .of(time?.seconds),
        ]
    }
}

extension TaskUsage: JSONConvertible {
    public var json: JSONValue {
        [
            "inputTokens": .int(inputTokens), "outputTokens": .int(outputTokens), "usd": .double(Double(nanoUSD) / 1e9),
            "toolCalls": .int(toolCalls), "steps": .int(steps),
        ]
    }

    /// Reads the totals that a worker reports.
    init(_ fields: Fields) throws {
        let counts: ClosedRange<Int64> = 0...1_000_000_000_000_000
        self.init(
            inputTokens: try fields.optionalInt("inputTokens", in: counts) ?? 0,
            outputTokens: try fields.optionalInt("outputTokens", in: counts) ?? 0,
            nanoUSD: try fields.optionalDouble("usd", in: 0...1e9).map { Int64(($0 * 1e9).rounded()) } ?? 0,
            toolCalls: try fields.optionalInt("toolCalls", in: counts) ?? 0,
            steps: try fields.optionalInt("steps", in: counts) ?? 0)
    }
}

extension TaskAttempt: JSONConvertible {
    public var json: JSONValue {
        [
            "number": .int(number), "fence": .int(fence), "agent": .string(agent), "state": .string(state.rawValue),
            "claimedAt": claimedAt.json, "startedAt": .of(startedAt), "endedAt": .of(endedAt),
            "class": .of(failureClass), "message": .of(message), "usage": usage.json, "bundle": .of(bundle),
            "arm": .of(arm?.rawValue), "share": .of(armShare),
        ]
    }
}
