import Kernel
import TestSupport

/// What people do, and how everything is brought to its end.
extension Simulation {
    mutating func review() async throws {
        let open = model.order.filter { model.items[$0]?.state == "in_review" }
        let isStray = chance.happens(0.1)
        guard let id = isStray ? chance.pickAny(model.order) : chance.pickAny(open),
            let reviewer = chance.pickAny(Self.reviewers)
        else { return }
        let verdict = chance.pickAny(["approve", "approve", "approve", "changes", "changes", "reject"]) ?? "approve"
        let current = model.items[id]?.submission ?? Digest.sha256([])
        let sha256 = chance.happens(0.9) ? current : Digest.sha256(Array("something else".utf8))
        try await review(id, verdict, sha256: sha256, by: reviewer)
    }

    private mutating func review(_ id: String, _ verdict: String, sha256: String, by reviewer: Principal) async throws {
        let body: JSONValue = ["verdict": .string(verdict), "sha256": .string(sha256), "comment": "looked at"]
        try await send("/api/v1/tasks/\(id)/review", body, by: reviewer) { model, _, _ in
            model.review(id, verdict, sha256: sha256, by: reviewer.keyID)
        }
    }

    mutating func operate() async throws {
        switch chance.below(12) {
        case 0..<7:
            guard let id = chance.pickAny(model.order) else { return }
            try await operate(on: id)
        case 7: try await pauseOrResume("queues", chance.pickAny(Self.queues) ?? "default")
        case 8: try await pauseOrResume("projects", chance.pickAny(Self.projects) ?? "default")
        case 9: try await pauseOrResume("agents", chance.pickAny(Self.agents) ?? "alpha")
        case 10: try await limit(chance.pickAny(Self.queues) ?? "default", to: chance.pickAny([nil, 1, 2]) ?? nil)
        default: try await requeueMany()
        }
    }

    private mutating func operate(on id: String) async throws {
        let path = "/api/v1/tasks/\(id)"
        switch chance.below(6) {
        case 0: try await send("\(path)/cancel", by: Self.operatorKey) { model, _, _ in model.cancel(id) }
        case 1: try await send("\(path)/hold", by: Self.operatorKey) { model, _, _ in model.hold(id) }
        case 2: try await resume(id)
        case 3, 4: try await retry(id)
        default:
            let agent = chance.happens(0.5) ? chance.pickAny(Self.agents) : nil
            try await send("\(path)/reassign", ["agent": .of(agent)], by: Self.operatorKey) { model, _, _ in
                model.reassign(id, to: agent)
            }
        }
    }

    private mutating func resume(_ id: String) async throws {
        var token = model.items[id]?.wait?.token
        if chance.happens(0.3) { token = nil }
        if chance.happens(0.1) { token = "not the token" }
        var body = JSONObject()
        if let token { body["token"] = .string(token) }
        try await send("/api/v1/tasks/\(id)/resume", .object(body), by: Self.operatorKey) { [token] model, _, _ in
            model.resume(id, token: token)
        }
    }

    private mutating func retry(_ id: String) async throws {
        try await send("/api/v1/tasks/\(id)/retry", by: Self.operatorKey) { model, reply, _ in
            model.retry(id, successor: reply.json["id"]?.string)
        }
    }

    private mutating func pauseOrResume(_ kind: String, _ name: String) async throws {
        let isPaused: Bool =
            switch kind {
            case "queues": model.pausedQueues.contains(name)
            case "projects": model.pausedProjects.contains(name)
            default: model.pausedAgents.contains(name)
            }
        try await setPaused(!isPaused, kind, name)
    }

