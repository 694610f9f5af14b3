import Kernel

/// The two families of `usage`: OpenAI counts cached tokens inside its input, Anthropic beside it.
enum UsageDialect: String, Sendable {
    case openAI, anthropic

    var defaultLifetime: CacheLifetime { self == .anthropic ? .fiveMinutes : .thirtyMinutes }
}

/// Turns a provider's `usage` into disjoint buckets.
///
/// The numbers are hostile: what is negative, huge, of a wrong type or in contradiction is bounded, never trapped on,
/// and noted as a ``UsageSuspicion``.
enum UsageReader {
    /// `nil` where `raw` says nothing of tokens, so that the caller must estimate. `serviceTier` is the answer's own,
    /// for providers that name it beside the usage.
    static func read(_ raw: JSONValue?, dialect: UsageDialect, serviceTier: String? = nil) -> TokenUsage? {
        guard let object = raw?.object else { return nil }
        var usage: TokenUsage?
        if isAnthropic(object, dialect) {
            var reading = AnthropicUsage(object)
            usage = reading.read()
        } else {
            var reading = OpenAIUsage(object)
            usage = reading.read()
        }
        usage?.buckets.defaultLifetime = dialect.defaultLifetime
        usage?.buckets.serviceTier = ServiceTier(answer: object["service_tier"]?.string ?? serviceTier)
        return usage
    }

    /// By what is written rather than by who was asked, as each dialect has servers that answer in the other's shape.
    private static func isAnthropic(_ object: JSONObject, _ dialect: UsageDialect) -> Bool {
        let isOpenAI = object["prompt_tokens"] != nil || object["completion_tokens"] != nil
        if dialect == .anthropic { return !isOpenAI }
        let hasCacheBeside = object["cache_read_input_tokens"] != nil || object["cache_creation_input_tokens"] != nil
        return !isOpenAI && hasCacheBeside && object["input_tokens_details"] == nil && object["total_tokens"] == nil
    }

    /// The `usage` of a whole answer or of one event of its stream, wherever the provider puts it: at the top (OpenAI,
    /// Anthropic's `message_delta`), in `x_groq` (Groq), in `message` (Anthropic's `message_start`), in `response`
    /// (Responses), in the first choice (Moonshot), in `response.body` or `result.message` (a line of a batch), or as
    /// `timings` (llama.cpp).
    static func locate(in event: JSONValue) -> JSONValue? {
        guard let event = event.object else { return nil }
        func usage(_ value: JSONValue?) -> JSONValue? {
            guard let found = value?.object?["usage"], found.object?.isEmpty == false else { return nil }
            return found
        }
        return usage(.object(event)) ?? usage(event["x_groq"]) ?? usage(event["message"]) ?? usage(event["response"])
            ?? usage(event["choices"]?.array?.first) ?? usage(event["response"]?.object?["body"])
            ?? usage(event["result"]?.object?["message"]) ?? timings(event["timings"])
    }

    /// llama.cpp's server README: `prompt_n` were evaluated, `cache_n` came from the cache, `predicted_n` were made.
    private static func timings(_ value: JSONValue?) -> JSONValue? {
        guard let object = value?.object, let prompt = object["prompt_n"]?.int, let made = object["predicted_n"]?.int
        else { return nil }
        let cached = object["cache_n"]?.int ?? 0
        let (input, isOver) = prompt.addingReportingOverflow(cached)
        return [
            "prompt_tokens": .int(isOver ? .max : input), "completion_tokens": .int(made),
            "prompt_tokens_details": ["cached_tokens": .int(cached)],
        ]
    }

    /// What a stream has told so far and what it tells now, as one `usage`. All counts are cumulative, so later ones
    /// replace earlier ones and are never added.
    static func merge(_ earlier: JSONValue?, _ later: JSONValue?, dialect: UsageDialect) -> JSONValue? {
        guard let new = later?.object, !new.isEmpty else { return earlier }
        guard let old = earlier?.object, dialect == .anthropic else { return later }
        return .object(AnthropicUsage.merged(old, new))
    }
}
