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
}
