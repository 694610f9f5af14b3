import Control
import Kernel
import Server
import TestSupport
import Testing

@Suite("Browser sessions")
struct BrowserSessionTests {
    private static let html = ("accept", "text/html,application/xhtml+xml")
    private static let form = ("content-type", "application/x-www-form-urlencoded")

    private static func login(_ client: AppClient, _ key: String, _ headers: [(String, String)] = []) async throws
        -> AppReply
    {
        try await client.send("POST", "/login", headers: [form] + headers, body: Array("key=\(key)".utf8))
    }

    @Test("a login link opens one session, once", arguments: TestEngine.available)
    func linkWorksOnce(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin, name: "ada")
            let made = try await client.post("/api/v1/login-links", key: admin)
            #expect(made.status == 201)
            let url = try #require(made["url"]?.string)
            #expect(url.hasPrefix("http://127.0.0.1:\(client.port)/login?token="))
            let path = String(url.dropFirst(client.url.count))

            // A preview must not use the link up.
            #expect(try await client.send("HEAD", path).status == 200)
            let first = try await client.get(path, key: nil, headers: [Self.html])
            #expect(first.status == 303)
            #expect(first.header("location") == "/")
            let setCookie = try #require(first.header("set-cookie"))
            for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"] { #expect(setCookie.contains(part)) }
            let cookie = try #require(first.cookie)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie])["name"] == "ada")

            let second = try await client.get(path, key: nil, headers: [Self.html])
            #expect(second.status == 401)
            #expect(second.header("set-cookie") == nil)
            #expect(second.header("content-type")?.hasPrefix("text/html") == true)
        }
    }

    @Test("a login link lasts an hour, a session a week")
    func lifetimes() async throws {
        try await withApp { client in
            let time = try #require(client.time)
            let admin = try await client.key(.admin)
            let late = try #require(try await client.post("/api/v1/login-links", key: admin)["url"]?.string)
            time.advance(by: .minutes(61))
            let latePath = String(late.dropFirst(client.url.count))
            #expect(try await client.get(latePath, key: nil).status == 401)

            let cookie = try #require(try await Self.login(client, admin).cookie)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie]).status == 200)
            time.advance(by: .hours(24 * 7 + 1))
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie]).status == 401)
        }
    }

    @Test("a pasted key logs in; logging out ends the session at once", arguments: TestEngine.available)
    func pastedKey(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.viewer, name: "vera")
            let entered = try await Self.login(client, "%20\(key)%0A")
            #expect(entered.status == 303)
            let cookie = try #require(entered.cookie)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie])["name"] == "vera")

            let origin = ("sec-fetch-site", "same-origin")
            let left = try await client.send("POST", "/logout", headers: [cookie, origin])
            #expect(left.status == 303)
            #expect(left.header("set-cookie")?.contains("Max-Age=0") == true)
            #expect(try await client.get("/api/v1/me", key: nil, headers: [cookie]).status == 401)

            let audit = try await client.get("/api/v1/audit", key: try await client.key(.admin))
            let acts = audit.items.compactMap { $0["action"]?.string }
            #expect(acts.contains("session.opened"))
            #expect(acts.contains("session.closed"))
            #expect(!audit.text.contains(key))
        }
    }

    @Test("another site cannot make a browser change anything")
    func csrf() async throws {
        try await withApp { client in
            let admin = try await client.key(.admin)
            let cookie = try #require(try await Self.login(client, admin).cookie)
            let body = Array(#"{"role":"viewer","name":"forged"}"#.utf8)
            let host = "127.0.0.1:\(client.port)"
            let refused: [[(String, String)]] = [
                [], [("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")],
                [("origin", "https://evil.example")], [("origin", "null")], [("origin", "http://\(host).evil.example")],
                // The browser's own word counts before the origin.
                [("sec-fetch-site", "cross-site"), ("origin", "http://\(host)")],
            ]
            let before = try await client.lastSeq()
            for headers in refused {
                let reply = try await client.send("POST", "/api/v1/keys", headers: [cookie] + headers, body: body)
                #expect(reply.status == 403, "\(headers)")
                #expect(reply.code == "csrf", "\(headers)")
            }
            #expect(try await client.lastSeq() == before)
            let allowed: [(String, String)] = [
                ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("origin", "http://\(host)"),
            ]
            for header in allowed {
                let reply = try await client.send("POST", "/api/v1/keys", headers: [cookie, header], body: body)
                #expect(reply.status == 201, "\(header)")
            }
            // A key in a header is no cookie that a browser adds by itself.
            let keyed = try await client.send(
                "POST", "/api/v1/keys", key: admin, headers: [("sec-fetch-site", "cross-site")], body: body)
            #expect(keyed.status == 201)
            // Reading is safe, and another site cannot see the answer.
            let read = try await client.get(
                "/api/v1/me", key: nil, headers: [cookie, ("sec-fetch-site", "cross-site")])
            #expect(read.status == 200)
            // Nor can another site log a browser in as somebody else.
            #expect(try await Self.login(client, admin, [("sec-fetch-site", "cross-site")]).code == "csrf")
        }
    }

    @Test("a browser without a session is shown the way in, a program gets a problem")
    func strangers() async throws {
        try await withApp { client in
            let page = try #require(
                client.app.routes.first {
                    $0.shape.isPage && $0.permission != .open && $0.method == .get && $0.placeholders.isEmpty
                })
            let browser = try await client.get(page.path, key: nil, headers: [Self.html])
            #expect(browser.status == 303)
            #expect(browser.header("location") == "/login")
            let refused = try await client.get(page.path, key: nil)
            #expect(refused.code == "unauthenticated", "\(page.path): \(refused.status) \(refused.json.text)")
            #expect(try await client.get("/api/v1/me", key: nil, headers: [Self.html]).code == "unauthenticated")

            let login = try await client.get("/login", key: nil, headers: [Self.html])
            #expect(login.status == 200)
            let policy = try #require(login.header("content-security-policy"))
            for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                #expect(policy.contains(part))
            }
            #expect(!policy.contains("unsafe"))
        }
    }

    @Test("failed logins from an address are bounded, links and keys together")
    func failedLogins() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            for attempt in 0..<20 {
                let reply =
                    attempt.isMultiple(of: 2)
                    ? try await Self.login(client, "guess")
                    : try await client.get("/login?token=guess", key: nil)
                #expect(reply.status == 401)
            }
            let refused = try await Self.login(client, key)
            #expect(refused.status == 429)
            #expect(refused.code == "rate_limited")
            #expect(refused.header("retry-after").flatMap { Int($0) } == 3)
            #expect(try await client.get("/login?token=guess", key: nil).status == 429)
            // The key itself still works elsewhere, and time heals.
            #expect(try await client.get("/api/v1/me", key: key).status == 200)
            client.time?.advance(by: .seconds(3))
            #expect(try await Self.login(client, key).status == 303)
        }
    }
}
