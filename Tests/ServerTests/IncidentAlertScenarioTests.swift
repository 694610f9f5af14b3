import Kernel
import Server
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("An incident's alerts, and what happened in its time")
struct IncidentAlertScenarioTests {
    /// Alerts of a rule, as the engine tells of them.
    private static func take(
        _ values: [(name: String, value: Double?)], endsAt: Timestamp? = nil, _ client: AppClient
    ) async throws -> [AlertChange] {
        let features = client.app.features
        let incidents = IncidentService(
            events: features.events, audit: features.audit, world: client.world, followers: [features.containments])
        let alerts = AlertService(events: features.events, world: client.world, follower: incidents)
        let posts = values.map { one in
            AlertPost(
                labels: LabelSet([("alertname", one.name), ("severity", "critical"), ("agent", "writer")]),
                value: one.value, endsAt: endsAt)
        }
        return try await features.storage.write { try alerts.take(posts, origin: .rule, from: "test", in: $0) }
    }

    @Test("say what was measured, and whether anybody is told", arguments: TestEngine.available)
    func values(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let fired = try await Self.take([("Slow", 7.5), ("Odd", .infinity), ("Told", nil)], client)
            let incident = try #require(fired.first?.alert.incidentID)
            func alerts() async throws -> [String: JSONValue] {
                let shown = try await client.get("/api/v1/incidents/\(incident)", key: key)["alerts"]?.array ?? []
                return Dictionary(shown.map { ($0["labels"]?["alertname"]?.string ?? "", $0) }) { first, _ in first }
            }
            var known = try await alerts()
            #expect(known.count == 3 && known.values.allSatisfy { $0["suppressed"] == false })
            #expect(known["Slow"]?["value"] == 7.5 && known["Odd"]?["value"] == "inf")
            #expect(known["Told"]?["value"] == .null)
            let silence = try await client.post(
                "/api/v2/silences",
                ["matchers": [["name": "alertname", "value": "Slow"]], "duration": "2h"], key: key)
            #expect(silence.status == 200, "\(silence.text)")
            // It is measured again, and nobody is told of it.
            _ = try await Self.take([("Slow", 8.25)], client)
            known = try await alerts()
            #expect(known["Slow"]?["suppressed"] == true && known["Slow"]?["state"] == "firing")
            #expect(known["Slow"]?["value"] == 8.25 && known["Odd"]?["suppressed"] == false)
            // What is over is kept from nobody, and says what it came to.
            _ = try await Self.take([("Slow", nil)], endsAt: client.world.now, client)
            known = try await alerts()
            #expect(known["Slow"]?["suppressed"] == false && known["Slow"]?["state"] == "resolved")
            #expect(known["Slow"]?["value"] == 8.25)
        }
    }

    @Test("its links lead to the tasks and calls of its time alone")
    func window() async throws {
        try await withApp { client in
            let key = try await client.key(.operator_)
            let incident = try await client.post(
                "/api/v1/incidents", ["title": "It broke", "severity": "critical", "subjects": ["agent:writer"]],
                key: key)
            let shown = try await client.get("/api/v1/incidents/\(incident["id"]?.string ?? "")", key: key)
            let links = try #require(shown["links"]?["agents"]?.array?.first)
            for name in ["tasks", "calls", "traces", "logs"] {
                let path = links[name]?.string ?? ""
                #expect(path.contains("since=") && path.contains("until=") && path.contains("agent=writer"), "\(path)")
                #expect(try await client.get(path, key: key).status == 200)
            }
            let room = try await client.get("/incidents/\(incident["id"]?.string ?? "")", key: key).text
            for page in ["/tasks?since=", "/calls?since="] { #expect(room.contains(page), "\(page)") }
        }
    }

    @Test("tasks and calls are listed by time", arguments: TestEngine.available)
    func lists(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let time = try #require(client.time)
            let begin = client.world.now
            func task(_ title: String, ends: Bool) async throws {
                let made = try await client.post(
                    "/api/v1/tasks", ["title": .string(title), "queue": "inbox", "type": "t"], key: key)
                guard ends else { return }
                let id = made["id"]?.string ?? ""
                #expect(try await client.post("/api/v1/tasks/\(id)/cancel", [:], key: key).status == 200)
            }
            func call(_ model: String) async throws {
                let call = Call(
                    id: Identifier(client.world), status: .done, startedAt: client.world.now, agent: "writer",
                    door: "openai.chat", model: model, usage: CallUsage(), cost: CallCost(nanoUSD: 1))
                let features = client.app.features
                try await features.storage.write { _ = try features.calls.record([call], in: $0) }
            }
            for number in 0..<3 {
                try await task("lasting\(number)", ends: false)
                try await task("ended\(number)", ends: true)
                try await call("m\(number)")
                time.advance(by: .minutes(10))
            }
            let times = "since=\((begin + .minutes(5)).rfc3339)&until=\((begin + .minutes(15)).rfc3339)"
            let tasks = try await client.get("/api/v1/tasks?\(times)", key: key).items.map { $0["title"]?.string ?? "" }
            #expect(tasks.sorted() == ["ended1", "lasting0", "lasting1"])
            let calls = try await client.get("/api/v1/calls?\(times)", key: key).items.map { $0["model"]?.string ?? "" }
            #expect(calls == ["m1"])
            for path in ["/api/v1/tasks?since=x", "/api/v1/tasks?until=1", "/api/v1/calls?until=yesterday"] {
                #expect(try await client.get(path, key: key).code == "invalid", "\(path)")
            }
            // The window stays where somebody looks for more.
            let page = try await client.get("/tasks?\(times)&limit=1", key: key).text
            #expect(page.contains("name=\"since\"") && page.contains("name=\"until\"") && page.contains("Clear"))
            #expect(page.contains("limit=1") == false || page.contains("since="))
            #expect(try await client.get("/calls?\(times)", key: key).text.contains("name=\"until\""))
        }
    }
}
