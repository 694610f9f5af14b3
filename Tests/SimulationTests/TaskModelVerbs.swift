/// The verbs: each says how the services must answer, and does the same to the model.
extension TaskModel {
    // MARK: Workers

    /// `nil` where the agent may write, else the code of the refusal.
    func refusal(_ id: String, fence: Int64, by agent: String, takesLate: Bool) -> String? {
        guard let item = items[id] else { return "not_found" }
        guard item.workers.contains(agent) else { return "forbidden" }
        guard fence == item.fence else { return "stale_fence" }
        if item.isLeased { return item.owner == agent ? nil : "stale_fence" }
        if item.isLateWelcome, isLateState(item) {
            guard item.lastWorker == agent else { return "stale_fence" }
            return takesLate ? nil : "lease_lost"
        }
        return "bad_transition"
    }

    private func isLateState(_ item: Item) -> Bool {
        switch item.state {
        case "ready", "scheduled": true
        case "held": item.reason == "lease_lost" || item.reason == "poison"
        default: false
        }
    }

    /// The first write of a claim starts the attempt.
    private mutating func start(_ id: String) {
        guard var item = items[id], item.state == "claimed" else { return }
        item.state = "running"
        item.hasStarted = true
        item.attemptEnd = now + item.request.timeout
        item.progressEnd = item.request.progressWithin.map { now + $0 }
        item.granted = now
        item.leaseEnd = now + item.request.lease
        items[id] = item
    }

    mutating func endLease(_ id: String) {
        guard var item = items[id] else { return }
        item.tokensBefore += item.tokensNow
        item.tokensNow = 0
        item.granted = nil
        item.leaseEnd = nil
        item.attemptEnd = nil
        item.progressEnd = nil
        item.stopEnd = nil
        item.isCancelAsked = false
        item.isPauseAsked = false
        items[id] = item
    }

    /// Ends the lease; where a cancel was asked for, the task with it. Returns whether it did.
    private mutating func endsCanceled(_ id: String) -> Bool {
        let isCanceled = items[id]?.isCancelAsked == true
        endLease(id)
        if isCanceled { finish(id, "canceled") }
        return isCanceled
    }

