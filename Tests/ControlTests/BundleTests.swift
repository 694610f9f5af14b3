import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Bundles: pushed, taken up, compared, rolled back")
struct BundleTests {
    /// A push of a manifest with one prompt.
    private static func draft(_ prompt: String, model: String = "gpt-4o-2024-08-06", message: String = "") -> String {
        let files: JSONValue = [
            ["path": "prompts/system.md", "content": .string(prompt)],
            [
                "path": "agent.yaml",
                "content": .string("models: {main: \(model)}\nprompts: {system: prompts/system.md}\n"),
            ],
        ]
        return (["message": .string(message), "files": files] as JSONValue).text
    }

    private static let path = "/api/v1/agents/writer/bundles"

    private func push(_ bench: AgentBench, _ prompt: String, message: String = "") async throws -> String {
        let reply = try await bench.call(.post, Self.path, Self.draft(prompt, message: message))
        #expect(reply.status == 201, "\(reply.body.text)")
        return reply.body["version"]?.string ?? ""
    }

    @Test("a push is what the agent is to run with, until it says that it does", arguments: TestEngine.available)
    func takesUp(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let version = try await push(bench, "one\n", message: "first")
            let listed = try await bench.call(.get, Self.path).body["items"]?.array
            #expect(listed?.count == 1)
            #expect(listed?.first?["message"] == "first")
            #expect(listed?.first?["author"] == "operator:alice")
            #expect(listed?.first?["parent"] == .null)
            let config: JSONValue = ["desired": .string(version), "reported": .null, "behind": true]
            #expect(try await bench.show("writer")["config"] == config)

            let beat = try await bench.beat("writer", #""configVersion":"old""#)
            #expect(beat.body["config"]?["desired"]?.string == version)
            let got = try await bench.call(
                .get, "/api/v1/agents/writer/config", as: AgentBench.agent("writer"))
            #expect(got.status == 200)
            #expect(got.body["version"]?.string == version)
            #expect(got.body["files"]?.array?.map { $0["path"] } == ["agent.yaml", "prompts/system.md"])
            let etag = try #require(got.headers["etag"])
            #expect(beat.body["config"]?["etag"]?.string.map { "\"\($0)\"" } == etag)
            let again = try await bench.call(
                .get, "/api/v1/agents/writer/config", as: AgentBench.agent("writer"),
                headers: ["if-none-match": "W/\"x\", \(etag)"])
            #expect(again.status == 304)

            let behind = try await bench.call(.get, "/api/v1/bundles/status?behind=true").body["items"]?.array
            #expect(behind?.map { $0["agent"] } == ["writer"])
            try await bench.beat("writer", #""configVersion":"\#(version)""#)
            #expect(try await bench.show("writer")["config"]?["behind"] == false)
            #expect(try await bench.call(.get, "/api/v1/bundles/status?behind=true").body["items"] == [])
            let all = try await bench.call(.get, "/api/v1/bundles/status").body["items"]?.array
            #expect(all?.first?["reported"]?.string == version)
            #expect(all?.first?["behind"] == false)
        }
    }

    @Test("the same content is the same version, and nothing else happens", arguments: TestEngine.available)
    func samePush(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let version = try await push(bench, "one\n", message: "first")
            let story = try await bench.story()
            let again = try await bench.call(.post, Self.path, Self.draft("one\n", message: "second"))
            #expect(again.status == 200)
            #expect(again.body["version"]?.string == version)
            #expect(again.body["message"] == "first")
            #expect(try await bench.story() == story)
            #expect(story.contains("bundle.pushed"))
        }
    }

