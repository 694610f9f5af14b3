import Kernel

/// What holds after every step, whatever happened: the invariants I1 to I11 of the state machine, checked on what the
/// store holds. (I12, that a crash leaves the state before or behind a request, is checked where faults are planted.)
struct Invariants {
    let before: StoreSnapshot
    let after: StoreSnapshot
    private(set) var violations: [String] = []

    private static let terminal: Set<String> = ["done", "failed", "canceled", "expired", "skipped"]
    private static let leased: Set<String> = ["claimed", "running"]

    init(before: StoreSnapshot, after: StoreSnapshot) {
        self.before = before
        self.after = after
        checkEvents()
        for (id, task) in after.tasks {
            let state = task.text("state")
            checkLease(id, task, state)
            checkCompletions(id, task)
            checkDependencies(id, task, state)
            checkWakeUp(id, task, state)
            checkBudget(id, task, state)
            checkReviews(id, task, state)
            if let earlier = before.tasks[id] { checkMove(id, from: earlier, to: task, state) }
        }
        for id in before.tasks.keys where after.tasks[id] == nil { violate("I5", "\(id) is gone") }
        checkConcurrencyKeys()
    }

    private mutating func violate(_ invariant: String, _ text: String) { violations.append("\(invariant): \(text)") }

    /// I1: at most one lease, and it is the one that the task names.
    private mutating func checkLease(_ id: String, _ task: StoreSnapshot.Record, _ state: String) {
        let open = (after.attempts[id] ?? []).filter { Self.leased.contains($0.text("state")) }
        guard Self.leased.contains(state) else {
            if !open.isEmpty { violate("I1", "\(id) is \(state) and has an attempt that runs") }
            return
        }
        let isItsOwn =
            open.count == 1 && open[0].int("fence") == task.int("fence")
            && open[0].text("agent") == task.text("owner") && open[0].text("state") == state
        if !isItsOwn { violate("I1", "\(id) is \(state) under fence \(task.int("fence")), its attempts: \(open)") }
    }

    /// I2: one accepted result. Whatever goes to review first, and a worker may ask for one unbidden, is one result in
    /// each round.
    private mutating func checkCompletions(_ id: String, _ task: StoreSnapshot.Record) {
        let succeeded = (after.attempts[id] ?? []).count { $0.text("state").hasSuffix("succeeded") }
        if succeeded > 1 {
            let submitted = after.events.count {
                $0.optionalText("task_id") == id && $0.text("type") == "task.submitted"
            }
            if succeeded - submitted > 1 { violate("I2", "\(id) was completed \(succeeded - submitted) times") }
        }
        let isFinished = after.finished.contains(id)
        if isFinished != Self.terminal.contains(task.text("state")) { violate("I5", "\(id) is in the wrong table") }
    }

    /// I3, I5, I10: fences only rise, what has ended stays as it is, what is to stop does not begin again.
    private mutating func checkMove(
        _ id: String, from earlier: StoreSnapshot.Record, to task: StoreSnapshot.Record, _ state: String
    ) {
        let (fenceBefore, fence) = (earlier.int("fence"), task.int("fence"))
        if fence < fenceBefore { violate("I3", "the fence of \(id) fell from \(fenceBefore) to \(fence)") }
        if task.int("claims") > earlier.int("claims"), fence <= fenceBefore {
            violate("I3", "\(id) changed hands under fence \(fence)")
        }
        let news = after.events[before.events.count...].filter { $0.optionalText("task_id") == id }.map {
            $0.text("type")
        }
        if news == ["task.lease_lost"], fence != fenceBefore { violate("I3", "an expiry moved the fence of \(id)") }
        if Self.terminal.contains(earlier.text("state")), task != earlier {
            violate("I5", "\(id) had ended and changed")
        }
        if earlier.optionalInt("cancel_requested_at") != nil {
            let isStopping = Self.leased.contains(state) && task.optionalInt("cancel_requested_at") != nil
            let hasEnded = ["canceled", "done", "in_review"].contains(state)
            if !isStopping && !hasEnded { violate("I10", "\(id) was to be canceled and is \(state)") }
        }
        if task != earlier, news.isEmpty, task.text("state") != earlier.text("state") {
            violate("I9", "\(id) went from \(earlier.text("state")) to \(state) without an event")
        }
    }

    /// I6: nothing waits for nobody.
    private mutating func checkWakeUp(_ id: String, _ task: StoreSnapshot.Record, _ state: String) {
        let wakeAt = task.optionalInt("wake_at")
        let edges = after.edges[id] ?? []
        switch state {
        case "scheduled", "claimed", "running":
            if wakeAt == nil { violate("I6", "\(id) is \(state) and nothing wakes it") }
        case "blocked":
            let waitsForSomebody = edges.contains { edge in
                guard edge.text("state") == "pending", let parent = after.tasks[edge.text("depends_on")] else {
                    return false
                }
                return !Self.terminal.contains(parent.text("state"))
            }
            if !waitsForSomebody { violate("I6", "\(id) is blocked by nothing that lives") }
        case "ready":
            let isPreferred = task.optionalText("preferred_agent") != nil
            if isPreferred, wakeAt == nil { violate("I6", "\(id) is kept for one agent for ever") }
            let holds = after.holds[id] ?? []
            if Int64(holds.count) != task.int("hold_count") {
                violate("I6", "\(id) counts its holds wrongly: \(holds)")
            }
        default: break
        }
        if Self.leased.contains(state), task.optionalInt("lease_expires_at") == nil {
            violate("I6", "\(id) has no lease")
        }
    }

