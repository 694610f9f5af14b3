import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Containments")
struct ContainmentTests {
    // MARK: Actions and the way back

    @Test("one agent is isolated, and the others go on", arguments: TestEngine.available)
    func isolation(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let done = try await fixture.propose(.pauseAgent, [.agents: ["writer"]], for: incident)
            #expect(try await fixture.agent("writer").isPaused == false)
            try await fixture.act()
            #expect(try await fixture.agent("writer").isPaused)
            #expect(try await fixture.agent("editor").isPaused == false)
            #expect(try await fixture.containment(done.id).state == .acted)
            let timeline = try await fixture.timeline(incident)
            #expect(
                timeline.contains {
                    $0.kind == "containment" && $0.action == "pauseAgent" && $0.target == "agent:writer"
                })
            #expect(timeline.contains { $0.kind == "milestone" && $0.action == "contained" })
            try await fixture.reverse(done.id)
            #expect(try await fixture.agent("writer").isPaused == false)
            #expect(
                try await fixture.eventTypes("containment.") == [
                    "containment.proposed", "containment.acted", "containment.reversed",
                ])
        }
    }

    @Test("a pause that somebody else set stays, and so does draining")
    func othersPause() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer", "editor", "proof")
            try await fixture.direct(.pause, "editor", reason: "holiday")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let done = try await fixture.propose(
                .pauseAgent, [.agents: ["writer", "editor", "proof", "nobody"]], for: incident)
            try await fixture.act()
            let outcomes = try await fixture.containment(done.id).steps[0].outcomes
            #expect(outcomes.map(\.word) == [.acted, .unchanged, .acted, .refused])
            // Meanwhile somebody drains one, and takes another's pause into their own hands.
            try await fixture.direct(.drain, "writer", reason: "new version")
            try await fixture.direct(.resume, "proof")
            try await fixture.direct(.pause, "proof", reason: "mine")
            try await fixture.reverse(done.id)
            let (writer, editor) = (try await fixture.agent("writer"), try await fixture.agent("editor"))
            #expect(!writer.isPaused && writer.isDraining && writer.drainingReason == "new version")
            #expect(editor.isPaused && editor.pausedReason == "holiday")
            #expect(try await fixture.agent("proof").pausedReason == "mine")
        }
    }

    @Test("who leaves last restores, in either order", arguments: [true, false])
    func shared(_ firstLeavesFirst: Bool) async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let task = try await fixture.base.create(["title": "a", "type": "report"])
            var done: [Containment] = []
            // About different things, so that they are two incidents.
            for (alert, label) in [("HighErrorRate", "agent"), ("QueueBackup", "queue")] {
                let incident = try await fixture.fire(alert, [(label, "writer")])
                for (action, values) in [
                    (ContainmentAction.pauseAgent, [ContainmentParameter.agents: ["writer"]]),
                    (.holdTask, [.tasks: [task.id.text]]), (.cutBudget, [.scopes: ["agent:writer"]]),
                ] { done.append(try await fixture.propose(action, values, for: incident)) }
                try await fixture.act()
            }
            let (first, second) = (done.prefix(3), done.suffix(3))
            for one in firstLeavesFirst ? first : second { try await fixture.reverse(one.id) }
            #expect(try await fixture.agent("writer").isPaused)
            #expect(try await fixture.holds(task.id) == ["incident"])
            #expect(try await fixture.budget("agent:writer") != nil)
            for one in firstLeavesFirst ? second : first { try await fixture.reverse(one.id) }
            #expect(try await fixture.agent("writer").isPaused == false)
            #expect(try await fixture.holds(task.id) == [])
            #expect(try await fixture.budget("agent:writer") == nil)
        }
    }

    @Test("all that waits for a task is held, and nothing else", arguments: TestEngine.available)
    func downstream(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            let graph = try await fixture.base.graph([
                ["ref": "a", "title": "a"], ["ref": "b", "title": "b", "dependsOn": ["a"]],
                ["ref": "c", "title": "c", "dependsOn": ["b"]], ["ref": "d", "title": "d", "dependsOn": ["b", "c"]],
                ["ref": "e", "title": "e"],
            ])
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let order = try #require(ContainmentOrder(.holdDownstream, [.tasks: [graph[0].id.text]]))
            let preview = try await fixture.storage.read { try fixture.service.preview([order], in: $0) }
            #expect(preview["blastRadius"]?["tasksHeld"]?["count"] == 3)
            let done = try await fixture.propose(.holdDownstream, [.tasks: [graph[0].id.text]], for: incident)
            try await fixture.act()
            for (task, held) in zip(graph, [false, true, true, true, false]) {
                #expect(try await fixture.holds(task.id).isEmpty == !held, "\(task.title)")
            }
            try await fixture.reverse(done.id)
            for task in graph { #expect(try await fixture.holds(task.id).isEmpty) }
        }
    }

    @Test(
        "a looping agent's task is held with the evidence, its attempt ended, and nobody else's",
        arguments: TestEngine.available)
    func loop(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine, policy: try .acting) { fixture in
            try await fixture.register("alpha", "beta")
            _ = try await fixture.base.create(["title": "a"])
            _ = try await fixture.base.create(["title": "b"])
            let mine = try await fixture.base.beat(try await fixture.base.claimOne("alpha"), "alpha")
            let others = try await fixture.base.beat(try await fixture.base.claimOne("beta"), "beta")
            let incident = try await fixture.fire(
                "ToolStorm", [("agent", "alpha")], mode: .infiniteLoop, summary: "the same search 40 times")
            try await fixture.act()
            let found = try await fixture.containments(incident)
            #expect(found.map(\.state) == [.acted], "\(found.map(\.reason))")
            let task = try await fixture.base.task(mine.id)
            #expect(task.state == .ready && task.fence > mine.fence)
            let hold = try await fixture.storage.read { try fixture.base.tasks.store.holds(on: mine.id, in: $0) }
            #expect(hold.first?.reason.contains("the same search 40 times") == true)
            #expect(try await fixture.agent("alpha").isPaused)
            let healthy = try await fixture.base.task(others.id)
            #expect(healthy.state == .running && healthy.fence == others.fence)
            #expect(try await fixture.agent("beta").isPaused == false)
            // The agent that was stopped cannot write any more.
            #expect(await code { try await fixture.base.beat(mine, "alpha") } == "stale_fence")
        }
    }

    @Test("a budget is cut to what is spent, and restored unless somebody changed it", arguments: [false, true])
    func budget(_ isChanged: Bool) async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            try await fixture.put("agent:writer", ["limit": ["usd": 5], "period": "day", "mode": "elastic(20%)"])
            let incident = try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            try await fixture.act()
            let cut = try #require(try await fixture.budget("agent:writer"))
            #expect(cut.limit.nanoUSD == 0 && cut.mode == .strict)
            if isChanged { try await fixture.put("agent:writer", ["limit": ["usd": 1]]) }
            let done = try #require(try await fixture.containments(incident).first)
            try await fixture.reverse(done.id)
            let after = try #require(try await fixture.budget("agent:writer"))
            #expect(after.limit.nanoUSD == (isChanged ? 1_000_000_000 : 5_000_000_000))
            #expect(after.mode == (isChanged ? .strict : .elastic(percent: 20)))
        }
    }

    // MARK: Models

    private static func fleet() -> StillModels {
        StillModels(["small": ["main/s"], "spare": ["backup/s"], "both": ["main/b", "backup/b"]])
    }

    @Test("an outage pauses, breaks and falls back on what is touched alone", arguments: TestEngine.available)
    func outage(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine, policy: try .acting, models: Self.fleet()) { fixture in
            let incident = try await fixture.fire("ProviderOutage", [("provider", "main")], mode: .llmOutage)
            try await fixture.act()
            let held = try await fixture.storage.read { try ModelHoldings(in: $0) }
            #expect(held.breakers == ["main/s", "main/b"])
            #expect(held.routes == ["small": "spare"])
            #expect(held.paused == [])
            // The condition ends: what acted by itself is taken back by itself, after a while.
            try await fixture.end("ProviderOutage", [("provider", "main")], mode: .llmOutage)
            try await fixture.loop.rampBack()
            try await fixture.act()
            #expect(try await fixture.containments(incident).first?.state == .acted)
            fixture.time.advance(by: .seconds(61))
            try await fixture.loop.rampBack()
            try await fixture.act()
            #expect(try await fixture.containments(incident).first?.state == .reversed)
            #expect(try await fixture.storage.read { try ModelHoldings(in: $0) } == ModelHoldings())
        }
    }

    @Test("where nothing can answer instead, the tasks wait")
    func outageWithoutFallback() async throws {
        let models = StillModels(["small": ["main/s"]])
        try await ContainmentFixture.on(.sqlite, policy: try .acting, models: models) { fixture in
            try await fixture.fire("ProviderOutage", [("provider", "main")], mode: .llmOutage)
            try await fixture.act()
            #expect(try await fixture.storage.read { try ModelHoldings(in: $0) }.paused == ["small"])
        }
    }

    // MARK: Doors

    @Test(
        "what is not there yet is said to be, and nothing pretends",
        arguments: [
            FailureMode.contextPoisoning, .memoryCorruption, .silentDrift,
        ])
    func absent(_ mode: FailureMode) async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("SessionAbnormal", [("agent", "writer")], mode: mode)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.state == .failed)
            #expect(found.steps.allSatisfy { $0.state == .unavailable })
            #expect(found.reason.contains("yet"))
            let refusal = await code {
                try await fixture.propose(.memoryReadOnly, [.agents: ["writer"]], for: incident)
            }
            #expect(refusal == "not_there_yet")
        }
    }

    @Test("a door is asked under one key, and taken back under it")
    func doors() async throws {
        let door = TestDoor()
        let doors = ContainmentDoors(sessions: door, memory: door, goldenSets: door)
        try await ContainmentFixture.on(.sqlite, policy: try .acting, doors: doors) { fixture in
            var memory: Containment?
            for (name, mode) in [
                ("a", FailureMode.contextPoisoning), ("writer", .memoryCorruption), ("c", .silentDrift),
                ("d", .staleContext),
            ] {
                try await fixture.register(name)
                let incident = try await fixture.fire("Alert", [("agent", name)], mode: mode)
                try await fixture.act()
                let found = try await fixture.containments(incident)
                #expect(found.map(\.state) == [.acted], "\(mode)")
                if mode == .memoryCorruption { memory = found.first }
            }
            #expect(door.acted.count == 6)
            let id = try #require(memory).id
            try await fixture.reverse(id)
            #expect(door.reversed == ["\(id.text)/1/writer"])
        }
    }
}

extension ContainmentPolicy {
    static var acting: ContainmentPolicy { get throws { try ContainmentFixture.acting() } }
}

extension ContainmentFixture {
    func budget(_ scope: String) async throws -> Budget? {
        try await storage.read { [budgets] in try budgets.store.budget(BudgetScope(stored: scope), in: $0) }
    }

    func put(_ scope: String, _ json: JSONValue) async throws {
        let draft = try BudgetDraft(Fields(json.object ?? JSONObject(), limits: Limits()))
        try await storage.write { [budgets] in
            _ = try budgets.put(
                BudgetScope(stored: scope), draft, ifMatch: nil, by: TaskFixture.operatorKey, in: $0)
        }
    }
}
