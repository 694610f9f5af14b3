import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Secrets over HTTP")
struct SecretScenarioTests {
    private static let value = "correct-horse-battery-staple"
    private static let root = "/api/v1/secrets"

    /// With a secret that the agent `agent` may read, and one that it may not.
    private static func withSecrets(
        _ engine: TestEngine = .sqlite, _ body: @escaping @Sendable (AppClient) async throws -> Void
    ) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.admin)
            for path in ["project/marketing/openai", "org/github"] {
                let reply = try await client.send(
                    "PUT", "\(root)/\(path)", key: key, body: Array(#"{"value":"\#(value)"}"#.utf8))
                #expect(reply.status == 200, "\(reply.text)")
                #expect(!reply.text.contains(value))
            }
            let grants = try await client.send(
                "PUT", "\(root)/project/marketing/openai/grants", key: key, body: Array(#"{"agents":["agent"]}"#.utf8))
            #expect(grants.text == #"{"agents":["agent"]}"#)
            try await body(client)
        }
    }

    static let rows: [APIScenario] = [
        APIScenario(
            "the list", .get, root, as: .operator_, expect: 200,
            contains: [
                #""path":"org/github","scope":"org","owner":null,"name":"github","version":1,"age":0"#, #""holders":["#,
                #""rotation":{"#, "project/marketing/openai",
            ]),
        APIScenario(
            "an agent's list", .get, root, as: .agent, expect: 200, contains: [#"{"items":[{"path":"project/"#]),
        APIScenario("a viewer sees nothing", .get, root, as: .viewer, expect: 403, "forbidden"),
        APIScenario("no scope", .get, "\(root)?scope=team", as: .admin, expect: 422, "invalid"),
        APIScenario(
            "one", .get, "\(root)/org/github", as: .admin, expect: 200, contains: [#""versions":[{"version":1"#]),
        APIScenario(
            "one by an encoded path", .get, "\(root)/org%2Fgithub", as: .admin, expect: 200, contains: ["org/github"]),
        APIScenario("none", .get, "\(root)/org/none", as: .admin, expect: 404, "not_found"),
        APIScenario("no path", .get, "\(root)/team/none", as: .admin, expect: 422, "invalid"),
        APIScenario("an agent's own", .get, "\(root)/project/marketing/openai", as: .agent, expect: 200),
        APIScenario("not an agent's own", .get, "\(root)/org/github", as: .agent, expect: 403, "forbidden"),
        APIScenario(
            "a value", .get, "\(root)/project/marketing/openai/value", as: .agent, expect: 200, contains: [value]),
        APIScenario("another's value", .get, "\(root)/org/github/value", as: .agent, expect: 403, "forbidden"),
        APIScenario("a viewer's value", .get, "\(root)/org/github/value", as: .viewer, expect: 403, "forbidden"),
        APIScenario("a stranger's value", .get, "\(root)/org/github/value", as: nil, expect: 401, "unauthenticated"),
        APIScenario("no version", .get, "\(root)/org/github/value?version=2", as: .admin, expect: 404, "not_found"),
        APIScenario(
            "a version that is none", .get, "\(root)/org/github/value?version=x", as: .admin, expect: 422, "invalid"),
        APIScenario(
            "a value with a lease", .get, "\(root)/project/marketing/openai/value?lease=60", as: .agent, expect: 200,
            contains: [#""leaseId":"lease_"#, #""leaseDuration":60,"renewable":true"#]),
        APIScenario(
            "a value without one", .get, "\(root)/project/marketing/openai/value", as: .agent, expect: 200,
            contains: [#""leaseId":null,"leaseDuration":0,"renewable":false"#]),
        APIScenario(
            "a lease of a moment", .get, "\(root)/org/github/value?lease=1", as: .admin, expect: 422, "invalid"),
        APIScenario(
            "a lease without an end", .get, "\(root)/org/github/value?lease=99999999", as: .admin, expect: 422,
            "invalid"),
        APIScenario(
            "another's value with a lease", .get, "\(root)/org/github/value?lease=60", as: .agent, expect: 403,
            "forbidden"),
        APIScenario(
            "renewing what is none", .post, "\(root)/leases/none/renew", as: .agent, expect: 404, "not_found"),
        APIScenario(
            "revoking what is none", .post, "\(root)/leases/lease_\(String(repeating: "0", count: 32))/revoke",
            as: .admin, expect: 404, "not_found"),
        APIScenario("a viewer's lease", .post, "\(root)/leases/none/renew", as: .viewer, expect: 403, "forbidden"),
        APIScenario(
            "which one holds", .get, "\(root)/resolve?name=github&user=ann", as: .operator_, expect: 200,
            contains: [
                #""used":"org/github","scope":"org","version":1"#, #"{"path":"user/ann/github","state":"absent"}"#,
            ]
        ),
        APIScenario(
            "which one holds for an agent", .get, "\(root)/resolve?name=openai&project=marketing", as: .agent,
            expect: 200, contains: [#""used":"project/marketing/openai""#]),
        APIScenario(
            "an agent learns of none that it was not granted", .get, "\(root)/resolve?name=github", as: .agent,
            expect: 404, "not_found"),
        APIScenario(
            "a viewer looks for none", .get, "\(root)/resolve?name=github", as: .viewer, expect: 403, "forbidden"),
        APIScenario("no name to look for", .get, "\(root)/resolve", as: .admin, expect: 422, "invalid"),
        APIScenario(
            "no policy", .get, "\(root)/resolve?name=a&policy=any", as: .admin, expect: 422, "invalid"),
        APIScenario(
            "nothing to fall back on", .get, "\(root)/resolve?name=a&fallbackOn=quota", as: .admin, expect: 422,
            "invalid"),
        APIScenario(
            "a short value", .put, "\(root)/org/github", as: .admin, #"{"data":{"a":"short","b":"long-enough"}}"#,
            expect: 200, contains: [#""warnings":["Values of fewer than 8 bytes"#, "ordinary words: a."], events: 1),
        APIScenario("grants", .get, "\(root)/project/marketing/openai/grants", as: .operator_, expect: 200),
        APIScenario("an agent sees no grants", .get, "\(root)/org/github/grants", as: .agent, expect: 403, "forbidden"),
        APIScenario(
            "an agent writes nothing", .put, "\(root)/project/marketing/openai", as: .agent, #"{"value":"x"}"#,
            expect: 403, "forbidden"),
        APIScenario(
            "nothing to write", .put, "\(root)/org/github", as: .admin, "{}", expect: 422, "invalid"),
        APIScenario(
            "too much to write", .put, "\(root)/org/github", as: .admin, #"{"value":"x","data":{}}"#, expect: 422,
            "invalid"),
        APIScenario(
            "a misspelt member", .put, "\(root)/org/github", as: .admin, #"{"vaule":"x"}"#, expect: 422, "invalid"),
        APIScenario(
            "an older version", .put, "\(root)/org/github", as: .admin, #"{"value":"x","cas":0}"#, expect: 409,
            "conflict"),
        APIScenario(
            "a new version", .put, "\(root)/org/github", as: .operator_, #"{"data":{"a":"b"},"cas":1}"#, expect: 200,
            contains: [#""version":2"#], events: 1),
        APIScenario(
            "grants of no names", .put, "\(root)/org/github/grants", as: .admin, #"{"agents":"x"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "the same grants", .put, "\(root)/project/marketing/openai/grants", as: .admin, #"{"agents":["agent"]}"#,
            expect: 200),
        APIScenario(
            "other grants", .put, "\(root)/project%2Fmarketing%2Fopenai/grants", as: .admin, #"{"agents":["a","b"]}"#,
            expect: 200, events: 1),
        APIScenario("deleting", .delete, "\(root)/org/github", as: .operator_, expect: 204, events: 1),
        APIScenario("removing", .delete, "\(root)/org/github?all=true", as: .operator_, expect: 204, events: 1),
        APIScenario("deleting what is not there", .delete, "\(root)/org/none", as: .admin, expect: 404, "not_found"),
    ]

    @Test("answers as the table says")
    func answers() async throws {
        try await APIScenario.run(Self.rows) { try await Self.withSecrets(.sqlite, $0) }
    }

    private static func vault(
        _ client: AppClient, _ method: String, _ path: String, _ key: String?, _ body: String? = nil
    ) async throws -> AppReply {
        var headers = [("content-type", "application/json")]
        if let key { headers.append(("x-vault-token", key)) }
        return try await client.send(method, path, headers: headers, body: body.map { Array($0.utf8) })
    }

    @Test("Vault's clients find what they look for", arguments: TestEngine.available)
    func vault(_ engine: TestEngine) async throws {
        try await Self.withSecrets(engine) { client in
            let (admin, agent) = (try await client.key(.admin), try await client.key(.agent, agent: "agent"))
            func send(_ method: String, _ path: String, _ key: String?, _ body: String? = nil) async throws -> AppReply
            {
                try await Self.vault(client, method, "/v1/\(path)", key, body)
            }
            let read = try await send("GET", "secret/data/project/marketing/openai", agent)
            #expect(read.status == 200 && read.header("content-type") == "application/json")
            #expect(read["data"]?["data"]?["value"] == .string(Self.value))
            #expect(read["data"]?["metadata"]?["version"] == 1)
            for (path, key, status) in [
                ("secret/data/org/github", agent, 403), ("secret/data/org/none", admin, 404),
                ("secret/data/nowhere", admin, 400), ("secret/data/org/github?version=x", admin, 400),
                ("secret/metadata/nothing?list=true", admin, 404), ("auth/token/lookup-self", "wrong", 403),
            ] as [(String, String, Int)] {
                let reply = try await send("GET", path, key)
                #expect(reply.status == status, "\(path): \(reply.text)")
                #expect(reply.header("content-type") == "application/json", "\(path)")
                #expect(reply["errors"]?.array != nil, "\(path): \(reply.text)")
            }
            #expect(try await send("LIST", "secret/metadata", admin)["data"]?["keys"] == ["org/", "project/"])
            #expect(try await send("LIST", "secret/metadata/project", agent)["data"]?["keys"] == ["marketing/"])
            #expect(try await send("LIST", "secret/metadata/org/", agent).status == 404)
            #expect(try await send("GET", "secret/metadata/org?list=true", admin)["data"]?["keys"] == ["github"])
            let cas = try await send(
                "POST", "secret/data/org/github", admin, #"{"options":{"cas":0},"data":{"a":"b"}}"#)
            #expect(cas.status == 400 && cas.text.contains("check-and-set parameter did not match"))
            #expect(try await send("POST", "secret/data/org/github", agent, #"{"data":{}}"#).status == 403)
            #expect(try await send("PUT", "secret/destroy/org/github", admin, #"{"versions":[1]}"#).status == 204)
            let gone = try await send("GET", "secret/data/org/github", admin)
            #expect(gone.status == 404 && gone["data"]?["metadata"]?["destroyed"] == true)
            #expect(try await send("GET", "sys/health", nil)["sealed"] == false)
            #expect(try await send("GET", "auth/token/lookup-self", agent)["data"]?["policies"] == ["agent"])
        }
    }

    @Test("a value stands in no file, sealed or read")
    func noFile() async throws {
        try await TestStorage.withFolder { folder in
            var settings = Settings()
            settings.http.port = 0
            settings.storage.dataDirectory = folder + "/data"
            try await runApp(settings, .test()) { client in
                let key = try await client.key(.admin)
                let body = Array(#"{"value":"\#(Self.value)"}"#.utf8)
                _ = try await client.send("PUT", "\(Self.root)/org/x", key: key, body: body)
                let read = try await client.get("\(Self.root)/org/x/value", key: key)
                #expect(read.text.contains(Self.value))
                _ = try await client.send(
                    "POST", "/v1/secret/data/org/y", key: key, headers: [("idempotency-key", "k")],
                    body: Array(#"{"data":{"a":"\#(Self.value)"}}"#.utf8))
            }
            let needles = [Data(Self.value.utf8), Data(Data(Self.value.utf8).base64EncodedString().utf8.prefix(30))]
            var files = 0
            let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
            for name in names {
                guard let content = FileManager.default.contents(atPath: "\(folder)/\(name)") else { continue }
                files += 1
                for needle in needles { #expect(content.range(of: needle) == nil, "\(name)") }
            }
            #expect(files > 3)
        }
    }

    @Test("a lost master key is said, and none is made")
    func lostKey() async throws {
        try await TestStorage.withFolder { folder in
            var settings = Settings()
            settings.http.port = 0
            settings.storage.dataDirectory = folder + "/data"
            let key = try await runApp(settings, .test()) { client in
                let key = try await client.key(.admin)
                _ = try await client.send("PUT", "\(Self.root)/org/x", key: key, body: Array(#"{"value":"v"}"#.utf8))
                return key
            }
            let path = folder + "/data/master.key"
            try FileManager.default.removeItem(atPath: path)
            try await runApp(settings, .test()) { client in
                let reply = try await client.get("\(Self.root)/org/x/value", key: key)
                #expect(reply.status == 503 && reply.code == "master_key", "\(reply.text)")
                #expect(reply.text.contains(path))
                let write = try await client.send(
                    "PUT", "\(Self.root)/org/y", key: key, body: Array(#"{"value":"v"}"#.utf8))
                #expect(write.status == 503)
                let sealed = try await client.get("/v1/sys/health", key: nil)
                #expect(sealed.status == 503 && sealed["sealed"] == true)
                #expect(try await client.get(Self.root, key: key).items.count == 1)
            }
            #expect(!FileManager.default.fileExists(atPath: path))
            try Data("x".utf8).write(to: URL(fileURLWithPath: path))
            await #expect(throws: Problem.self) { _ = try await runApp(settings, .test()) { _ in } }
        }
    }
}
