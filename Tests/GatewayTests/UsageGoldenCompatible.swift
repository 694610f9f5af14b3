@testable import Gateway

extension UsageGolden {
    /// Servers that speak OpenAI's dialect, each in its own way.
    static let compatible: [UsageGolden] = [
        UsageGolden(
            name: "DeepSeek: hits and misses",
            source: "https://api-docs.deepseek.com/guides/kv_cache",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":1000,"completion_tokens":250,"total_tokens":1250,
                "prompt_tokens_details":{"cached_tokens":896},
                "completion_tokens_details":{"reasoning_tokens":180},"prompt_cache_hit_tokens":896,
                "prompt_cache_miss_tokens":104}}
                """
            ],
            price: #"{"input":0.28,"cacheRead":0.028,"output":0.42}"#,
            buckets: [.input: 104, .cacheRead: 896, .output: 70, .reasoning: 180],
            nanoDollars: 159_208),
        UsageGolden(
            name: "DeepSeek: hits without details",
            source: "https://docs.rs/crate/ds-api/0.10.7",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":11,"prompt_tokens":640,"prompt_cache_hit_tokens":576,
                "prompt_cache_miss_tokens":64,"total_tokens":651}}
                """
            ],
            price: #"{"input":0.28,"cacheRead":0.028,"output":0.42}"#,
            buckets: [.input: 64, .cacheRead: 576, .output: 11],
            nanoDollars: 38_668),
        UsageGolden(
            name: "xAI: reasoning stands outside the completion",
            source: "https://github.com/Wei-Shaw/sub2api/issues/5771",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":10120,"completion_tokens":1499,"total_tokens":14428,
                "prompt_tokens_details":{"cached_tokens":128},
                "completion_tokens_details":{"reasoning_tokens":2809}}}
                """
            ],
            price: #"{"input":1.25,"cacheRead":0.2,"output":2.5}"#,
            buckets: [.input: 9992, .cacheRead: 128, .output: 1499, .reasoning: 2809],
            nanoDollars: 23_285_600),
        UsageGolden(
            name: "xAI: one word after much thought",
            source: "https://github.com/vercel/ai/pull/12425",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":399,
                "completion_tokens_details":{"reasoning_tokens":386}}}
                """
            ],
            price: #"{"input":0.3,"output":0.5}"#,
            buckets: [.input: 12, .output: 1, .reasoning: 386],
            nanoDollars: 197_100),
        UsageGolden(
            name: "xAI: text tokens repeat the prompt",
            source: "https://docs.x.ai/developers/advanced-api-usage/prompt-caching/usage-and-pricing",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":125,"completion_tokens":48,"total_tokens":173,
                "prompt_tokens_details":{"text_tokens":125,"audio_tokens":0,"image_tokens":0,"cached_tokens":98},
                "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,
                "rejected_prediction_tokens":0}}}
                """
            ],
            price: #"{"input":3,"cacheRead":0.75,"output":15}"#,
            buckets: [.input: 27, .cacheRead: 98, .output: 48],
            nanoDollars: 874_500),
        UsageGolden(
            name: "xAI on Azure",
            source: "https://github.com/BerriAI/litellm/pull/39426",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":110,
                "completion_tokens_details":{"reasoning_tokens":97}}}
                """
            ],
            price: #"{"input":2,"cacheRead":0.5,"output":6}"#,
            buckets: [.input: 12, .output: 1, .reasoning: 97],
            nanoDollars: 612_000),
        UsageGolden(
            name: "Gemini: thoughts that only the total knows",
            source: "https://github.com/mozilla-ai/any-llm/issues/1290",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}}"#
            ],
            price: gemini25Flash,
            buckets: [.input: 20, .output: 198, .reasoning: 405],
            nanoDollars: 1_513_500, suspicions: [.unnamedTokens]),
        UsageGolden(
            name: "Gemini: nothing but thoughts",
            source: "https://github.com/router-for-me/CLIProxyAPI/issues/5733",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":0,"total_tokens":81,"prompt_tokens":21,
                "completion_tokens_details":{"reasoning_tokens":60}}}
                """
            ],
            price: gemini25Flash,
            buckets: [.input: 21, .reasoning: 60],
            nanoDollars: 156_300),
        UsageGolden(
            name: "Gemini: cached text is also called text",
            source: "https://github.com/BerriAI/litellm/issues/14849",
            dialect: .openAI,
            events: [
                """
                {"usage":{"total_tokens":264704,"prompt_tokens":262960,"completion_tokens":1744,
                "prompt_tokens_details":{"text_tokens":262960,"cached_tokens":257955},
                "completion_tokens_details":{"reasoning_tokens":0}}}
                """
            ],
            price: #"{"input":1.25,"cacheRead":0.625,"output":10}"#,
            buckets: [.input: 5005, .cacheRead: 257_955, .output: 1744],
            nanoDollars: 184_918_125),
        UsageGolden(
            name: "Gemini: an image and the thought before it",
            source: "https://github.com/BerriAI/litellm/issues/17410",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":1345,"prompt_tokens":10,"total_tokens":1355,
                "completion_tokens_details":{"reasoning_tokens":225,"text_tokens":0,"image_tokens":1120},
                "prompt_tokens_details":{"text_tokens":10}}}
                """
            ],
            price: #"{"input":2,"output":12,"image":120}"#,
            buckets: [.input: 10, .reasoning: 225, .imageOutput: 1120],
            nanoDollars: 137_120_000),
        UsageGolden(
            name: "Gemini: a cached conversation",
            source: "https://github.com/earendil-works/pi/pull/2148",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":20212,"completion_tokens":931,"total_tokens":21143,
                "prompt_tokens_details":{"cached_tokens":16298}}}
                """
            ],
            price: #"{"input":0.5,"cacheRead":0.05,"output":3}"#,
            buckets: [.input: 3914, .cacheRead: 16_298, .output: 931],
            nanoDollars: 5_564_900),
        UsageGolden(
            name: "Moonshot: usage in the last choice of a stream",
            source: "https://github.com/AstrBotDevs/AstrBot/issues/6614",
            dialect: .openAI,
            events: [
                #"{"choices":[{"delta":{"content":"?"},"index":0}],"usage":null}"#,
                """
                {"choices":[{"delta":{},"index":0,"finish_reason":"stop","usage":{"prompt_tokens":1336,
                "completion_tokens":31,"total_tokens":1367,"cached_tokens":1280,
                "prompt_tokens_details":{"cached_tokens":1280}}}]}
                """,
            ],
            price: kimi,
            buckets: [.input: 56, .cacheRead: 1280, .output: 31],
            nanoDollars: 303_100),
        UsageGolden(
            name: "Moonshot: cached tokens at the top",
            source: "https://github.com/earendil-works/pi/pull/8119",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":1000,"completion_tokens":20,"total_tokens":1020,"cached_tokens":768}}"#
            ],
            price: kimi,
            buckets: [.input: 232, .cacheRead: 768, .output: 20],
            nanoDollars: 304_400),
        UsageGolden(
            name: "Groq: a stream with its usage in x_groq",
            source: "https://console.groq.com/docs/api-reference",
            dialect: .openAI,
            events: [
                """
                {"choices":[],"x_groq":{"id":"req_1","usage":{"queue_time":0.037,"prompt_tokens":24,
                "prompt_time":0.0006,"completion_tokens":377,"completion_time":0.94,"total_tokens":401,
                "total_time":0.95}}}
                """
            ],
            price: #"{"input":0.59,"output":0.79}"#,
            buckets: [.input: 24, .output: 377],
            nanoDollars: 311_990),
        UsageGolden(
            name: "Groq: cached tokens",
            source: "https://github.com/vercel/ai/releases/tag/@ai-sdk%2Fgroq@4.0.8",
            dialect: .openAI,
            events: [
                """
                {"usage":{"queue_time":0.02,"prompt_tokens":4641,"prompt_time":0.01,"completion_tokens":1817,
                "completion_time":0.8,"total_tokens":6458,"total_time":0.9,
                "prompt_tokens_details":{"cached_tokens":4608}}}
                """
            ],
            price: #"{"input":1,"cacheRead":0.5,"output":3}"#,
            buckets: [.input: 33, .cacheRead: 4608, .output: 1817],
            nanoDollars: 7_788_000),
        UsageGolden(
            name: "Mistral: cached tokens",
            source: "https://github.com/mistralai/client-ts/issues/240",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":1013,"total_tokens":1043,"completion_tokens":30,
                "prompt_tokens_details":{"cached_tokens":1008}}}
                """
            ],
            price: #"{"input":0.4,"cacheRead":0.04,"output":2}"#,
            buckets: [.input: 5, .cacheRead: 1008, .output: 30],
            nanoDollars: 102_320),
        UsageGolden(
            name: "Mistral: audio stands outside the prompt",
            source: "https://github.com/pydantic/genai-prices/pull/591",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":3,"audio_tokens":375,"completion_tokens":1,"total_tokens":379}}"#
            ],
            price: #"{"input":0.4,"audioInput":1,"output":2}"#,
            buckets: [.input: 3, .audioInput: 375, .output: 1],
            nanoDollars: 378_200),
        UsageGolden(
            name: "GLM",
            source: "https://github.com/langgenius/dify-plugin-sdks/issues/188",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":139,"prompt_tokens":15427,
                "prompt_tokens_details":{"cached_tokens":170},"total_tokens":15566}}
                """
            ],
            price: #"{"input":0.6,"cacheRead":0.11,"output":2.2}"#,
            buckets: [.input: 15_257, .cacheRead: 170, .output: 139],
            nanoDollars: 9_478_700),
        UsageGolden(
            name: "details that are null",
            source: "https://github.com/langgenius/dify-plugin-sdks/issues/188",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":46,"prompt_tokens":4282,"total_tokens":4328,
                "completion_tokens_details":null,"prompt_tokens_details":{"audio_tokens":null,
                "cached_tokens":1024}}}
                """
            ],
            price: #"{"input":0.27,"cacheRead":0.07,"output":1.1}"#,
            buckets: [.input: 3258, .cacheRead: 1024, .output: 46],
            nanoDollars: 1_001_940),
        UsageGolden(
            name: "OpenRouter: cache writes lie inside the prompt",
            source: "https://openrouter.ai/docs/use-cases/usage-accounting",
            dialect: .openAI,
            events: [
                """
                {"object":"chat.completion.chunk","usage":{"completion_tokens":2,
                "completion_tokens_details":{"reasoning_tokens":0},"cost":0.95,
                "cost_details":{"upstream_inference_cost":19},"prompt_tokens":194,
                "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":100,"audio_tokens":0},
                "total_tokens":196}}
                """
            ],
            price: #"{"input":3,"cacheWrite":3.75,"output":15}"#,
            buckets: [.input: 94, .cacheWrite: 100, .output: 2],
            nanoDollars: 687_000),
        UsageGolden(
            name: "LiteLLM: Anthropic's names within OpenAI's shape",
            source: "https://github.com/BerriAI/litellm/issues/11364",
            dialect: .openAI,
            events: [
                """
                {"usage":{"total_tokens":103925,"prompt_tokens":98805,"completion_tokens":5120,
                "prompt_tokens_details":{"text_tokens":null,"audio_tokens":null,"image_tokens":null,
                "cached_tokens":66360,"cache_creation_tokens":32435},"cache_read_input_tokens":66360,
                "completion_tokens_details":{"text_tokens":null,"reasoning_tokens":1710},
                "cache_creation_input_tokens":32435}}
                """
            ],
            price: #"{"input":5,"cacheRead":0.5,"cacheWrite":6.25,"output":25}"#,
            buckets: [.input: 10, .cacheRead: 66_360, .cacheWrite: 32_435, .output: 3410, .reasoning: 1710],
            nanoDollars: 363_948_750),
        UsageGolden(
            name: "vLLM: a model of ones own costs nothing, and that is known",
            source: "https://github.com/mostlygeek/llama-swap/issues/906",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":42,"completion_tokens":128,"total_tokens":170},
                "metrics":{"time_to_first_token_ms":85.2}}
                """
            ],
            price: #"{"input":0,"output":0}"#,
            buckets: [.input: 42, .output: 128],
            nanoDollars: 0),
        UsageGolden(
            name: "vLLM: every chunk tells the usage so far",
            source: "https://github.com/ai-dynamo/dynamo/issues/14850",
            dialect: .openAI,
            events: [
                #"{"choices":[{"index":0}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#,
                """
                {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":12,"total_tokens":22,
                "prompt_tokens_details":{"cached_tokens":4}}}
                """,
            ],
            price: #"{"input":0.1,"output":0.1}"#,
            buckets: [.input: 6, .cacheRead: 4, .output: 12],
            nanoDollars: 2_200),
        UsageGolden(
            name: "llama.cpp: timings instead of usage",
            source: "https://github.com/ggml-org/llama.cpp/pull/15827",
            dialect: .openAI,
            events: [
                """
                {"choices":[],"timings":{"cache_n":236,"prompt_n":1,"prompt_ms":30.958,"predicted_n":35,
                "predicted_ms":661.064}}
                """
            ],
            price: #"{"input":0.05,"cacheRead":0.01,"output":0.1}"#,
            buckets: [.input: 1, .cacheRead: 236, .output: 35],
            nanoDollars: 5_910),
        UsageGolden(
            name: "Perplexity: searches",
            source: "https://docs.perplexity.ai/guides/pricing",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":14,"completion_tokens":233,"total_tokens":247,
                "search_context_size":"low","num_search_queries":3}}
                """
            ],
            price: #"{"input":1,"output":1,"webSearchPerThousand":5}"#,
            buckets: [.input: 14, .output: 233],
            toolUses: [.webSearch: 3], nanoDollars: 15_247_000),
        UsageGolden(
            name: "Voyage: embeddings with a total alone",
            source: "https://docs.voyageai.com/reference/embeddings-api",
            dialect: .openAI,
            events: [
                #"{"usage":{"total_tokens":10}}"#
            ],
            price: #"{"input":0.02}"#,
            buckets: [.input: 10],
            nanoDollars: 200),
    ]
}
