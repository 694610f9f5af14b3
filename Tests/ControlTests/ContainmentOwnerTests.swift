import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Containments and whoever has to do with them")
struct ContainmentOwnerTests {
    // MARK: Followers

    @Test("what acting brings an incident to is told to all who follow it", arguments: TestEngine.available)
    func followed(_ engine: TestEngine) async throws {
        let follower = FollowedIncidents()
        try await ContainmentFixture.on(engine, policy: try .acting, followers: [follower]) { fixture in
            try await fixture.register("writer")
            try await fixture.fire("ToolStorm", [("agent", "writer")], mode: .infiniteLoop)
            try await fixture.act()
            #expect(follower.all == ["opened by ToolStorm", "contained"])
            try await fixture.end("ToolStorm", [("agent", "writer")], mode: .infiniteLoop)
            #expect(follower.all == ["opened by ToolStorm", "contained", "mitigated"])
        }
    }

    // MARK: Several at once

    @Test("of answers that come at once one counts, and it acts once", arguments: TestEngine.available)
    func atOnce(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.register("writer")
            for round in 0..<6 {
                let incident = try await fixture.fire("A\(round)", [("queue", "q\(round)")])
                let id = try await fixture.propose(
                    .pauseAgent, [.agents: ["writer"]], for: incident, acts: false
                ).id
                async let refused = code {
                    try await fixture.storage.write { [service = fixture.service] in
                        _ = try service.refuse(id.text, reason: "no", by: TaskFixture.operatorKey, in: $0)
                    }
                }
                async let first = code { try await fixture.approve(id) }
                async let second = code { try await fixture.approve(id) }
                let answers = await [first, second]
                let isRefused = await refused == nil
                #expect(answers == (isRefused ? ["conflict", "conflict"] : [nil, nil]))
                // Two replicas act on it.
                let other = ContainmentLoop(service: fixture.service, storage: fixture.storage)
                async let one: Void = fixture.act()
                async let two: Void = other.act()
                _ = try await (one, two)
                let now = try await fixture.containment(id)
                #expect(now.state == (isRefused ? .refused : .acted))
                if !isRefused { try await fixture.reverse(id) }
            }
            let events = try await fixture.eventTypes("agent.")
            let (paused, resumed) = (
                events.count { $0 == "agent.paused" }, events.count { $0 == "agent.resumed" }
            )
            let acted = try await fixture.eventTypes("containment.").count { $0 == "containment.acted" }
            #expect(paused == acted && resumed == acted, "\(events)")
        }
    }

    @Test("who lets it act and who takes it back are two, and taking back frees no turn within the hour")
    func decided() async throws {
        let policy = try ContainmentPolicy(["containment": ["default": "act", "limits": ["perHour": 1]]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register("writer", "editor")
            let incident = try await fixture.fire("ToolStorm", [("agent", "writer")], mode: .infiniteLoop)
            try await fixture.act()
            let first = try #require(try await fixture.containments(incident).first)
            try await fixture.reverse(first.id)
            let back = try await fixture.containment(first.id)
            #expect(back.decidedBy == "reeve" && back.reversedBy == TaskFixture.operatorKey.actor)
            let entries = try await fixture.timeline(incident)
            #expect(entries.first { $0.action == "pauseAgent" }?.actor == "reeve")
            #expect(entries.first { $0.action == "pauseAgent_reversed" }?.actor == TaskFixture.operatorKey.actor)
            let second = try await fixture.fire("ToolStorm", [("agent", "editor")], mode: .infiniteLoop)
            #expect(try await fixture.containments(second).map(\.state) == [.asked])
        }
    }

    // MARK: What is gone, and what has a name of its own

    @Test("what is gone between the yes and the act is told, and the rest is done", arguments: TestEngine.available)
    func gone(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.register("writer", "editor")
            let tasks = [
                try await fixture.base.create(["title": "a"]), try await fixture.base.create(["title": "b"]),
            ]
            let incident = try await fixture.fire("HighErrorRate", [("agent", "writer")])
            var asked: [Containment] = []
            for (action, values) in [
                (ContainmentAction.pauseAgent, [ContainmentParameter.agents: ["writer", "editor"]]),
                (.quarantineAgent, [.agents: ["writer"]]), (.pinBack, [.agents: ["writer"], .version: ["v1"]]),
                (.holdTask, [.tasks: tasks.map(\.id.text)]),
                (.reassign, [.tasks: [tasks[0].id.text], .to: ["editor"]]),
                (.reassign, [.tasks: [tasks[1].id.text], .to: ["writer"]]),
            ] { asked.append(try await fixture.propose(action, values, for: incident)) }
            try await fixture.storage.write { [base = fixture.base] in
                _ = try base.agents.delete("writer", ifMatch: nil, by: TaskFixture.operatorKey, in: $0)
                _ = try base.tasks.cancel(tasks[0].id.text, reason: nil, by: TaskFixture.operatorKey, in: $0)
            }
            try await fixture.act()
            var states: [Containment.State] = []
            for one in asked {
                let now = try await fixture.containment(one.id)
                states.append(now.state)
                #expect(now.state != .failed || !now.reason.isEmpty, "\(now.name)")
            }
            #expect(states == [.acted, .failed, .failed, .acted, .failed, .failed])
            #expect(try await fixture.agent("editor").isPaused)
            #expect(try await fixture.holds(tasks[1].id) == ["incident"])
            for one in asked where try await fixture.containment(one.id).canReverse {
                try await fixture.reverse(one.id)
            }
            #expect(try await fixture.agent("editor").isPaused == false)
            #expect(try await fixture.holds(tasks[1].id).isEmpty)
            let claims = try await fixture.storage.read { try $0.rows("SELECT kind FROM containment_claims").count }
            #expect(claims == 0)
        }
    }

    @Test(
        "agents of any name are contained, and only they",
        arguments: ["wri ter", "agent:x", "*", "%", "a'; DROP TABLE agents;--", "<b>&\"", "ünïcode 🦊", "queue:payroll"])
    func oddNames(_ name: String) async throws {
        let policy = try ContainmentPolicy(["containment": ["default": "act", "never": ["queue:payroll"]]])
        try await ContainmentFixture.on(.sqlite, policy: policy) { fixture in
            try await fixture.register(name, "x", "writer")
            try await fixture.call("x", "m", session: name)
            let incident = try await fixture.fire("ToolStorm", [("agent", name)], mode: .infiniteLoop)
            try await fixture.act()
            // What stands for everybody is no name of one.
            let expected = name != "*"
            #expect(try await fixture.agent(name).isPaused == expected)
            for other in ["x", "writer"] { #expect(try await fixture.agent(other).isPaused == false) }
            if let found = try await fixture.containments(incident).first {
                #expect(found.state == .acted, "\(found.reason)")
                try await fixture.reverse(found.id)
            }
            #expect(try await fixture.agent(name).isPaused == false)
            let memory = ContainmentOrder(.memoryReadOnly, [.agents: [name]])
            #expect((memory == nil) == !expected)
            let given: JSONValue = ["agents": .list([name])]
            let refusal = await code {
                try ContainmentOrder(
                    .pauseAgent, Fields(given.object ?? JSONObject(), limits: Limits()), limits: Limits())
            }
            #expect(refusal == (expected ? nil : "invalid"))
        }
    }

    // MARK: Retention

    /// An incident with a pause that acted, resolved, and past its retention.
    private static func old(_ fixture: ContainmentFixture, _ agent: String) async throws -> Containment {
        let incident = try await fixture.fire("HighErrorRate", [("agent", agent)])
        let done = try await fixture.propose(.pauseAgent, [.agents: [agent]], for: incident)
        try await fixture.act()
        try await fixture.end("HighErrorRate", [("agent", agent)])
        try await fixture.storage.write { [incidents = fixture.incidents] in
            _ = try incidents.reach(.resolved, of: Identifier(stored: incident), by: .system, in: $0)
        }
        return try await fixture.containment(done.id)
    }

    private static func rows(_ fixture: ContainmentFixture) async throws -> [Int64] {
        try await fixture.storage.read { transaction in
            try ["incidents", "incident_entries", "containments", "containment_steps", "containment_claims"].map {
                try transaction.first("SELECT count(*) AS n FROM \(sql: SQLText(stringLiteral: $0))")?.int("n") ?? 0
            }
        }
    }

    @Test(
        "an incident is forgotten in its time; what it still holds can be taken back", arguments: TestEngine.available)
    func outlived(_ engine: TestEngine) async throws {
        try await ContainmentFixture.on(engine) { fixture in
            try await fixture.register("writer", "editor")
            _ = try await fixture.base.create(["title": "a"])
            _ = try await fixture.base.claimOne("writer")
            let (held, past) = (try await Self.old(fixture, "writer"), try await Self.old(fixture, "editor"))
            // Of this one nothing is held any more: somebody let the agent go. And nobody decided on what came late.
            try await fixture.direct(.resume, "editor")
            _ = try await fixture.propose(.holdTask, [.agents: ["writer"]], for: held.incidentID, acts: false)
            let retention = IncidentRetention(service: fixture.incidents, storage: fixture.storage)
            fixture.time.advance(by: .hours(24 * 401))
            #expect(try await retention.forget() == 2)
            #expect(await code { try await fixture.containment(past.id) } == "not_found")
            #expect(try await Self.rows(fixture) == [0, 0, 1, 1, 1])
            #expect(try await fixture.agent("writer").isPaused)
            let listed = try await fixture.storage.read { [service = fixture.service] in
                try service.held(Page(limit: 10, after: nil), in: $0)
            }
            #expect(listed.map(\.id) == [held.id] && listed[0].canReverse)
            // Nothing of it is written into a timeline that is not there.
            try await fixture.loop.rampBack()
            try await fixture.reverse(held.id)
            #expect(try await fixture.agent("writer").isPaused == false)
            #expect(try await Self.rows(fixture) == [0, 0, 0, 0, 0])
            #expect(try await fixture.eventTypes("containment.").last == "containment.reversed")
        }
    }
}
