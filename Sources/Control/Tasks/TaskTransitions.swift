import Kernel

/// The figures that transitions need, from the settings `tasks.*`.
public struct TaskPolicy: Sendable {
    public var leaseDefault: Span
    public var startWithin: Span
    public var timeoutDefault: Span
    public var maxAttemptsDefault: Int64
    public var leaseLossesMax: Int64
    public var snoozesMax: Int64 = 1_000
    public var reviewRoundsMax: Int
    public var cancelGrace: Span
    public var affinity: Span
    public var backoffBase: Span
    public var backoffCap: Span
    /// Leases granted before the server's start are not swept for this long after it.
    public var failoverGrace: Span
    public var finishedRetention: Span

    public init(
        _ settings: Settings.Tasks = Settings.Tasks(),
        failoverGraceSeconds: Int = Settings.Agents().failoverGraceSeconds
    ) {
        leaseDefault = .seconds(Int64(settings.leaseSecondsDefault))
        startWithin = .seconds(Int64(settings.startSeconds))
        timeoutDefault = .seconds(Int64(settings.timeoutSecondsDefault))
        maxAttemptsDefault = Int64(settings.maxAttemptsDefault)
        leaseLossesMax = Int64(settings.leaseLossesMax)
        reviewRoundsMax = settings.reviewRoundsMax
        cancelGrace = .seconds(Int64(settings.cancelGraceSeconds))
        affinity = .seconds(Int64(settings.affinitySeconds))
        backoffBase = .seconds(Int64(settings.backoffBaseSeconds))
        backoffCap = .seconds(Int64(settings.backoffCapSeconds))
        failoverGrace = .seconds(Int64(failoverGraceSeconds))
        finishedRetention = .hours(24 * Int64(settings.finishedRetentionDays))
    }

    /// Doubles with each attempt up to the cap, half of it at random so that a burst of failures spreads.
    func backoff(attempt: Int64, jitter: Double) -> Span {
        let exponent = Double(min(max(attempt - 1, 0), 30))
        var seconds = backoffBase.seconds
        for _ in 0..<Int(exponent) where seconds < backoffCap.seconds { seconds *= 2 }
        seconds = min(seconds, backoffCap.seconds)
        return .seconds(seconds * (0.5 + jitter / 2))
    }
}

/// The state machine: each verb checks that the state takes it and returns how the attempt, if any, ended. No clock, no
/// store; tables and simulations drive it directly. The numbers are those of `docs/reference/task-states.md`.
extension AgentTask {
    /// The refusal of a verb that the state does not take.
    public func refusal(_ verb: String) -> Problem {
        var members = JSONObject()
        members["state"] = .string(state.rawValue)
        members["allowed"] = .list(state.allowedVerbs)
        let hint =
            state.isTerminal
            ? "Stop work on this task: it has ended and will not change."
            : "Allowed now: \(state.allowedVerbs.joined(separator: ", "))."
        return Problem(
            .badTransition, "The task is \(state.rawValue) and does not take \"\(verb)\".", hint: hint, members: members
        )
    }

    /// 5: ready → claimed. The heartbeat clock starts here, so a live worker is never judged by its predecessor's.
    mutating func claim(by agent: String, now: Timestamp) {
        state = .claimed
        reason = nil
        fence += 1
        claims += 1
        owner = agent
        preferredAgent = nil
        preferredUntil = nil
        leaseLostAt = nil
        leaseGrantedAt = now
        leaseExpiresAt = now + min(startWithin, lease)
        attemptDeadline = nil
        progressDeadline = nil
        progress = nil
        note = nil
        usageNow = TaskUsage()
        updatedAt = now
    }

    /// 6: claimed → running, by the first write of its owner. Returns whether this was the first.
    mutating func start(now: Timestamp) -> Bool {
        guard state == .claimed else { return false }
        state = .running
        startedAt = startedAt ?? now
        let budgeted = budget?.time
        attemptDeadline = [timeout, budgeted].compactMap(\.self).min().map { now + $0 }
        progressDeadline = progressWithin.map { now + $0 }
        extendLease(now: now)
        return true
    }

    /// 8: any sign of life extends the lease.
    mutating func extendLease(now: Timestamp) {
        leaseGrantedAt = now
        leaseExpiresAt = now + lease
        updatedAt = now
    }

    /// The third clock: something new came of the work.
    mutating func markProgress(now: Timestamp) {
        if let progressWithin { progressDeadline = now + progressWithin }
    }

    /// Ends the lease without a word on where the task goes.
    mutating func endLease(now: Timestamp) {
        usageBefore = usageBefore + usageNow
        usageNow = TaskUsage()
        leaseExpiresAt = nil
        leaseGrantedAt = nil
        attemptDeadline = nil
        progressDeadline = nil
        cancelRequestedAt = nil
        pauseRequestedAt = nil
        stopDeadline = nil
        updatedAt = now
    }

