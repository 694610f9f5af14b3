import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Pages of calls and costs")
struct CallPageTests {
    private struct Running: LiveCalls {
        let calls: [Call]
        func running() -> [Call] { calls }
        func running(_ id: Identifier<Call>) -> Call? { calls.first { $0.id == id } }
    }

    private func call(_ world: World, _ change: (inout Call) -> Void = { _ in }) -> Call {
        var call = Call(
            id: Identifier(world), status: .done, startedAt: world.now, agent: "writer", project: "books",
            taskID: "task_1", door: "openai.chat", model: "small", target: "main/small-2026-01-01",
            usage: CallUsage(raw: ["prompt_tokens": 10], buckets: ["input": 10, "output": 5]),
            cost: CallCost(nanoUSD: 1_230_000, priceFrom: "2026-01-01"), durationMs: 1_234)
        change(&call)
        return call
    }

    private func record(_ calls: [Call], _ fixture: PageFixture) async throws {
        try await fixture.storage.write { [service = fixture.calls] in _ = try service.record(calls, in: $0) }
    }

    @Test("Empty pages say what fills them")
    func empty() async throws {
        try await PageFixture.with { fixture in
            let calls = try await fixture.page("/calls")
            #expect(calls.contains("No calls yet"))
            #expect(calls.contains("curl -X POST http://127.0.0.1:7070/v1/chat/completions"))
            #expect(try await fixture.page("/calls?status=failed").contains("No call is like that"))
            let costs = try await fixture.page("/costs")
            #expect(costs.contains("Nothing was spent in these days") && costs.contains("price: {input: 0.15"))
            #expect(!costs.contains("data-chart"))
        }
    }

    @Test("The list shows what runs and what ended")
    func list() async throws {
        let world = World.test(seed: 5)
        let alive = call(world) { call in
            call.status = .running
            call.durationMs = nil
            call.cost = nil
        }
        try await PageFixture.with(live: Running(calls: [alive])) { fixture in
            let failed = call(fixture.world) { call in
                call.status = .failed
                call.failure = "rate_limited"
                call.usage.isEstimated = true
            }
            try await record([call(fixture.world), failed], fixture)
            let html = try await fixture.page("/calls")
            #expect(html.contains("id=\"row-\(alive.id)\" data-call=\"\(alive.id)\" data-state=\"running\""))
            #expect(html.contains("data-state=\"done\"") && html.contains("data-state=\"failed\""))
            #expect(html.contains("the provider limits the rate"))
            #expect(html.contains("1.2 s") && html.contains("$0.0012") && html.contains("≈ "))
            #expect(html.contains("<h1>Calls</h1><span class=\"sub\">1 running</span>"))
            #expect(html.contains("href=\"/tasks/task_1\"") && html.contains("data-poll"))
            let filtered = try await fixture.page("/calls?status=failed&agent=writer")
            #expect(filtered.contains("id=\"row-\(failed.id)\"") && !filtered.contains("id=\"row-\(alive.id)\""))
            #expect(filtered.contains("href=\"/calls?status=done&amp;agent=writer\""))
            let page = try await fixture.page("/calls?limit=2")
            #expect(page.contains("rel=\"next\""))
            _ = try await fixture.page("/calls?status=nonsense", status: 422)
            _ = try await fixture.page("/calls?after=nonsense", status: 422)
        }
    }

    @Test("One call, with its attempts and why")
    func detail() async throws {
        try await PageFixture.with { fixture in
            let call = call(fixture.world) { call in
                call.attempts = [
                    CallAttempt(
                        target: "main/small", startedAt: call.startedAt, durationMs: 30, status: 500,
                        failure: "server_error"),
                    CallAttempt(
                        target: "backup/small", startedAt: call.startedAt + .milliseconds(31), durationMs: 80,
                        status: 200, costNanoUSD: 1_230_000),
                ]
                call.decision = ["candidates": [["target": "main/small", "breaker": "closed"]]]
            }
            try await record([call], fixture)
            let html = try await fixture.page("/calls/\(call.id)")
            #expect(html.contains("main/small was a candidate: its breaker was closed."))
            #expect(html.contains("data-attempt=\"1\" data-state=\"failed\""))
            #expect(html.contains("data-attempt=\"2\" data-state=\"done\""))
            #expect(html.contains("<b id=\"call-cost\">$0.00123</b>"))
            #expect(html.contains("&quot;prompt_tokens&quot;: 10") && html.contains("id=\"call-decision\""))
            #expect(!html.contains("data-poll"))
            _ = try await fixture.page("/calls/call_x", status: 404)
            _ = try await fixture.page("/calls/\(call.id)", as: PageFixture.agent("reader"), status: 404)
        }
    }

