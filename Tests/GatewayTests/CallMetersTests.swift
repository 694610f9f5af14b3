import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// What is counted of calls that ended.
@Suite struct CallMetersTests {
    static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    static func settings() throws -> GatewaySettings {
        try GatewaySettings([
            "providers": ["main": ["kind": "openai", "baseURL": "http://127.0.0.1:1/v1"]],
            "models": [
                "mini": [
                    "tier": "cheap", "contextTokens": 1_000,
                    "targets": [["provider": "main", "model": "gpt-4o-mini-2024-07-18"]],
                ]
            ],
        ])
    }

    static func record(_ change: (inout CallRecord) -> Void = { _ in }) -> CallRecord {
        var record = CallRecord(
            id: "call_1", door: .chat, keyID: "key_1", correlationID: "c", startedAt: start)
        record.status = .done
        record.model = "mini"
        record.agent = "ann"
        record.provider = "openai"
        record.duration = .milliseconds(300)
        record.overhead = Span(microseconds: 80)
        record.attempts = [
            .init(
                target: "main/gpt-4o-mini-2024-07-18", startedAt: start, duration: .milliseconds(290), status: 200,
                failure: nil, reason: "first_choice")
        ]
        change(&record)
        return record
    }

    static func text(_ records: [CallRecord], at now: Timestamp = start, agent: String? = nil) throws -> String {
        let settings = try settings()
        var meters = CallMeters()
        let agents = AgentMeters(world: World(time: ManualTime(now), entropy: World.live.entropy))
        for record in records {
            let model = settings.resolve(record.model)
            meters.observe(record, model: model)
            agents.observe([AgentCall(record, model: model)])
        }
        var page = MetricPage(agent: agent)
        meters.collect(into: &page)
        agents.collect(into: &page)
        return String(decoding: MetricText.bytes(of: page), as: UTF8.self)
    }

