import Kernel
import TestSupport

/// What can happen in one step.
extension Simulation {
    mutating func takeStep() async throws {
        switch chance.below(100) {
        case 0..<13: try await createTask()
        case 13..<17: try await createGraph()
        case 17..<33: try await claim()
        case 33..<59: try await work()
        case 59..<64: try await haunt()
        case 64..<68: try await repeatSomething()
        case 68..<76: try await review()
        case 76..<86: try await operate()
        case 86..<88: crash()
        case 88..<90: try await restart()
        default: try await letTimePass()
        }
    }

    private mutating func letTimePass() async throws {
        let isNoticed = chance.happens(0.8)
        switch chance.below(12) {
        case 0..<5: try await pass(.milliseconds(Int64(chance.below(3_000))), isNoticed: isNoticed)
        case 5..<8: try await pass(.seconds(Int64(5 + chance.below(60))), isNoticed: isNoticed)
        case 8..<10: try await pass(.minutes(Int64(1 + chance.below(10))), isNoticed: isNoticed)
        case 10: try await pass(.hours(Int64(1 + chance.below(6))), isNoticed: isNoticed)
        // The machine's clock is set back.
        default: try await pass(.seconds(-Int64(chance.below(90))), isNoticed: isNoticed)
        }
    }

    mutating func introduce(_ agent: String) async throws {
        let capabilities: [String] = agent == "gamma" ? ["gpu"] : []
        model.capabilities[agent] = Set(capabilities)
        let body: JSONValue = ["type": "agent.heartbeat", "capabilities": .list(capabilities)]
        try await send("/api/events/ingest", body, by: Self.key(of: agent)) { _, _, _ in "ok" }
    }

    // MARK: Making tasks

    private mutating func createTask() async throws {
        let (body, request) = drawTask()
        try await send("/api/v1/tasks", body, by: Self.operatorKey) { model, reply, _ in
            guard let id = reply.json["id"]?.string else { return "ok" }
            if let key = request.uniqueKey, let living = model.living(uniqueKey: key, project: request.project) {
                guard living == id else {
                    throw TaskModel.Disagreement(description: "\(living) has the unique key, and \(id) was returned")
                }
            } else {
                model.create(id, request)
            }
            return "ok"
        }
    }

    private mutating func createGraph() async throws {
        var items: [JSONValue] = []
        var requests: [TaskModel.Request] = []
        for index in 0..<(2 + chance.below(3)) {
            var (body, request) = drawTask(isAlone: false)
            var object = body.object ?? JSONObject()
            object["ref"] = .string("t\(index)")
            let parents = (0..<index).filter { _ in chance.happens(0.5) }
            let policies = parents.map { _ in chance.pickAny(["hold", "skip", "fail", "run"]) ?? "hold" }
            object["dependsOn"] = .array(
                zip(parents, policies).map { ["task": .string("t\($0)"), "ifUnmet": .string($1)] })
            request.parents = zip(parents, policies).map { ("\($0)", $1) }
            items.append(.object(object))
            requests.append(request)
        }
        // A circle through the first and the last is refused whole.
        let isCircle = chance.happens(0.1)
        if isCircle, var first = items[0].object, var last = items[items.count - 1].object {
            first["dependsOn"] = [.string("t\(items.count - 1)")]
            last["dependsOn"] = ["t0"]
            items[0] = .object(first)
            items[items.count - 1] = .object(last)
        }
        let made = requests
        try await send("/api/v1/tasks/graph", ["tasks": .array(items)], by: Self.operatorKey) { model, reply, _ in
            guard !isCircle else { return "invalid" }
            let ids = (reply.json["items"]?.array ?? []).compactMap { $0["id"]?.string }
            for (index, id) in ids.enumerated() {
                var request = made[index]
                request.parents = request.parents.map { (ids[Int($0.id) ?? 0], $0.ifUnmet) }
                model.create(id, request)
            }
            return "ok"
        }
    }

