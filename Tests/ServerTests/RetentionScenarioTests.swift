import Kernel
import TestSupport
import Testing

@Suite("Labels, holds and erasures over HTTP")
struct RetentionScenarioTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let subject = "ada.lovelace@example.org"

    static let rows: [APIScenario] = [
        APIScenario(
            "a trace that is not there", .put, "/api/v1/traces/\(trace)/labels/good", as: .operator_, expect: 404,
            "not_found"),
        APIScenario("no trace's id", .put, "/api/v1/traces/x/labels/good", as: .operator_, expect: 404, "not_found"),
        APIScenario(
            "a label that is not there", .delete, "/api/v1/traces/\(trace)/labels/good", as: .operator_, expect: 204),
        APIScenario(
            "a viewer labels nothing", .put, "/api/v1/traces/\(trace)/labels/good", as: .viewer, expect: 403,
            "forbidden"),
        APIScenario("no holds yet", .get, "/api/v1/telemetry/holds", as: .operator_, expect: 200),
        APIScenario(
            "a hold on nothing", .post, "/api/v1/telemetry/holds", as: .operator_, #"{"reason":"x"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "a hold on two things", .post, "/api/v1/telemetry/holds", as: .operator_,
            #"{"reason":"x","agent":"a","subject":"bob"}"#, expect: 422, "invalid"),
        APIScenario(
            "a hold without a reason", .post, "/api/v1/telemetry/holds", as: .operator_, #"{"agent":"a"}"#,
            expect: 422, "invalid"),
        APIScenario(
            "half a range of time", .post, "/api/v1/telemetry/holds", as: .operator_,
            #"{"reason":"x","since":"2026-11-20T08:00:00Z"}"#, expect: 422, "invalid"),
        APIScenario(
            "a range that ends before it begins", .post, "/api/v1/telemetry/holds", as: .operator_,
            #"{"reason":"x","since":"2026-11-20T08:00:00Z","until":"2026-11-19T08:00:00Z"}"#, expect: 422, "invalid"),
        APIScenario(
            "a hold on an agent", .post, "/api/v1/telemetry/holds", as: .operator_, #"{"reason":"x","agent":"a"}"#,
            expect: 201, contains: [#""agent":"a""#, #""liftedAt":null"#], events: 1),
        APIScenario(
            "a viewer sees no holds", .get, "/api/v1/telemetry/holds", as: .viewer, expect: 403, "forbidden"),
        APIScenario(
            "a hold that is not there", .delete, "/api/v1/telemetry/holds/hold_1", as: .operator_, expect: 404,
            "not_found"),
        APIScenario(
            "an operator erases nothing", .post, "/api/v1/telemetry/erasures", as: .operator_,
            #"{"subject":"bob"}"#, expect: 403, "forbidden"),
        APIScenario(
            "too short for a subject", .post, "/api/v1/telemetry/erasures", as: .admin, #"{"subject":"ok"}"#,
            expect: 422, "invalid"),
        APIScenario("nobody", .post, "/api/v1/telemetry/erasures", as: .admin, "{}", expect: 422, "invalid"),
        APIScenario(
            "a misspelt wish", .post, "/api/v1/telemetry/erasures", as: .admin, #"{"subject":"bob","dryrun":true}"#,
            expect: 422, "invalid"),
        APIScenario(
            "an erasure that is not there", .get, "/api/v1/telemetry/erasures/erase_1", as: .admin, expect: 404,
            "not_found"),
    ]

    @Test("answers as the table says")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    private static func send(_ client: AppClient, trace: String, user: String, key: String) async throws {
        let body: JSONValue = [
            "resourceSpans": [
                [
                    "scopeSpans": [
                        [
                            "spans": [
                                [
                                    "traceId": .string(trace), "spanId": "00f067aa0ba902b7", "name": "plan",
                                    "startTimeUnixNano": "1795161600000000000",
                                    "endTimeUnixNano": "1795161601000000000",
                                    "attributes": [
                                        ["key": "user.id", "value": ["stringValue": .string(user)]],
                                        [
                                            "key": "gen_ai.operation.name",
                                            "value": ["stringValue": "invoke_agent"],
                                        ],
                                    ],
                                ]
                            ]
                        ]
                    ]
                ]
            ]
        ]
        let reply = try await client.post(
            "/v1/traces", body, key: key, headers: [("content-type", "application/json")])
        #expect(reply.status == 200, "\(reply.text)")
        try await client.app.features.spans?.flush()
    }

    /// Runs a loop once, now.
    private static func run(_ loop: String, of client: AppClient) async throws {
        let found = client.app.features.loops.first { $0.name == loop }
        try await #require(found).body()
    }

    private static func status(_ trace: String, _ client: AppClient, _ key: String) async throws -> Int {
        try await client.get("/api/v1/traces/\(trace)", key: key).status
    }

    @Test("a labelled trace outlives its day, and is found by its label", arguments: TestEngine.available)
    func labelled(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let (admin, other) = (try await client.key(.admin), String(Self.trace.reversed()))
            for trace in [Self.trace, other] {
                try await Self.send(client, trace: trace, user: "bob", key: admin)
            }
            let label = "/api/v1/traces/\(Self.trace)/labels/good"
            for _ in 0..<2 {
                let reply = try await client.send("PUT", label, key: admin)
                #expect(reply.status == 200)
                #expect(reply["labels"]?.array == ["good"])
            }
            #expect(try await client.events().filter { $0.type == "trace.labelled" }.count == 1)
            let trace = try await client.get("/api/v1/traces/\(Self.trace)", key: admin)
            #expect(trace["labels"]?.array == ["good"])
            let found = try await client.get("/api/v1/traces?label=good", key: admin)
            #expect(found["items"]?.array?.map { $0["traceId"]?.string } == [Self.trace])
            #expect(found["items"]?.array?.first?["labels"]?.array == ["good"])
            #expect(try await client.get("/api/v1/traces?label=bad", key: admin)["items"]?.array == [])
            for (day, kept) in [(7, [200, 200]), (1, [200, 404]), (82, [200, 404]), (1, [404, 404])] {
                client.time?.advance(by: .hours(24 * Int64(day)))
                try await Self.run("telemetry.retention", of: client)
                let left = [
                    try await Self.status(Self.trace, client, admin), try await Self.status(other, client, admin),
                ]
                #expect(left == kept, "\(day)")
            }
        }
    }

    @Test("what is under a hold is neither forgotten nor erased until it is lifted", arguments: TestEngine.available)
    func held(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            try await Self.send(client, trace: Self.trace, user: Self.subject, key: admin)
            let draft: JSONValue = ["traceId": .string(Self.trace), "reason": "a suit"]
            let hold = try await client.post("/api/v1/telemetry/holds", draft, key: admin)
            let id = try #require(hold["id"]?.string)
            let refused = try await Self.erase(client, ["subject": .string(Self.subject)], admin)
            #expect(refused["state"]?.string == "partial")
            #expect([refused["found"]?.int, refused["removed"]?.int, refused["held"]?.int] == [1, 0, 1])
            #expect(refused["holds"]?.array == [.string(id)])
            client.time?.advance(by: .hours(24 * 400))
            try await Self.run("telemetry.retention", of: client)
            #expect(try await Self.status(Self.trace, client, admin) == 200)
            #expect(try await client.delete("/api/v1/telemetry/holds/\(id)", key: admin)["liftedBy"] != nil)
            try await Self.run("telemetry.retention", of: client)
            #expect(try await Self.status(Self.trace, client, admin) == 404)
            let page = try await client.get("/audit/holds", key: admin)
            #expect(page.status == 200)
            #expect(page.text.contains("a suit"))
        }
    }

    private static func erase(_ client: AppClient, _ order: JSONValue, _ key: String) async throws -> AppReply {
        let reply = try await client.post("/api/v1/telemetry/erasures", order, key: key)
        #expect(reply.status == 202, "\(reply.text)")
        let id = try #require(reply["id"]?.string)
        // Its loop may have begun with it by itself; then this waits behind it.
        for _ in 0..<1_000 {
            try await run("telemetry.erasures", of: client)
            let shown = try await client.get("/api/v1/telemetry/erasures/\(id)", key: key)
            if shown["state"]?.string != "running" { return shown }
        }
        return reply
    }

    @Test("alerts and incidents that name a subject are told of", arguments: TestEngine.available)
    func elsewhere(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let admin = try await client.key(.admin)
            func rows(_ subject: String) async throws -> [String: Int64] {
                let shown = try await Self.erase(client, ["subject": .string(subject), "dryRun": true], admin)
                let places = shown["elsewhere"]?.array ?? []
                return Dictionary(
                    uniqueKeysWithValues: places.compactMap { place in
                        place["name"]?.string.flatMap { name in place["rows"]?.int.map { (name, $0) } }
                    })
            }
            let quoted = #"Ada "the first" Lovelace"#
            for name in [Self.subject, quoted] {
                let labels: JSONValue = ["alertname": "Complaint", "severity": "warning", "customer": .string(name)]
                let reply = try await client.post("/api/v2/alerts", [["labels": labels]], key: admin)
                #expect(reply.status == 200, "\(reply.text)")
            }
            for name in [Self.subject, quoted] {
                let found = try await rows(name)
                #expect([found["alerts"], found["incidents"]] == [1, 1], "\(name): \(found)")
            }
            let incident = try await client.post(
                "/api/v1/incidents", ["title": "Somebody calls", "severity": "info"], key: admin)
            let id = try #require(incident["id"]?.string)
            let note: JSONValue = ["text": "It was Grace Hopper."]
            #expect(try await client.post("/api/v1/incidents/\(id)/notes", note, key: admin).status < 300)
            let found = try await rows("Grace Hopper")
            #expect([found["alerts"], found["incidents"]] == [0, 1])
        }
    }

    @Test("a subject is erased with a proof, and nobody is told its name", arguments: TestEngine.available)
    func erased(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let (admin, other) = (try await client.key(.admin), String(Self.trace.reversed()))
            try await Self.send(client, trace: Self.trace, user: Self.subject, key: admin)
            try await Self.send(client, trace: other, user: "bob", key: admin)
            let subject = JSONValue.string(Self.subject)
            let dry = try await Self.erase(client, ["subject": subject, "dryRun": true], admin)
            #expect([dry["found"]?.int, dry["removed"]?.int] == [1, 0])
            #expect(dry["foundIn"]?["user.id"]?.int == 1)
            #expect(try await Self.status(Self.trace, client, admin) == 200)
            let done = try await Self.erase(client, ["subject": subject, "reason": "asked for"], admin)
            #expect(done["state"]?.string == "done")
            #expect([done["found"]?.int, done["removed"]?.int, done["remaining"]?.int] == [1, 1, 0])
            #expect(done["files"]?.array?.first?["sha256"]?.string?.count == 64)
            #expect(try await Self.status(Self.trace, client, admin) == 404)
            #expect(try await Self.status(other, client, admin) == 200)
            let audit = try await client.get("/api/v1/audit?limit=100", key: admin)
            #expect(audit.text.contains("telemetry.erasure_ended"))
            let list = try await client.get("/api/v1/telemetry/erasures", key: admin)
            #expect(list["items"]?.array?.count == 2)
            for reply in [audit, list, done] { #expect(!reply.text.contains(Self.subject)) }
        }
    }
}
