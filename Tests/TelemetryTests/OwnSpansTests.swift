import Kernel
import Synchronization
import Testing

@testable import Telemetry

@Suite("Reeve's own spans")
struct OwnSpansTests {
    /// Takes what it is given, or refuses it.
    private final class Door: SpanIntake {
        let requests = Mutex<[[UInt8]]>([])
        let fault = Mutex<TelemetryIngest.Fault?>(nil)

        func take(
            _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int]
        ) async throws(TelemetryIngest.Fault) -> [RecordFlaw: Int] {
            if let fault = fault.withLock({ $0 }) { throw fault }
            requests.withLock { $0.append(body) }
            return [:]
        }

        var heads: [SpanHead] {
            requests.withLock { $0 }.flatMap { (try? ReceivedSpans($0).items.map(\.head)) ?? [] }
        }
    }

    private static let start = Timestamp(microseconds: 1_700_000_000_000_000)

    private static func span(_ number: Int64, correlationID: String? = nil) -> OwnSpan {
        let context = TraceContext(TraceID(of: "trace"), SpanID(of: "span", number))
        var span = OwnSpan(
            context, parent: nil, "chat mini", .server, from: start, to: start + .milliseconds(20))
        span.add("gen_ai.operation.name", "chat")
        span.add("gen_ai.usage.input_tokens", Int64(100))
        span.add("correlation_id", correlationID)
        span.add("nothing", String?.none)
        return span
    }

    @Test("they come in as any span does")
    func whole() async throws {
        let door = Door()
        let spans = OwnSpans(intake: door, bindings: TraceBindings())
        var failed = Self.span(1)
        failed.error = "rate_limited"
        failed.events = [OwnSpan.Event("refused", at: Self.start, [Attribute("why", .string("money"))])]
        spans.record(failed)
        await spans.flush()
        let head = try #require(door.heads.first)
        #expect((head.name, head.service, head.status, head.operation) == ("chat mini", "reeve", .error, .model))
        #expect((head.startedAt, head.endedAt - head.startedAt) == (1_700_000_000_000_000_000, 20_000_000))
        #expect(head.usage?.input == 100 && head.state == .ended)
    }

    @Test("what finds no room is counted; what the door has no room for waits")
    func bounds() async {
        let door = Door()
        let spans = OwnSpans(intake: door, bindings: TraceBindings(), waitingMax: 3)
        spans.record((1...5).map { Self.span($0) })
        #expect(spans.counts == (3, 2))
        door.fault.withLock { $0 = .overloaded }
        await spans.flush()
        #expect(door.heads.isEmpty && spans.counts == (3, 2))
        door.fault.withLock { $0 = nil }
        await spans.flush()
        #expect(door.heads.count == 3)
        await spans.flush()
        #expect(door.heads.count == 3, "each goes out once")
        spans.record(Self.span(9))
        door.fault.withLock { $0 = .malformed }
        await spans.flush()
        #expect(spans.counts == (4, 3), "what cannot be taken is not tried for ever")
    }

    @Test("they say what their trace belongs to, where that is more than the trace")
    func binding() {
        let bindings = TraceBindings(tracesMax: 4)
        let spans = OwnSpans(intake: Door(), bindings: bindings)
        let trace = TraceID(of: "trace")
        spans.record(Self.span(1, correlationID: trace.description))
        #expect(bindings.correlationID(of: trace) == nil)
        spans.record(Self.span(1, correlationID: "order-17"))
        #expect(bindings.correlationID(of: trace) == "order-17")
        for number in 0..<10 { bindings.bind(TraceID(of: "t\(number)"), to: "c\(number)") }
        #expect(bindings.correlationID(of: trace) == nil, "the oldest are forgotten")
        #expect(bindings.correlationID(of: TraceID(of: "t9")) == "c9")
    }

    @Test(
        "a traceparent is taken in the form of version 00 alone",
        arguments: [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902+7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902é-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01", false), ("", false),
        ])
    func traceparents(_ text: String, _ isTaken: Bool) {
        #expect(TraceContext(text).map(\.traceparent) == (isTaken ? text : nil))
    }

    @Test("ids that are derived are the same each time, and differ for each name and number")
    func derived() {
        let ids = (0..<1_000).flatMap { number in
            [SpanID(of: "call_1", number), SpanID(of: "call_2", number)]
        }
        #expect(Set(ids).count == ids.count)
        #expect(SpanID(of: "call_1", 3) == SpanID(of: "call_1", 3))
        #expect(TraceID(of: "task_1") != TraceID(of: "task_2"))
    }

    @Test("correlation ids are visible ASCII of a bounded length")
    func correlationIDs() {
        #expect(CorrelationID.accepted("order-17") == "order-17")
        for text in ["", "two words", "é", "a\nb", String(repeating: "x", count: 201)] {
            #expect(CorrelationID.accepted(text) == nil)
        }
        #expect(TraceContext.acceptedState("a=1, b=2") == "a=1, b=2")
        #expect(TraceContext.acceptedState(String(repeating: "x", count: 513)) == nil)
    }
}

