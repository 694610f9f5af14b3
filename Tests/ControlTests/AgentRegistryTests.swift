import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Agents: the registry")
struct AgentRegistryTests {
    private static let draft = #"""
        {"name":"writer","project":"licences","labels":{"tier":"gold"},"capabilities":["draft","review"],
         "healthURL":"http://127.0.0.1:9/health","release":"1.4.0"}
        """#

    @Test("registers an agent, and shows all that clients rely on", arguments: TestEngine.available)
    func registers(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let created = try await bench.call(.post, "/api/v1/agents", Self.draft)
            #expect(created.status == 201)
            #expect(created.headers["etag"] == "\"1\"")
            let agent = try await bench.show("writer")
            #expect(agent == created.body)
            let members = Set(agent.object?.names ?? [])
            let promised: Set<String> = [
                "name", "project", "status", "statusMessage", "lastHeartbeatAt", "cpuPercent", "memoryBytes",
                "currentTasks", "configVersion", "labels", "capabilities", "release", "healthURL", "health",
                "pausedReason", "statusSince", "createdAt", "updatedAt",
            ]
            #expect(promised.subtracting(members).isEmpty)
            #expect(agent["status"] == "never_seen")
            #expect(agent["project"] == "licences")
            #expect(agent["labels"] == ["tier": "gold"])
            #expect(agent["capabilities"] == ["draft", "review"])
            #expect(agent["configVersion"] == ["desired": .null, "reported": .null])
            #expect(agent["currentTasks"] == [])
            #expect(agent["health"]?["status"] == "unknown")
            #expect(try await bench.story() == ["agent.registered"])
            #expect(try await bench.auditRows().map(\.action) == ["agent.registered"])
        }
    }

    @Test("the same again changes nothing; another one of that name conflicts", arguments: TestEngine.available)
    func registersOnce(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await bench.call(.post, "/api/v1/agents", Self.draft)
            let again = try await bench.call(.post, "/api/v1/agents", Self.draft)
            #expect(again.status == 200)
            let other = try await bench.call(.post, "/api/v1/agents", #"{"name":"writer","project":"other"}"#)
            #expect(other.status == 409)
            #expect(other.code == "conflict")
            #expect(try await bench.show("writer")["project"] == "licences")
            #expect(try await bench.story() == ["agent.registered"])
            #expect(try await bench.auditRows().count == 1)
        }
    }

    private static let longName = "{\"name\":\"\(String(repeating: "a", count: 201))\"}"
    private static let manyLabels: String = {
        let labels = (0...64).map { "\"l\($0)\":\"x\"" }.joined(separator: ",")
        return "{\"name\":\"a\",\"labels\":{\(labels)}}"
    }()
    private static let manyCapabilities: String = {
        let names = (0...100).map { "\"c\($0)\"" }.joined(separator: ",")
        return "{\"name\":\"a\",\"capabilities\":[\(names)]}"
    }()

    @Test(
        "refuses what is past a limit or of a wrong kind, and changes nothing",
        arguments: [
            (#"{}"#, 422), (#"{"name":""}"#, 422), (#"{"name":"a/b"}"#, 422), (#"{"name":".hidden"}"#, 422),
            (#"{"name":"a","labels":{"x":1}}"#, 422), (#"{"name":"a","labels":[]}"#, 422),
            (#"{"name":"a","capabilities":"draft"}"#, 422), (#"{"name":"a","healthURL":"ftp://x/"}"#, 422),
            (#"{"name":"a","healthURL":"http://169.254.169.254/"}"#, 422),
            (#"{"name":"a","healthURL":"http://u:p@host/"}"#, 422), (#"["a"]"#, 422), (#"{"name":"#, 400),
            (longName, 422), (manyLabels, 422), (manyCapabilities, 422),
        ] as [(String, Int)])
    func refuses(_ body: String, _ status: Int) async throws {
        try await AgentBench.run(.sqlite) { bench in
            let answer = try await bench.call(.post, "/api/v1/agents", body)
            #expect(answer.status == status)
            #expect(try await bench.allEvents().isEmpty)
            #expect(try await bench.call(.get, "/api/v1/agents")["items"] == [])
        }
    }

    @Test(
        "looking is for all that read, changing for operators",
        arguments: [AgentBench.viewer, AgentBench.agent("writer")])
    func permits(_ principal: Principal) async throws {
        try await AgentBench.run(.sqlite) { bench in
            _ = try await bench.call(.post, "/api/v1/agents", Self.draft)
            #expect(try await bench.call(.get, "/api/v1/agents", as: principal).status == 200)
            #expect(try await bench.call(.get, "/api/v1/agents/writer", as: principal).status == 200)
            #expect(try await bench.call(.post, "/api/v1/agents", Self.draft, as: principal).status == 403)
            #expect(try await bench.call(.patch, "/api/v1/agents/writer", "{}", as: principal).status == 403)
            #expect(try await bench.call(.delete, "/api/v1/agents/writer", as: principal).status == 403)
            for verb in ["pause", "resume", "drain", "quarantine", "release-quarantine", "messages"] {
                #expect(
                    try await bench.call(.post, "/api/v1/agents/writer/\(verb)", #"{"text":"x"}"#, as: principal).status
                        == 403)
            }
            #expect(try await bench.auditRows().count == 1)
        }
    }

    @Test("lists by name, in pages, by project and status", arguments: TestEngine.available)
    func lists(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for name in ["b", "a", "C", "d", "ä"] { _ = try await bench.beat(name) }
            _ = try await bench.call(.post, "/api/v1/agents", #"{"name":"e","project":"other"}"#)
            func names(_ query: String) async throws -> [String] {
                try await bench.call(.get, "/api/v1/agents\(query)")["items"]?.array?.compactMap { $0["name"]?.string }
                    ?? []
            }
            #expect(try await names("") == ["C", "a", "b", "d", "e", "ä"])
            let page = try await bench.call(.get, "/api/v1/agents?limit=2")
            #expect(page["next"] == "a")
            #expect(try await names("?limit=2&after=a") == ["b", "d"])
            #expect(try await names("?limit=2&after=d") == ["e", "ä"])
            #expect(try await bench.call(.get, "/api/v1/agents?limit=2&after=d")["next"] == .null)
            #expect(try await names("?project=other") == ["e"])
            #expect(try await names("?status=never_seen") == ["e"])
            #expect(try await names("?status=never_seen,idle").count == 6)
            #expect(try await bench.call(.get, "/api/v1/agents?status=asleep").status == 422)
            #expect(try await bench.call(.get, "/api/v1/agents?limit=0").status == 422)
            #expect(try await bench.call(.get, "/api/v1/agents/nobody").status == 404)
        }
    }

    @Test("changes an entry under its ETag, and nothing under an old one", arguments: TestEngine.available)
    func edits(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await bench.call(.post, "/api/v1/agents", Self.draft)
            let edited = try await bench.call(
                .patch, "/api/v1/agents/writer",
                #"{"desiredConfigVersion":"7","healthURL":null,"capabilities":["draft"],"project":"books"}"#,
                headers: ["if-match": "\"1\""])
            #expect(edited.status == 200)
            #expect(edited.headers["etag"] == "\"2\"")
            #expect(edited["configVersion"] == ["desired": "7", "reported": .null])
            #expect(edited["healthURL"] == .null)
            #expect(edited["project"] == "books")
            #expect(edited["labels"] == ["tier": "gold"])
            let stale = try await bench.call(
                .patch, "/api/v1/agents/writer", #"{"project":"late"}"#, headers: ["if-match": "\"1\""])
            #expect(stale.status == 412)
            #expect(stale.code == "precondition_failed")
            // What changes nothing counts as no edit.
            let same = try await bench.call(.patch, "/api/v1/agents/writer", #"{"project":"books"}"#)
            #expect(same.headers["etag"] == "\"2\"")
            #expect(try await bench.show("writer")["project"] == "books")
            #expect(try await bench.story() == ["agent.registered", "agent.updated"])
            #expect(try await bench.auditRows().map(\.action) == ["agent.registered", "agent.updated"])
            #expect(try await bench.call(.patch, "/api/v1/agents/nobody", "{}").status == 404)
        }
    }

    @Test("an agent that holds tasks is not removed", arguments: TestEngine.available)
    func deletes(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await bench.beat("writer", #""capabilities":["draft"]"#)
            bench.workload.set("writer", leased: 1, waiting: 1)
            let refused = try await bench.call(.delete, "/api/v1/agents/writer")
            #expect(refused.status == 409)
            #expect(refused.code == "agent_busy")
            #expect(try await bench.status("writer") == "busy")
            bench.workload.set("writer", leased: 0)
            _ = try await bench.call(.post, "/api/v1/agents/writer/messages", #"{"text":"lost with it"}"#)
            #expect(try await bench.call(.delete, "/api/v1/agents/writer").status == 204)
            #expect(try await bench.call(.get, "/api/v1/agents/writer").status == 404)
            // It may come again, as a new one.
            #expect(try await bench.beat("writer").body["messages"] == [])
            #expect(try await bench.show("writer")["capabilities"] == [])
        }
    }

    @Test("finds who could take a task, the likeliest first", arguments: TestEngine.available)
    func findsEligible(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            for (name, can) in [("a", "[\"draft\",\"review\"]"), ("b", "[\"draft\"]"), ("c", "[\"draft\",\"review\"]")]
            {
                try await bench.beat(name, "\"capabilities\":\(can)")
            }
            _ = try await bench.call(.post, "/api/v1/agents/a/pause")
            func eligible(_ requires: [String], _ pinned: String? = nil) async throws -> [String] {
                try await bench.storage.read {
                    try bench.agents.eligible(requires: requires, pinned: pinned, in: $0).map(\.name)
                }
            }
            #expect(try await eligible(["draft"]) == ["b", "c", "a"])
            #expect(try await eligible(["review", "draft", "draft"]) == ["c", "a"])
            #expect(try await eligible([]) == ["b", "c", "a"])
            #expect(try await eligible(["draft"], "b") == ["b"])
            #expect(try await eligible(["review"], "b") == [])
            #expect(try await eligible(["cook"]) == [])
            // What an agent declares later counts at once.
            try await bench.beat("b", #""capabilities":["cook"]"#)
            #expect(try await eligible(["cook"]) == ["b"])
            #expect(try await eligible(["draft"]) == ["c", "a"])
        }
    }

    @Test("the registry has an end", arguments: TestEngine.available)
    func isBounded(_ engine: TestEngine) async throws {
        var policy = AgentPolicy()
        policy.agentsMax = 3
        try await AgentBench.run(engine, policy: policy) { bench in
            for name in ["a", "b", "c"] { #expect(try await bench.beat(name).status == 200) }
            let refused = try await bench.beat("d")
            #expect(refused.status == 409)
            #expect(refused.code == "agents_full")
            #expect(try await bench.beat("a").status == 200)
            #expect(try await bench.call(.get, "/api/v1/agents")["items"]?.array?.count == 3)
        }
    }

    @Test("a registration repeated under its Idempotency-Key is answered alike", arguments: TestEngine.available)
    func repeats(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let key: RequestHeaders = ["idempotency-key": "one"]
            let first = try await bench.call(.post, "/api/v1/agents", Self.draft, headers: key)
            let second = try await bench.call(.post, "/api/v1/agents", Self.draft, headers: key)
            #expect(second.status == 201)
            #expect(second.body == first.body)
            let other = try await bench.call(.post, "/api/v1/agents", #"{"name":"b"}"#, headers: key)
            #expect(other.code == "idempotency_mismatch")
            #expect(try await bench.story() == ["agent.registered"])
        }
    }
}
