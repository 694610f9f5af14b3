import Control
import Kernel
import Server
import Telemetry
import TestSupport
import Testing

/// What each mode of failure comes to over HTTP, from its alert to what the agents, tasks and models notice, beside an
/// agent that is well and is left at its work.
@Suite("The nine modes of failure over HTTP")
struct ContainmentModesScenarioTests {
    struct Row: CustomTestStringConvertible {
        let mode: FailureMode
        let labels: [(String, String)]
        let actions: [String]
        /// Steps whose part is not there yet.
        var absent: [String] = []
        var isPaused = false
        /// Whether the task in hand is taken from the one that fails.
        var isTaken = false
        /// What of the graph is held: `in hand`, `next`, `last`.
        var held: [String] = []

        var testDescription: String { mode.rawValue }
    }

    static let rows: [Row] = [
        Row(
            mode: .llmOutage, labels: [("provider", "main")], actions: ["pauseDispatch", "useFallback", "openBreaker"]),
        Row(mode: .modelDegradation, labels: [("model", "small")], actions: ["useFallback", "openBreaker"]),
        Row(
            mode: .infiniteLoop, labels: [("agent", "faulty")],
            actions: ["holdTask", "pauseAgent", "killProcess", "reassign"], isPaused: true, isTaken: true,
            held: ["in hand"]),
        Row(
            mode: .cascadingFailure, labels: [("agent", "faulty")], actions: ["holdDownstream", "pauseAgent"],
            isPaused: true, held: ["next", "last"]),
        Row(
            mode: .staleContext, labels: [("agent", "faulty")], actions: ["pauseAgent", "clearContext"],
            absent: ["clearContext"], isPaused: true),
        Row(
            mode: .contextPoisoning, labels: [("agent", "faulty"), ("session", "s1")],
            actions: ["quarantineSession", "restoreContext"], absent: ["quarantineSession", "restoreContext"]),
        Row(
            mode: .memoryCorruption, labels: [("agent", "faulty"), ("operation", "write")],
            actions: ["memoryReadOnly", "offerMemoryRestore"], absent: ["memoryReadOnly", "offerMemoryRestore"]),
        Row(
            mode: .silentDrift, labels: [("model", "small")], actions: ["goldenSetRun", "pinBack"],
            absent: ["goldenSetRun", "pinBack"]),
        Row(mode: .budgetRunaway, labels: [("scope", "agent:faulty"), ("agent", "faulty")], actions: ["cutBudget"]),
    ]

    private struct Bench {
        let client: AppClient
        let key: String
        var ids: [String: String] = [:]

        init(_ client: AppClient) async throws {
            self.client = client
            key = try await client.key(.operator_)
            for name in ["faulty", "healthy"] {
                _ = try await client.post("/api/v1/agents", ["name": .string(name)], key: key)
            }
            var before: String?
            for name in ["in hand", "next", "last"] {
                var draft = JSONObject()
                draft.append("title", .string(name))
                draft.append("queue", "faulty")
                if let before { draft.append("dependsOn", .list([before])) }
                let made = try await client.post("/api/v1/tasks", .object(draft), key: key)
                before = made["id"]?.string
                ids[name] = try #require(before, "\(made.text)")
            }
            let other = try await client.post("/api/v1/tasks", ["title": "well", "queue": "healthy"], key: key)
            ids["well"] = try #require(other["id"]?.string)
            for name in ["faulty", "healthy"] { #expect(try await claim(name, name) == 1) }
        }

        func claim(_ queue: String, _ agent: String) async throws -> Int {
            try await client.post(
                "/api/v1/tasks/claim", ["queues": [.string(queue)], "agent": .string(agent), "limit": 5], key: key
            )["items"]?.array?.count ?? 0
        }

        func task(_ name: String) async throws -> AppReply {
            try await client.get("/api/v1/tasks/\(ids[name] ?? "")", key: key)
        }

        func isPaused(_ agent: String) async throws -> Bool {
            try await client.get("/api/v1/agents/\(agent)", key: key)["status"] == "paused"
        }

        func held() async throws -> [String] {
            var held: [String] = []
            for name in ["in hand", "next", "last", "well"] where try await task(name)["holds"]?.array?.isEmpty == false
            {
                held.append(name)
            }
            return held
        }
    }

