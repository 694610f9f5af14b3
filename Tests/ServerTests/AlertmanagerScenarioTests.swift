import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("Alertmanager's and PagerDuty's interfaces over HTTP")
struct AlertmanagerScenarioTests {
    private static let alert = #"[{"labels":{"alertname":"A","agent":"x"},"annotations":{"summary":"so"}}]"#

    /// What is sent, with which answer: there a refusal is a text.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let method: String
        let path: String
        let role: Role
        let body: String?
        let status: Int
        let contains: String

        init(
            _ name: String, _ method: String, _ path: String, as role: Role, _ body: String? = nil, expect status: Int,
            _ contains: String = ""
        ) {
            (self.name, self.method, self.path, self.role) = (name, method, path, role)
            (self.body, self.status, self.contains) = (body, status, contains)
        }

        var testDescription: String { name }
    }

    private static func silence(_ members: String) -> String {
        #"{"createdBy":"ada","comment":"c","startsAt":"2026-11-20T08:00:00Z","# + members + "}"
    }

    static let rows: [Row] = [
        Row("alerts", "POST", "/api/v2/alerts", as: .ingest, alert, expect: 200),
        Row("no list", "POST", "/api/v2/alerts", as: .ingest, "{}", expect: 400, "list of alerts"),
        Row(
            "a time that is none", "POST", "/api/v2/alerts", as: .ingest,
            #"[{"labels":{"a":"b"},"startsAt":null}]"#, expect: 400, "startsAt"),
        Row("no labels", "POST", "/api/v2/alerts", as: .ingest, #"[{"labels":{}}]"#, expect: 400, "at least one label"),
        Row(
            "a label's name", "POST", "/api/v2/alerts", as: .ingest, #"[{"labels":{"a-b":"c"}}]"#, expect: 400,
            "invalid name"),
        Row(
            "a label that is no text", "POST", "/api/v2/alerts", as: .ingest, #"[{"labels":{"a":1}}]"#, expect: 400,
            "is no text"),
        Row(
            "an end before the beginning", "POST", "/api/v2/alerts", as: .ingest,
            #"[{"labels":{"a":"b"},"startsAt":"2026-11-20T08:00:00Z","endsAt":"2026-11-20T07:00:00Z"}]"#, expect: 400,
            "start time must be before end time"),
        Row(
            "times that are left out", "POST", "/api/v2/alerts", as: .ingest,
            #"[{"labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]"#, expect: 200),
        Row("a viewer sends nothing", "POST", "/api/v2/alerts", as: .viewer, alert, expect: 403, "forbidden"),
        Row("what fires", "GET", "/api/v2/alerts", as: .viewer, expect: 200, "[]"),
        Row("a filter that is none", "GET", "/api/v2/alerts?filter=a", as: .viewer, expect: 400, "matcher"),
        Row("a flag that is none", "GET", "/api/v2/alerts?active=maybe", as: .viewer, expect: 400, "boolean"),
        Row("a receiver that is none", "GET", "/api/v2/alerts?receiver=(", as: .viewer, expect: 400, "receiver"),
        Row("groups", "GET", "/api/v2/alerts/groups", as: .viewer, expect: 200, "[]"),
        Row("receivers", "GET", "/api/v2/receivers", as: .viewer, expect: 200, "[]"),
        Row("status", "GET", "/api/v2/status", as: .viewer, expect: 200, #""status":"disabled""#),
        Row(
            "a silence", "POST", "/api/v2/silences", as: .operator_,
            silence(
                #""matchers":[{"name":"a","value":"b","isRegex":false}],"endsAt":"2026-11-20T09:00:00Z""#), expect: 200,
            "silenceID"),
        Row(
            "a silence for a while", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"a","value":"b"}],"duration":"2h"}"#, expect: 200, "silenceID"),
        Row(
            "a silence that has ended", "POST", "/api/v2/silences", as: .operator_,
            silence(#""matchers":[{"name":"a","value":"b","isRegex":false}],"endsAt":"2026-11-20T07:00:00Z""#),
            expect: 400, "end time can't be in the past"),
        Row(
            "a silence of everything", "POST", "/api/v2/silences", as: .operator_,
            silence(#""matchers":[{"name":"a","value":".*","isRegex":true}],"endsAt":"2026-11-20T09:00:00Z""#),
            expect: 400, "at least one matcher must not match the empty string"),
        Row(
            "a silence of all names", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"alertname","value":".+","isRegex":true}],"duration":"2h"}"#, expect: 400,
            "match every alert"),
        Row(
            "a silence of all severities", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"severity","value":"critical|warning|info","isRegex":true}],"duration":"2h"}"#,
            expect: 400, "everything"),
        Row(
            "a silence of all but one", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"alertname","value":"A","isEqual":false}],"duration":"2h"}"#, expect: 400,
            "at least one matcher"),
        Row(
            "a silence of all but one by another way", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"alertname","value":"[^A].*","isRegex":true}],"duration":"2h"}"#, expect: 400,
            "everything"),
        Row(
            "a silence of everything that is meant", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"alertname","value":".+","isRegex":true}],"duration":"2h","everything":true}"#,
            expect: 200, "silenceID"),
        Row(
            "a silence of all of an agent's", "POST", "/api/v2/silences", as: .operator_,
            #"{"matchers":[{"name":"alertname","value":".+","isRegex":true},{"name":"agent","value":"a"}],"#
                + #""duration":"2h"}"#,
            expect: 200, "silenceID"),
        Row(
            "a silence of nothing", "POST", "/api/v2/silences", as: .operator_,
            silence(#""matchers":[],"endsAt":"2026-11-20T09:00:00Z""#), expect: 400, "matchers are required"),
        Row(
            "a silence that is not there is changed by nobody", "POST", "/api/v2/silences", as: .operator_,
            #"{"id":"x","matchers":[{"name":"a","value":"b"}],"duration":"2h"}"#, expect: 404),
        Row("a viewer silences nothing", "POST", "/api/v2/silences", as: .viewer, "{}", expect: 403, "forbidden"),
        Row("a silence that is not there", "GET", "/api/v2/silence/x", as: .viewer, expect: 404),
        Row("nor can be ended", "DELETE", "/api/v2/silence/x", as: .operator_, expect: 404),
    ]

    @Test("answers as the table says")
    func answers() async throws {
        // What is refused or only reads leaves nothing behind for the rows after it.
        let isQuiet = { @Sendable (row: Row) in row.status >= 400 || row.method == "GET" }
        try await withApp { client in for row in Self.rows where isQuiet(row) { try await Self.check(row, client) } }
        for row in Self.rows where !isQuiet(row) { try await withApp { try await Self.check(row, $0) } }
    }

    private static func check(_ row: Row, _ client: AppClient) async throws {
        let key = try await client.key(row.role)
        let reply = try await client.send(row.method, row.path, key: key, body: row.body.map { Array($0.utf8) })
        #expect(reply.status == row.status, "\(row.name): \(reply.text)")
        #expect(row.contains.isEmpty || reply.text.contains(row.contains), "\(row.name): \(reply.text)")
        if row.status >= 400 { #expect(reply.json.string != nil, "\(row.name): \(reply.text)") }
    }

    @Test("what fires is found, suppressed by a silence, and ends", arguments: TestEngine.available)
    func life(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let body = try JSONParser.parse(Self.alert)
            #expect(try await client.post("/api/v2/alerts", body, key: key).status == 200)
            func found(_ query: String) async throws -> [JSONValue] {
                try await client.get("/api/v2/alerts?\(query)", key: key).json.array ?? []
            }
            let alert = try #require(try await found("").first)
            #expect(alert["status"]?["state"] == "active")
            #expect(alert["labels"]?["agent"] == "x")
            #expect(try await found("filter=agent%3D%22x%22").count == 1)
            #expect(try await found("filter=agent%3D%22y%22").isEmpty)
            let made = try await client.post(
                "/api/v2/silences", ["matchers": [["name": "agent", "value": "x"]], "duration": "1h"], key: key)
            let id = try #require(made["silenceID"]?.string)
            #expect(try await found("").first?["status"]?["silencedBy"] == [.string(id)])
            #expect(try await found("silenced=false").isEmpty)
            #expect(try await found("active=false").count == 1)
            #expect(try await client.delete("/api/v2/silence/\(id)", key: key).status == 200)
            #expect(try await found("silenced=false").count == 1)
            let over: JSONValue = [["labels": ["alertname": "A", "agent": "x"], "endsAt": client.world.now.json]]
            #expect(try await client.post("/api/v2/alerts", over, key: key).status == 200)
            #expect(try await found("").isEmpty)
            let types = try await client.events().map(\.type).filter {
                $0.hasPrefix("alert") || $0.hasPrefix("silence")
            }
            #expect(types == ["alert.fired", "silence.created", "silence.expired", "alert.resolved"])
        }
    }

    @Test("events of PagerDuty's form begin, are acknowledged and end by their key", arguments: TestEngine.available)
    func pagerDuty(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.ingest)
            let viewer = try await client.key(.viewer)
            func send(_ action: String, _ dedup: String?, key: String) async throws -> AppReply {
                var body = JSONObject([
                    .init(name: "routing_key", value: .string(key)),
                    .init(name: "event_action", value: .string(action)),
                ])
                if let dedup { body.append("dedup_key", .string(dedup)) }
                if action == "trigger" {
                    body.append(
                        "payload", ["summary": "disk full", "source": "db1", "severity": "critical", "class": "Disk"])
                }
                return try await client.post("/v2/enqueue", .object(body), key: nil)
            }
            func names() async throws -> [JSONValue] {
                let found = try await client.get("/api/v2/alerts", key: viewer).json.array ?? []
                return found.compactMap { $0["labels"]?["alertname"] }
            }
            let begun = try await send("trigger", "d1", key: key)
            #expect(begun.status == 202)
            #expect(begun["dedup_key"] == "d1")
            #expect(try await send("trigger", "d1", key: key).status == 202)
            #expect(try await names() == ["Disk"])
            for _ in 0..<2 { #expect(try await send("acknowledge", "d1", key: key).status == 202) }
            // What is not open is taken and without effect, also that of another sender.
            #expect(try await send("resolve", "d2", key: key).status == 202)
            #expect(try await send("resolve", "d1", key: try await client.key(.operator_)).status == 202)
            #expect(try await names() == ["Disk"])
            #expect(try await send("resolve", "d1", key: key).status == 202)
            #expect(try await names().isEmpty)
            #expect(try await send("trigger", nil, key: key)["dedup_key"]?.string?.isEmpty == false)
            let types = try await client.events().map(\.type).filter { $0.hasPrefix("alert") }
            #expect(types == ["alert.fired", "alert.acknowledged", "alert.resolved", "alert.fired"])

            #expect(try await send("trigger", "d1", key: "no such key").status == 401)
            #expect(try await send("trigger", "d1", key: viewer).status == 403)
            #expect(try await send("trigger", String(repeating: "x", count: 256), key: key).status == 400)
            #expect(try await send("begin", "d1", key: key).json["status"] == "invalid event")
        }
    }

    @Test("changes of PagerDuty's form stand in the log, and in the timelines of incidents")
    func pagerDutyChange() async throws {
        try await withApp { client in
            let key = try await client.key(.ingest)
            func send(_ payload: JSONValue?, links: JSONValue? = nil, key: String) async throws -> AppReply {
                var body = JSONObject([.init(name: "routing_key", value: .string(key))])
                if let payload { body.append("payload", payload) }
                if let links { body.append("links", links) }
                return try await client.post("/v2/change/enqueue", .object(body), key: nil)
            }
            let payload: JSONValue = [
                "summary": "Build 42 is out", "source": "ci", "timestamp": "2026-07-17T08:42:58.315+0000",
                "custom_details": ["agent": "worker-1", "commit": "abc", "name": "another", "nested": ["a": 1]],
            ]
            let links: JSONValue = [["href": "javascript:alert(1)"], ["href": "https://ci.example/42"]]
            #expect(try await send(payload, links: links, key: key).status == 202)
            // What is no agent's name concerns everybody.
            let other: JSONValue = ["summary": "Switched", "custom_details": ["agent": "a/b"]]
            #expect(try await send(other, key: key).status == 202)
            let told = try await client.events().filter { $0.type == "change.reported" }
            #expect(told.map(\.agent) == ["worker-1", nil])
            #expect(told.first?.data["name"] == "Build 42 is out")
            #expect(told.first?.data["link"] == "https://ci.example/42")
            #expect(told.first?.data["commit"] == "abc")
            #expect(told.first?.data["nested"] == nil)

            let viewer = try await client.key(.viewer)
            #expect(try await send(payload, key: "no such key").status == 401)
            #expect(try await send(payload, key: viewer).status == 403)
            let tooMany = JSONValue.array(.init(repeating: ["href": "https://a"], count: 11))
            let wrong: [(payload: JSONValue?, links: JSONValue?)] = [
                (nil, nil), (["summary": ""], nil), (["summary": "a"], tooMany),
            ]
            for (payload, links) in wrong {
                let refused = try await send(payload, links: links, key: key)
                #expect(refused.status == 400)
                #expect(refused.json["status"] == "invalid event")
            }
            #expect(try await client.events().count { $0.type == "change.reported" } == 2)
        }
    }

    static let notifications: [APIScenario] = [
        APIScenario("nobody is told", .get, "/api/v1/notifications/receivers", as: .viewer, expect: 200),
        APIScenario("nothing was told", .get, "/api/v1/notifications/deliveries", as: .viewer, expect: 200),
        APIScenario(
            "a receiver that is not there", .post, "/api/v1/notifications/receivers/x/test", as: .operator_, "{}",
            expect: 404, "not_found"),
        APIScenario(
            "a viewer tests nothing", .post, "/api/v1/notifications/receivers/x/test", as: .viewer, "{}", expect: 403,
            "forbidden"),
    ]

    @Test("receivers and attempts")
    func receivers() async throws { try await APIScenario.run(Self.notifications) }

    @Test("a receiver on this machine is told only where that is allowed", arguments: [true, false])
    func privateAddress(_ isAllowed: Bool) async throws {
        try await withApp { server in
            let target = "http://127.0.0.1:\(server.port)/no/such/door"
            try await withApp(configure: { settings in
                settings.alerts.document = [
                    "receivers": [
                        [
                            "name": "a", "kind": "webhook", "url": .string(target), "allowPrivate": .bool(isAllowed),
                        ]
                    ]
                ]
            }) { client in
                let key = try await client.key(.operator_)
                let reply = try await client.post("/api/v1/notifications/receivers/a/test", key: key)
                #expect(reply["state"] == "refused")
                #expect(reply["status"] == (isAllowed ? 404 : .null))
                #expect(reply["answer"]?.string?.contains("allowPrivate") == !isAllowed)
            }
        }
    }

    @Test("who posts events acknowledges what nobody else told of, and no more", arguments: TestEngine.available)
    func acknowledged(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let (key, other) = (try await client.key(.ingest, name: "pager"), try await client.key(.ingest))
            let viewer = try await client.key(.viewer)
            func send(_ action: String, _ dedup: String, _ name: String, key: String) async throws {
                let body: JSONValue = [
                    "routing_key": .string(key), "event_action": .string(action), "dedup_key": .string(dedup),
                    "payload": ["summary": "s", "source": "db1", "severity": "critical", "class": .string(name)],
                ]
                #expect(try await client.post("/v2/enqueue", body, key: nil).status == 202)
            }
            func incidents() async throws -> [JSONValue] {
                try await client.get("/api/v1/incidents", key: viewer).items
            }
            // One that Reeve's own rule opened, which a posted alert of its name joins.
            let post = AlertPost(labels: LabelSet([("alertname", "HighErrorRate"), ("severity", "critical")]))
            let alerts = client.app.features.alerting.alerts
            _ = try await client.app.features.storage.write {
                try alerts.take([post], origin: .rule, from: "rules", in: $0)
            }
            try await send("trigger", "d1", "HighErrorRate", key: key)
            #expect(try await incidents().count == 1)
            try await send("acknowledge", "d1", "HighErrorRate", key: key)
            #expect(try await incidents().first?["milestones"]?["acknowledgedAt"] == .null)
            // One of two who post: neither speaks for the other.
            try await send("trigger", "d2", "Disk", key: key)
            try await send("trigger", "d2", "Disk", key: other)
            try await send("acknowledge", "d2", "Disk", key: other)
            #expect(try await incidents().allSatisfy { $0["milestones"]?["acknowledgedAt"] == .null })
            try await send("resolve", "d2", "Disk", key: other)
            try await send("acknowledge", "d2", "Disk", key: key)
            // The same labels are one alert, which both told of: now only one does.
            let own = try await incidents().filter { $0["milestones"]?["acknowledgedAt"] != .null }
            #expect(own.map { $0["title"] } == ["s"])
            let id = try #require(own.first?["id"]?.string)
            let timeline = try await client.get("/api/v1/incidents/\(id)/timeline", key: viewer)
            let entry = timeline.json.text
            #expect(entry.contains(#""actor":"ingest:pager""#), "\(entry)")
            let audit = try await client.get("/api/v1/audit", key: try await client.key(.admin)).items
            #expect(audit.contains { $0["action"] == "incident.acknowledged" && $0["actor"] == "ingest:pager" })
        }
    }
}
