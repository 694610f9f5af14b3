import Kernel
import NIOCore
import Telemetry
import TestSupport
import Testing

@testable import Gateway

/// Answers that another model judges: what is shown to it, what counts as a score, how many wait.
@Suite struct JudgeTests {
    private func settings(_ judge: JSONValue, names: [String] = ["mini", "wise"]) throws -> GatewaySettings {
        let target: JSONValue = [["provider": "main", "model": "gpt-4o-mini-2024-07-18"]]
        var models = JSONObject()
        for name in names { models[name] = ["targets": target] }
        models["judged"] = ["targets": target, "quality": ["judge": judge]]
        return try GatewaySettings([
            "providers": ["main": ["kind": "openai", "baseURL": "http://127.0.0.1:1/v1"]], "models": .object(models),
        ])
    }

    private func judge(_ judge: JSONValue) throws -> JudgeSettings {
        try #require(try settings(judge).model("judged")?.quality?.judge)
    }

    private func answer(_ number: Int) throws -> JudgeCase {
        let catalogue = try settings(["model": "wise"])
        let model = try #require(catalogue.model("judged"))
        let provider = try #require(catalogue.provider("main"))
        let state = TargetState(
            model.targets[0], provider: provider, providerNumber: 0, model: model, world: .test())
        return JudgeCase(
            call: "call_\(number)", model: "judged", correlationID: "c", target: state,
            settings: try #require(model.quality?.judge), question: "why?", answer: "because")
    }

    @Test("A judge alone is enough of a rule, and its settings are within bounds")
    func bounds() throws {
        let usual = try judge(["model": "wise"])
        #expect(usual.share == 0.05)
        #expect(usual.threshold == nil)
        #expect(usual.agent == "reeve")
        #expect(usual.outputTokensMax == 256)
        let own = try judge([
            "model": "wise", "prompt": "Be strict.", "share": 1, "threshold": 0.6, "agent": "grader", "maxTokens": 9,
        ])
        #expect(own.prompt == "Be strict.")
        #expect(own.threshold == 0.6)
        #expect(own.agent == "grader")
        for odd: JSONValue in [
            [:], ["model": "nobody"], ["model": "wise", "share": 0], ["model": "wise", "share": 1.1],
            ["model": "wise", "threshold": 2], ["model": "wise", "agent": "a b"], ["model": "wise", "maxTokens": 0],
            ["model": "wise", "prompt": .string(String(repeating: "x", count: 8_001))], ["model": "wise", "odd": 1],
        ] {
            #expect(throws: Problem.self) { _ = try settings(odd) }
        }
    }

    @Test(
        "A score is a number from 0 to 1, and nothing else is",
        arguments: [
            ("0.8", 0.8), ("1", 1), ("0", 0), (" 1.0\n", 1), (#"{"score": 0.25}"#, 0.25), ("8e-1", 0.8), ("1.01", nil),
            ("-0.1", nil), ("", nil), ("0.8 of 1", nil), ("Score: 0.8", nil), ("\"0.8\"", nil), ("null", nil),
            (#"{"score": "1"}"#, nil), (#"{"score": 1, "why": "ok"}"#, nil), (#"{"grade": 1}"#, nil), ("[1]", nil),
            ("0.8\n0.9", nil), ("NaN", nil), ("true", nil),
        ] as [(String, Double?)])
    func scores(_ text: String, _ expected: Double?) {
        #expect(JudgeCase.score(text) == expected)
    }

    @Test("What the judge is shown is data in JSON, of a bounded length")
    func shown() throws {
        let document = try JSONParser.parse(try answer(1).body)
        #expect(document["model"]?.string == "wise")
        #expect(document["max_completion_tokens"]?.int == 256)
        let messages = try #require(document["messages"]?.array)
        #expect(messages.map { $0["role"]?.string } == ["system", "user"])
        #expect(messages[1]["content"]?.string == #"{"question":"why?","answer":"because"}"#)
        let long = String(repeating: "a", count: 20_000) + "END"
        let clipped = JudgeCase.clipped(long)
        #expect(clipped.utf8.count < 16 << 10 + 32)
        #expect(clipped.hasPrefix("aaa") && clipped.hasSuffix("END") && clipped.contains("[…]"))
        #expect(JudgeCase.clipped("short") == "short")
    }

    @Test("The question is the last thing that a user said")
    func question() throws {
        let document: JSONValue = [
            "model": "m",
            "messages": [
                ["role": "system", "content": "Be brief."], ["role": "user", "content": "first"],
                ["role": "assistant", "content": "yes"],
                ["role": "user", "content": [["type": "text", "text": "a"], ["type": "text", "text": "b"]]],
                ["role": "assistant", "content": "no"],
            ],
        ]
        #expect(JudgeCase.question(of: try Dialect.chat.readRequest(document)) == "a\nb")
    }

    @Test("So many are asked at once, so many wait, and what is more is dropped and counted")
    func desk() throws {
        let desk = JudgeDesk()
        let first = try answer(0)
        func verdict(_ score: Double) -> Judgement {
            Judgement(call: "call_0", outcome: .scored, score: score, model: "wise", judgeCall: nil)
        }
        for _ in 0..<4 { #expect(desk.submit(first)?.call == "call_0") }
        let next = try answer(1)
        for _ in 0..<201 { #expect(desk.submit(next) == nil) }
        #expect(desk.counts == (waiting: 200, running: 4, verdicts: 0))
        for _ in 0..<200 { #expect(desk.finished(first, verdict(0.3))?.call == "call_1") }
        for _ in 0..<4 { #expect(desk.finished(first, verdict(1)) == nil) }
        #expect(desk.counts == (waiting: 0, running: 0, verdicts: 204))
        #expect(desk.takeVerdicts().count == 204)
        #expect(desk.takeVerdicts().isEmpty)
        var page = MetricPage()
        desk.collect(into: &page)
        let shown = String(decoding: MetricText.bytes(of: page), as: UTF8.self)
        #expect(shown.contains(#"reeve_gateway_judged_answers_total{model="judged",outcome="dropped"} 1"#))
        #expect(shown.contains(#"reeve_gateway_judged_answers_total{model="judged",outcome="scored"} 204"#))
        #expect(shown.contains(#"reeve_gateway_judge_score_bucket{model="judged",le="0.3"} 200"#))
        #expect(shown.contains("reeve_gateway_judge_waiting 0"))
    }

    @Test("Verdicts that nobody writes down are bounded; the oldest go")
    func verdicts() {
        let desk = JudgeDesk()
        desk.giveBack(
            (0..<5_001).map {
                Judgement(call: "call_\($0)", outcome: .failed, score: nil, model: "wise", judgeCall: nil)
            })
        let kept = desk.takeVerdicts()
        #expect(kept.count == 5_000)
        #expect(kept.first?.call == "call_1")
    }

    @Test("What came of asking a judge")
    func outcomes() throws {
        let judged = try answer(1)
        func outcome(_ status: Int, _ text: String) -> Judgement.Outcome {
            ModelGateway.judgement(of: judged, status: status, call: nil, body: ByteBuffer(string: text)).outcome
        }
        let said = #"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"0.5"}}]}"#
        #expect(outcome(200, said) == .scored)
        #expect(outcome(200, said.replacing("0.5", with: "good")) == .unreadable)
        #expect(outcome(200, "no json") == .unreadable)
        #expect(outcome(402, "{}") == .refused)
        #expect(outcome(500, said) == .failed)
    }

    @Test("A judge's few scores are not drowned by the rules' many")
    func breaker() {
        var rules = Breaker.Rules()
        rules.qualityMin = 0.5
        rules.judgedMin = 0.6
        var breaker = Breaker(rules)
        let now = Timestamp(microseconds: 1_700_000_000_000_000)
        for round in 0..<9 {
            for _ in 0..<20 { breaker.record(quality: 1, at: now) }
            breaker.record(quality: 0.5, by: .judge, at: now)
            #expect(breaker.snapshot(at: now).state == .closed, "after \(round + 1) scores")
        }
        breaker.record(quality: 0.5, by: .judge, at: now)
        #expect(breaker.snapshot(at: now).state == .open)
        #expect(breaker.snapshot(at: now).cause == .quality)
    }
}
