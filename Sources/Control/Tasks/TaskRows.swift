import Kernel

/// How tasks and what belongs to them stand in their columns.
extension AgentTask {
    init(row: StoredRow) {
        self.init(
            id: row.id("id"), project: row.text("project"), queue: row.text("queue"), type: row.text("type"),
            title: row.text("title"), input: row.json("input"), model: row.optionalText("model"),
            requires: (row.json("requires").array ?? []).compactMap(\.string),
            // Mapped: a bare `nil` beside a `JSONValue` is its null, and every task would have a schema.
            deliverableSchema: row.optionalText("deliverable_schema").map { _ in row.json("deliverable_schema") },
            review: row.optionalText("review") == nil ? nil : ReviewPolicy(stored: row.json("review")),
            budget: row.optionalText("budget") == nil ? nil : TaskBudget(stored: row.json("budget")),
            lease: Span(microseconds: row.int("lease_us")),
            startWithin: Span(microseconds: row.int("start_within_us")),
            timeout: row.optionalInt("timeout_us").map(Span.init(microseconds:)),
            progressWithin: row.optionalInt("progress_within_us").map(Span.init(microseconds:)),
            startBy: row.optionalTime("start_by"), uniqueKey: row.optionalText("unique_key"),
            concurrencyKey: row.optionalText("concurrency_key"),
            onLeaseLost: LeaseLostPolicy(rawValue: row.text("on_lease_lost")) ?? .hold,
            onExhausted: ExhaustedPolicy(rawValue: row.text("on_exhausted")) ?? .hold,
            supersedes: row.optionalID("supersedes"), correlationID: row.optionalText("correlation_id"),
            traceparent: row.optionalText("traceparent"), tracestate: row.optionalText("tracestate"),
            createdBy: row.text("created_by"), createdAt: row.time("created_at"),
            state: TaskState(rawValue: row.text("state")) ?? .held, priority: row.int("priority"),
            maxAttempts: row.int("max_attempts"), updatedAt: row.time("updated_at"))
        readStanding(row)
        origin = TaskOrigin(row)
    }

    private mutating func readStanding(_ row: StoredRow) {
        reason = row.optionalText("reason")
        pinnedAgent = row.optionalText("pinned_agent")
        preferredAgent = row.optionalText("preferred_agent")
        preferredUntil = row.optionalTime("preferred_until")
        owner = row.optionalText("owner")
        fence = row.int("fence")
        claims = row.int("claims")
        attempts = row.int("attempts")
        leaseLosses = row.int("lease_losses")
        snoozes = row.int("snoozes")
        reviewRounds = row.int("review_rounds")
        pendingDependencies = row.int("pending_dependencies")
        holdCount = row.int("hold_count")
        scheduledFor = row.optionalTime("scheduled_for")
        enqueuedAt = row.optionalTime("enqueued_at")
        startedAt = row.optionalTime("started_at")
        leaseGrantedAt = row.optionalTime("lease_granted_at")
        leaseExpiresAt = row.optionalTime("lease_expires_at")
        leaseLostAt = row.optionalTime("lease_lost_at")
        attemptDeadline = row.optionalTime("attempt_deadline")
        progressDeadline = row.optionalTime("progress_deadline")
        cancelRequestedAt = row.optionalTime("cancel_requested_at")
        pauseRequestedAt = row.optionalTime("pause_requested_at")
        stopDeadline = row.optionalTime("stop_deadline")
        wait = row.json("wait")
        waitUntil = row.optionalTime("wait_until")
        checkpoint = row.json("checkpoint")
        progress = row.optionalReal("progress")
        note = row.optionalText("note")
        output = row.json("output")
        usageBefore = TaskUsage(stored: row.json("usage_before"))
        usageNow = TaskUsage(stored: row.json("usage_now"))
        submissionSHA256 = row.optionalText("submission_sha256")
        submittedAt = row.optionalTime("submitted_at")
        finishedAt = row.optionalTime("finished_at")
        eventCount = row.int("event_count")
    }
}

// MARK: - Writing

extension AgentTask {
    /// The columns of what was asked for, which is written once.
    static let requestColumns = [
        "id", "project", "queue", "type", "title", "requires", "deliverable_schema", "review", "budget", "lease_us",
        "start_within_us", "timeout_us", "progress_within_us", "start_by", "unique_key", "concurrency_key",
        "on_lease_lost", "on_exhausted", "supersedes", "correlation_id", "created_by", "created_at", "model",
        "traceparent", "tracestate",
    ]

    /// The values of ``requestColumns``, in their order.
    var request: [SQLValue] {
        [
            id.sqlValue, project.sqlValue, queue.sqlValue, type.sqlValue, title.sqlValue,
            JSONValue.list(requires).sqlValue, deliverableSchema.sqlValue, (review?.stored).sqlValue,
            (budget?.stored).sqlValue, lease.sqlValue, startWithin.sqlValue, timeout.sqlValue,
            progressWithin.sqlValue, startBy.sqlValue, uniqueKey.sqlValue, concurrencyKey.sqlValue,
            onLeaseLost.rawValue.sqlValue, onExhausted.rawValue.sqlValue, supersedes.sqlValue,
            correlationID.sqlValue, createdBy.sqlValue, createdAt.sqlValue, model.sqlValue,
            traceparent.sqlValue, tracestate.sqlValue,
        ]
    }

