import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Layers: what holds, where it comes from, and what may be set")
struct ConfigLayerTests {
    private static let path = "/api/v1/agents/writer/config/values"
    private static let manifest = """
        models: {main: gpt-4o-2024-08-06}
        parameters: {temperature: 0.2, style: formal}
        limits: {maxTokens: 1000}
        secrets: {search: secret://org/search}
        """

    private func push(_ bench: AgentBench) async throws -> String {
        let files: JSONValue = [["path": "agent.yaml", "content": .string(Self.manifest)]]
        let reply = try await bench.call(
            .post, "/api/v1/agents/writer/bundles", (["files": files] as JSONValue).text)
        #expect(reply.status == 201, "\(reply.body.text)")
        return reply.body["version"]?.string ?? ""
    }

    private func set(
        _ bench: AgentBench, _ key: String, _ value: JSONValue, _ layer: String = "environment", user: String? = nil
    ) async throws -> Answer {
        let body: JSONValue = ["layer": .string(layer), "value": value, "user": .of(user)]
        return try await bench.call(.put, "\(Self.path)/\(key)", body.text)
    }

    private func explain(_ bench: AgentBench, _ key: String, user: String? = nil) async throws -> JSONValue {
        let query = user.map { "?user=\($0)" } ?? ""
        return try await bench.call(.get, "\(Self.path)/\(key)\(query)").body
    }

    @Test("each layer overrides those before it, and says who said so", arguments: TestEngine.available)
    func layers(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let version = try await push(bench)
            var found = try await explain(bench, "parameters.temperature", user: "ann")
            #expect(found["value"] == .double(0.2))
            #expect(found["layer"] == "default")
            #expect(found["version"]?.string == version)
            #expect(found["author"] == "operator:alice")
            #expect(found["flag"] == .null)

            #expect(try await set(bench, "parameters.temperature", .double(0.4)).status == 200)
            _ = try await set(bench, "parameters.temperature", .double(0.5))
            found = try await explain(bench, "parameters.temperature", user: "ann")
            #expect(found["layer"] == "environment")
            #expect(found["version"] == "2")

            bench.flags.set("parameters.temperature", .double(0.6))
            found = try await explain(bench, "parameters.temperature")
            #expect(found["layer"] == "flag")
            #expect(found["flag"] == "cheap-models")
            #expect(found["author"] == "bob")

            _ = try await set(bench, "parameters.temperature", .double(0.9), "user", user: "ann")
            found = try await explain(bench, "parameters.temperature", user: "ann")
            #expect(found["value"] == .double(0.9))
            #expect(found["layers"]?.array?.map { $0["layer"] } == ["default", "environment", "flag", "user"])
            #expect(try await explain(bench, "parameters.temperature", user: "bea")["layer"] == "flag")
            let rows = try await bench.auditRows().filter { $0.action == "bundle.value_set" }
            #expect(rows.count == 3)

            let removed = try await bench.call(
                .delete, "\(Self.path)/parameters.temperature?layer=user&user=ann")
            #expect(removed.body["layer"] == "flag")
        }
    }

    @Test("a user lowers a limit and never raises it", arguments: TestEngine.available)
    func limits(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await push(bench)
            _ = try await set(bench, "limits.maxTokens", 5_000, "user", user: "ann")
            var found = try await explain(bench, "limits.maxTokens", user: "ann")
            #expect(found["value"] == 1_000)
            #expect(found["layer"] == "default")
            #expect(found["layers"]?.array?.count == 2)
            _ = try await set(bench, "limits.maxTokens", 10, "user", user: "ann")
            found = try await explain(bench, "limits.maxTokens", user: "ann")
            #expect(found["value"] == 10)
            #expect(found["layer"] == "user")
            // Operators may raise it, and the user's lower one still holds.
            _ = try await set(bench, "limits.maxTokens", 9_000)
            #expect(try await explain(bench, "limits.maxTokens")["value"] == 9_000)
            #expect(try await explain(bench, "limits.maxTokens", user: "ann")["value"] == 10)
            // A flag that says nonsense says nothing.
            bench.flags.set("limits.maxTokens", "many")
            #expect(try await explain(bench, "limits.maxTokens")["layer"] == "environment")
        }
    }

    @Test("what may not be set is refused, and nothing else happens", arguments: TestEngine.available)
    func refuses(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await push(bench)
            let story = try await bench.story()
            let unknown = try await bench.call(.get, "\(Self.path)/limits.maxToken")
            #expect(unknown.status == 404)
            #expect(unknown.body["hint"]?.string?.contains("limits.maxTokens") == true)
            #expect(try await set(bench, "limits.nonsense", 5).status == 404)
            #expect(try await set(bench, "limits.maxTokens", "many").status == 422)
            #expect(try await set(bench, "limits.maxTokens", -1).status == 422)
            #expect(try await set(bench, "limits.maxTokens", 5, "user").status == 422)
            #expect(try await set(bench, "limits.maxTokens", 5, "flag").status == 422)
            #expect(try await set(bench, "limits.maxTokens", 5, "environment", user: "ann").status == 422)
            #expect(try await set(bench, "models.main", "gpt-4o").status == 422)
            #expect(try await set(bench, "parameters.style", 5).status == 422)
            #expect(try await set(bench, "secrets.search", "hunter22").status == 422)
            #expect(try await set(bench, "secrets.search", "secret://org/x", "user", user: "ann").status == 422)
            let body = #"{"layer":"environment","value":5}"#
            for role in [AgentBench.viewer, AgentBench.agent("writer")] {
                #expect(try await bench.call(.put, "\(Self.path)/limits.maxTokens", body, as: role).status == 403)
            }
            let other = AgentBench.agent("other")
            #expect(try await bench.call(.get, "\(Self.path)/limits.maxTokens", as: other).status == 403)
            #expect(try await bench.story() == story)
        }
    }

    @Test("the agent is told of what was set, and gets it", arguments: TestEngine.available)
    func told(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await push(bench)
            let agent = AgentBench.agent("writer")
            let before = try await bench.call(.get, "/api/v1/agents/writer/config", as: agent)
            #expect(before.body["values"]?["parameters.temperature"] == .double(0.2))
            _ = try await set(bench, "parameters.temperature", .double(0.4))
            let etag = try await bench.beat("writer").body["config"]?["etag"]?.string ?? ""
            let after = try await bench.call(
                .get, "/api/v1/agents/writer/config", as: agent,
                headers: ["if-none-match": before.headers["etag"] ?? ""])
            #expect(after.status == 200)
            #expect(after.headers["etag"] == "\"\(etag)\"")
            #expect(after.body["values"]?["parameters.temperature"] == .double(0.4))
            #expect(after.body["version"] == before.body["version"])
        }
    }

    @Test("the explorer lists every key once, in pages", arguments: TestEngine.available)
    func lists(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await push(bench)
            var keys: [String] = []
            var after = ""
            while true {
                let page = try await bench.call(.get, "\(Self.path)?limit=7\(after)").body
                keys += (page["items"]?.array ?? []).compactMap { $0["key"]?.string }
                guard let next = page["next"]?.string else { break }
                after = "&after=\(next)"
            }
            #expect(Set(keys).count == keys.count)
            #expect(Set(keys).isSuperset(of: ["models.main", "limits.maxTokens", "memory.write", "parameters.style"]))
        }
    }
}
