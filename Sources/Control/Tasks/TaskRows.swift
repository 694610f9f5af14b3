import Kernel

/// How tasks and what belongs to them stand in their columns.
extension AgentTask {
    init(row: StoredRow) {
        self.init(
            id: row.id("id"), project: row.text("project"), queue: row.text("queue"), type: row.text("type"),
            title: row.text("title"), input: row.json("input"),
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
            createdBy: row.text("created_by"), createdAt: row.time("created_at"),
            state: TaskState(rawValue: row.text("state")) ?? .held, priority: row.int("priority"),
            maxAttempts: row.int("max_attempts"), updatedAt: row.time("updated_at"))
        readStanding(row)
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
            keyID: row.text("key_id"), state: AttemptState(rawValue: row.text("state")) ?? .lost,
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
