import Foundation
import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("What incidents and alerts lead to, and whom they reach")
struct IncidentReachScenarioTests {
    private static func run(_ loops: String..., in client: AppClient) async throws {
        for name in loops {
            for loop in client.app.features.loops where loop.name == name { try await loop.body() }
        }
    }

    /// Looks until something is so: the server's own loops run beside those of the test.
    private static func until<Value: Sendable>(
        _ client: AppClient, _ loops: String..., look: () async throws -> Value?
    ) async throws -> Value? {
        for _ in 0..<500 {
            for loop in client.app.features.loops where loops.contains(loop.name) { try await loop.body() }
            if let value = try await look() { return value }
        }
        return nil
    }

    /// Every text in a document that is one of our addresses.
    private static func addresses(_ value: JSONValue) -> [String] {
        switch value {
        case .string(let text): text.hasPrefix("/") ? [text] : []
        case .array(let items): items.flatMap(addresses)
        case .object(let object): object.members.flatMap { addresses($0.value) }
        default: []
        }
    }

    @Test("each link of an incident leads somewhere, of all its agents", arguments: TestEngine.available)
    func links(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_, name: "ada")
            let writer = try await client.key(.agent, agent: "writer")
            let made = try await client.post(
                "/api/v1/tasks", ["project": "demo", "queue": "briefs", "type": "t", "title": "x"], key: key)
            let task = try #require(made["id"]?.string)
            let claimed = try await client.post(
                "/api/v1/tasks/claim", ["queues": ["briefs"], "limit": 1, "waitSeconds": 0], key: writer)
            let fence = try #require(claimed.items.first?["fence"])
            let incident = try await client.post(
                "/api/v1/incidents",
                [
                    "title": "It broke", "severity": "critical",
                    "subjects": ["agent:writer", "agent:reader", "agent:editor", "provider:main"],
                ], key: key)
            let id = try #require(incident["id"]?.string)
            let sealed = try await client.post(
                "/api/v1/tasks/\(task)/deliverables",
                ["fence": fence, "name": "brief.md", "contentType": "text/markdown", "content": "# Brief"],
                key: writer)
            #expect(sealed.status == 201, "\(sealed.text)")
            let links = try #require(try await client.get("/api/v1/incidents/\(id)", key: key)["links"])
            #expect(links["agents"]?.array?.map { $0["agent"] } == ["writer", "reader", "editor"])
            // Those that are not registered have no page.
            #expect(links["agents"]?.array?.map { $0["page"]?.string } == ["/agents/writer", nil, nil])
            #expect(links["tasks"]?.array?.map { $0["task"] } == [.string(task)])
            #expect(links["deliverables"]?.array?.map { $0["name"] } == ["brief.md"])
            #expect(links["models"] == "/models")
            let all = Self.addresses(links)
            #expect(all.count > 20)
            for path in all {
                let reply = try await client.get(path, key: key)
                #expect(reply.status == 200, "\(path): \(reply.text.prefix(200))")
            }
            let room = try await client.get("/incidents/\(id)", key: key).text
            for agent in ["writer", "reader", "editor"] { #expect(room.contains("Traces of \(agent)")) }
        }
    }

    @Test("generatorURL leads to the alert with its expression, in the words of each receiver")
    func sources() async throws {
        try await TestStorage.withFolder { folder in
            let rules = "groups: [{name: own, rules: [{alert: Odd/Name, expr: vector(7) > 3}]}]"
            try Data(rules.utf8).write(to: URL(fileURLWithPath: folder + "/own.yml"))
            try await withApp { settings in
                settings.alerts.document = ["shipped": false, "rules": [.string(folder + "/own.yml")]]
            } _: { client in
                let key = try await client.key(.operator_)
                client.time?.advance(by: .minutes(2))
                let found = try await Self.until(client, "alerts.rules") {
                    try await client.get("/api/v2/alerts", key: key).json.array?.first?["generatorURL"]?.string
                }
                let source = try #require(found)
                #expect(source == "\(client.url)/alerts/rules/Odd%2FName")
                let page = try await client.get(String(source.dropFirst(client.url.count)), key: key)
                #expect(page.status == 200)
                #expect(page.text.contains("vector(7) &gt; 3") && page.text.contains("data-state=\"failed\""))
                #expect(try await client.get("/alerts/rules/unknown", key: key).status == 404)
                func bundle(_ names: [String]) -> AlertBundle {
                    AlertBundle(
                        receiver: "r", groupKey: "g", groupLabels: .none, externalURL: client.url,
                        items: names.map {
                            AlertBundle.Item(
                                labels: LabelSet([("alertname", $0)]), annotations: [:], startsAt: client.world.now,
                                generatorURL: client.url + AlertPages.path(ofAlert: $0))
                        })
                }
                let one = bundle(["Odd/Name"])
                let words = [
                    AlertFormats.webhook(one, url: "https://a.example/").body,
                    AlertFormats.pagerDuty(one, url: "https://a.example/", routingKey: "k").body,
                    AlertFormats.slack(one, url: "https://a.example/").body,
                    AlertFormats.ntfy(one, url: "https://a.example/t").body,
                    AlertFormats.alertmanager(one.items[...], url: "https://a.example/", now: client.world.now).body,
                ]
                for body in words { #expect(try JSONParser.parse(body).text.contains(source)) }
                // Of several names there is no one page.
                #expect(bundle(["A", "B"]).link == "\(client.url)/alerts")
            }
        }
    }

    @Test("reminders of a postmortem reach whoever answered, and everybody where nobody did")
    func reminders() async throws {
        for hasPeople in [true, false] {
            try await withApp { receiver in
                let ingest = try await receiver.key(.ingest)
                try await TestStorage.withFolder { folder in
                    let file = """
                        people: [{name: ada, contact: {receivers: [phone]}}]
                        chains: [{name: all, steps: [{notify: {receiver: room}}]}]
                        paths: {default: all}
                        """
                    try Data(file.utf8).write(to: URL(fileURLWithPath: folder + "/oncall.yaml"))
                    try Data(ingest.utf8).write(to: URL(fileURLWithPath: folder + "/key"))
                    let receivers: [JSONValue] = ["room", "phone"].map {
                        [
                            "name": .string($0), "kind": "alertmanager", "url": .string(receiver.url),
                            "allowPrivate": true, "bearerFile": .string(folder + "/key"),
                        ]
                    }
                    try await withApp { settings in
                        settings.alerts.document = [
                            "shipped": false, "receivers": .list(receivers), "route": ["receiver": "room"],
                        ]
                        if hasPeople { settings.oncall.file = folder + "/oncall.yaml" }
                    } _: { client in
                        try await Self.remind(client, receiver, person: hasPeople ? "ada" : "")
                    }
                }
            }
        }
    }

    private static func remind(_ client: AppClient, _ receiver: AppClient, person: String) async throws {
        let key = try await client.key(.operator_, name: "ada")
        let made = try await client.post("/api/v1/incidents", ["title": "It broke", "severity": "critical"], key: key)
        let one = "/api/v1/incidents/\(try #require(made["id"]?.string))"
        for milestone in ["acknowledged", "resolved"] {
            _ = try await client.post("\(one)/milestones", ["milestone": .string(milestone)], key: key)
        }
        let viewer = try await receiver.key(.viewer)
        func heard() async throws -> [String] {
            let alerts = try await receiver.get("/api/v2/alerts?filter=alertname%3DPostmortemDue", key: viewer)
            return alerts.json.array?.compactMap { alert in
                let words = alert["annotations"]?["summary"]?.string?.prefix { $0 != "2" } ?? ""
                return "\(alert["labels"]?["person"]?.string ?? "")|\(words)"
            } ?? []
        }
        func hears(_ words: String) async throws -> Bool {
            try await until(client, "incidents.sweep", "oncall.step") {
                try await heard() == ["\(person)|\(words)"] ? true : nil
            } ?? false
        }
        client.time?.advance(by: .hours(23))
        try await run("incidents.sweep", "oncall.step", in: client)
        #expect(try await heard().isEmpty)
        // With half of the time left, and again, and once it is over.
        client.time?.advance(by: .hours(1))
        #expect(try await hears("Postmortem due by "))
        client.time?.advance(by: .hours(24))
        #expect(try await hears("Postmortem overdue since "))
        let reminded = try await client.events().filter { $0.type == "oncall.reminded" }
        #expect(reminded.count == 2)
    }

    @Test("what a person changes by hand and what a file changes stand in an incident's timeline")
    func changes() async throws {
        try await TestStorage.withFolder { folder in
            let path = folder + "/own.yml"
            @Sendable func write(_ limit: Int) throws {
                let rules = "groups: [{name: own, rules: [{alert: Slow, expr: latency > \(limit)}]}]"
                try Data(rules.utf8).write(to: URL(fileURLWithPath: path))
            }
            try write(1)
            try await withApp { settings in
                settings.alerts.document = ["shipped": false, "rules": [.string(path)]]
            } _: { client in
                let key = try await client.key(.operator_)
                let made = try await client.post(
                    "/api/v1/incidents", ["title": "It broke", "severity": "info"], key: key)
                try write(200)
                client.time?.advance(by: .seconds(Int64(10)))
                try await Self.run("alerts.rules", "fileChanges.look", "incidents.timelines", in: client)
                let timeline = try await client.get(
                    "/api/v1/incidents/\(try #require(made["id"]?.string))/timeline", key: key
                ).items.filter { $0["action"]?.string?.hasPrefix("config.") ?? false }
                #expect(timeline.map { $0["target"] } == ["rule:Slow"])
                #expect(timeline.first?["detail"]?["summary"] == "expr: latency > 1 -> latency > 200")
            }
        }
    }
}
