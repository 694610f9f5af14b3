import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Ingest: heartbeats")
struct IngestHeartbeatTests {
    @Test(
        "the first heartbeat registers; each is answered with commands and leaves no event",
        arguments: TestEngine.available)
    func beats(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let body = #"{"type":"agent.heartbeat","statusMessage":"Processing task #42"}"#
            let reply = try await bench.call(.post, "/api/events/ingest", body, as: AgentBench.agent("writer"))
            #expect(reply.status == 200)
            #expect(
                Set(reply.body.object?.names ?? []) == [
                    "nextHeartbeatSeconds", "pause", "drain", "config", "messages", "cancel", "serverTime",
                ])
            #expect((10...11).contains(reply["nextHeartbeatSeconds"]?.int ?? 0))
            #expect(reply["pause"] == false)
            #expect(reply["config"] == ["desired": .null, "etag": .null])
            #expect(reply["serverTime"] == bench.world.now.json)
            let agent = try await bench.show("writer")
            #expect(agent["statusMessage"] == "Processing task #42")
            #expect(agent["lastHeartbeatAt"] == bench.world.now.json)
            #expect(agent["project"] == "default")
            let told = try await bench.story()
            #expect(told == ["agent.registered", "agent.status_changed never_seen>idle"])
            for _ in 0..<100 { try await bench.beat("writer", #""cpuPercent":12.5"#) }
            #expect(try await bench.story() == told)
        }
    }

