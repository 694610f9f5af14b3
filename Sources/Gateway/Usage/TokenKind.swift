/// The kinds that tokens are counted and priced by. Each token of a call is of exactly one.
enum TokenKind: String, CaseIterable, Sendable {
    /// Input that was neither read from a cache nor written to one, as text.
    case input
    case cacheRead
    /// Written to the provider's cache for a time that the answer does not state.
    case cacheWrite
    case cacheWrite5m, cacheWrite30m, cacheWrite1h, cacheWrite12h
    case audioInput, imageInput
    /// What the model said as text, tool calls included.
    case output
    case reasoning
    case audioOutput, imageOutput

    var isInput: Bool {
        switch self {
        case .output, .reasoning, .audioOutput, .imageOutput: false
        default: true
        }
    }

    /// The value of the label `type` of metrics.
    var label: String {
        switch self {
        case .input: "input"
        case .cacheRead: "cache_read"
        case .cacheWrite, .cacheWrite5m, .cacheWrite30m, .cacheWrite1h, .cacheWrite12h: "cache_write"
        case .audioInput: "audio_input"
        case .imageInput: "image_input"
        case .output: "output"
        case .reasoning: "reasoning"
        case .audioOutput: "audio_output"
        case .imageOutput: "image_output"
        }
    }
}

/// How long a provider keeps what was written to its prompt cache.
enum CacheLifetime: String, CaseIterable, Sendable {
    case fiveMinutes = "5m"
    case thirtyMinutes = "30m"
    case oneHour = "1h"
    case twelveHours = "12h"

    var kind: TokenKind {
        switch self {
        case .fiveMinutes: .cacheWrite5m
        case .thirtyMinutes: .cacheWrite30m
        case .oneHour: .cacheWrite1h
        case .twelveHours: .cacheWrite12h
        }
    }

    var priceKey: PriceKey {
        switch self {
        case .fiveMinutes: .cacheWrite5m
        case .thirtyMinutes: .cacheWrite30m
        case .oneHour: .cacheWrite1h
        case .twelveHours: .cacheWrite12h
        }
    }
}

/// What a provider did beside generating: counted in uses, not in tokens.
enum ToolUse: String, CaseIterable, Sendable {
    case webSearch, webFetch, codeExecution, toolSearch
}
