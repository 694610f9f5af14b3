import Control
import Foundation
import Kernel
import Server
import TestSupport
import Testing

@Suite("Who may come in")
struct AuthenticationTests {
    @Test("a key is taken from each of the usual headers", arguments: TestEngine.available)
    func headerForms(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_, name: "olga")
            let basic = Data("anybody:\(key)".utf8).base64EncodedString()
            let forms = [
                ("authorization", "Bearer \(key)"), ("Authorization", "bearer \(key)"), ("x-api-key", key),
                ("X-Vault-Token", key), ("authorization", "Basic \(basic)"),
            ]
            for form in forms {
                let reply = try await client.get("/api/v1/me", key: nil, headers: [form])
                #expect(reply.status == 200, "\(form.0)")
                #expect(reply["name"] == "olga")
                #expect(reply["role"] == "operator")
                #expect(reply["agent"] == JSONValue.null)
            }
        }
    }

    @Test("what is no good key is refused alike")
    func badKeys() async throws {
        try await withApp { client in
            let good = try await client.key(.viewer)
            let forms: [[(String, String)]] = [
                [], [("authorization", "Bearer")], [("authorization", "Bearer ")],
                [("authorization", "Bearer nonsense")],
                [("authorization", "Basic !!!")], [("authorization", "Digest \(good)")],
                [("authorization", "Bearer reeve_admin_" + String(repeating: "0", count: 40))],
                [("authorization", "Bearer \(good)0")],
                [("x-api-key", "reeve_" + String(repeating: "x", count: 5_000))],
                [("cookie", "reeve_session=1")], [("cookie", "reeve_session=\(good)")],
                // A bad key counts even where a good one stands in another header.
                [("authorization", "Bearer nonsense"), ("x-api-key", good)],
            ]
            for form in forms {
                let reply = try await client.get("/api/v1/me", key: nil, headers: form)
                #expect(reply.status == 401, "\(form)")
                #expect(reply.code == "unauthenticated")
                #expect(reply.header("www-authenticate")?.hasPrefix("Bearer") == true)
                #expect(reply["hint"]?.string?.isEmpty == false)
            }
        }
    }

    @Test("a session's token is no key, and a key no session")
    func tokensAreNotInterchangeable() async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            let session = try #require(try await client.app.features.access.openSession(key: key, remoteAddress: ""))
            let asCookie = ("cookie", "reeve_session=\(session)")
            #expect(try await client.get("/api/v1/me", key: nil, headers: [asCookie]).status == 200)
            #expect(try await client.get("/api/v1/me", key: session).status == 401)
        }
    }

    @Test("each route admits the roles it states, and nobody else", arguments: Role.allCases)
    func matrix(_ role: Role) async throws {
        try await withApp { client in
            let key = try await client.key(role, agent: role == .agent ? "writer" : nil)
            let before = try await client.lastSeq()
            for route in client.app.routes {
                let path = route.path.split(separator: "/", omittingEmptySubsequences: false)
                    .map { $0.hasPrefix("{") ? "x" : String($0) }.joined(separator: "/")
                let body: [UInt8]? = route.method == .get ? nil : Array("{}".utf8)
                if !route.permission.admits(role) {
                    let reply = try await client.send(route.method.rawValue, path, key: key, body: body)
                    #expect(reply.status == 403, "\(route.method.rawValue) \(route.path)")
                    // Doors of other protocols refuse in their own words.
                    let words =
                        reply["error"]?["code"]?.string ?? reply["error"]?["type"]?.string
                        ?? reply["errorType"]?.string ?? Self.firstWord(reply.json.string)
                        ?? Self.firstWord(reply["errors"]?.array?.first?.string) ?? reply["errorCode"]?.string
                        ?? (reply["status"]?.string)
                    // OFREP has one code for all that is not about a flag.
                    let expected = [
                        "forbidden", "permission_denied", "permission_error", "permission denied", "GENERAL",
                    ]
                    // PERMISSION_DENIED of google.rpc.Code, as OTLP has it.
                    let isNumber = reply["code"]?.int == 7
                    #expect(
                        isNumber || expected.contains(reply.code ?? words ?? ""),
                        "\(route.method.rawValue) \(route.path)")
                    #expect((reply.code == nil) == (route.refusal != nil))
                }
                guard route.permission != .open else { continue }
                let stranger = try await client.send(route.method.rawValue, path, key: nil, body: body)
                // Vault has no other answer to who brings no token.
                let isVault = stranger["errors"]?.array != nil
                #expect(stranger.status == (isVault ? 403 : 401), "\(route.method.rawValue) \(route.path)")
            }
            #expect(try await client.lastSeq() == before)
        }
    }

    /// Alertmanager's interface refuses with a text.
    private static func firstWord(_ text: String?) -> String? {
        text?.split(separator: ":").first.map(String.init)
    }

    @Test("a revoked key is refused at once, on whatever it was used before", arguments: TestEngine.available)
    func revocation(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            let made = try await client.post("/api/v1/keys", ["role": "viewer", "name": "brief"], key: admin)
            let key = try #require(made["key"]?.string)
            let id = try #require(made["id"]?.string)
            let session = try #require(try await client.app.features.access.openSession(key: key, remoteAddress: ""))
            let cookie = ("cookie", "reeve_session=\(session)")
            #expect(try await client.get("/api/v1/me", key: key).status == 200)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie]).status == 200)

            #expect(try await client.delete("/api/v1/keys/\(id)", key: admin).status == 204)
            #expect(try await client.get("/api/v1/me", key: key).status == 401)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie]).status == 401)

            let before = try await client.lastSeq()
            #expect(try await client.delete("/api/v1/keys/\(id)", key: admin).status == 204)
            #expect(try await client.lastSeq() == before)
            #expect(try await client.delete("/api/v1/keys/key_nobody", key: admin).code == "not_found")
        }
    }
}

