import Kernel
import Telemetry
import Testing

@testable import Gateway

@Suite("Calls as spans")
struct CallSpansTests {
    private static let start = Timestamp(microseconds: 1_700_000_000_000_000)
    private static let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    private static func record(_ change: (inout CallRecord) -> Void = { _ in }) -> CallRecord {
        var record = CallRecord(
            id: "call_1", door: .chat, agent: "clerk", keyID: "key_1", correlationID: "order-17", startedAt: start)
        record.model = "mini"
        record.status = .done
        record.duration = .milliseconds(300)
        record.httpStatus = 200
        record.trace = CallTrace(traceparent: caller, hasParent: true)
        change(&record)
        return record
    }

    private static func attempt(_ target: String, _ failure: String? = nil, at offset: Int64 = 0) -> CallRecord.Attempt
    {
        CallRecord.Attempt(
            target: target, startedAt: start + .milliseconds(offset), duration: .milliseconds(100),
            status: failure == nil ? 200 : 429, failure: failure, reason: "first")
    }

    private static func text(_ span: OwnSpan, _ name: String) -> String? {
        span.attributes.first { $0.name == name }?.value.string
    }

    private static func count(_ span: OwnSpan, _ name: String) -> Int64? {
        span.attributes.first { $0.name == name }?.value.int
    }

    @Test("a call hangs below its caller, its attempts below it, and only it has the tokens")
    func tree() throws {
        let record = Self.record { record in
            record.attempts = [Self.attempt("main/gpt", "rate_limited"), Self.attempt("backup/claude", at: 150)]
            record.target = "backup/claude"
            record.provider = "anthropic"
            record.usage = TokenUsage(
                buckets: TokenBuckets([.input: 60, .cacheRead: 30, .cacheWrite5m: 10, .output: 15, .reasoning: 5]),
                isEstimated: false)
        }
        let spans = record.spans
        #expect(spans.map(\.name) == ["chat mini", "attempt main/gpt", "attempt backup/claude"])
        let call = try #require(spans.first)
        #expect(call.parentID?.description == "00f067aa0ba902b7")
        #expect(spans.dropFirst().allSatisfy { $0.parentID == call.context.spanID })
        #expect(Set(spans.map(\.context.spanID)).count == 3)
        #expect(Set(spans.map(\.context.traceID.description)) == ["4bf92f3577b34da6a3ce929d0e0e4736"])
        // Whole sums, as OpenTelemetry's conventions want them.
        #expect(Self.count(call, "gen_ai.usage.input_tokens") == 100)
        #expect(Self.count(call, "gen_ai.usage.cache_read.input_tokens") == 30)
        #expect(Self.count(call, "gen_ai.usage.cache_creation.input_tokens") == 10)
        #expect(Self.count(call, "gen_ai.usage.output_tokens") == 20)
        #expect(Self.count(call, "gen_ai.usage.reasoning.output_tokens") == 5)
        #expect(Self.text(call, "gen_ai.response.model") == "claude")
        #expect(Self.text(call, "gen_ai.provider.name") == "anthropic")
        #expect(Self.text(call, "correlation_id") == "order-17" && call.error == nil)
        for attempt in spans.dropFirst() {
            #expect(!attempt.attributes.contains { $0.name.hasPrefix("gen_ai.usage") || $0.name.hasSuffix(".model") })
        }
        #expect(spans.map(\.error) == [nil, "rate_limited", nil])
        #expect(record.spans.map(\.context) == spans.map(\.context), "told twice, it is the same")
    }

    @Test("a trace may begin with a call")
    func root() {
        let spans = Self.record { $0.trace.hasParent = false }.spans
        #expect(spans.map(\.parentID) == [nil])
        #expect(Self.record { $0.trace.traceparent = "00-trace" }.spans.isEmpty)
    }

    @Test("a budget's refusal, a failure and a hit in the cache are told")
    func outcomes() throws {
        let refused = try #require(
            Self.record { record in
                record.status = .failed
                record.failure = "budget_exceeded"
                record.refusal = ("agent:clerk", "budget_exceeded", "The budget is used up.")
            }.spans.first)
        #expect(refused.error == "The budget is used up." && refused.events.count == 1)
        let canceled = try #require(Self.record { $0.status = .canceled }.spans.first)
        #expect(canceled.error == "canceled")
        let hit = Self.record { $0.cache = "hit" }.spans
        #expect(hit.count == 1 && Self.text(hit[0], "reeve.cache") == "hit")
        let running = try #require(Self.record { $0.status = .running }.spans.first)
        #expect(running.endedAt == nil && running.error == nil)
    }

    @Test("a call belongs to its caller's trace, else to its task's, and to its task's id where that is the trace")
    func joining() {
        let made = "00-11111111111111111111111111111111-2222222222222222-01"
        let task = TaskTrace(
            traceparent: "00-33333333333333333333333333333333-4444444444444444-01", correlationID: "order-9")
        func joined(_ trace: String, isTraced: Bool, isCorrelated: Bool = false, _ task: TaskTrace?) -> CallRecord {
            var record = CallRecord(
                id: "call_1", door: .chat, keyID: "key_1", correlationID: "given", startedAt: Self.start)
            record.join(
                DoorRequest(
                    door: .chat, headers: [:], body: [], principal: .system, requestID: "r", correlationID: "given",
                    traceparent: trace, isTraced: isTraced, isCorrelated: isCorrelated),
                task)
            return record
        }
        let alone = joined(made, isTraced: false, nil)
        #expect(alone.trace == CallTrace(traceparent: made, hasParent: false) && alone.correlationID == "given")
        let held = joined(made, isTraced: false, task)
        #expect(held.trace == CallTrace(traceparent: task.traceparent, hasParent: true))
        #expect(held.correlationID == "order-9")
        let traced = joined(made, isTraced: true, task)
        #expect(traced.trace.traceparent == made && traced.correlationID == "given")
        let below = "00-33333333333333333333333333333333-5555555555555555-01"
        #expect(joined(below, isTraced: true, task).correlationID == "order-9")
        #expect(joined(below, isTraced: true, isCorrelated: true, task).correlationID == "given")
    }

    @Test("each attempt is a parent of its own to its provider")
    func upstream() {
        var record = Self.record()
        let first = record.traceparentOfNextAttempt
        #expect(first == "00-4bf92f3577b34da6a3ce929d0e0e4736-\(record.spanID(1))-01")
        record.attempts = [Self.attempt("main/gpt", "rate_limited")]
        #expect(record.traceparentOfNextAttempt != first)
        #expect(record.traceparentOfCall == "00-4bf92f3577b34da6a3ce929d0e0e4736-\(record.spanID())-01")
        #expect(Self.record { $0.trace.traceparent = "odd" }.traceparentOfNextAttempt == "odd")
    }
}