    /// A task at random, as it is sent and as the model keeps it.
    private mutating func drawTask(isAlone: Bool = true) -> (JSONValue, TaskModel.Request) {
        var request = TaskModel.Request()
        var body = JSONObject()
        request.queue = chance.pickAny(Self.queues) ?? "default"
        request.project = chance.pickAny(Self.projects) ?? "default"
        body["queue"] = .string(request.queue)
        body["project"] = .string(request.project)
        body["priority"] = .int(Int64(chance.below(200)) - 100)
        func seconds(_ name: String, _ values: [Int64]) -> Int64 {
            let value = values[chance.below(values.count)]
            body[name] = .int(value)
            return value * 1_000_000
        }
        request.lease = seconds("leaseSeconds", [1, 5, 30, 60, 600])
        request.startWithin = seconds("startSeconds", [1, 20, 60])
        if chance.happens(0.3) { request.timeout = seconds("timeoutSeconds", [20, 120, 1_000]) }
        if chance.happens(0.2) { request.progressWithin = seconds("progressSeconds", [10, 90]) }
        request.maxAttempts = 1 + chance.below(3)
        body["maxAttempts"] = .int(Int64(request.maxAttempts))
        request.onLeaseLost = chance.pickAny(["retry", "retry", "retry", "hold", "fail"]) ?? "retry"
        body["onLeaseLost"] = .string(request.onLeaseLost)
        request.onExhausted = chance.pickAny(["hold", "fail"]) ?? "hold"
        body["onExhausted"] = .string(request.onExhausted)
        if chance.happens(0.3) {
            request.approvals = 1 + chance.below(2)
            request.roundsMax = 1 + chance.below(3)
            body["review"] = [
                "approvals": .int(Int64(request.approvals)), "maxRounds": .int(Int64(request.roundsMax)),
            ]
        }
        if chance.happens(0.15) {
            request.tokens = 1_000
            body["budget"] = ["tokens": 1_000]
        }
        if chance.happens(0.15) {
            request.requires = ["gpu"]
            body["requires"] = ["gpu"]
        }
        if chance.happens(0.1) {
            request.pinned = chance.pickAny(Self.agents)
            body["agent"] = .of(request.pinned)
        }
        if chance.happens(0.15) {
            let time = time.now + .seconds(Int64(chance.below(300)))
            request.scheduledFor = time.microseconds
            body["scheduledFor"] = time.json
        }
        if chance.happens(0.15) {
            let time = time.now + .seconds(Int64(chance.below(600)))
            request.startBy = time.microseconds
            body["startBy"] = time.json
        }
        if chance.happens(0.15) {
            request.concurrencyKey = chance.pickAny(["disk", "printer"])
            body["concurrencyKey"] = .of(request.concurrencyKey)
        }
        guard isAlone else { return (.object(body), request) }
        if chance.happens(0.15) {
            request.uniqueKey = chance.pickAny(["nightly", "weekly"])
            body["uniqueKey"] = .of(request.uniqueKey)
        }
        if chance.happens(0.25), let parent = chance.pickAny(model.order.suffix(8)) {
            let policy = chance.pickAny(["hold", "skip", "fail", "run"]) ?? "hold"
            request.parents = [(parent, policy)]
            body["dependsOn"] = [["task": .string(parent), "ifUnmet": .string(policy)]]
        }
        return (.object(body), request)
    }

    // MARK: Agents

    private mutating func claim() async throws {
        guard let agent = chance.pickAny(Self.agents) else { return }
        let queues = chance.happens(0.5) ? Self.queues : [chance.pickAny(Self.queues) ?? "default"]
        try await claim(agent, queues: queues, limit: 1 + chance.below(3), isHeard: !chance.happens(0.1))
    }

    /// - Parameter isHeard: Whether the reply reaches the agent.
    mutating func claim(_ agent: String, queues: [String], limit: Int, isHeard: Bool) async throws {
        let body: JSONValue = ["queues": .list(queues), "limit": .int(Int64(limit))]
        let reply = try await send("/api/v1/tasks/claim", body, by: Self.key(of: agent)) { model, reply, _ in
            let ids = (reply.json["items"]?.array ?? []).compactMap { $0["task"]?["id"]?.string }
            try model.claimed(ids, by: agent, queues: queues, limit: limit)
            return "ok"
        }
        for item in reply.json["items"]?.array ?? [] {
            guard let id = item["task"]?["id"]?.string, let fence = item["fence"]?.int else { continue }
            let lease = Lease(id: id, fence: fence)
            if isHeard { hands[agent, default: []].append(lease) }
            bury(agent, lease)
        }
    }

