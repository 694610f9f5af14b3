extension DialectLosses {
    static let messagesToChat = RequestTable(
        source: .messages, target: .chat, model: "gpt-4o-mini-2024-07-18",
        rows: [
            .init("system", .kept, "texts are joined", #""system":[{"type":"text","text":"Be brief."}]"#),
            .init("max_tokens", .kept, "`max_completion_tokens` for OpenAI's reasoning models", #""max_tokens":100"#),
            .init(
                "messages[].content[]: image", .kept, "base64 as a data URL",
                #"""
                "messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":
                "image/png","data":"AA=="}}]}]
                """#
            ),
            .init(
                "messages[].content[]: document", .kept, "PDF as a file, text as text; an address is refused",
                #"""
                "messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":
                "application/pdf","data":"AA=="}}]}]
                """#
            ),
            .init(
                "messages[].content[]: document by address", .refused, "",
                #"""
                "messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":
                "https://x.org/a.pdf"}}]}]
                """#
            ),
            .init(
                "messages[].content[]: source.file_id", .refused, "files live with their provider",
                #""messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]"#),
            .init(
                "messages[].content[]: search_result", .changed, "its text, with title and source",
                #"""
                "messages":[{"role":"user","content":[{"type":"search_result","title":"A","source":"s","content":[{
                "type":"text","text":"x"}]}]}]
                """#
            ),
            .init(
                "messages[].content[]: tool_use, tool_result", .kept,
                "images of a result follow as the user's; `is_error` becomes a word",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":
                "a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a",
                "content":"1","is_error":true}]}]
                """#
            ),
            .init(
                "messages[].content[]: thinking, redacted_thinking", .dropped, "only Anthropic can read them",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking",
                "thinking":"x","signature":"s"},{"type":"text","text":"y"}]},{"role":"user","content":"Hi"}]
                """#
            ),
            .init(
                "messages[].content[]: server_tool_use and results", .dropped, "what came of it stands in the text",
                #"""
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":
                "server_tool_use","id":"a","name":"web_search","input":{}},{"type":"text","text":"y"}]},{"role":
                "user","content":"Hi"}]
                """#
            ),
            .init(
                "messages[].content[].cache_control", .dropped, "OpenAI caches by itself",
                #"""
                "messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":
                "ephemeral"}}]}]
                """#),
            .init(
                "messages[].content[].citations", .dropped, "",
                #"""
                "messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{
                "type":"text","media_type":"text/plain","data":"x"}}]}]
                """#
            ),
            .init("temperature", .kept, "dropped for OpenAI's reasoning models", #""temperature":0.5"#),
            .init("top_p", .kept, "dropped for OpenAI's reasoning models", #""top_p":0.5"#),
            .init("top_k", .dropped, "", #""top_k":5"#),
            .init("stop_sequences", .kept, "the first four", #""stop_sequences":["END"]"#),
            .init("stream", .kept, "", #""stream":true"#),
            .init(
                "thinking", .dropped, "`reasoning_effort` for models that reason",
                #""thinking":{"type":"enabled","budget_tokens":2000}"#),
            .init(
                "output_config.effort", .dropped, "`reasoning_effort` for models that reason",
                #""output_config":{"effort":"low"}"#),
            .init(
                "output_config.format", .kept, "strict where the schema allows it",
                #""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#),
            .init(
                "tools[]: custom", .kept, "",
                #""tools":[{"name":"f","input_schema":{"type":"object"},"strict":true}]"#),
            .init(
                "tools[].cache_control", .dropped, "OpenAI caches by itself",
                #""tools":[{"name":"f","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]"#),
            .init(
                "tools[]: web_search", .kept, "`web_search_options`; `max_uses` is dropped",
                #""tools":[{"type":"web_search_20250305","name":"web_search"}]"#),
            .init(
                "tools[].allowed_domains, blocked_domains", .refused, "Chat Completions cannot bound a search",
                #""tools":[{"type":"web_search_20250305","name":"web_search","allowed_domains":["x.org"]}]"#),
            .init(
                "tools[]: bash, code_execution, computer, …", .refused, "no like",
                #""tools":[{"type":"code_execution_20250825","name":"code_execution"}]"#),
            .init(
                "tool_choice", .kept, "with `disable_parallel_tool_use`",
                #"""
                "tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"any",
                "disable_parallel_tool_use":true}
                """#
            ),
            .init("metadata.user_id", .kept, "`user`", #""metadata":{"user_id":"u-1"}"#),
            .init("service_tier", .kept, "`standard_only` is `default`", #""service_tier":"standard_only""#),
            .init("cache_control", .dropped, "", #""cache_control":{"type":"ephemeral"}"#),
            .init("container", .dropped, "", #""container":"c""#),
            .init(
                "mcp_servers", .refused, "run by the provider",
                #"""
                "mcp_servers":[{"type":"url","url":"https://x.org","name":"x"}]
                """#),
            .init(
                "context_management", .dropped, "the conversation stays as long as it is",
                #"""
                "context_management":{"edits":[{"type":"compact_20260112"}]}
                """#),
            .init(
                "inference_geo", .refused, "where data may be processed is never dropped",
                #""inference_geo":"eu""#),
        ])
}
