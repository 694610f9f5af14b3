import Control
import Kernel
import Server
import TestSupport
import Testing

@Suite("HTTP")
struct HTTPTests {
    @Test("what is not there, and what is not done there")
    func unknown() async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            let nothing = try await client.get("/api/v1/nothing", key: key)
            #expect(nothing.status == 404)
            #expect(nothing.code == "not_found")
            for path in ["/api/v1/me/", "//api/v1/me", "/api/v1//me", "/api", "/api/v1/me/x"] {
                #expect(try await client.get(path, key: key).status == 404, "\(path)")
            }
            let other = try await client.send("PUT", "/api/v1/keys", key: key, body: [])
            #expect(other.status == 405)
            #expect(other.code == "method_not_allowed")
            #expect(other.header("allow") == "GET, HEAD, POST")
            for method in ["OPTIONS", "TRACE", "PROPFIND"] {
                #expect(try await client.send(method, "/api/v1/keys", key: key).status == 405, "\(method)")
            }
            let brewing = try await client.send("BREW", "/api/v1/keys", key: key)
            #expect(brewing.status == 501)
            #expect(brewing.code == "not_implemented")
            #expect(brewing["requestId"]?.string?.isEmpty == false)
        }
    }

    @Test("HEAD is GET without the body")
    func head() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            let full = try await client.get("/api/v1/me", key: key)
            let head = try await client.send("HEAD", "/api/v1/me", key: key)
            #expect(head.status == 200)
            #expect(head.bytes.isEmpty)
            #expect(head.header("content-length") == full.header("content-length"))
            #expect(try await client.send("HEAD", "/health").status == 200)
        }
    }

    @Test("paths and queries are decoded once, and refused where they cannot be")
    func decoding() async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            let bad = [
                "/api/v1/keys/%", "/api/v1/keys/%zz", "/api/v1/keys/%ff", "/api/v1/keys/%00", "/api/v1/keys?after=%00",
                "/api/v1/keys?after=%f0%28", "/api/v1/keys?%=1",
            ]
            for path in bad {
                // Client libraries mend such addresses before they send them.
                let answer = try await AppSocket.exchange(
                    port: client.port,
                    [
                        "\(path.contains("?") ? "GET" : "DELETE") \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            + "x-api-key: \(key)\r\n\r\n"
                    ])
                #expect(answer.hasPrefix("HTTP/1.1 400"), "\(path)")
                #expect(answer.contains("\"bad_request\""), "\(path)")
            }
            for path in ["/api/v1/keys/..%2F..%2Fetc", "/api/v1/keys/%F0%9F%92%A5", "/api/v1/keys/key_%2500"] {
                #expect(try await client.delete(path, key: key).code == "not_found", "\(path)")
            }
        }
    }

    @Test("every reply names its request and carries the guards of browsers")
    func headers() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            let reply = try await client.get(
                "/api/v1/me", key: key, headers: [("x-correlation-id", "corr-1234"), ("traceparent", trace)])
            #expect(reply.header("x-correlation-id") == "corr-1234")
            #expect(reply.header("traceparent") == trace)
            #expect(reply.header("x-content-type-options") == "nosniff")
            #expect(reply.header("referrer-policy") != nil)
            #expect(reply.header("cache-control") == "no-store")
            #expect(reply.header("content-security-policy")?.contains("frame-ancestors 'none'") == true)

            let made = try await client.get("/api/v1/me", key: key)
            // Without one of its own the trace's id stands for it.
            let madeTrace = made.header("traceparent")?.split(separator: "-").dropFirst().first.map(String.init)
            #expect(made.header("x-correlation-id") == madeTrace)
            #expect(made.header("x-request-id") != reply.header("x-request-id"))
            let parts = made.header("traceparent")?.split(separator: "-").map(\.count)
            #expect(parts == [2, 32, 16, 2])

            let odd = [
                ("x-correlation-id", String(repeating: "x", count: 201)), ("x-correlation-id", "with space"),
                ("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"), ("traceparent", "nonsense"),
            ]
            for header in odd {
                let reply = try await client.get("/api/v1/me", key: key, headers: [header])
                #expect(reply.header(header.0) != header.1, "\(header.0)")
            }
            let refused = try await client.get("/nothing", key: nil)
            #expect(refused["requestId"]?.string == refused.header("x-request-id"))
        }
    }

    @Test("bodies up to the limit are taken, longer ones refused, declared or not")
    func bodySize() async throws {
        try await withApp(configure: { $0.limits.bodyBytes = 1 << 20 }) { client in
            let key = try await client.key(.admin)
            let before = try await client.lastSeq()
            let draft = #"{"role":"viewer","name":"x","pad":"#
            let long = Array((draft + "\"" + String(repeating: "a", count: 1 << 20) + "\"}").utf8)
            let declared = try await client.send("POST", "/api/v1/keys", key: key, body: long)
            #expect(declared.status == 413)
            #expect(declared.code == "body_too_large")

            let head = "POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n"
            let chunk = "10000\r\n" + String(repeating: " ", count: 0x10000) + "\r\n"
            let chunked = try await AppSocket.exchange(
                port: client.port,
                [head + "Transfer-Encoding: chunked\r\n\r\n"] + Array(repeating: chunk, count: 40) + ["0\r\n\r\n"])
            #expect(chunked.hasPrefix("HTTP/1.1 413"))
            #expect(chunked.contains("body_too_large"))
            #expect(try await client.lastSeq() == before)

            let fits = draft + "\"" + String(repeating: "a", count: (1 << 20) - draft.utf8.count - 3) + "\"}"
            let taken = try await client.send("POST", "/api/v1/keys", key: key, body: Array(fits.utf8))
            #expect(taken.status == 201)
            let pieces = [
                head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", "10\r\n{\"role\":\"viewer\"\r\n",
                "b\r\n,\"name\":\"x\"\r\n", "1\r\n}\r\n0\r\n\r\n",
            ]
            #expect(try await AppSocket.exchange(port: client.port, pieces).hasPrefix("HTTP/1.1 201"))
        }
    }

    @Test("a refusal comes before the body is read")
    func earlyRefusal() async throws {
        try await withApp { client in
            let answer = try await AppSocket.exchange(
                port: client.port,
                ["POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"],
                until: "unauthenticated")
            #expect(answer.hasPrefix("HTTP/1.1 401"))
            #expect(answer.contains("connection: close"))
        }
    }

    @Test("a client that waits for leave to send its body is given it")
    func expectContinue() async throws {
        try await withApp { client in
            let key = try await client.key(.admin)
            let body = #"{"role":"viewer","name":"x"}"#
            let socket = try await AppSocket(port: client.port)
            try await socket.send(
                "POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n"
                    + "Content-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
            #expect(try await socket.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try await socket.send(body)
            #expect(try await socket.read().hasPrefix("HTTP/1.1 201"))
        }
    }

    @Test("requests in one packet are answered one after the other, old clients too")
    func pipelining() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            let head = "Host: x\r\nAuthorization: Bearer \(key)\r\n"
            let answer = try await AppSocket.exchange(
                port: client.port,
                [
                    "GET /api/v1/me HTTP/1.1\r\n\(head)\r\nGET /nothing HTTP/1.1\r\n\(head)\r\n"
                        + "GET /api/v1/me HTTP/1.1\r\n\(head)Connection: close\r\n\r\n"
                ])
            #expect(answer.matches(of: #/HTTP/1.1 (\d+) /#).map(\.1) == ["200", "404", "200"])
            let old = try await AppSocket.exchange(port: client.port, ["GET /health HTTP/1.0\r\n\r\n"])
            #expect(old.contains(" 200 "))
        }
    }

    @Test(
        "what follows a request in its packet is judged behind its answer",
        arguments: [
            ("GET /api/v1/me HTTP/1.1\r\n", "nonsense\r\n\r\n", ["200", "501"]),
            ("GET /api/v1/me HTTP/1.1\r\nConnection: close\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", ["200"]),
            ("HEAD /api/v1/me HTTP/1.1\r\n", "GET /nothing HTTP/1.0\r\n\r\n", ["200", "404"]),
            ("GET /nothing HTTP/1.1\r\nConnection: close\r\n", "GET /nothing HTTP/1.1\r\n\r\n", ["404"]),
        ])
    func behindRequest(_ first: String, _ second: String, _ statuses: [Substring]) async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            let answer = try await AppSocket.exchange(
                port: client.port, [first + "Host: x\r\nAuthorization: Bearer \(key)\r\n\r\n" + second])
            #expect(answer.matches(of: #/HTTP/1.\d (\d+) /#).map(\.1) == statuses)
        }
    }

    @Test("a connection that nothing happens on does not hold up the server's end")
    func idleAtTheEnd() async throws {
        let clock = ContinuousClock()
        let began = try await withApp { client in
            let socket = try await AppSocket(port: client.port)
            try await socket.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await socket.read(until: "}").hasPrefix("HTTP/1.1 200"))
            let began = clock.now
            await client.stop()
            #expect(try await socket.read() == "")
            return began
        }
        // The server's patience with requests in flight; machines with other work take their time.
        #expect(clock.now - began < .seconds(10))
    }

    @Test("a client that closes its side still gets its answer")
    func halfClosed() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            let answer = try await AppSocket.exchange(
                port: client.port, ["GET /api/v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n\r\n"],
                closingInput: true)
            #expect(answer.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test(
        "what is no HTTP is refused, and harms nobody",
        arguments: [
            "nonsense\r\n\r\n", "POST /api/v1/keys\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + String(repeating: "a", count: 200_000) + "\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET",
            "GET /\u{0} HTTP/1.1\r\nHost: x\r\n\r\n",
        ])
    func noHTTP(_ text: String) async throws {
        try await withApp { client in
            let answer = try await AppSocket.exchange(port: client.port, [text], closingInput: true)
            #expect(
                answer.isEmpty || answer.hasPrefix("HTTP/1.1 4") || answer.hasPrefix("HTTP/1.1 501"),
                "\(answer.prefix(80))")
            #expect(try await client.get("/health", key: nil).status == 200)
        }
    }

    static let rows: [APIScenario] = [
        APIScenario("nothing where JSON belongs", .post, "/api/v1/keys", as: .admin, "", expect: 400, "invalid_json"),
        APIScenario("half a document", .post, "/api/v1/keys", as: .admin, #"{"role":"#, expect: 400, "invalid_json"),
        APIScenario("two documents", .post, "/api/v1/keys", as: .admin, "{}{}", expect: 400, "invalid_json"),
        APIScenario(
            "a member twice", .post, "/api/v1/keys", as: .admin, #"{"a":1,"a":2}"#, expect: 400, "invalid_json"),
        APIScenario("no object", .post, "/api/v1/keys", as: .admin, "[]", expect: 422, "invalid"),
        APIScenario(
            "nested too deep", .post, "/api/v1/keys", as: .admin,
            #"{"role":"viewer","name":"x","deep":"# + String(repeating: "[", count: 64)
                + String(repeating: "]", count: 64)
                + "}", expect: 400, "invalid_json"),
        APIScenario(
            "nested as deep as is allowed", .post, "/api/v1/keys", as: .admin,
            #"{"role":"viewer","name":"x","deep":"# + String(repeating: "[", count: 63)
                + String(repeating: "]", count: 63)
                + "}", expect: 201, events: 1),
        APIScenario("alive", .get, "/health", as: nil, expect: 200),
        APIScenario("ready", .get, "/ready", as: nil, expect: 200),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    @Test("a key's rate is bounded, and so is a stranger's address")
    func rates() async throws {
        try await withApp(configure: {
            $0.limits.keyRequestsPerSecond = 5
            $0.limits.addressRequestsPerSecond = 10
        }) { client in
            let time = try #require(client.time)
            let key = try await client.key(.viewer)
            let other = try await client.key(.viewer)
            for _ in 0..<5 { #expect(try await client.get("/api/v1/me", key: key).status == 200) }
            let refused = try await client.get("/api/v1/me", key: key)
            #expect(refused.status == 429)
            #expect(refused.code == "rate_limited")
            #expect(refused.header("retry-after") == "1")
            #expect(try await client.get("/api/v1/me", key: other).status == 200)
            time.advance(by: .seconds(1))
            #expect(try await client.get("/api/v1/me", key: key).status == 200)

            // A good key owes its address nothing; bad ones and strangers share what the address has.
            for index in 0..<10 {
                let reply = try await client.get(index.isMultiple(of: 2) ? "/api/v1/me" : "/nothing", key: nil)
                #expect([401, 404].contains(reply.status))
            }
            for path in ["/api/v1/me", "/nothing", "/health"] {
                let reply = try await client.get(path, key: nil)
                #expect(reply.status == 429, "\(path)")
                #expect(reply.header("retry-after") == "1")
            }
            #expect(try await client.get("/api/v1/me", key: key).status == 200)
            time.advance(by: .seconds(1))
            #expect(try await client.get("/health", key: nil).status == 200)
        }
    }
}
