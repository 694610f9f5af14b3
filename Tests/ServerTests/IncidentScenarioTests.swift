import Control
import Kernel
import Server
import TestSupport
import Testing

@Suite("Incidents over HTTP")
struct IncidentScenarioTests {
    private static let path = "/api/v1/incidents"
    private static let unknown = "\(path)/incident_00000000000000000000000000000000"

    static let rows: [APIScenario] = [
        APIScenario("no incidents", .get, path, as: .viewer, expect: 200, contains: [#""items":[]"#]),
        APIScenario("an agent sees none", .get, path, as: .agent, expect: 403, "forbidden"),
        APIScenario("no state", .get, "\(path)?state=nope", as: .viewer, expect: 422, "invalid"),
        APIScenario("no severity", .get, "\(path)?severity=nope", as: .viewer, expect: 422, "invalid"),
        APIScenario("no mode", .get, "\(path)?mode=nope", as: .viewer, expect: 422, "invalid"),
        APIScenario("one that is not there", .get, unknown, as: .viewer, expect: 404, "not_found"),
        APIScenario("no id", .get, "\(path)/x", as: .viewer, expect: 404, "not_found"),
        APIScenario("no timeline", .get, "\(unknown)/timeline", as: .viewer, expect: 404, "not_found"),
        APIScenario("no analysis", .get, "\(unknown)/analysis", as: .viewer, expect: 404, "not_found"),
        APIScenario("no postmortem", .get, "\(unknown)/postmortem", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "a viewer opens none", .post, path, as: .viewer, #"{"title":"x","severity":"info"}"#, expect: 403,
            "forbidden"),
        APIScenario("without a title", .post, path, as: .operator_, #"{"severity":"info"}"#, expect: 422, "invalid"),
        APIScenario(
            "a blank title", .post, path, as: .operator_, #"{"title":" ","severity":"info"}"#, expect: 422, "invalid"),
        APIScenario(
            "a title that is too long", .post, path, as: .operator_,
            #"{"title":"\#(String(repeating: "x", count: 301))","severity":"info"}"#, expect: 422, "invalid"),
        APIScenario(
            "no severity of ours", .post, path, as: .operator_, #"{"title":"x","severity":"bad"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "no subject", .post, path, as: .operator_, #"{"title":"x","severity":"info","subjects":["writer"]}"#,
            expect: 422, "invalid"),
        APIScenario(
            "a subject's name that climbs", .post, path, as: .operator_,
            #"{"title":"x","severity":"info","subjects":["agent:../x"]}"#, expect: 422, "invalid"),
        APIScenario(
            "too many subjects", .post, path, as: .operator_,
            #"{"title":"x","severity":"info","subjects":["#
                + (0...50).map { #""agent:a\#($0)""# }.joined(separator: ",")
                + "]}", expect: 422, "invalid"),
        APIScenario(
            "a misspelt member", .post, path, as: .operator_, #"{"title":"x","severity":"info","subject":["agent:a"]}"#,
            expect: 422, "invalid"),
        APIScenario(
            "one by hand", .post, path, as: .operator_,
            #"{"title":"It broke","severity":"critical","subjects":["agent:writer"],"note":"since noon"}"#,
            expect: 201, contains: [#""state":"detected""#, #""acknowledgedAt":null"#, #""openedBy":"operator:"#],
            events: 1),
        APIScenario(
            "no milestone", .post, "\(unknown)/milestones", as: .operator_, #"{"milestone":"x"}"#, expect: 422,
            "invalid"),
        APIScenario(
            "a milestone of nothing", .post, "\(unknown)/milestones", as: .operator_, #"{"milestone":"resolved"}"#,
            expect: 404, "not_found"),
        APIScenario("no report", .get, "\(path)/report?days=0", as: .viewer, expect: 422, "invalid"),
        APIScenario("no days", .get, "\(path)/report?days=x", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "a report of nothing", .get, "\(path)/report", as: .viewer, expect: 200, contains: [#""incidents":0"#]),
    ]

    @Test("answers as the table says")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    private static func open(_ client: AppClient, _ key: String, _ title: String = "It broke") async throws -> String {
        let reply = try await client.post(
            path, ["title": .string(title), "severity": "critical", "subjects": ["agent:writer"]], key: key)
        return try #require(reply["id"]?.string)
    }

    @Test("one is opened once, acknowledged, told of, resolved and written up", arguments: TestEngine.available)
    func story(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_, name: "ada")
            let draft: JSONValue = ["title": "It broke", "severity": "critical", "subjects": ["agent:writer"]]
            let once = [("idempotency-key", "k1")]
            let first = try await client.post(Self.path, draft, key: key, headers: once)
            let again = try await client.post(Self.path, draft, key: key, headers: once)
            #expect(first.status == 201)
            #expect(first["id"] == again["id"])
            let one = "\(Self.path)/\(try #require(first["id"]?.string))"

            client.time?.advance(by: .minutes(1))
            let acked = try await client.post("\(one)/milestones", ["milestone": "acknowledged"], key: key)
            #expect(acked["state"] == "acknowledged")
            #expect(acked["seconds"]?["acknowledged"]?.double == 60)
            let tag = try #require(acked.header("etag"))
            let words: JSONValue = ["text": "We are <b>looking</b> at it."]
            let told = try await client.send(
                "PUT", "\(one)/status", key: key, headers: [("if-match", tag)], body: words.bytes)
            #expect(told["status"]?["by"] == "operator:ada")
            let late = try await client.send(
                "PUT", "\(one)/status", key: key, headers: [("if-match", tag)],
                body: (["text": "Other words"] as JSONValue).bytes)
            #expect(late.code == "precondition_failed")
            #expect(try await client.post("\(one)/notes", ["text": "It is the disk"], key: key).status == 201)
            let item = try await client.post(
                "\(one)/actions", ["summary": "Larger disk", "owner": "ada", "dueOn": "2026-12-01"], key: key)
            #expect(item.status == 201)
            for day in ["2026-13-01", "tomorrow", "2026-12-1"] {
                let refused = try await client.post(
                    "\(one)/actions", ["summary": "x", "owner": "ada", "dueOn": .string(day)], key: key)
                #expect(refused.status == 422, "\(day)")
            }
            let early = try await client.post("\(one)/milestones", ["milestone": "postmortem"], key: key)
            #expect(early.status == 409)
            client.time?.advance(by: .minutes(9))
            #expect(try await client.post("\(one)/milestones", ["milestone": "resolved"], key: key).status == 200)

            let shown = try await client.get(one, key: key)
            #expect(shown["state"] == "resolved")
            #expect(shown["milestones"]?["resolvedAt"]?.string != nil)
            #expect(shown["milestones"]?["containedAt"] == JSONValue.null)
            #expect(shown["postmortem"]?["dueAt"]?.string != nil)
            let entries = try #require(shown["timeline"]?.array)
            #expect(
                entries.filter { $0["kind"] != "change" }.compactMap { $0["action"]?.string } == [
                    "opened", "acknowledged", "status", "noted", "action_added", "resolved",
                ])
            for entry in entries {
                for name in ["time", "kind", "action", "target", "actor"] { #expect(entry[name]?.string != nil) }
            }
            let part = try await client.get("\(one)/timeline?limit=4", key: key)
            let rest = try await client.get("\(one)/timeline?after=\(part["next"]?.string ?? "")", key: key)
            #expect(part.items + rest.items == entries)
            try await Self.postmortem(client, one, key)
            let audit = try await client.get("/api/v1/audit?limit=100", key: key)
            for action in ["opened", "acknowledged", "status", "noted", "resolved", "postmortem_edited"] {
                #expect(audit.text.contains(#""incident.\#(action)""#), "\(action)")
            }
        }
    }

    private static func postmortem(_ client: AppClient, _ one: String, _ key: String) async throws {
        let draft = try await client.get("\(one)/postmortem", key: key)
        #expect(draft.header("content-type")?.hasPrefix("text/markdown") == true)
        for part in ["## Impact", "## Timeline", "## Contributing factors", "## Action items", "Larger disk: ada"] {
            #expect(draft.text.contains(part), "\(part)")
        }
        let text = draft.text + "\nWe learnt something.\n"
        func put(_ body: [UInt8], _ type: String, _ tag: String) async throws -> AppReply {
            try await client.send(
                "PUT", "\(one)/postmortem", key: key, headers: [("content-type", type), ("if-match", tag)], body: body)
        }
        let tag = try #require(draft.header("etag"))
        let kept = try await put(Array(text.utf8), "text/markdown", tag)
        #expect(kept.status == 200)
        #expect(kept.text.contains("We learnt something."))
        #expect(try await put(Array(text.utf8), "text/markdown", tag).code == "precondition_failed")
        let next = try #require(kept.header("etag"))
        #expect(try await put([0xFF, 0xFE], "text/markdown", next).status == 422)
        let json = (["document": .string(text)] as JSONValue).bytes
        #expect(try await put(json, "application/json", next).status == 200)
        #expect(
            try await client.post("\(one)/milestones", ["milestone": "postmortem"], key: key)["state"] == "postmortem")
    }

    @Test("the settings' clock and loops are at work", arguments: TestEngine.available)
    func loops(_ engine: TestEngine) async throws {
        try await withApp(engine) {
            $0.incidents.postmortemHours = 2
        } _: { client in
            let key = try await client.key(.operator_)
            let id = try await Self.open(client, key)
            _ = try await client.post("\(Self.path)/\(id)/milestones", ["milestone": "resolved"], key: key)
            client.time?.advance(by: .hours(2))
            for name in ["incidents.sweep", "incidents.metrics"] {
                let loop = try #require(client.app.features.loops.first { $0.name == name })
                try await loop.body()
            }
            let types = try await client.events().map(\.type)
            #expect(types.contains("incident.postmortem_overdue"))
            let metrics = try await client.get("/metrics", key: key)
            #expect(metrics.text.contains("reeve_incident_postmortems_overdue 1"))
            #expect(metrics.text.contains(#"reeve_incidents{state="resolved",severity="critical"} 1"#))
        }
    }

    /// A failed span of the agent `writer` at this moment.
    private static func fail(_ client: AppClient, _ trace: String, _ agent: String, key: String) async throws {
        let at = client.world.now.microseconds * 1_000
        let attributes: JSONValue = [
            ["key": "gen_ai.operation.name", "value": ["stringValue": "invoke_agent"]],
            ["key": "gen_ai.agent.name", "value": ["stringValue": .string(agent)]],
        ]
        let span: JSONValue = [
            "traceId": .string(trace), "spanId": "00f067aa0ba902b7", "name": "plan",
            "startTimeUnixNano": .string(String(at - 1_000_000)), "endTimeUnixNano": .string(String(at)),
            "status": ["code": 2, "message": "it broke"], "attributes": attributes,
        ]
        let body: JSONValue = ["resourceSpans": [["scopeSpans": [["spans": [span]]]]]]
        let reply = try await client.post("/v1/traces", body, key: key, headers: [("content-type", "application/json")])
        #expect(reply.status == 200, "\(reply.text)")
        try await client.app.features.spans?.flush()
    }

    @Test("traces with an error of its agents are kept for it", arguments: TestEngine.available)
    func traces(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let (mine, other) = (String(repeating: "a", count: 32), String(repeating: "b", count: 32))
            try await Self.fail(client, mine, "writer", key: key)
            try await Self.fail(client, other, "stranger", key: key)
            let id = try await Self.open(client, key)
            let loop = try #require(client.app.features.loops.first { $0.name == "incidents.traces" })
            for _ in 0..<2 { try await loop.body() }
            let shown = try await client.get("\(Self.path)/\(id)", key: key)
            let kept = (shown["traces"]?.array ?? []).compactMap { $0["traceId"]?.string }
            #expect(kept == [mine])
            let labelled = try await client.get("/api/v1/traces/\(mine)", key: key)
            #expect(labelled["labels"]?.array == [.string("incident:\(id)")])
            let foreign = try await client.get("/api/v1/traces/\(other)", key: key)
            #expect(foreign["labels"]?.array?.isEmpty == true)
        }
    }

    @Test("lists are filtered and paged, two are made one", arguments: TestEngine.available)
    func lists(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            var ids: [String] = []
            for number in 0..<3 { ids.append(try await Self.open(client, key, "Number \(number)")) }
            _ = try await client.post("\(Self.path)/\(ids[0])/milestones", ["milestone": "resolved"], key: key)
            func found(_ query: String) async throws -> Set<String> {
                Set(try await client.get("\(Self.path)?\(query)", key: key).items.compactMap { $0["id"]?.string })
            }
            #expect(try await found("state=open") == [ids[1], ids[2]])
            #expect(try await found("state=resolved") == [ids[0]])
            #expect(try await found("state=detected&severity=critical") == [ids[1], ids[2]])
            #expect(try await found("severity=info").isEmpty)
            let page = try await client.get("\(Self.path)?limit=2", key: key)
            #expect(page.items.count == 2)
            let next = try #require(page["next"]?.string)
            #expect(try await client.get("\(Self.path)?limit=2&after=\(next)", key: key).items.count == 1)
            let merged = try await client.post("\(Self.path)/\(ids[1])/merge", ["into": .string(ids[2])], key: key)
            #expect(merged["id"]?.string == ids[2])
            #expect(try await client.get("\(Self.path)/\(ids[1])", key: key)["mergedInto"]?.string == ids[2])
            let itself = try await client.post("\(Self.path)/\(ids[2])/merge", ["into": .string(ids[2])], key: key)
            #expect(itself.status == 422)
        }
    }

    @Test("each act is in the audit log once, with who did it, and is refused to those who only look")
    func audited() async throws {
        try await withApp { client in
            let (ada, viewer) = (try await client.key(.operator_, name: "ada"), try await client.key(.viewer))
            let agent = try await client.key(.agent)
            let (id, other) = (try await Self.open(client, ada), try await Self.open(client, ada, "Another"))
            let one = "\(Self.path)/\(id)"
            let acts: [(method: String, path: String, body: JSONValue, action: String, isOnce: Bool)] = [
                ("POST", "\(one)/milestones", ["milestone": "acknowledged"], "incident.acknowledged", true),
                ("PATCH", one, ["severity": "warning"], "incident.changed", true),
                ("PATCH", one, ["kind": "behavioural"], "incident.changed", true),
                ("PUT", "\(one)/status", ["text": "We look at it"], "incident.status", true),
                ("POST", "\(one)/notes", ["text": "the disk"], "incident.noted", false),
                ("POST", "\(Self.path)/\(other)/merge", ["into": .string(id)], "incident.merged", true),
                ("POST", "\(one)/milestones", ["milestone": "resolved"], "incident.resolved", true),
                ("POST", "\(one)/reopen", ["note": "again"], "incident.reopened", true),
            ]
            func audit() async throws -> [JSONValue] {
                let admin = try await client.key(.admin, name: "auditor")
                return try await client.get("/api/v1/audit?limit=500", key: admin).items.filter {
                    $0["action"]?.string?.hasPrefix("incident.") ?? false
                }
            }
            for act in acts {
                for key in [viewer, agent] {
                    let refused = try await client.send(act.method, act.path, key: key, body: act.body.bytes)
                    #expect(refused.status == 403, "\(act.action)")
                }
                let before = try await audit().count
                let reply = try await client.send(act.method, act.path, key: ada, body: act.body.bytes)
                #expect((200..<300).contains(reply.status), "\(act.action): \(reply.text)")
                let after = try await audit()
                #expect(after.count == before + 1, "\(act.action)")
                #expect(after.last?["action"]?.string == act.action)
                #expect(after.last?["actor"] == "operator:ada", "\(after)")
                #expect(after.last?["target"]?.string == "incident:\(id)")
                guard act.isOnce else { continue }
                _ = try await client.send(act.method, act.path, key: ada, body: act.body.bytes)
                #expect(try await audit().count == after.count, "\(act.action) again")
            }
        }
    }

    @Test("of two who edit what they both read one is told so, and nothing is lost", arguments: TestEngine.available)
    func concurrent(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let one = "\(Self.path)/\(try await Self.open(client, key))"
            let tag = try #require(try await client.get(one, key: key).header("etag"))
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        let body: JSONValue = number % 2 == 0 ? ["title": .string("t\(number)")] : ["text": "words"]
                        return try await client.send(
                            number % 2 == 0 ? "PATCH" : "PUT", number % 2 == 0 ? one : "\(one)/status", key: key,
                            headers: [("if-match", tag)], body: body.bytes
                        ).status
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } == 1 && statuses.count { $0 == 412 } == 7, "\(statuses)")
        }
    }

    @Test("a long timeline shows its end, and leads to all of it", arguments: TestEngine.available)
    func longTimeline(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let id = try await Self.open(client, key)
            let incidents = client.app.features.incidents
            try await client.app.features.storage.write { [world = client.world] transaction in
                for number in 0..<1_200 {
                    try incidents.record(
                        IncidentEntry(
                            kind: "note", action: "noted", target: "n\(number)", actor: "operator:ada",
                            at: world.now + .seconds(Int64(number))), in: Identifier(stored: id), transaction)
                }
            }
            let shown = try await client.get("\(Self.path)/\(id)", key: key)
            func targets(_ items: [JSONValue]) -> [String] { items.compactMap { $0["target"]?.string } }
            let latest = targets(shown["timeline"]?.array ?? [])
            #expect(latest == (700..<1_200).map { "n\($0)" })
            #expect(shown["timelineIsCut"] == true)
            // What came before it, page by page, and nothing twice.
            var (whole, next) = (latest, shown["timelineMore"]?.string)
            while let path = next {
                let page = try await client.get("\(path)&limit=200", key: key)
                whole = targets(page.items).reversed() + whole
                let after = page["next"]?.string
                next = after.map { "\(Self.path)/\(id)/timeline?order=newest&after=\($0)" }
            }
            #expect(whole.suffix(1_200) == (0..<1_200).map { "n\($0)" }[...])
            #expect(try await client.get("\(Self.path)/\(id)/timeline?order=x", key: key).code == "invalid")
            let room = try await client.get("/incidents/\(id)", key: key).text
            #expect(room.contains("n1199") && room.contains("/incidents/\(id)/timeline"))
            let first = try await client.get("/incidents/\(id)/timeline?order=oldest", key: key).text
            #expect(first.contains(">n0<") && !first.contains("n1199") && first.contains("after="))
            #expect(try await client.get("/incidents/\(id)/timeline?after=x", key: key).status == 422)
        }
    }

    @Test("pages show it, whatever people wrote, to those who may look", arguments: TestEngine.available)
    func pages(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.operator_)
            let id = try await Self.open(client, key, "<script>alert(1)</script>")
            let viewer = try await client.key(.viewer)
            for (path, part) in [
                ("/incidents", "1 open"), ("/incidents/\(id)", "For stakeholders"),
                ("/incidents/report?days=7", "Alert noise"),
            ] {
                for reader in [key, viewer] {
                    let page = try await client.get(path, key: reader)
                    #expect(page.status == 200)
                    #expect(page.text.contains(part), "\(path)")
                    #expect(!page.text.contains("<script>alert"))
                }
            }
            #expect(try await client.get("/incidents/x", key: viewer).status == 404)
            let mine = try await client.get("/incidents/\(id)", key: key)
            let theirs = try await client.get("/incidents/\(id)", key: viewer)
            #expect(mine.text.contains("note-form"))
            #expect(!theirs.text.contains("note-form"))
        }
    }
}