@Suite("Keys over HTTP")
struct KeyScenarioTests {
    static let rows: [APIScenario] = [
        APIScenario(
            "an administrator makes any key", .post, "/api/v1/keys", as: .admin, #"{"role":"viewer","name":"vera"}"#,
            expect: 201, contains: [#""role":"viewer""#, #""key":"reeve_viewer_"#, #""agent":null"#], events: 1),
        APIScenario(
            "an agent's key may come before its agent", .post, "/api/v1/keys", as: .admin,
            #"{"role":"agent","name":"its key","agent":"writer"}"#, expect: 201, contains: [#""agent":"writer""#],
            events: 1),
        APIScenario(
            "an agent's key is named like its agent where none is given", .post, "/api/v1/keys", as: .operator_,
            #"{"role":"agent","name":"writer"}"#, expect: 201, contains: [#""agent":"writer""#], events: 1),
        APIScenario(
            "an operator makes no other key", .post, "/api/v1/keys", as: .operator_, #"{"role":"viewer","name":"x"}"#,
            expect: 403, "forbidden"),
        APIScenario(
            "nobody rises above themselves", .post, "/api/v1/keys", as: .operator_, #"{"role":"admin","name":"x"}"#,
            expect: 403, "forbidden"),
        APIScenario(
            "only an agent's key is bound to one", .post, "/api/v1/keys", as: .admin,
            #"{"role":"viewer","name":"x","agent":"writer"}"#, expect: 422, "invalid"),
        APIScenario("a key needs a role", .post, "/api/v1/keys", as: .admin, #"{"name":"x"}"#, expect: 422, "invalid"),
        APIScenario(
            "a key needs a name", .post, "/api/v1/keys", as: .admin, #"{"role":"viewer"}"#, expect: 422, "invalid"),
        APIScenario(
            "a role that there is not", .post, "/api/v1/keys", as: .admin, #"{"role":"emperor","name":"x"}"#,
            expect: 422, "invalid", contains: ["admin, operator, agent, viewer, ingest"]),
        APIScenario(
            "a name that climbs", .post, "/api/v1/keys", as: .admin, #"{"role":"viewer","name":"../x"}"#, expect: 422,
            "invalid"),
        APIScenario("operators do not list keys", .get, "/api/v1/keys", as: .operator_, expect: 403, "forbidden"),
        APIScenario("operators read the audit log", .get, "/api/v1/audit", as: .operator_, expect: 200),
        APIScenario("viewers do not", .get, "/api/v1/audit", as: .viewer, expect: 403, "forbidden"),
        APIScenario("a cursor is a number", .get, "/api/v1/audit?after=x", as: .admin, expect: 422, "invalid"),
        APIScenario("a limit is above zero", .get, "/api/v1/audit?limit=0", as: .admin, expect: 422, "invalid"),
        APIScenario("everybody may ask who they are", .get, "/api/v1/me", as: .ingest, expect: 200),
        APIScenario(
            "only administrators make login links", .post, "/api/v1/login-links", as: .operator_, "{}",
            expect: 403, "forbidden"),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    @Test("a secret is shown once, and is in no file and no row", arguments: TestEngine.available)
    func secrets(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            let draft: JSONValue = ["role": "viewer", "name": "vera"]
            let made = try await client.post("/api/v1/keys", draft, key: admin, headers: [("idempotency-key", "k1")])
            let secret = try #require(made["key"]?.string)
            #expect(try #/reeve_viewer_[0-9a-f]{40}/#.wholeMatch(in: secret) != nil)

            let again = try await client.post("/api/v1/keys", draft, key: admin, headers: [("idempotency-key", "k1")])
            #expect(again.status == 201)
            #expect(again["id"] == made["id"])
            #expect(again["key"] == nil)
            #expect(again.header("idempotency-replayed") == "true")
            let other = try await client.post(
                "/api/v1/keys", ["role": "viewer", "name": "x"], key: admin, headers: [("idempotency-key", "k1")])
            #expect(other.code == "idempotency_mismatch")

            let listed = try await client.get("/api/v1/keys", key: admin)
            #expect(listed.items.contains { $0["id"] == made["id"] })
            #expect(!listed.text.contains(secret))
            let folder = client.app.settings.storage.dataDirectory
            for name in try FileManager.default.subpathsOfDirectory(atPath: folder) where name != "admin.key" {
                let content = FileManager.default.contents(atPath: "\(folder)/\(name)") ?? Data()
                #expect(content.range(of: Data(secret.utf8)) == nil, "\(name)")
            }
        }
    }

    @Test("the list comes in pages, revoked keys included")
    func pages() async throws {
        try await withApp { client in
            let admin = try await client.key(.admin)
            for index in 0..<5 { _ = try await client.key(.viewer, name: "viewer \(index)") }
            var names: [String] = []
            var after = ""
            repeat {
                let page = try await client.get("/api/v1/keys?limit=3&after=\(after)", key: admin)
                names += page.items.compactMap { $0["name"]?.string }
                after = page["next"]?.string ?? ""
            } while !after.isEmpty
            // Ids of one millisecond, as here, have no order among them.
            #expect(names.sorted() == ["admin", "admin"] + (0..<5).map { "viewer \($0)" })
        }
    }

    @Test("the last admin key cannot be revoked")
    func lastAdmin() async throws {
        try await withApp { client in
            let admin = try await client.key(.admin, name: "second")
            let keys = try await client.get("/api/v1/keys", key: admin).items
            let first = try #require(keys.first { $0["name"] == "admin" }?["id"]?.string)
            let second = try #require(keys.first { $0["name"] == "second" }?["id"]?.string)
            #expect(try await client.delete("/api/v1/keys/\(first)", key: admin).status == 204)
            #expect(try await client.delete("/api/v1/keys/\(second)", key: admin).code == "last_admin_key")
            #expect(try await client.get("/api/v1/me", key: admin).status == 200)
        }
    }

    @Test("a key's last use is written down by a loop", arguments: TestEngine.available)
    func lastUse(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let time = try #require(client.time)
            let admin = try await client.key(.admin)
            let made = try await client.post("/api/v1/keys", ["role": "viewer", "name": "vera"], key: admin)
            time.advance(by: .seconds(60))
            let key = try #require(made["key"]?.string)
            _ = try await client.get("/api/v1/me", key: key)
            let used = time.now
            time.advance(by: .seconds(60))
            // The round runs in its own task; how long that takes is not for the test to know.
            for _ in 0..<200 {
                let listed = try await client.get("/api/v1/keys", key: admin)
                let row = listed.items.first { $0["id"] == made["id"] }
                if row?["lastUsedAt"]?.string == used.rfc3339 { return }
                await Task.yield()
            }
            Issue.record("the last use was not written down")
        }
    }
}