    private mutating func work() async throws {
        guard let agent = chance.pickAny(Self.agents), let lease = chance.pickAny(hands[agent] ?? []) else { return }
        try await write(agent, lease)
    }

    /// Somebody who lost a task long ago, or never had it, writes to it.
    private mutating func haunt() async throws {
        guard let ghost = chance.pickAny(graveyard) else { return }
        let agent = chance.happens(0.8) ? ghost.agent : chance.pickAny(Self.agents) ?? ghost.agent
        try await write(agent, ghost.lease)
    }

    private mutating func write(_ agent: String, _ lease: Lease) async throws {
        switch chance.below(20) {
        case 0..<5: try await beat(agent, lease)
        case 5..<8: try await deliver(agent, lease)
        case 8..<13: try await finish(agent, lease)
        case 13..<16: try await giveUp(agent, lease)
        case 16..<18: try await park(agent, lease)
        default: try await completeMany(agent)
        }
    }

    private mutating func drop(_ agent: String, _ lease: Lease) { hands[agent]?.removeAll { $0 == lease } }

    /// Whoever hears that a task is not theirs any more stops working on it.
    private mutating func heed(_ reply: SimulatedReply, _ agent: String, _ lease: Lease) {
        if !reply.isAccepted, chance.happens(0.8) { drop(agent, lease) }
    }

    private mutating func beat(_ agent: String, _ lease: Lease) async throws {
        let hasProgress = chance.happens(0.5)
        let tokens = Int64(chance.below(700))
        var body: JSONObject = JSONObject()
        body["fence"] = .int(lease.fence)
        if hasProgress { body["note"] = .string("step \(step)") }
        body["usage"] = ["inputTokens": .int(tokens)]
        let reply = try await send("/api/v1/tasks/\(lease.id)/heartbeat", .object(body), by: Self.key(of: agent)) {
            model, _, _ in
            model.beat(lease.id, fence: lease.fence, by: agent, progress: hasProgress, tokens: tokens)
        }
        heed(reply, agent, lease)
    }

    mutating func deliver(_ agent: String, _ lease: Lease) async throws {
        let name = chance.pickAny(["answer.md", "data.txt"]) ?? "answer.md"
        let content = "\(lease.id) in step \(chance.happens(0.3) ? 0 : step)"
        let body: JSONValue = [
            "fence": .int(lease.fence), "name": .string(name), "contentType": "text/plain", "content": .string(content),
        ]
        let before = store.deliverables[lease.id]?.count ?? 0
        let reply = try await send("/api/v1/tasks/\(lease.id)/deliverables", body, by: Self.key(of: agent)) {
            model, _, after in
            // The same content again is the revision that is there, and no sign of life.
            guard after.deliverables[lease.id]?.count ?? 0 > before else {
                return model.refusal(lease.id, fence: lease.fence, by: agent, takesLate: true) ?? "ok"
            }
            let sha256 = Digest.sha256(Array(content.utf8))
            return model.deliver(lease.id, fence: lease.fence, by: agent, name: name, sha256: sha256)
        }
        heed(reply, agent, lease)
    }

    /// Completes, or submits what is to be reviewed; sometimes the wrong one of the two.
    mutating func finish(_ agent: String, _ lease: Lease, isRight: Bool = false) async throws {
        let isReviewed = (model.items[lease.id]?.request.approvals ?? 0) > 0
        let submits = isRight || chance.happens(0.9) ? isReviewed : !isReviewed
        let body: JSONValue = ["fence": .int(lease.fence), "output": ["step": .int(Int64(step))]]
        let verb = submits ? "submit" : "complete"
        let reply = try await send("/api/v1/tasks/\(lease.id)/\(verb)", body, by: Self.key(of: agent)) {
            model, _, after in
            guard submits else { return model.complete(lease.id, fence: lease.fence, by: agent) }
            let digest = Invariants.digest(of: after.deliverables[lease.id] ?? [])
            return model.submit(lease.id, fence: lease.fence, by: agent, sha256: digest)
        }
        if reply.isAccepted { drop(agent, lease) } else { heed(reply, agent, lease) }
    }

