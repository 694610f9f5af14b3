/// Words of OpenTelemetry's conventions for generative AI.
enum GenAIName {
    /// `gen_ai.operation.name`.
    static func operation(_ door: ModelDoor) -> String {
        switch door {
        case .chat, .responses, .messages: "chat"
        case .embeddings: "embeddings"
        // The conventions have no word for it and allow one's own.
        case .countTokens: "count_tokens"
        }
    }

    /// `gen_ai.provider.name` (semantic conventions 1.41, "GenAI attributes"), by where the provider is.
    static func provider(_ settings: ProviderSettings) -> String {
        guard settings.kind == .openai else { return settings.kind.rawValue }
        let host = settings.baseURL?.host.lowercased() ?? ""
        return hosts.first { host == $0.suffix || host.hasSuffix(".\($0.suffix)") }?.name ?? settings.kind.rawValue
    }

    private static let hosts: [(suffix: String, name: String)] = [
        ("openai.azure.com", "azure.ai.openai"), ("services.ai.azure.com", "azure.ai.inference"),
        ("api.groq.com", "groq"), ("api.mistral.ai", "mistral_ai"), ("api.deepseek.com", "deepseek"),
        ("api.perplexity.ai", "perplexity"), ("api.x.ai", "x_ai"), ("api.cohere.com", "cohere"),
        ("api.cohere.ai", "cohere"), ("api.moonshot.ai", "moonshot_ai"),
    ]

    /// `gen_ai.system`, the older name of the same, whose words differ for Azure and xAI (conventions up to 1.36).
    static func system(ofProvider name: String) -> String {
        switch name {
        case "azure.ai.openai": "az.ai.openai"
        case "azure.ai.inference": "az.ai.inference"
        case "x_ai": "xai"
        default: name
        }
    }
}