    /// The columns of how it stands.
    static let standingColumns = [
        "state", "reason", "priority", "max_attempts", "pinned_agent", "preferred_agent", "preferred_until", "owner",
        "fence", "claims", "attempts", "lease_losses", "snoozes", "review_rounds", "pending_dependencies",
        "hold_count", "scheduled_for", "enqueued_at", "started_at", "lease_granted_at", "lease_expires_at",
        "lease_lost_at", "attempt_deadline", "progress_deadline", "cancel_requested_at", "pause_requested_at",
        "stop_deadline", "wait_until", "progress", "note", "submission_sha256", "submitted_at", "updated_at",
        "finished_at", "event_count", "order_key", "wake_at", "lane", "input", "wait", "checkpoint", "output",
        "usage_before", "usage_now",
    ]

    /// The lane's id, which takes a digest, is as it was where its agent is.
    private var laneID: SQLValue {
        guard let row = origin.row, row["pinned_agent"] == pinnedAgent.sqlValue,
            row["preferred_agent"] == preferredAgent.sqlValue
        else { return lane.id.sqlValue }
        return row["lane"]
    }

    /// The values of ``standingColumns``, in their order.
    var standing: [SQLValue] {
        [
            state.rawValue.sqlValue, reason.sqlValue, priority.sqlValue, maxAttempts.sqlValue, pinnedAgent.sqlValue,
            preferredAgent.sqlValue, preferredUntil.sqlValue, owner.sqlValue, fence.sqlValue, claims.sqlValue,
            attempts.sqlValue, leaseLosses.sqlValue, snoozes.sqlValue, reviewRounds.sqlValue,
            pendingDependencies.sqlValue, holdCount.sqlValue, scheduledFor.sqlValue, enqueuedAt.sqlValue,
            startedAt.sqlValue, leaseGrantedAt.sqlValue, leaseExpiresAt.sqlValue, leaseLostAt.sqlValue,
            attemptDeadline.sqlValue, progressDeadline.sqlValue, cancelRequestedAt.sqlValue,
            pauseRequestedAt.sqlValue, stopDeadline.sqlValue, waitUntil.sqlValue, progress.sqlValue, note.sqlValue,
            submissionSHA256.sqlValue, submittedAt.sqlValue, updatedAt.sqlValue, finishedAt.sqlValue,
            eventCount.sqlValue, orderKey.sqlValue, wakeAt.sqlValue, laneID, input.sqlValue, wait.sqlValue,
            checkpoint.sqlValue, output.sqlValue, usageBefore.stored.sqlValue, usageNow.stored.sqlValue,
        ]
    }
}

/// How the row of a task stood when it was read or written last, so that only what changed is written. Two tasks are
/// equal whatever their origins are.
public struct TaskOrigin: Sendable, Equatable {
    fileprivate private(set) var row: StoredRow?
    private var values: [SQLValue] = []

    init() {}
    init(_ row: StoredRow) { self.row = row }
    init(_ values: [SQLValue]) { self.values = values }

    /// The values of ``AgentTask/standingColumns``; empty where the row is not known.
    var standing: [SQLValue] { row.map { row in AgentTask.standingColumns.map { row[$0] } } ?? values }

    public static func == (left: TaskOrigin, right: TaskOrigin) -> Bool { true }
}

extension ReviewPolicy {
    var stored: JSONValue { ["approvals": .int(Int64(approvals)), "roundsMax": .of(roundsMax)] }

    init(stored: JSONValue) {
        self.init(approvals: Int(stored["approvals"]?.int ?? 1), roundsMax: stored["roundsMax"]?.int.map(Int.init))
    }
}

extension TaskBudget {
    var stored: JSONValue {
        [
            "nanoUSD": .of(nanoUSD), "tokens": .of(tokens), "toolCalls": .of(toolCalls), "steps": .of(steps),
            "microseconds": .of(time?.microseconds),
        ]
    }

    init(stored: JSONValue) {
        self.init(
            nanoUSD: stored["nanoUSD"]?.int, tokens: stored["tokens"]?.int, toolCalls: stored["toolCalls"]?.int,
            steps: stored["steps"]?.int, time: stored["microseconds"]?.int.map(Span.init(microseconds:)))
    }
}

extension TaskUsage {
    var stored: JSONValue {
        self == TaskUsage()
            ? [:]
            : [
                "in": .int(inputTokens), "out": .int(outputTokens), "nanoUSD": .int(nanoUSD),
                "toolCalls": .int(toolCalls), "steps": .int(steps),
            ]
    }

    init(stored: JSONValue) {
        self.init(
            inputTokens: stored["in"]?.int ?? 0, outputTokens: stored["out"]?.int ?? 0,
            nanoUSD: stored["nanoUSD"]?.int ?? 0, toolCalls: stored["toolCalls"]?.int ?? 0,
            steps: stored["steps"]?.int ?? 0)
    }
}

extension TaskAttempt {
    init(row: StoredRow) {
        self.init(
            taskID: row.id("task_id"), number: row.int("number"), fence: row.int("fence"), agent: row.text("agent"),
            keyID: row.text("key_id"), bundle: row.optionalText("bundle"),
            arm: row.optionalText("bundle_arm").flatMap(TaskBundle.Arm.init),
            armShare: row.optionalReal("bundle_share"),
            state: AttemptState(rawValue: row.text("state")) ?? .lost,
            claimedAt: row.time("claimed_at"), startedAt: row.optionalTime("started_at"),
            heartbeatAt: row.time("heartbeat_at"), endedAt: row.optionalTime("ended_at"),
            failureClass: row.optionalText("failure_class"), message: row.optionalText("message"),
            usage: TaskUsage(stored: row.json("usage")))
    }
}

extension TaskDependency {
    init(row: StoredRow) {
        self.init(
            taskID: row.id("task_id"), dependsOn: row.id("depends_on"),
            ifUnmet: UnmetPolicy(rawValue: row.text("if_unmet")) ?? .hold, isChild: row.bool("is_child"),
            state: State(rawValue: row.text("state")) ?? .pending)
    }
}
