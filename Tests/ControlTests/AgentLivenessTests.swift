import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Agents: liveness")
struct AgentLivenessTests {
    @Test("comes, works, falls silent and comes back, with an event for each", arguments: TestEngine.available)
    func lives(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            try await bench.beat("writer")
            #expect(try await bench.status("writer") == "idle")
            bench.workload.set("writer", leased: 1)
            try await bench.storage.write { try bench.agents.workloadChanged("writer", in: $0) }
            // A page is right before the loop has looked; the record follows with it.
            #expect(try await bench.status("writer") == "busy")
            #expect(try await bench.recordedStatus("writer") == .idle)
            #expect(try await bench.agents.settleDue(bench.storage) == 1)
            #expect(try await bench.recordedStatus("writer") == .busy)
            #expect(
                try await bench.show("writer")["currentTasks"]
                    == [["id": "task_0", "title": "Task 0", "state": "running"]])

            bench.time.advance(by: .seconds(19))
            #expect(try await bench.agents.settleDue(bench.storage) == 0)
            bench.time.advance(by: .seconds(3))
            #expect(try await bench.agents.settleDue(bench.storage) == 1)
            #expect(try await bench.recordedStatus("writer") == .unreachable)
            bench.workload.set("writer", leased: 0)
            try await bench.storage.write { try bench.agents.workloadChanged("writer", in: $0) }
            #expect(try await bench.agents.settleDue(bench.storage) == 1)
            #expect(try await bench.recordedStatus("writer") == .offline)
            bench.time.advance(by: .hours(5))
            #expect(try await bench.agents.settleDue(bench.storage) == 0)
            try await bench.beat("writer")
            #expect(try await bench.recordedStatus("writer") == .idle)
            #expect(
                try await bench.story() == [
                    "agent.registered", "agent.status_changed never_seen>idle", "agent.status_changed idle>busy",
                    "agent.status_changed busy>unreachable", "agent.status_changed unreachable>offline",
                    "agent.status_changed offline>idle",
                ])
            #expect(try await bench.show("writer")["statusSince"] == bench.world.now.json)
        }
    }

    @Test("a heartbeat in time keeps it alive, however long", arguments: TestEngine.available)
    func staysAlive(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for _ in 0..<50 {
                try await bench.beat("writer")
                bench.time.advance(by: .seconds(10))
                #expect(try await bench.agents.settleDue(bench.storage) == (0))
            }
            #expect(try await bench.story().count == 2)
        }
    }

    @Test(
        "an agent that asks for a longer interval is given it, and loses it with the next heartbeat",
        arguments: TestEngine.available)
    func asksForInterval(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            #expect(try await bench.beat("cron", #""intervalSeconds":600"#)["nextHeartbeatSeconds"] == 600)
            bench.time.advance(by: .seconds(605))
            try await bench.agents.settleDue(bench.storage)
            #expect(try await bench.recordedStatus("cron") == .idle)
            let reply = try await bench.beat("cron")
            #expect((10...11).contains(reply["nextHeartbeatSeconds"]?.int ?? 0))
            bench.time.advance(by: .seconds(22))
            try await bench.agents.settleDue(bench.storage)
            #expect(try await bench.recordedStatus("cron") == .offline)
        }
    }

    @Test("after a restart nobody is given up on before the failover grace", arguments: TestEngine.available)
    func sparesAfterRestart(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for name in ["busy", "idle", "gone"] { try await bench.beat(name) }
            bench.workload.set("busy", leased: 1)
            bench.time.advance(by: .seconds(15))
            for name in ["busy", "idle"] { try await bench.beat(name) }
            bench.time.advance(by: .seconds(10))
            try await bench.agents.settleDue(bench.storage)
            #expect(try await bench.recordedStatus("gone") == .offline)

            bench.time.advance(by: .hours(1))
            let again = bench.restarted()
            again.workload.set("busy", leased: 1)
            for _ in 0..<29 {
                #expect(try await again.agents.settleDue(again.storage) <= 1)
                again.time.advance(by: .seconds(1))
            }
            #expect(try await again.status("busy") == "busy")
            #expect(try await again.status("idle") == "idle")
            #expect(try await again.status("gone") == "offline")
            try await again.beat("idle")
            again.time.advance(by: .seconds(1))
            try await again.agents.settleDue(again.storage)
            #expect(try await again.recordedStatus("busy") == .unreachable)
            #expect(try await again.recordedStatus("idle") == .idle)
            again.time.advance(by: .seconds(22))
            try await again.agents.settleDue(again.storage)
            #expect(try await again.recordedStatus("idle") == .offline)
        }
    }

    @Test("a round is bounded, and one tick does many", arguments: TestEngine.available)
    func settlesMany(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let batch = (0..<1_000).map { #"{"type":"agent.heartbeat","agent":"agent-\#($0)"}"# }
            for part in [batch.prefix(1_000)] {
                let reply = try await bench.call(
                    .post, "/api/events/ingest", "[" + part.joined(separator: ",") + "]", as: AgentBench.ingest)
                #expect(reply["accepted"] == 1_000)
            }
            bench.time.advance(by: .hours(1))
            #expect(try await bench.agents.settleDue(bench.storage) == 1_000)
            let counts = try await bench.storage.read { try bench.agents.statusCounts(in: $0) }
            #expect(counts == [.offline: 1_000])
            #expect(try await bench.agents.settleDue(bench.storage) == 0)
        }
    }

    @Test("contact registers, keeps alive, and writes at most once in five seconds", arguments: TestEngine.available)
    func contacts(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            func contact() async throws -> AgentStanding {
                try await bench.storage.write { try bench.agents.contact("writer", project: "books", in: $0) }
            }
            let start = bench.world.now
            let first = try await contact()
            #expect(first.project == "books")
            #expect(try await bench.recordedStatus("writer") == .idle)
            #expect(try await bench.show("writer")["lastHeartbeatAt"] == .null)
            #expect(first.facts.lastContactAt == start)
            bench.time.advance(by: .seconds(4))
            #expect(try await contact().facts.lastContactAt == start)
            bench.time.advance(by: .seconds(1))
            #expect(try await contact().facts.lastContactAt == start + .seconds(5))
            for _ in 0..<30 {
                bench.time.advance(by: .seconds(10))
                _ = try await contact()
                #expect(try await bench.agents.settleDue(bench.storage) == 0)
            }
            bench.time.advance(by: .seconds(30))
            try await bench.agents.settleDue(bench.storage)
            #expect(try await bench.recordedStatus("writer") == .offline)
            _ = try await contact()
            #expect(try await bench.recordedStatus("writer") == .idle)
        }
    }

    @Test("what operators tell it shows at once, in its reply and in the audit log", arguments: TestEngine.available)
    func directs(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            try await bench.beat("writer")
            let paused = try await bench.call(.post, "/api/v1/agents/writer/pause", #"{"reason":"night"}"#)
            #expect(paused["status"] == "paused")
            #expect(paused["pausedReason"] == "night")
            #expect(try await bench.beat("writer")["pause"] == true)
            #expect(try await bench.status("writer") == "paused")
            // Told again, nothing happens.
            _ = try await bench.call(.post, "/api/v1/agents/writer/pause", #"{"reason":"night"}"#)
            #expect(try await bench.call(.post, "/api/v1/agents/writer/drain")["status"] == "paused")
            #expect(try await bench.beat("writer")["drain"] == true)
            #expect(try await bench.call(.post, "/api/v1/agents/writer/resume")["status"] == "idle")
            #expect(try await bench.call(.post, "/api/v1/agents/writer/quarantine")["status"] == "quarantined")
            #expect(try await bench.beat("writer")["pause"] == true)
            #expect(try await bench.status("writer") == "quarantined")
            let refused = try await bench.storage.write { try bench.agents.contact("writer", project: nil, in: $0) }
            #expect(refused.facts.refusal == "quarantined")
            #expect(
                try await bench.call(.post, "/api/v1/agents/writer/release-quarantine")["status"] == "idle")
            #expect(
                try await bench.auditRows().map(\.action) == [
                    "agent.paused", "agent.draining", "agent.resumed", "agent.quarantined", "agent.quarantine_released",
                ])
            #expect(
                try await bench.story() == [
                    "agent.registered", "agent.status_changed never_seen>idle", "agent.paused",
                    "agent.status_changed idle>paused", "agent.draining", "agent.resumed",
                    "agent.status_changed paused>idle", "agent.quarantined",
                    "agent.status_changed idle>quarantined", "agent.quarantine_released",
                    "agent.status_changed quarantined>idle",
                ])
            #expect(try await bench.call(.post, "/api/v1/agents/nobody/pause").status == 404)
            let long = String(repeating: "x", count: 1_001)
            #expect(
                try await bench.call(.post, "/api/v1/agents/writer/pause", "{\"reason\":\"\(long)\"}").status == 422)
        }
    }

    @Test("one agent's pause leaves the others alone", arguments: TestEngine.available)
    func pausesOne(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for name in ["a", "b"] { try await bench.beat(name) }
            _ = try await bench.call(.post, "/api/v1/agents/a/pause")
            #expect(try await bench.beat("b")["pause"] == false)
            #expect(try await bench.status("b") == "idle")
        }
    }

    @Test("messages come once, in their order, and have an end", arguments: TestEngine.available)
    func sendsMessages(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            #expect(try await bench.call(.post, "/api/v1/agents/writer/messages", #"{"text":"x"}"#).status == 404)
            try await bench.beat("writer")
            for number in 0..<100 {
                let sent = try await bench.call(
                    .post, "/api/v1/agents/writer/messages", #"{"text":"message \#(number)"}"#)
                #expect(sent.status == 201)
                #expect(sent["from"] == "operator:alice")
            }
            let refused = try await bench.call(.post, "/api/v1/agents/writer/messages", #"{"text":"one more"}"#)
            #expect(refused.status == 409)
            #expect(refused.code == "messages_full")
            for body in ["{}", #"{"text":""}"#, #"{"text":5}"#] {
                #expect(try await bench.call(.post, "/api/v1/agents/writer/messages", body).status == 422)
            }
            let reply = try await bench.beat("writer")
            #expect(reply["messages"]?.array?.compactMap { $0["text"]?.string } == (0..<100).map { "message \($0)" })
            #expect(try await bench.beat("writer")["messages"] == [])
            // A batch is answered with a count, so it hands out none.
            _ = try await bench.call(.post, "/api/v1/agents/writer/messages", #"{"text":"kept"}"#)
            _ = try await bench.call(
                .post, "/api/events/ingest", #"[{"type":"agent.heartbeat"}]"#, as: AgentBench.agent("writer"))
            let kept = try await bench.beat("writer")["messages"]?.array ?? []
            #expect(kept.map { $0["text"]?.string } == ["kept"])
            #expect(try await bench.beat("writer")["messages"] == [])
        }
    }
}

@Suite("Agents: health polls")
struct AgentHealthPollTests {
    private static let url = "http://127.0.0.1:9/health"

    @Test("asks who is due, retries what fails, and tells what changed", arguments: TestEngine.available)
    func polls(_ engine: TestEngine) async throws {
        var policy = AgentPolicy()
        policy.healthRetries = 1
        policy.healthConcurrency = 2
        try await AgentBench.run(engine, policy: policy) { bench in
            let polls = AgentHealthPolls(storage: bench.storage, agents: bench.agents, probe: bench.probe)
            #expect(try await polls.round() == 0)
            for index in 0..<5 {
                let url = "\(Self.url)/\(index)"
                bench.probe.set(url, .answered(status: 200))
                _ = try await bench.call(.post, "/api/v1/agents", #"{"name":"a\#(index)","healthURL":"\#(url)"}"#)
            }
            #expect(try await polls.round() == 5)
            #expect(bench.probe.takeAsked() == (0..<5).map { "\(Self.url)/\($0)" })
            #expect(try await bench.show("a0")["health"]?["status"] == "healthy")
            #expect(try await bench.show("a0")["health"]?["checkedAt"] == bench.world.now.json)
            // Health is another truth than presence.
            #expect(try await bench.status("a0") == "never_seen")
            #expect(try await polls.round() == 0)

            bench.probe.set("\(Self.url)/0", .answered(status: 503))
            bench.time.advance(by: policy.healthInterval)
            #expect(try await polls.round() == 5)
            #expect(try await bench.show("a0")["health"]?["status"] == "healthy")
            #expect(try await bench.show("a0")["health"]?["lastError"] == "it answered 503")
            bench.time.advance(by: policy.healthRetryAfter)
            #expect(try await polls.round() == 1)
            #expect(try await bench.show("a0")["health"]?["status"] == "unhealthy")
            #expect(try await bench.show("a0")["health"]?["failures"] == 2)
            bench.probe.set("\(Self.url)/0", .answered(status: 204))
            bench.time.advance(by: policy.healthInterval)
            #expect(try await polls.round() == 5)
            let changes = try await bench.story().filter { $0.hasPrefix("agent.health_changed") }
            #expect(changes.count == 7)
            #expect(
                changes.suffix(2) == [
                    "agent.health_changed healthy>unhealthy", "agent.health_changed unhealthy>healthy",
                ])
        }
    }

    @Test("a URL that was taken away or changed meanwhile is not recorded", arguments: TestEngine.available)
    func forgets(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await bench.call(.post, "/api/v1/agents", #"{"name":"a","healthURL":"\#(Self.url)"}"#)
            let now = bench.world.now
            let polls = try await bench.storage.write {
                try bench.agents.presence.takeHealthDue(now: now, next: now, limit: 10, in: $0)
            }
            _ = try await bench.call(.patch, "/api/v1/agents/a", #"{"healthURL":null}"#)
            try await bench.storage.write { transaction in
                for poll in polls { try bench.agents.record(.answered(status: 200), of: poll, in: transaction) }
            }
            #expect(polls.count == 1)
            #expect(try await bench.show("a")["health"]?["status"] == "unknown")
            let round = AgentHealthPolls(storage: bench.storage, agents: bench.agents, probe: bench.probe)
            bench.time.advance(by: .hours(1))
            #expect(try await round.round() == 0)
        }
    }

    @Test("a heartbeat cannot set it")
    func isNotForAgents() async throws {
        try await AgentBench.run(.sqlite) { bench in
            try await bench.beat("a", #""healthURL":"http://10.0.0.1/""#)
            #expect(try await bench.show("a")["healthURL"] == .null)
        }
    }
}
