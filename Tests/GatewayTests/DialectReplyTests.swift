import Kernel
import Testing

@testable import Gateway

/// Whole answers from one dialect to another.
struct DialectReplyTests {
    static let chat = #"""
        {"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"g","choices":[{"index":0,"message":
          {"role":"assistant","content":"Hello","refusal":null,"reasoning_content":"Hm","tool_calls":[
           {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
           {"id":"call_2","type":"function","function":{"name":"g","arguments":""}}]},
          "logprobs":null,"finish_reason":"tool_calls"}],
         "usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,"prompt_tokens_details":
          {"cached_tokens":4,"cache_write_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}
        """#

    static let messages = #"""
        {"id":"msg_1","type":"message","role":"assistant","model":"c","content":[
          {"type":"thinking","thinking":"Hm","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ"},
          {"type":"text","text":"Hello"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],
         "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":3,
          "cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2},
          "cache_read_input_tokens":4,"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}
        """#

    private func write(_ text: String, _ source: Dialect, _ target: Dialect) throws -> JSONValue {
        let reply = try source.readReply(try DialectSamples.json(text))
        return target.writeReply(reply, ReplyContext(createdAt: 1_700_000_000))
    }

    @Test func chatBecomesMessages() throws {
        let expected = try DialectSamples.json(
            #"""
            {"id":"msg_1","type":"message","role":"assistant","model":"g","content":[
              {"type":"thinking","thinking":"Hm","signature":""},{"type":"text","text":"Hello"},
              {"type":"tool_use","id":"call_1","name":"f","input":{"a":1}},
              {"type":"tool_use","id":"call_2","name":"g","input":{}}],
             "stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":5,
              "cache_creation_input_tokens":1,"cache_read_input_tokens":4,"output_tokens":7,
              "output_tokens_details":{"thinking_tokens":2}}}
            """#)
        #expect(try write(Self.chat, .chat, .messages) == expected)
    }

    @Test func messagesBecomeChat() throws {
        let expected = try DialectSamples.json(
            #"""
            {"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"c","choices":[{"index":0,
              "message":{"role":"assistant","content":"Hello","refusal":null,"reasoning_content":"Hm","tool_calls":[
               {"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
              "logprobs":null,"finish_reason":"tool_calls"}],
             "usage":{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19,"prompt_tokens_details":
              {"cached_tokens":4,"cache_write_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}
            """#)
        #expect(try write(Self.messages, .messages, .chat) == expected)
    }

    @Test func messagesBecomeResponses() throws {
        let reply = try MessagesReply.read(try DialectSamples.json(Self.messages))
        let request = try DialectSamples.json(DialectSamples.responsesRequest)
        let written = ResponsesReply.write(
            reply,
            ReplyContext(createdAt: 1_700_000_000, model: "asked", echo: ResponsesRequestReader.echo(request)))
        #expect(written["id"] == "resp_1")
        #expect(written["object"] == "response")
        #expect(written["model"] == "asked")
        #expect(written["created_at"] == 1_700_000_000)
        #expect(written["status"] == "completed")
        #expect(written["tools"] == request["tools"])
        #expect(written["tool_choice"] == "required")
        #expect(written["parallel_tool_calls"] == false)
        #expect(written["metadata"] == ["run": "7"])
        #expect(written["instructions"] == "You help with travel.")
        #expect(written["output"]?.array?.map { $0["type"] } == ["reasoning", "message", "function_call"])
        #expect(
            written["usage"] == [
                "input_tokens": 12, "input_tokens_details": ["cached_tokens": 4, "cache_write_tokens": 3],
                "output_tokens": 7, "output_tokens_details": ["reasoning_tokens": 2], "total_tokens": 19,
            ])
    }

    @Test func aReplyOfAnthropicComesBackAsItWas() throws {
        let written = try write(Self.messages, .messages, .messages)
        let original = try DialectSamples.json(Self.messages)
        #expect(written["content"] == original["content"])
        #expect(written["stop_reason"] == "tool_use")
    }

    @Test func whatResponsesWriteTheyRead() throws {
        for text in [Self.chat] {
            let reply = try ChatReply.read(try DialectSamples.json(text))
            let written = ResponsesReply.write(reply, ReplyContext(createdAt: 1))
            var again = try ResponsesReply.read(written)
            var expected = reply
            again.usage?.raw = .null
            expected.usage?.raw = .null
            expected.id = "resp_1"
            #expect(again == expected)
        }
    }

    static let usages: [(String, DialectUsage)] = {
        func usage(_ input: Int, _ read: Int, _ write: Int, _ output: Int, _ reasoning: Int) -> DialectUsage {
            var usage = DialectUsage()
            (usage.input, usage.cacheRead, usage.cacheWrite) = (input, read, write)
            (usage.output, usage.reasoning) = (output, reasoning)
            return usage
        }
        return [
            (#"{"prompt_tokens":10,"completion_tokens":5}"#, usage(10, 0, 0, 5, 0)),
            // The cache as DeepSeek tells it.
            (
                #"""
                {"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}
                """#,
                usage(2, 8, 0, 5, 0)
            ),
            // Reasoning inside of the completion, and outside of it.
            (
                #"""
                {"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"completion_tokens_details":{
                "reasoning_tokens":3}}
                """#,
                usage(10, 0, 0, 2, 3)
            ),
            (
                #"""
                {"prompt_tokens":10,"completion_tokens":5,"total_tokens":18,"completion_tokens_details":{
                "reasoning_tokens":3}}
                """#,
                usage(10, 0, 0, 5, 3)
            ),
            // Nonsense stays within bounds.
            (
                #"{"prompt_tokens":-5,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":9}}"#,
                usage(0, 0, 0, 0, 5)
            ),
            (
                #"""
                {"prompt_tokens":3,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":9}}
                """#, usage(0, 3, 0, 0, 0)
            ),
            (#"{"input_tokens":1e300,"output_tokens":null}"#, usage(1_099_511_627_776, 0, 0, 0, 0)),
        ]
    }()

    @Test(arguments: usages.indices)
    func countsDoNotOverlap(_ index: Int) throws {
        let (text, expected) = Self.usages[index]
        var usage = try DialectUsage(openAI: LocatedJSON(try DialectSamples.json(text)))
        #expect(usage.raw == (try DialectSamples.json(text)))
        usage.raw = .null
        #expect(usage == expected)
    }

    @Test func refusalsCross() throws {
        let refused = #"""
            {"id":"msg_1","model":"c","content":[{"type":"text","text":"I will not."}],"stop_reason":"refusal",
             "stop_details":{"type":"refusal","category":"bio","explanation":"Not this."}}
            """#
        let chat = try write(refused, .messages, .chat)["choices"]?.array?.first
        #expect(chat?["finish_reason"] == "content_filter")
        #expect(chat?["message"]?["refusal"] == "Not this.")
        #expect(chat?["message"]?["content"] == "I will not.")
        let answer = #"{"choices":[{"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}]}"#
        let messages = try write(answer, .chat, .messages)
        #expect(messages["content"] == [["type": "text", "text": "No."]])
        #expect(messages["stop_reason"] == "refusal")
        #expect(messages["stop_details"]?["explanation"] == "No.")
        let responses = try write(answer, .chat, .responses)
        #expect(responses["output"]?.array?.first?["content"] == [["type": "refusal", "refusal": "No."]])
    }

    @Test func aFilteredAnswerIsIncomplete() throws {
        let answer = #"{"choices":[{"message":{"content":"x"},"finish_reason":"content_filter"}]}"#
        let written = try write(answer, .chat, .responses)
        #expect(written["status"] == "incomplete")
        #expect(written["incomplete_details"] == ["reason": "content_filter"])
    }

    @Test func aFailedResponseIsAnError() throws {
        let failed = #"{"id":"resp_1","error":{"code":"rate_limit_exceeded","message":"Slow down"},"output":[]}"#
        let error = #expect(throws: DialectError.self) { try ResponsesReply.read(try DialectSamples.json(failed)) }
        #expect(error?.kind == .rateLimit)
        #expect(error?.message == "Slow down")
    }

    @Test(
        arguments: [
            ("chatcmpl-abc", "msg_abc"), ("resp_a b", "msg_a_b"), ("gen-1", "msg_gen-1"), ("", "msg_0"),
            ("msg_x\r\ny", "msg_x__y"),
        ])
    func idsCross(id: String, expected: String) {
        #expect(Dialect.messages.id(from: id) == expected)
    }
}
