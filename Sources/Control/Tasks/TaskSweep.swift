import Kernel

/// What the clock does to tasks. The tasks that are due come by one index, and every change checks the state again in
/// its own transaction, so that a sweep never works on what it saw a moment ago.
extension TaskService {
    /// Tasks looked at in one transaction; the loop goes on at once while there are more.
    static let sweepMax = 500

    /// Moves every task whose time has come, up to a bound; returns how many there were.
    public func sweep(in transaction: Transaction) throws -> Int {
        let due = try store.due(at: world.now, limit: Self.sweepMax, in: transaction)
        for id in due {
            // Read one by one, as the end of one task may have changed another that was due with it.
            guard let task = try store.due(id, at: world.now, in: transaction) else { continue }
            try tick(task, in: transaction)
        }
        return due.count
    }

    private func tick(_ before: AgentTask, in transaction: Transaction) throws {
        let now = world.now
        var task = before
        switch task.state {
        case .scheduled:
            if let expiresAt = task.expiresAt, expiresAt <= now { return try expire(task, in: transaction) }
            task.enqueue(now: now)
            try journal.keep(&task, from: before, "task.ready", by: Principal.system.actor, in: transaction)
        case .blocked:
            try expire(task, in: transaction)
        case .ready:
            if let expiresAt = task.expiresAt, expiresAt <= now { return try expire(task, in: transaction) }
            // The agent that knew the work did not come back for it: now anybody may.
            task.preferredAgent = nil
            task.preferredUntil = nil
            try store.save(&task, in: transaction)
            let (queue, wakeups) = (task.queue, journal.wakeups)
            transaction.afterCommit { wakeups.signal(queue: queue) }
        case .claimed, .running: try tickLease(task, in: transaction)
        case .waiting: try endWait(task, in: transaction)
        default: break
        }
    }

    /// 24: nobody began in time.
    private func expire(_ before: AgentTask, in transaction: Transaction) throws {
        var task = before
        task.finish(.expired, reason: "not_started_in_time", now: world.now)
        try keepEnded(&task, from: before, "task.expired", by: .system, JSONObject(), in: transaction)
    }

    /// The three clocks of a leased task, and the one that forces a stop.
    private func tickLease(_ before: AgentTask, in transaction: Transaction) throws {
        let now = world.now
        var task = before
        let usage = task.usageNow
        if let stop = task.stopDeadline, stop <= now {
            task.forceStop(now: now)
            let end = Ending("task.preempted", .preempted, message: "stopped by force", usage: usage)
            return try keepEnded(&task, from: before, end, by: .system, in: transaction)
        }
        if let deadline = task.attemptDeadline, deadline <= now {
            task.timeOut(policy: policy, jitter: world.entropy.fraction(), now: now)
            let end = Ending("task.timed_out", .timedOut, message: "time is up", usage: usage)
            return try keepEnded(&task, from: before, end, by: .system, in: transaction)
        }
        if let deadline = task.progressDeadline, deadline <= now {
            task.stopByGuard(HoldReason.noProgress, now: now)
            let end = Ending("task.held", .preempted, message: "no progress", usage: usage)
            return try keepEnded(&task, from: before, end, by: .system, in: transaction)
        }
        guard let expiry = task.leaseExpiresAt, expiry <= now else { return }
        // A lease from before this server's start could not be extended while nobody was there to extend it.
        let graceEnd = startedAt + policy.failoverGrace
        if let granted = task.leaseGrantedAt, granted < startedAt, graceEnd > now {
            let others = [task.attemptDeadline, task.progressDeadline, task.stopDeadline].compactMap(\.self)
            return try store.postpone(task.id, until: others.reduce(graceEnd, min), in: transaction)
        }
        task.loseLease(policy: policy, now: now)
        let end = Ending("task.lease_lost", .lost, message: "the lease ran out", usage: usage)
        try keepEnded(&task, from: before, end, by: .system, in: transaction)
    }

    /// 10: nobody answered in time; the declared fallback does, or the task is set aside for a person.
    private func endWait(_ before: AgentTask, in transaction: Transaction) throws {
        var task = before
        if task.wait["kind"]?.string == WaitKind.timer.rawValue {
            task.resolveWait(answer: .null, policy: policy, now: world.now)
        } else if let fallback = task.wait["fallback"] {
            task.resolveWait(answer: fallback, policy: policy, now: world.now)
        } else {
            task.waitUntil = nil
            task.owner = nil
            task.hold("wait_timed_out", now: world.now)
            return try journal.keep(&task, from: before, "task.held", by: Principal.system.actor, in: transaction)
        }
        try journal.keep(&task, from: before, "task.resumed", by: Principal.system.actor, in: transaction)
    }

    /// Forgets finished tasks past their time with all that is theirs, and lanes that nobody stands in; returns how
    /// many tasks there were.
    public func purge(in transaction: Transaction) throws -> Int {
        try store.sweepLanes(limit: Self.sweepMax, in: transaction)
        let ids = try store.finished(
            before: world.now - policy.finishedRetention, limit: Self.sweepMax, in: transaction)
        guard !ids.isEmpty else { return 0 }
        try deliverables.forget(of: ids, in: transaction)
        try store.forget(ids, in: transaction)
        return ids.count
    }

    /// Removes the contents that no deliverable has any more; returns how many were looked at. It runs in a
    /// transaction of its own behind the one that forgot the deliverables: content that is gone is never referred to.
    func removeContents(_ blobs: any Blobs, others: any BlobUse, in transaction: Transaction) throws -> Int {
        let left = try deliverables.contentsLeft(limit: Self.sweepMax, in: transaction)
        for content in left where !content.isUsed {
            if try !others.uses(content.sha256, in: transaction) { try blobs.remove(content.sha256) }
        }
        try deliverables.settleContents(left.map(\.sha256), in: transaction)
        return left.count
    }
}
