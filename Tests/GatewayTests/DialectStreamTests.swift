import Kernel
import Testing

@testable import Gateway

/// Streams from a provider of one dialect to a client of another.
struct DialectStreamTests {
    static let chat =
        ": OPENROUTER PROCESSING\n\n"
        + DialectSamples.plain(
            #"""
            {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"g","choices":[{"index":0,
            "delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"Hm"},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"llo"},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":
            "function","function":{"name":"f","arguments":""}},{"index":1,"id":"call_2","type":"function",
            "function":{"name":"g","arguments":""}}]},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":
            "{\"b\""}}]},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":
            "{\"a\":"}}]},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":
            "\"}\"}"}},{"index":1,"function":{"arguments":":2}"}}]},"finish_reason":null}]}

            {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

            {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,
            "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}

            [DONE]
            """#)

    static let messages = DialectSamples.named(
        #"""
        {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"c",
        "content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":6,
        "cache_read_input_tokens":4,"output_tokens":1}}}

        {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":
        ""}}

        {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

        {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

        {"type":"content_block_stop","index":0}

        {"type":"ping"}

        {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

        {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hé"}}

        {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"llo"}}

        {"type":"content_block_stop","index":1}

        {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"f",
        "input":{}}}

        {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

        {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}

        {"type":"content_block_stop","index":2}

        {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{
        "output_tokens":9}}

        {"type":"message_stop"}
        """#)

    static let responses = DialectSamples.named(
        #"""
        {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"g","output":[],
        "status":"in_progress"}}

        {"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[
        ]}}

        {"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,
        "delta":"Hm"}

        {"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"Hé"}

        {"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"llo"}

        {"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc_1",
        "call_id":"call_1","name":"f","arguments":""}}

        {"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"{\"a\":1}"}

        {"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"fc_1",
        "call_id":"call_1","name":"f","arguments":"{\"a\":1}"}}

        {"type":"response.completed","response":{"id":"resp_1","model":"g","status":"completed","output":[],
        "usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":9,
        "output_tokens_details":{"reasoning_tokens":0},"total_tokens":19}}}
        """#)

    static let providers: [(Dialect, String)] = [(.chat, chat), (.messages, messages), (.responses, responses)]

    @Test(arguments: providers.indices, Dialect.allCases)
    func anySplitGivesTheSameStream(_ index: Int, _ client: Dialect) throws {
        let (provider, text) = Self.providers[index]
        let whole = try DialectSamples.stream(text, provider, client)
        let sizes = Array(1...40) + stride(from: 41, to: text.utf8.count, by: 37)
        for size in sizes {
            #expect(try DialectSamples.stream(text, provider, client, size: size) == whole, "in pieces of \(size)")
        }
    }

    @Test func chatBecomesMessages() throws {
        let stream = try DialectSamples.stream(Self.chat, .chat, .messages)
        let expected = DialectSamples.named(
            #"""
            {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"g",
            "content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,
            "cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}

            {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"",
            "signature":""}}

            {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}

            {"type":"content_block_stop","index":0}

            {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

            {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hé"}}

            {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"llo"}}

            {"type":"content_block_stop","index":1}

            {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"call_1","name":"f",
            "input":{}}}

            {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":
            "{\"a\":"}}

            {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"}\"}"}}

            {"type":"content_block_stop","index":2}

            {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"call_2","name":"g",
            "input":{}}}

            {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"b\""}}

            {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":":2}"}}

            {"type":"content_block_stop","index":3}

            {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{
            "input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":7,
            "output_tokens_details":{"thinking_tokens":2}}}

            {"type":"message_stop"}
            """#)
        #expect(stream == expected)
    }

    @Test func messagesBecomeChat() throws {
        let head = #""id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"c""#
        func chunk(_ delta: String, _ finish: String = "null", usage: String = #","usage":null"#) -> String {
            #"data: {\#(head),"choices":[{"index":0,"delta":\#(delta),"logprobs":null,"#
                + #""finish_reason":\#(finish)}]\#(usage)}"# + "\n\n"
        }
        func expected(_ usage: String, _ last: String) -> String {
            [
                chunk(#"{"role":"assistant","content":""}"#, usage: usage),
                chunk(#"{"reasoning_content":"Hm"}"#, usage: usage), chunk(#"{"content":"Hé"}"#, usage: usage),
                chunk(#"{"content":"llo"}"#, usage: usage),
                chunk(
                    #"{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","#
                        + #""function":{"name":"f","arguments":""}}]}"#,
                    usage: usage),
                chunk(#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}"#, usage: usage),
                chunk("{}", #""tool_calls""#, usage: usage), last, "data: [DONE]\n\n",
            ].joined()
        }
        let counts =
            #""prompt_tokens":10,"completion_tokens":9,"total_tokens":19,"prompt_tokens_details":{"cached_tokens":4,"#
            + #""cache_write_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}"#
        let last = #"data: {\#(head),"choices":[],"usage":{\#(counts)}}"# + "\n\n"
        #expect(try DialectSamples.stream(Self.messages, .messages, .chat) == expected(#","usage":null"#, last))
        #expect(try DialectSamples.stream(Self.messages, .messages, .chat, tellsUsage: false) == expected("", ""))
    }

    @Test func messagesBecomeResponses() throws {
        let stream = try DialectSamples.stream(Self.messages, .messages, .responses)
        let events = try DialectSamples.documents(stream)
        #expect(
            events.compactMap { $0["type"]?.string?.replacing("response.", with: "") } == [
                "created", "in_progress",
                "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
                "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
                "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
                "output_text.done", "content_part.done", "output_item.done",
                "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
                "output_item.done", "completed",
            ])
        #expect(events.compactMap { $0["sequence_number"]?.int } == Array(0...19))
        #expect(events.compactMap { $0["output_index"]?.int } == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
        let response = events[19]["response"]
        #expect(
            response?["output"]?.text
                == #"[{"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"Hm"}]},"#
                + #"{"id":"msg_1_1","type":"message","status":"completed","role":"assistant","content":"#
                + #"[{"type":"output_text","text":"Héllo","annotations":[],"logprobs":[]}]},"#
                + #"{"id":"fc_1_2","type":"function_call","status":"completed","call_id":"toolu_1","name":"f","#
                + #""arguments":"{\"a\":1}"}]"#)
        #expect(response?["status"] == "completed")
        #expect(response?["usage"]?["input_tokens"] == 10)
        #expect(response?["usage"]?["output_tokens"] == 9)
        #expect(events[11]["item_id"] == "msg_1_1")
        #expect(stream.hasPrefix("event: response.created\ndata: {"))
    }

    @Test(arguments: Dialect.allCases)
    func responsesBecomeWhatTheyWere(_ client: Dialect) throws {
        let written = try DialectSamples.stream(Self.messages, .messages, .responses)
        let direct = try DialectSamples.stream(Self.responses, .responses, client)
        let again = try DialectSamples.stream(written, .responses, client)
        #expect(again == direct.replacing("call_1", with: "toolu_1").replacing(#""g""#, with: #""c""#))
    }

    @Test(arguments: providers.indices, Dialect.allCases)
    func aCutStreamEndsInAnError(_ index: Int, _ client: Dialect) throws {
        let (provider, text) = Self.providers[index]
        let events = text.components("\n\n")
        for count in 1..<(events.count - 3) {
            let stream = try DialectSamples.stream(
                events.prefix(count).joined(separator: "\n\n") + "\n\n", provider, client)
            let documents = try DialectSamples.documents(stream)
            switch client {
            case .chat:
                #expect(documents.last?["error"]?["code"] == "stream_interrupted")
                #expect(!stream.contains("[DONE]"))
            case .messages:
                #expect(stream.contains("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""))
                #expect(!stream.contains("message_stop"))
            case .responses:
                #expect(documents.suffix(2).map { $0["type"] } == ["error", "response.failed"])
                #expect(documents.dropLast().last?["error"]?["code"] == "stream_interrupted")
                #expect(documents.last?["response"]?["status"] == "failed")
                #expect(!stream.contains("response.completed"))
            }
        }
    }

    static let ends: [(Dialect, String, isComplete: Bool)] = [
        (.chat, #"data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#, true),
        (.chat, #"data: {"choices":[{"delta":{"content":"a"}}]}"#, false),
        (.chat, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]", true), (.chat, "", false),
        (.messages, #"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}"#, true),
        (.messages, #"data: {"type":"message_stop"}"#, true), (.messages, #"data: {"type":"ping"}"#, false),
        (.responses, #"data: {"type":"response.completed","response":{}}"#, true),
        (.responses, #"data: {"type":"response.output_text.delta","delta":"a"}"#, false),
    ]

    @Test(arguments: ends.indices)
    func completeIsWhatHasAReasonOrAnEnd(_ index: Int) throws {
        let (provider, text, isComplete) = Self.ends[index]
        let stream = try DialectSamples.stream(text + "\n\n", provider, .chat)
        #expect(stream.hasSuffix("data: [DONE]\n\n") == isComplete)
        #expect(stream.contains("stream_interrupted") == !isComplete)
    }
}

extension String {
    /// The text between `separator`s.
    fileprivate func components(_ separator: String) -> [Substring] { split(separator: separator) }
}