    /// 1, 3, 10, 14, 25: where a task that may run goes.
    mutating func enqueue(now: Timestamp) {
        owner = nil
        updatedAt = now
        if pendingDependencies > 0 {
            state = .blocked
        } else if let time = scheduledFor, time > now {
            state = .scheduled
        } else {
            state = .ready
            enqueuedAt = scheduledFor ?? now
            scheduledFor = nil
        }
    }

    /// Where a task goes whose turn must wait.
    mutating func schedule(at time: Timestamp, reason: String, now: Timestamp) {
        owner = nil
        state = .scheduled
        scheduledFor = time
        self.reason = reason
        updatedAt = now
    }

    /// 4, 15, 17, 19, 26: set aside with its reason; what it has is kept.
    mutating func hold(_ reason: String, now: Timestamp) {
        state = .held
        self.reason = reason
        updatedAt = now
    }

    /// Ends the task for good.
    mutating func finish(_ terminal: TaskState, reason: String?, now: Timestamp) {
        state = terminal
        self.reason = reason
        leaseLostAt = nil
        waitUntil = nil
        finishedAt = now
        updatedAt = now
    }

    /// 16, 17, 18: what a failure of the running attempt leads to.
    mutating func fail(_ failure: FailureClass, delay: Span?, policy: TaskPolicy, jitter: Double, now: Timestamp) {
        let cancelWasRequested = cancelRequestedAt != nil
        endLease(now: now)
        if cancelWasRequested { return finish(.canceled, reason: "requested", now: now) }
        switch failure {
        case .permanent:
            attempts += 1
            exhaust(HoldReason.permanent, now: now)
        case .retryable:
            attempts += 1
            guard attempts < maxAttempts else { return exhaust(HoldReason.exhausted, now: now) }
            let wait = delay ?? policy.backoff(attempt: attempts, jitter: jitter)
            schedule(at: now + wait, reason: "retry", now: now)
        case .provider:
            snoozes += 1
            guard snoozes < policy.snoozesMax else { return hold(HoldReason.snoozesExhausted, now: now) }
            let wait = delay ?? policy.backoff(attempt: min(snoozes, 8), jitter: jitter)
            schedule(at: now + wait, reason: "provider", now: now)
        }
    }

    private mutating func exhaust(_ reason: String, now: Timestamp) {
        switch onExhausted {
        case .hold: hold(reason, now: now)
        case .fail: finish(.failed, reason: reason, now: now)
        }
    }

    /// 7, 18: the agent gives the task back; no attempt is counted.
    mutating func release(delay: Span, policy: TaskPolicy, now: Timestamp) {
        let cancelWasRequested = cancelRequestedAt != nil
        endLease(now: now)
        if cancelWasRequested { return finish(.canceled, reason: "requested", now: now) }
        snoozes += 1
        guard snoozes < policy.snoozesMax else { return hold(HoldReason.snoozesExhausted, now: now) }
        if delay > .zero {
            schedule(at: now + delay, reason: "snooze", now: now)
        } else {
            reason = nil
            enqueue(now: now)
        }
    }

    /// 9: parked without lease or slot.
    mutating func park(_ wait: JSONValue, until: Timestamp?, checkpoint: JSONValue, now: Timestamp) {
        endLease(now: now)
        preferredAgent = nil
        state = .waiting
        self.wait = wait
        waitUntil = until
        if !checkpoint.isNull { self.checkpoint = checkpoint }
    }

    /// 10: what it waited for is there; the agent that parked it may go on first.
    mutating func resolveWait(answer: JSONValue, policy: TaskPolicy, now: Timestamp) {
        let previous = owner
        var document = wait.object ?? JSONObject()
        document["answer"] = answer
        document["answeredAt"] = now.json
        document["token"] = nil
        wait = .object(document)
        waitUntil = nil
        reason = nil
        enqueue(now: now)
        prefer(previous, policy: policy, now: now)
    }

    /// Lets the agent that knows the work take it first, for a while.
    mutating func prefer(_ agent: String?, policy: TaskPolicy, now: Timestamp) {
        guard state == .ready, let agent, pinnedAgent == nil, policy.affinity > .zero else { return }
        preferredAgent = agent
        preferredUntil = now + policy.affinity
    }