    @Test("Each token is counted once over the types, and money exactly")
    func tokens() throws {
        let record = Self.record { record in
            record.usage = TokenUsage(
                buckets: TokenBuckets([
                    .input: 100, .cacheRead: 40, .cacheWrite5m: 7, .cacheWrite1h: 3, .output: 20, .reasoning: 30,
                ]))
            record.cost = NanoDollars(1_500)
        }
        let text = try Self.text([record, record])
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("agent_tokens_consumed_total{") }
        #expect(
            lines == [
                #"agent_tokens_consumed_total{model="mini",type="input",agent="ann"} 200"#,
                #"agent_tokens_consumed_total{model="mini",type="cache_read",agent="ann"} 80"#,
                #"agent_tokens_consumed_total{model="mini",type="cache_write",agent="ann"} 20"#,
                #"agent_tokens_consumed_total{model="mini",type="output",agent="ann"} 40"#,
                #"agent_tokens_consumed_total{model="mini",type="reasoning",agent="ann"} 60"#,
            ])
        #expect(text.contains(#"reeve_model_cost_dollars_total{model="mini",agent="ann"} 0.000003000"#))
        let labels =
            #"{gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_system="openai","#
            + #"gen_ai_request_model="mini""#
        #expect(text.contains("gen_ai_client_token_usage_sum\(labels),gen_ai_token_type=\"input\"} 300"))
        #expect(text.contains("gen_ai_client_token_usage_sum\(labels),gen_ai_token_type=\"output\"} 100"))
        #expect(text.contains("gen_ai_client_token_usage_bucket\(labels),gen_ai_token_type=\"input\",le=\"256\"} 2"))
        #expect(text.contains("gen_ai_client_operation_duration_seconds_count\(labels),error_type=\"\"} 2"))
    }

    @Test("Names that callers invent share one series")
    func inventedModels() throws {
        let records = (0..<5_000).map { number in
            Self.record { record in
                record.model = "invented-\(number)\"} 1"
                record.status = .failed
                record.failure = "model_not_found"
                record.attempts = []
                record.provider = nil
            }
        }
        let text = try Self.text(records)
        #expect(
            text.contains(
                #"reeve_model_calls_total{model="__other__",agent="ann",door="openai.chat",status="failed"} 5000"#))
        #expect(text.contains(#"reeve_model_call_errors_total{model="__other__",class="model_not_found"} 5000"#))
        #expect(!text.contains("invented"))
    }

    @Test("Thousands of agents stay within the bound of each metric")
    func manyAgents() throws {
        let records = (0..<8_000).map { number in
            Self.record { record in
                record.agent = "agent-\(number)"
                record.usage = TokenUsage(buckets: TokenBuckets([.input: 1, .output: 1]))
                record.cost = NanoDollars(1)
            }
        }
        let text = try Self.text(records)
        let lines = text.split(separator: "\n")
        for name in ["agent_tokens_consumed_total{", "reeve_model_cost_dollars_total{", "reeve_model_calls_total{"] {
            let series = lines.filter { $0.hasPrefix(name) }
            #expect(series.count <= 5_000)
            #expect(series.contains { $0.contains(#"agent="__other__""#) && $0.contains(#"model="mini""#) })
        }
        #expect(text.utf8.count < 4_000_000)
    }

    @Test("Why a call failed is a plain word, whatever its provider says")
    func hostileClasses() throws {
        let words = ["server_error", "Bad Word", "x\ny", "", String(repeating: "a", count: 41), "größe", "serverError"]
        let records = words.map { word in
            Self.record { record in
                record.status = .failed
                record.failure = word
            }
        }
        let lines = try Self.text(records).split(separator: "\n").filter {
            $0.hasPrefix("reeve_model_call_errors_total{")
        }
        #expect(
            lines == [
                #"reeve_model_call_errors_total{model="mini",class="server_error"} 2"#,
                #"reeve_model_call_errors_total{model="mini",class="__other__"} 5"#,
            ])
    }

    @Test("Attempts by what came of them, and retries by why")
    func attempts() throws {
        let failed = CallRecord.Attempt(
            target: "main/a", startedAt: Self.start, duration: .milliseconds(5), status: 500, failure: "server_error",
            reason: "first_choice")
        let answered = CallRecord.Attempt(
            target: "backup/b", startedAt: Self.start + .milliseconds(5), duration: .milliseconds(9), status: 200,
            failure: nil, reason: "next_target")
        let text = try Self.text([
            Self.record { $0.attempts = [failed, answered] },
            Self.record { record in
                record.attempts = [answered]
                record.status = .canceled
                record.failure = "client_left"
            },
        ])
        #expect(text.contains(#"reeve_model_attempts_total{target="main/a",result="server_error"} 1"#))
        #expect(text.contains(#"reeve_model_attempts_total{target="backup/b",result="ok"} 1"#))
        #expect(text.contains(#"reeve_model_attempts_total{target="backup/b",result="abandoned"} 1"#))
        #expect(text.contains(#"reeve_model_retries_total{model="mini",reason="next_target"} 1"#))
        #expect(text.contains(#"reeve_model_overhead_seconds_bucket{door="openai.chat",le="0.0001"} 2"#))
    }

    static func talk(_ session: String?, _ tokens: Int64, agent: String = "ann") -> CallRecord {
        record { record in
            record.session = session
            record.agent = agent
            record.usage = TokenUsage(buckets: TokenBuckets([.input: tokens - 100, .cacheRead: 100]))
        }
    }

    @Test("How full contexts are: the fullest open session's last call, by agent")
    func context() throws {
        let records = [
            Self.talk("s-1", 950), Self.talk("s-2", 900), Self.talk("s-1", 400), Self.talk(nil, 150),
            Self.talk("s-1", 500, agent: "bob"),
        ]
        let lines = try Self.text(records).split(separator: "\n")
        #expect(
            Set(lines.filter { $0.hasPrefix("agent_context_utilization_ratio{") }) == [
                #"agent_context_utilization_ratio{model="mini",agent="ann"} 0.9"#,
                #"agent_context_utilization_ratio{model="mini",agent="bob"} 0.5"#,
            ])
        #expect(
            lines.contains(
                #"agent_context_utilization_distribution_bucket{model="mini",agent="ann",le="0.9"} 3"#))
    }

    @Test("What agents' metrics hear of a call")
    func agentCall() throws {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        let record = Self.record { record in
            record.trace.traceparent = "00-\(trace)-00f067aa0ba902b7-01"
            record.session = "s"
            record.usage = TokenUsage(buckets: TokenBuckets([.input: 5, .cacheRead: 3, .output: 2, .reasoning: 1]))
            record.cost = NanoDollars(7)
        }
        let call = AgentCall(record, model: try Self.settings().resolve("mini"))
        #expect((call.agent, call.model, call.session) == ("ann", "mini", "s"))
        #expect(call.trace == TraceID(trace) && call.isTurn && call.contextTokens == 1_000 && call.nanoUSD == 7)
        #expect((call.inputTokens, call.outputTokens) == (8, 3))
        #expect(call.endedAt == Self.start + .milliseconds(300))
        let failed = AgentCall(Self.record { $0.status = .failed }, model: nil)
        #expect(!failed.isTurn && failed.model == "__other__" && failed.trace == nil && failed.tokens.isEmpty)
    }

    @Test("A target's last minutes, bounded in number and age")
    func history() {
        var history = TargetHistory()
        #expect(history.summary(at: Self.start) == TargetHistory.Summary())
        for number in 1...1_000 {
            history.record(
                .init(
                    at: Self.start, latency: .milliseconds(Int64(number)), firstToken: nil,
                    failure: number % 4 == 0 ? "server_error" : number % 4 == 1 ? "content_filter" : nil))
        }
        let summary = history.summary(at: Self.start + .minutes(9))
        #expect(summary.calls == 256)
        #expect(summary.failures == 64)
        #expect(summary.latency50 == .milliseconds(871))
        #expect(summary.latency95 == .milliseconds(987))
        #expect(history.summary(at: Self.start + .minutes(10)).calls == 0)
    }

    @Test(
        arguments: [
            ("https://api.openai.com/v1", "openai", "openai"),
            ("https://me.openai.azure.com/openai/deployments/x", "azure.ai.openai", "az.ai.openai"),
            ("https://api.groq.com/openai/v1", "groq", "groq"), ("https://api.x.ai/v1", "x_ai", "xai"),
            ("https://evilapi.x.ai.example/v1", "openai", "openai"), ("http://127.0.0.1:11434/v1", "openai", "openai"),
        ])
    func providersHaveTheConventionsNames(address: String, provider: String, system: String) throws {
        let settings = try GatewaySettings([
            "providers": ["p": ["kind": "openai", "baseURL": .string(address)]]
        ])
        let name = GenAIName.provider(try #require(settings.provider("p")))
        #expect(name == provider)
        #expect(GenAIName.system(ofProvider: name) == system)
    }
}
