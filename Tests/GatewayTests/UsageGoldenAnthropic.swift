@testable import Gateway

extension UsageGolden {
    /// Anthropic's shapes: caches of both lifetimes, streams, tools, tiers, compaction.
    static let anthropic: [UsageGolden] = [
        UsageGolden(
            name: "a message",
            source: "https://docs.anthropic.com/en/api/messages",
            dialect: .anthropic,
            events: [
                #"{"type":"message","usage":{"input_tokens":25,"output_tokens":150}}"#
            ],
            price: sonnet,
            buckets: [.input: 25, .output: 150],
            nanoDollars: 2_325_000),
        UsageGolden(
            name: "cache writes stand beside the input",
            source: "https://github.com/BerriAI/litellm/issues/9812",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":3,"cache_creation_input_tokens":12304,
                "cache_read_input_tokens":0,"output_tokens":550}}
                """
            ],
            price: sonnet,
            buckets: [.input: 3, .cacheWrite: 12_304, .output: 550],
            nanoDollars: 54_399_000),
        UsageGolden(
            name: "a stream repeats its cache writes",
            source: "https://github.com/maximhq/bifrost/issues/3451",
            dialect: .anthropic,
            events: [
                """
                {"type":"message_start","message":{"usage":{"input_tokens":6,"cache_creation_input_tokens":159217,
                "cache_read_input_tokens":0,"output_tokens":1}}}
                """,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":6,
                "cache_creation_input_tokens":159217,"cache_read_input_tokens":0,"output_tokens":2745}}
                """,
            ],
            price: opus,
            buckets: [.input: 6, .cacheWrite: 159_217, .output: 2745],
            nanoDollars: 1_063_761_250),
        UsageGolden(
            name: "the last event knows what was cached",
            source: "https://github.com/maximhq/bifrost/issues/5354",
            dialect: .anthropic,
            events: [
                """
                {"type":"message_start","message":{"usage":{"input_tokens":8000,"cache_creation_input_tokens":0,
                "cache_read_input_tokens":0,"output_tokens":0}}}
                """,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":300,
                "cache_creation_input_tokens":0,"cache_read_input_tokens":7700,"output_tokens":64}}
                """,
            ],
            price: sonnet,
            buckets: [.input: 300, .cacheRead: 7700, .output: 64],
            nanoDollars: 4_170_000),
        UsageGolden(
            name: "writes of both lifetimes",
            source: "https://github.com/earendil-works/pi/issues/2656",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":20,"cache_creation_input_tokens":1500,
                "cache_creation":{"ephemeral_5m_input_tokens":1000,"ephemeral_1h_input_tokens":500},
                "cache_read_input_tokens":0,"output_tokens":100}}
                """
            ],
            price: sonnet,
            buckets: [.input: 20, .cacheWrite5m: 1000, .cacheWrite1h: 500, .output: 100],
            nanoDollars: 8_310_000),
        UsageGolden(
            name: "a split that is more than its sum",
            source: "https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":2048,"cache_read_input_tokens":1800,
                "cache_creation_input_tokens":248,"output_tokens":503,
                "cache_creation":{"ephemeral_5m_input_tokens":456,"ephemeral_1h_input_tokens":100}}}
                """
            ],
            price: sonnet,
            buckets: [.input: 2048, .cacheRead: 1800, .cacheWrite5m: 456, .cacheWrite1h: 100, .output: 503],
            nanoDollars: 16_539_000, suspicions: [.partLargerThanWhole]),
        UsageGolden(
            name: "a turn of a coding agent",
            source: "https://github.com/rossoctl/cortex/pull/816",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":9,"cache_creation_input_tokens":3755,
                "cache_read_input_tokens":30008,"output_tokens":212}}
                """
            ],
            price: sonnet,
            buckets: [.input: 9, .cacheRead: 30_008, .cacheWrite: 3755, .output: 212],
            nanoDollars: 26_290_650),
        UsageGolden(
            name: "a stream that tells only its output at the end",
            source: "https://docs.anthropic.com/en/docs/build-with-claude/streaming",
            dialect: .anthropic,
            events: [
                #"{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}"#,
                #"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}"#,
            ],
            price: sonnet,
            buckets: [.input: 25, .output: 15],
            nanoDollars: 300_000),
        UsageGolden(
            name: "a stream whose end repeats its input",
            source: "https://github.com/modelbus/one-api-pro/issues/13",
            dialect: .anthropic,
            events: [
                #"{"type":"message_start","message":{"usage":{"input_tokens":27,"output_tokens":3}}}"#,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":27,
                "cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":47}}
                """,
            ],
            price: sonnet,
            buckets: [.input: 27, .output: 47],
            nanoDollars: 786_000),
        UsageGolden(
            name: "a stream that tells its writes twice",
            source: "https://github.com/envoyproxy/ai-gateway/pull/2241",
            dialect: .anthropic,
            events: [
                """
                {"type":"message_start","message":{"usage":{"input_tokens":317,"cache_creation_input_tokens":4425,
                "cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":4425,
                "ephemeral_1h_input_tokens":0},"output_tokens":2}}}
                """,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":317,
                "cache_creation_input_tokens":4425,"cache_read_input_tokens":0,"output_tokens":120}}
                """,
            ],
            price: sonnet,
            buckets: [.input: 317, .cacheWrite5m: 4425, .output: 120],
            nanoDollars: 19_344_750),
        UsageGolden(
            name: "an end with zeros where the beginning had counts",
            source: "https://github.com/envoyproxy/ai-gateway/pull/2236",
            dialect: .anthropic,
            events: [
                """
                {"type":"message_start","message":{"usage":{"input_tokens":9,"cache_read_input_tokens":1,
                "cache_creation_input_tokens":0,"output_tokens":0}}}
                """,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,
                "output_tokens":16}}
                """,
            ],
            price: sonnet,
            buckets: [.input: 9, .cacheRead: 1, .output: 16],
            nanoDollars: 267_300),
        UsageGolden(
            name: "everything at the end of the stream",
            source: "https://github.com/langchain-ai/langchainjs/pull/11195",
            dialect: .anthropic,
            events: [
                #"{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}"#,
                """
                {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":120,
                "cache_read_input_tokens":900,"output_tokens":40}}
                """,
            ],
            price: sonnet,
            buckets: [.input: 120, .cacheRead: 900, .output: 40],
            nanoDollars: 1_230_000),
        UsageGolden(
            name: "a message from cache alone",
            source: "https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":50,"cache_read_input_tokens":100000,
                "cache_creation_input_tokens":0,"output_tokens":503}}
                """
            ],
            price: sonnet,
            buckets: [.input: 50, .cacheRead: 100_000, .output: 503],
            nanoDollars: 37_695_000),
        UsageGolden(
            name: "a web search that is priced",
            source: "https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":6039,"cache_creation_input_tokens":0,
                "cache_read_input_tokens":0,"output_tokens":931,"server_tool_use":{"web_search_requests":1}}}
                """
            ],
            price: #"{"input":3,"output":15,"webSearchPerThousand":10}"#,
            buckets: [.input: 6039, .output: 931],
            toolUses: [.webSearch: 1], nanoDollars: 42_082_000),
        UsageGolden(
            name: "a line of a batch names its tier",
            source: "https://docs.anthropic.com/en/docs/build-with-claude/batch-processing",
            dialect: .anthropic,
            events: [
                #"{"type":"message","usage":{"input_tokens":1000,"output_tokens":200,"service_tier":"batch"}}"#
            ],
            price: sonnet,
            buckets: [.input: 1000, .output: 200],
            nanoDollars: 3_000_000),
        UsageGolden(
            name: "the standard tier",
            source: "https://docs.anthropic.com/en/api/service-tiers",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":410,"cache_creation_input_tokens":0,
                "cache_read_input_tokens":0,"output_tokens":585,"service_tier":"standard"}}
                """
            ],
            price: sonnet,
            buckets: [.input: 410, .output: 585],
            nanoDollars: 10_005_000),
        UsageGolden(
            name: "thinking lies inside the output",
            source: "https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/types/usage.py",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":50,"output_tokens":1500,
                "output_tokens_details":{"thinking_tokens":1200}}}
                """
            ],
            price: sonnet,
            buckets: [.input: 50, .output: 300, .reasoning: 1200],
            nanoDollars: 22_650_000),
        UsageGolden(
            name: "compaction is billed beside the message",
            source: "https://platform.claude.com/docs/en/build-with-claude/compaction",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":23000,"output_tokens":1000,
                "iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500},{"type":"message",
                "input_tokens":23000,"output_tokens":1000}]}}
                """
            ],
            price: #"{"input":3,"output":15}"#,
            buckets: [.input: 203_000, .output: 4500],
            nanoDollars: 676_500_000),
        UsageGolden(
            name: "a long context counts cached tokens too",
            source: "https://docs.anthropic.com/en/docs/build-with-claude/context-windows",
            dialect: .anthropic,
            events: [
                """
                {"type":"message","usage":{"input_tokens":1000,"cache_read_input_tokens":249000,
                "cache_creation_input_tokens":0,"output_tokens":2000}}
                """
            ],
            price: sonnet,
            buckets: [.input: 1000, .cacheRead: 249_000, .output: 2000],
            nanoDollars: 200_400_000),
    ]
}
