/// The names under which a price table states dollars per million tokens.
enum PriceKey: String, CaseIterable, Sendable {
    case input, output
    case cacheRead, cacheWrite, cacheWrite5m, cacheWrite30m, cacheWrite1h, cacheWrite12h
    case audioInput, audioOutput
    case reasoning
    /// Image tokens of either direction; the two below say it for one.
    case image, imageInput, imageOutput
}

/// A variant of a provider's service with prices of its own. What is not here is priced as standard.
enum ServiceTier: String, CaseIterable, Sendable {
    case batch, flex, priority

    /// The tier that an answer names (OpenAI API reference, `service_tier`; Anthropic API reference,
    /// `usage.service_tier`); `nil` for `default`, `standard`, `auto`, `scale` and what nobody knows.
    init?(answer: String?) {
        guard let answer, let tier = ServiceTier(rawValue: answer) else { return nil }
        self = tier
    }
}
