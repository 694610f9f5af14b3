import Kernel
import Testing

@testable import Telemetry

/// What spans say of their content: one conversation in every dialect, and what is none in any.
@Suite("Contents of spans")
struct SpanContentTests {
    private typealias Attributes = [(String, JSONValue)]

    private static func detail(_ attributes: Attributes, events: JSONValue = []) throws -> SpanDetail {
        let span = SpanSamples.span("00f067aa0ba902b8", attributes: attributes, more: ["events": events])
        let bytes = try OTLPJSON.traces(SpanSamples.request([span])) { _ in }
        let received = try ReceivedSpans(bytes)
        let item = try #require(received.items.first)
        return try received.body.withUnsafeBytes { body in
            try SpanDetail(
                item.head, resource: .init(rebasing: body[item.resource]), scope: .init(rebasing: body[item.scope]),
                span: .init(rebasing: body[item.span]))
        }
    }

    private static func content(_ attributes: Attributes, events: JSONValue = []) throws -> JSONObject {
        try #require(try detail(attributes, events: events).json.object)
    }

    private static func event(_ name: String, _ attributes: Attributes) -> JSONValue {
        [
            "name": .string(name), "timeUnixNano": "1700000000000000000",
            "attributes": .array(attributes.map { SpanSamples.pair($0.0, $0.1) }),
        ]
    }

    // MARK: One conversation

    private static let callJSON = #"{"city":"Oslo","days":2}"#
    private static let resultJSON = #"{"sky":"rain"}"#
    private static let question = "How is the weather?"

    private static let input: JSONValue = [
        ["role": "system", "parts": [["type": "text", "content": "Be brief."]]],
        ["role": "user", "parts": [["type": "text", "content": "How is the weather?"]]],
        [
            "role": "assistant",
            "parts": [
                ["type": "tool_call", "id": "call_1", "name": "look_up", "arguments": ["city": "Oslo", "days": 2]]
            ],
        ],
        ["role": "tool", "parts": [["type": "tool_call_response", "id": "call_1", "response": ["sky": "rain"]]]],
    ]
    private static let output: JSONValue = [
        ["role": "assistant", "parts": [["type": "text", "content": "It rains."]]]
    ]

    private static let openAIMessages = """
        [{"role":"system","content":"Be brief."},{"role":"user","content":"How is the weather?"},\
        {"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"look_up",\
        "arguments":"{\\"city\\":\\"Oslo\\",\\"days\\":2}"}}]},\
        {"role":"tool","tool_call_id":"call_1","content":"{\\"sky\\":\\"rain\\"}"}]
        """
    private static let openAIAnswer =
        #"{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"It rains."}}]}"#
    private static let spoken = """
        {"role":"user","parts":[{"type":"text","content":"How is the weather?"}]},{"role":"assistant","parts":\
        [{"type":"tool_call","id":"call_1","name":"look_up","arguments":{"city":"Oslo","days":2}}]},{"role":"tool",\
        "parts":[{"type":"tool_call_response","id":"call_1","response":"{\\"sky\\":\\"rain\\"}"}]}
        """
    private static let said =
        #"[{"role":"assistant","parts":[{"type":"text","content":"It rains."}],"finish_reason":"stop"}]"#

    private struct Told {
        let dialect: String
        var attributes: Attributes
        var events: JSONValue = []
    }

    private static let openInference: Attributes = [
        ("openinference.span.kind", "LLM"), ("input.value", "all of it"), ("output.value", "all of it"),
        ("llm.input_messages.0.message.role", "system"), ("llm.input_messages.0.message.content", "Be brief."),
        ("llm.input_messages.3.message.role", "tool"), ("llm.input_messages.3.message.tool_call_id", "call_1"),
        ("llm.input_messages.3.message.content", .string(resultJSON)),
        ("llm.input_messages.1.message.role", "user"),
        ("llm.input_messages.1.message.contents.0.message_content.type", "text"),
        ("llm.input_messages.1.message.contents.0.message_content.text", .string(question)),
        ("llm.input_messages.2.message.role", "assistant"),
        ("llm.input_messages.2.message.tool_calls.0.tool_call.id", "call_1"),
        ("llm.input_messages.2.message.tool_calls.0.tool_call.function.name", "look_up"),
        ("llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments", .string(callJSON)),
        ("llm.output_messages.0.message.role", "assistant"), ("llm.output_messages.0.message.content", "It rains."),
        ("llm.finish_reason", "stop"),
    ]

