/// The state machine of tasks a second time, in memory and in words of its own: what the services must do, told by
/// whoever did not write them. It shares no code with them, so that a mistake would have to be made twice.
///
/// What it cannot know (which of several tasks a claim picks, the jitter of a retry) it takes from the reply, once it
/// has checked that the reply is among those that are allowed. Times are microseconds.
struct TaskModel {
    struct Rules {
        let cancelGrace: Int64 = 30_000_000
        let affinity: Int64 = 60_000_000
        let failoverGrace: Int64 = 30_000_000
        let leaseLossesMax = 3
    }

    /// What a task was made with.
    struct Request {
        var project = "default"
        var queue = "default"
        var requires: Set<String> = []
        var pinned: String?
        var approvals = 0
        var roundsMax = 3
        var tokens: Int64?
        var maxAttempts = 3
        var lease: Int64 = 60_000_000
        var startWithin: Int64 = 60_000_000
        var timeout: Int64 = 14_400_000_000
        var progressWithin: Int64?
        var startBy: Int64?
        var scheduledFor: Int64?
        var uniqueKey: String?
        var concurrencyKey: String?
        var onLeaseLost = "retry"
        var onExhausted = "hold"
        /// Parents by id, with what becomes of the task if one ends otherwise than done.
        var parents: [(id: String, ifUnmet: String)] = []
        var supersedes: String?
    }

    struct Wait {
        var kind: String
        var until: Int64?
        var hasFallback = false
        var children: Set<String> = []
        var token: String?
    }

    struct Item {
        var request: Request
        var state = "ready"
        var reason: String?
        var fence: Int64 = 0
        var attempts = 0
        var maxAttempts: Int
        var leaseLosses = 0
        var reviewRounds = 0
        /// Parents that have not ended.
        var pending: Set<String> = []
        var holds: Set<String> = []
        var owner: String?
        /// Agents that ever held it, and the last of them.
        var workers: Set<String> = []
        var lastWorker: String?
        var pinned: String?
        var preferred: String?
        var preferredUntil: Int64?
        var scheduledFor: Int64?
        var hasStarted = false
        var granted: Int64?
        var leaseEnd: Int64?
        var attemptEnd: Int64?
        var progressEnd: Int64?
        var stopEnd: Int64?
        var isCancelAsked = false
        var isPauseAsked = false
        /// Whether the last owner may still hand in a result.
        var isLateWelcome = false
        var wait: Wait?
        /// Names of deliverables and the digest of the newest of each.
        var made: [String: String] = [:]
        var submission: String?
        /// Keys that approved the submission in this round.
        var approvers: Set<String> = []
        var tokensBefore: Int64 = 0
        var tokensNow: Int64 = 0

        var isLeased: Bool { state == "claimed" || state == "running" }
        var isTerminal: Bool { ["done", "failed", "canceled", "expired", "skipped"].contains(state) }
        var startBy: Int64? { hasStarted ? nil : request.startBy }
    }

    let rules = Rules()
    var now: Int64
    /// When the server began: leases from before have a grace.
    var serverStart: Int64
    var items: [String: Item] = [:]
    /// Ids in the order in which they were made.
    var order: [String] = []
    var pausedQueues: Set<String> = []
    var pausedProjects: Set<String> = []
    var concurrency: [String: Int] = [:]
    var capabilities: [String: Set<String>] = [:]
    var pausedAgents: Set<String> = []

    init(now: Int64) {
        self.now = now
        serverStart = now
    }

    /// A mistake of the services: what they did is not allowed.
    struct Disagreement: Error, CustomStringConvertible {
        let description: String
    }

    // MARK: Making

    mutating func create(_ id: String, _ request: Request) {
        var item = Item(request: request, maxAttempts: request.maxAttempts)
        item.pinned = request.pinned
        item.scheduledFor = request.scheduledFor
        item.pending = Set(request.parents.map(\.id).filter { items[$0]?.state != "done" })
        items[id] = item
        order.append(id)
        enqueue(id)
        for parent in request.parents where items[parent.id]?.isTerminal == true && items[parent.id]?.state != "done" {
            conclude(parent.id)
        }
    }

    /// The living task with this unique key.
    func living(uniqueKey: String, project: String) -> String? {
        order.first { id in
            guard let item = items[id], !item.isTerminal else { return false }
            return item.request.uniqueKey == uniqueKey && item.request.project == project
        }
    }

    mutating func enqueue(_ id: String) {
        guard var item = items[id] else { return }
        item.owner = nil
        if !item.pending.isEmpty {
            item.state = "blocked"
        } else if let time = item.scheduledFor, time > now {
            item.state = "scheduled"
        } else {
            item.state = "ready"
            item.scheduledFor = nil
        }
        items[id] = item
    }

