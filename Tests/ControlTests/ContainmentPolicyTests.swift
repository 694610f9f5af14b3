import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("How far containments go by themselves")
struct ContainmentPolicyTests {
    static let refusals: [(String, JSONValue, String)] = [
        ("a stance that there is not", ["containment": ["default": "maybe"]], "alerts/containment/default"),
        ("a mode that there is not", ["containment": ["modes": ["flood": "act"]]], "alerts/containment/modes/flood"),
        (
            "a severity that there is not", ["containment": ["modes": ["llm-outage": ["bad": "act"]]]],
            "alerts/containment/modes/llm-outage/bad"
        ),
        (
            "a limit below nothing", ["containment": ["limits": ["agentsMax": -1]]],
            "alerts/containment/limits/agentsMax"
        ),
        ("a name that is none", ["containment": ["never": ["../x"]]], "alerts/containment/never/0"),
        ("something else", ["containment": ["never": [], "allways": true]], "alerts/containment/allways"),
        ("no object", ["containment": "act"], "alerts/containment"),
        ("an action that there is not", ["containment": ["actions": ["rm": "ask"]]], "alerts/containment/actions/rm"),
        (
            "a stance of an action that there is not", ["containment": ["actions": ["cutBudget": "no"]]],
            "alerts/containment/actions/cutBudget"
        ),
        (
            "agents of no label", ["containment": ["agents": [["labels": [:], "stance": "ask"]]]],
            "alerts/containment/agents/0/labels"
        ),
        (
            "agents without a stance", ["containment": ["agents": [["labels": ["env": "p"]]]]],
            "alerts/containment/agents/0/stance"
        ),
        (
            "agents by their name", ["containment": ["agents": [["name": "a", "stance": "ask"]]]],
            "alerts/containment/agents/0/name"
        ),
    ]

    @Test("what is wrong with the settings is named by its place", arguments: refusals)
    func refused(_ row: (String, JSONValue, String)) {
        let problem = #expect(throws: Problem.self) { try ContainmentPolicy(row.1) }
        #expect(problem?.field == row.2, "\(row.0)")
    }