    @Test("keeps the latest of each member, and derives the status itself", arguments: TestEngine.available)
    func keepsLatest(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            try await bench.beat(
                "writer",
                #"""
                "statusMessage":"one","cpuPercent":150.5,"memoryBytes":1073741824,"configVersion":"6","release":"1.0",
                "capabilities":["draft"],"labels":{"zone":"a"},"project":"books"
                """#)
            try await bench.beat("writer", #""memoryBytes":5,"labels":{"tier":"gold"},"project":"elsewhere""#)
            let agent = try await bench.show("writer")
            #expect(agent["statusMessage"] == "one")
            #expect(agent["cpuPercent"] == .double(150.5))
            #expect(agent["memoryBytes"] == 5)
            #expect(agent["configVersion"]?["reported"] == "6")
            #expect(agent["release"] == "1.0")
            #expect(agent["capabilities"] == ["draft"])
            #expect(agent["labels"] == ["tier": "gold", "zone": "a"])
            #expect(agent["project"] == "books")
            try await bench.beat("writer", #""status":"on fire""#)
            #expect(try await bench.show("writer")["status"] == "idle")
            #expect(try await bench.show("writer")["statusMessage"] == "on fire")
        }
    }

    @Test("tells the wanted configuration, and tasks to stop", arguments: TestEngine.available)
    func tells(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            try await bench.beat("writer")
            _ = try await bench.call(.patch, "/api/v1/agents/writer", #"{"desiredConfigVersion":"7"}"#)
            let config = try await bench.beat("writer")["config"]
            #expect(config?["desired"] == "7")
            #expect(config?["etag"]?.string?.count == 16)
            bench.workload.set("writer", leased: 1)
            try await bench.storage.write { try bench.agents.workloadChanged("writer", in: $0) }
            try await bench.beat("writer")
            #expect(try await bench.beat("writer")["cancel"] == ["task_0"])
        }
    }

    @Test("an agent's key beats for its agent alone; others must name one")
    func isBound() async throws {
        try await AgentBench.run(.sqlite) { bench in
            let writer = AgentBench.agent("writer")
            func send(_ body: String, as principal: Principal) async throws -> Answer {
                try await bench.call(.post, "/api/events/ingest", body, as: principal)
            }
            let own = #"{"type":"agent.heartbeat","agent":"writer"}"#
            let other = #"{"type":"agent.heartbeat","agent":"reader"}"#
            let none = #"{"type":"agent.heartbeat"}"#
            #expect(try await send(own, as: writer).status == 200)
            #expect(try await send(other, as: writer).code == "forbidden")
            #expect(try await send(other, as: AgentBench.viewer).status == 403)
            #expect(try await bench.show("reader")["code"] == "not_found")
            for principal in [AgentBench.ingest, AgentBench.operator_] {
                let unnamed = try await send(none, as: principal)
                #expect(unnamed.status == 422)
                #expect(unnamed["field"] == "agent")
                #expect(try await send(other, as: principal).status == 200)
            }
            // Nothing of another agent moved.
            let events = try await bench.allEvents().filter { $0.agent == "writer" }
            #expect(events.count == 2)
        }
    }

    @Test(
        "refuses a heartbeat with a value that is not acceptable, and registers nobody",
        arguments: [
            #"{"type":"agent.heartbeat","cpuPercent":"much"}"#, #"{"type":"agent.heartbeat","cpuPercent":-1}"#,
            #"{"type":"agent.heartbeat","memoryBytes":1.5}"#, #"{"type":"agent.heartbeat","labels":{"a":1}}"#,
            #"{"type":"agent.heartbeat","statusMessage":7}"#, #"{"type":"agent.heartbeat","intervalSeconds":0}"#,
            #"{"statusMessage":"no type"}"#, #"{"type":7}"#, #"{"type":""}"#, #""agent.heartbeat""#, "7", "{", "",
            #"{"type":"agent.heartbeat","type":"agent.heartbeat"}"#,
            "{\"type\":\"" + String(repeating: "t", count: 201) + "\"}",
            "{\"type\":\"agent.heartbeat\",\"statusMessage\":\"" + String(repeating: "s", count: 10_001) + "\"}",
        ])
    func refuses(_ body: String) async throws {
        try await AgentBench.run(.sqlite) { bench in
            let reply = try await bench.call(.post, "/api/events/ingest", body, as: AgentBench.agent("writer"))
            #expect((400..<500).contains(reply.status))
            #expect(try await bench.allEvents().isEmpty)
            #expect(try await bench.show("writer")["code"] == "not_found")
        }
    }

    @Test("a heartbeat under an Idempotency-Key is answered once", arguments: TestEngine.available)
    func repeats(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            try await bench.beat("writer")
            _ = try await bench.call(.post, "/api/v1/agents/writer/messages", #"{"text":"hello"}"#)
            func beat(_ body: String) async throws -> Answer {
                try await bench.call(
                    .post, "/api/events/ingest", body, as: AgentBench.agent("writer"), headers: ["idempotency-key": "k"]
                )
            }
            let first = try await beat(#"{"type":"agent.heartbeat"}"#)
            #expect(first["messages"]?.array?.count == 1)
            #expect(try await beat(#"{"type":"agent.heartbeat"}"#).body == first.body)
            #expect(try await beat(#"{"type":"agent.heartbeat","release":"2"}"#).code == "idempotency_mismatch")
        }
    }
}

@Suite("Ingest: events and batches")
struct IngestEventTests {
    @Test("unknown types are kept as events of the agent", arguments: TestEngine.available)
    func keeps(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let reply = try await bench.call(
                .post, "/api/events/ingest", #"{"type":"build.finished","ok":true,"steps":[1,2]}"#,
                as: AgentBench.agent("writer"))
            #expect(reply.status == 200)
            #expect(reply.body == ["accepted": 1, "rejected": []])
            let nested = #"{"type":"note","agent":"writer","data":{"text":"hello"}}"#
            _ = try await bench.call(.post, "/api/events/ingest", nested, as: AgentBench.ingest)
            let events = try await bench.allEvents().suffix(2)
            #expect(events.map(\.type) == ["build.finished", "note"])
            #expect(events.map(\.agent) == ["writer", "writer"])
            #expect(events.map(\.actor) == ["agent:writer", "ingest:collector"])
            #expect(events.map(\.project) == ["default", "default"])
            #expect(events.first?.data == ["ok": true, "steps": [1, 2]])
            #expect(events.last?.data == ["text": "hello"])
            // An event is a sign of life, and no heartbeat.
            #expect(try await bench.status("writer") == "idle")
            #expect(try await bench.show("writer")["lastHeartbeatAt"] == .null)
        }
    }

    @Test("Reeve's own events cannot be forged", arguments: TestEngine.available)
    func isNotForged(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for type in ["task.completed", "agent.status_changed", "key.created"] {
                let reply = try await bench.call(
                    .post, "/api/events/ingest", "{\"type\":\"\(type)\",\"agent\":\"writer\"}")
                #expect(reply.status == 422)
                #expect(reply.code == "reserved_type")
            }
            #expect(try await bench.allEvents().isEmpty)
        }
    }

    @Test("an event's data has an end")
    func isBounded() async throws {
        var policy = AgentPolicy()
        policy.eventBytesMax = 100
        try await AgentBench.run(.sqlite, policy: policy) { bench in
            let reply = try await bench.call(
                .post, "/api/events/ingest",
                "{\"type\":\"note\",\"text\":\"" + String(repeating: "x", count: 100) + "\"}",
                as: AgentBench.agent("writer"))
            #expect(reply.status == 413)
            #expect(reply.code == "event_too_large")
            #expect(try await bench.allEvents().isEmpty)
        }
    }

    @Test(
        "a batch is judged item by item, as an array and as an object",
        arguments: TestEngine.available, [("[", "]"), (#"{"events":["#, "]}")])
    func judges(_ engine: TestEngine, _ wrap: (String, String)) async throws {
        try await AgentBench.run(engine) { bench in
            let items = [
                #"{"type":"agent.heartbeat","statusMessage":"one"}"#, #"{"type":"note"}"#,
                #"{"type":"agent.heartbeat","agent":"reader"}"#, #"{"type":"task.completed"}"#, "7",
                #"{"type":"agent.heartbeat","cpuPercent":"x"}"#, #"{"type":"agent.heartbeat","statusMessage":"two"}"#,
            ]
            let reply = try await bench.call(
                .post, "/api/events/ingest", wrap.0 + items.joined(separator: ",") + wrap.1,
                as: AgentBench.agent("writer"))
            #expect(reply.status == 200)
            #expect(reply["accepted"] == 3)
            let rejected = reply["rejected"]?.array ?? []
            #expect(rejected.compactMap { $0["index"]?.int } == [2, 3, 4, 5])
            #expect(rejected.compactMap { $0["code"]?.string } == ["forbidden", "reserved_type", "invalid", "invalid"])
            #expect(rejected.allSatisfy { $0["detail"]?.string?.isEmpty == false })
            #expect(try await bench.show("writer")["statusMessage"] == "two")
            #expect(try await bench.call(.get, "/api/v1/agents")["items"]?.array?.count == 1)
        }
    }

    @Test("an item that fails while it is kept leaves nothing, and the rest stays", arguments: TestEngine.available)
    func keepsTheRest(_ engine: TestEngine) async throws {
        var policy = AgentPolicy()
        policy.agentsMax = 2
        try await AgentBench.run(engine, policy: policy) { bench in
            let items = ["a", "b", "c", "a"].map { #"{"type":"note","agent":"\#($0)"}"# }
            let reply = try await bench.call(
                .post, "/api/events/ingest", "[" + items.joined(separator: ",") + "]", as: AgentBench.ingest)
            #expect(reply["accepted"] == 3)
            #expect(reply["rejected"]?.array?.compactMap { $0["code"]?.string } == ["agents_full"])
            #expect(try await bench.allEvents().filter { $0.type == "note" }.compactMap(\.agent) == ["a", "b", "a"])
        }
    }

    @Test("a batch has an end, and may be empty")
    func isLimited() async throws {
        try await AgentBench.run(.sqlite) { bench in
            var limits = Limits()
            limits.batchItems = 3
            let four = Array(repeating: #"{"type":"note"}"#, count: 4).joined(separator: ",")
            for body in ["[\(four)]", "{\"events\":[\(four)]}", #"{"events":"x"}"#] {
                let reply = try await bench.call(
                    .post, "/api/events/ingest", body, as: AgentBench.agent("writer"), limits: limits)
                #expect(reply.status == 422)
            }
            #expect(try await bench.allEvents().isEmpty)
            for body in ["[]", #"{"events":[]}"#] {
                let reply = try await bench.call(.post, "/api/events/ingest", body, as: AgentBench.agent("writer"))
                #expect(reply.body == ["accepted": 0, "rejected": []])
            }
        }
    }

    @Test("a batch repeated under its Idempotency-Key adds nothing", arguments: TestEngine.available)
    func repeats(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for _ in 0..<3 {
                let reply = try await bench.call(
                    .post, "/api/events/ingest", #"[{"type":"note"},{"type":"note"}]"#, as: AgentBench.agent("writer"),
                    headers: ["idempotency-key": "once"])
                #expect(reply["accepted"] == 2)
            }
            #expect(try await bench.allEvents().filter { $0.type == "note" }.count == 2)
        }
    }
}
