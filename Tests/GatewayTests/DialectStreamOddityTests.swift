import Kernel
import Testing

@testable import Gateway

/// What providers do in streams beside the plain case.
struct DialectStreamOddityTests {
    private func documents(_ events: [String], _ provider: Dialect, _ client: Dialect) throws -> [JSONValue] {
        let text = DialectSamples.plain(events.joined(separator: "\n\n"))
        return try DialectSamples.documents(try DialectSamples.stream(text, provider, client))
    }

    @Test func anErrorInsideOfAStreamIsPassedOn() throws {
        let overload = #"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#
        let begin = #"{"type":"message_start","message":{"id":"msg_1","model":"c"}}"#
        let chat = try documents([begin, overload, #"{"type":"ping"}"#], .messages, .chat)
        #expect(
            chat.last?["error"]
                == ["message": "Overloaded", "type": "server_error", "param": .null, "code": "overloaded"])
        let responses = try documents([begin, overload], .messages, .responses)
        #expect(responses.map { $0["type"] }.suffix(2) == ["error", "response.failed"])
        #expect(responses.last?["response"]?["error"] == ["code": "server_error", "message": "Overloaded"])
        let messages = try documents(
            [
                #"{"choices":[{"delta":{"content":"a"}}]}"#,
                #"{"error":{"message":"Slow down","code":"rate_limit_exceeded"}}"#,
            ], .chat, .messages)
        #expect(messages.last?["type"] == "error")
        #expect(messages.last?["error"]?["type"] == "rate_limit_error")
    }

    @Test(arguments: Dialect.allCases, ["{", "{]", "nonsense", #""#])
    func anEventThatIsNoJSONEndsATranslatedStream(_ client: Dialect, _ data: String) throws {
        let stream = try DialectSamples.stream(
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: \(data)\n\n", .chat, client)
        #expect(stream.contains(data.isEmpty ? "stream_interrupted" : "malformed_event"))
    }

    @Test func refusalsCross() throws {
        let messages = try documents(
            [
                #"{"choices":[{"delta":{"refusal":"I can"}}]}"#, #"{"choices":[{"delta":{"refusal":"not."}}]}"#,
                #"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            ], .chat, .messages)
        #expect(messages.compactMap { $0["delta"]?["text"]?.string } == ["I can", "not."])
        #expect(messages.first { $0["type"] == "message_delta" }?["delta"]?["stop_reason"] == "refusal")
        #expect(
            messages.first { $0["type"] == "message_delta" }?["delta"]?["stop_details"]
                == ["type": "refusal", "category": .null, "explanation": "I cannot."])
        let refused = [
            #"{"type":"message_start","message":{"id":"m","model":"c"}}"#,
            #"{"type":"message_delta","delta":{"stop_reason":"refusal"},"usage":{"output_tokens":0}}"#,
        ]
        let chat = try documents(refused, .messages, .chat)
        let said = chat.compactMap { $0["choices"]?.array?.first?["delta"]?["refusal"]?.string }
        #expect(said == ["The model declined to answer."])
        #expect(chat.contains { $0["choices"]?.array?.first?["finish_reason"] == "content_filter" })
        let responses = try documents(refused, .messages, .responses)
        let output = responses.last?["response"]?["output"]?.array
        #expect(output?.first?["content"] == [["type": "refusal", "refusal": .string(ChatReply.refusalText)]])
        #expect(responses.last?["response"]?["status"] == "completed")
    }

    @Test(
        arguments: [
            ("max_tokens", "length", "max_output_tokens"), ("pause_turn", "length", "max_output_tokens"),
            ("model_context_window_exceeded", "length", "max_output_tokens"), ("end_turn", "stop", nil),
            ("stop_sequence", "stop", nil), ("unheard_of", "stop", nil),
        ] as [(String, String, String?)])
    func reasonsCross(reason: String, finish: String, incomplete: String?) throws {
        let events = [
            #"{"type":"message_start","message":{"id":"m","model":"c"}}"#,
            #"{"type":"message_delta","delta":{"stop_reason":"\#(reason)"},"usage":{"output_tokens":0}}"#,
        ]
        let chat = try documents(events, .messages, .chat)
        #expect(chat.compactMap { $0["choices"]?.array?.first?["finish_reason"]?.string } == [finish])
        let last = try documents(events, .messages, .responses).last
        #expect(last?["response"]?["incomplete_details"]?["reason"]?.string == incomplete)
        #expect(last?["type"] == (incomplete == nil ? "response.completed" : "response.incomplete"))
    }

    @Test func callsWithoutIDsAndIndexesAreUnderstood() throws {
        let messages = try documents(
            [
                #"""
                {"id":"chatcmpl-77","choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":
                1}}}]}}]}
                """#,
                #"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            ], .chat, .messages)
        let block = messages.first { $0["type"] == "content_block_start" }?["content_block"]
        #expect(block == ["type": "tool_use", "id": "call_chatcmpl-77_0", "name": "f", "input": [:]])
        #expect(messages.first { $0["type"] == "content_block_delta" }?["delta"]?["partial_json"] == #"{"a":1}"#)
        #expect(messages.first { $0["type"] == "message_delta" }?["delta"]?["stop_reason"] == "tool_use")
    }

    @Test func argumentsBeforeTheirNameAreKept() throws {
        var reader = ChatStreamReader()
        let first = try DialectSamples.json(
            #"""
            {"id":"i","model":"g","choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"arguments":
            "{"}}]}}]}
            """#)
        #expect(try reader.read(name: "", data: first) == [.start(id: "i", model: "g")])
        let second = try DialectSamples.json(
            #"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"}"}}]}}]}"#)
        #expect(
            try reader.read(name: "", data: second) == [
                .toolCallStart(index: 0, id: "c", name: "f"), .argumentsDelta(index: 0, "{"),
                .argumentsDelta(index: 0, "}"),
            ])
    }

    @Test func callsHaveABound() throws {
        var reader = ChatStreamReader()
        for index in 0..<ChatStreamReader.callsMax {
            _ = try reader.read(
                name: "", data: ["choices": [["delta": ["tool_calls": [["index": index.json, "id": "c"]]]]]])
        }
        #expect(throws: DialectError.self) {
            try reader.read(name: "", data: ["choices": [["delta": ["tool_calls": [["index": 99_999, "id": "c"]]]]]])
        }
        var messages = MessagesStreamReader()
        let block: JSONValue = [
            "type": "content_block_start", "index": 0,
            "content_block": ["type": "tool_use", "id": "a", "name": "f", "input": [:]],
        ]
        for _ in 0..<ChatStreamReader.callsMax { _ = try messages.read(name: "", data: block) }
        #expect(throws: DialectError.self) { try messages.read(name: "", data: block) }
    }

    @Test func whatWaitsHasABound() {
        var writer = MessagesStreamWriter(ReplyContext(createdAt: 1), heldMax: 100)
        var output: [UInt8] = []
        writer.write(.start(id: "i", model: "m"), to: &output)
        writer.write(.toolCallStart(index: 0, id: "a", name: "f"), to: &output)
        writer.write(.toolCallStart(index: 1, id: "b", name: "f"), to: &output)
        let most = String(repeating: "x", count: 100)
        writer.write(.argumentsDelta(index: 1, most), to: &output)
        #expect(!String(decoding: output, as: UTF8.self).contains("event: error"))
        writer.write(.argumentsDelta(index: 1, "x"), to: &output)
        #expect(String(decoding: output, as: UTF8.self).contains("event: error"))
        let count = output.count
        writer.write(.end, to: &output)
        #expect(output.count == count)
        #expect(MessagesStreamWriter.heldBytesMax == 16_777_216)
    }

    @Test func anAnswerForResponsesHasABound() {
        var writer = ResponsesStreamWriter(ReplyContext(createdAt: 1), bytesMax: 100)
        var output: [UInt8] = []
        writer.write(.textDelta(String(repeating: "x", count: 60)), to: &output)
        writer.write(.reasoningDelta(String(repeating: "x", count: 40)), to: &output)
        #expect(!String(decoding: output, as: UTF8.self).contains("event: response.failed"))
        writer.write(.textDelta("x"), to: &output)
        #expect(String(decoding: output, as: UTF8.self).contains("event: response.failed"))
        #expect(ResponsesStreamWriter.outputBytesMax == 33_554_432)
    }

    @Test func argumentsWithoutANameHaveABound() throws {
        var reader = ChatStreamReader()
        func piece(_ count: Int) -> JSONValue {
            let arguments = JSONValue.string(String(repeating: "x", count: count))
            return ["choices": [["delta": ["tool_calls": [["index": 0, "function": ["arguments": arguments]]]]]]]
        }
        #expect(try reader.read(name: "", data: piece(ChatStreamReader.earlyBytesMax)).count == 1)
        #expect(throws: DialectError.self) { try reader.read(name: "", data: piece(1)) }
    }

    @Test func aSearchHasABound() throws {
        var reader = MessagesStreamReader()
        let start = #"""
            {"type":"content_block_start","index":0,
             "content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}
            """#
        _ = try reader.read(name: "", data: DialectSamples.json(start))
        func piece(_ count: Int) -> JSONValue {
            let query = JSONValue.string(String(repeating: "x", count: count))
            return [
                "type": "content_block_delta", "index": 0,
                "delta": ["type": "input_json_delta", "partial_json": query],
            ]
        }
        #expect(try reader.read(name: "", data: piece(MessagesStreamReader.queryBytesMax)) == [])
        #expect(throws: DialectError.self) { try reader.read(name: "", data: piece(1)) }
    }

    @Test func textBehindAnOpenCallIsKept() throws {
        let messages = try documents(
            [
                #"""
                {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":
                "{"}}]}}]}
                """#,
                #"{"choices":[{"delta":{"content":"late"}}]}"#,
                #"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}"#,
                #"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
            ], .chat, .messages)
        #expect(messages.compactMap { $0["delta"]?["partial_json"]?.string } == ["{", "}"])
        #expect(messages.compactMap { $0["delta"]?["text"]?.string } == ["late"])
        #expect(messages.filter { $0["type"] == "content_block_stop" }.compactMap { $0["index"]?.int } == [0, 1])
    }

    @Test func searchesAndSourcesReachResponses() throws {
        let events = try documents(
            [
                #"{"type":"message_start","message":{"id":"m","model":"c"}}"#,
                #"""
                {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":
                "srvtoolu_1","name":"web_search","input":{}}}
                """#,
                #"""
                {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":
                "{\"query\":\"swift\"}"}}
                """#,
                #"{"type":"content_block_stop","index":0}"#,
                #"""
                {"type":"content_block_start","index":1,"content_block":{"type":"web_search_tool_result",
                "tool_use_id":"srvtoolu_1","content":[]}}
                """#,
                #"{"type":"content_block_stop","index":1}"#,
                #"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Swift."}}"#,
                #"""
                {"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":
                "web_search_result_location","url":"https://swift.org","title":"Swift","cited_text":"",
                "encrypted_index":""}}}
                """#,
                #"{"type":"message_stop"}"#,
            ], .messages, .responses)
        let output = events.last?["response"]?["output"]?.array ?? []
        #expect(output.map { $0["type"] } == ["web_search_call", "message"])
        #expect(output.first?["id"] == "ws_srvtoolu_1")
        #expect(output.first?["action"]?["query"] == "swift")
        let note = output.last?["content"]?.array?.first?["annotations"]?.array?.first
        #expect(note?["url"] == "https://swift.org")
        #expect(note?["end_index"] == 6)
    }
}