    /// A task that waits for its concurrency key waits for one that goes first.
    private mutating func checkConcurrencyKeys() {
        var byKey: [String: [(id: String, state: String, isHeld: Bool)]] = [:]
        for (id, task) in after.tasks {
            guard let key = task.optionalText("concurrency_key") else { continue }
            let isHeld = after.holds[id]?.contains("concurrency_key") ?? false
            byKey[key, default: []].append((id, task.text("state"), isHeld))
        }
        for (key, tasks) in byKey {
            let first = tasks.filter { Self.leased.contains($0.state) || ($0.state == "ready" && !$0.isHeld) }
            if first.count > 1 { violate("I1", "\(first.map(\.id)) go at once under the key \(key)") }
            if first.isEmpty, let stuck = tasks.first(where: { $0.state == "ready" }) {
                violate("I6", "\(stuck.id) waits for the key \(key), which nobody has")
            }
        }
    }

    /// I7: what runs is within its budget: the one report that passed it was the last.
    private mutating func checkBudget(_ id: String, _ task: StoreSnapshot.Record, _ state: String) {
        guard Self.leased.contains(state), let budget = Self.json(task["budget"])["tokens"]?.int else { return }
        let used = ["usage_before", "usage_now"].reduce(Int64(0)) { sum, column in
            let usage = Self.json(task[column])
            return sum + (usage["inputTokens"]?.int ?? 0) + (usage["outputTokens"]?.int ?? 0)
        }
        if used > budget { violate("I7", "\(id) runs on with \(used) of \(budget) tokens used") }
    }

    private static func json(_ value: SQLValue?) -> JSONValue {
        guard case .text(let text)? = value else { return .null }
        return (try? JSONParser.parse(text, depthMax: 64)) ?? .null
    }

    /// I8: what is under review, and what a verdict was given on, is what was delivered.
    private mutating func checkReviews(_ id: String, _ task: StoreSnapshot.Record, _ state: String) {
        let digest = Self.digest(of: after.deliverables[id] ?? [])
        if state == "in_review", task.optionalText("submission_sha256") != digest {
            violate(
                "I8", "\(id) is reviewed as \(task.text("submission_sha256")) and was delivered as \(digest ?? "-")")
        }
        let known = before.reviews[id]?.count ?? 0
        for review in (after.reviews[id] ?? []).dropFirst(known) where review.text("sha256") != digest {
            violate("I8", "\(id) got a verdict on content that it does not have")
        }
    }

    /// The digest of a submission, as the interface defines it.
    static func digest(of deliverables: [StoreSnapshot.Record]) -> String? {
        let newest = Dictionary(deliverables.map { ($0.text("name"), $0.text("sha256")) }, uniquingKeysWith: { $1 })
        guard newest.count != 1 else { return newest.values.first }
        guard !newest.isEmpty else { return nil }
        return Digest.sha256(newest.map { "\($0.key) \($0.value)" }.sorted().joined(separator: "\n"))
    }

    /// I9: numbers without a gap, nothing rewritten, each task's own numbers in the same order.
    private mutating func checkEvents() {
        guard after.events.count >= before.events.count else { return violate("I9", "events are gone") }
        let overlap = max(0, before.events.count - 20)
        if before.events[overlap...] != after.events[overlap..<before.events.count] {
            violate("I9", "an event changed")
        }
        var counts: [String: Int64] = [:]
        for (index, event) in after.events.enumerated() {
            if event.int("seq") != Int64(index) + 1 {
                violate("I9", "event \(index + 1) has the number \(event.int("seq"))")
            }
            guard let id = event.optionalText("task_id") else { continue }
            counts[id, default: 0] += 1
            if event.int("task_seq") != counts[id] { violate("I9", "event \(index + 1) is out of its task's order") }
        }
        for (id, task) in after.tasks where task.int("event_count") != counts[id] {
            violate("I9", "\(id) counts \(task.int("event_count")) events and has \(counts[id] ?? 0)")
        }
    }

    /// I11: blocked exactly while something that it depends on has not ended.
    private mutating func checkDependencies(_ id: String, _ task: StoreSnapshot.Record, _ state: String) {
        let pending = (after.edges[id] ?? []).count { $0.text("state") == "pending" && $0.int("is_child") == 0 }
        let mustBeFree = ["ready", "scheduled", "claimed", "running", "in_review", "waiting", "done"].contains(state)
        if state == "blocked", pending == 0 || task.int("pending_dependencies") != Int64(pending) {
            violate("I11", "\(id) is blocked by \(pending), and counts \(task.int("pending_dependencies"))")
        }
        if mustBeFree, pending > 0 { violate("I11", "\(id) is \(state) and \(pending) of its parents have not ended") }
    }
}