    @Test("contained, with real effects, without touching who is well, and taken back", arguments: rows)
    func contained(_ row: Row) async throws {
        try await withApp(configure: ContainmentScenarioTests.configure) { client in
            let bench = try await Bench(client)
            let (before, well) = (try await bench.task("in hand"), try await bench.task("well"))
            let incident = try await ContainmentScenarioTests.fire("Anything", row.labels, mode: row.mode, client)
            let plan = try #require(
                try await client.get("/api/v1/incidents/\(incident)/containments", key: bench.key).items.first)
            #expect(plan["mode"]?.string == row.mode.rawValue && plan["state"] == "proposed")
            let steps = plan["steps"]?.array ?? []
            #expect(steps.compactMap { $0["action"]?.string } == row.actions)
            let one = "/api/v1/containments/\(plan["id"]?.string ?? "")"
            let preview = try await client.get("\(one)/preview", key: bench.key)
            let unavailable = preview["steps"]?.array?.filter { $0["available"] == false } ?? []
            #expect(unavailable.compactMap { $0["action"]?.string } == row.absent)
            #expect(unavailable.allSatisfy { $0["missing"]?.string?.contains("yet") == true })
            let viewer = try await client.key(.viewer)
            #expect(try await client.post("\(one)/approve", key: viewer).status == 403)
            #expect(try await client.post("\(one)/approve", key: bench.key)["state"] == "acting")
            try await ContainmentScenarioTests.run(client, "containments.act", "gateway.containment")
            let done = try await client.get(one, key: bench.key)
            let acts = row.actions.count > row.absent.count
            #expect(done["state"] == (acts ? "acted" : "failed"), "\(done.text)")
            for step in done["steps"]?.array ?? [] {
                let isAbsent = row.absent.contains(step["action"]?.string ?? "")
                #expect(step["state"] == (isAbsent ? "unavailable" : "done"), "\(step.text)")
            }
            try await expect(row, bench, before)
            // Who is well goes on with what it has.
            let after = try await bench.task("well")
            #expect(after["fence"] == well["fence"] && after["state"] == well["state"])
            #expect(try await !bench.isPaused("healthy"))
            guard acts else { return }
            #expect(try await client.post("\(one)/reverse", key: bench.key)["state"] == "reversing")
            try await ContainmentScenarioTests.run(client, "containments.act", "gateway.containment")
            #expect(try await client.get(one, key: bench.key)["state"] == "reversed")
            #expect(try await bench.held().isEmpty)
            #expect(try await !bench.isPaused("faulty"))
        }
    }

    /// What agents, tasks, budgets and models notice.
    private func expect(_ row: Row, _ bench: Bench, _ before: AppReply) async throws {
        #expect(try await bench.isPaused("faulty") == row.isPaused)
        #expect(try await bench.held() == row.held)
        let now = try await bench.task("in hand")
        #expect((now["fence"] != before["fence"]) == row.isTaken, "\(now.text)")
        if row.isTaken {
            #expect(now["state"] == "ready")
            #expect(try await bench.claim("faulty", "healthy") == 0, "it is held")
        }
        let budget = try await bench.client.get("/api/v1/budgets/agent:faulty", key: bench.key)
        #expect((budget.status == 200) == (row.mode == .budgetRunaway), "\(budget.text)")
        let small = try await bench.client.get("/api/v1/models/small", key: bench.key)
        let breaker = small["targets"]?.array?.first?["breaker"]?["cause"]
        #expect((breaker == "ordered") == (row.mode == .llmOutage || row.mode == .modelDegradation), "\(small.text)")
    }
}