@Suite("What Reeve's own spans say besides")
struct OwnSpanContentTests {
    private final class Content: OwnSpanContent {
        let bytes: Int
        private let said: String
        let reads = Mutex(0)
        let sheds = Mutex(0)

        init(_ bytes: Int, says count: Int) {
            self.bytes = bytes
            said = String(repeating: "x", count: count)
        }

        func shed() -> [Attribute] {
            sheds.withLock { $0 += 1 }
            return [Attribute(ContentNote.truncated, .bool(true))]
        }

        func attributes() -> [Attribute] {
            reads.withLock { $0 += 1 }
            return [Attribute("gen_ai.input.messages", .string(said))]
        }
    }

    private final class Door: SpanIntake {
        let counts = Mutex<[Int]>([])
        let isShut = Mutex(true)

        func take(
            _ body: [UInt8], agent: String?, refusedBefore: [RecordFlaw: Int]
        ) async throws(TelemetryIngest.Fault) -> [RecordFlaw: Int] {
            if isShut.withLock({ $0 }) { throw .overloaded }
            let count = (try? ReceivedSpans(body).items.count) ?? 0
            counts.withLock { $0.append(count) }
            return [:]
        }
    }

    private static func spans(_ contents: [Content]) -> [OwnSpan] {
        contents.enumerated().map { number, content in
            let start = Timestamp(microseconds: 1_700_000_000_000_000)
            let context = TraceContext(TraceID(of: "trace"), SpanID(of: "span", Int64(number)))
            var span = OwnSpan(context, parent: nil, "chat mini", .server, from: start, to: start)
            span.content = content
            return span
        }
    }

    @Test("of more than may be read the spans go out without it, and later ones have it again")
    func shed() async {
        let door = Door()
        door.isShut.withLock { $0 = false }
        let spans = OwnSpans(intake: door, bindings: TraceBindings())
        let contents = (0..<20).map { _ in Content(OwnSpans.creditMax / 16, says: 10) }
        spans.record(Self.spans(contents))
        await spans.flush()
        #expect(contents.map { $0.reads.withLock { $0 } } == Array(repeating: 1, count: 16) + [0, 0, 0, 0])
        #expect(contents.suffix(4).allSatisfy { $0.sheds.withLock { $0 } == 1 })
        #expect(door.counts.withLock { $0.reduce(0, +) } == 20)
        let next = Content(OwnSpans.creditBytes, says: 10)
        spans.record(Self.spans([next]))
        await spans.flush()
        #expect(next.reads.withLock { $0 } == 1)
    }

    @Test("it is read once, when the span is handed over, and requests stay small")
    func once() async {
        let door = Door()
        let spans = OwnSpans(intake: door, bindings: TraceBindings())
        let contents = (0..<5).map { _ in Content(OwnSpans.batchBytesMax / 2, says: OwnSpans.batchBytesMax / 2) }
        spans.record(Self.spans(contents))
        #expect(contents.allSatisfy { $0.reads.withLock { $0 } == 0 })
        await spans.flush()
        await spans.flush()
        door.isShut.withLock { $0 = false }
        await spans.flush()
        #expect(contents.allSatisfy { $0.reads.withLock { $0 } == 1 })
        #expect(door.counts.withLock { $0.reduce(0, +) } == 5 && door.counts.withLock { $0.count } > 1)
    }
}
