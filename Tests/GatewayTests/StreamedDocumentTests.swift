import Kernel
import NIOCore
import Telemetry
import Testing

@testable import Gateway

@Suite("Streams as whole documents")
struct StreamedDocumentTests {
    private static func said(_ dialect: Dialect, _ events: [String]) -> ModelMessages? {
        let text = events.map { "data: \($0)\n\n" }.joined()
        return StreamedDocument.read(ByteBuffer(string: text), dialect).map(ModelMessages.answered)
    }

    private static func call(_ piece: String) -> String {
        #"{"choices":[{"index":0,"delta":{"tool_calls":["# + piece + "]}}]}"
    }

    private static func text(_ text: String) -> SpanMessage { SpanMessage("assistant", [.text(text)]) }

    @Test("chat: answers side by side, thoughts, calls whose pieces come mixed")
    func chat() throws {
        let said = try #require(
            Self.said(
                .chat,
                [
                    #"{"choices":[{"index":1,"delta":{"role":"assistant","content":"B"}}]}"#,
                    #"{"choices":[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm","content":""}}]}"#,
                    Self.call(#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}"#),
                    Self.call(#"{"index":1,"id":"b","function":{"name":"g","arguments":""}}"#),
                    Self.call(#"{"index":0,"function":{"arguments":":1}"}}"#),
                    #"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
                    #"{"choices":[{"index":1,"delta":{"content":"ut"},"finish_reason":"stop"}]}"#,
                    #"not JSON"#, #"{"choices":[],"usage":{}}"#, "[DONE]",
                ]))
        let calls: [SpanMessage.Part] = [
            .toolCall(id: "a", name: "f", arguments: ["x": 1]), .toolCall(id: "b", name: "g", arguments: ""),
        ]
        #expect(said.messages == [SpanMessage("assistant", [.reasoning("Hm")] + calls), Self.text("But")])
        #expect(said.finishReasons == ["tool_call", "stop"])
    }

    @Test("messages: blocks by their numbers, and what broke off as far as it came")
    func messages() throws {
        let events = [
            #"{"type":"message_start","message":{"role":"assistant","content":[]}}"#,
            #"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            #"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
            #"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"It "}}"#,
            #"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"rains."}}"#,
            #"{"type":"content_block_start","index":2,"#
                + #""content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
            #"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
            #"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}}"#,
            #"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
        ]
        let said = try #require(Self.said(.messages, events))
        let parts: [SpanMessage.Part] = [.reasoning("Hm"), .text("It rains.")]
        let call = SpanMessage.Part.toolCall(id: "t", name: "f", arguments: ["x": 1])
        #expect(said.messages == [SpanMessage("assistant", parts + [call])] && said.finishReasons == ["tool_call"])
        let cut = try #require(Self.said(.messages, Array(events.prefix(7))))
        let half = SpanMessage.Part.toolCall(id: "t", name: "f", arguments: #"{"x":"#)
        #expect(cut.messages == [SpanMessage("assistant", parts + [half])] && cut.finishReasons.isEmpty)
    }

    @Test("responses: the last event has it all; without it, what came")
    func responses() throws {
        let events = [
            #"{"type":"response.created","response":{"output":[]}}"#,
            #"{"type":"response.output_item.added","output_index":0,"#
                + #""item":{"type":"message","role":"assistant","content":[]}}"#,
            #"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"It "}"#,
            #"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"rains."}"#,
            #"{"type":"response.output_item.added","output_index":1,"#
                + #""item":{"type":"function_call","call_id":"c","name":"f","arguments":""}}"#,
            #"{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"x\":1}"}"#,
        ]
        let call = SpanMessage("assistant", [.toolCall(id: "c", name: "f", arguments: ["x": 1])])
        #expect(try #require(Self.said(.responses, events)).messages == [Self.text("It rains."), call])
        let last =
            #"{"type":"response.completed","response":{"status":"completed","output":[{"type":"message","#
            + #""role":"assistant","content":[{"type":"output_text","text":"Whole."}]}]}}"#
        #expect(try #require(Self.said(.responses, events + [last])).messages == [Self.text("Whole.")])
    }

    @Test("hostile streams are bounded, and nothing is nothing")
    func bounds() throws {
        #expect(
            Self.said(.chat, []) == nil && Self.said(.messages, ["{}"]) == nil && Self.said(.responses, ["[]"]) == nil)
        let many = (0..<2_000).map { #"{"choices":[{"index":\#($0),"delta":{"content":"x"}}]}"# }
        #expect(try #require(Self.said(.chat, many)).messages.count == StreamedDocument.piecesMax)
    }

    @Test("a key is taken out of all that is said, but not out of an image")
    func redaction() {
        let key = "sk-ant-api03-" + String(repeating: "Ab1", count: 31) + "AA"
        let value: JSONValue = [
            ["type": "text", "content": .string("my \(key)")],
            ["type": "tool_call", "arguments": ["deep": [.string(key)]]],
            ["type": "blob", "content": .string(key)],
        ]
        let clean = MessageRedaction.clean(value, .secretsOnly)
        #expect(clean.array?[0]["content"]?.string == "my [redacted:anthropic_key]")
        #expect(clean.array?[1]["arguments"]?["deep"]?.array == ["[redacted:anthropic_key]"])
        #expect(clean.array?[2]["content"]?.string == key)
    }

    @Test("what waits for its span has one room, and is given back with it")
    func room() {
        let contents = CallContents(bytesMax: 100)
        var first = contents.lease(60)
        #expect(first != nil && contents.lease(41) == nil)
        first = nil
        #expect(contents.lease(100) != nil)
    }
}