    @Test("Costs by each dimension, with a chart and a download", arguments: CostDimension.allCases)
    func costs(_ dimension: CostDimension) async throws {
        try await PageFixture.with { fixture in
            let names = ["writer", "reader", "a", "b", "c", "d", "e"]
            try await record(
                names.enumerated().map { index, name in
                    call(fixture.world) { call in
                        call.agent = name
                        call.tags = ["night"]
                        call.cost = CallCost(nanoUSD: Int64(index + 1) * 1_000_000_000)
                        call.status = name == "writer" ? .failed : .done
                    }
                }, fixture)
            let html = try await fixture.page("/costs?by=\(dimension.rawValue)&days=7")
            #expect(html.contains("data-row") && html.contains("data-chart="))
            #expect(html.contains("$28.00"))
            #expect(html.contains("&quot;unit&quot;:&quot;usd&quot;"))
            #expect(html.contains("by=\(dimension.rawValue)&amp;since=2026-11-14&amp;until=2026-11-20&amp;format=csv"))
            #expect(html.contains("2026-11-14 to 2026-11-20 (UTC)"))
            #expect(html.contains("data-number=\"lost\""))
            if dimension == .agent {
                #expect(html.contains("href=\"/agents/writer\"") && html.contains("href=\"/calls?agent=e\""))
                #expect(html.contains("&quot;Others&quot;"))
            }
        }
    }

    @Test("What an address may ask for, and what not")
    func addresses() async throws {
        try await PageFixture.with { fixture in
            try await record([call(fixture.world)], fixture)
            let filtered = try await fixture.page("/costs?by=model&agent=writer&days=1")
            #expect(filtered.contains("$0.0012") && filtered.contains("href=\"/costs?by=model&amp;days=1\""))
            #expect(try await fixture.page("/costs?by=agent&agent=nobody").contains("Nothing was spent like that"))
            try await record(
                [call(fixture.world) { $0.startedAt = fixture.world.now - .hours(24) }], fixture)
            let days = try await fixture.page("/costs?by=day")
            let newest = try #require(days.range(of: "data-cost=\"2026-11-20\""))
            #expect(newest.lowerBound < (try #require(days.range(of: "data-cost=\"2026-11-19\""))).lowerBound)
            let day = try await fixture.page("/costs?since=2026-11-20&until=2026-11-20")
            #expect(day.contains("2026-11-20 (UTC)") && day.contains("since=2026-11-20"))
            // The model's filter stays in the form of pages that know models, and harms no other.
            #expect(try await fixture.page("/costs?by=task&model=small").contains("task_1"))
            for bad in ["days=0", "days=x", "days=401", "by=x", "since=x", "after=x", "since=2026-11-21"] {
                _ = try await fixture.page("/costs?\(bad)", status: 422)
            }
            _ = try await fixture.page("/costs?since=1970-01-01&until=9999-12-31")
            _ = try await fixture.page("/costs", as: PageFixture.agent("reader"))
        }
    }

    @Test("Text of agents stays text")
    func escapes() async throws {
        try await PageFixture.with { fixture in
            let text = PageFixture.hostile
            let call = call(fixture.world) { call in
                call.agent = text
                call.project = text
                call.taskID = text
                call.session = text
                call.tags = [text]
                call.door = text
                call.model = text
                call.target = text
                call.status = .failed
                call.failure = text
                call.refusal = CallRefusal(scope: text, code: text, detail: text)
                call.attempts = [CallAttempt(target: text, startedAt: call.startedAt, failure: text)]
                call.usage.raw = .string(text)
                call.decision = ["candidates": [["target": .string(text), "reason": .string(text)]]]
            }
            try await record([call], fixture)
            for path in [
                "/calls", "/calls/\(call.id)", "/costs", "/costs?by=model", "/costs?by=tag", "/costs?by=task",
                "/costs?agent=%3Cscript%3E&by=day", "/calls?model=%22%3E%3Cscript%3E",
            ] {
                let html = try await fixture.page(path)
                #expect(!html.contains("<script>") && !html.contains("<img"), "\(path)")
                #expect(!html.contains(" style=") && !html.contains("javascript:"), "\(path)")
            }
        }
    }
}
