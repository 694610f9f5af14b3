import Kernel
import Testing

@testable import Telemetry

@Suite("Messages of providers' own documents")
struct ModelMessagesTests {
    private static func asked(_ json: String) throws -> ModelMessages {
        ModelMessages.asked(try JSONParser.parse(json))
    }

    private static func text(_ role: String, _ text: String) -> SpanMessage { SpanMessage(role, [.text(text)]) }

    @Test(
        "each request is read as what it asks",
        arguments: [
            (
                #"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#,
                [text("system", "Be brief."), text("user", "hi")]
            ),
            (
                #"{"system":[{"type":"text","text":"A"},{"type":"text","text":"B"}],"#
                    + #""messages":[{"role":"user","content":"hi"}]}"#,
                [SpanMessage("system", [.text("A"), .text("B")]), text("user", "hi")]
            ),
            (
                #"{"instructions":"Be brief.","input":"hi"}"#, [text("system", "Be brief."), text("user", "hi")]
            ),
            (
                #"{"input":[{"type":"item_reference","id":"x"},{"role":"user","content":"hi"}]}"#,
                [
                    SpanMessage(
                        "user",
                        [
                            .other(
                                JSONObject([
                                    .init(name: "type", value: "item_reference"), .init(name: "id", value: "x"),
                                ]))
                        ]), text("user", "hi"),
                ]
            ),
            (#"{"input":["the mill","the weir"]}"#, [text("user", "the mill"), text("user", "the weir")]),
            (#"{"input":[1,2]}"#, [text("user", "[1,2]")]),
            (#"{"input":[[1,2],[3]]}"#, [text("user", "[1,2]"), text("user", "[3]")]),
            (#"{"prompt":"Once"}"#, [text("user", "Once")]),
            (#"{"messages":7}"#, [text("user", "7")]),
            (#"{"model":"mini"}"#, []),
            (#"[1]"#, []),
        ])
    func requests(json: String, expected: [SpanMessage]) throws {
        #expect(try Self.asked(json).messages == expected)
    }

    @Test("an answer of the Responses API keeps every item that says something")
    func responses() throws {
        let answer = try JSONParser.parse(
            """
            {"status":"completed","output":[{"type":"reasoning","id":"rs_1","summary":[]},
            {"type":"web_search_call","id":"ws_1"},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"It rains."}]}]}
            """)
        let found = ModelMessages.answered(answer)
        #expect(found.messages.count == 2 && found.messages.last == Self.text("assistant", "It rains."))
        #expect(found.finishReasons == ["stop"])
        #expect(ModelMessages.answered(["error": ["message": "no"]]).isEmpty)
    }

    @Test("what is written is read as it was")
    func roundTrip() throws {
        let request = """
            {"messages":[{"role":"user","name":"ada","content":[{"type":"text","text":"{\\"a\\":1}"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
            {"type":"image_url","image_url":{"url":"https://example.com/a.png"}},
            {"type":"file","file":{"file_id":"file_1"}},{"type":"odd","x":1}]},
            {"role":"assistant","tool_calls":[{"id":"c","type":"function",
            "function":{"name":"f","arguments":"{\\"a\\":1}"}}]},
            {"role":"tool","tool_call_id":"c","content":"[1]"}]}
            """
        let found = try Self.asked(request)
        #expect(found.messages.count == 3 && found.messages[0].parts.count == 5)
        var reader = MessageReader()
        let written = JSONValue.list(found.messages)
        reader.read(.string(written.text), role: SpanMessage.user)
        #expect(JSONValue.list(reader.messages) == written)
    }

    @Test("of what is too long the instructions stay, and the latest")
    func bounds() throws {
        let old = String(repeating: "é", count: 1_000)
        let messages = [
            Self.text("system", "Be brief."), Self.text("user", old), Self.text("assistant", "no"),
            Self.text("user", "why"),
        ]
        let document: JSONValue = [
            "messages": .array(
                messages.map { message -> JSONValue in
                    guard case .text(let text)? = message.parts.first else { return .null }
                    return ["role": .string(message.role), "content": .string(text)]
                })
        ]
        let all = ModelMessages.asked(document)
        #expect(all.messages == messages && all.fitted(to: 1 << 20) == all)
        let fitted = all.fitted(to: 1_001)
        #expect(!fitted.isWhole && fitted.messages.count == 4)
        #expect(fitted.messages[0] == messages[0] && fitted.messages.suffix(2) == messages.suffix(2))
        guard case .text(let cut)? = fitted.messages[1].parts.first else {
            Issue.record("no text")
            return
        }
        #expect(!cut.isEmpty && old.hasPrefix(cut) && cut.utf8.count < 1_000)
        #expect(all.fitted(to: 420).messages == [messages[0], messages[2], messages[3]])
        #expect(all.fitted(to: 0).messages.isEmpty && !all.fitted(to: 0).isWhole)
    }
}