    mutating func beat(_ id: String, fence: Int64, by agent: String, progress: Bool, tokens: Int64) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: false) { return code }
        start(id)
        guard var item = items[id] else { return "not_found" }
        item.granted = now
        item.leaseEnd = now + item.request.lease
        item.tokensNow = max(item.tokensNow, tokens)
        if progress, let within = item.request.progressWithin { item.progressEnd = now + within }
        items[id] = item
        if let most = item.request.tokens, item.tokensBefore + item.tokensNow > most { stopByGuard(id, "budget") }
        return "ok"
    }

    private mutating func stopByGuard(_ id: String, _ reason: String) {
        items[id]?.fence += 1
        guard !endsCanceled(id) else { return }
        items[id]?.owner = nil
        items[id]?.state = "held"
        items[id]?.reason = reason
    }

    mutating func deliver(_ id: String, fence: Int64, by agent: String, name: String, sha256: String) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: true) { return code }
        let isLeased = items[id]?.isLeased == true
        let wasClaimed = items[id]?.state == "claimed"
        items[id]?.made[name] = sha256
        guard isLeased else { return "ok" }
        start(id)
        if !wasClaimed, let lease = items[id]?.request.lease {
            items[id]?.granted = now
            items[id]?.leaseEnd = now + lease
        }
        if let within = items[id]?.request.progressWithin { items[id]?.progressEnd = now + within }
        return "ok"
    }

    mutating func complete(_ id: String, fence: Int64, by agent: String) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: true) { return code }
        guard items[id]?.request.approvals == 0 else { return "bad_transition" }
        start(id)
        endLease(id)
        finish(id, "done")
        return "ok"
    }

    mutating func submit(_ id: String, fence: Int64, by agent: String, sha256: String?) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: true) { return code }
        guard let sha256 else { return "invalid" }
        start(id)
        endLease(id)
        items[id]?.owner = agent
        items[id]?.state = "in_review"
        items[id]?.isLateWelcome = false
        items[id]?.submission = sha256
        items[id]?.approvers = []
        return "ok"
    }

    /// `retryAt` is when the reply says that the task is tried again.
    mutating func fail(_ id: String, fence: Int64, by agent: String, _ failure: String, retryAt: Int64?) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: false) { return code }
        start(id)
        failNow(id, failure, retryAt: retryAt)
        return "ok"
    }

    mutating func failNow(_ id: String, _ failure: String, retryAt: Int64?) {
        guard !endsCanceled(id), let item = items[id] else { return }
        if failure != "provider" { items[id]?.attempts += 1 }
        let isLast = failure == "permanent" || (failure == "retryable" && item.attempts + 1 >= item.maxAttempts)
        guard isLast else {
            items[id]?.owner = nil
            items[id]?.state = "scheduled"
            items[id]?.scheduledFor = retryAt
            return
        }
        if item.request.onExhausted == "fail" { return finish(id, "failed") }
        items[id]?.state = "held"
        items[id]?.reason = failure == "permanent" ? "permanent_failure" : "attempts_exhausted"
    }

    mutating func release(_ id: String, fence: Int64, by agent: String, delay: Int64) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: false) { return code }
        guard !endsCanceled(id) else { return "ok" }
        if delay > 0 {
            items[id]?.owner = nil
            items[id]?.state = "scheduled"
            items[id]?.scheduledFor = now + delay
        } else {
            enqueue(id)
        }
        return "ok"
    }

    mutating func park(_ id: String, fence: Int64, by agent: String, _ wait: Wait) -> String {
        if let code = refusal(id, fence: fence, by: agent, takesLate: false) { return code }
        for child in wait.children where items[child] == nil || child == id { return "invalid" }
        start(id)
        guard !endsCanceled(id) else { return "ok" }
        items[id]?.preferred = nil
        items[id]?.state = "waiting"
        items[id]?.wait = wait
        for child in wait.children where items[child]?.isTerminal == true { settle(child, of: id) }
        return "ok"
    }

    private mutating func settle(_ ended: String, of id: String) {
        items[id]?.wait?.children.remove(ended)
        if items[id]?.wait?.children.isEmpty == true { resolveWait(id) }
    }

    // MARK: Operators

    mutating func cancel(_ id: String) -> String {
        guard let item = items[id] else { return "not_found" }
        if item.isTerminal { return "bad_transition" }
        guard item.isLeased else {
            finish(id, "canceled")
            return "ok"
        }
        if !item.isCancelAsked {
            items[id]?.isCancelAsked = true
            items[id]?.stopEnd = now + rules.cancelGrace
        }
        return "ok"
    }

    mutating func hold(_ id: String) -> String {
        guard let item = items[id] else { return "not_found" }
        if item.isTerminal { return "bad_transition" }
        guard items[id]?.holds.insert("paused_task").inserted == true, item.isLeased, !item.isPauseAsked else {
            return "ok"
        }
        items[id]?.isPauseAsked = true
        items[id]?.stopEnd = min(item.stopEnd ?? .max, now + rules.cancelGrace)
        return "ok"
    }

    mutating func resume(_ id: String, token: String?) -> String {
        guard let item = items[id] else { return "not_found" }
        if item.isTerminal { return "bad_transition" }
        if item.state == "waiting", let token, token != item.wait?.token { return "conflict" }
        items[id]?.holds = []
        items[id]?.isPauseAsked = false
        if !item.isCancelAsked { items[id]?.stopEnd = nil }
        if item.state == "waiting" { resolveWait(id) }
        return "ok"
    }

    /// A task that has ended gets a successor, whose id the reply tells.
    mutating func retry(_ id: String, successor: String?) -> String {
        guard let item = items[id] else { return "not_found" }
        if item.state == "done" { return "bad_transition" }
        if item.isTerminal {
            guard let successor else { return "ok" }
            var request = item.request
            request.parents = []
            request.startBy = nil
            request.scheduledFor = nil
            request.uniqueKey = nil
            request.supersedes = id
            request.pinned = item.pinned
            request.maxAttempts = item.maxAttempts
            create(successor, request)
            return "ok"
        }
        guard item.state == "held" else { return "bad_transition" }
        requeue(id)
        return "ok"
    }

    mutating func requeue(_ id: String) {
        guard var item = items[id] else { return }
        item.maxAttempts = max(item.maxAttempts, item.attempts + 1)
        item.leaseLosses = 0
        item.isLateWelcome = false
        if item.reason == "review_rounds_exhausted" { item.reviewRounds = 0 }
        item.fence += 1
        item.reason = nil
        item.scheduledFor = nil
        items[id] = item
        enqueue(id)
    }

    mutating func reassign(_ id: String, to agent: String?) -> String {
        guard let item = items[id] else { return "not_found" }
        if item.isTerminal || item.state == "in_review" || item.isCancelAsked { return "bad_transition" }
        items[id]?.pinned = agent
        items[id]?.preferred = nil
        items[id]?.preferredUntil = nil
        if item.isLeased {
            items[id]?.fence += 1
            endLease(id)
            enqueue(id)
        }
        return "ok"
    }

    // MARK: Reviewers

    mutating func review(_ id: String, _ verdict: String, sha256: String, by key: String) -> String {
        guard let item = items[id] else { return "not_found" }
        guard item.state == "in_review" else { return "bad_transition" }
        guard sha256 == item.submission else { return "conflict" }
        switch verdict {
        case "approve":
            items[id]?.approvers.insert(key)
            if items[id]?.approvers.count ?? 0 >= max(1, item.request.approvals) { finish(id, "done") }
        case "changes":
            items[id]?.reviewRounds += 1
            items[id]?.submission = nil
            if item.reviewRounds + 1 >= item.request.roundsMax {
                items[id]?.state = "held"
                items[id]?.reason = "review_rounds_exhausted"
            } else {
                let author = item.owner
                enqueue(id)
                prefer(author, for: id)
            }
        default:
            items[id]?.state = "held"
            items[id]?.reason = "rejected"
        }
        return "ok"
    }

    // MARK: The clock

    /// Moves everything whose time has come. `retryAt` tells the moments that the services chose with jitter.
    mutating func sweep(retryAt: (String) -> Int64?) {
        var hasMoved = true
        while hasMoved {
            hasMoved = false
            // Of what fell due in one pause, whatever was due first goes first.
            let due = order.compactMap { id in items[id].flatMap(dueAt).map { (at: $0, id: id) } }
                .filter { $0.at <= now }.sorted { ($0.at, $0.id) < ($1.at, $1.id) }
            for (_, id) in due where tick(id, retryAt: retryAt) { hasMoved = true }
        }
    }

    /// When the clock moves a task next.
    private func dueAt(_ item: Item) -> Int64? {
        let times: [Int64?] =
            switch item.state {
            case "scheduled": [item.startBy, item.scheduledFor]
            case "blocked": [item.startBy]
            case "ready": [item.startBy, item.preferredUntil]
            case "claimed", "running": [item.stopEnd, item.attemptEnd, item.progressEnd, leaseEnd(item)]
            case "waiting": [item.wait?.until]
            default: []
            }
        return times.compactMap(\.self).min()
    }

    /// A lease from before the server's start has the failover grace.
    private func leaseEnd(_ item: Item) -> Int64? {
        let isFromBefore = item.granted.map { $0 < serverStart } ?? false
        return isFromBefore ? max(item.leaseEnd ?? 0, serverStart + rules.failoverGrace) : item.leaseEnd
    }

    private func isDue(_ time: Int64?) -> Bool { time.map { $0 <= now } ?? false }

    private mutating func tick(_ id: String, retryAt: (String) -> Int64?) -> Bool {
        guard let item = items[id] else { return false }
        switch item.state {
        case "scheduled", "blocked", "ready":
            if isDue(item.startBy) {
                finish(id, "expired")
                return true
            }
            if item.state == "scheduled", isDue(item.scheduledFor) {
                enqueue(id)
                return true
            }
            guard item.state == "ready", isDue(item.preferredUntil) else { return false }
            items[id]?.preferred = nil
            items[id]?.preferredUntil = nil
            return true
        case "claimed", "running": return tickLease(id, item, retryAt)
        case "waiting":
            guard isDue(item.wait?.until) else { return false }
            if item.wait?.kind == "timer" || item.wait?.hasFallback == true {
                resolveWait(id)
            } else {
                items[id]?.wait?.until = nil
                items[id]?.owner = nil
                items[id]?.state = "held"
                items[id]?.reason = "wait_timed_out"
            }
            return true
        default: return false
        }
    }

    private mutating func tickLease(
        _ id: String, _ item: Item, _ retryAt: (String) -> Int64?
    ) -> Bool {
        if isDue(item.stopEnd) {
            items[id]?.fence += 1
            if !endsCanceled(id) { enqueue(id) }
            return true
        }
        if isDue(item.attemptEnd) {
            items[id]?.fence += 1
            failNow(id, "retryable", retryAt: retryAt(id))
            return true
        }
        if isDue(item.progressEnd) {
            stopByGuard(id, "no_progress")
            return true
        }
        guard isDue(leaseEnd(item)) else { return false }
        loseLease(id)
        return true
    }

    private mutating func loseLease(_ id: String) {
        guard !endsCanceled(id) else { return }
        items[id]?.leaseLosses += 1
        items[id]?.isLateWelcome = true
        guard let item = items[id] else { return }
        switch item.request.onLeaseLost {
        case "retry" where item.leaseLosses < rules.leaseLossesMax: enqueue(id)
        case "fail": finish(id, "failed")
        default:
            items[id]?.state = "held"
            items[id]?.reason = item.request.onLeaseLost == "hold" ? "lease_lost" : "poison"
        }
    }
}
