import Kernel

/// Reads the `usage` of OpenAI's APIs (OpenAI API reference: Chat Completions, Responses, Embeddings, Images) and of
/// servers that speak alike: `prompt_tokens` or `input_tokens` hold everything that went in, cached tokens included.
///
/// What differs is told by the numbers alone, never by a server's name:
/// - total = input + output + reasoning: reasoning stands beside the output (xAI).
/// - total = input + output + cached: cached tokens stand beside the input.
/// - total = input + output + audio: audio stands beside the input (Mistral's transcriptions).
/// - total is larger, and no reasoning is named: the rest is reasoning (Gemini's compatible endpoint).
/// - reasoning is larger than the output, and no total speaks against it: it stands beside the output.
struct OpenAIUsage {
    /// Unnamed tokens of a total that are believed to be reasoning; more is not believed.
    static let unnamedTokensMax: Int64 = 1_000_000

    private let object: JSONObject
    private let inputDetails: JSONObject?
    private let outputDetails: JSONObject?
    private var counts = UsageCounts()

    init(_ object: JSONObject) {
        self.object = object
        func details(_ names: String...) -> JSONObject? { names.lazy.compactMap { object[$0]?.object }.first }
        inputDetails = details(
            "prompt_tokens_details", "input_tokens_details", "input_token_details", "prompt_token_details")
        outputDetails = details(
            "completion_tokens_details", "output_tokens_details", "output_token_details", "completion_token_details")
    }

    /// The numbers as they are told, before it is known what lies inside what.
    private struct Told {
        var input: Int64
        var output: Int64
        var cached: Int64
        var written: Int64
        var reasoning: Int64
        var audio: Int64
        var image: Int64
    }

    mutating func read() -> TokenUsage? {
        var input = either("prompt_tokens", "input_tokens")
        var output = either("completion_tokens", "output_tokens")
        var total = counts.count("total_tokens", in: object)
        // A total that was cut to size decides nothing.
        if counts.isSuspect("total_tokens") { total = nil }
        let missed = counts.count("prompt_cache_miss_tokens", in: object)
        if input == nil, let missed { input = missed + (counts.count("prompt_cache_hit_tokens", in: object) ?? 0) }
        guard input != nil || output != nil || total != nil else { return nil }
        // Embeddings have no output at all, and a total that says so.
        if input == nil {
            input = total.map { max(0, $0 - (output ?? 0)) }
        } else if output == nil {
            output = total.map { max(0, $0 - (input ?? 0)) }
        }
        var told = Told(
            input: input ?? 0, output: output ?? 0, cached: cached(), written: written(),
            reasoning: counts.first([("reasoning_tokens", outputDetails), ("reasoning_tokens", object)]),
            audio: counts.first([("audio_tokens", inputDetails), ("audio_tokens", object)]),
            image: counts.count("image_tokens", in: inputDetails) ?? 0)
        settle(&told, total: total)
        var buckets = TokenBuckets()
        splitInput(told, into: &buckets)
        splitOutput(told, into: &buckets)
        if let searches = counts.count("num_search_queries", in: object, max: UsageCounts.usesMax), searches > 0 {
            buckets.toolUses[.webSearch] = searches
        }
        return TokenUsage(buckets: buckets, suspicions: counts.suspicions)
    }

    /// A count under one of its two names. Some servers send both, the one that does not fit the API as 0.
    private mutating func either(_ chat: String, _ responses: String) -> Int64? {
        let first = counts.count(chat, in: object)
        if let first, first > 0 { return first }
        return counts.count(responses, in: object) ?? first
    }

    /// OpenAI and most; DeepSeek; Moonshot; Mistral; gateways that keep Anthropic's name.
    private mutating func cached() -> Int64 {
        counts.first([
            ("cached_tokens", inputDetails), ("prompt_cache_hit_tokens", object), ("cached_tokens", object),
            ("num_cached_tokens", object), ("cache_read_input_tokens", object),
        ])
    }

    private mutating func written() -> Int64 {
        counts.first([
            ("cache_write_tokens", inputDetails), ("cache_creation_tokens", inputDetails),
            ("cache_write_tokens", object), ("cache_creation_input_tokens", object),
        ])
    }

    /// Makes `input` and `output` the wholes that hold all their parts.
    private mutating func settle(_ told: inout Told, total: Int64?) {
        let sum = told.input + told.output
        let aside = told.cached + told.written
        guard let total, total != sum else {
            // Without a total only the sizes speak.
            if total == nil, told.reasoning > told.output {
                counts.suspect(.partLargerThanWhole, "reasoning_tokens")
                told.output += told.reasoning
            }
            return
        }
        if told.reasoning > 0, total == sum + told.reasoning {
            told.output += told.reasoning
        } else if aside > 0, total == sum + aside {
            told.input += aside
        } else if told.audio > 0, total == sum + told.audio {
            told.input += told.audio
        } else if told.reasoning == 0, total > sum, total - sum <= Self.unnamedTokensMax {
            counts.suspect(.unnamedTokens, "total_tokens")
            told.reasoning = total - sum
            told.output += told.reasoning
        } else {
            counts.suspect(.totalContradicts, "total_tokens")
            if told.reasoning > told.output { told.output += told.reasoning }
        }
    }

    /// Cached tokens may be audio or image too. Where the answer does not say of which kind they were, text is taken to
    /// have been cached first, then images, then audio: what is dear keeps its price, and no token is counted twice.
    private mutating func splitInput(_ told: Told, into buckets: inout TokenBuckets) {
        buckets[.cacheRead] = counts.part(told.cached, of: told.input, "cached_tokens")
        buckets[.cacheWrite] = counts.part(told.written, of: told.input - buckets[.cacheRead], "cache_write_tokens")
        let fresh = told.input - buckets[.cacheRead] - buckets[.cacheWrite]
        let ofCached = inputDetails?["cached_tokens_details"]?.object
        let audio = counts.part(told.audio, of: told.input, "audio_tokens")
        let image = counts.part(told.image, of: told.input - audio, "image_tokens")
        let cachedAudio = min(audio, counts.count("audio_tokens", in: ofCached) ?? 0)
        let cachedImage = min(image, counts.count("image_tokens", in: ofCached) ?? 0)
        buckets[.audioInput] = min(audio - cachedAudio, fresh)
        buckets[.imageInput] = min(image - cachedImage, fresh - buckets[.audioInput])
        buckets[.input] = fresh - buckets[.audioInput] - buckets[.imageInput]
    }

    private mutating func splitOutput(_ told: Told, into buckets: inout TokenBuckets) {
        let audio = counts.count("audio_tokens", in: outputDetails) ?? 0
        let image = counts.count("image_tokens", in: outputDetails) ?? 0
        var left = told.output
        buckets[.reasoning] = counts.part(told.reasoning, of: left, "reasoning_tokens")
        left -= buckets[.reasoning]
        buckets[.audioOutput] = counts.part(audio, of: left, "audio_tokens")
        left -= buckets[.audioOutput]
        buckets[.imageOutput] = counts.part(image, of: left, "image_tokens")
        buckets[.output] = left - buckets[.imageOutput]
    }
}
