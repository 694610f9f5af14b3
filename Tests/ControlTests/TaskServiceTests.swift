import Control
import Kernel
import TestSupport
import Testing

/// The transitions of the state machine through the services, on both engines. Numbers in names are the state
/// machine's.
@Suite struct TaskServiceTests {
    @Test("sums of what agents say that they used saturate")
    func endlessUsage() {
        let much = TaskUsage(inputTokens: .max, nanoUSD: .max - 1)
        let more = much + TaskUsage(inputTokens: 1, outputTokens: 2, nanoUSD: 1_000)
        #expect(more.inputTokens == .max && more.outputTokens == 2 && more.nanoUSD == .max)
    }

    @Test("1, 5, 6, 12: a task is created, claimed, started and done", arguments: TestEngine.available)
    func happyPath(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let created = try await fleet.create(["title": "Read the licence", "input": ["page": 1]])
            #expect(created.state == .ready)
            let claimed = try await fleet.claimOne()
            #expect(claimed.id == created.id)
            #expect(claimed.state == .claimed)
            #expect(claimed.fence == 1)
            #expect(try await fleet.claim("beta").isEmpty)
            let running = try await fleet.beat(claimed)
            #expect(running.state == .running)
            let done = try await fleet.complete(claimed, output: ["answer": 42])
            #expect(done.state == .done)
            #expect(try await fleet.task(created.id).output == ["answer": 42])
            #expect(
                try await fleet.history(created.id)
                    == ["task.created", "task.claimed", "task.started", "task.done"])
        }
    }

    @Test("2: a scheduled task waits for its time", arguments: TestEngine.available)
    func schedule(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let time = fleet.world.now + .minutes(5)
            let task = try await fleet.create(["scheduledFor": time.json])
            #expect(task.state == .scheduled)
            #expect(try await fleet.claim().isEmpty)
            try await fleet.pass(.minutes(5))
            #expect(try await fleet.claimOne().id == task.id)
        }
    }

    @Test("3: a task is blocked until all that it depends on is done", arguments: TestEngine.available)
    func dependencies(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let made = try await fleet.graph([
                ["ref": "c", "dependsOn": ["a", "b"]], ["ref": "a"], ["ref": "b"],
            ])
            #expect(made.map(\.state) == [.blocked, .ready, .ready])
            _ = try await fleet.complete(try await fleet.claimOne())
            #expect(try await fleet.task(made[0].id).state == .blocked)
            _ = try await fleet.complete(try await fleet.claimOne())
            #expect(try await fleet.task(made[0].id).state == .ready)
        }
    }

    @Test(
        "4: a dependency that ends otherwise does what its edge says",
        arguments: TestEngine.available, ["hold", "skip", "fail", "run"])
    func unmet(_ engine: TestEngine, _ policy: String) async throws {
        let expected: [String: TaskState] = ["hold": .held, "skip": .skipped, "fail": .failed, "run": .ready]
        try await TaskFixture.on(engine) { fleet in
            let made = try await fleet.graph([
                ["ref": "a"], ["ref": "b", "dependsOn": [["task": "a", "ifUnmet": .string(policy)]]],
                ["ref": "c", "dependsOn": [["task": "b", "ifUnmet": "skip"]]],
            ])
            _ = try await fleet.change {
                try $0.cancel(made[0].id.text, reason: nil, by: TaskFixture.operatorKey, in: $1)
            }
            #expect(try await fleet.task(made[1].id).state == expected[policy])
            let isEnded = policy == "skip" || policy == "fail"
            #expect(try await fleet.task(made[2].id).state == (isEnded ? .skipped : .blocked))
        }
    }

    @Test("A graph with a cycle or an unknown ref creates nothing", arguments: TestEngine.available)
    func badGraphs(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let cycle = await code {
                try await fleet.graph([["ref": "a", "dependsOn": ["b"]], ["ref": "b", "dependsOn": ["a"]]])
            }
            #expect(cycle == "invalid")
            let unknown = await code { try await fleet.graph([["ref": "a"], ["dependsOn": ["nobody"]]]) }
            #expect(unknown == "invalid")
            let events = try await fleet.storage.read { try EventStore().lastSeq(in: $0) }
            #expect(events == 0)
        }
    }

    @Test("7, 19: a claim that is never started goes back, and counts no attempt", arguments: TestEngine.available)
    func startDeadline(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["leaseSeconds": 600])
            _ = try await fleet.claimOne()
            try await fleet.pass(.seconds(Int64(59)))
            #expect(try await fleet.task(task.id).state == .claimed)
            try await fleet.pass(.seconds(Int64(1)))
            let back = try await fleet.task(task.id)
            #expect(back.state == .ready)
            #expect(back.attempts == 0)
            #expect(back.leaseLosses == 1)
            #expect(back.fence == 1)
        }
    }

    @Test("19, 20: a late result counts until the task is claimed anew", arguments: TestEngine.available)
    func lateResult(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["leaseSeconds": 10])
            let claimed = try await fleet.claimOne()
            try await fleet.pass(.seconds(Int64(11)))
            #expect(await code { try await fleet.beat(claimed) } == "lease_lost")
            let late = try await fleet.complete(claimed, output: "late")
            #expect(late.state == .done)
            // It is the work of whoever did it, though the task was nobody's when it came.
            #expect(late.owner == "alpha")
            let done = try await fleet.storage.read {
                try EventStore().list(
                    after: 0, limit: 10, filter: EventFilter(agent: "alpha", type: "task.done"), in: $0)
            }
            #expect(done.map(\.taskID) == [task.id.text])
            let attempts = try await fleet.storage.read { try TaskStore().attempts(of: task.id, limit: 10, in: $0) }
            #expect(attempts.map(\.state) == [.lateSucceeded])
        }
    }

    @Test("19: after a new claim every write of the old fence is refused", arguments: TestEngine.available)
    func staleFence(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["leaseSeconds": 10])
            let old = try await fleet.claimOne("alpha")
            try await fleet.pass(.seconds(Int64(11)))
            let new = try await fleet.claimOne("beta")
            #expect(new.id == task.id)
            #expect(new.fence == 2)
            #expect(await code { try await fleet.beat(old) } == "stale_fence")
            #expect(await code { try await fleet.complete(old) } == "stale_fence")
            #expect(await code { try await fleet.fail(old) } == "stale_fence")
            // Nobody who never held it may write, whatever the fence.
            #expect(await code { try await fleet.complete(new, "gamma") } == "forbidden")
            #expect(try await fleet.complete(new, "beta").state == .done)
            #expect(await code { try await fleet.complete(new, "beta") } == "bad_transition")
            #expect(await code { try await fleet.complete(old) } == "stale_fence")
        }
    }

    @Test("19: a task that loses worker after worker is set aside", arguments: TestEngine.available)
    func poison(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["leaseSeconds": 10])
            for loss in 1...3 {
                _ = try await fleet.claimOne("agent-\(loss)")
                try await fleet.pass(.seconds(Int64(11)))
            }
            let held = try await fleet.task(task.id)
            #expect(held.state == .held)
            #expect(held.reason == HoldReason.poison)
            #expect(held.attempts == 0)
        }
    }

    @Test(
        "16, 17, 25: failures back off, then the task is set aside, and an operator lets it go on",
        arguments: TestEngine.available)
    func failures(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["maxAttempts": 2])
            let first = try await fleet.fail(try await fleet.claimOne())
            #expect(first.state == .scheduled)
            #expect(first.attempts == 1)
            try await fleet.pass(.seconds(Int64(2)))
            let second = try await fleet.fail(try await fleet.claimOne())
            #expect(second.state == .held)
            #expect(second.reason == HoldReason.exhausted)
            let again = try await fleet.change {
                try $0.retry(task.id.text, input: ["with": "care"], agent: nil, by: TaskFixture.operatorKey, in: $1)
            }
            #expect(again.state == .ready)
            #expect(again.maxAttempts == 3)
            let third = try await fleet.claimOne()
            #expect(third.input == ["with": "care"])
            #expect(third.fence > second.fence)
        }
    }

    @Test("16: a provider's fault counts no attempt", arguments: TestEngine.available)
    func providerFailures(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            _ = try await fleet.create(["maxAttempts": 1])
            let failed = try await fleet.fail(try await fleet.claimOne(), .provider)
            #expect(failed.state == .scheduled)
            #expect(failed.attempts == 0)
        }
    }

    @Test("21, 22, 23: a cancel is at once for what rests, and asked of who works", arguments: TestEngine.available)
    func cancel(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let resting = try await fleet.create()
            #expect(
                try await fleet.change {
                    try $0.cancel(resting.id.text, reason: nil, by: TaskFixture.operatorKey, in: $1)
                }.state == .canceled)
            let working = try await fleet.create(["leaseSeconds": 10])
            let claimed = try await fleet.claimOne()
            _ = try await fleet.beat(claimed)
            let asked = try await fleet.change {
                try $0.cancel(working.id.text, reason: "enough", by: TaskFixture.operatorKey, in: $1)
            }
            #expect(asked.state == .running)
            #expect(asked.cancelRequestedAt != nil)
            // Even a lost lease does not bring it back to anybody.
            try await fleet.pass(.seconds(Int64(11)))
            #expect(try await fleet.task(working.id).state == .canceled)
            #expect(try await fleet.history(working.id).suffix(2) == ["task.cancel_requested", "task.canceled"])
        }
    }

    @Test("26: a guard that stops what is to be canceled cancels it", arguments: TestEngine.available)
    func guardedCancel(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["budget": ["tokens": 100]])
            let claimed = try await fleet.claimOne()
            _ = try await fleet.change {
                try $0.cancel(task.id.text, reason: nil, by: TaskFixture.operatorKey, in: $1)
            }
            var beat = TaskBeat()
            beat.usage = TaskUsage(inputTokens: 200)
            #expect(try await fleet.beat(claimed, "alpha", beat).state == .canceled)
            #expect(try await fleet.history(task.id).last == "task.canceled")
            let attempts = try await fleet.storage.read { try TaskStore().attempts(of: task.id, limit: 10, in: $0) }
            #expect(attempts.map(\.state) == [.canceled])
        }
    }

    @Test("5: what a waiting claim looks for is what a claim would take", arguments: TestEngine.available)
    func waitingClaim(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            func agree() async throws -> Bool {
                try await fleet.storage.read { [tasks = fleet.tasks] in
                    try tasks.hasWork(queues: ["default"], agent: "alpha", in: $0)
                }
            }
            _ = try await fleet.create()
            _ = try await fleet.create()
            #expect(try await agree())
            for reason in ["night", nil] {
                try await fleet.storage.write { [queues = fleet.queues] in
                    _ = try queues.setPause(queue: "default", reason: reason, by: TaskFixture.operatorKey, in: $0)
                }
                #expect(try await agree() == (reason == nil))
            }
            for reason in ["night", nil] {
                try await fleet.storage.write { [queues = fleet.queues] in
                    _ = try queues.setPause(project: "default", reason: reason, by: TaskFixture.operatorKey, in: $0)
                }
                #expect(try await agree() == (reason == nil))
            }
        }
    }

    @Test("22: who does not stop is stopped, and its fence is stale", arguments: TestEngine.available)
    func forcedCancel(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["leaseSeconds": 600])
            let claimed = try await fleet.claimOne()
            _ = try await fleet.beat(claimed)
            _ = try await fleet.change {
                try $0.cancel(task.id.text, reason: nil, by: TaskFixture.operatorKey, in: $1)
            }
            try await fleet.pass(.seconds(Int64(30)))
            #expect(try await fleet.task(task.id).state == .canceled)
            #expect(await code { try await fleet.complete(claimed) } == "stale_fence")
        }
    }

    @Test("9, 10: a parked task has no lease, and goes on with its answer", arguments: TestEngine.available)
    func park(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create()
            let claimed = try await fleet.claimOne()
            let parked = try await fleet.change {
                try $0.park(
                    claimed.id.text, fence: claimed.fence, TaskParking(.input), by: TaskFixture.agentKey("alpha"),
                    in: $1)
            }
            #expect(parked.state == .waiting)
            #expect(parked.leaseExpiresAt == nil)
            #expect(await code { try await fleet.beat(claimed) } == "bad_transition")
            let token = parked.wait["token"]?.string
            let resumed = try await fleet.change {
                try $0.resume(
                    task.id.text, nil, answer: "yes", token: token, by: TaskFixture.operatorKey, in: $1)
            }
            #expect(resumed.state == .ready)
            #expect(resumed.wait["answer"] == "yes")
            // Its agent knows the work and may go on first.
            #expect(try await fleet.claim("beta").isEmpty)
            #expect(try await fleet.claimOne("alpha").id == task.id)
        }
    }

    @Test("10: a child of a wait that was answered says nothing about the next one", arguments: TestEngine.available)
    func waitsApart(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let child = try await fleet.create()
            let held = try await fleet.claimOne()
            let task = try await fleet.create()
            func park(_ parking: TaskParking, _ claimed: AgentTask) async throws -> AgentTask {
                try await fleet.change {
                    try $0.park(
                        claimed.id.text, fence: claimed.fence, parking, by: TaskFixture.agentKey("alpha"), in: $1)
                }
            }
            var parking = TaskParking(.child)
            parking.children = [child.id]
            _ = try await park(parking, try await fleet.claimOne())
            _ = try await fleet.change {
                try $0.resume(task.id.text, nil, answer: "go on", token: nil, by: TaskFixture.operatorKey, in: $1)
            }
            _ = try await park(TaskParking(.approval), try await fleet.claimOne())
            _ = try await fleet.complete(held)
            #expect(try await fleet.task(task.id).state == .waiting)
        }
    }

    @Test("10: a timer ends by itself, and a fallback answers for nobody", arguments: TestEngine.available)
    func waits(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            for (kind, fallback, expected) in [
                (WaitKind.timer, nil, TaskState.ready), (.approval, JSONValue.bool(false), .ready),
                (.input, nil, .held),
            ] {
                let task = try await fleet.create()
                let claimed = try await fleet.claimOne()
                var parking = TaskParking(kind)
                parking.until = fleet.world.now + .minutes(1)
                parking.fallback = fallback
                let asked = parking
                _ = try await fleet.change {
                    try $0.park(
                        claimed.id.text, fence: claimed.fence, asked, by: TaskFixture.agentKey("alpha"), in: $1)
                }
                try await fleet.pass(.minutes(1))
                #expect(try await fleet.task(task.id).state == expected)
                _ = try? await fleet.change {
                    try $0.cancel(task.id.text, reason: nil, by: TaskFixture.operatorKey, in: $1)
                }
            }
        }
    }

    @Test("24: a task that nobody began in time expires", arguments: TestEngine.available)
    func expiry(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["startBy": (fleet.world.now + .minutes(1)).json])
            try await fleet.pass(.minutes(1))
            #expect(try await fleet.task(task.id).state == .expired)
        }
    }

    @Test("26: past its budget an attempt is stopped, and nothing of it counts", arguments: TestEngine.available)
    func budget(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["budget": ["tokens": 100]])
            let claimed = try await fleet.claimOne()
            var beat = TaskBeat()
            beat.usage = TaskUsage(inputTokens: 60, outputTokens: 40)
            #expect(try await fleet.beat(claimed, "alpha", beat).state == .running)
            // Totals: the same report again changes nothing.
            #expect(try await fleet.beat(claimed, "alpha", beat).usage.inputTokens == 60)
            beat.usage = TaskUsage(inputTokens: 61, outputTokens: 40)
            #expect(try await fleet.beat(claimed, "alpha", beat).state == .held)
            #expect(await code { try await fleet.complete(claimed) } == "stale_fence")
            let held = try await fleet.task(task.id)
            #expect(held.reason == HoldReason.budget)
            #expect(held.usage.inputTokens == 61)
        }
    }

    @Test("26: an agent that beats without getting anywhere is stopped", arguments: TestEngine.available)
    func progressClock(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["progressSeconds": 30, "leaseSeconds": 20])
            let claimed = try await fleet.claimOne()
            var beat = TaskBeat()
            beat.progress = 0.1
            _ = try await fleet.beat(claimed, "alpha", beat)
            for _ in 1...2 {
                try await fleet.pass(.seconds(Int64(10)))
                _ = try await fleet.beat(claimed, "alpha", beat)
            }
            try await fleet.pass(.seconds(Int64(10)))
            let held = try await fleet.task(task.id)
            #expect(held.state == .held)
            #expect(held.reason == HoldReason.noProgress)
        }
    }

    @Test("The attempt's clock counts a failure, however alive its agent is", arguments: TestEngine.available)
    func attemptClock(_ engine: TestEngine) async throws {
        try await TaskFixture.on(engine) { fleet in
            let task = try await fleet.create(["timeoutSeconds": 30, "leaseSeconds": 20])
            let claimed = try await fleet.claimOne()
            for _ in 1...3 {
                _ = try await fleet.beat(claimed)
                try await fleet.pass(.seconds(Int64(10)))
            }
            let timedOut = try await fleet.task(task.id)
            #expect(timedOut.state == .scheduled)
            #expect(timedOut.attempts == 1)
            #expect(await code { try await fleet.complete(claimed) } == "stale_fence")
        }
    }
}
