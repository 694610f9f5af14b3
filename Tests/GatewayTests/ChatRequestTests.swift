import Kernel
import Testing

@testable import Gateway

/// Requests of Anthropic's dialect, and of Responses, on models of Chat Completions.
struct ChatRequestTests {
    @Test func aWholeMessagesRequestCrosses() throws {
        let translated = try DialectSamples.translate(
            DialectSamples.messagesRequest, .messages, .chat, model: "gpt-5-mini-2025-08-07")
        #expect(
            translated.dropped.paths == ["system[0].cache_control", "messages[1].content[0]", "top_k"])
        let expected = try DialectSamples.json(
            #"""
            {"model":"gpt-5-mini-2025-08-07","messages":[
              {"role":"system","content":"You help with travel.\n\nBe brief."},
              {"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBO"}},
                {"type":"text","text":"How is the weather there?"}]},
              {"role":"assistant","content":"Let me look.","tool_calls":[
                {"id":"toolu_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}},
                {"id":"toolu_2","type":"function","function":{"name":"camera","arguments":"{}"}}]},
              {"role":"tool","tool_call_id":"toolu_1","content":"Error: no such city"},
              {"role":"tool","tool_call_id":"toolu_2",
                "content":"seen\n[What this tool shows follows in the next message.]"},
              {"role":"user","content":[{"type":"text","text":"[Shown by the tool call toolu_2:]"},
                {"type":"image_url","image_url":{"url":"https://x.org/a.png"}},{"type":"text","text":"And now?"}]}],
             "max_completion_tokens":4000,"stop":["END"],"reasoning_effort":"low",
             "tools":[{"type":"function","function":{"name":"weather","description":"The weather now",
                "parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
               {"type":"function","function":{"name":"camera","parameters":{"type":"object"}}}],
             "tool_choice":"required","parallel_tool_calls":false,
             "stream":true,"stream_options":{"include_usage":true},"user":"u-1"}
            """#)
        #expect(translated.body == expected)
    }

    @Test func aWholeResponsesRequestCrosses() throws {
        let translated = try DialectSamples.translate(DialectSamples.responsesRequest, .responses, .chat)
        #expect(translated.dropped.paths == ["input[1]"])
        let messages = try DialectSamples.json(
            #"""
            [{"role":"system","content":"You help with travel."},
             {"role":"user","content":[{"type":"text","text":"What is this?"},
               {"type":"image_url","image_url":{"url":"https://x.org/a.png","detail":"auto"}}]},
             {"role":"assistant","content":"Let me look.","tool_calls":[
               {"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}},
               {"id":"call_2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},
             {"role":"tool","tool_call_id":"call_1","content":"3 degrees"},
             {"role":"tool","tool_call_id":"call_2","content":"21 degrees"}]
            """#)
        #expect(translated.body["messages"] == messages)
        #expect(translated.body["max_tokens"] == 900)
        #expect(translated.body["metadata"] == ["run": "7"])
        #expect(
            translated.body["web_search_options"] == [
                "user_location": ["type": "approximate", "approximate": ["city": "Oslo", "country": "NO"]]
            ])
    }

    @Test func aChatRequestComesBackAsItWas() throws {
        let document = try DialectSamples.json(
            #"""
            {"model":"x","messages":[{"role":"system","content":"a"},{"role":"user","content":"b","name":"ann"},
             {"role":"assistant","content":"c","reasoning_content":"d","tool_calls":[{"id":"1","type":"function",
               "function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"e"}],
             "max_tokens":5,"n":2,"temperature":0.5,"reasoning_effort":"low",
             "tools":[{"type":"function","function":{"name":"f","parameters":{},"strict":true}}],"seed":7,
             "logit_bias":{"1":2},"unheard":[1]}
            """#)
        let request = try ChatRequestReader.read(document)
        let written = try ChatRequestWriter.write(request, model: "x")
        #expect(written.dropped.isEmpty)
        var expected = document.object ?? JSONObject()
        let got = written.body.object ?? JSONObject()
        #expect(Set(got.names) == Set(expected.names))
        for member in got.members {
            #expect(member.value == expected[member.name], "\(member.name)")
            expected[member.name] = nil
        }
    }

    @Test(
        arguments: [
            ("gpt-4o-mini-2024-07-18", "max_tokens", nil), ("o3-mini-2025-01-31", "max_completion_tokens", "low"),
            ("gpt-5.2", "max_completion_tokens", "low"), ("openai/gpt-oss-120b", "max_tokens", "low"),
            ("deepseek-reasoner", "max_tokens", "low"), ("gpt-3.5-turbo", "max_tokens", nil),
            ("ollama3", "max_tokens", "low"),
        ] as [(String, String, String?)])
    func limitsAndEffortSuitTheModel(model: String, limit: String, effort: String?) throws {
        let body = try DialectSamples.translate(
            #"""
            {"model":"c","max_tokens":3000,"messages":[{"role":"user","content":"a"}],
             "thinking":{"type":"enabled","budget_tokens":1024}}
            """#, .messages, .chat, model: model
        ).body
        #expect(body[limit] == 3_000)
        #expect(body["reasoning_effort"]?.string == effort)
    }

    @Test(
        arguments: [
            (#"{"type":"enabled","budget_tokens":4096}"#, "medium"),
            (#"{"type":"enabled","budget_tokens":30000}"#, "high"), (#"{"type":"disabled"}"#, nil),
            (#"{"type":"adaptive"}"#, nil),
        ] as [(String, String?)])
    func budgetsBecomeEfforts(thinking: String, effort: String?) throws {
        let body = try DialectSamples.translate(
            #"{"model":"c","max_tokens":9,"messages":[{"role":"user","content":"a"}],"thinking":\#(thinking)}"#,
            .messages, .chat, model: "o3"
        ).body
        #expect(body["reasoning_effort"]?.string == effort)
    }

    @Test func onlyFourStopsCross() throws {
        let translated = try DialectSamples.translate(
            #"""
            {"model":"c","max_tokens":9,"messages":[{"role":"user","content":"a"}],
             "stop_sequences":["1","2","3","4","5"]}
            """#, .messages, .chat)
        #expect(translated.body["stop"] == ["1", "2", "3", "4"])
        #expect(translated.dropped.paths == ["stop_sequences"])
        #expect(ChatRequestWriter.stopsMax == 4)
    }

    @Test func strictMeansAllOrNothing() throws {
        let text = #"{"model":"c","max_tokens":9,"messages":[{"role":"user","content":"a"}],"top_k":3}"#
        #expect(try DialectSamples.refusal(text, .messages, .chat) == nil)
        let refusal = try DialectSamples.refusal(text, .messages, .chat, isStrict: true)
        #expect(refusal?.param == "top_k")
        #expect(refusal?.status == 400)
        #expect(refusal?.code == "unsupported_parameter")
    }

    @Test func thoughtsStayInTheirDialect() throws {
        let request = try MessagesRequestReader.read(try DialectSamples.json(DialectSamples.messagesRequest))
        let body = try MessagesRequestWriter.write(request, model: "claude-haiku-4-5").body
        let first = body["messages"]?.array?[1]["content"]?.array?[0]
        #expect(first == ["type": "thinking", "thinking": "A fjord.", "signature": "c2ln"])
    }

    /// (3 + 4 for the system's text + 4 and 4 for the messages + 8 for the tool + 1,334 for the image) and
    /// (4 + 5 + 8 + 1 + 17) bytes.
    @Test func tokensAreEstimatedByTheRule() throws {
        let request = try MessagesRequestReader.read(
            try DialectSamples.json(
                #"""
                {"model":"c","system":"abcd","messages":[{"role":"user","content":[{"type":"text","text":"abcde"},
                 {"type":"image","source":{"type":"url","url":"https://x.org/a.png"}}]},
                 {"role":"assistant","content":"Grüße!"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}
                """#), isCount: true)
        #expect(TokenEstimate.count(request) == 1_357 + 9)
    }
}
