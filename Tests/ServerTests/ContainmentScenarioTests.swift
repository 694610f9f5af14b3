import Kernel
import Server
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Containments and runbooks over HTTP")
struct ContainmentScenarioTests {
    private static let known = "incident_0190000000007000b000000000000001"
    private static let other = "containment_0190000000007000b000000000000001"
    private static let path = "/api/v1/incidents/\(known)"

    static let rows: [APIScenario] = [
        APIScenario(
            "no such incident", .get, "\(path)/containments", as: .viewer, expect: 404, "not_found"),
        APIScenario("no incident's id", .get, "/api/v1/incidents/x/runs", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "an action on nothing that is there", .post, "\(path)/containments", as: .operator_,
            #"{"action":"pauseAgent","parameters":{"agents":["a"]}}"#, expect: 404, "not_found"),
        APIScenario(
            "an action that there is not", .post, "\(path)/containments", as: .operator_,
            #"{"action":"rm","parameters":{}}"#, expect: 422, "invalid", contains: ["pauseAgent"]),
        APIScenario(
            "a viewer proposes nothing", .post, "\(path)/containments", as: .viewer, "{}", expect: 403, "forbidden"),
        APIScenario(
            "an agent approves nothing", .post, "/api/v1/containments/\(other)/approve", as: .agent, expect: 403,
            "forbidden"),
        APIScenario(
            "a containment that is not there", .post, "/api/v1/containments/\(other)/approve", as: .operator_,
            expect: 404, "not_found"),
        APIScenario(
            "no containment's id", .get, "/api/v1/containments/x/preview", as: .operator_, expect: 404, "not_found"),
        APIScenario(
            "a run of nothing", .post, "\(path)/run", as: .operator_, "{}", expect: 404, "not_found"),
        APIScenario(
            "a misspelt wish", .post, "\(path)/run", as: .operator_, #"{"yes":true}"#, expect: 422, "invalid"),
        APIScenario(
            "an item of no run", .post, "/api/v1/runs/run_1/checks/1", as: .operator_, expect: 404, "not_found"),
        APIScenario(
            "the shipped runbooks", .get, "/api/v1/runbooks?limit=500", as: .viewer, expect: 200,
            contains: [#""name":"ToolStorm""#, #""name":"llm-outage""#]),
        APIScenario(
            "one runbook", .get, "/api/v1/runbooks/ProviderOutage", as: .agent, expect: 200,
            contains: [#""action":"openBreaker""#, #""url":"/runbooks/ProviderOutage""#]),
        APIScenario(
            "a runbook that is not there", .get, "/api/v1/runbooks/x", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "what is in force", .get, "/api/v1/containments", as: .viewer, expect: 200, contains: [#""items":[]"#]),
        APIScenario("its page", .get, "/containments", as: .viewer, expect: 200, contains: ["Nothing is contained"]),
        APIScenario("a page of each", .get, "/runbooks/ToolStorm", as: .viewer, expect: 200, contains: ["Diagnosis"]),
        APIScenario("the page of all", .get, "/runbooks", as: .viewer, expect: 200, contains: ["AgentDown"]),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    @Test("there is no page of a runbook that is not there")
    func noPage() async throws {
        try await withApp { client in
            let key = try await client.key(.viewer)
            #expect(try await client.get("/runbooks/%3Cx%3E", key: key).status == 404)
        }
    }

    // MARK: With models

    static func configure(_ settings: inout Settings) {
        settings.catalogue.document = [
            "providers": ["main": ["kind": "scripted"], "backup": ["kind": "scripted"]],
            "models": [
                "small": [
                    "targets": [["provider": "main", "model": "scripted-2026-01-01"]], "tier": "cheap",
                    "price": ["input": 1, "output": 2],
                ],
                "spare": [
                    "targets": [["provider": "backup", "model": "scripted-2026-01-01"]], "tier": "cheap",
                    "price": ["input": 1, "output": 2],
                ],
                "lonely": [
                    "targets": [["provider": "main", "model": "scripted-2026-01-01"]], "tier": "premium",
                    "price": ["input": 1, "output": 2],
                ],
            ],
        ]
    }

    static func fire(
        _ name: String, _ labels: [(String, String)], mode: FailureMode?, _ client: AppClient
    ) async throws -> String {
        let features = client.app.features
        let incidents = IncidentService(
            events: features.events, audit: features.audit, world: client.world, followers: [features.containments])
        let alerts = AlertService(events: features.events, world: client.world, follower: incidents)
        let all =
            [("alertname", name), ("severity", "critical")] + labels
            + (mode.map { [("failure_mode", $0.rawValue)] } ?? [])
        let changes = try await features.storage.write { transaction in
            try alerts.take([AlertPost(labels: LabelSet(all))], origin: .rule, from: "test", in: transaction)
        }
        return try #require(changes.first?.alert.incidentID)
    }

    /// Runs loops once each, now.
    static func run(_ client: AppClient, _ names: String..., rounds: Int = 3) async throws {
        let loops = client.app.features.loops
        for _ in 0..<rounds {
            for name in names { try await #require(loops.first { $0.name == name }).body() }
        }
    }

    private static func ask(_ client: AppClient, _ model: String, _ key: String) async throws -> AppReply {
        try await client.post(
            "/v1/chat/completions", ["model": .string(model), "messages": [["role": "user", "content": "hello"]]],
            key: key)
    }

    @Test(
        "an outage of a provider: approved, contained at the gateway, and taken back", arguments: TestEngine.available)
    func outage(_ engine: TestEngine) async throws {
        try await withApp(engine, configure: Self.configure) { client in
            let (admin, operatorKey) = (try await client.key(.admin), try await client.key(.operator_))
            for model in ["lonely", "spare"] {
                let made = try await client.post(
                    "/api/v1/tasks", ["title": .string(model), "queue": .string(model), "model": .string(model)],
                    key: operatorKey)
                #expect(made.status == 201, "\(made.text)")
            }
            #expect(try await Self.ask(client, "small", admin).status == 200)
            let incident = try await Self.fire("ProviderOutage", [("provider", "main")], mode: .llmOutage, client)
            let list = "/api/v1/incidents/\(incident)/containments"
            let plan = try #require(try await client.get(list, key: operatorKey).items.first)
            #expect(plan["state"] == "proposed" && plan["mode"] == "llm-outage")
            let one = "/api/v1/containments/\(plan["id"]?.string ?? "")"
            let preview = try await client.get("\(one)/preview", key: operatorKey)
            #expect(preview["blastRadius"]?["queued"] == 1, "\(preview.text)")
            #expect(
                preview["steps"]?.array?.map { $0["action"]?.string } == [
                    "pauseDispatch", "useFallback", "openBreaker",
                ])
            #expect(try await client.post("\(one)/approve", key: operatorKey)["state"] == "acting")
            try await Self.run(client, "containments.act", "gateway.containment")
            #expect(try await client.get(one, key: operatorKey)["state"] == "acted")
            // The other model answers; what nobody can answer for waits; the healthy provider's tasks go.
            let routed = try await Self.ask(client, "small", admin)
            #expect(routed.status == 200, "\(routed.text)")
            #expect(try await Self.ask(client, "lonely", admin).status == 503)
            let models = try await client.get("/api/v1/models", key: admin).items
            #expect(models.map { $0["dispatch"]?["state"]?.string } == ["outage", "normal", "paused"], "\(models)")
            #expect(models[1]["targets"]?.array?.first?["breaker"]?["state"] == "closed")
            #expect(models[2]["targets"]?.array?.first?["breaker"]?["cause"] == "ordered")
            for (queue, count) in [("lonely", 0), ("spare", 1)] {
                let claimed = try await client.post(
                    "/api/v1/tasks/claim", ["queues": [.string(queue)], "agent": "worker", "limit": 5], key: operatorKey
                )
                #expect(claimed["items"]?.array?.count ?? 0 == count, "\(queue): \(claimed.text)")
            }
            #expect(try await client.post("\(one)/reverse", key: operatorKey)["state"] == "reversing")
            try await Self.run(client, "containments.act", "gateway.containment", "gateway.dispatch")
            #expect(try await client.get(one, key: operatorKey)["state"] == "reversed")
            #expect(try await Self.ask(client, "lonely", admin).status == 200)
            let after = try await client.get("/api/v1/models/lonely", key: admin)
            #expect(after["targets"]?.array?.first?["breaker"]?["state"] == "closed", "\(after.text)")
            #expect(["ramping", "normal"].contains(after["dispatch"]?["state"]?.string))
        }
    }

    @Test("a budget that runs away is cut: the next call is refused, and others' are not")
    func runaway() async throws {
        try await withApp(configure: Self.configure) { client in
            let operatorKey = try await client.key(.operator_)
            let (writer, editor) = (
                try await client.key(.agent, agent: "writer"), try await client.key(.agent, agent: "editor")
            )
            for name in ["writer", "editor"] {
                _ = try await client.post("/api/v1/agents", ["name": .string(name)], key: operatorKey)
            }
            #expect(try await Self.ask(client, "small", writer).status == 200)
            let incident = try await Self.fire("CostSpike", [("agent", "writer")], mode: .budgetRunaway, client)
            let list = "/api/v1/incidents/\(incident)/containments"
            let body: JSONValue = [
                "action": "cutBudget", "parameters": ["scopes": ["agent:writer"]], "approve": true,
            ]
            let seen = try await client.post("\(list)/preview", body, key: operatorKey)
            #expect(seen["blastRadius"]?["others"] == ["budget:agent:writer"], "\(seen.text)")
            #expect(seen["blastRadius"]?["agents"]?["names"] == ["writer"])
            let wide = try await client.post(
                "\(list)/preview", ["action": "cutBudget", "parameters": ["scopes": ["org"]]], key: operatorKey)
            #expect(wide["blastRadius"]?["agents"] == ["count": 2, "names": ["editor", "writer"]], "\(wide.text)")
            let proposed = try await client.post(
                list, ["action": "cutBudget", "parameters": ["scopes": ["org"]]], key: operatorKey)
            let shown = try await client.get("/containments/\(proposed["id"]?.string ?? "")", key: operatorKey)
            #expect(shown.text.contains("2: editor, writer") && shown.text.contains("reaches"), "\(shown.text)")
            // What acts tells the same people as what people do.
            #expect(client.app.features.containments.incidents.followers.count == 3)
            let made = try await client.post(list, body, key: operatorKey)
            #expect(made.status == 201 && made["state"] == "acting", "\(made.text)")
            let again = try await client.post(list, body, key: operatorKey)
            #expect(again["id"] == made["id"])
            try await Self.run(client, "containments.act", "budgets.exchange")
            let page = try await client.get("/containments", key: operatorKey).text
            #expect(page.contains("budget:agent:writer") || page.contains("agent:writer"), "\(page)")
            #expect(page.contains(#"data-action="reverse""#))
            let refused = try await Self.ask(client, "small", writer)
            #expect(refused.status == 402 || refused.status == 429, "\(refused.status) \(refused.text)")
            #expect(try await Self.ask(client, "small", editor).status == 200)
            let id = try #require(made["id"]?.string)
            _ = try await client.post("/api/v1/containments/\(id)/reverse", key: operatorKey)
            try await Self.run(client, "containments.act", "budgets.exchange")
            #expect(try await Self.ask(client, "small", writer).status == 200)
        }
    }

    @Test("a runbook asks Reeve itself, isolates one agent, and keeps what it found", arguments: TestEngine.available)
    func runbook(_ engine: TestEngine) async throws {
        try await withApp(engine, configure: Self.configure) { client in
            let operatorKey = try await client.key(.operator_)
            for name in ["writer", "editor"] {
                _ = try await client.post("/api/v1/agents", ["name": .string(name)], key: operatorKey)
            }
            let incident = try await Self.fire("HighErrorRate", [("agent", "writer")], mode: nil, client)
            let started = try await client.post(
                "/api/v1/incidents/\(incident)/run", ["approve": true], key: operatorKey)
            #expect(started.status == 201 && started["runbook"] == "HighErrorRate", "\(started.text)")
            try await Self.run(client, "runbooks.run", "containments.act")
            let run = try await client.get("/api/v1/runs/\(started["id"]?.string ?? "")", key: operatorKey)
            let steps = try #require(run["steps"]?.array)
            // Nothing that it calls is out, so there is nothing to fall back from.
            let states = steps.prefix(6).compactMap { $0["state"]?.string }
            #expect(states == ["done", "done", "done", "done", "skipped", "done"], "\(run.text)")
            #expect(run["about"] == ["agent:writer"])
            #expect(steps[1]["evidence"]?["answer"]?["items"]?.array != nil)
            #expect(try await client.get("/api/v1/agents/writer", key: operatorKey)["status"] == "paused")
            #expect(try await client.get("/api/v1/agents/editor", key: operatorKey)["status"] != "paused")
            let runs = try await client.get("/api/v1/incidents/\(incident)/runs", key: operatorKey).items
            #expect(runs.count == 1)
            let audit = try await client.get("/api/v1/audit?limit=200", key: try await client.key(.admin)).text
            for action in ["runbook.started", "containment.approved", "containment.acted", "agent.paused"] {
                #expect(audit.contains(action), "\(action)")
            }
        }
    }

    @Test("all runbooks that Reeve ships ask what there is to be read")
    func shipped() async throws {
        try await withApp(configure: Self.configure) { client in
            let operatorKey = try await client.key(.operator_)
            _ = try await client.post("/api/v1/agents", ["name": "writer"], key: operatorKey)
            _ = try await client.post("/api/v1/tasks", ["type": "report"], key: operatorKey)
            _ = try await client.post(
                "/api/v1/tasks/claim", ["queues": ["default"], "agent": "writer", "limit": 1], key: operatorKey)
            let labels = [
                ("agent", "writer"), ("queue", "default"), ("task_type", "report"), ("provider", "main"),
                ("model", "small"), ("tool", "search"),
            ]
            let incident = try await Self.fire("Anything", labels, mode: nil, client)
            let names = RunbookLibrary.shipped.runbooks.map(\.name)
            for name in names {
                let body: JSONValue = ["runbook": .string(name), "approve": true]
                let started = try await client.post("/api/v1/incidents/\(incident)/run", body, key: operatorKey)
                #expect(started.status == 201, "\(started.text)")
            }
            try await Self.run(client, "runbooks.run", "containments.act", rounds: 4)
            let runs = try await client.get("/api/v1/incidents/\(incident)/runs?limit=100", key: operatorKey).items
            #expect(runs.count == names.count)
            for step in runs.flatMap({ $0["steps"]?.array ?? [] }) where step["kind"] == "diagnosis" {
                #expect(step["state"] == "done", "\(step.text)")
            }
        }
    }
}
