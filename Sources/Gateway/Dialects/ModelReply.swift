import Kernel

/// A whole answer of a model, in the form between the dialects.
struct ModelReply: Sendable, Equatable {
    var id: String
    var model: String
    var parts: [Part] = []
    var stop: StopReason = .endTurn
    /// The sequence that ended the answer, where one did and the provider says which.
    var stopSequence: String?
    var usage: DialectUsage?

    enum Part: Sendable, Equatable {
        case text(String, citations: [Citation])
        case reasoning(Reasoning)
        case refusal(String)
        case toolCall(ToolCall)
        /// A search that the provider made.
        case webSearch(id: String, query: String)
    }

    /// A source on the web that a text rests on.
    struct Citation: Sendable, Equatable {
        let url: String
        let title: String
    }

    var hasCalls: Bool {
        parts.contains { part in
            if case .toolCall = part { return true }
            return false
        }
    }

    /// All refusals as one text; `nil` where there is none.
    var refusal: String? {
        let texts = parts.compactMap { part -> String? in
            if case .refusal(let text) = part { return text }
            return nil
        }
        return texts.isEmpty ? nil : texts.joined()
    }

    /// All plain text.
    var text: String {
        parts.reduce(into: "") { all, part in
            if case .text(let text, _) = part { all += text }
        }
    }
}

/// Why a model stopped.
enum StopReason: Sendable, Equatable {
    case endTurn, maxTokens, stopSequence, toolUse, refusal, contentFilter
    /// A turn with the provider's own tools that is to be continued.
    case pauseTurn
    /// The model's window is full.
    case contextWindow

    // MARK: Chat Completions (`finish_reason`)

    init(chat reason: String) {
        self =
            switch reason {
            case "length": .maxTokens
            case "tool_calls", "function_call": .toolUse
            case "content_filter": .contentFilter
            default: .endTurn
            }
    }

    /// A turn that is not over is no `stop`: a caller would take it for the whole answer.
    var chat: String {
        switch self {
        case .endTurn, .stopSequence: "stop"
        case .maxTokens, .pauseTurn, .contextWindow: "length"
        case .toolUse: "tool_calls"
        case .refusal, .contentFilter: "content_filter"
        }
    }

    // MARK: Messages (`stop_reason`)

    init(messages reason: String) {
        self =
            switch reason {
            case "max_tokens": .maxTokens
            case "stop_sequence": .stopSequence
            case "tool_use": .toolUse
            case "refusal": .refusal
            case "pause_turn": .pauseTurn
            case "model_context_window_exceeded": .contextWindow
            default: .endTurn
            }
    }

    var messages: String {
        switch self {
        case .endTurn: "end_turn"
        case .maxTokens: "max_tokens"
        case .stopSequence: "stop_sequence"
        case .toolUse: "tool_use"
        case .refusal, .contentFilter: "refusal"
        case .pauseTurn: "pause_turn"
        case .contextWindow: "model_context_window_exceeded"
        }
    }

    // MARK: Responses (`incomplete_details.reason`)

    /// `nil` where the response is complete.
    var incompleteReason: String? {
        switch self {
        case .maxTokens, .pauseTurn, .contextWindow: "max_output_tokens"
        case .contentFilter: "content_filter"
        case .endTurn, .stopSequence, .toolUse, .refusal: nil
        }
    }
}

/// What a reply's writer cannot take from the reply itself.
struct ReplyContext: Sendable {
    /// The model's name as the client asked for it; `nil` for the provider's.
    var model: String?
    /// Seconds since 1970.
    var createdAt: Int64
    /// Whether a stream of chat completions tells its usage.
    var tellsUsage = true
    /// Members of a Responses request that its answer repeats.
    var echo = JSONObject()

    init(createdAt: Int64, model: String? = nil, tellsUsage: Bool = true, echo: JSONObject = JSONObject()) {
        self.createdAt = createdAt
        self.model = model
        self.tellsUsage = tellsUsage
        self.echo = echo
    }
}
