import Kernel
import TestSupport
import Testing

@testable import Control

/// Models, as an operator meets them.
@Suite("Models: page and interface")
struct ModelPageTests {
    /// Models as a test wants them.
    struct FixedModels: LiveModels {
        let all: [ModelStatus]
        func models() -> [ModelStatus] { all }
        func reset(model: String, target: String?) -> [String] { [] }
    }

    static func target(_ provider: String, _ change: (inout TargetStatus) -> Void = { _ in }) -> TargetStatus {
        var target = TargetStatus(provider: provider, model: "small-2026-01-01")
        target.prices = [("input", 150_000_000), ("output", 600_000_000)]
        change(&target)
        return target
    }

    static func ill(_ now: Timestamp) -> TargetStatus {
        target("main") { target in
            target.breaker = .open
            target.changedAt = now - .seconds(20)
            target.openUntil = now + .seconds(10)
            target.cause = "failures_in_row"
            target.lastFailure = "server_error"
            target.openings = 3
            target.recent = .init(
                calls: 8, failures: 6, latency50: .milliseconds(812), latency95: .milliseconds(1_400),
                firstToken50: .milliseconds(95))
            target.limits = [.init(kind: "tokens", limit: 200_000, remaining: 14_000)]
            target.limitsAt = now
            target.prices = []
        }
    }

    @Test("A page of models, with what is wrong first in sight")
    func page() async throws {
        let now = ManualTime().now
        let models = [
            ModelStatus(
                name: "gpt/mini", tier: "cheap", contextTokens: 128_000,
                targets: [Self.ill(now), Self.target("backup")]),
            ModelStatus(name: "lonely", targets: [Self.ill(now)]),
        ]
        try await PageFixture.with(models: FixedModels(all: models)) { fixture in
            let html = try await fixture.page("/models")
            #expect(html.contains("<h1>Models</h1><span class=\"sub\">2 models, 3 targets</span>"))
            #expect(html.contains("data-target=\"main/small-2026-01-01\" data-state=\"failed\""))
            #expect(html.contains("data-target=\"backup/small-2026-01-01\" data-state=\"done\""))
            #expect(html.contains("it failed several times in a row; the provider had an error; left alone for 10s"))
            #expect(html.contains("75 %") && html.contains("8 attempts"))
            #expect(html.contains("812 ms") && html.contains("95 % in 1.4 s") && html.contains("first words 95 ms"))
            #expect(html.contains("14.0k of 200.0k tokens") && html.contains("class=\"meter hot\""))
            #expect(html.contains("$0.15 / $0.60") && html.contains("128.0k context"))
            #expect(html.contains("href=\"/calls?model=gpt%2Fmini\""))
            #expect(html.contains("data-post=\"/api/v1/models/gpt%2Fmini/reset\""))
            #expect(html.contains("No target left") && html.contains("data-poll"))
            let viewer = try await fixture.page("/models", as: PageFixture.viewer)
            #expect(!viewer.contains("/reset"))
            #expect(viewer.contains("href=\"/models\" data-nav=\"models\" aria-current=\"page\""))
        }
    }

    @Test("It is seen that a model's tasks wait, and that they come back")
    func dispatch() async throws {
        let now = ManualTime().now
        let out = ModelDispatch(model: "out", state: .outage, share: 0, since: now - .minutes(3))
        let back = ModelDispatch(model: "back", state: .ramping, share: 0.25, since: now)
        let models = [
            ModelStatus(name: "out", dispatch: out, targets: [Self.ill(now)]),
            ModelStatus(name: "back", dispatch: back, targets: [Self.target("main")]),
            ModelStatus(name: "well", targets: [Self.target("main")]),
        ]
        try await PageFixture.with(models: FixedModels(all: models)) { fixture in
            let html = try await fixture.page("/models")
            #expect(html.contains("Outage for 3m: its tasks wait"))
            #expect(html.contains("Coming back: 25 % of the claims of its tasks go"))
            #expect(html.components(separatedBy: "data-dispatch").count == 3)
        }
        #expect(out.json == ["state": "outage", "share": 0.0, "since": (now - .minutes(3)).json])
    }

    @Test("Without models the page says how to get one")
    func empty() async throws {
        try await PageFixture.with { fixture in
            let html = try await fixture.page("/models")
            #expect(html.contains("No models yet") && html.contains("reeve mock-model --port 8099"))
        }
    }

    @Test("Many models come in pages")
    func pages() async throws {
        let models = (1...120).map { ModelStatus(name: "m\($0)", targets: [Self.target("main")]) }
        try await PageFixture.with(models: FixedModels(all: models)) { fixture in
            let first = try await fixture.page("/models")
            #expect(first.contains("data-model=\"m100\"") && !first.contains("data-model=\"m101\""))
            #expect(first.contains("href=\"/models?after=m100\""))
            let second = try await fixture.page("/models?after=m100")
            #expect(second.contains("data-model=\"m120\"") && !second.contains("rel=\"next\""))
        }
    }

