import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("Flags over HTTP, and OFREP")
struct FlagScenarioTests {
    private static let toggle = #"{"type":"boolean","variants":{"on":true,"off":false},"defaultVariant":"off"}"#

    private static let rows: [APIScenario] = [
        APIScenario(
            "an agent may not set a flag", .put, "/api/v1/flags/f", as: .agent, toggle, expect: 403, "forbidden"),
        APIScenario("nor may a viewer", .put, "/api/v1/flags/f", as: .viewer, toggle, expect: 403, "forbidden"),
        APIScenario("nor ingest", .get, "/api/v1/flags", as: .ingest, expect: 403, "forbidden"),
        APIScenario("an agent reads", .get, "/api/v1/flags", as: .agent, expect: 200),
        APIScenario("without a key nothing", .get, "/api/v1/flags", as: nil, expect: 401, "unauthenticated"),
        APIScenario("what is not there", .get, "/api/v1/flags/f", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "what is not there has no history", .get, "/api/v1/flags/f/history", as: .viewer, expect: 404, "not_found"),
        APIScenario("a name that is none", .put, "/api/v1/flags/a%20b", as: .operator_, toggle, expect: 422, "invalid"),
        APIScenario(
            "an inconsistent flag", .put, "/api/v1/flags/f", as: .operator_,
            #"{"type":"boolean","variants":{"on":true},"defaultVariant":"off"}"#, expect: 422, "invalid",
            contains: ["defaultVariant"]),
        APIScenario(
            "an edit of what is not there", .put, "/api/v1/flags/f", as: .operator_, toggle,
            headers: [("if-match", "\"1\"")], expect: 412, "precondition_failed"),
        APIScenario("a new flag", .put, "/api/v1/flags/f", as: .operator_, toggle, expect: 200, events: 1),
    ]

    @Test("who may do what, and what is refused")
    func rules() async throws { try await APIScenario.run(Self.rows) }

    private static func put(_ client: AppClient, _ key: String, _ json: JSONValue) async throws {
        let reply = try await client.send(
            "PUT", "/api/v1/flags/\(key)", key: client.key(.operator_), body: json.bytes)
        #expect(reply.status == 200, "\(reply.text)")
    }

    private static func evaluate(
        _ client: AppClient, _ key: String, _ context: JSONValue, as agent: String
    ) async throws -> AppReply {
        try await client.post("/ofrep/v1/evaluate/flags/\(key)", ["context": context], key: agent)
    }

