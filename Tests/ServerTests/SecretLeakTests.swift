import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control
@testable import Server
@testable import Telemetry

/// A value that somebody wrote where it does not belong stands nowhere afterwards, and somebody is told.
@Suite("Leaked secrets")
struct SecretLeakTests {
    private static let value = #"correct "horse" battery/staple-42"#
    private static let trace = "0af7651916cd43dd8448eb211c80319c"

    private static func spans(_ value: String) -> JSONValue {
        let attribute: JSONValue = ["key": "k", "value": ["stringValue": .string("got \(value) here")]]
        let deep: JSONValue = [
            "key": "deep",
            "value": [
                "kvlistValue": [
                    "values": [["key": "a", "value": ["arrayValue": ["values": [["stringValue": .string(value)]]]]]]
                ]
            ],
        ]
        return [
            "resourceSpans": [
                [
                    "resource": ["attributes": [attribute]],
                    "scopeSpans": [
                        [
                            "spans": [
                                [
                                    "traceId": .string(trace), "spanId": "b7ad6b7169203331", "name": .string(value),
                                    "startTimeUnixNano": "1763625600000000000",
                                    "endTimeUnixNano": "1763625601000000000", "attributes": [attribute, deep],
                                    "events": [["name": "e", "attributes": [attribute]]],
                                    "status": ["code": 2, "message": .string("failed with \(value)")],
                                ]
                            ]
                        ]
                    ],
                ]
            ]
        ]
    }

