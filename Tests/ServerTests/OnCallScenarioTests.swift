import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("On-call over HTTP")
struct OnCallScenarioTests {
    static let file = """
        people:
          - {name: ada, contact: {receivers: [ada-phone]}}
          - {name: grace, contact: {receivers: [grace-phone]}}
        schedules:
          - name: platform
            zone: Europe/Berlin
            layers:
              - {name: weekly, people: [ada, grace], starts: 2026-11-02T09:00, length: 1w}
          - name: night
            zone: UTC
            gaps: allowed
            layers:
              - name: nights
                people: [grace]
                starts: 2026-11-01
                length: 1d
                only: [{from: "22:00", to: "06:00"}]
        chains:
          - {name: people, steps: [{notify: {schedule: platform}}, {wait: 5m}, {notify: {person: grace}}]}
        paths: {default: people}
        """

    private static func withOnCall(
        _ text: String? = file, _ engine: TestEngine = .sqlite,
        _ body: @escaping @Sendable (AppClient) async throws -> Void
    ) async throws {
        try await TestStorage.withFolder { folder in
            let path = folder + "/oncall.yaml"
            if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
            try await withApp(
                engine,
                configure: { settings in
                    settings.oncall.file = text == nil ? nil : path
                    settings.alerts.document = receivers
                }, body)
        }
    }

    /// Nothing of them is reached: this machine is not allowed.
    private static let receivers: JSONValue = [
        "receivers": .list(
            ["ada-phone", "grace-phone"].map {
                ["name": .string($0), "kind": "webhook", "url": "http://127.0.0.1:9/hook"] as JSONValue
            }), "route": ["receiver": "ada-phone"],
    ]

    private static let overrides = "/api/v1/oncall/overrides"