    @Test("each answer of the protocol", arguments: TestEngine.available)
    func protocolAnswers(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let agent = try await client.key(.agent, agent: "writer")
            try await Self.put(
                client, "route",
                [
                    "type": "string", "variants": ["a": "small", "b": "large"], "defaultVariant": "a",
                    "metadata": ["owner": "core"],
                    "rules": [
                        ["id": "own", "when": ["agent": ["in": ["writer"]], "plan": "pro"], "variant": "b"],
                        ["id": "share", "when": ["plan": "trial"], "split": ["a": 50, "b": 50]],
                    ],
                ])
            let plain = try await Self.evaluate(client, "route", [:], as: agent)
            #expect(plain.status == 200 && plain["reason"] == "STATIC" && plain["variant"] == "a")
            #expect(plain["value"] == "small" && plain["metadata"]?["owner"] == "core")
            // The key says who asks, whatever the context says.
            let own = try await Self.evaluate(client, "route", ["agent": "other", "plan": "pro"], as: agent)
            #expect(own["reason"] == "TARGETING_MATCH" && own["value"] == "large")
            #expect(own["metadata"]?["rule"] == "own")
            let missing = try await Self.evaluate(client, "route", ["plan": "trial"], as: agent)
            #expect(missing.status == 400 && missing["errorCode"] == "TARGETING_KEY_MISSING")
            let split = try await Self.evaluate(client, "route", ["plan": "trial", "targetingKey": "u"], as: agent)
            #expect(split["reason"] == "SPLIT")
            let unknown = try await Self.evaluate(client, "nothing", [:], as: agent)
            #expect(unknown.status == 404 && unknown["errorCode"] == "FLAG_NOT_FOUND" && unknown["key"] == "nothing")
            let wrong = try await Self.evaluate(client, "route", "text", as: agent)
            #expect(wrong.status == 400 && wrong["errorCode"] == "INVALID_CONTEXT")
            for body in ["{", "[1]", "\"x\"", "{\"context\":{\"a\":1,\"a\":2}}"] {
                let reply = try await client.send(
                    "POST", "/ofrep/v1/evaluate/flags/route", key: agent, body: Array(body.utf8))
                #expect(reply.status == 400 && reply["errorCode"] == "PARSE_ERROR", "\(body)")
            }
            let stranger = try await client.post("/ofrep/v1/evaluate/flags", [:], key: nil)
            #expect(stranger.status == 401 && stranger["errorCode"] == "GENERAL")
            let ingest = try await client.post("/ofrep/v1/evaluate/flags", [:], key: client.key(.ingest))
            #expect(ingest.status == 403 && ingest["errorDetails"]?.string?.isEmpty == false)
            let large = [UInt8](repeating: 0x20, count: OFREPRoutes.bodyBytesMax + 1)
            #expect(try await client.send("POST", "/ofrep/v1/evaluate/flags", key: agent, body: large).status == 413)
            let metrics = try await client.get("/metrics", key: agent).text
            #expect(
                metrics.contains(
                    "reeve_flag_evaluations_total{flag=\"route\",variant=\"b\",reason=\"TARGETING_MATCH\"} 1"))
            #expect(!metrics.contains("flag=\"nothing\""))
        }
    }

    @Test("a bulk evaluation has an ETag of its context and of the flags")
    func bulk() async throws {
        try await withApp { client in
            let agent = try await client.key(.agent, agent: "writer")
            try await Self.put(client, "a", try JSONParser.parse(Self.toggle))
            try await Self.put(
                client, "b",
                [
                    "type": "boolean", "variants": ["on": true, "off": false], "defaultVariant": "off",
                    "rules": [["split": ["on": 50, "off": 50]]],
                ])
            let path = "/ofrep/v1/evaluate/flags"
            let first = try await client.post(path, ["context": ["targetingKey": "u"]], key: agent)
            let tag = try #require(first.header("etag"))
            #expect(first["flags"]?.array?.map { $0["key"] } == ["a", "b"])
            #expect(first["eventStreams"]?.array?.first?["type"] == "sse")
            let headers = [("if-none-match", tag)]
            let same = try await client.post(path, ["context": ["targetingKey": "u"]], key: agent, headers: headers)
            #expect(same.status == 304 && same.bytes.isEmpty && same.header("etag") == tag)
            let other = try await client.post(path, ["context": ["targetingKey": "v"]], key: agent, headers: headers)
            #expect(other.status == 200)
            let partial = try await client.post(path, ["context": [:]], key: agent)
            #expect(partial.status == 200)
            #expect(partial["flags"]?.array?.last?["errorCode"] == "TARGETING_KEY_MISSING")
            #expect(try await client.post("/api/v1/flags/a/off", [:], key: client.key(.operator_)).status == 200)
            let changed = try await client.post(path, ["context": ["targetingKey": "u"]], key: agent, headers: headers)
            #expect(changed.status == 200 && changed["flags"]?.array?.first?["reason"] == "DISABLED")
        }
    }

    @Test("the stream takes the key or the ticket, and tells of each change", arguments: TestEngine.available)
    func stream(_ engine: TestEngine) async throws {
        try await withApp(engine, world: .live, configure: { $0.limits.flagStreams = 2 }) { client in
            let (agent, admin) = (try await client.key(.agent, agent: "writer"), try await client.key(.operator_))
            try await Self.put(client, "a", try JSONParser.parse(Self.toggle))
            let bulk = try await client.post("/ofrep/v1/evaluate/flags", [:], key: agent)
            let url = try #require(bulk["eventStreams"]?.array?.first?["url"]?.string)
            #expect(url.hasPrefix(client.url + "/ofrep/v1/stream/ticket?ticket="))
            let path = String(url.dropFirst(client.url.count))
            #expect(try await client.get("/ofrep/v1/stream", key: nil).status == 401)
            #expect(try await client.get("/ofrep/v1/stream", key: "reeve_agent_none").status == 401)
            #expect(try await client.get("/ofrep/v1/stream/ticket", key: agent).status == 401)
            #expect(try await client.get(path + "0", key: nil).status == 401)
            #expect(try await client.get("/ofrep/v1/stream", key: client.key(.ingest)).status == 403)
            try await client.withStream("/ofrep/v1/stream", key: agent) { byKey in
                try await client.withStream(path, key: nil) { byTicket in
                    #expect(byKey.status == 200 && byTicket.status == 200)
                    let third = try await client.get(path, key: nil)
                    #expect(third.status == 503 && third["errorCode"] == "GENERAL")
                    #expect(
                        try await client.post("/api/v1/flags/a/off", ["reason": "it hurts"], key: admin).status == 200)
                    for message in [try await byKey.next(), try await byTicket.next()] {
                        let tag = try #require(message?.json["etag"]?.string)
                        #expect(message?.json["type"] == "refetchEvaluation" && message?.id == tag)
                        let next = try await client.post(
                            "/ofrep/v1/evaluate/flags?flagConfigEtag=\(tag)", [:], key: agent)
                        #expect(next["flags"]?.array?.first?["reason"] == "DISABLED")
                    }
                }
            }
        }
    }

    @Test("a listener whose key is revoked hears nothing more")
    func revocation() async throws {
        try await withApp(world: .live) { client in
            let agent = try await client.key(.agent, agent: "writer")
            let admin = try await client.key(.admin)
            let keys = try await client.get("/api/v1/keys?limit=100", key: admin).items
            let id = try #require(keys.first { $0["agent"] == "writer" }?["id"]?.string)
            // Who comes back and missed something is told at once.
            try await client.withStream("/ofrep/v1/stream", key: agent, lastEventID: "missed") { reader in
                let message = try await reader.next()
                #expect(message?.json["type"] == "refetchEvaluation")
            }
            try await client.withStream("/ofrep/v1/stream", key: agent) { reader in
                #expect(reader.status == 200)
                #expect(try await client.delete("/api/v1/keys/\(id)", key: admin).status == 204)
                try await Self.put(client, "a", try JSONParser.parse(Self.toggle))
                let message = try await reader.next()
                #expect(message == nil)
            }
        }
    }
}
