/// What is asked of a provider, with its path behind the base address: OpenAI's base address ends in `/v1`, Anthropic's
/// does not, as in the base addresses of their SDKs.
enum ProviderEndpoint: String, Sendable, CaseIterable {
    case chatCompletions = "/chat/completions"
    case responses = "/responses"
    case embeddings = "/embeddings"
    case models = "/models"
    case files = "/files"
    case batches = "/batches"
    case messages = "/v1/messages"
    case countTokens = "/v1/messages/count_tokens"
    case messageBatches = "/v1/messages/batches"
    case anthropicModels = "/v1/models"

    /// The dialect that the endpoint speaks.
    var dialect: UsageDialect {
        switch self {
        case .messages, .countTokens, .messageBatches, .anthropicModels: .anthropic
        default: .openAI
        }
    }
}
