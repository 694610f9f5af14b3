extension DialectLosses {
    static let repliesToOpenAI = ReplyTable(
        source: .messages, target: .chat,
        rows: [
            .init("text", .kept, "texts are joined", #""content":[{"type":"text","text":"Hi"}]"#, #""content":"Hi""#),
            .init(
                "tool_use", .kept, "", #""content":[{"type":"tool_use","id":"a","name":"f","input":{"x":1}}]"#,
                #""arguments":"{\"x\":1}""#),
            .init(
                "thinking", .changed, "`reasoning_content`, without its signature",
                #""content":[{"type":"thinking","thinking":"Hm","signature":"s"}]"#, #""reasoning_content":"Hm""#),
            .init(
                "redacted_thinking", .dropped, "", #""content":[{"type":"redacted_thinking","data":"secret"}]"#,
                "secret"),
            .init(
                "citations of the web", .changed, "`annotations`, for the whole text",
                #"""
                "content":[{"type":"text","text":"Hi","citations":[{"type":"web_search_result_location","url":
                "https://x.org","title":"X","cited_text":"q","encrypted_index":"e"}]}]
                """#,
                #""url":"https://x.org""#),
            .init(
                "citations of documents", .dropped, "",
                #"""
                "content":[{"type":"text","text":"Hi","citations":[{"type":"char_location","cited_text":
                "quoted"}]}]
                """#, "quoted"),
            .init(
                "web searches and their results", .dropped, "what came of them stands in the text",
                #"""
                "content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"swift"}}]
                """#, "swift"),
            .init(
                "stop_reason: refusal", .changed, "`content_filter`, and the words as `refusal`",
                #""content":[],"stop_reason":"refusal""#, #""finish_reason":"content_filter""#),
            .init(
                "stop_reason: pause_turn, model_context_window_exceeded", .changed, "`length`: the turn is not over",
                #""content":[],"stop_reason":"pause_turn""#, #""finish_reason":"length""#),
            .init(
                "stop_sequence", .dropped, "`stop`",
                #"""
                "content":[],"stop_reason":"stop_sequence","stop_sequence":"END"
                """#, "END"),
            .init(
                "usage", .kept, "cached tokens are a part of the prompt's",
                #""content":[],"usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":5}"#,
                #""prompt_tokens":7"#),
        ])

    static let repliesToResponses = ReplyTable(
        source: .messages, target: .responses,
        rows: [
            .init("text", .kept, "", #""content":[{"type":"text","text":"Hi"}]"#, #""text":"Hi""#),
            .init(
                "tool_use", .kept, "", #""content":[{"type":"tool_use","id":"a","name":"f","input":{}}]"#,
                #""call_id":"a""#),
            .init(
                "thinking", .changed, "an item `reasoning` with a summary; the signature is dropped",
                #""content":[{"type":"thinking","thinking":"Hm","signature":"s"}]"#, #""text":"Hm""#),
            .init(
                "web searches", .kept, "an item `web_search_call`; results are dropped",
                #""content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"swift"}}]"#,
                #""query":"swift""#),
            .init(
                "stop_reason: max_tokens, pause_turn", .changed, "`incomplete` for `max_output_tokens`",
                #""content":[],"stop_reason":"max_tokens""#, #""reason":"max_output_tokens""#),
            .init(
                "stop_reason: refusal", .changed, "`completed` with a part `refusal`",
                #""content":[{"type":"text","text":"No."}],"stop_reason":"refusal""#, #""refusal":"No.""#),
        ])

    static let repliesToAnthropic = ReplyTable(
        source: .chat, target: .messages,
        rows: [
            .init(
                "content", .kept, "", #""choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]"#,
                #""text":"Hi""#),
            .init(
                "tool_calls", .kept, "arguments that are no object go as the member `arguments` of one",
                #"""
                "choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]},
                "finish_reason":"tool_calls"}]
                """#,
                #""input":{"x":1}"#),
            .init(
                "reasoning_content, reasoning", .changed, "`thinking` without a signature: it cannot be sent back",
                #""choices":[{"message":{"content":"Hi","reasoning_content":"Hm"},"finish_reason":"stop"}]"#,
                #""thinking":"Hm""#),
            .init(
                "refusal", .changed, "text, with `stop_reason: refusal`",
                #""choices":[{"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}]"#,
                #""stop_reason":"refusal""#),
            .init(
                "finish_reason: content_filter", .changed, "`refusal`",
                #"""
                "choices":[{"message":{"content":"x"},"finish_reason":"content_filter"}]
                """#, #""stop_reason":"refusal""#),
            .init(
                "annotations", .dropped, "Anthropic's citations are sealed",
                #"""
                "choices":[{"message":{"content":"x","annotations":[{"type":"url_citation","url_citation":{"url":
                "https://x.org","title":"X"}}]},"finish_reason":"stop"}]
                """#,
                "x.org"),
            .init(
                "logprobs", .dropped, "",
                #"""
                "choices":[{"message":{"content":"x"},"logprobs":{"content":[]},"finish_reason":"stop"}]
                """#, "logprobs"),
            .init(
                "usage", .kept, "cached tokens stand beside the input's",
                #"""
                "choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,
                "completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}
                """#,
                #""input_tokens":3"#),
        ])
}