    @Test("Text of settings and providers stays text")
    func escapes() async throws {
        let text = PageFixture.hostile
        let target = Self.target(text) { target in
            target.model = text
            target.cause = text
            target.lastFailure = text
            target.breaker = .halfOpen
            target.priceFrom = text
            target.limits = [.init(kind: text, limit: 1, remaining: 0)]
        }
        let model = ModelStatus(name: text, tier: text, targets: [target])
        try await PageFixture.with(models: FixedModels(all: [model])) { fixture in
            let html = try await fixture.page("/models")
            #expect(!html.contains("<script>") && !html.contains("<img") && !html.contains(" style="))
        }
    }

    static let rows: [APIScenario] = [
        APIScenario("no models", .get, "/api/v1/models", as: .viewer, expect: 200, contains: [#""items":[]"#]),
        APIScenario("nobody without a key", .get, "/api/v1/models", as: nil, expect: 401, "unauthenticated"),
        APIScenario("an ingest key reads no models", .get, "/api/v1/models", as: .ingest, expect: 403, "forbidden"),
        APIScenario("a model that is not there", .get, "/api/v1/models/x", as: .viewer, expect: 404, "not_found"),
        APIScenario("a cursor that is none", .get, "/api/v1/models?after=x", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "a viewer closes no breaker", .post, "/api/v1/models/x/reset", as: .viewer, "{}", expect: 403, "forbidden"),
        APIScenario(
            "no breaker of a model that is not there", .post, "/api/v1/models/x/reset", as: .operator_, "{}",
            expect: 404, "not_found"),
        APIScenario("no metrics without a key", .get, "/metrics", as: nil, expect: 401, "unauthenticated"),
        APIScenario("no metrics for an ingest key", .get, "/metrics", as: .ingest, expect: 403, "forbidden"),
        APIScenario(
            "metrics for a viewer", .get, "/metrics", as: .viewer, expect: 200,
            contains: [
                "# TYPE agent_tokens_consumed_total counter\n", "# TYPE agent_context_utilization_ratio gauge\n",
                "# TYPE gen_ai_client_operation_duration_seconds histogram\n", "\nreeve_store_up 1\n",
                "\nreeve_agents{status=\"idle\"} 0\n", "\nreeve_model_calls_in_flight 0\n",
                "\nreeve_http_connections 1\n",
            ]),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    @Test("Metrics of the house follow the store", arguments: TestEngine.available)
    func house(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let key = try await client.key(.admin)
            for title in ["one", "two"] {
                let reply = try await client.post(
                    "/api/v1/tasks", ["project": "p", "queue": "q\"\\1", "type": "t", "title": .string(title)], key: key
                )
                let plain = try await client.post(
                    "/api/v1/tasks", ["project": "p", "queue": "plain", "type": "t", "title": .string(title)], key: key)
                #expect(plain.status == 201 && [201, 422].contains(reply.status))
            }
            let reply = try await client.get("/metrics", key: key)
            #expect(reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
            #expect(reply.text.contains("\nreeve_queue_tasks{queue=\"plain\",state=\"ready\"} 2\n"))
            #expect(reply.text.contains("\nreeve_queue_oldest_ready_seconds{queue=\"plain\"} 0\n"))
            let events = try await client.lastSeq()
            #expect(reply.text.contains("\nreeve_events_total \(events)\n"))
        }
    }

    @Test("A call in OpenTelemetry's words, old and new")
    func attributes() throws {
        let call = Call(
            id: Identifier(World.test()), status: .failed, startedAt: Timestamp(microseconds: 0), agent: "ann",
            session: "s-1", door: "anthropic.messages", model: "claude", isStream: true,
            target: "azure/claude/haiku-20251001",
            usage: CallUsage(
                buckets: [
                    "input": 100, "cacheRead": 40, "cacheWrite5m": 7, "cacheWrite": 3, "output": 20, "reasoning": 30,
                ]), failure: "cut", ttftMs: 1_250, decision: ["provider": "azure.ai.openai"])
        #expect(
            CallAttributes.attributes(of: call).text
                == #"{"gen_ai.operation.name":"chat","gen_ai.provider.name":"azure.ai.openai","#
                + #""gen_ai.system":"az.ai.openai","gen_ai.request.model":"claude","gen_ai.request.stream":true,"#
                + #""gen_ai.response.model":"claude/haiku-20251001","error.type":"cut","gen_ai.agent.name":"ann","#
                + #""gen_ai.conversation.id":"s-1","gen_ai.response.time_to_first_chunk":1.25,"#
                + #""gen_ai.usage.input_tokens":150,"gen_ai.usage.output_tokens":50,"#
                + #""gen_ai.usage.cache_read.input_tokens":40,"gen_ai.usage.cache_creation.input_tokens":10,"#
                + #""gen_ai.usage.reasoning.output_tokens":30,"gen_ai.usage.prompt_tokens":150,"#
                + #""gen_ai.usage.completion_tokens":50}"#)
        var unasked = call
        unasked.decision = [:]
        unasked.target = nil
        unasked.usage = CallUsage()
        let words = CallAttributes.attributes(of: unasked)
        #expect(words["gen_ai.provider.name"] == nil && words["gen_ai.usage.input_tokens"] == nil)
        #expect(words["gen_ai.response.model"] == nil)
    }
}