    /// 19: nobody heard of the owner in time. The fence stays, so the owner's late result still counts until the task
    /// is claimed anew.
    mutating func loseLease(policy: TaskPolicy, now: Timestamp) {
        let cancelWasRequested = cancelRequestedAt != nil
        endLease(now: now)
        if cancelWasRequested { return finish(.canceled, reason: "requested", now: now) }
        leaseLosses += 1
        leaseLostAt = now
        if leaseLosses >= policy.leaseLossesMax, onLeaseLost == .retry { return hold(HoldReason.poison, now: now) }
        switch onLeaseLost {
        case .retry: enqueue(now: now)
        case .hold: hold(HoldReason.leaseLost, now: now)
        case .fail: finish(.failed, reason: HoldReason.leaseLost, now: now)
        }
    }

    /// The attempt used up its time: it counts, as the work did fail.
    mutating func timeOut(policy: TaskPolicy, jitter: Double, now: Timestamp) {
        fence += 1
        let isBudget = (budget?.time).map { $0 <= timeout ?? $0 } ?? false
        if isBudget, cancelRequestedAt == nil {
            endLease(now: now)
            owner = nil
            return hold(HoldReason.budget, now: now)
        }
        fail(.retryable, delay: nil, policy: policy, jitter: jitter, now: now)
    }

    /// 26: a guard stops the attempt; the fence rises so that nothing of it counts any more.
    mutating func stopByGuard(_ reason: String, now: Timestamp) {
        fence += 1
        let cancelWasRequested = cancelRequestedAt != nil
        endLease(now: now)
        owner = nil
        if cancelWasRequested { return finish(.canceled, reason: "requested", now: now) }
        hold(reason, now: now)
    }

    /// 21, 23: at once where nobody works on it; otherwise a request that the next heartbeat brings.
    mutating func cancel(policy: TaskPolicy, now: Timestamp) throws {
        guard !state.isTerminal else { throw refusal("cancel") }
        guard state.isLeased else { return finish(.canceled, reason: "requested", now: now) }
        if cancelRequestedAt == nil {
            cancelRequestedAt = now
            stopDeadline = now + policy.cancelGrace
        }
        updatedAt = now
    }

    /// 21: asks the owner to stop, to be held once it has.
    mutating func requestPause(policy: TaskPolicy, now: Timestamp) {
        guard state.isLeased, pauseRequestedAt == nil else { return }
        pauseRequestedAt = now
        stopDeadline = [stopDeadline, now + policy.cancelGrace].compactMap(\.self).min()
        updatedAt = now
    }

    /// 22: the time to stop by itself has passed.
    mutating func forceStop(now: Timestamp) {
        fence += 1
        let cancelWasRequested = cancelRequestedAt != nil
        endLease(now: now)
        if cancelWasRequested { return finish(.canceled, reason: "forced", now: now) }
        enqueue(now: now)
    }

    /// 25: an operator lets a task that was set aside run again.
    mutating func retry(pending: Int, now: Timestamp) throws {
        guard state == .held else { throw refusal("retry") }
        maxAttempts = max(maxAttempts, attempts + 1)
        leaseLosses = 0
        leaseLostAt = nil
        snoozes = 0
        if reason == HoldReason.roundsExhausted { reviewRounds = 0 }
        fence += 1
        reason = nil
        scheduledFor = nil
        pendingDependencies = Int64(pending)
        enqueue(now: now)
    }

    /// Gives the task to another agent, or to any (`nil`). Who works on it now is told to stop by the higher fence.
    /// What is to be canceled is given to nobody.
    mutating func reassign(to agent: String?, now: Timestamp) throws {
        guard !state.isTerminal, state != .inReview, cancelRequestedAt == nil else { throw refusal("reassign") }
        pinnedAgent = agent
        preferredAgent = nil
        preferredUntil = nil
        updatedAt = now
        if state.isLeased {
            fence += 1
            endLease(now: now)
            enqueue(now: now)
        }
    }

    /// 11: the content is sealed and waits for its reviewers.
    mutating func submit(_ sha256: String, output: JSONValue, now: Timestamp) {
        endLease(now: now)
        leaseLostAt = nil
        state = .inReview
        reason = nil
        submissionSHA256 = sha256
        submittedAt = now
        if !output.isNull { self.output = output }
    }

    /// 12: done without a review.
    mutating func complete(output: JSONValue, now: Timestamp) {
        endLease(now: now)
        if !output.isNull { self.output = output }
        finish(.done, reason: nil, now: now)
    }

    /// 14, 15: the reviewer wants something changed; the author may go on first.
    mutating func requestChanges(policy: TaskPolicy, now: Timestamp) {
        reviewRounds += 1
        let author = owner
        submissionSHA256 = nil
        let roundsMax = review?.roundsMax ?? policy.reviewRoundsMax
        guard reviewRounds < roundsMax else { return hold(HoldReason.roundsExhausted, now: now) }
        reason = "changes_requested"
        enqueue(now: now)
        prefer(author, policy: policy, now: now)
    }
}
