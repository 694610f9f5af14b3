import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Rotations of secrets over HTTP")
struct SecretRotationScenarioTests {
    private static let root = "/api/v1/secrets"
    private static let place = "\(root)/project/marketing/openai/rotation"

    private static func withSecret(
        _ engine: TestEngine = .sqlite, time: ManualTime = ManualTime(), windows: String? = nil,
        _ body: @escaping @Sendable (AppClient) async throws -> Void
    ) async throws {
        try await withApp(
            engine, world: .test(time: time),
            configure: { ($0.secrets.probePrivate, $0.secrets.rotationWindows) = (true, windows) }
        ) { client in
            let key = try await client.key(.admin)
            for path in ["project/marketing/openai", "org/github"] {
                let reply = try await client.send(
                    "PUT", "\(root)/\(path)", key: key, body: Array(#"{"value":"the-old-value"}"#.utf8))
                #expect(reply.status == 200, "\(reply.text)")
            }
            _ = try await client.send(
                "PUT", "\(root)/project/marketing/openai/grants", key: key, body: Array(#"{"agents":["agent"]}"#.utf8))
            let staged = try await client.post("\(root)/org/github/rotation", ["value": "the-new-value"], key: key)
            #expect(staged.status == 200 && staged["state"] == "staged", "\(staged.text)")
            try await body(client)
        }
    }

    static let rows: [APIScenario] = [
        APIScenario(
            "no rotation yet", .get, place, as: .operator_, expect: 200,
            contains: [#""state":null"#, #""rotateEveryDays":90"#, #""due":false"#, #""probe":null"#]),
        APIScenario("an agent sees none", .get, place, as: .agent, expect: 403, "forbidden"),
        APIScenario("a viewer sees none", .get, place, as: .viewer, expect: 403, "forbidden"),
        APIScenario("of no secret", .get, "\(root)/org/none/rotation", as: .admin, expect: 404, "not_found"),
        APIScenario(
            "by an encoded path", .get, "\(root)/org%2Fgithub/rotation", as: .admin, expect: 200,
            contains: [#""state":"staged""#, #""allowed":["verify","return","compromise"]"#, #""oldVersion":1"#]),
        APIScenario(
            "in the list", .get, root, as: .admin, expect: 200, contains: [#""state":"staged""#, #""state":null"#]),
        APIScenario("nothing to stage", .post, place, as: .admin, "{}", expect: 422, "invalid"),
        APIScenario("an agent stages nothing", .post, place, as: .agent, #"{"value":"x"}"#, expect: 403, "forbidden"),
        APIScenario(
            "too short an overlap", .post, place, as: .admin, #"{"value":"x","overlapHours":23}"#, expect: 422,
            "invalid"),
        APIScenario(
            "too long an overlap", .post, place, as: .admin, #"{"value":"x","overlapHours":721}"#, expect: 422,
            "invalid"),
        APIScenario(
            "of no secret", .post, "\(root)/org/none/rotation", as: .admin, #"{"value":"x"}"#, expect: 404,
            "not_found"),
        APIScenario(
            "a misspelt member", .post, place, as: .admin, #"{"value":"x","overlap":24}"#, expect: 422, "invalid"),
        APIScenario(
            "staging", .post, place, as: .operator_, #"{"data":{"a":"b"},"overlapHours":48}"#, expect: 200,
            contains: [#""overlapHours":48"#, #""version":1"#, #""newVersion":2"#], events: 1),
        APIScenario(
            "staging a value that is too short to be found", .post, place, as: .operator_,
            #"{"data":{"user":"eve","password":"long-enough"}}"#, expect: 200,
            contains: [
                #""warnings":["Values of fewer than"#, "ordinary words: user.", #""state":"staged""#,
                #""waits":[{"what":"a proof that"#,
            ], events: 1),
        APIScenario(
            "the same again", .post, "\(root)/org/github/rotation", as: .admin, #"{"value":"the-new-value"}"#,
            expect: 200),
        APIScenario(
            "another beside it", .post, "\(root)/org/github/rotation", as: .admin, #"{"value":"x"}"#, expect: 409,
            "conflict"),
        APIScenario(
            "writing beside it", .put, "\(root)/org/github", as: .admin, #"{"value":"x"}"#, expect: 409, "conflict"),
        APIScenario("verifying nothing", .post, "\(place)/verify", as: .admin, expect: 409, "conflict"),
        APIScenario(
            "nothing to verify", .post, "\(place)/verify", as: .admin, #"{"reason":"x"}"#, expect: 409, "conflict"),
        APIScenario(
            "a reason that says nothing", .post, "\(root)/org/github/rotation/verify", as: .admin,
            #"{"reason":"  "}"#, expect: 422, "invalid"),
        APIScenario(
            "a probe that is none", .post, "\(root)/org/github/rotation/verify", as: .admin,
            #"{"probe":{"url":"x"}}"#, expect: 422, "invalid"),
        APIScenario(
            "a word", .post, "\(root)/org/github/rotation/verify", as: .operator_, #"{"reason":"called by hand"}"#,
            expect: 200, contains: [#""proof":{"kind":"word","detail":"operator:"#], events: 1),
        APIScenario(
            "issuing what is not verified", .post, "\(root)/org/github/rotation/issue", as: .admin, expect: 409,
            "bad_transition"),
        APIScenario(
            "retiring what is not issued", .post, "\(root)/org/github/rotation/retire", as: .admin, expect: 409,
            "conflict", contains: ["a proof that the new value is good"]),
        APIScenario("returning from nothing", .post, "\(place)/return", as: .admin, expect: 409, "conflict"),
        APIScenario(
            "returning", .post, "\(root)/org/github/rotation/return", as: .admin, #"{"reason":"slow"}"#, expect: 200,
            contains: [#""state":"returned""#], events: 1),
        APIScenario(
            "a cut without a version", .post, "\(place)/compromise", as: .admin, #"{"reason":"x"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "a cut without a reason", .post, "\(place)/compromise", as: .admin, #"{"version":1}"#, expect: 422,
            "invalid"),
        APIScenario(
            "an agent cuts nothing", .post, "\(place)/compromise", as: .agent, #"{"version":1,"reason":"x"}"#,
            expect: 403, "forbidden"),
        APIScenario(
            "terms that are none", .put, place, as: .admin, #"{"rotateEveryDays":0}"#, expect: 422, "invalid"),
        APIScenario(
            "terms", .put, place, as: .admin, #"{"rotateEveryDays":30}"#, expect: 200,
            contains: [#""rotateEveryDays":30"#], events: 1),
    ]

    @Test("answers as the table says")
    func answers() async throws {
        try await APIScenario.run(Self.rows) { try await Self.withSecret(.sqlite, $0) }
    }

    @Test("a probe asks with the new value, and what it holds is in no answer", arguments: TestEngine.available)
    func probe(_ engine: TestEngine) async throws {
        try await Self.withSecret(engine) { client in
            let admin = try await client.key(.admin)
            let good = try await client.key(.viewer)
            let bad = "reeve_viewer_" + String(repeating: "0", count: 40)
            let probe: JSONValue = [
                "url": .string("\(client.url)/api/v1/agents"), "headers": ["authorization": "Bearer {{value}}"],
            ]
            #expect(try await client.post(Self.place, ["value": .string(bad)], key: admin).status == 200)
            let refused = try await client.post("\(Self.place)/verify", ["probe": probe], key: admin)
            #expect(refused.status == 409 && refused.code == "probe_failed", "\(refused.text)")
            #expect(refused.text.contains("it answered 401") && !refused.text.contains(bad))
            #expect(try await client.post("\(Self.place)/return", [:], key: admin).status == 200)
            #expect(try await client.post(Self.place, ["value": .string(good)], key: admin).status == 200)
            let wanted: JSONValue = ["probe": probe]
            let terms = try await client.send("PUT", Self.place, key: admin, body: wanted.bytes)
            #expect(terms["probe"]?["method"] == "GET", "\(terms.text)")
            let verified = try await client.post("\(Self.place)/verify", [:], key: admin)
            #expect(verified["state"] == "verified" && verified["proof"]?["kind"] == "probe", "\(verified.text)")
            #expect(!verified.text.contains(good))
            let issued = try await client.post("\(Self.place)/issue", [:], key: admin)
            #expect(issued["state"] == "overlap" && issued["version"] == 3, "\(issued.text)")
        }
    }

    @Test("probes go to public addresses over TLS, unless the settings say otherwise")
    func probeAddresses() async throws {
        let call = { (url: String) in SecretProbeCall(url: url, method: .get, headers: [("a", "b")]) }
        let strict = HTTPSecretProber(allowPrivate: false)
        for url in ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest"] {
            guard case .failure(let fault) = await strict.call(call(url), timeout: .seconds(5)) else {
                Issue.record("\(url) was called")
                continue
            }
            #expect(fault.reason.contains("https") || fault.reason.contains("secrets.probePrivate"), "\(fault.reason)")
        }
        let refused = await HTTPSecretProber(allowPrivate: true).call(call("http://127.0.0.1:1/"), timeout: .seconds(5))
        #expect(refused == .failure(SecretProbeFault(reason: "the connection could not be made")))
    }

    @Test("the windows of the settings hold what is issued, and Vault's clients see what is given out")
    func windows() async throws {
        let time = ManualTime()
        // It is 8:00 UTC.
        try await Self.withSecret(time: time, windows: "deny 0 7 * * * 2h UTC") { client in
            let admin = try await client.key(.admin)
            let place = "\(Self.root)/org/github/rotation"
            _ = try await client.post("\(place)/verify", ["reason": "called by hand"], key: admin)
            let refused = try await client.post("\(place)/issue", [:], key: admin)
            #expect(refused.status == 409 && refused.code == "deployment_window", "\(refused.text)")
            func version() async throws -> JSONValue? {
                let read = try await client.get("/v1/secret/data/org/github", key: admin)
                let metadata = try await client.get("/v1/secret/metadata/org/github", key: admin)
                #expect(metadata["data"]?["current_version"] == read["data"]?["metadata"]?["version"])
                return metadata["data"]?["current_version"]
            }
            #expect(try await version() == 1)
            #expect(try await client.get("/v1/secret/data/org/github?version=2", key: admin).status == 404)
            time.advance(by: .hours(1))
            #expect(try await client.post("\(place)/issue", [:], key: admin)["state"] == "overlap")
            #expect(try await version() == 2)
            #expect(try await client.get("/v1/secret/data/org/github?version=1", key: admin).status == 200)
            let write = try await client.send(
                "POST", "/v1/secret/data/org/github", key: admin, body: Array(#"{"data":{"a":"b"}}"#.utf8))
            #expect(write.status == 400 && write.text.contains("is being rotated"))
        }
        var settings = Settings()
        settings.secrets.rotationWindows = "whenever"
        await #expect(throws: Problem.self) { _ = try await buildApp(settings, world: .test()) }
    }

    @Test("while a bundle is rolled out no new value is given out", arguments: TestEngine.available)
    func deployments(_ engine: TestEngine) async throws {
        try await Self.withSecret(engine) { client in
            let admin = try await client.key(.admin)
            let place = "\(Self.root)/org/github/rotation"
            _ = try await client.post("\(place)/verify", ["reason": "called by hand"], key: admin)
            func push(_ prompt: String, _ more: [(String, JSONValue)] = []) async throws {
                var body = JSONObject(more.map { .init(name: $0.0, value: $0.1) })
                body["message"] = .string("why \(prompt)")
                body["files"] = [["path": "agent.yaml", "content": .string("prompts: {system: \(prompt)}\n")]]
                let pushed = try await client.send(
                    "POST", "/api/v1/agents/writer/bundles", key: admin, body: JSONValue.object(body).bytes)
                #expect(pushed.status == 201, "\(pushed.text)")
            }
            try await push("one")
            try await push("two", [("rollout", ["measures": ["failures"]])])
            let refused = try await client.post("\(place)/issue", [:], key: admin)
            #expect(refused.status == 409 && refused.code == "deployment_window", "\(refused.text)")
            #expect(refused.text.contains("the end of the roll-out rollout_"))
            #expect(try await client.get(place, key: admin)["state"] == "verified")
            let canceled = try await client.post(
                "/api/v1/agents/writer/config/rollout/cancel", ["reason": "enough"], key: admin)
            #expect(canceled.status == 200, "\(canceled.text)")
            #expect(try await client.post("\(place)/issue", [:], key: admin)["state"] == "overlap")
        }
    }

    @Test("a task that began with the old value keeps it, and the cut takes it", arguments: TestEngine.available)
    func tasks(_ engine: TestEngine) async throws {
        let time = ManualTime()
        try await Self.withSecret(engine, time: time) { client in
            let admin = try await client.key(.admin)
            let agent = try await client.key(.agent, agent: "agent")
            let value = "\(Self.root)/project/marketing/openai/value"
            #expect(try await client.get(value, key: agent)["version"] == 1)
            _ = try await client.post(Self.place, ["value": "the-new-value"], key: admin)
            _ = try await client.post("\(Self.place)/verify", ["reason": "called by hand"], key: admin)
            _ = try await client.post("\(Self.place)/issue", [:], key: admin)
            _ = try await client.post(
                "/api/v1/tasks", ["project": "p", "queue": "default", "type": "t", "title": "long"], key: admin)
            let claimed = try await client.post(
                "/api/v1/tasks/claim", ["queues": ["default"], "leaseSeconds": 300], key: agent)
            #expect(claimed.status == 200, "\(claimed.text)")
            let view = try await client.get(Self.place, key: admin)
            #expect(view["users"]?.array?.first?["running"] == 1, "\(view.text)")
            #expect(view["waitsFor"]?.array?.count == 2)
            // Programs are told the whole time, people when that is.
            let until = try #require(view["waits"]?.array?.first?["until"]?.string)
            #expect(view["waitsFor"]?.array?.first?.string == "the end of the overlap, \(until)")
            let page = try await client.get("/secrets/project/marketing/openai", key: admin)
            #expect(page.text.contains("Waits for the end of the overlap:") && page.text.contains("in 1d 0h"))
            #expect(!page.text.contains("overlap, \(until)"))
            let retire = try await client.post("\(Self.place)/retire", [:], key: admin)
            #expect(retire.status == 409 && retire["waitsFor"]?.array?.count == 2, "\(retire.text)")
            let cut = try await client.post(
                "\(Self.place)/compromise", ["version": 1, "reason": "it was in a log"], key: admin)
            #expect(cut["state"] == "retired" && cut["compromised"] == true, "\(cut.text)")
            #expect(cut["holders"]?.array?.first?["agent"] == "agent")
            #expect(cut["containment"]?.array?.first?["action"] == "quarantineAgent")
            #expect(try await client.get("\(value)?version=1", key: agent).status == 404)
            #expect(try await client.get(value, key: agent)["version"] == 2)
            let alerts = try await client.get("/api/v2/alerts", key: admin)
            #expect(alerts.text.contains("SecretCompromised"))
        }
    }
}
