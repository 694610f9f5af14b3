import Kernel

/// A call in the words of OpenTelemetry's conventions for generative AI.
///
/// The present names (semantic conventions 1.41, "Spans for generative AI": `gen_ai.provider.name`,
/// `gen_ai.usage.input_tokens`) stand beside those that many tools still read (conventions up to 1.36: `gen_ai.system`,
/// and up to 1.26: `gen_ai.usage.prompt_tokens`). Input counts what came from caches, output what was reasoning.
enum CallAttributes {
    static func attributes(of call: Call) -> JSONValue {
        var object = JSONObject()
        func add(_ name: String, _ value: (any JSONConvertible)?) {
            if let value { object.append(name, value.json) }
        }
        add("gen_ai.operation.name", operation(call.door))
        let provider = call.decision["provider"]?.string
        add("gen_ai.provider.name", provider)
        add("gen_ai.system", provider.map(system))
        add("gen_ai.request.model", call.model)
        add("gen_ai.request.stream", call.isStream)
        add("gen_ai.response.model", call.answeredModel ?? model(ofTarget: call.target))
        if call.status == .failed || call.status == .canceled { add("error.type", call.failure ?? "_OTHER") }
        add("gen_ai.agent.name", call.agent)
        add("gen_ai.conversation.id", call.session)
        add("gen_ai.response.time_to_first_chunk", call.ttftMs.map { JSONValue.double(Double($0) / 1_000) })
        let tokens = call.usage.tokens
        guard tokens.total > 0 else { return .object(object) }
        let input = tokens.input + tokens.cacheRead + tokens.cacheWrite
        let output = tokens.output + tokens.reasoning
        add("gen_ai.usage.input_tokens", input)
        add("gen_ai.usage.output_tokens", output)
        add("gen_ai.usage.cache_read.input_tokens", tokens.cacheRead)
        add("gen_ai.usage.cache_creation.input_tokens", tokens.cacheWrite)
        add("gen_ai.usage.reasoning.output_tokens", tokens.reasoning)
        add("gen_ai.usage.prompt_tokens", input)
        add("gen_ai.usage.completion_tokens", output)
        return .object(object)
    }

    private static func operation(_ door: String) -> String {
        switch door {
        case "openai.embeddings": "embeddings"
        case "anthropic.count_tokens": "count_tokens"
        default: "chat"
        }
    }

    /// The older names of providers that were renamed.
    private static func system(_ provider: String) -> String {
        switch provider {
        case "azure.ai.openai": "az.ai.openai"
        case "azure.ai.inference": "az.ai.inference"
        case "x_ai": "xai"
        default: provider
        }
    }

    /// The provider's own name of the model: what stands behind the provider's name.
    private static func model(ofTarget target: String?) -> String? {
        guard let target, let slash = target.firstIndex(of: "/") else { return nil }
        return String(target[target.index(after: slash)...])
    }
}