    private static let openLLMetry: Attributes = [
        ("llm.request.type", "chat"), ("gen_ai.prompt.0.role", "system"), ("gen_ai.prompt.0.content", "Be brief."),
        ("gen_ai.prompt.1.role", "user"), ("gen_ai.prompt.1.content", .string(question)),
        ("gen_ai.prompt.2.role", "assistant"), ("gen_ai.prompt.2.tool_calls.0.id", "call_1"),
        ("gen_ai.prompt.2.tool_calls.0.name", "look_up"),
        ("gen_ai.prompt.2.tool_calls.0.arguments", .string(callJSON)), ("gen_ai.prompt.10.role", "tool"),
        ("gen_ai.prompt.10.tool_call_id", "call_1"), ("gen_ai.prompt.10.content", .string(resultJSON)),
        ("gen_ai.completion.0.role", "assistant"), ("gen_ai.completion.0.content", "It rains."),
        ("gen_ai.completion.0.finish_reason", "stop"),
    ]

    private static let messageEvents: JSONValue = [
        event("gen_ai.system.message", [("content", "Be brief.")]),
        event("gen_ai.user.message", [("content", .string(question)), ("role", "user")]),
        event(
            "gen_ai.assistant.message",
            [
                (
                    "tool_calls",
                    .string(
                        #"[{"id":"call_1","type":"function","function":{"name":"look_up","arguments":\#(callJSON)}}]"#)
                )
            ]),
        event("gen_ai.tool.message", [("id", "call_1"), ("content", .string(resultJSON))]),
        event(
            "gen_ai.choice",
            [("index", 0), ("finish_reason", "stop"), ("message", #"{"role":"assistant","content":"It rains."}"#)]),
    ]

    private static let wholeEvents: JSONValue = [
        event("gen_ai.content.prompt", [("gen_ai.prompt", .string(openAIMessages))]),
        event("gen_ai.content.completion", [("gen_ai.completion", .string(openAIAnswer))]),
    ]

    private static let anthropicRequest = """
        {"model":"claude","system":"Be brief.","messages":[{"role":"user","content":"How is the weather?"},\
        {"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"look_up","input":{"city":"Oslo",\
        "days":2}}]},{"role":"tool","content":[{"type":"tool_result","tool_use_id":"call_1",\
        "content":[{"type":"text","text":"{\\"sky\\":\\"rain\\"}"}]}]}]}
        """
    private static let responsesRequest = """
        {"model":"gpt","instructions":"Be brief.","input":[{"role":"user","content":[{"type":"input_text",\
        "text":"How is the weather?"}]},{"type":"function_call","call_id":"call_1","name":"look_up",\
        "arguments":"{\\"city\\":\\"Oslo\\",\\"days\\":2}"},{"type":"function_call_output","call_id":"call_1",\
        "output":"{\\"sky\\":\\"rain\\"}"}]}
        """
    private static let responsesAnswer = """
        {"status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text",\
        "text":"It rains."}]}]}
        """

    private static let tellings: [Told] = [
        Told(
            dialect: "opentelemetry",
            attributes: [
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.system_instructions", #"[{"type":"text","content":"Be brief."}]"#),
                ("gen_ai.input.messages", .string("[\(spoken)]")), ("gen_ai.output.messages", .string(said)),
            ]),
        Told(
            dialect: "opentelemetry", attributes: [("gen_ai.operation.name", "chat")],
            events: [
                event(
                    "gen_ai.client.inference.operation.details",
                    [
                        ("gen_ai.system_instructions", "Be brief."),
                        ("gen_ai.input.messages", .string("[\(spoken)]")), ("gen_ai.output.messages", .string(said)),
                    ])
            ]),
        Told(
            dialect: "opentelemetry",
            attributes: [
                ("gen_ai.operation.name", "chat"), ("gen_ai.input.messages", .string(openAIMessages)),
                ("gen_ai.output.messages", .string(said)),
            ]),
        Told(dialect: "opentelemetry_events", attributes: [("gen_ai.system", "openai")], events: messageEvents),
        Told(dialect: "opentelemetry_events", attributes: [("gen_ai.system", "openai")], events: wholeEvents),
        Told(dialect: "openinference", attributes: openInference),
        Told(
            dialect: "openinference",
            attributes: [
                ("openinference.span.kind", "LLM"), ("input.mime_type", "application/json"),
                ("input.value", .string(#"{"model":"gpt","messages":\#(openAIMessages)}"#)),
                ("output.value", .string(openAIAnswer)), ("output.mime_type", "application/json"),
            ]),
        Told(
            dialect: "openinference",
            attributes: [("input.value", .string(anthropicRequest)), ("output.value", "It rains.")]),
        Told(
            dialect: "openinference",
            attributes: [("input.value", .string(responsesRequest)), ("output.value", .string(responsesAnswer))]),
        Told(dialect: "openllmetry", attributes: openLLMetry),
        Told(
            dialect: "openllmetry",
            attributes: [("gen_ai.prompt", .string(openAIMessages)), ("gen_ai.completion", .string(openAIAnswer))]),
        Told(
            dialect: "vercel",
            attributes: [("ai.prompt.messages", .string(openAIMessages)), ("ai.response.text", "It rains.")]),
        Told(
            dialect: "langfuse",
            attributes: [
                ("langfuse.observation.input", .string(openAIMessages)), ("langfuse.observation.output", "It rains."),
            ]),
    ]

    @Test("a conversation is the same in every dialect", arguments: 0..<13)
    func same(_ index: Int) throws {
        #expect(Self.tellings.count == 13)
        let told = Self.tellings[index]
        let record = try Self.content(told.attributes, events: told.events)
        #expect(record["dialect"]?.string == told.dialect)
        #expect(record["normalised"]?.int == Int64(SpanContent.version))
        let input = try #require(record["input"]?.array)
        for (message, expected) in zip(input, Self.input.array ?? []) {
            #expect(sorted(message) == sorted(expected), "\(told.dialect)")
        }
        #expect(input.count == 4)
        #expect(record["output"].map(sorted) == sorted(Self.output))
        #expect(record["truncated"] == false)
        let raw = try #require(record["attributes"]?.object)
        #expect(raw.names == told.attributes.map(\.0))
    }

    /// The order of members says nothing.
    private func sorted(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let items): .array(items.map(sorted))
        case .object(let object):
            .object(
                JSONObject(
                    object.members.sorted { $0.name < $1.name }.map { .init(name: $0.name, value: sorted($0.value)) }))
        default: value
        }
    }

    @Test(
        "why a model stopped has one word",
        arguments: [
            ("gen_ai.response.finish_reasons", #"["tool_calls"]"#, "tool_call"),
            ("llm.finish_reason", "tool_use", "tool_call"),
            ("gen_ai.completion.0.finish_reason", "tool_calls", "tool_call"),
            ("llm.finish_reason", "max_tokens", "length"),
            ("gen_ai.completion.0.finish_reason", "end_turn", "stop"), ("llm.finish_reason", "Odd", "odd"),
        ])  // swift-format-ignore
    func finish(_ name: String, _ value: String, _ expected: String) throws {
        let record = try Self.content([(name, .string(value)), ("gen_ai.completion.0.content", "x")])
        #expect(record["finishReasons"] == .array([.string(expected)]))
    }

    // MARK: Parts

    private static let image: JSONValue = [
        "type": "blob", "modality": "image", "mimeType": "image/png", "content": "iVBORw0KGgo=",
    ]
    private static let link: JSONValue = [
        "type": "uri", "modality": "image", "mimeType": .null, "uri": "https://example.com/a.png",
    ]

    private static let parts: [(text: String, expected: JSONValue)] = [
        (#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}"#, image),
        (#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}"#, image),
        (#"{"type":"blob","modality":"image","mime_type":"image/png","content":"iVBORw0KGgo="}"#, image),
        (#"{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}"#, link),
        (#"{"type":"input_image","image_url":"https://example.com/a.png"}"#, link),
        (#"{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}"#, link),
        (#"{"type":"uri","modality":"image","uri":"https://example.com/a.png"}"#, link),
        (
            #"{"type":"file","file":{"file_id":"file-1"}}"#,
            ["type": "file", "modality": .null, "fileId": "file-1"]
        ),
        (#"{"type":"thinking","thinking":"Hm."}"#, ["type": "reasoning", "content": "Hm."]),
        (#"{"type":"reasoning","content":"Hm."}"#, ["type": "reasoning", "content": "Hm."]),
        (#"{"type":"refusal","refusal":"No."}"#, ["type": "refusal", "content": "No."]),
        (#"{"type":"odd","weight":7}"#, ["type": "odd", "weight": 7]),
        (#"{"text":"Gemini's"}"#, ["type": "text", "content": "Gemini's"]),
    ]

    @Test("parts have one shape", arguments: 0..<13)
    func parts(_ index: Int) throws {
        #expect(Self.parts.count == 13)
        let (text, expected) = Self.parts[index]
        let record = try Self.content([("gen_ai.input.messages", .string(#"[{"role":"user","content":[\#(text)]}]"#))])
        let parts = record["input"]?.array?.first?["parts"]?.array
        #expect(parts == [expected])
    }

    @Test("an image of OpenInference's flattened names is a part as all others")
    func flatImage() throws {
        let beginning = "llm.input_messages.0.message.contents.0.message_content"
        let record = try Self.content([
            ("llm.input_messages.0.message.role", "user"), ("\(beginning).type", "image"),
            ("\(beginning).image.image.url", "https://example.com/a.png"),
        ])
        #expect(record["input"]?.array?.first?["parts"]?.array == [Self.link])
    }

    // MARK: Tools and all else

    private static let tools: [Attributes] = [
        [
            ("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.name", "look_up"),
            ("gen_ai.tool.call.id", "call_1"),
            ("gen_ai.tool.call.arguments", .string(callJSON)), ("gen_ai.tool.call.result", .string(resultJSON)),
        ],
        [
            ("openinference.span.kind", "TOOL"), ("tool.name", "look_up"), ("tool.id", "call_1"),
            ("input.value", .string(callJSON)), ("output.value", .string(resultJSON)),
        ],
        [
            ("traceloop.span.kind", "tool"), ("traceloop.entity.name", "look_up"), ("gen_ai.tool.call.id", "call_1"),
            ("traceloop.entity.input", .string(#"{"args":[],"kwargs":\#(callJSON)}"#)),
            ("traceloop.entity.output", .string(resultJSON)),
        ],
        [
            ("traceloop.span.kind", "tool"), ("traceloop.entity.name", "look_up"), ("gen_ai.tool.call.id", "call_1"),
            (
                "traceloop.entity.input",
                .string(#"{"input_str":"…","tags":[],"metadata":{},"inputs":\#(callJSON),"kwargs":{"a":1}}"#)
            ),
            (
                "traceloop.entity.output",
                .string(#"{"output":{"kwargs":{"content":"{\"sky\":\"rain\"}"}},"kwargs":{"color":"green"}}"#)
            ),
        ],
    ]

    @Test("a tool's span is its call and its response", arguments: 0..<4)
    func tool(_ index: Int) throws {
        let record = try Self.content(Self.tools[index])
        #expect(record["tool"] == "look_up")
        #expect(record["input"].map(sorted) == sorted(.array([(Self.input.array ?? [])[2]])))
        #expect(record["output"].map(sorted) == sorted(.array([(Self.input.array ?? [])[3]])))
    }

    @Test("what is no conversation is told as the text that it is")
    func plain() throws {
        let chain = try Self.content([
            ("openinference.span.kind", "CHAIN"), ("input.value", "What now?"), ("output.value", #"{"answer":42}"#),
        ])
        let text: (JSONValue) -> JSONValue = { ["type": "text", "content": $0] }
        #expect(chain["input"] == [["role": "user", "parts": [text("What now?")]]])
        #expect(chain["output"] == [["role": "assistant", "parts": [text(#"{"answer":42}"#)]]])
        let nothing = try Self.content([("http.route", "/")])
        #expect((nothing["input"], nothing["output"], nothing["dialect"]) == (.null, .null, .null))
        let search = try Self.content([
            ("openinference.span.kind", "RETRIEVER"), ("input.value", "briefs"),
            ("retrieval.documents.0.document.content", "One."), ("retrieval.documents.0.document.score", 0.5),
        ])
        #expect(search["output"] == [["role": "assistant", "parts": [text("One.")]]])
    }

    // MARK: Hostile

    private static let hostile: [Attributes] = [
        [("gen_ai.input.messages", "no JSON")], [("gen_ai.input.messages", "[{")], [("gen_ai.input.messages", 7)],
        [("gen_ai.input.messages", "[1,null,[],{}]")], [("gen_ai.input.messages", #"{"role":7,"parts":{"type":7}}"#)],
        [("gen_ai.input.messages", #"[{"role":"user","parts":"text"},{"role":"user","content":{"a":{}}}]"#)],
        [("gen_ai.input.messages", .string(String(repeating: "[", count: 5_000)))],
        [("gen_ai.input.messages", .string(String(repeating: "[", count: 20) + String(repeating: "]", count: 20)))],
        [("gen_ai.input.messages", #"[{"role":"a\u0000"}]"#)],
        [("gen_ai.input.messages", .bool(true)), ("gen_ai.output.messages", .double(0.5))],
        [("llm.input_messages.999999999999999999999999.message.role", "user")],
        [("llm.input_messages.-1.message.role", "user"), ("llm.input_messages..message", "x")],
        [("llm.input_messages.0", "x"), ("llm.input_messages.0.message", "y"), ("llm.input_messages.x.message", "z")],
        [("llm.input_messages.0.message.tool_calls", "no list"), ("llm.input_messages.0.message.role", 7)],
        [(String("llm.input_messages.0" + String(repeating: ".a", count: 1_000)), "deep")],
        [("gen_ai.prompt.0.tool_calls.5.arguments", "{"), ("gen_ai.prompt.0.role", "assistant")],
    ]

    @Test("no attribute brings it down", arguments: 0..<16)
    func hostile(_ index: Int) throws {
        #expect(Self.hostile.count == 16)
        let record = try Self.content(Self.hostile[index])
        #expect(record["attributes"]?.object?.count == Self.hostile[index].count)
    }

    @Test("indices with gaps only say what comes before what")
    func gaps() throws {
        let record = try Self.content([
            ("llm.input_messages.999999999.message.content", "last"), ("llm.input_messages.7.message.content", "first"),
            ("llm.input_messages.07.message.role", "user"),
        ])
        let texts = record["input"]?.array?.compactMap { $0["parts"]?.array?.first?["content"]?.string }
        #expect(texts == ["first", "last"])
    }

    @Test("a conversation without end is told up to its bound, and said to be cut")
    func bounded() throws {
        let messages = Array(repeating: JSONValue.string("x"), count: MessageReader.messagesMax + 1)
        var reader = MessageReader()
        reader.read(.array([["role": "user", "content": .array(messages)]]), role: "user")
        #expect((reader.messages.first?.parts.count, reader.isWhole) == (MessageReader.messagesMax + 1, true))
        reader = MessageReader()
        reader.read(.array(messages.map { ["role": "user", "content": $0] }), role: "user")
        #expect((reader.messages.count, reader.isWhole) == (MessageReader.messagesMax, false))
        reader = MessageReader()
        reader.add(SpanMessage("user", Array(repeating: .text("x"), count: MessageReader.partsMax + 1)))
        #expect((reader.messages.count, reader.isWhole, reader.isEmpty) == (0, false, false))
        var flat = FlatAttributes()
        for index in 0...FlatAttributes.attributesMax { flat.add("\(index).text"[...], .string("x")) }
        #expect((flat.items.count, flat.isWhole) == (FlatAttributes.attributesMax, false))
    }

    // MARK: Names and counts

    @Test(
        "providers have one name",
        arguments: [
            ("gen_ai.system", "OpenAI", "openai"), ("gen_ai.system", "az.ai.openai", "azure.ai.openai"),
            ("llm.provider", "azure", "azure.ai.openai"), ("gen_ai.system", "vertex_ai", "gcp.vertex_ai"),
            ("llm.provider", "google", "gcp.gemini"), ("gen_ai.provider.name", "my-own", "my-own"),
        ])  // swift-format-ignore
    func providers(_ name: String, _ value: String, _ expected: String) throws {
        #expect(try Self.detail([(name, .string(value))]).head.provider == expected)
    }

    @Test("what was told beside the whole is known by the total")
    func total() {
        func usage(_ input: Int64, _ read: Int64, _ output: Int64, _ reasoning: Int64, _ total: Int64) -> [Int64] {
            let usage = SpanUsage(
                inputTotal: input, cacheRead: read, cacheWrite: 0, outputTotal: output, reasoning: reasoning,
                total: total)
            return [usage.input, usage.cacheRead, usage.output, usage.reasoning]
        }
        #expect(usage(100, 60, 30, 10, 130) == [40, 60, 20, 10])
        #expect(usage(100, 60, 30, 10, 190) == [100, 60, 20, 10])
        #expect(usage(100, 60, 30, 10, 140) == [40, 60, 30, 10])
        #expect(usage(100, 60, 30, 10, 200) == [100, 60, 30, 10])
        #expect(usage(100, 60, 30, 10, 7) == [40, 60, 20, 10])
    }

    @Test(
        "what somebody says that it cost is told", arguments: ["reeve.cost.usd", "llm.cost.total", "gen_ai.usage.cost"])
    func cost(_ name: String) throws {
        #expect(try Self.content([(name, .double(0.25))])["costUSD"] == 0.25)
        #expect(try Self.content([(name, "much")])["costUSD"] == .null)
    }
}