    private mutating func setPaused(_ isPaused: Bool, _ kind: String, _ name: String) async throws {
        let verb = isPaused ? "pause" : "resume"
        try await send("/api/v1/\(kind)/\(name)/\(verb)", ["reason": "drill"], by: Self.operatorKey) {
            model, reply, _ in
            guard reply.status != 404 else { return "not_found" }
            func change(_ names: inout Set<String>) {
                if isPaused { names.insert(name) } else { names.remove(name) }
            }
            switch kind {
            case "queues": change(&model.pausedQueues)
            case "projects": change(&model.pausedProjects)
            default: change(&model.pausedAgents)
            }
            return "ok"
        }
    }

    private mutating func limit(_ queue: String, to count: Int?) async throws {
        let body: JSONValue = ["concurrency": count.map { .int(Int64($0)) } ?? .null]
        try await send("/api/v1/queues/\(queue)", body, by: Self.operatorKey, method: .patch) { model, reply, _ in
            guard reply.status != 404 else { return "not_found" }
            model.concurrency[queue] = count
            return "ok"
        }
    }

    private mutating func requeueMany() async throws {
        let ids = model.order.filter { model.items[$0]?.state == "held" }
        guard !ids.isEmpty else { return }
        try await send("/api/v1/tasks/requeue", ["ids": .list(ids)], by: Self.operatorKey) { model, _, _ in
            for id in ids { model.requeue(id) }
            return "ok"
        }
    }

    // MARK: The end

    /// Everything that is paused goes on, and a fleet that makes no mistakes works until every task has ended. That it
    /// does shows that none was left where nobody would ever find it.
    mutating func finishEverything() async throws {
        trace.append("\(step) the healthy fleet takes over")
        for name in model.pausedQueues.sorted() { try await setPaused(false, "queues", name) }
        for name in model.pausedProjects.sorted() { try await setPaused(false, "projects", name) }
        for name in model.pausedAgents.sorted() { try await setPaused(false, "agents", name) }
        for queue in model.concurrency.keys.sorted() { try await limit(queue, to: nil) }
        for _ in 0..<60 {
            step += 1
            let living = model.order.filter { model.items[$0]?.isTerminal == false }
            if living.isEmpty { return }
            for id in living { try await push(id) }
            for agent in Self.agents { try await workHonestly(agent) }
            try await pass(.seconds(Int64(61)))
        }
        let stuck = model.order.filter { model.items[$0]?.isTerminal == false }
        throw fail(["a healthy fleet cannot finish \(stuck.map { "\($0) (\(model.items[$0]?.state ?? ""))" })"])
    }

    /// What a person would do for a task that does not move by itself.
    private mutating func push(_ id: String) async throws {
        guard let item = model.items[id] else { return }
        if !item.holds.isEmpty || item.state == "waiting" {
            try await send("/api/v1/tasks/\(id)/resume", by: Self.operatorKey) { model, _, _ in
                model.resume(id, token: nil)
            }
        }
        switch model.items[id]?.state {
        // Nobody at all may take it: it is for an agent that cannot do it.
        case "ready" where !Self.agents.contains(where: { model.isClaimable(id, by: $0) }) && item.pinned != nil:
            try await send("/api/v1/tasks/\(id)/reassign", ["agent": .null], by: Self.operatorKey) { model, _, _ in
                model.reassign(id, to: nil)
            }
        case "held" where item.reason == "budget":
            try await send("/api/v1/tasks/\(id)/cancel", by: Self.operatorKey) { model, _, _ in model.cancel(id) }
        case "held": try await retry(id)
        case "in_review":
            for reviewer in Self.reviewers where model.items[id]?.state == "in_review" {
                try await review(id, "approve", sha256: model.items[id]?.submission ?? "", by: reviewer)
            }
        default: break
        }
    }

    private mutating func workHonestly(_ agent: String) async throws {
        hands[agent] = []
        try await claim(agent, queues: Self.queues, limit: 20, isHeard: true)
        for lease in hands[agent] ?? [] {
            if (model.items[lease.id]?.request.approvals ?? 0) > 0 { try await deliver(agent, lease) }
            try await finish(agent, lease, isRight: true)
        }
    }
}
