import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Alerts that tell of no mode of failure: what their runbooks would do is their plan.
@Suite("Plans by the runbooks of alerts")
struct RunbookPlanTests {
    private static func policy(_ members: JSONValue) throws -> ContainmentPolicy {
        try ContainmentPolicy(["containment": members])
    }

    private static func orders(_ containment: Containment) -> [String] {
        containment.steps.map { step in
            let names = step.order[.agents] + step.order[.tasks].map { _ in "task" }
            return "\(step.order.action.rawValue) \(names.joined(separator: " "))"
        }
    }

    @Test(
        "a silent agent's plan is what its runbook does, proposed unless the settings say more",
        arguments: TestEngine.available)
    func agentDown(_ engine: TestEngine) async throws {
        let rows: [(JSONValue, Containment.State)] = [
            ([:], .proposed), (["default": "ask"], .asked), (["default": "act"], .acting),
            (["alerts": ["AgentDown": "act"]], .acting),
            (["default": "act", "alerts": ["AgentDown": ["critical": "suggest"]]], .proposed),
            (["default": "act", "alerts": ["AgentDown": ["warning": "suggest"]]], .acting),
            (["modes": ["llm-outage": "act"]], .proposed),
        ]
        for (members, state) in rows {
            try await ContainmentFixture.on(engine, policy: Self.policy(members)) { fixture in
                try await fixture.register("ann", "bob")
                _ = try await fixture.base.create(["title": "report"])
                let task = try await fixture.base.claimOne("ann")
                _ = try await fixture.base.beat(task, "ann")
                let incident = try await fixture.fire("AgentDown", [("agent", "ann")])
                let made = try await fixture.containments(incident)
                #expect(made.map(\.state) == [state], "\(members)")
                let plan = try #require(made.first)
                #expect(plan.origin == .plan && plan.name == "AgentDown" && plan.mode == nil)
                #expect(Self.orders(plan) == ["pauseAgent ann", "reassign task"])
                // The same alert again is the same plan.
                try await fixture.fire("AgentDown", [("agent", "ann"), ("host", "b")])
                #expect(try await fixture.containments(incident).count == 1)
                guard state == .acting else { return }
                try await fixture.act()
                #expect(try await fixture.agent("ann").isPaused)
                #expect(try await !fixture.agent("bob").isPaused)
            }
        }
    }

    @Test("a queue's plan resumes who would work on it, and only with a person's yes", arguments: TestEngine.available)
    func queueBackup(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine, policy: Self.policy(["default": "act"])) { fixture in
            for (name, project) in [("ann", "books"), ("bob", "books"), ("cay", "films"), ("dan", "films")] {
                try await fixture.storage.write { [agents = fixture.base.agents] in
                    let draft = AgentDraft(name: name, project: project)
                    _ = try agents.register(draft, by: TaskFixture.operatorKey, in: $0)
                }
            }
            func pause(_ name: String) async throws {
                try await fixture.storage.write { [agents = fixture.base.agents] in
                    _ = try agents.direct(.pause, name, reason: "by mistake", by: TaskFixture.operatorKey, in: $0)
                }
            }
            // cay took a task of the queue before; dan has nothing to do with it.
            _ = try await fixture.base.create(["queue": "inbox"])
            let done = try #require(try await fixture.base.claim("cay", queues: ["inbox"]).first)
            _ = try await fixture.base.beat(done, "cay")
            _ = try await fixture.base.complete(done, "cay")
            _ = try await fixture.base.create(["queue": "inbox", "project": "books"])
            let first = try await fixture.fire("QueueBackup", [("queue", "inbox")])
            #expect(try await fixture.containments(first).isEmpty)
            for name in ["ann", "cay", "dan"] { try await pause(name) }
            try await fixture.fire("QueueBackup", [("queue", "inbox"), ("host", "b")])
            let plan = try #require(try await fixture.containments(first).first)
            #expect(plan.state == .asked && plan.reason.contains("a person takes that back"))
            #expect(Self.orders(plan) == ["resumeAgent ann cay"])
            #expect(try await fixture.agent("ann").isPaused)
            try await fixture.approve(plan.id)
            try await fixture.act()
            #expect(try await !fixture.agent("ann").isPaused)
            #expect(try await !fixture.agent("cay").isPaused)
            #expect(try await fixture.agent("dan").isPaused)
        }
    }

    @Test("a tool's plan holds the agents that its alert names; where it names none there is none")
    func toolTimeouts() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("ann")
            let some = try await fixture.fire("ToolTimeouts", [("tool", "search"), ("agent", "ann")])
            #expect(try await fixture.containments(some).map(Self.orders) == [["pauseAgent ann"]])
            let none = try await fixture.fire("ToolTimeouts", [("tool", "mail")])
            #expect(try await fixture.containments(none).isEmpty)
        }
    }

    @Test("what somebody wrote for an alert counts before the plan of its mode")
    func own() async throws {
        let own = try Runbook(
            """
            name: mine
            title: Ours
            alerts: [ToolStorm, Ours]
            summary: What we do.
            actions:
              - {action: cutBudget, parameters: {scopes: "{{scopes}}"}}
            """, file: "mine.yml")
        let shelf = RunbookShelf(try RunbookLibrary.shipped.replaced(by: [own]))
        try await ContainmentFixture.on(.sqlite, runbooks: shelf) { fixture in
            try await fixture.register("ann", "bob")
            let storm = try await fixture.fire("ToolStorm", [("agent", "ann")], mode: .infiniteLoop)
            let plan = try #require(try await fixture.containments(storm).first)
            #expect(plan.name == "mine" && plan.mode == .infiniteLoop)
            #expect(plan.steps.map(\.order.action) == [.cutBudget])
            let ours = try await fixture.fire("Ours", [("agent", "bob")])
            #expect(try await fixture.containments(ours).map(\.name) == ["mine"])
            // One that nobody wrote anything for has none.
            let theirs = try await fixture.fire("Theirs", [("agent", "cay")])
            #expect(try await fixture.containments(theirs).isEmpty)
        }
    }
}
