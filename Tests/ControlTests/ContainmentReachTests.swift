import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("What containments reach, and what they leave alone")
struct ContainmentReachTests {
    // MARK: Never

    /// The payer has one task in hand; another that is pinned to it waits for a task of the writer's; a third is of
    /// the queue of pay.
    private struct Fleet {
        let first: AgentTask
        let pinned: AgentTask
        let paid: AgentTask
        let plain: AgentTask
        let owned: AgentTask

        init(_ fixture: ContainmentFixture) async throws {
            try await fixture.register("payer", "writer")
            _ = try await fixture.base.create(["title": "owned"])
            owned = try await fixture.base.claimOne("payer")
            let graph = try await fixture.base.graph([
                ["ref": "a", "title": "a"], ["ref": "b", "title": "b", "dependsOn": ["a"], "agent": "payer"],
                ["ref": "c", "title": "c", "dependsOn": ["a"], "queue": "payroll"],
                ["ref": "d", "title": "d", "dependsOn": ["a"]],
            ])
            (first, pinned, paid, plain) = (graph[0], graph[1], graph[2], graph[3])
        }
    }

    @Test("tasks of agents and queues that are never touched are spared, and shown", arguments: TestEngine.available)
    func never(_ engine: TestEngine) async throws {
        let policy = try ContainmentPolicy(["containment": ["never": ["agent:payer", "queue:payroll"]]])
        try await ContainmentFixture.on(engine, policy: policy) { fixture in
            let fleet = try await Fleet(fixture)
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let order = try #require(ContainmentOrder(.holdDownstream, [.tasks: [fleet.first.id.text]]))
            let preview = try await fixture.storage.read { try fixture.service.preview([order], in: $0) }
            let spared = preview["blastRadius"]?["spared"]?.array ?? []
            #expect(
                Set(spared.compactMap { $0["target"]?.string }) == [
                    "task:\(fleet.pinned.id)", "task:\(fleet.paid.id)",
                ])
            #expect(spared.compactMap { $0["detail"]?.string }.contains { $0.contains("agent:payer") })
            #expect(preview["steps"]?.array?[0]["spared"]?.array?.count == 2)
            #expect(preview["blastRadius"]?["tasksHeld"]?["names"] == .list([fleet.plain.id.text]))
            let done = try await fixture.propose(.holdDownstream, [.tasks: [fleet.first.id.text]], for: incident)
            try await fixture.act()
            for task in [fleet.pinned, fleet.paid, fleet.owned, fleet.first] {
                #expect(try await fixture.holds(task.id).isEmpty, "\(task.title)")
            }
            #expect(try await fixture.holds(fleet.plain.id) == ["incident"])
            let outcomes = try await fixture.containment(done.id).steps[0].outcomes
            #expect(outcomes.map(\.word) == [.acted, .spared, .spared])
            for action in [ContainmentAction.holdTask, .killProcess, .reassign] {
                let refusal = await code {
                    try await fixture.propose(action, [.tasks: [fleet.owned.id.text]], for: incident)
                }
                #expect(refusal == "never_contained", "\(action)")
            }
            let given = await code {
                try await fixture.propose(.reassign, [.tasks: [fleet.first.id.text], .to: ["payer"]], for: incident)
            }
            #expect(given == "never_contained")
            let cut = await code {
                try await fixture.propose(.cutBudget, [.scopes: ["task:\(fleet.owned.id)"]], for: incident)
            }
            #expect(cut == "never_contained")
            #expect(try await fixture.base.task(fleet.owned.id).fence == fleet.owned.fence)
        }
    }

    @Test("what becomes somebody's who is never touched after it was proposed is spared too")
    func neverLater() async throws {
        let policy = try ContainmentPolicy(["containment": ["never": ["agent:payer"]]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("payer", "writer")
            let task = try await fixture.base.create(["title": "a"])
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let asked = try await fixture.propose(.holdTask, [.tasks: [task.id.text]], for: incident, acts: false)
            _ = try await fixture.base.claimOne("payer")
            try await fixture.approve(asked.id)
            try await fixture.act()
            #expect(try await fixture.containment(asked.id).state == .failed)
            #expect(try await fixture.holds(task.id).isEmpty)
        }
    }

    @Test("an agent is not set apart while it works for a queue that is never touched")
    func neverByQueue() async throws {
        let policy = try ContainmentPolicy(["containment": ["never": ["queue:payroll"]]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("writer")
            _ = try await fixture.base.create(["title": "a", "queue": "payroll"])
            _ = try await fixture.base.claim("writer", queues: ["payroll"])
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            let refusal = await code {
                try await fixture.propose(.quarantineAgent, [.agents: ["writer"]], for: incident)
            }
            #expect(refusal == "never_contained")
        }
    }

    // MARK: All shipped alerts

    /// Each alert with a mode, with the labels of a history in which it fires.
    static let shipped: [(alert: AlertRule, labels: [(String, String)])] = ShippedRules.entries.flatMap { entry in
        entry.file.alerts.filter { $0.mode != nil }.map { alert in
            let sample = entry.cases.first { $0.alert == alert.name && !$0.firing.isEmpty }?.firing.first
            return (alert, sample?.labels.map { ($0.name, $0.value) } ?? [])
        }
    }

    @Test("every shipped alert with a mode has a plan that acts, or that says what is not there yet")
    func everyAlert() async throws {
        #expect(Set(Self.shipped.compactMap(\.alert.mode)).count >= 7)
        for (alert, labels) in Self.shipped {
            let mode = try #require(alert.mode)
            let model = labels.first { $0.0 == "model" }?.1 ?? "m"
            let provider = labels.first { $0.0 == "provider" }?.1 ?? "main"
            let models = StillModels(["\(model)": ["\(provider)/x"], "spare": ["backup/x"]])
            try await ContainmentFixture.on(.sqlite, policy: try .acting, models: models) { fixture in
                let agent = labels.first { $0.0 == "agent" }?.1 ?? "ann"
                try await Self.prepare(fixture, agent, labels)
                if alert.mode == .cascadingFailure {
                    let first = try #require(
                        try await fixture.storage.read {
                            try fixture.base.tasks.store.inHand(of: agent, limit: 1, in: $0)
                        }.first)
                    _ = try await fixture.base.fail(first, .permanent, agent)
                }
                let incident = try await fixture.fire(alert.name, labels, mode: mode)
                try await fixture.act()
                let found = try await fixture.containments(incident)
                #expect(found.count == 1, "\(alert.name) \(labels)")
                let one = try #require(found.first)
                #expect(one.mode == mode && !one.steps.isEmpty)
                let isBehindDoors = one.steps.allSatisfy { $0.state == .unavailable }
                #expect(
                    one.state == .acted || (isBehindDoors && one.state == .failed),
                    "\(alert.name): \(one.state) \(one.reason) \(one.steps.map { ($0.order.words, $0.state) })")
                // What is said to have acted did, and nobody else was touched.
                #expect(try await fixture.agent("healthy").isPaused == false)
                #expect(try await fixture.budget("agent:healthy") == nil)
            }
        }
    }

    /// A task in hand, and one that builds on it; one that failed, and who is well.
    private static func prepare(
        _ fixture: ContainmentFixture, _ agent: String, _ labels: [(String, String)]
    ) async throws {
        let type = labels.first { $0.0 == "task_type" }?.1 ?? "report"
        try await fixture.register(agent, labels: ["type": labels.first { $0.0 == "agent_type" }?.1 ?? "writer"])
        try await fixture.register("healthy", labels: ["type": "other"])
        _ = try await fixture.base.graph([
            ["ref": "a", "title": "a", "type": .string(type), "onExhausted": "fail"],
            ["ref": "b", "title": "b", "dependsOn": ["a"]], ["ref": "c", "title": "c", "dependsOn": ["b"]],
            ["ref": "x", "title": "x", "type": .string(type)], ["ref": "y", "title": "y", "dependsOn": ["x"]],
        ])
        _ = try await fixture.base.claim(agent, limit: 2)
        _ = try await fixture.base.create(["title": "z", "type": "other"])
        _ = try await fixture.base.claim("healthy")
    }

    /// Labels of an alert of each mode that name nothing, or only what its rule knows.
    @Test("a door's plan is there without an agent, and says that it is not there yet")
    func nobody() async throws {
        for (mode, labels) in [
            (FailureMode.memoryCorruption, [("operation", "read")]), (.silentDrift, [("model", "m")]),
            (.contextPoisoning, [("session", "s1")]), (.contextPoisoning, []), (.staleContext, []),
        ] {
            try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
                let incident = try await fixture.fire("Some", labels, mode: mode)
                try await fixture.act()
                let found = try #require(try await fixture.containments(incident).first, "\(mode)")
                #expect(found.state == .failed && found.steps.allSatisfy { $0.state == .unavailable }, "\(mode)")
                let preview = try await fixture.storage.read { transaction in
                    try fixture.service.preview(found.steps.map(\.order), in: transaction)
                }
                #expect(preview["steps"]?.array?.allSatisfy { $0["available"] == false } == true)
            }
        }
    }

    @Test("a door that is there is asked for all that there is only after a yes")
    func everything() async throws {
        let door = TestDoor()
        try await ContainmentFixture.on(.sqlite, policy: try .acting, doors: ContainmentDoors(memory: door)) {
            fixture in
            let incident = try await fixture.fire("MemoryErrors", [("operation", "read")], mode: .memoryCorruption)
            let asked = try #require(try await fixture.containments(incident).first)
            #expect(asked.state == .asked && asked.reason.contains("all that there is"))
            try await fixture.approve(asked.id)
            try await fixture.act()
            #expect(door.acted == ["\(asked.id.text)/1/*", "\(asked.id.text)/2/*"])
        }
    }

    @Test("scopes of budgets are cut as alerts name them, an agent's once; everybody's after a yes")
    func scopes() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            for (labels, expected) in [
                ([("scope", "org")], ["org"]), ([("scope", "tag:night")], ["tag:night"]),
                ([("scope", "agent:writer"), ("agent", "writer")], ["agent:writer"]),
                ([("scope", "project:p"), ("project", "p")], ["project:p"]),
            ] {
                let incident = try await fixture.fire("BudgetRunaway", labels, mode: .budgetRunaway)
                try await fixture.act()
                let found = try #require(try await fixture.containments(incident).last)
                #expect(found.steps.first?.order[.scopes] == expected)
                if expected == ["org"] {
                    #expect(found.state == .asked && found.reason.contains("everybody's"), "\(found.reason)")
                    #expect(try await fixture.budget("org") == nil)
                    try await fixture.approve(found.id)
                    try await fixture.act()
                }
                #expect(try await fixture.budget(expected[0])?.limit.nanoUSD == 0)
            }
        }
    }

    @Test("of a loop the stuck task alone is taken, killed and given to another")
    func stuck() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("ann", "bob")
            _ = try await fixture.base.create(["title": "stuck", "type": "report", "agent": "ann"])
            let stuck = try await fixture.base.claimOne("ann")
            _ = try await fixture.base.create(["title": "other", "type": "mail"])
            let other = try await fixture.base.claimOne("ann")
            fixture.time.advance(by: .seconds(5))
            _ = try await fixture.base.create(["title": "newer", "type": "report"])
            let newer = try await fixture.base.claimOne("bob")
            let incident = try await fixture.fire("TaskStuck", [("task_type", "report")], mode: .infiniteLoop)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(
                found.state == .acted
                    && found.steps.map(\.order.action) == [
                        .holdTask, .pauseAgent, .killProcess, .reassign,
                    ])
            #expect(found.steps.allSatisfy { $0.state == .done }, "\(found.steps.map(\.outcomes))")
            let after = try await fixture.base.task(stuck.id)
            #expect(after.fence > stuck.fence && after.pinnedAgent == nil)
            #expect(try await fixture.holds(stuck.id) == ["incident"])
            for (task, agent) in [(other, "ann"), (newer, "bob")] {
                let now = try await fixture.base.task(task.id)
                #expect(now.fence == task.fence && now.owner == agent)
            }
            #expect(try await fixture.agent("ann").isPaused)
            #expect(try await fixture.agent("bob").isPaused == false)
            try await fixture.reverse(found.id)
            #expect(try await fixture.base.task(stuck.id).pinnedAgent == "ann")
            #expect(try await fixture.holds(stuck.id).isEmpty)
        }
    }

    @Test("what builds on a bad result is held, also where that was accepted; who works is left at it")
    func cascade() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("root", "healthy")
            let graph = try await fixture.base.graph([
                ["ref": "a", "title": "a"], ["ref": "b", "title": "b", "dependsOn": ["a"]],
                ["ref": "c", "title": "c", "dependsOn": ["a"]], ["ref": "d", "title": "d", "dependsOn": ["b"]],
                ["ref": "e", "title": "e"],
            ])
            let bad = try await fixture.base.claimOne("root")
            _ = try await fixture.base.complete(bad, "root", output: ["bad": true])
            let working = try await fixture.base.claimOne("healthy")
            let incident = try await fixture.fire("CascadingFailure", [("agent", "root")], mode: .cascadingFailure)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.state == .acted && found.reason.contains("It began with root"), "\(found.reason)")
            let held = try await graph.asyncFilter { try await !fixture.holds($0.id).isEmpty }.map(\.title)
            let expected = Set(["b", "c", "d"]).subtracting([working.title])
            #expect(Set(held) == expected, "\(held), \(working.title) is worked on")
            #expect(try await fixture.base.task(working.id).fence == working.fence)
            #expect(try await fixture.agent("root").isPaused)
            #expect(try await fixture.agent("healthy").isPaused == false)
        }
    }

    @Test("calls that fail for one agent alone pause it; where what it calls is out, that is contained")
    func failingAgent() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting, models: StillModels(["m": ["main/x"]])) {
            fixture in
            try await fixture.register("ann")
            let incident = try await fixture.fire("HighErrorRate", [("agent", "ann")], mode: .llmOutage)
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.steps.map(\.order.action) == [.pauseAgent])
        }
    }

    // MARK: The preview is what happens

    @Test("a preview is what then happens, whatever the fleet", arguments: 1...12 as ClosedRange<UInt64>)
    func previewed(_ seed: UInt64) async throws {
        let chance = SeededEntropy(seed: seed)
        try await ContainmentFixture.on(.sqlite) { fixture in
            let agents = ["a1", "a2", "a3"]
            for agent in agents { try await fixture.register(agent) }
            var items: [JSONValue] = []
            for number in 0..<12 {
                let name = JSONValue.string("t\(number)")
                let parents = (0..<number).filter { _ in chance.next() % 5 == 0 }.map { "t\($0)" }
                items.append(["ref": name, "title": name, "dependsOn": .list(parents)])
            }
            let graph = try await fixture.base.graph(items)
            for agent in agents { _ = try await fixture.base.claim(agent, limit: Int(chance.next() % 3)) }
            let incident = try await fixture.fire("HighErrorRate", [("agent", "a1")])
            let actions: [ContainmentAction] = [.holdTask, .holdDownstream, .killProcess, .reassign]
            let action = actions[Int(chance.next() % 4)]
            let some = Array(agents.prefix(1 + Int(chance.next() % 3)))
            let order = try #require(ContainmentOrder(action, [.agents: some, .tasks: [graph[0].id.text]]))
            let before = try await graph.asyncMap { try await fixture.base.task($0.id) }
            let preview = try await fixture.storage.read { try fixture.service.preview([order], in: $0) }
            let targets = preview["steps"]?.array?[0]["targets"]?.array?.compactMap(\.string) ?? []
            guard !targets.isEmpty else { return }
            let done = try await fixture.propose(action, order.values, for: incident)
            try await fixture.act()
            let step = try await fixture.containment(done.id).steps[0]
            #expect(step.targets.map(\.text) == targets)
            let held = try await graph.asyncFilter { try await !fixture.holds($0.id).isEmpty }.map(\.id.text)
            let said = preview["blastRadius"]?["tasksHeld"]?["names"]?.array?.compactMap(\.string) ?? []
            #expect(Set(held) == Set(said))
            var taken: Set<String> = []
            for task in before {
                let now = try await fixture.base.task(task.id)
                if now.fence != task.fence || now.pauseRequestedAt != task.pauseRequestedAt {
                    taken.insert(task.id.text)
                }
            }
            let stopped = preview["blastRadius"]?["tasksInProgress"]?["names"]?.array?.compactMap(\.string) ?? []
            #expect(taken == Set(stopped), "\(action) \(some)")
        }
    }

    @Test("a preview of very much is bounded, and says so")
    func bounded() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            var drafts: [JSONValue] = [["ref": "root", "title": "root"]]
            for number in 0..<400 {
                drafts.append(["ref": .string("t\(number)"), "title": "t", "dependsOn": ["root"]])
            }
            let roots = [
                try await fixture.base.graph(drafts)[0], try await fixture.base.graph(drafts)[0],
                try await fixture.base.graph(drafts)[0],
            ]
            let order = try #require(ContainmentOrder(.holdDownstream, [.tasks: roots.map(\.id.text)]))
            let preview = try await fixture.storage.read { try fixture.service.preview([order], in: $0) }
            #expect(preview["blastRadius"]?["complete"] == false)
            #expect(preview["blastRadius"]?["tasksHeld"]?["count"] == .int(Int64(ContainmentHands.targetsMax)))
            #expect(preview["blastRadius"]?["tasksHeld"]?["names"]?.array?.count == BlastRadius.namesMax)
        }
    }
}

extension Array {
    func asyncMap<Value>(_ body: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }

    func asyncFilter(_ isIn: (Element) async throws -> Bool) async throws -> [Element] {
        var kept: [Element] = []
        for element in self where try await isIn(element) { kept.append(element) }
        return kept
    }
}