    @Test("it is taken out at every door, and told once", arguments: TestEngine.available)
    func doors(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            let agent = try await client.key(.agent, agent: "writer")
            let body: JSONValue = ["value": .string(Self.value)]
            #expect(try await client.send("PUT", "/api/v1/secrets/org/x", key: admin, body: body.bytes).status == 200)
            let text = JSONValue.string("got \(Self.value) here")
            let json = [("content-type", "application/json")]
            let encoded = Data(Self.value.utf8).base64EncodedString()
            let sent: [(String, JSONValue)] = [
                ("/api/v1/logs", ["message": text, "nested": ["a": .string(JSONValue.list([Self.value]).text)]]),
                ("/api/v1/logs", ["message": .string("Basic \(encoded)")]),
                (
                    "/loki/api/v1/push",
                    ["streams": [["stream": ["app": "x"], "values": [["1763625600000000000", text]]]]]
                ),
                ("/v1/traces", Self.spans(Self.value)),
                ("/api/events/ingest", ["type": "note", "text": text]),
                ("/api/events/ingest", ["type": "agent.heartbeat", "statusMessage": text]),
            ]
            for (path, body) in sent {
                let reply = try await client.post(path, body, key: agent, headers: json)
                #expect((200..<300).contains(reply.status), "\(path): \(reply.text)")
            }
            let refused = try await client.get(
                "/api/v1/tasks/correct%20%22horse%22%20battery%2Fstaple-42",
                key: admin)
            #expect(refused.status == 404 && refused.text.contains("[redacted:org/x]"), "\(refused.text)")
            try await client.app.features.spans?.settle()
            var shown = refused.text
            for path in ["logs", "traces/\(Self.trace)", "events?limit=500", "agents/writer"] {
                let reply = try await client.get("/api/v1/\(path)", key: admin)
                #expect(reply.text.contains("[redacted:org/x]"), "\(path): \(reply.text)")
                shown += reply.text
            }
            #expect(!shown.contains("horse") && !shown.contains(encoded))

            let alarm = SecretAlarm(
                watch: client.app.features.secrets.watch, alerts: client.app.features.alerting.alerts,
                storage: client.app.features.storage, world: client.world)
            try await alarm.look()
            let alerts = try await client.get("/api/v2/alerts", key: admin).json.array ?? []
            let leaks = alerts.filter { $0["labels"]?["alertname"] == "SecretLeaked" }
            #expect(leaks.count == 1 && leaks.first?["labels"]?["secret"] == "org/x", "\(alerts)")
            #expect(!(leaks.first?.text.contains("horse") ?? true))
        }
    }

    @Test("it is taken out of addresses, of the names of requests, and of what calls are named by")
    func names() async throws {
        try await withApp(.sqlite) { client in
            let admin = try await client.key(.admin)
            let body: JSONValue = ["value": .string(Self.value)]
            #expect(try await client.send("PUT", "/api/v1/secrets/org/x", key: admin, body: body.bytes).status == 200)
            let watch = client.app.features.secrets.watch
            #expect(watch.takeLeaks().isEmpty)
            let digits = Hexadecimal.encode(Array(Self.value.utf8))
            let named = try await client.send(
                "POST", "/api/v1/tasks", key: admin,
                headers: [
                    ("content-type", "application/json"), ("x-correlation-id", digits), ("idempotency-key", digits),
                ],
                body: (["project": "p", "queue": "q", "type": "t", "title": "x"] as JSONValue).bytes)
            #expect(named.status == 201 && named.header("x-correlation-id") != digits, "\(named.text)")
            #expect(watch.takeLeaks().keys.contains(SecretLeak(path: "org/x", door: "headers")))
            let asked = try await client.get("/tasks?q=\(PagePath.encoded(Self.value))", key: admin)
            #expect(asked.status == 200 && !asked.text.contains("horse"))
            #expect(watch.takeLeaks().keys.contains(SecretLeak(path: "org/x", door: "addresses")))
            // The name of a secret is where it is written and read.
            #expect(try await client.get("/api/v1/secrets/org/x/value", key: admin).text.contains("horse"))
            #expect(watch.takeLeaks().isEmpty)
        }
    }

    @Test("labels and words of metrics are looked through, and nothing else of them changes")
    func metrics() throws {
        func request(_ text: String) -> JSONValue {
            let labels: JSONValue = [["key": "k", "value": ["stringValue": .string(text)]]]
            let point: JSONValue = ["timeUnixNano": "1763625600000000000", "asDouble": 1.5, "attributes": labels]
            let bucket: JSONValue = [
                "timeUnixNano": "1763625600000000000", "count": "1", "sum": 1.5, "bucketCounts": ["1", "0"],
                "explicitBounds": [5], "attributes": labels,
            ]
            let metrics: JSONValue = [
                ["name": "a", "description": .string(text), "gauge": ["dataPoints": [point]]],
                ["name": "b", "histogram": ["aggregationTemporality": 2, "dataPoints": [bucket]]],
            ]
            return ["resourceMetrics": [["scopeMetrics": [["metrics": metrics]]]]]
        }
        let watch = SecretWatch(entropy: World.test().entropy)
        watch.add([("org/x", SecretBytes(Self.value))])
        let harmless = try OTLPJSON.metrics(request("harmless")) { _ in }
        #expect(SecretSweep.clean(metrics: harmless, watch) == harmless)
        let found = SecretSweep.clean(metrics: try OTLPJSON.metrics(request("is \(Self.value)")) { _ in }, watch)
        #expect(found == (try OTLPJSON.metrics(request("is [redacted:org/x]")) { _ in }))
        #expect(watch.takeLeaks() == [SecretLeak(path: "org/x", door: "metrics"): 1])
    }

    @Test("a document within a document within the body that brings it is looked through")
    func nested() {
        let value = "pässword \"with/quotes\""
        let watch = SecretWatch(entropy: World.test().entropy)
        watch.add([("org/x", SecretBytes(value))])
        var text = value
        for depth in 1...3 {
            // As writers do that keep to ASCII.
            text = JSONValue.string(text).text.dropFirst().dropLast().unicodeScalars.map { scalar in
                scalar.isASCII ? String(scalar) : "\\u00" + String(scalar.value, radix: 16)
            }.joined()
            #expect(watch.clean("a \(text) b", at: "logs") == "a [redacted:org/x] b", "\(depth): \(text)")
        }
        let digits = Hexadecimal.encode(Array(value.utf8))
        #expect(watch.clean("\(digits.uppercased()) \(digits)", at: "logs") == "[redacted:org/x] [redacted:org/x]")
    }

    @Test("what is no secret passes as it came")
    func others() async throws {
        let world = World.test()
        let watch = SecretWatch(entropy: world.entropy)
        watch.add([("org/x", SecretBytes(Self.value))])
        let body = try OTLPJSON.traces(Self.spans("harmless")) { _ in }
        #expect(SecretSweep.clean(spans: body, watch) == body)
        let found = SecretSweep.clean(spans: try OTLPJSON.traces(Self.spans(Self.value)) { _ in }, watch)
        let spans = try ReceivedSpans(found)
        #expect(spans.items.count == 1 && spans.refused.isEmpty)
        #expect(!String(decoding: found, as: UTF8.self).contains("horse"))
        #expect(watch.takeLeaks() == [SecretLeak(path: "org/x", door: "spans"): 1])
    }

    // MARK: keys that Reeve does not keep

    private static let key = ["ghp_", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fG3iJ6"].joined()
    private static let shown = "[redacted:github_token]"

    private static func alerts(_ client: AppClient, key: String) async throws -> [JSONValue] {
        let alarm = SecretAlarm(
            watch: client.app.features.secrets.watch, alerts: client.app.features.alerting.alerts,
            storage: client.app.features.storage, world: client.world)
        try await alarm.look()
        let alerts = try await client.get("/api/v2/alerts", key: key).json.array ?? []
        return alerts.filter { $0["labels"]?["alertname"] == "SecretLeaked" }
    }

    @Test("what looks like a key is taken out at every door, told and counted", arguments: TestEngine.available)
    func patterns(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            let agent = try await client.key(.agent, agent: "writer")
            let text = JSONValue.string("got\n\(Self.key) here")
            let sent: [(String, JSONValue)] = [
                ("/api/v1/logs", ["message": text, "nested": ["a": .string(JSONValue.list([Self.key]).text)]]),
                (
                    "/loki/api/v1/push",
                    ["streams": [["stream": ["app": "x"], "values": [["1763625600000000000", text]]]]]
                ),
                (
                    "/v1/logs",
                    ["resourceLogs": [["scopeLogs": [["logRecords": [["body": ["stringValue": text]]]]]]]]
                ),
                ("/v1/traces", Self.spans(Self.key)), ("/api/events/ingest", ["type": "note", "text": text]),
                ("/api/events/ingest", ["type": "agent.heartbeat", "statusMessage": text]),
            ]
            for (path, body) in sent {
                let reply = try await client.post(
                    path, body, key: agent, headers: [("content-type", "application/json")])
                #expect((200..<300).contains(reply.status), "\(path): \(reply.text)")
            }
            let task: JSONValue = ["project": "p", "queue": "q", "type": "t", "title": "x", "input": ["a": text]]
            let id = try #require(try await client.post("/api/v1/tasks", task, key: admin)["id"]?.string)
            let claimed = try await client.post(
                "/api/v1/tasks/claim", ["queues": ["q"], "limit": 1, "waitSeconds": 0], key: agent)
            let fence = try #require(claimed.items.first?["fence"])
            #expect(claimed.text.contains(Self.shown))
            let packed = Data("packed \(Self.key)".utf8).base64EncodedString()
            let contents: [JSONValue] = [
                ["name": "a.md", "content": text], ["name": "b.md", "contentBase64": .string(packed)],
            ]
            for content in contents {
                var body = content.object ?? JSONObject()
                body["fence"] = fence
                let sealed = try await client.post("/api/v1/tasks/\(id)/deliverables", .object(body), key: agent)
                let url = try #require(sealed["url"]?.string, "\(sealed.text)")
                #expect(try await client.get(url, key: agent).text.contains(Self.shown))
            }
            let done = try await client.post(
                "/api/v1/tasks/\(id)/complete", ["fence": fence, "output": ["a": text]], key: agent)
            #expect(done.status == 200, "\(done.text)")
            try await client.app.features.spans?.settle()
            for path in ["logs", "traces/\(Self.trace)", "events?limit=500", "agents/writer", "tasks/\(id)"] {
                let reply = try await client.get("/api/v1/\(path)", key: admin)
                #expect(reply.text.contains(Self.shown) && !reply.text.contains(Self.key), "\(path): \(reply.text)")
            }
            let alerts = try await Self.alerts(client, key: admin)
            #expect(alerts.allSatisfy { $0["labels"]?["format"] == "github_token" }, "\(alerts)")
            #expect(alerts.allSatisfy { $0["labels"]?["severity"] == "warning" && !$0.text.contains(Self.key) })
            let doors = Set(alerts.compactMap { $0["labels"]?["door"]?.string })
            #expect(doors == ["logs", "spans", "events", "tasks", "deliverables"])
            let metrics = try await client.get("/metrics", key: admin).text
            let counted = #"reeve_secrets_redacted_total{kind="github_token",door="deliverables"} 2"#
            #expect(metrics.contains(counted), "\(metrics.split(separator: "\n").filter { $0.contains("redacted") })")
        }
    }

    @Test("a private key that a program prints line by line is taken out of its log")
    func keyLines() async throws {
        try await withApp(.sqlite) { client in
            let admin = try await client.key(.admin)
            let body = (0..<3).map { "\($0)aB3d/" + String(repeating: "eF5+", count: 14) + "zz" }
            let lines =
                ["before", "-----" + "BEGIN RSA PRIVATE KEY-----"] + body + ["-----" + "END RSA PRIVATE KEY-----"]
            let records = lines.map { JSONValue.object(JSONObject([.init(name: "message", value: .string($0))])) }
            let sent = try await client.post(
                "/api/v1/logs", .array(records), key: admin, headers: [("content-type", "application/json")])
            #expect(sent.status < 300, "\(sent.text)")
            try await client.app.features.spans?.settle()
            let reply = try await client.get("/api/v1/logs", key: admin)
            #expect(reply.text.contains("before") && reply.text.contains("[redacted:private_key]"), "\(reply.text)")
            #expect(!reply.text.contains("aB3d"))
            let leak = SecretLeak(.pattern("private_key"), door: "logs")
            #expect(client.app.features.secrets.watch.takeLeaks() == [leak: 1])
        }
    }

    @Test("what is refused for a key is told, and a key where one belongs stays")
    func wherePatternsStay() async throws {
        try await withApp(.sqlite) { client in
            let admin = try await client.key(.admin)
            let files: JSONValue = [
                ["path": "agent.yaml", "content": "models: {main: gpt-4o-2024-08-06}\nprompts: {system: p.md}\n"],
                ["path": "p.md", "content": .string("# You\nuse \(Self.key)\n")],
            ]
            _ = try await client.key(.agent, agent: "writer")
            let refused = try await client.post(
                "/api/v1/agents/writer/bundles", ["files": files, "message": .string(Self.key)], key: admin)
            #expect(refused.status == 422 && refused.text.contains("bundle_refused"), "\(refused.text)")
            let leaks = client.app.features.secrets.watch.takeLeaks()
            #expect(leaks.keys.contains { $0.what == .pattern("github_token") }, "\(leaks)")
            // Two names that look like keys are two names.
            for name in [Self.key, Self.key + "a"] {
                let made = try await client.send(
                    "POST", "/api/v1/tasks", key: admin, headers: [("idempotency-key", name)],
                    body: (["project": "p", "queue": "q", "type": "t", "title": .string("\(name.count)")] as JSONValue)
                        .bytes)
                #expect(made.status == 201, "\(made.text)")
            }
            #expect(try await client.get("/api/v1/tasks", key: admin).items.count == 2)
            let pager = try await client.key(.ingest)
            let paged = try await client.post(
                "/v2/enqueue",
                [
                    "routing_key": .string(pager), "event_action": "trigger", "dedup_key": "d",
                    "payload": ["summary": .string("at \(Self.key)"), "severity": "critical", "source": "s"],
                ], key: nil)
            #expect(paged.status == 202, "\(paged.text)")
            let alerts = try await client.get("/api/v2/alerts", key: admin)
            #expect(alerts.text.contains(Self.shown) && !alerts.text.contains(Self.key), "\(alerts.text)")
        }
    }

    @Test(
        "formats can be left alone, or all of them",
        arguments: [(false, nil), (true, "github_token")] as [(Bool, String?)])
    func switchedOff(_ finds: Bool, _ except: String?) async throws {
        try await withApp(
            .sqlite,
            configure: { settings in
                settings.secrets.findsKeys = finds
                settings.secrets.keyFormatsExcept = except
            }
        ) { client in
            let admin = try await client.key(.admin)
            let made = try await client.post(
                "/api/v1/tasks",
                ["project": "p", "queue": "q", "type": "t", "title": "x", "input": ["a": .string(Self.key)]], key: admin
            )
            let id = try #require(made["id"]?.string)
            #expect(try await client.get("/api/v1/tasks/\(id)", key: admin).text.contains(Self.key))
            #expect(try await Self.alerts(client, key: admin).isEmpty)
        }
        await #expect(throws: Problem.self) {
            try await withApp(.sqlite, configure: { $0.secrets.keyFormatsExcept = "no_such_format" }) { _ in }
        }
    }
}
