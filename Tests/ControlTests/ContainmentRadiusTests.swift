import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("How far each containment goes")
struct ContainmentRadiusTests {
    /// Twelve agents: `near`, who works, calls and belongs where orders are aimed, and others, who do not.
    private struct Fleet {
        let task: AgentTask
        let behind: AgentTask

        init(_ fixture: ContainmentFixture) async throws {
            for name in ["near", "spender"] { try await fixture.register(name, project: "books") }
            for number in 0..<10 { try await fixture.register("far\(number)", project: "default") }
            let graph = try await fixture.base.graph([
                ["ref": "a", "title": "a", "queue": "inbox"],
                ["ref": "b", "title": "b", "queue": "inbox", "dependsOn": ["a"], "agent": "spender"],
            ])
            (task, behind) = (graph[0], graph[1])
            _ = try await fixture.base.claim("near", queues: ["inbox"])
            try await fixture.call("near", "m", session: "s1", tags: ["night"], key: "key_near")
            try await fixture.call("far0", "other", session: "s2", tags: [], key: "key_far")
            // It is not there any more.
            try await fixture.call("drill-01a2b3c4-hung", "m", session: "s1", tags: ["night"], key: "key_near")
        }
    }

    /// For each action an order, and the agents that it reaches.
    private static func orders(
        _ fleet: Fleet
    ) -> [ContainmentAction: [([ContainmentParameter: [String]], reached: [String])]] {
        let (task, behind) = ([fleet.task.id.text], [fleet.behind.id.text])
        let named: [([ContainmentParameter: [String]], reached: [String])] = [([.agents: ["near"]], ["near"])]
        let models: [([ContainmentParameter: [String]], reached: [String])] = [
            ([.models: ["m"]], ["near"]), ([.models: ["other"]], ["far0"]), ([.models: ["unused"]], []),
        ]
        let wide = [([ContainmentParameter.providers: ["main"]], reached: ["far0", "near"])]
        let all = ["near", "spender"] + (0..<10).map { "far\($0)" }
        let sessions: [([ContainmentParameter: [String]], reached: [String])] = [
            ([.sessions: ["s1"]], ["near"]), ([.agents: ["near"], .sessions: ["s2"]], ["near", "far0"]),
        ]
        return [
            .pauseDispatch: models + wide, .openBreaker: models + wide,
            .useFallback: [([.models: ["m"], .to: ["other"]], ["near"])],
            .holdTask: named + [([.tasks: behind], ["spender"])],
            .killProcess: named + [([.tasks: task], ["near"])],
            .reassign: [([.tasks: task], ["near"]), ([.tasks: task, .to: ["far1"]], ["near", "far1"])],
            .holdDownstream: [([.tasks: task], ["spender"]), ([.agents: ["near"]], ["spender"])],
            .pauseAgent: named, .resumeAgent: named, .quarantineAgent: named,
            .pauseQueue: [([.queues: ["inbox"]], ["near"]), ([.queues: ["outbox"]], [])],
            .cutBudget: [
                ([.scopes: ["agent:far3"]], ["far3"]), ([.scopes: ["project:books"]], ["near", "spender"]),
                ([.scopes: ["org"]], all.sorted()), ([.scopes: ["task:\(task[0])"]], ["near"]),
                ([.scopes: ["session:s1"]], ["near"]), ([.scopes: ["tag:night"]], ["near"]),
                ([.scopes: ["key:key_far"]], ["far0"]), ([.scopes: ["agent:far3", "tag:night"]], ["far3", "near"]),
            ],
            .clearContext: sessions, .quarantineSession: sessions, .restoreContext: sessions,
            .memoryReadOnly: named, .offerMemoryRestore: named,
            .goldenSetRun: named + [([.models: ["m"]], [])],
            .pinBack: [([.agents: ["near"], .version: ["v1"]], ["near"])],
        ]
    }

    private static let models = StillModels(["m": ["main/m"], "other": ["main/o"], "unused": ["backup/u"]])

