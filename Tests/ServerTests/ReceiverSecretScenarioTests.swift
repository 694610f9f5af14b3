import Foundation
import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Secrets of receivers")
struct ReceiverSecretScenarioTests {
    /// Each is a part of an address, a header or a file, and is sent to a server that repeats its path.
    private static let secrets = [
        "s3cretPath", "s3cretQuery", "s3cretFile", "s3cretTopic", "s3cretHeader", "s3cretBearer", "s3cretPerson",
    ]

    private static func settings(_ url: String, _ folder: String) -> JSONValue {
        func receiver(_ name: String, _ kind: String, _ more: [(String, JSONValue)]) -> JSONValue {
            let members: [(String, JSONValue)] = [("name", .string(name)), ("kind", .string(kind))] + more
            return .object(
                JSONObject((members + [("allowPrivate", true)]).map { .init(name: $0.0, value: $0.1) }))
        }
        return [
            "shipped": false,
            "receivers": [
                receiver(
                    "hook", "webhook",
                    [
                        ("url", .string("\(url)/hooks/s3cretPath?token=s3cretQuery")),
                        ("headers", ["X-Key": "s3cretHeader"]), ("bearerFile", .string(folder + "/bearer")),
                    ]),
                receiver("chat", "slack", [("urlFile", .string(folder + "/chat"))]),
                receiver("push", "ntfy", [("url", .string("\(url)/s3cretTopic"))]),
            ],
            "route": [
                "receiver": "hook", "groupWait": "0s",
                "routes": .array(
                    ["hook", "chat", "push"].map { ["receiver": .string($0), "continue": true] as JSONValue }),
            ],
        ]
    }

    @Test("stand in no answer, page, event or log, whatever receivers answer", arguments: TestEngine.available)
    func nowhere(_ engine: TestEngine) async throws {
        try await withApp { receiver in
            try await TestStorage.withFolder { folder in
                let url = receiver.url
                for (name, text) in [
                    ("bearer", "s3cretBearer"), ("chat", "\(url)/services/s3cretFile"),
                    (
                        "oncall.yaml",
                        """
                        people: [{name: ada, contact: {ntfy: "\(url)/s3cretPerson", receivers: [hook]}}]
                        chains: [{name: all, steps: [{notify: {person: ada}}, {notify: {receiver: chat}}]}]
                        paths: {default: all}
                        """
                    ),
                ] { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
                try await withApp(
                    engine,
                    configure: { settings in
                        settings.oncall.file = folder + "/oncall.yaml"
                        settings.alerts.document = Self.settings(url, folder)
                    }
                ) { try await Self.search($0) }
            }
        }
    }

    private static func search(_ client: AppClient) async throws {
        let admin = try await client.key(.admin)
        let labels: JSONValue = ["alertname": "Disk", "severity": "critical"]
        #expect(try await client.post("/api/v2/alerts", [["labels": labels]], key: admin).status == 200)
        client.time?.advance(by: .seconds(5))
        let features = client.app.features
        let notification = features.alerting.notices.notification
        for receiver in notification.settings.receivers {
            try await notification.round(receiver)
            let path = "/api/v1/notifications/receivers/\(receiver.name)/test"
            #expect(try await client.post(path, key: admin)["status"] != .null)
        }
        try await features.onCall.step(client.world.now)
        let incident = try #require(
            try await client.get("/api/v1/incidents", key: admin).items.first?["id"]?.string)
        let deliveries = try await client.get("/api/v1/notifications/deliveries", key: admin)
        #expect(deliveries.items.count == 6)
        // They did repeat what they were sent.
        #expect(deliveries.items.contains { $0["answer"]?.string?.contains("…") == true }, "\(deliveries.text)")
        let escalations = try await client.get("/api/v1/oncall/escalations", key: admin)
        #expect(escalations.items.first?["notices"]?.array?.count == 3)
        let paths = [
            "/api/v1/notifications/receivers", "/api/v1/notifications/deliveries", "/api/v1/oncall/escalations",
            "/api/v1/oncall", "/api/v1/audit", "/api/v1/events", "/api/v1/incidents/\(incident)",
            "/api/v1/incidents/\(incident)/timeline", "/api/v1/alerts", "/api/v2/status", "/api/v2/receivers",
            "/alerts", "/oncall", "/incidents/\(incident)", "/metrics",
        ]
        for path in paths {
            let reply = try await client.get(path, key: admin)
            #expect(reply.status == 200, "\(path)")
            for secret in secrets { #expect(!reply.text.contains(secret), "\(path): \(reply.text)") }
        }
        for event in try await client.events() {
            for secret in secrets { #expect(!event.data.text.contains(secret), "\(event.type): \(event.data.text)") }
        }
    }
}
