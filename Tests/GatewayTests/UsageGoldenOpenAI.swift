@testable import Gateway

extension UsageGolden {
    /// OpenAI's own shapes: chat, responses, embeddings, images, audio, tiers, long contexts.
    static let openAI: [UsageGolden] = [
        UsageGolden(
            name: "a chat answer",
            source: "https://platform.openai.com/docs/api-reference/chat/object",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
                "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,
                "rejected_prediction_tokens":0}}}
                """
            ],
            price: gpt4o,
            buckets: [.input: 19, .output: 10],
            nanoDollars: 147_500),
        UsageGolden(
            name: "cached tokens lie inside the prompt",
            source: "https://developers.openai.com/api/docs/guides/prompt-caching",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,
                "prompt_tokens_details":{"cached_tokens":1920}}}
                """
            ],
            price: gpt4o,
            buckets: [.input: 86, .cacheRead: 1920, .output: 300],
            nanoDollars: 5_615_000),
        UsageGolden(
            name: "cache writes lie inside the input",
            source: "https://developers.openai.com/api/docs/guides/prompt-caching",
            dialect: .openAI,
            events: [
                """
                {"usage":{"input_tokens":2600,"input_tokens_details":{"cached_tokens":2000,
                "cache_write_tokens":400},"output_tokens":300,"output_tokens_details":{"reasoning_tokens":0},
                "total_tokens":2900}}
                """
            ],
            price: gpt56,
            buckets: [.input: 200, .cacheRead: 2000, .cacheWrite: 400, .output: 300],
            nanoDollars: 13_500_000),
        UsageGolden(
            name: "a write without a stated lifetime takes the 30 minute price",
            source: "https://github.com/earendil-works/pi/issues/6469",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":19712,"completion_tokens":12,"total_tokens":19724,
                "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":19456}}}
                """
            ],
            price: #"{"input":1,"cacheRead":0.1,"cacheWrite5m":9,"cacheWrite30m":1.25,"output":6}"#,
            buckets: [.input: 256, .cacheWrite: 19_456, .output: 12],
            nanoDollars: 24_648_000),
        UsageGolden(
            name: "reasoning lies inside the output",
            source: "https://platform.openai.com/docs/guides/reasoning",
            dialect: .openAI,
            events: [
                """
                {"usage":{"input_tokens":75,"input_tokens_details":{"cached_tokens":0},"output_tokens":1186,
                "output_tokens_details":{"reasoning_tokens":1024},"total_tokens":1261}}
                """
            ],
            price: #"{"input":2,"cacheRead":0.5,"output":8}"#,
            buckets: [.input: 75, .output: 162, .reasoning: 1024],
            nanoDollars: 9_638_000),
        UsageGolden(
            name: "a response",
            source: "https://platform.openai.com/docs/api-reference/responses/object",
            dialect: .openAI,
            events: [
                """
                {"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,
                "output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}
                """
            ],
            price: #"{"input":2,"cacheRead":0.5,"output":8}"#,
            buckets: [.input: 36, .output: 87],
            nanoDollars: 768_000),
        UsageGolden(
            name: "a streamed response tells it in its last event",
            source: "https://platform.openai.com/docs/api-reference/responses-streaming/response/completed",
            dialect: .openAI,
            events: [
                #"{"type":"response.created","response":{"usage":null}}"#,
                """
                {"type":"response.completed","response":{"usage":{"input_tokens":328,
                "input_tokens_details":{"cached_tokens":0},"output_tokens":52,
                "output_tokens_details":{"reasoning_tokens":0},"total_tokens":380}}}
                """,
            ],
            price: #"{"input":2,"output":8}"#,
            buckets: [.input: 328, .output: 52],
            nanoDollars: 1_072_000),
        UsageGolden(
            name: "a streamed chat tells it in a chunk without choices",
            source: "https://github.com/decolua/9router/issues/2873",
            dialect: .openAI,
            events: [
                #"{"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}"#,
                """
                {"choices":[],"usage":{"prompt_tokens":27985,"completion_tokens":60,"total_tokens":28045,
                "prompt_tokens_details":{"cached_tokens":27136}}}
                """,
            ],
            price: gpt56,
            buckets: [.input: 849, .cacheRead: 27_136, .output: 60],
            nanoDollars: 19_613_000),
        UsageGolden(
            name: "predicted tokens lie inside the completion",
            source: "https://platform.openai.com/docs/guides/predicted-outputs",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":263,"completion_tokens":94,"total_tokens":357,
                "completion_tokens_details":{"reasoning_tokens":0,"accepted_prediction_tokens":70,
                "rejected_prediction_tokens":10}}}
                """
            ],
            price: gpt4o,
            buckets: [.input: 263, .output: 94],
            nanoDollars: 1_597_500),
        UsageGolden(
            name: "audio in and out of a chat",
            source: "https://github.com/BerriAI/litellm/issues/6302",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":138,"completion_tokens":198,"total_tokens":336,
                "prompt_tokens_details":{"cached_tokens":0,"text_tokens":26,"audio_tokens":112},
                "completion_tokens_details":{"text_tokens":42,"audio_tokens":156}}}
                """
            ],
            price: #"{"input":2.5,"output":10,"audioInput":40,"audioOutput":80}"#,
            buckets: [.input: 26, .audioInput: 112, .output: 42, .audioOutput: 156],
            nanoDollars: 17_445_000),
        UsageGolden(
            name: "a transcription",
            source: "https://github.com/openai/openai-dotnet/issues/819",
            dialect: .openAI,
            events: [
                """
                {"usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,
                "audio_tokens":14},"output_tokens":45,"total_tokens":59}}
                """
            ],
            price: #"{"input":2.5,"audioInput":6,"output":10}"#,
            buckets: [.audioInput: 14, .output: 45],
            nanoDollars: 534_000),
        UsageGolden(
            name: "speech in real time",
            source: "https://github.com/m1guelpf/swift-realtime-openai/pull/35",
            dialect: .openAI,
            events: [
                """
                {"usage":{"total_tokens":541,"input_tokens":521,"output_tokens":20,
                "input_token_details":{"text_tokens":292,"audio_tokens":229,"cached_tokens":0,
                "cached_tokens_details":{"text_tokens":0,"audio_tokens":0}},
                "output_token_details":{"text_tokens":20,"audio_tokens":0}}}
                """
            ],
            price: realtime,
            buckets: [.input: 292, .audioInput: 229, .output: 20],
            nanoDollars: 11_020_000),
        UsageGolden(
            name: "cached audio is cached, not audio",
            source: "https://github.com/livekit/agents/pull/2621",
            dialect: .openAI,
            events: [
                """
                {"usage":{"total_tokens":541,"input_tokens":521,"output_tokens":20,
                "input_token_details":{"text_tokens":292,"audio_tokens":229,"cached_tokens":384,
                "cached_tokens_details":{"text_tokens":256,"audio_tokens":128}},
                "output_token_details":{"text_tokens":20,"audio_tokens":0}}}
                """
            ],
            price: realtime,
            buckets: [.input: 36, .cacheRead: 384, .audioInput: 101, .output: 20],
            nanoDollars: 5_580_000),
        UsageGolden(
            name: "cached images without a word on what was cached",
            source: "https://github.com/BerriAI/litellm/pull/39850",
            dialect: .openAI,
            events: [
                """
                {"usage":{"total_tokens":375,"prompt_tokens":346,"completion_tokens":29,
                "prompt_tokens_details":{"text_tokens":152,"audio_tokens":0,"image_tokens":194,
                "cached_tokens":322},"completion_tokens_details":{"text_tokens":10,"audio_tokens":0,
                "reasoning_tokens":19}}}
                """
            ],
            price: #"{"input":0.6,"cacheRead":0.06,"image":0.8,"output":2.4,"imageOutput":2.4}"#,
            buckets: [.cacheRead: 322, .imageInput: 24, .output: 10, .reasoning: 19],
            nanoDollars: 108_120),
        UsageGolden(
            name: "an image from text",
            source: "https://github.com/BerriAI/litellm/pull/17906",
            dialect: .openAI,
            events: [
                """
                {"usage":{"input_tokens":150,"output_tokens":8000,"total_tokens":8150,
                "input_tokens_details":{"text_tokens":150,"image_tokens":0}}}
                """
            ],
            price: #"{"input":5,"image":10,"output":40}"#,
            buckets: [.input: 150, .output: 8000],
            nanoDollars: 320_750_000),
        UsageGolden(
            name: "an image with text beside it",
            source: "https://github.com/BerriAI/litellm/pull/19515",
            dialect: .openAI,
            events: [
                """
                {"usage":{"input_tokens":169,"output_tokens":4599,"total_tokens":4768,
                "input_tokens_details":{"text_tokens":169,"image_tokens":0},
                "output_tokens_details":{"text_tokens":439,"image_tokens":4160}}}
                """
            ],
            price: #"{"input":5,"output":10,"imageInput":8,"imageOutput":32}"#,
            buckets: [.input: 169, .output: 439, .imageOutput: 4160],
            nanoDollars: 138_355_000),
        UsageGolden(
            name: "names of both APIs, one of them with zeros",
            source: "https://github.com/BerriAI/litellm/issues/18541",
            dialect: .openAI,
            events: [
                """
                {"usage":{"completion_tokens":0,"prompt_tokens":0,"total_tokens":1079,
                "completion_tokens_details":null,"prompt_tokens_details":null,"input_tokens":23,
                "input_tokens_details":{"image_tokens":0,"text_tokens":23},"output_tokens":1056,
                "output_tokens_details":null}}
                """
            ],
            price: #"{"input":5,"output":32}"#,
            buckets: [.input: 23, .output: 1056],
            nanoDollars: 33_907_000),
        UsageGolden(
            name: "embeddings",
            source: "https://platform.openai.com/docs/api-reference/embeddings/create",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":8,"total_tokens":8}}"#
            ],
            price: #"{"input":0.02}"#,
            buckets: [.input: 8],
            nanoDollars: 160),
        UsageGolden(
            name: "the flex tier, named beside the usage",
            source: "https://platform.openai.com/docs/guides/flex-processing",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}"#
            ],
            serviceTier: "flex",
            price: #"{"input":1.1,"output":4.4,"serviceTiers":{"flex":{"input":0.55,"output":2.2}}}"#,
            buckets: [.input: 1000, .output: 500],
            nanoDollars: 1_650_000),
        UsageGolden(
            name: "a line of a batch",
            source: "https://platform.openai.com/docs/guides/batch",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":2000,"completion_tokens":100,"total_tokens":2100}}"#
            ],
            serviceTier: "batch",
            price: gpt4o,
            buckets: [.input: 2000, .output: 100],
            nanoDollars: 3_000_000),
        UsageGolden(
            name: "a tier without prices of its own",
            source: "https://platform.openai.com/docs/guides/priority-processing",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}"#
            ],
            serviceTier: "priority",
            price: gpt4o,
            buckets: [.input: 100, .output: 10],
            nanoDollars: 350_000),
        UsageGolden(
            name: "a long context costs more for all tokens",
            source: "https://github.com/BerriAI/litellm/pull/40002",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":300000,"completion_tokens":1000,"total_tokens":301000,
                "prompt_tokens_details":{"cached_tokens":0}}}
                """
            ],
            price: gpt56,
            buckets: [.input: 300_000, .output: 1000],
            nanoDollars: 3_045_000_000),
        UsageGolden(
            name: "a long context begins above its bound",
            source: "https://github.com/pydantic/genai-prices/pull/463",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":272000,"completion_tokens":1000,"total_tokens":273000}}"#
            ],
            price: gpt56,
            buckets: [.input: 272_000, .output: 1000],
            nanoDollars: 1_390_000_000),
        UsageGolden(
            name: "no details at all",
            source: "https://aws-samples.github.io/sample-connector-for-bedrock/providers/azure-openai",
            dialect: .openAI,
            events: [
                #"{"usage":{"prompt_tokens":13,"completion_tokens":7,"total_tokens":20}}"#
            ],
            price: gpt4o,
            buckets: [.input: 13, .output: 7],
            nanoDollars: 102_500),
        UsageGolden(
            name: "most of the prompt from the cache",
            source: "https://github.com/maximhq/bifrost/issues/904",
            dialect: .openAI,
            events: [
                """
                {"usage":{"prompt_tokens":1239328,"completion_tokens":12909,"total_tokens":1252237,
                "prompt_tokens_details":{"cached_tokens":1188096}}}
                """
            ],
            price: #"{"input":1.25,"cacheRead":0.125,"output":10}"#,
            buckets: [.input: 51_232, .cacheRead: 1_188_096, .output: 12_909],
            nanoDollars: 341_642_000),
    ]
}