    @Test("of each action it is known whom it reaches", arguments: TestEngine.available)
    func everyAction(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine, models: Self.models) { fixture in
            let orders = Self.orders(try await Fleet(fixture))
            for action in ContainmentAction.allCases {
                let rows = try #require(orders[action], "whom does \(action) reach?")
                #expect(rows.contains { !$0.reached.isEmpty }, "\(action) reaches nobody")
                for (values, expected) in rows {
                    let order = try #require(ContainmentOrder(action, values), "\(action)")
                    let preview = try await fixture.storage.read { try fixture.service.preview([order], in: $0) }
                    let told = preview["blastRadius"]?["agents"]
                    #expect(
                        told?["names"]?.array?.compactMap(\.string) == expected
                            && told?["count"] == .int(Int64(expected.count)), "\(order.words): \(told?.text ?? "")")
                    #expect(preview["steps"]?.array?[0]["agents"] == told)
                }
            }
        }
    }

    @Test("what names nobody behind a door is about everybody")
    func everybody() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            _ = try await Fleet(fixture)
            for action in [ContainmentAction.memoryReadOnly, .quarantineSession, .pinBack, .goldenSetRun] {
                let order = ContainmentOrder(behindDoor: action)
                let reached = try await fixture.storage.read { try fixture.service.hands.reach(of: order, in: $0) }
                #expect(reached.radius.agents.count == 12, "\(action)")
            }
        }
    }

    @Test("of many the count is whole, and the names are bounded")
    func many() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let count = BlastRadius.namesMax + 50
            for number in 0..<count { try await fixture.register("a\(number)", project: "p") }
            let order = try #require(ContainmentOrder(.cutBudget, [.scopes: ["project:p"]]))
            let radius = try await fixture.storage.read { try fixture.service.hands.radius(of: [order], in: $0) }
            #expect(radius.json["agents"]?["count"] == .int(Int64(count)))
            #expect(radius.json["agents"]?["names"]?.array?.count == BlastRadius.namesMax)
            #expect(radius.agentsUntouched == 0)
            #expect(radius.words.first == "Reaches 250 agents: a0, a1, a10, a100, a101 and 245 more")
        }
    }

    @Test("who floods with calls hides nobody, and whose calls are old is not meant", arguments: TestEngine.available)
    func flood(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.call("past", "m", session: "s1", tags: ["night"])
            fixture.time.advance(by: ContainmentHands.reachWithin + .minutes(2))
            try await fixture.call("rare", "m", session: "s1", tags: ["night"])
            for _ in 0..<30 { try await fixture.call("loud", "m", session: "s1") }
            for _ in 0..<3 { try await fixture.call("loud", "n", session: "s2") }
            let since = fixture.base.world.now - ContainmentHands.reachWithin
            func callers(_ ground: CallGround) async throws -> [String] {
                try await fixture.storage.read { try CallService.callers(ground, since: since, in: $0) }
            }
            #expect(try await callers(.models(["m"])) == ["loud", "rare"])
            #expect(try await callers(.models(["n"])) == ["loud"])
            #expect(try await callers(.tags(["night"])) == ["rare"])
            #expect(try await callers(.sessions(["s1"])) == ["loud", "rare"])
            #expect(try await callers(.sessions(["s2", "s3"])) == ["loud"])
            #expect(try await callers(.any) == ["loud", "rare"])
        }
    }

    @Test("who calls and who is waited for is found by indexes", arguments: TestEngine.available)
    func plan(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            let now = fixture.base.world.now
            for (query, table, index) in [
                (CallStore.callers(.model, ["m"], since: now, limit: 10), "callers", ""),
                (CallStore.callers(.model, nil, since: now, limit: 10), "callers", ""),
                (CallStore.callers(ofSession: "s", since: now, limit: 10), "calls", "calls_session"),
                (TaskStore.awaitedList("model", ["m"]), "lanes", "lanes_model"),
                (TaskStore.awaitedList("queue", ["q"]), "lanes", "lanes_queue"),
            ] {
                let plan = try await fixture.storage.read { transaction -> [String] in
                    guard engine == .postgres else {
                        return try transaction.rows("EXPLAIN QUERY PLAN" + query).map { $0.text("detail") }
                    }
                    _ = try transaction.rows("SELECT set_config('enable_seqscan', 'off', true) AS value")
                    return try transaction.rows("EXPLAIN" + query).map { $0.text("QUERY PLAN") }
                }
                #expect(index.isEmpty || plan.contains { $0.contains(index) }, "\(plan)")
                #expect(!plan.contains { $0.hasPrefix("SCAN \(table)") }, "\(plan)")
                #expect(!plan.contains { $0.contains("Seq Scan on \(table)") }, "\(plan)")
            }
        }
    }

    // MARK: What follows from it

    @Test("a budget or a model that more agents share than the limit is asked for")
    func beyondLimit() async throws {
        let policy = try ContainmentPolicy(["containment": ["default": "act", "limits": ["agentsMax": 2]]])
        try await ContainmentFixture.on(.sqlite, policy: policy, models: Self.models) { fixture in
            for name in ["a", "b", "c"] { try await fixture.register(name, project: "p") }
            try await fixture.register("d", project: "q")
            for (scope, state) in [("project:p", Containment.State.asked), ("project:q", .acting)] {
                let incident = try await fixture.fire("Burn", [("scope", scope)], mode: .budgetRunaway)
                let found = try #require(try await fixture.containments(incident).first)
                #expect(found.state == state, "\(scope): \(found.reason)")
                if state == .asked { #expect(found.reason.contains("3 agents")) }
            }
            for name in ["a", "b"] { try await fixture.call(name, "m") }
            let few = try await fixture.fire("ModelSlow", [("model", "m")], mode: .modelDegradation)
            #expect(try await fixture.containments(few).map(\.state) == [.acting])
            for name in ["a", "b", "c"] { try await fixture.call(name, "other") }
            let many = try await fixture.fire("ModelSlow", [("model", "other")], mode: .modelDegradation)
            let asked = try #require(try await fixture.containments(many).first)
            #expect(asked.state == .asked && asked.reason.contains("3 agents"), "\(asked.reason)")
        }
    }

    @Test("a model that an agent shares with others is theirs too: it is asked for")
    func notMeant() async throws {
        let ill = StillModels(["m": ["main/m"], "spare": ["backup/s"]], out: ["main/m"])
        try await ContainmentFixture.on(.sqlite, policy: try .acting, models: ill) { fixture in
            for name in ["ann", "bob"] {
                try await fixture.register(name)
                try await fixture.call(name, "m")
            }
            let incident = try await fixture.fire("HighErrorRate", [("agent", "ann")], mode: .llmOutage)
            let asked = try #require(try await fixture.containments(incident).first)
            #expect(asked.state == .asked && asked.reason.contains("It reaches bob"), "\(asked.reason)")
        }
    }

    @Test("of a budget that counts somebody's calls who is never touched, the others' are cut")
    func neverByBudget() async throws {
        let policy = try ContainmentPolicy(["containment": ["default": "act", "never": ["agent:payer"]]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            for name in ["a", "b", "payer"] { try await fixture.register(name, project: "p") }
            let incident = try await fixture.fire("Burn", [("scope", "project:p")], mode: .budgetRunaway)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.state == .acted && found.reason.contains("project:p counts calls"), "\(found.reason)")
            for name in ["a", "b"] { #expect(try await fixture.budget("agent:\(name)")?.limit.nanoUSD == 0) }
            for scope in ["agent:payer", "project:p"] { #expect(try await fixture.budget(scope) == nil) }
            let refusal = await code {
                try await fixture.propose(.cutBudget, [.scopes: ["project:p"]], for: incident)
            }
            #expect(refusal == "never_contained")
        }
    }

    @Test("of what is shared nobody can be left out: whoever is never touched is named, and it is asked for")
    func neverByModel() async throws {
        let policy = try ContainmentPolicy(["containment": ["default": "act", "never": ["agent:payer"]]])
        try await ContainmentFixture.on(.sqlite, policy: policy, models: Self.models) { fixture in
            try await fixture.register("payer", project: "p")
            try await fixture.call("payer", "m")
            let incident = try await fixture.fire("ModelSlow", [("model", "m")], mode: .modelDegradation)
            let asked = try #require(try await fixture.containments(incident).first)
            #expect(asked.state == .asked && asked.reason.contains("It reaches payer"), "\(asked.reason)")
            let preview = try await fixture.storage.read {
                try fixture.service.preview(asked.steps.map(\.order), in: $0)
            }
            #expect(preview["blastRadius"]?["protected"]?["names"] == ["payer"])
            #expect(preview["beyondLimits"]?.string?.contains("payer") == true)
        }
    }
}

extension ContainmentFixture {
    func register(_ name: String, project: String, labels: [String: String] = [:]) async throws {
        var draft = AgentDraft(name: name, project: project)
        draft.labels = labels
        try await storage.write { [base, draft] in
            _ = try base.agents.register(draft, by: TaskFixture.operatorKey, in: $0)
        }
    }

    /// A call of this moment that has ended.
    func call(
        _ agent: String, _ model: String, session: String? = nil, tags: [String] = [], key: String? = nil
    ) async throws {
        let world = base.world
        let call = Call(
            id: Identifier(world), status: .done, startedAt: world.now, agent: agent, project: "default",
            session: session, keyID: key, tags: tags, door: "openai.chat", model: model, target: "main/\(model)",
            usage: CallUsage(), cost: CallCost(nanoUSD: 1_000))
        try await storage.write { _ = try CallService.recordLate([call], in: $0) }
    }
}
