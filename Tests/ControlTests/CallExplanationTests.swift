import Kernel
import TestSupport
import Testing

@testable import Control

@Suite struct CallExplanationTests {
    private static let start = Timestamp(microseconds: 1_795_161_600_000_000)

    private func call(_ change: (inout Call) -> Void = { _ in }) -> Call {
        var call = Call(
            id: Identifier(stored: "call_1"), status: .done, startedAt: Self.start, agent: "writer",
            door: "openai.chat", model: "small", target: "main/small-2026-01-01", durationMs: 120)
        change(&call)
        return call
    }

    private func texts(_ call: Call) -> [String] { CallExplanation(call).steps.map(\.text) }

    @Test("A call without anything special")
    func plain() {
        #expect(
            texts(call()) == [
                #"The agent "writer" asked for "small" through openai.chat."#,
                "main/small-2026-01-01 answered after 120 ms.",
            ])
    }

    @Test("Fallback, holds, cost and a price that came later")
    func rich() {
        let call = call { call in
            call.taskID = "task_1"
            call.tier = "cheap"
            call.isStream = true
            call.holds = [
                CallHold(scope: "org", nanoUSD: 20_000_000), CallHold(scope: "agent:writer", tokens: 900),
                CallHold(scope: "key:key_1"),
            ]
            call.attempts = [
                CallAttempt(
                    target: "main/small", startedAt: Self.start + .milliseconds(2), durationMs: 30, status: 500,
                    failure: "server_error", costNanoUSD: 230_000),
                CallAttempt(
                    target: "backup/small", startedAt: Self.start + .milliseconds(35), durationMs: 80, status: 200,
                    costNanoUSD: 1_000_000),
            ]
            call.target = "backup/small"
            call.usage = CallUsage(buckets: ["input": 1_200, "output": 34, "reasoning": 6], isEstimated: true)
            call.cost = CallCost(nanoUSD: 1_230_000, priceFrom: "2026-01-01")
            call.bookedCost = CallCost(nanoUSD: 1_000_000_000)
            call.repricedAt = Self.start
            call.ttftMs = 40
            call.overheadMicroseconds = 85
            call.decision = [
                "candidates": [
                    ["target": "main/small", "breaker": "closed"],
                    ["target": "backup/small", "breaker": "open", "reason": "limited"], ["odd": 1],
                ]
            ]
        }
        #expect(
            texts(call) == [
                #"The agent "writer" asked for "small" (tier cheap) through openai.chat, as a stream "#
                    + "for the task task_1.",
                "main/small was a candidate: its breaker was closed.",
                "backup/small was a candidate: its breaker was open, its provider asked to be left alone for a while.",
                "Reserved before it was sent: org up to $0.0200; agent:writer up to 900 tokens; key:key_1 one call.",
                "Attempt 1, at main/small, failed after 30 ms with 500: the provider had an error.",
                "Attempt 2, at backup/small, answered after 80 ms with 200.",
                "It used 1,240 tokens: 1,200 input, 34 output, 6 reasoning. "
                    + "The provider did not say so: this is an estimate.",
                "It cost $0.00123, by the prices from 2026-01-01. "
                    + "It was priced anew on 2026-11-20; booked was $1.00. "
                    + "Of that went to attempt 1 $0.00023, attempt 2 $0.001.",
                "backup/small answered at attempt 2 after 120 ms, the first words after 40 ms. "
                    + "Reeve's own part of that: 85 µs.",
            ])
        #expect(CallExplanation(call).steps.map(\.afterMs) == [0, nil, nil, nil, 2, 35, nil, nil, 120])
    }

    @Test("The recorded steps are put in words, unknown ones as they are")
    func recorded() {
        let call = call { call in
            call.status = .failed
            call.failure = "no_such_word"
            call.httpStatus = 503
            call.decision = [
                "steps": [
                    [
                        "at": .string((Self.start + .milliseconds(1)).rfc3339), "kind": "attempt", "target": "a",
                        "reason": "first_choice",
                    ],
                    [
                        "at": .string((Self.start + .milliseconds(9)).rfc3339), "kind": "failure", "target": "a",
                        "failure": "silent",
                    ],
                    ["kind": "wait", "waitMs": 250, "reason": "retry_after_waited"],
                    ["kind": "skip", "target": "b", "reason": "breaker_open"],
                    ["kind": "new_kind", "reason": "new_reason"],
                    ["kind": "give_up", "reason": "no_target_left"], ["kind": 7], "odd", nil_,
                ]
            ]
        }
        #expect(
            texts(call).dropFirst().dropLast() == [
                "Sent to a: the first of the model's targets.", "a failed: nothing came before the deadline.",
                "Waited 250 ms: the provider asked for this wait.", "Passed over b: its breaker is open.",
                "New kind: new reason.", "Gave up: no target is left.",
            ])
        #expect(CallExplanation(call).summary == "It failed after 120 ms: no such word. The caller got 503.")
    }

    private var nil_: JSONValue { .null }

    @Test(
        arguments: [
            (Call.Status.running, nil, nil, "It is under way."),
            (.canceled, nil, nil, "It was canceled after 120 ms."),
            (.failed, "budget_exceeded", "org", "The budget org refused it."),
            (.failed, nil, nil, "It failed after 120 ms."),
        ] as [(Call.Status, String?, String?, String)])
    func endings(_ status: Call.Status, _ failure: String?, _ scope: String?, _ text: String) {
        let call = call { call in
            call.status = status
            call.failure = failure
            call.refusal = scope.map { CallRefusal(scope: $0, code: "budget_exceeded", detail: "ask olga") }
        }
        #expect(CallExplanation(call).summary == text)
        if scope != nil { #expect(texts(call).contains("The budget org refused it: ask olga")) }
    }

    @Test(arguments: [
        ("hit", "The same call was answered before: the cache gave that answer. That saved $0.0012."),
        ("miss", "The cache had no answer to the same call."),
        ("shared", "The same call was under way: both got its answer. That saved $0.0012."),
        ("stale", "The cache said: stale. That saved $0.0012."),
    ])
    func caches(_ verdict: String, _ text: String) {
        let call = call { call in
            call.cache = verdict
            call.savedNanoUSD = 1_230_000
        }
        #expect(texts(call).contains(text))
    }

    @Test("An unknown price is no cost of nothing")
    func unknownPrice() {
        let call = call { $0.usage = CallUsage(buckets: ["input": 1]) }
        #expect(texts(call).contains("What it cost is not known: there is no price for what it used."))
        #expect(call.json["cost"] == JSONValue.null)
        let free = self.call { $0.cost = CallCost(nanoUSD: 0) }
        #expect(texts(free).contains("It cost $0.00."))
    }

    @Test("A long record is bounded in words")
    func bounded() {
        let step: JSONValue = ["kind": "skip", "target": "b"]
        let call = call { $0.decision = ["steps": .array(Array(repeating: step, count: 5_000))] }
        #expect(texts(call).count == 202)
    }

    @Test("The data is beside the words")
    func document() {
        let call = call { $0.decision = ["priceVersion": "v7", "other": [1]] }
        let json = CallExplanation(call).json
        #expect(json["decision"] == ["priceVersion": "v7", "other": [1]])
        #expect(json["status"] == "done")
        #expect(
            json["steps"]?.array?.first == [
                "afterMs": 0, "kind": "asked", "text": #"The agent "writer" asked for "small" through openai.chat."#,
            ])
    }
}