    @Test("a rollback is a new change with its reason, in the audit log too", arguments: TestEngine.available)
    func rollsBack(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let one = try await push(bench, "one\n")
            let two = try await push(bench, "two\n")
            let back = try await bench.call(
                .post, "\(Self.path)/rollback", #"{"version":"\#(one.prefix(8))","message":"two was rude"}"#)
            #expect(back.status == 200, "\(back.body.text)")
            #expect(back.body["version"]?.string == one)
            #expect(back.body["previous"]?.string == two)
            #expect(back.body["message"] == "two was rude")
            #expect(try await bench.show("writer")["config"]?["desired"]?.string == one)
            let rows = try await bench.auditRows().filter { $0.action == "bundle.rolled_back" }
            #expect(rows.count == 1)
            #expect(rows.first?.detail.contains("two was rude") == true)
            // Again changes nothing.
            _ = try await bench.call(.post, "\(Self.path)/rollback", #"{"version":"\#(one)"}"#)
            #expect(try await bench.auditRows().count { $0.action == "bundle.rolled_back" } == 1)
            let none = try await bench.call(.post, "\(Self.path)/rollback", #"{"version":"abcdef0"}"#)
            #expect(none.status == 404)
            let broken = try await bench.call(.post, "\(Self.path)/rollback", #"{"version":"%_' OR"}"#)
            #expect(broken.status == 404)
            // What comes next grew from what was rolled back to.
            _ = try await push(bench, "three\n")
            let items = try await bench.call(.get, "\(Self.path)?limit=2").body
            #expect(items["items"]?.array?.first?["parent"]?.string == one)
            #expect(items["next"] == "2")
        }
    }

    @Test("versions are compared, and lines are laid to who changed them", arguments: TestEngine.available)
    func compares(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let one = try await push(bench, "a\nb\n", message: "first")
            let two = try await push(bench, "a\nB\n", message: "louder")
            let diff = try await bench.call(.get, "\(Self.path)/\(two)/diff?from=\(one)").body["diff"]?.string
            #expect(diff?.contains("\n a\n-b\n+B\n") == true)
            let blame = try await bench.call(.get, "\(Self.path)/\(two)/blame?path=prompts/system.md").body
            #expect(blame["items"]?.array?.map { $0["version"]?.string } == [one, two])
            #expect(blame["items"]?.array?.map { $0["message"] } == ["first", "louder"])
            let shown = try await bench.call(.get, "\(Self.path)/\(one)").body
            #expect(shown["files"]?.array?.last?["content"] == "a\nb\n")
            #expect(try await bench.call(.get, "\(Self.path)/\(two)/blame?path=no.md").status == 404)
        }
    }

    @Test("what has faults is refused with all of them, and nothing is kept", arguments: TestEngine.available)
    func refuses(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let reply = try await bench.call(.post, Self.path, Self.draft("one", model: "gpt-4o"))
            #expect(reply.status == 422)
            #expect(reply.code == "bundle_refused")
            let finding = reply.body["findings"]?.array?.first
            #expect(finding?["rule"] == "unpinned-model")
            #expect(finding?["file"] == "agent.yaml")
            #expect(finding?["line"] == 1)
            let path = #"{"files":[{"path":"../agent.yaml","content":""}]}"#
            #expect(try await bench.call(.post, Self.path, path).status == 422)
            #expect(try await bench.story() == [])
            #expect(try await bench.call(.get, "/api/v1/agents/writer").status == 404)
        }
    }

    @Test("an agent reads its own and pushes nothing; a viewer looks", arguments: TestEngine.available)
    func permissions(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let version = try await push(bench, "one\n")
            let story = try await bench.story()
            let other = AgentBench.agent("other")
            for path in [
                "/api/v1/agents/writer/config", Self.path, "\(Self.path)/\(version)",
                "\(Self.path)/\(version)/diff?from=\(version)", "\(Self.path)/\(version)/blame?path=agent.yaml",
            ] {
                #expect(try await bench.call(.get, path, as: other).status == 403, "\(path)")
                #expect(try await bench.call(.get, path, as: AgentBench.viewer).status == 200, "\(path)")
                #expect(try await bench.call(.get, path, as: AgentBench.agent("writer")).status == 200, "\(path)")
                #expect(try await bench.call(.get, path, as: AgentBench.ingest).status == 403, "\(path)")
            }
            for role in [other, AgentBench.agent("writer"), AgentBench.viewer] {
                #expect(try await bench.call(.post, Self.path, Self.draft("two"), as: role).status == 403)
                let back = #"{"version":"\#(version)"}"#
                #expect(try await bench.call(.post, "\(Self.path)/rollback", back, as: role).status == 403)
            }
            #expect(try await bench.story() == story)
            #expect(try await bench.call(.get, "/api/v1/agents/nobody/config").status == 404)
        }
    }

    @Test("contents are kept as long as a version has them")
    func contents() async throws {
        try await AgentBench.run(.sqlite) { bench in
            _ = try await push(bench, "one\n")
            let digest = Digest.sha256("one\n")
            #expect(try await bench.storage.read { try bench.bundles.blobUse.uses(digest, in: $0) })
            #expect(try await bench.storage.read { try !bench.bundles.blobUse.uses(Digest.sha256("x"), in: $0) })
        }
    }
}
