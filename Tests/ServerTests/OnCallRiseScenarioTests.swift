import Foundation
import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Incidents that become worse call those whom that is for")
struct OnCallRiseScenarioTests {
    private static let file = """
        people: [{name: ada, contact: {receivers: [phone]}}]
        chains:
          - {name: quiet, steps: [{notify: {receiver: room}}, {wait: 1h}]}
          - {name: loud, steps: [{notify: {person: ada}}, {wait: 1h}]}
        paths: {infrastructure: {critical: loud, warning: quiet}, behavioural: {critical: loud, default: quiet}}
        """

    private static func withOnCall(
        _ engine: TestEngine, _ body: @escaping @Sendable (AppClient) async throws -> Void
    ) async throws {
        try await TestStorage.withFolder { folder in
            try Data(file.utf8).write(to: URL(fileURLWithPath: folder + "/oncall.yaml"))
            let receivers = ["phone", "room"].map {
                ["name": .string($0), "kind": "webhook", "url": "http://127.0.0.1:9/hook"] as JSONValue
            }
            try await withApp(
                engine,
                configure: { settings in
                    settings.oncall.file = folder + "/oncall.yaml"
                    settings.alerts.document = [
                        "receivers": .list(receivers), "route": ["receiver": "room"], "shipped": false,
                    ]
                }, body)
        }
    }

    /// Escalations as `chain state`.
    private static func escalations(_ client: AppClient, _ key: String) async throws -> [String] {
        try await client.get("/api/v1/oncall/escalations", key: key).items.map {
            "\($0["chain"]?.string ?? "") \($0["state"]?.string ?? "")"
        }.sorted()
    }

    private static func open(
        _ title: String, _ severity: String, _ client: AppClient, _ key: String
    ) async throws -> String {
        let made = try await client.post(
            "/api/v1/incidents", ["title": .string(title), "severity": .string(severity)], key: key)
        return try #require(made["id"]?.string)
    }

    private static func set(_ severity: String, of id: String, _ client: AppClient, _ key: String) async throws {
        let body: JSONValue = ["severity": .string(severity)]
        let reply = try await client.send(
            "PATCH", "/api/v1/incidents/\(id)", key: key, body: Array(body.text.utf8))
        #expect(reply.status == 200, "\(reply.text)")
    }

    @Test("by hand, once, and whoever acknowledges the incident answers that page too", arguments: TestEngine.available)
    func edited(_ engine: TestEngine) async throws {
        try await Self.withOnCall(engine) { client in
            let key = try await client.key(.operator_, name: "ada")
            let id = try await Self.open("It is slow", "warning", client, key)
            let acknowledge = "/api/v1/incidents/\(id)/milestones"
            #expect(try await client.post(acknowledge, ["milestone": "acknowledged"], key: key).status == 200)
            #expect(try await Self.escalations(client, key) == ["quiet acknowledged"])
            for severity in ["critical", "warning", "critical"] { try await Self.set(severity, of: id, client, key) }
            #expect(try await Self.escalations(client, key) == ["loud open", "quiet ended"])
            #expect(try await client.post(acknowledge, ["milestone": "acknowledged"], key: key).status == 200)
            let loud = try await client.get("/api/v1/oncall/escalations?state=acknowledged", key: key).items
            #expect(loud.map { $0["acknowledgedBy"] } == ["operator:ada"])
            #expect(try await client.post(acknowledge, ["milestone": "resolved"], key: key).status == 200)
            #expect(try await Self.escalations(client, key) == ["loud ended", "quiet ended"])
            // What is over calls nobody, however bad somebody says that it was.
            try await Self.set("warning", of: id, client, key)
            try await Self.set("critical", of: id, client, key)
            #expect(try await Self.escalations(client, key).count == 2)
        }
    }

    @Test("by another one that becomes a part of them", arguments: TestEngine.available)
    func merged(_ engine: TestEngine) async throws {
        try await Self.withOnCall(engine) { client in
            let key = try await client.key(.operator_)
            let target = try await Self.open("It is slow", "warning", client, key)
            let worse = try await Self.open("It is down", "critical", client, key)
            #expect(try await Self.escalations(client, key) == ["loud open", "quiet open"])
            let merge = try await client.post(
                "/api/v1/incidents/\(worse)/merge", ["into": .string(target)], key: key)
            #expect(merge.status == 200, "\(merge.text)")
            #expect(try await Self.escalations(client, key) == ["loud open", "quiet ended"])
            let open = try await client.get("/api/v1/oncall/escalations?state=open", key: key).items
            #expect(open.map { $0["incident"] } == [.string(target)])
        }
    }

    @Test("by an alert that joins them", arguments: TestEngine.available)
    func joined(_ engine: TestEngine) async throws {
        try await Self.withOnCall(engine) { client in
            let key = try await client.key(.operator_)
            func fire(_ name: String, _ severity: String) async throws {
                let labels: JSONValue = [
                    "alertname": .string(name), "severity": .string(severity), "provider": "north",
                ]
                #expect(try await client.post("/api/v2/alerts", [["labels": labels]], key: key).status == 200)
            }
            try await fire("Slow", "warning")
            try await fire("Down", "critical")
            try await fire("Slower", "warning")
            try await fire("Gone", "critical")
            #expect(try await client.get("/api/v1/incidents", key: key).items.count == 1)
            #expect(try await Self.escalations(client, key) == ["loud open", "quiet ended"])
        }
    }

    @Test("a drill calls nobody, also where its incident comes back", arguments: TestEngine.available)
    func drill(_ engine: TestEngine) async throws {
        try await Self.withOnCall(engine) { client in
            let key = try await client.key(.operator_)
            let (alerts, storage) = (client.app.features.alerting.alerts, client.app.features.storage)
            func say(_ name: String, ended: Bool = false, origin: Alert.Origin = .rule) async throws -> String {
                let drill = "drill_" + String(repeating: "0", count: 32)
                let labels = [("alertname", name), ("severity", "critical"), ("drill", drill), ("agent", "a")]
                let post = AlertPost(labels: LabelSet(labels), endsAt: ended ? client.world.now : nil)
                let changes = try await storage.write { try alerts.take([post], origin: origin, from: "t", in: $0) }
                return changes.first?.alert.incidentID ?? ""
            }
            let id = try await say("DrillDown")
            _ = try await say("DrillDown", ended: true)
            let path = "/api/v1/incidents/\(id)/milestones"
            #expect(try await client.post(path, ["milestone": "resolved"], key: key).status == 200)
            // It is opened again, by the alert that comes back.
            #expect(try await say("DrillDown") == id)
            try await Self.set("warning", of: id, client, key)
            try await Self.set("critical", of: id, client, key)
            #expect(try await Self.escalations(client, key).isEmpty)
            // What others post is no drill, whatever they call it.
            _ = try await say("Posted", origin: .external)
            #expect(try await Self.escalations(client, key) == ["loud open"])
        }
    }
}