    static let rows: [APIScenario] = [
        APIScenario(
            "who is on call now", .get, "/api/v1/oncall", as: .viewer, expect: 200,
            contains: [#""person":"ada""#, #""because":"layer""#, #""because":"nobody""#, #""next":"grace""#]),
        APIScenario(
            "who is on call then", .get, "/api/v1/oncall?at=2026-11-10T00:00:00Z&schedule=platform", as: .operator_,
            expect: 200, contains: [#""person":"grace""#]),
        APIScenario("no time", .get, "/api/v1/oncall?at=noon", as: .viewer, expect: 422, "invalid"),
        APIScenario("no schedule", .get, "/api/v1/oncall?schedule=day", as: .viewer, expect: 404, "not_found"),
        APIScenario("an agent does not see people", .get, "/api/v1/oncall", as: .agent, expect: 403, "forbidden"),
        APIScenario(
            "shifts", .get, "/api/v1/oncall/shifts?until=2026-11-24T00:00:00Z&schedule=platform", as: .viewer,
            expect: 200, contains: [#""until":"2026-11-23T08:00:00.000000Z""#]),
        APIScenario(
            "a range that ends first", .get,
            "/api/v1/oncall/shifts?from=2026-11-24T00:00:00Z&until=2026-11-23T00:00:00Z", as: .viewer, expect: 422,
            "invalid"),
        APIScenario(
            "a range that is too long", .get,
            "/api/v1/oncall/shifts?from=2026-01-01T00:00:00Z&until=2027-01-03T00:00:00Z", as: .viewer, expect: 422,
            "invalid"),
        APIScenario(
            "the ends of time", .get, "/api/v1/oncall/shifts?from=9999-12-01T00:00:00Z&until=9999-12-31T23:59:59Z",
            as: .viewer, expect: 200),
        APIScenario("before all", .get, "/api/v1/oncall?at=1970-01-01T00:00:00Z", as: .viewer, expect: 200),
        APIScenario("no escalations", .get, "/api/v1/oncall/escalations?state=open", as: .viewer, expect: 200),
        APIScenario("no state", .get, "/api/v1/oncall/escalations?state=x", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "an escalation that is not there", .post, "/api/v1/oncall/escalations/esc_1/acknowledge", as: .operator_,
            expect: 404, "not_found"),
        APIScenario(
            "an override", .post, overrides, as: .operator_,
            #"{"schedule":"platform","person":"grace","from":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z"}"#,
            expect: 201, contains: [#""person":"grace""#], events: 1),
        APIScenario(
            "a viewer overrides nothing", .post, overrides, as: .viewer,
            #"{"schedule":"platform","person":"grace","from":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z"}"#,
            expect: 403, "forbidden"),
        APIScenario(
            "an override of nobody", .post, overrides, as: .operator_,
            #"{"schedule":"platform","person":"eve","from":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z"}"#,
            expect: 422, "invalid"),
        APIScenario(
            "an override of one of two", .post, overrides, as: .operator_,
            #"{"person":"grace","from":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "an override of no schedule", .post, overrides, as: .operator_,
            #"{"schedule":"x","person":"grace","from":"2026-11-20T00:00:00Z","until":"2026-11-21T00:00:00Z"}"#,
            expect: 404, "not_found"),
        APIScenario(
            "an override of the past", .post, overrides, as: .operator_,
            #"{"schedule":"platform","person":"grace","from":"2026-11-18T00:00:00Z","until":"2026-11-19T00:00:00Z"}"#,
            expect: 422, "invalid"),
        APIScenario(
            "an override for ever", .post, overrides, as: .operator_,
            #"{"schedule":"platform","person":"grace","from":"2026-11-20T00:00:00Z","until":"2027-11-21T00:00:00Z"}"#,
            expect: 422, "invalid"),
        APIScenario(
            "a misspelt override", .post, overrides, as: .operator_, #"{"who":"grace"}"#, expect: 422, "invalid"),
        APIScenario(
            "an override that is not there", .delete, "\(overrides)/cover_1", as: .operator_, expect: 404, "not_found"),
    ]

    @Test("answers as the table says")
    func answers() async throws {
        try await APIScenario.run(Self.rows) { try await Self.withOnCall(Self.file, .sqlite, $0) }
    }

    @Test("an override changes who is on call, on the page too, and goes again", arguments: TestEngine.available)
    func override(_ engine: TestEngine) async throws {
        try await Self.withOnCall(Self.file, engine) { client in
            let key = try await client.key(.operator_)
            let draft: JSONValue = [
                "schedule": "platform", "person": "grace", "from": "2026-11-20T00:00:00Z",
                "until": "2026-11-21T00:00:00Z", "reason": "a <swap>",
            ]
            let made = try await client.post(Self.overrides, draft, key: key)
            let id = try #require(made["id"]?.string)
            let duty = try await client.get("/api/v1/oncall?schedule=platform", key: key)["schedules"]?.array?.first
            #expect(duty?["person"] == "grace")
            #expect(duty?["because"] == "override")
            #expect(duty?["name"] == .string(id))
            #expect(try await client.get(Self.overrides, key: key).items.count == 1)
            let page = try await client.get("/oncall", key: key)
            #expect(page.status == 200)
            #expect(page.text.contains("a &lt;swap&gt;"))
            #expect(page.text.contains(id))
            #expect(try await client.delete("\(Self.overrides)/\(id)", key: key).status == 204)
            #expect(try await client.get(Self.overrides, key: key).items.isEmpty)
            let types = try await client.events().map(\.type)
            #expect(types.suffix(2) == ["oncall.overridden", "oncall.override_removed"])
        }
    }

    @Test("an escalation is listed with its notices, and acknowledged over HTTP", arguments: TestEngine.available)
    func escalation(_ engine: TestEngine) async throws {
        try await Self.withOnCall(Self.file, engine) { client in
            let (features, key) = (client.app.features, try await client.key(.operator_))
            let escalation = try await features.storage.write {
                try features.onCall.page(
                    incident: "inc_7", title: "<Agents> are down", severity: "critical", path: .infrastructure, in: $0)
            }
            let id = try #require(escalation?.id.text)
            try await features.onCall.step(client.world.now)
            let listed = try #require(
                try await client.get("/api/v1/oncall/escalations?state=open", key: key).items.first)
            #expect(listed["id"] == .string(id))
            let notice = listed["notices"]?.array?.first
            #expect(notice?["person"] == "ada")
            #expect(notice?["state"] == "pending")
            #expect(notice?["error"]?.string?.contains("allowPrivate") == true)
            let page = try await client.get("/oncall", key: key).text
            #expect(page.contains("&lt;Agents&gt; are down"))
            #expect(page.contains("data-action=\"acknowledge\""))
            let path = "/api/v1/oncall/escalations/\(id)/acknowledge"
            let acknowledged = try await client.post(path, key: key)
            #expect(acknowledged["state"] == "acknowledged")
            #expect(acknowledged["acknowledgedBy"] == "operator:operator")
            #expect(acknowledged["notices"]?.array?.first?["state"] == "dropped")
            let before = try await client.lastSeq()
            #expect(try await client.post(path, key: key)["state"] == "acknowledged")
            #expect(try await client.lastSeq() == before)
        }
    }

    @Test("of two incidents that become one people are told once", arguments: [false, true])
    func merges(_ isSeen: Bool) async throws {
        try await Self.withOnCall { client in
            let key = try await client.key(.operator_)
            var ids: [String] = []
            for name in ["a", "b"] {
                let draft: JSONValue = [
                    "title": .string(name), "severity": "critical", "subjects": .list(["agent:\(name)"]),
                ]
                ids.append(try #require(try await client.post("/api/v1/incidents", draft, key: key)["id"]?.string))
            }
            func open() async throws -> [JSONValue] {
                try await client.get("/api/v1/oncall/escalations", key: key).items.filter { $0["state"] != "ended" }
            }
            #expect(try await open().count == 2)
            let milestones = "/api/v1/incidents/\(ids[1])/milestones"
            if isSeen { _ = try await client.post(milestones, ["milestone": "acknowledged"], key: key) }
            let merged = try await client.post(
                "/api/v1/incidents/\(ids[1])/merge", ["into": .string(ids[0])], key: key)
            #expect(merged["id"]?.string == ids[0])
            #expect((merged["state"] == "acknowledged") == isSeen)
            let left = try await open()
            #expect(left.compactMap { $0["incident"]?.string } == [ids[0]])
            #expect((left.first?["state"] == "acknowledged") == isSeen)
            let all = try await client.get("/api/v1/oncall/escalations", key: key).items
            #expect(all.allSatisfy { $0["incident"]?.string == ids[0] } && all.count == 2)
        }
    }

    @Test("without a file everything says so")
    func absent() async throws {
        try await Self.withOnCall(nil) { client in
            let key = try await client.key(.operator_)
            #expect(try await client.get("/api/v1/oncall", key: key)["configured"] == false)
            #expect(try await client.get("/api/v1/oncall/shifts", key: key)["configured"] == false)
            #expect(try await client.get("/oncall", key: key).text.contains("No on-call yet"))
            let draft: JSONValue = [
                "person": "ada", "from": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z",
            ]
            let refused = try await client.post(Self.overrides, draft, key: key)
            #expect(refused.status == 404)
            #expect(refused["hint"]?.string?.contains("oncall.file") == true)
        }
    }

    /// What is wrong with the file, and where it says so.
    static let faults: [(of: String, with: String, place: String)] = [
        ("people: [grace]", "people: [eve]", "oncall.yaml:14:18: there is no person eve"),
        (
            "[ada-phone]", "[ada-phone, ada-pager]",
            "oncall.yaml:2:50: there is no receiver ada-pager: add it to alerts.receivers of the settings, "
                + "or name one that is there: ada-phone, grace-phone"
        ),
        (
            "{wait: 5m}", "{notify: {receiver: room}}, {wait: 5m}",
            "oncall.yaml:19:80: there is no receiver room: add it to alerts.receivers of the settings, "
                + "or name one that is there: ada-phone, grace-phone"
        ),
        (
            "{receivers: [grace-phone]}", "{email: grace@example.org}",
            "oncall.yaml:3:36: mail goes by a receiver of the kind smtp: add one to alerts.receivers of the settings"
        ),
        (
            "{receivers: [grace-phone]}", #"{ntfy: "https://ntfy.example.org/s3cret"}"#,
            "oncall.yaml:3:35: topics go by a receiver of the kind ntfy: add one to alerts.receivers of the settings"
        ),
    ]

    @Test("a wrong file refuses the start where it is wrong", arguments: faults.indices)
    func wrong(_ index: Int) async throws {
        let fault = Self.faults[index]
        let text = Self.file.replacingOccurrences(of: fault.of, with: fault.with)
        #expect(text != Self.file)
        do {
            try await Self.withOnCall(text) { _ in Issue.record("it started") }
        } catch let problem as Problem {
            #expect(problem.code == .invalidSettings)
            #expect(problem.detail.hasSuffix(fault.place), "\(problem.detail)")
            let finding = problem.members["findings"]?.array?.first
            #expect(finding?["path"] == "oncall.file")
            #expect(finding?["sentence"]?.string?.hasSuffix(fault.place) == true)
        }
    }
}