    @Test("an alert's own stance counts before its mode's, and both before the default")
    func alertStances() throws {
        let policy = try ContainmentPolicy([
            "containment": [
                "modes": ["llm-outage": "act"], "alerts": ["AgentDown": "act", "HighErrorRate": ["critical": "ask"]],
            ]
        ])
        #expect(policy.stance(of: nil, .warning, alert: "AgentDown") == .act)
        #expect(policy.stance(of: .llmOutage, .critical, alert: "HighErrorRate") == .ask)
        #expect(policy.stance(of: .llmOutage, .warning, alert: "HighErrorRate") == .act)
        #expect(policy.stance(of: nil, .warning, alert: "HighErrorRate") == .suggest)
        for (value, field) in [
            ("often", "alerts/containment/alerts/AgentDown"),
            (["grave": "act"], "alerts/containment/alerts/AgentDown/grave"),
        ] as [(JSONValue, String)] {
            let problem = #expect(throws: Problem.self) {
                try ContainmentPolicy(["containment": ["alerts": ["AgentDown": value]]])
            }
            #expect(problem?.field == field)
        }
        let many = (0...ContainmentPolicy.alertsMax).map { JSONObject.Member(name: "A\($0)", value: "ask") }
        #expect(throws: Problem.self) {
            try ContainmentPolicy(["containment": ["alerts": .object(JSONObject(many))]])
        }
    }

    @Test("each mode and severity has its stance")
    func stances() throws {
        let policy = try ContainmentPolicy([
            "containment": ["default": "ask", "modes": ["llm-outage": "act", "budget-runaway": ["critical": "act"]]]
        ])
        #expect(policy.stance(of: .llmOutage, .info) == .act)
        #expect(policy.stance(of: .budgetRunaway, .critical) == .act)
        #expect(policy.stance(of: .budgetRunaway, .warning) == .ask)
        #expect(policy.stance(of: .silentDrift, .critical) == .ask)
        #expect(try ContainmentPolicy(.null).stance(of: .llmOutage, .critical) == .suggest)
    }

    @Test("actions and labels of agents hold back, the most careful of them, and let nothing go further")
    func bounds() throws {
        let policy = try Self.policy([
            "actions": ["quarantineAgent": "ask", "cutBudget": "suggest", "pauseAgent": "act"],
            "agents": [
                ["labels": ["env": "production"], "stance": "ask"],
                ["labels": ["env": "production", "type": "payer"], "stance": "suggest"],
            ],
        ])
        func bound(_ actions: [ContainmentAction], _ labels: [String: String]...) -> ContainmentPolicy.Stance? {
            policy.bound(of: actions.map { ContainmentOrder(behindDoor: $0) }, labels: labels)?.stance
        }
        #expect(bound([.holdTask]) == nil)
        #expect(bound([.pauseAgent]) == .act)
        #expect(bound([.pauseAgent, .quarantineAgent]) == .ask)
        #expect(bound([.quarantineAgent, .cutBudget]) == .suggest)
        #expect(bound([.holdTask], ["env": "staging"], [:]) == nil)
        #expect(bound([.holdTask], ["env": "staging"], ["env": "production", "team": "a"]) == .ask)
        #expect(bound([.holdTask], ["env": "production", "type": "payer"]) == .suggest)
        #expect(bound([.holdTask], ["type": "payer"]) == nil)
        let reason = policy.bound(of: [], labels: [["env": "production", "type": "payer"]])?.reason
        #expect(reason == "The settings let what reaches agents with env=production, type=payer suggest at most.")
    }

    @Test("what reaches an agent of production is asked for, whatever the mode says")
    func bounded() async throws {
        let policy = try Self.policy([
            "default": "act", "actions": ["cutBudget": "suggest"],
            "agents": [["labels": ["env": "production"], "stance": "ask"]],
        ])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("live", labels: ["env": "production"])
            try await fixture.register("trial", labels: ["env": "staging"])
            for (agent, mode, state) in [
                ("live", FailureMode.infiniteLoop, Containment.State.asked), ("trial", .infiniteLoop, .acting),
                ("trial", .budgetRunaway, .proposed), ("live", .budgetRunaway, .proposed),
            ] {
                let incident = try await fixture.fire("A\(mode.rawValue)", [("agent", agent)], mode: mode)
                let found = try #require(try await fixture.containments(incident).last)
                #expect(found.state == state, "\(agent) \(mode): \(found.reason)")
            }
        }
    }

    @Test("scopes that alerts make up are none, and cut nobody")
    func madeUpScopes() async throws {
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            for scope in ["org:all", "agent", "agent:", "everything", "agent:../x"] {
                let incident = try await fixture.fire("Burn", [("scope", scope)], mode: .budgetRunaway)
                #expect(try await fixture.containments(incident).isEmpty, "\(scope)")
                #expect(try await fixture.timeline(incident).contains { $0.action == "not_planned" })
            }
            #expect(try await fixture.budget("org") == nil)
        }
    }

    @Test("more agents of a type than one order names are asked for")
    func omitted() async throws {
        let policy = try Self.policy(["default": "act", "limits": ["agentsMax": 1_000, "tasksMax": 1_000]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            for number in 0...ContainmentOrder.namesMax {
                try await fixture.register("a\(number)", labels: ["type": "clerk"])
            }
            let incident = try await fixture.fire("Storm", [("agent_type", "clerk")], mode: .infiniteLoop)
            let asked = try #require(try await fixture.containments(incident).first)
            #expect(asked.state == .asked && asked.reason.contains("1 more than one order names"), "\(asked.reason)")
        }
    }

    private static func policy(_ members: JSONValue) throws -> ContainmentPolicy {
        try ContainmentPolicy(["containment": members])
    }

    @Test("nothing acts before a person said yes, unless the settings say so")
    func suggested() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.state == .proposed)
            #expect(try await fixture.budget("agent:writer") == nil)
            try await fixture.approve(found.id)
            try await fixture.act()
            #expect(try await fixture.containment(found.id).state == .acted)
            #expect(try await fixture.budget("agent:writer") != nil)
            // A person let it act, so a person takes it back.
            try await fixture.end("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            fixture.time.advance(by: .minutes(2))
            try await fixture.loop.rampBack()
            try await fixture.act()
            let over = try await fixture.containment(found.id)
            #expect(over.state == .acted && over.overAt != nil)
            #expect(try await fixture.eventTypes("containment.").last == "containment.reversal_proposed")
            // Its condition comes back: it is wanted again, and over once more after that.
            try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            #expect(try await fixture.containment(found.id).overAt == nil)
            try await fixture.end("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            fixture.time.advance(by: .minutes(2))
            try await fixture.loop.rampBack()
            #expect(try await fixture.containment(found.id).overAt != nil)
        }
    }

    @Test("what another system tells of is asked for, also when it comes back")
    func external() async throws {
        try await ContainmentFixture.on(.sqlite, policy: ContainmentFixture.acting()) { fixture in
            try await fixture.register("writer")
            let labels = [("agent", "writer")]
            let incident = try await fixture.fire("Loop", labels, mode: .infiniteLoop, origin: .external)
            try await fixture.end("Loop", labels, mode: .infiniteLoop, origin: .external)
            try await fixture.storage.write { [incidents = fixture.incidents] in
                _ = try incidents.reach(.resolved, of: Identifier(stored: incident), by: .system, in: $0)
            }
            fixture.time.advance(by: .minutes(1))
            let again = try await fixture.fire("Loop", labels, mode: .infiniteLoop, origin: .external)
            #expect(again == incident)
            try await fixture.act()
            let states = try await fixture.containments(incident).map(\.state)
            #expect(states == [.expired, .asked])
            #expect(try await !fixture.agent("writer").isPaused)
        }
    }

    @Test("a question that nobody answers is open no more, and is not approved late")
    func expires() async throws {
        let policy = try Self.policy(["default": "ask", "askMinutes": 5])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            let asked = try #require(try await fixture.containments(incident).first)
            #expect(asked.state == .asked)
            fixture.time.advance(by: .minutes(5))
            #expect(await code { try await fixture.approve(asked.id) } == "conflict")
            try await fixture.act()
            #expect(try await fixture.containment(asked.id).state == .expired)
            #expect(await code { try await fixture.approve(asked.id) } == "conflict")
            #expect(try await fixture.budget("agent:writer") == nil)
        }
    }

    @Test("beyond the limits it asks instead of acting")
    func limits() async throws {
        let policy = try Self.policy(["default": "act", "limits": ["agentsMax": 1, "tasksMax": 5, "perHour": 1]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("writer", "editor", "proof")
            let first = try await fixture.fire("CostSpike", [("agent", "proof")], mode: .budgetRunaway)
            #expect(try await fixture.containments(first).map(\.state) == [.acting])
            let second = try await fixture.fire("CostSpike", [("agent", "editor")], mode: .budgetRunaway)
            #expect(try await fixture.containments(second).map(\.state) == [.asked])
            #expect(try await fixture.containments(second)[0].reason.contains("1 times it may"))
        }
        let none = try Self.policy(["default": "act", "limits": ["agentsMax": 0]])
        try await ContainmentFixture.on(.sqlite, policy: none) { fixture in
            try await fixture.register("writer")
            let wide = try await fixture.fire("ToolStorm", [("agent", "writer")], mode: .infiniteLoop)
            let asked = try #require(try await fixture.containments(wide).first)
            #expect(asked.state == .asked && asked.reason.contains("1 agent;"), "\(asked.reason)")
        }
    }

    @Test("what is never to be touched is not, by plans or by hand")
    func never() async throws {
        let policy = try Self.policy(["default": "act", "never": ["payer", "queue:payroll"]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("payer", labels: ["type": "clerk"])
            try await fixture.register("writer", labels: ["type": "clerk"])
            let incident = try await fixture.fire("ToolStorm", [("agent_type", "clerk")], mode: .infiniteLoop)
            try await fixture.act()
            #expect(try await fixture.agent("writer").isPaused)
            #expect(try await fixture.agent("payer").isPaused == false)
            for (action, values) in [
                (ContainmentAction.pauseAgent, [ContainmentParameter.agents: ["writer", "payer"]]),
                (.pauseQueue, [.queues: ["payroll"]]), (.cutBudget, [.scopes: ["agent:payer"]]),
            ] {
                let refusal = await code { try await fixture.propose(action, values, for: incident) }
                #expect(refusal == "never_contained", "\(action)")
            }
        }
    }

    @Test("the same alert again plans nothing anew, a further subject does")
    func joins() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            try await fixture.end("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            let again = try await fixture.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway)
            #expect(again == incident)
            #expect(try await fixture.containments(incident).count == 1)
        }
    }

    @Test("what comes back within its incident is contained again, but for what a person refused")
    func comesBack() async throws {
        let labels = [("agent", "writer")]
        try await ContainmentFixture.on(.sqlite, policy: try .acting) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop)
            for round in 1...2 {
                try await fixture.act()
                #expect(try await fixture.agent("writer").isPaused, "round \(round)")
                try await fixture.end("ToolStorm", labels, mode: .infiniteLoop)
                fixture.time.advance(by: .seconds(61))
                try await fixture.loop.rampBack()
                try await fixture.act()
                #expect(try await !fixture.agent("writer").isPaused, "round \(round)")
                #expect(try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop) == incident)
            }
            #expect(try await fixture.containments(incident).map(\.state) == [.reversed, .reversed, .acting])
        }
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("writer")
            let incident = try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop)
            let proposed = try #require(try await fixture.containments(incident).first)
            try await fixture.storage.write { [service = fixture.service] in
                _ = try service.refuse(
                    proposed.id.text, reason: "it is meant so", by: TaskFixture.operatorKey, in: $0)
            }
            try await fixture.end("ToolStorm", labels, mode: .infiniteLoop)
            try await fixture.fire("ToolStorm", labels, mode: .infiniteLoop)
            #expect(try await fixture.containments(incident).map(\.state) == [.refused])
        }
    }

    static let orders: [(String, String?)] = [
        (#"{"action":"pauseAgent","parameters":{"agents":["a"]}}"#, nil),
        (#"{"action":"pauseAgent","parameters":{}}"#, "parameters/agents"),
        (#"{"action":"pauseAgent"}"#, "parameters/agents"),
        (#"{"action":"pauseAgent","parameters":{"agents":["a"],"tasks":["t"]}}"#, "parameters/tasks"),
        (#"{"action":"pauseAgent","parameters":{"agents":"a"}}"#, "parameters/agents"),
        (#"{"action":"dropTables","parameters":{}}"#, "action"),
        (#"{"action":"useFallback","parameters":{"models":["a"]}}"#, "parameters/to"),
        (#"{"action":"cutBudget","parameters":{"scopes":["moon:x"]}}"#, "parameters/scopes"),
        (#"{"action":"pinBack","parameters":{"agents":["a"],"version":"v1"}}"#, nil),
    ]

    @Test("parameters are checked before anything is proposed", arguments: orders)
    func parameters(_ row: (String, String?)) throws {
        let fields = Fields(try JSONParser.parse(row.0).object ?? JSONObject(), limits: Limits())
        guard let field = row.1 else {
            _ = try ContainmentOrder(fields, limits: Limits())
            return
        }
        let problem = #expect(throws: Problem.self) { try ContainmentOrder(fields, limits: Limits()) }
        #expect(problem?.field == field, "\(row.0)")
    }
}