    mutating func finish(_ id: String, _ state: String) {
        items[id]?.state = state
        items[id]?.isLateWelcome = false
        items[id]?.wait?.until = nil
        conclude(id)
    }

    /// What follows for others when a task has ended.
    mutating func conclude(_ ended: String) {
        var worklist = [ended]
        while let parent = worklist.popLast() {
            let isDone = items[parent]?.state == "done"
            for id in order {
                settleChild(parent, of: id)
                guard items[id]?.pending.contains(parent) == true, let item = items[id], !item.isTerminal else {
                    continue
                }
                let ifUnmet = item.request.parents.first { $0.id == parent }?.ifUnmet ?? "hold"
                guard item.state == "blocked" else {
                    items[id]?.pending.remove(parent)
                    continue
                }
                items[id]?.pending.remove(parent)
                if isDone || ifUnmet == "run" {
                    if items[id]?.pending.isEmpty == true { enqueue(id) }
                } else if ifUnmet == "hold" {
                    items[id]?.state = "held"
                    items[id]?.reason = "dependency_unmet"
                } else {
                    items[id]?.state = ifUnmet == "skip" ? "skipped" : "failed"
                    worklist.append(id)
                }
            }
        }
    }

    private mutating func settleChild(_ ended: String, of id: String) {
        guard items[id]?.wait?.children.contains(ended) == true else { return }
        items[id]?.wait?.children.remove(ended)
        if items[id]?.state == "waiting", items[id]?.wait?.children.isEmpty == true { resolveWait(id) }
    }

    mutating func resolveWait(_ id: String) {
        let worker = items[id]?.owner
        items[id]?.wait = nil
        enqueue(id)
        prefer(worker, for: id)
    }

    mutating func prefer(_ agent: String?, for id: String) {
        guard let agent, items[id]?.state == "ready", items[id]?.pinned == nil else { return }
        items[id]?.preferred = agent
        items[id]?.preferredUntil = now + rules.affinity
    }

    // MARK: Claiming

    /// Whether an agent may be handed this task now, the queue's concurrency and concurrency keys aside.
    func isClaimable(_ id: String, by agent: String) -> Bool {
        guard let item = items[id], item.state == "ready", item.holds.isEmpty else { return false }
        guard !pausedQueues.contains(item.request.queue), !pausedProjects.contains(item.request.project) else {
            return false
        }
        let wanted = item.preferred ?? item.pinned
        return !pausedAgents.contains(agent) && (wanted == nil || wanted == agent)
            && item.request.requires.isSubset(of: capabilities[agent] ?? [])
    }

    func leasedCount(_ queue: String) -> Int {
        items.values.count { $0.request.queue == queue && $0.isLeased }
    }

    private func holdsKey(_ key: String) -> Bool {
        items.values.contains { $0.request.concurrencyKey == key && $0.isLeased }
    }

    /// Takes over what a claim returned, or says why it must not have been.
    mutating func claimed(_ ids: [String], by agent: String, queues: [String], limit: Int) throws(Disagreement) {
        for id in ids {
            guard let item = items[id] else { throw Disagreement(description: "\(id) was never made") }
            guard queues.contains(item.request.queue), isClaimable(id, by: agent) else {
                throw Disagreement(description: "\(id) is \(item.state) and not for \(agent) now")
            }
            if let most = concurrency[item.request.queue], leasedCount(item.request.queue) >= most {
                throw Disagreement(description: "\(id) is one more than the queue's concurrency of \(most)")
            }
            if let key = item.request.concurrencyKey, holdsKey(key) {
                throw Disagreement(description: "\(id) shares its concurrency key with one that is leased")
            }
            take(id, by: agent)
        }
        guard ids.count < limit else { return }
        let missed = order.first { id in
            guard let item = items[id], queues.contains(item.request.queue), isClaimable(id, by: agent) else {
                return false
            }
            if let most = concurrency[item.request.queue], leasedCount(item.request.queue) >= most { return false }
            return item.request.concurrencyKey == nil
        }
        if let missed { throw Disagreement(description: "\(missed) was ready for \(agent) and was not handed out") }
    }

    private mutating func take(_ id: String, by agent: String) {
        guard var item = items[id] else { return }
        item.state = "claimed"
        item.reason = nil
        item.fence += 1
        item.owner = agent
        item.workers.insert(agent)
        item.lastWorker = agent
        item.preferred = nil
        item.preferredUntil = nil
        item.isLateWelcome = false
        item.granted = now
        item.leaseEnd = now + min(item.request.startWithin, item.request.lease)
        item.tokensNow = 0
        items[id] = item
    }
}
