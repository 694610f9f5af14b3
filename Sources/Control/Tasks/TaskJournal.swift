import Kernel

/// Writes what became of a task: its row, its event with the task's own number, and the word to whoever waits. Every
/// change of a task goes through here, so none can be without its event.
struct TaskJournal: Sendable {
    let store: TaskStore
    let events: Events
    let agents: AgentService
    var caps: (any TaskCaps)?
    /// Where tasks are told of as spans; `nil` where nobody looks.
    var spans: TaskSpans?
    let wakeups: Wakeups
    let world: World

    /// Keeps `task` as it now stands, with one event that says how it came there.
    ///
    /// - Parameter isFollowed: whether another change comes in the same transaction, which then writes the row.
    func keep(
        _ task: inout AgentTask, from before: AgentTask?, _ type: String, by actor: String,
        _ data: JSONObject = JSONObject(), isFollowed: Bool = false, in transaction: Transaction
    ) throws {
        task.eventCount += 1
        var document = data
        if let before, before.state != task.state { document["from"] = .string(before.state.rawValue) }
        document["to"] = .string(task.state.rawValue)
        if let reason = task.reason, document["reason"] == nil { document["reason"] = .string(reason) }
        if task.fence > 0 { document["fence"] = .int(task.fence) }
        if task.state == .claimed, before?.state != .claimed {
            document["traceparent"] = .string(task.attemptContext(task.fence).traceparent)
        }
        document["queue"] = .string(task.queue)
        document["title"] = .string(task.title)
        if let model = task.model, task.state.isLeased || before == nil { document["model"] = .string(model) }
        if before == nil {
            try store.insert(&task, in: transaction)
        } else if !isFollowed {
            try store.save(&task, in: transaction)
        }
        try events.append(
            EventDraft(
                type, actor: actor, project: task.project, agent: task.owner ?? before?.owner, taskID: task.id.text,
                taskSeq: task.eventCount, correlationID: task.correlationID, data: .object(document)),
            in: transaction)
        if let spans { tell(spans, of: task, from: before, type, document, in: transaction) }
        if let budget = task.budget { try settleCap(budget, of: task, from: before, in: transaction) }
        try settle(&task, from: before, in: transaction)
    }

    private func tell(
        _ spans: TaskSpans, of task: AgentTask, from before: AgentTask?, _ type: String, _ data: JSONObject,
        in transaction: Transaction
    ) {
        if task.state == .claimed, before?.state != .claimed {
            // As the attempt's row has it.
            spans.claimed(task, at: task.leaseGrantedAt ?? world.now, in: transaction)
        } else if type == "task.deliverable_sealed" {
            spans.sealed(data, of: task, at: world.now, in: transaction)
        } else if let verdict = data["verdict"]?.string {
            spans.reviewed(task, verdict, at: world.now, in: transaction)
        }
    }

    /// The budget's cap on model calls is there with the task, and known wherever its worker is.
    private func settleCap(
        _ budget: TaskBudget, of task: AgentTask, from before: AgentTask?, in transaction: Transaction
    ) throws {
        guard let caps, budget.capsCalls else { return }
        if before == nil {
            try caps.taskBegan(task.id, budget, by: task.createdBy, in: transaction)
        } else if task.state == .claimed, before?.state != .claimed {
            try caps.taskWasClaimed(task.id, in: transaction)
        } else if task.state.isTerminal, before?.state.isTerminal == false {
            try caps.taskEnded(task.id, in: transaction)
        }
    }

    /// What follows from a change of state: keys free up, agents' work changes, waiting claims wake.
    private func settle(_ task: inout AgentTask, from before: AgentTask?, in transaction: Transaction) throws {
        if task.concurrencyKey != nil { try settleConcurrencyKey(&task, from: before, in: transaction) }
        try settleWorkload(of: task, from: before, in: transaction)
        // A slot that came free may be what a limited queue waited for.
        let freesSlot = before.map { $0.state.isLeased && !task.state.isLeased } ?? false
        if freesSlot || (task.state == .ready && task.holdCount == 0) {
            let queue = task.queue
            let wakeups = wakeups
            transaction.afterCommit { wakeups.signal(queue: queue) }
        }
    }

    /// An agent's status follows from how many tasks it has under lease, and how many it has parked.
    private func settleWorkload(of task: AgentTask, from before: AgentTask?, in transaction: Transaction) throws {
        let isAlike =
            before?.owner == task.owner && before?.state.isLeased == task.state.isLeased
            && (before?.state == .waiting) == (task.state == .waiting)
        guard !isAlike else { return }
        for owner in Set([before?.owner, task.owner].compactMap(\.self)).sorted() {
            try agents.workloadChanged(owner, in: transaction)
        }
    }

    /// At most one task of a concurrency key is ready without hold, or leased: the others wait under a hold, and the
    /// first of them is let go when that one leaves.
    private func settleConcurrencyKey(
        _ task: inout AgentTask, from before: AgentTask?, in transaction: Transaction
    ) throws {
        guard let key = task.concurrencyKey else { return }
        if task.state == .ready, before?.state != .ready,
            try store.keyHolder(key, except: task.id, in: transaction) != nil
        {
            let reason = "another task with the key \"\(key)\" goes first"
            if try store.addHold(
                .concurrencyKey, reason: reason, actor: Principal.system.actor, on: task.id, now: world.now,
                in: transaction)
            {
                task.holdCount += 1
                try store.save(&task, in: transaction)
            }
            return
        }
        let occupied = before.map { $0.state == .ready || $0.state.isLeased } ?? false
        let occupies = task.state == .ready || task.state.isLeased
        guard occupied, !occupies else { return }
        if try store.removeHold(.concurrencyKey, on: task.id, in: transaction), !task.state.isTerminal {
            task.holdCount -= 1
            try store.save(&task, in: transaction)
        }
        guard try store.keyHolder(key, except: task.id, in: transaction) == nil,
            var next = try store.keyWaiter(key, in: transaction)
        else { return }
        let waiting = next
        _ = try store.removeHold(.concurrencyKey, on: next.id, in: transaction)
        next.holdCount -= 1
        var data = JSONObject()
        data["hold"] = .string(TaskHold.concurrencyKey.rawValue)
        try keep(&next, from: waiting, "task.hold_lifted", by: Principal.system.actor, data, in: transaction)
    }

    /// 6: the first fenced write starts the attempt.
    func startAttempt(of task: AgentTask, in transaction: Transaction) throws {
        try store.startAttempt(of: task.id, fence: task.fence, at: world.now, in: transaction)
    }

    /// Ends the row of the attempt that has this task's lease, or had it last.
    func endAttempt(of task: AgentTask, fence: Int64, _ end: AttemptEnd, in transaction: Transaction) throws {
        try spans?.ended(task, fence: fence, end, at: world.now, in: transaction) {
            try store.attempt(of: task.id, fence: fence, in: transaction)
        }
        try store.end(end, at: world.now, attemptOf: task.id, fence: fence, in: transaction)
    }
}
