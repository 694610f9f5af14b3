extension DialectLosses {
    static let chatToMessages = RequestTable(
        source: .chat, target: .messages, model: "claude-haiku-4-5-20251001",
        rows: [
            .init(
                "messages[].role: system, developer", .kept, "the instructions; later ones move to the front",
                #""messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":"Hi"}]"#),
            .init(
                "messages[].content[].image_url", .kept, "addresses and data URLs",
                #"""
                "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":
                "https://x.org/a.png"}}]}]
                """#),
            .init(
                "messages[].content[].file.file_data", .kept, "PDF",
                #"""
                "messages":[{"role":"user","content":[{"type":"file","file":{"file_data":
                "data:application/pdf;base64,AA=="}}]}]
                """#
            ),
            .init(
                "messages[].content[]: file_id", .refused, "files live with their provider",
                #""messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]"#),
            .init(
                "messages[].content[]: input_audio", .refused, "no like",
                #"""
                "messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":
                "wav"}}]}]
                """#
            ),
            .init(
                "messages[].name", .dropped, "speakers of one role are not told apart",
                #""messages":[{"role":"user","name":"ann","content":"Hi"}]"#),
            .init(
                "messages[].tool_calls", .kept,
                "ids that Anthropic does not take are renamed; a call without a result gets one that says so",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":
                "a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":
                "a","content":"1"}]
                """#
            ),
            .init(
                "messages[].tool_calls[].function.arguments", .dropped,
                "only where they are no JSON object: they go as the member `arguments` of one",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":
                "a","type":"function","function":{"name":"f","arguments":"{"}}]}]
                """#
            ),
            .init(
                "messages[].role: tool", .changed, "a result without its call becomes text",
                #""messages":[{"role":"user","content":"Hi"},{"role":"tool","tool_call_id":"a","content":"1"}]"#),
            .init(
                "messages[].reasoning_content", .dropped, "thoughts without a signature are not taken",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"x","reasoning_content":
                "y"},{"role":"user","content":"z"}]
                """#
            ),
            .init(
                "messages[].content[].prompt_cache_breakpoint", .kept, "the last four; `30m` and `12h` become `1h`",
                #"""
                "messages":[{"role":"user","content":[{"type":"text","text":"Hi","prompt_cache_breakpoint":{"mode":
                "explicit"}}]}]
                """#
            ),
            .init(
                "max_completion_tokens, max_tokens", .kept,
                "without one: \(MessagesRequestWriter.outputMaxDefault), and the budget of thinking on top",
                #""max_tokens":100"#),
            .init(
                "temperature", .kept, "up to 1; dropped for Claude 4.7 and later, and beside thinking",
                #""temperature":0.5"#),
            .init(
                "top_p", .kept, "dropped beside `temperature`, beside thinking, and for Claude 4.7 and later",
                #""top_p":0.9"#),
            .init("stop", .kept, "sequences of nothing but space are dropped", #""stop":["END"]"#),
            .init("stream", .kept, "", #""stream":true,"stream_options":{"include_usage":true}"#),
            .init("n", .refused, "where above 1", #""n":2"#),
            .init(
                "tools[].function", .kept, "`strict` where the model knows it (Claude 4.5 and later), else dropped",
                #"""
                "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}},
                "strict":true}}]
                """#
            ),
            .init(
                "tools[]: custom", .refused, "tools without a schema",
                #""tools":[{"type":"custom","custom":{"name":"f"}}]"#),
            .init(
                "tool_choice", .kept, "`allowed_tools` leaves the others out",
                #"""
                "tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{
                "name":"f"}}
                """#
            ),
            .init(
                "parallel_tool_calls", .kept, "",
                #""tools":[{"type":"function","function":{"name":"f"}}],"parallel_tool_calls":false"#),
            .init("functions", .refused, "outdated: send `tools`", #""functions":[{"name":"f"}]"#),
            .init(
                "response_format: json_schema", .kept,
                "objects are closed; before Claude 4.5 said in words, and dropped",
                #""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}}"#),
            .init(
                "response_format: json_object", .dropped, "said in words",
                #""response_format":{"type":"json_object"}"#),
            .init(
                "reasoning_effort", .kept,
                """
                a budget, or adaptive thinking from Claude 4.6 on; dropped beside a forced call, a limit too \
                small, and where the last calls come without thoughts
                """,
                #""reasoning_effort":"low""#),
            .init("web_search_options", .kept, "`search_context_size` is dropped", #""web_search_options":{}"#),
            .init("user, safety_identifier", .kept, "`metadata.user_id`", #""user":"u-1""#),
            .init("service_tier", .kept, "`auto` and `default`; others are dropped", #""service_tier":"default""#),
            .init("seed", .dropped, "", #""seed":7"#),
            .init("logit_bias", .dropped, "", #""logit_bias":{"50256":-100}"#),
            .init("logprobs", .dropped, "", #""logprobs":true"#),
            .init("frequency_penalty", .dropped, "", #""frequency_penalty":0.5"#),
            .init("presence_penalty", .dropped, "", #""presence_penalty":0.5"#),
            .init("prediction", .dropped, "", #""prediction":{"type":"content","content":"x"}"#),
            .init("metadata", .dropped, "", #""metadata":{"a":"b"}"#),
            .init("store", .dropped, "", #""store":true"#),
            .init("prompt_cache_key", .dropped, "", #""prompt_cache_key":"k""#),
            .init("verbosity", .dropped, "", #""verbosity":"low""#),
            .init("modalities", .refused, "where it asks for more than text", #""modalities":["text","audio"]"#),
        ])

    static let responsesToMessages = RequestTable(
        source: .responses, target: .messages, model: "claude-haiku-4-5-20251001",
        rows: [
            .init("instructions", .kept, "", #""instructions":"Be brief.""#),
            .init(
                "input[]: message, function_call, function_call_output", .kept,
                "items of one turn become one message",
                #"""
                "input":[{"role":"user","content":"Hi"},{"type":"function_call","call_id":"a","name":"f",
                "arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}]
                """#
            ),
            .init(
                "input[]: reasoning", .dropped, "thoughts of another provider",
                #"""
                "input":[{"role":"user","content":"Hi"},{"type":"reasoning","summary":[]},{"role":"user","content":
                "Hi"}]
                """#),
            .init(
                "input[]: web_search_call", .dropped, "what came of it stands in the text",
                #"""
                "input":[{"role":"user","content":"Hi"},{"type":"web_search_call","id":"ws_1","status":
                "completed"},{"role":"user","content":"Hi"}]
                """#
            ),
            .init(
                "input[]: item_reference", .refused, "the provider's state",
                #""input":[{"type":"item_reference","id":"msg_1"}]"#),
            .init("max_output_tokens", .kept, "", #""max_output_tokens":100"#),
            .init(
                "text.format: json_schema", .kept, "as in Chat Completions",
                #""text":{"format":{"type":"json_schema","name":"a","schema":{"type":"object"}}}"#),
            .init("text.verbosity", .dropped, "", #""text":{"verbosity":"low"}"#),
            .init("reasoning.effort", .kept, "as in Chat Completions", #""reasoning":{"effort":"low"}"#),
            .init(
                "reasoning.summary", .dropped, "thoughts are shown as the model shows them",
                #""reasoning":{"effort":"low","summary":"auto"}"#),
            .init(
                "tools[]: function", .kept, "",
                #""tools":[{"type":"function","name":"f","parameters":{"type":"object"},"strict":false}]"#),
            .init(
                "tools[]: web_search", .kept, "`search_context_size` other than `medium` is dropped",
                #""tools":[{"type":"web_search","filters":{"allowed_domains":["x.org"]}}]"#),
            .init(
                "tools[]: file_search, code_interpreter, mcp, …", .refused, "run by the provider",
                #""tools":[{"type":"code_interpreter","container":{"type":"auto"}}]"#),
            .init("include", .dropped, "", #""include":["reasoning.encrypted_content"]"#),
            .init("metadata", .dropped, "the answer repeats it all the same", #""metadata":{"a":"b"}"#),
            .init("truncation", .dropped, "", #""truncation":"auto""#),
            .init("previous_response_id", .refused, "the provider's state", #""previous_response_id":"resp_1""#),
            .init("conversation", .refused, "the provider's state", #""conversation":"conv_1""#),
            .init("prompt", .refused, "the provider's state", #""prompt":{"id":"pmpt_1"}"#),
            .init("background", .refused, "", #""background":true"#),
            .init("max_tool_calls", .refused, "a bound that nobody would keep", #""max_tool_calls":3"#),
        ])

    static let responsesToChat = RequestTable(
        source: .responses, target: .chat, model: "gpt-4o-mini-2024-07-18",
        rows: [
            .init("instructions", .kept, "", #""instructions":"Be brief.""#),
            .init(
                "input[]: message, function_call, function_call_output", .kept,
                "items of one turn become one message",
                #"""
                "input":[{"role":"user","content":"Hi"},{"type":"function_call","call_id":"a","name":"f",
                "arguments":"{}"},{"type":"function_call_output","call_id":"a","output":"1"}]
                """#
            ),
            .init(
                "input[]: reasoning", .dropped, "",
                #"""
                "input":[{"role":"user","content":"Hi"},{"type":"reasoning","summary":[]},{"role":"user","content":
                "Hi"}]
                """#),
            .init("text.format", .kept, "", #""text":{"format":{"type":"json_object"}}"#),
            .init("reasoning.summary", .dropped, "", #""reasoning":{"summary":"auto"}"#),
            .init("metadata, store, prompt_cache_key", .kept, "", #""metadata":{"a":"b"},"store":true"#),
            .init("previous_response_id", .refused, "the provider's state", #""previous_response_id":"resp_1""#),
            .init(
                "tools[].filters.allowed_domains", .refused, "Chat Completions cannot bound a search",
                #""tools":[{"type":"web_search","filters":{"allowed_domains":["x.org"]}}]"#),
        ])
}
