import Kernel
import Testing

@testable import Gateway

/// Requests of OpenAI's dialects on Anthropic's models.
struct MessagesRequestTests {
    @Test func aWholeChatRequestCrosses() throws {
        let translated = try DialectSamples.translate(
            DialectSamples.chatRequest, .chat, .messages, model: "claude-haiku-4-5-20251001")
        #expect(translated.dropped.paths == ["stop"])
        let expected = try DialectSamples.json(
            #"""
            {"model":"claude-haiku-4-5-20251001","max_tokens":500,
             "output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":
               {"places":{"type":"array","items":{"type":"string"}}},"required":["places"],
               "additionalProperties":false}}},
             "system":"You help with travel.","messages":[
              {"role":"user","content":[
                {"type":"text","text":"What is this, and how is the weather there and in Rome?"},
                {"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/4AAQ"}}]},
              {"role":"assistant","content":[{"type":"text","text":"Let me look."},
                {"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Oslo"}},
                {"type":"tool_use","id":"call_2","name":"weather","input":{"city":"Rome"}}]},
              {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"3 degrees"}]},
                {"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"21 degrees"}]},
                {"type":"text","text":"Thanks. As JSON, please."}]}],
             "tools":[{"name":"weather","description":"The weather now","input_schema":
               {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}],
             "tool_choice":{"type":"auto"},"temperature":0.2,"stop_sequences":["END"],"stream":true,
             "metadata":{"user_id":"u-1"}}
            """#)
        #expect(translated.body == expected)
    }

    @Test func aWholeResponsesRequestCrosses() throws {
        let translated = try DialectSamples.translate(DialectSamples.responsesRequest, .responses, .messages)
        #expect(translated.dropped.paths == ["input[1]", "metadata"])
        let expected = try DialectSamples.json(
            #"""
            {"model":"m","max_tokens":900,"system":"You help with travel.","messages":[
              {"role":"user","content":[{"type":"text","text":"What is this?"},
                {"type":"image","source":{"type":"url","url":"https://x.org/a.png"}}]},
              {"role":"assistant","content":[{"type":"text","text":"Let me look."},
                {"type":"tool_use","id":"call_1","name":"weather","input":{"city":"Oslo"}},
                {"type":"tool_use","id":"call_2","name":"weather","input":{"city":"Rome"}}]},
              {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"3 degrees"}]},
                {"type":"tool_result","tool_use_id":"call_2","content":[{"type":"text","text":"21 degrees"}]}]}],
             "tools":[{"type":"web_search_20250305","name":"web_search",
                "user_location":{"type":"approximate","city":"Oslo","country":"NO"}},
              {"name":"weather","input_schema":{"type":"object","properties":{}}}],
             "tool_choice":{"type":"any","disable_parallel_tool_use":true}}
            """#)
        #expect(translated.body == expected)
    }

    /// The conversation that `messages` becomes, as compact text.
    private func conversation(_ messages: String) throws -> String {
        let body = try DialectSamples.translate(#"{"model":"m","messages":\#(messages)}"#, .chat, .messages).body
        return body["messages"]?.text ?? ""
    }

    @Test(
        arguments: [
            // Roles alternate.
            (
                #"[{"role":"user","content":"a"},{"role":"user","content":"b"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#
            ),
            // What is empty is left out, and its neighbours meet.
            (
                #"[{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":"b"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#
            ),
            (
                #"[{"role":"user","content":[{"type":"text","text":" \n"},{"type":"text","text":"a"}]}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#
            ),
            // The user begins.
            (
                #"[{"role":"assistant","content":"a"},{"role":"user","content":"b"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"Please continue."}]},"#
                    + #"{"role":"assistant","content":[{"type":"text","text":"a"}]},"#
                    + #"{"role":"user","content":[{"type":"text","text":"b"}]}]"#
            ),
            // Instructions alone.
            (
                #"[{"role":"system","content":"a"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#
            ),
            // A beginning of an answer ends without space.
            (
                #"[{"role":"user","content":"a"},{"role":"assistant","content":"b: \n"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"}]},"#
                    + #"{"role":"assistant","content":[{"type":"text","text":"b:"}]}]"#
            ),
            // A result without its call.
            (
                #"[{"role":"user","content":"a"},{"role":"tool","tool_call_id":"x y","content":"1"}]"#,
                #"[{"role":"user","content":[{"type":"text","text":"a"},"#
                    + #"{"type":"text","text":"[Result of an earlier tool call x_y:]"},{"type":"text","text":"1"}]}]"#
            ),
        ])
    func conversationsAreMended(messages: String, expected: String) throws {
        #expect(try conversation(messages) == expected)
    }

    private static let call = #"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#

    @Test func callsWithoutResultsGetOne() throws {
        let text = try conversation(
            #"[{"role":"user","content":"a"},{"role":"assistant","content":"b","tool_calls":[\#(Self.call)]},"#
                + #"{"role":"user","content":"c"}]"#)
        #expect(
            text.hasSuffix(
                #"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","#
                    + #""content":"This call has no result.","is_error":true},{"type":"text","text":"c"}]}]"#))
        let atEnd = try conversation(
            #"[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[\#(Self.call)]}]"#)
        #expect(atEnd.hasSuffix(#""content":"This call has no result.","is_error":true}]}]"#))
    }

    @Test func idsStandOnce() throws {
        let turn =
            #"{"role":"assistant","tool_calls":[\#(Self.call)]},{"role":"tool","tool_call_id":"c","content":"1"},"#
        let text = try conversation(#"[{"role":"user","content":"a"},\#(turn)\#(turn){"role":"user","content":"b"}]"#)
        let body = try DialectSamples.json(text).array ?? []
        let ids = body.flatMap { $0["content"]?.array ?? [] }.compactMap { $0["id"]?.string }
        let results = body.flatMap { $0["content"]?.array ?? [] }.compactMap { $0["tool_use_id"]?.string }
        #expect(ids == ["c", "c_1_2"])
        #expect(results == ids)
    }

    @Test func instructionsMoveToTheFront() throws {
        let body = try DialectSamples.translate(
            #"""
            {"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":"b"},
             {"role":"developer","content":[{"type":"text","text":"c"}]}]}
            """#, .chat, .messages
        ).body
        #expect(body["system"] == [["type": "text", "text": "a"], ["type": "text", "text": "c"]])
        #expect(body["messages"]?.array?.count == 1)
    }

    @Test(arguments: [(#""{\"a\":"#, #"{"arguments":"{\"a\":"}"#), (#""[1]"#, #"{"arguments":[1]}"#)])
    func argumentsThatAreNoObjectAreWrapped(arguments: String, input: String) throws {
        let translated = try DialectSamples.translate(
            #"""
            {"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c",
             "type":"function","function":{"name":"f","arguments":\#(arguments)"}}]}]}
            """#, .chat, .messages)
        #expect(translated.dropped.paths == ["messages[1].tool_calls[0].function.arguments"])
        #expect(translated.body["messages"]?.array?[1]["content"]?.array?[0]["input"]?.text == input)
    }

    @Test func noArgumentsAreAnEmptyObject() throws {
        let translated = try DialectSamples.translate(
            #"""
            {"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c",
             "type":"function","function":{"name":"f","arguments":""}}]}]}
            """#, .chat, .messages)
        #expect(translated.dropped.isEmpty)
        #expect(translated.body["messages"]?.array?[1]["content"]?.array?[0]["input"] == [:])
        // The tool is named again, so that the call has one, and may not be called.
        #expect(translated.body["tools"] == [["name": "f", "input_schema": ["type": "object"]]])
        #expect(translated.body["tool_choice"] == ["type": "none"])
    }

    struct Thought: Sendable {
        let members: String
        let model: String
        let tokens: Int64
        var thinking: JSONValue?
        var output: JSONValue?
        var dropped: [String] = []
    }

    static let thoughts: [Thought] = [
        Thought(members: "", model: "claude-3-5-sonnet-20241022", tokens: 4_096),
        Thought(members: #","max_tokens":7"#, model: "m", tokens: 7),
        Thought(
            members: #","reasoning_effort":"high""#, model: "claude-haiku-4-5", tokens: 20_480,
            thinking: ["type": "enabled", "budget_tokens": 16_384]),
        Thought(
            members: #","reasoning_effort":"high","max_completion_tokens":4000"#, model: "claude-haiku-4-5",
            tokens: 4_000, thinking: ["type": "enabled", "budget_tokens": 2_000]),
        Thought(
            members: #","reasoning_effort":"low","max_completion_tokens":2000"#, model: "claude-haiku-4-5",
            tokens: 2_000, dropped: ["reasoning_effort"]),
        Thought(members: #","reasoning_effort":"none""#, model: "claude-haiku-4-5", tokens: 4_096),
        Thought(
            members: #","reasoning_effort":"minimal","temperature":0.1,"top_p":0.5"#, model: "claude-opus-4-7",
            tokens: 5_120, thinking: ["type": "adaptive"], output: ["effort": "low"],
            dropped: ["temperature", "top_p"]),
        Thought(
            members: #","temperature":1.4,"top_p":1"#, model: "claude-haiku-4-5", tokens: 4_096,
            dropped: ["temperature"]),
        Thought(
            members: #"""
                ,"reasoning_effort":"low","tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"
                """#,
            model: "claude-haiku-4-5", tokens: 4_096, dropped: ["reasoning_effort"]),
    ]

    @Test(arguments: thoughts.indices)
    func thinkingFitsTheLimit(_ index: Int) throws {
        let thought = Self.thoughts[index]
        let translated = try DialectSamples.translate(
            #"{"model":"m","messages":[{"role":"user","content":"a"}]\#(thought.members)}"#, .chat, .messages,
            model: thought.model)
        #expect(translated.body["max_tokens"] == .int(thought.tokens))
        #expect(translated.body["thinking"] == thought.thinking)
        #expect(translated.body["output_config"] == thought.output)
        #expect(translated.dropped.paths == thought.dropped)
    }

    @Test func noBudgetBehindCallsWithoutThoughts() throws {
        let text = #"""
            {"model":"m","reasoning_effort":"low","messages":[{"role":"user","content":"a"},
             {"role":"assistant","tool_calls":[\#(Self.call)]},{"role":"tool","tool_call_id":"c","content":"1"}],
             "tools":[{"type":"function","function":{"name":"f"}}]}
            """#
        let budget = try DialectSamples.translate(text, .chat, .messages, model: "claude-haiku-4-5")
        #expect(budget.body["thinking"] == nil)
        #expect(budget.dropped.paths == ["reasoning_effort"])
        let adaptive = try DialectSamples.translate(text, .chat, .messages, model: "claude-sonnet-5")
        #expect(adaptive.body["thinking"] == ["type": "adaptive"])
    }

    @Test(
        arguments: [
            (
                #"""
                {"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function",
                "function":{"name":"g"}}]}}
                """#, ["g"], #"{"type":"any"}"#
            ),
            (#""none""#, ["f", "g"], #"{"type":"none"}"#), (#""required""#, ["f", "g"], #"{"type":"any"}"#),
            (#"{"type":"function","function":{"name":"f"}}"#, ["f", "g"], #"{"type":"tool","name":"f"}"#),
        ] as [(String, [String], String)])
    func choicesOfTools(choice: String, tools: [String], expected: String) throws {
        let body = try DialectSamples.translate(
            #"""
            {"model":"m","messages":[{"role":"user","content":"a"}],"tool_choice":\#(choice),"tools":[
             {"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]}
            """#, .chat, .messages
        ).body
        #expect(body["tools"]?.array?.compactMap { $0["name"]?.string } == tools)
        #expect(body["tool_choice"]?.text == expected)
    }

    @Test func onlyTheLastCacheMarksCross() throws {
        let parts = (0..<6).map {
            #"{"type":"text","text":"\#($0)","prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}"#
        }.joined(separator: ",")
        let translated = try DialectSamples.translate(
            #"{"model":"m","messages":[{"role":"user","content":[\#(parts)]}]}"#, .chat, .messages)
        let blocks = translated.body["messages"]?.array?[0]["content"]?.array ?? []
        #expect(blocks.map { $0["cache_control"] != nil } == [false, false, true, true, true, true])
        #expect(blocks.last?["cache_control"] == ["type": "ephemeral", "ttl": "1h"])
        #expect(
            translated.dropped.paths == [
                "messages[0].content[0].prompt_cache_breakpoint", "messages[0].content[1].prompt_cache_breakpoint",
            ])
    }

    @Test func schemasForOlderModelsAreSaidInWords() throws {
        let translated = try DialectSamples.translate(
            DialectSamples.chatRequest, .chat, .messages, model: "claude-3-5-sonnet-20241022")
        #expect(translated.dropped.paths == ["response_format", "stop"])
        #expect(translated.body["output_config"] == nil)
        let words = translated.body["system"]?.array?.last?["text"]?.string ?? ""
        #expect(words.contains(#"{"type":"object","properties":{"places":"#))
    }

    @Test func nothingToAnswerIsRefused() throws {
        let refusal = try DialectSamples.refusal(
            #"{"model":"m","messages":[{"role":"user","content":" "}]}"#, .chat, .messages)
        #expect(refusal?.param == "messages")
        #expect(refusal?.status == 400)
    }

    @Test func toolsOfAConversationHaveABound() throws {
        let calls = (0..<200).map { #"{"id":"\#($0)","function":{"name":"f\#($0)","arguments":"{}"}}"# }
        let body = try DialectSamples.translate(
            #"""
            {"model":"m","messages":[{"role":"user","content":"a"},
             {"role":"assistant","tool_calls":[\#(calls.joined(separator: ","))]}]}
            """#, .chat, .messages
        ).body
        #expect(body["tools"]?.array?.count == 128)
        #expect(MessagesRequestWriter.historyToolsMax == 128)
    }

    @Test func aLongPseudonymIsDropped() throws {
        for (count, isDropped) in [(256, false), (257, true)] {
            let user = String(repeating: "u", count: count)
            let translated = try DialectSamples.translate(
                #"{"model":"m","user":"\#(user)","messages":[{"role":"user","content":"a"}]}"#, .chat, .messages)
            #expect(translated.dropped.paths == (isDropped ? ["user"] : []))
            #expect((translated.body["metadata"] == nil) == isDropped)
        }
    }

    @Test(
        arguments: [
            (#"{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AA"}}"#, "messages[0].content[0]"),
            (#"{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}"#, "messages[0].content[0]"),
            (#"{"type":"file","file":{"file_data":"data:text/csv;base64,AA"}}"#, "messages[0].content[0]"),
        ])
    func filesThatAnthropicDoesNotTakeAreRefused(part: String, param: String) throws {
        let refusal = try DialectSamples.refusal(
            #"{"model":"m","messages":[{"role":"user","content":[\#(part)]}]}"#, .chat, .messages)
        #expect(refusal?.param == param)
        #expect(refusal?.code == "unsupported_parameter")
    }
}
