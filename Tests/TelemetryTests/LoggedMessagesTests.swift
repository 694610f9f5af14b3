import Kernel
import Testing

@testable import Telemetry

@Suite("Messages that came as log records")
struct LoggedMessagesTests {
    private static let trace = TraceID(of: "trace")
    private static let span = SpanID(of: "span")

    private static func record(_ name: String, _ body: String = "", span: SpanID = span) -> LogRecord {
        var record = LogRecord(at: 10)
        (record.traceID, record.spanID) = (trace.description, span.description)
        record.message = body.isEmpty ? name : body
        record.attributes = JSONObject([.init(name: "event.name", value: .string(name))])
        return record
    }

    private static func detail(_ attributes: [Attribute], _ records: [LogRecord]) throws -> SpanDetail {
        var own = OwnSpan(
            TraceContext(trace, span), parent: nil, "chat mini", .client, from: Timestamp(microseconds: 1),
            to: Timestamp(microseconds: 2))
        own.attributes = [Attribute("gen_ai.operation.name", .string("chat"))] + attributes
        let received = try ReceivedSpans(OwnSpan.request([own]))
        let item = try #require(received.items.first)
        var detail = try received.body.withUnsafeBytes { body in
            try SpanDetail(
                item.head, resource: .init(rebasing: body[item.resource]), scope: .init(rebasing: body[item.scope]),
                span: .init(rebasing: body[item.span]))
        }
        detail.logged = records.compactMap { LoggedMessages.event($0, of: detail.head) }
        return detail
    }

    private static func text(_ role: String, _ text: String) -> SpanMessage { SpanMessage(role, [.text(text)]) }

    private static let each = [
        record("gen_ai.system.message", #"{"content":"Be brief."}"#), record("gen_ai.user.message", "the sky?"),
        record(
            "gen_ai.assistant.message",
            #"{"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#),
        record("gen_ai.tool.message", #"{"id":"c","content":"rain"}"#),
        record("gen_ai.choice", #"{"index":0,"finish_reason":"stop","message":{"content":"It rains."}}"#),
    ]

    @Test("one record for each message")
    func each() throws {
        let content = SpanContent(try Self.detail([], Self.each))
        #expect(
            content.input == [
                Self.text("system", "Be brief."), Self.text("user", "the sky?"),
                SpanMessage("assistant", [.toolCall(id: "c", name: "f", arguments: ["x": 1])]),
                SpanMessage("tool", [.toolResponse(id: "c", response: "rain")]),
            ])
        #expect(content.output == [Self.text("assistant", "It rains.")] && content.finishReasons == ["stop"])
        #expect(content.dialect == .openTelemetryEvents)
    }

    @Test("all in one record, in its attributes or in its body")
    func details() throws {
        let name = "gen_ai.client.inference.operation.details"
        let members: [JSONObject.Member] = [
            .init(
                name: "gen_ai.input.messages", value: [["role": "user", "parts": [["type": "text", "content": "hi"]]]]),
            .init(
                name: "gen_ai.output.messages",
                value: [["role": "assistant", "parts": [["type": "text", "content": "ho"]]]]),
        ]
        var first = Self.record(name)
        for member in members { first.attributes.append(member.name, member.value) }
        for record in [first, Self.record(name, JSONValue.object(JSONObject(members)).text)] {
            let content = SpanContent(try Self.detail([], [record]))
            #expect(content.input == [Self.text("user", "hi")] && content.output == [Self.text("assistant", "ho")])
        }
    }

    @Test("what a span tells itself is believed, and another span's records are not its own")
    func own() throws {
        let said = Attribute("gen_ai.input.messages", .string(#"[{"role":"user","content":"mine"}]"#))
        let content = SpanContent(try Self.detail([said], Self.each))
        #expect(content.input == [Self.text("user", "mine")])
        #expect(content.output == [Self.text("assistant", "It rains.")])
        let others = [
            Self.record("gen_ai.user.message", "hi", span: SpanID(of: "other")), Self.record("gen_ai.odd", "hi"),
        ]
        #expect(try Self.detail([], others).logged.isEmpty)
    }
}
