import Kernel

/// An address at which agents ask for models, as the SDKs of both dialects know it.
public enum ModelDoor: String, Sendable, CaseIterable {
    case chat = "/v1/chat/completions"
    case responses = "/v1/responses"
    case embeddings = "/v1/embeddings"
    case messages = "/v1/messages"
    case countTokens = "/v1/messages/count_tokens"

    /// For records: the dialect and what is asked.
    public var name: String {
        switch self {
        case .chat: "openai.chat"
        case .responses: "openai.responses"
        case .embeddings: "openai.embeddings"
        case .messages: "anthropic.messages"
        case .countTokens: "anthropic.count_tokens"
        }
    }

    /// How a caller of this door writes and reads.
    var dialect: Dialect {
        switch self {
        case .chat, .embeddings: .chat
        case .responses: .responses
        case .messages, .countTokens: .messages
        }
    }

    /// Where a provider of the same dialect is asked.
    var endpoint: ProviderEndpoint {
        switch self {
        case .chat: .chatCompletions
        case .responses: .responses
        case .embeddings: .embeddings
        case .messages: .messages
        case .countTokens: .countTokens
        }
    }

    /// Whether a provider of that kind takes the body as it came.
    func isNative(to kind: ProviderSettings.Kind) -> Bool {
        switch kind {
        case .openai: dialect.isOpenAI
        case .anthropic: !dialect.isOpenAI
        // It speaks both.
        case .scripted: true
        }
    }

    /// The members of a body that are looked for: all that is read of it where it goes on as it came.
    var wanted: TopLevelScan.Wanted { self == .chat ? Self.wantedOfChat : Self.wantedOfOthers }

    private static let wantedOfOthers = TopLevelScan.Wanted([
        "model", "stream", "max_tokens", "max_output_tokens", "tools", "tool_choice",
    ])
    private static let wantedOfChat = TopLevelScan.Wanted([
        "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "tools", "tool_choice",
        "functions", "function_call",
    ])

    /// Where a request limits its answer; the first is what is written where none stands.
    var limitNames: [String] {
        switch self {
        case .chat: ["max_completion_tokens", "max_tokens"]
        case .responses: ["max_output_tokens"]
        case .messages: ["max_tokens"]
        case .embeddings, .countTokens: []
        }
    }
}

/// A request that came in at a door: its caller is known, its body whole.
public struct DoorRequest: Sendable {
    public let door: ModelDoor
    /// Without those that hold the caller's key.
    public let headers: RequestHeaders
    public let body: [UInt8]
    public let principal: Principal
    public let requestID: String
    public let correlationID: String
    public let traceparent: String
    /// Whether the caller named the trace, and not Reeve; likewise the correlation id.
    public let isTraced: Bool
    public let isCorrelated: Bool
    /// What goes on beside the trace.
    public let tracestate: String?

    public init(
        door: ModelDoor, headers: RequestHeaders, body: [UInt8], principal: Principal, requestID: String,
        correlationID: String, traceparent: String, isTraced: Bool = false, isCorrelated: Bool = false,
        tracestate: String? = nil
    ) {
        self.door = door
        self.headers = headers
        self.body = body
        self.principal = principal
        self.requestID = requestID
        self.correlationID = correlationID
        self.traceparent = traceparent
        self.isTraced = isTraced
        self.isCorrelated = isCorrelated
        self.tracestate = tracestate
    }

    /// The same with another body.
    func with(body: [UInt8]) -> DoorRequest {
        DoorRequest(
            door: door, headers: headers, body: body, principal: principal, requestID: requestID,
            correlationID: correlationID, traceparent: traceparent, isTraced: isTraced, isCorrelated: isCorrelated,
            tracestate: tracestate)
    }
}