    private mutating func completeMany(_ agent: String) async throws {
        let leases = Array((hands[agent] ?? []).prefix(3))
        guard !leases.isEmpty else { return }
        let items: [JSONValue] = leases.map { ["id": .string($0.id), "fence": .int($0.fence), "output": .null] }
        let reply = try await send("/api/v1/tasks/complete", ["items": .array(items)], by: Self.key(of: agent)) {
            model, reply, _ in
            for (index, lease) in leases.enumerated() {
                let expected = model.complete(lease.id, fence: lease.fence, by: agent)
                let item = reply.json["items"]?.array?[index] ?? .null
                let found = item["status"]?.int == 200 ? "ok" : item["error"]?["code"]?.string ?? "?"
                guard found == expected else {
                    throw TaskModel.Disagreement(description: "\(lease.id) is answered \(found), not \(expected)")
                }
            }
            return "ok"
        }
        for (lease, item) in zip(leases, reply.json["items"]?.array ?? []) where item["status"]?.int == 200 {
            drop(agent, lease)
        }
    }

    private mutating func giveUp(_ agent: String, _ lease: Lease) async throws {
        let path = "/api/v1/tasks/\(lease.id)"
        let reply: SimulatedReply
        if chance.happens(0.6) {
            let failure = chance.pickAny(["retryable", "permanent", "provider"]) ?? "retryable"
            let body: JSONValue = ["fence": .int(lease.fence), "class": .string(failure), "message": "no luck"]
            reply = try await send("\(path)/fail", body, by: Self.key(of: agent)) { model, _, after in
                let retryAt = after.tasks[lease.id]?.optionalInt("scheduled_for")
                return model.fail(lease.id, fence: lease.fence, by: agent, failure, retryAt: retryAt)
            }
        } else {
            let delay = Int64(chance.pickAny([0, 0, 20, 200]) ?? 0)
            let body: JSONValue = ["fence": .int(lease.fence), "delaySeconds": .int(delay)]
            reply = try await send("\(path)/release", body, by: Self.key(of: agent)) { model, _, _ in
                model.release(lease.id, fence: lease.fence, by: agent, delay: delay * 1_000_000)
            }
        }
        if reply.isAccepted { drop(agent, lease) } else { heed(reply, agent, lease) }
    }

    private mutating func park(_ agent: String, _ lease: Lease) async throws {
        var wait = TaskModel.Wait(kind: chance.pickAny(["timer", "input", "approval", "child"]) ?? "input")
        var body = JSONObject()
        body["fence"] = .int(lease.fence)
        if wait.kind == "child" {
            let children = Set((0..<2).compactMap { _ in chance.pickAny(model.order) })
            wait.children = children
            body["tasks"] = .list(children.sorted())
        }
        if wait.kind == "timer" || chance.happens(0.5) {
            let seconds = Int64(chance.below(200))
            wait.until = (time.now + .seconds(seconds)).microseconds
            body["seconds"] = .int(seconds)
        }
        if wait.kind == "input", chance.happens(0.5) {
            wait.hasFallback = true
            body["fallback"] = "go on"
        }
        body["kind"] = .string(wait.kind)
        let reply = try await send("/api/v1/tasks/\(lease.id)/park", .object(body), by: Self.key(of: agent)) {
            [wait] model, reply, _ in
            var wait = wait
            wait.token = reply.json["resumeToken"]?.string
            return model.park(lease.id, fence: lease.fence, by: agent, wait)
        }
        if reply.isAccepted { drop(agent, lease) } else { heed(reply, agent, lease) }
    }

    /// An agent dies and knows nothing of what it held.
    private mutating func crash() {
        guard let agent = chance.pickAny(Self.agents) else { return }
        trace.append("\(step) \(agent) crashes")
        hands[agent] = []
    }
}
