import Kernel

/// What an answer's headers say about the provider's limits. Pure; values that cannot be true are left out.
///
/// OpenAI: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (guide "Rate limits"). Anthropic:
/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` (API reference, "Rate
/// limits"). Azure sends -1 and 0 on some routes, which say nothing.
struct RateLimitHeaders: Sendable, Equatable {
    /// What a limit counts.
    enum Kind: Int, Sendable, CaseIterable {
        case requests, tokens, inputTokens, outputTokens

        /// In metrics.
        var label: String {
            switch self {
            case .requests: "requests"
            case .tokens: "tokens"
            case .inputTokens: "input_tokens"
            case .outputTokens: "output_tokens"
            }
        }
    }

    /// One limit as it stood when the answer began.
    struct Allowance: Sendable, Equatable {
        var limit: Int64
        var remaining: Int64
        /// Until it is full again; `nil` where the provider does not say.
        var reset: Span?
    }

    /// No limit is larger, as far as arithmetic with it is concerned.
    static let largest: Int64 = 1 << 50

    private(set) var requests: Allowance?
    private(set) var tokens: Allowance?
    private(set) var inputTokens: Allowance?
    private(set) var outputTokens: Allowance?

    /// `header` looks a header up by its name in lower case.
    init(at now: Timestamp, header: (String) -> String?) {
        func allowance(_ limit: String, _ remaining: String, _ reset: String) -> Allowance? {
            guard let limit = header(limit).flatMap(Self.count), limit > 0,
                let remaining = header(remaining).flatMap(Self.count)
            else { return nil }
            let reset = header(reset).flatMap { RetryAfter.reset($0, at: now) }
            return Allowance(limit: limit, remaining: min(remaining, limit), reset: reset)
        }
        func openAI(_ kind: String) -> Allowance? {
            allowance("x-ratelimit-limit-\(kind)", "x-ratelimit-remaining-\(kind)", "x-ratelimit-reset-\(kind)")
        }
        func anthropic(_ kind: String) -> Allowance? {
            let name = "anthropic-ratelimit-\(kind)-"
            return allowance(name + "limit", name + "remaining", name + "reset")
        }
        requests = openAI("requests") ?? anthropic("requests")
        tokens = openAI("tokens") ?? anthropic("tokens")
        inputTokens = anthropic("input-tokens")
        outputTokens = anthropic("output-tokens")
    }

    subscript(kind: Kind) -> Allowance? {
        switch kind {
        case .requests: requests
        case .tokens: tokens
        case .inputTokens: inputTokens
        case .outputTokens: outputTokens
        }
    }

    /// Whether a header is one of those that are read here.
    static func isOne(_ name: String) -> Bool {
        // Asked of every header of every answer: most are shorter.
        guard name.utf8.count > 20, let first = name.utf8.first.map({ $0 | 0x20 }),
            first == UInt8(ascii: "x") || first == UInt8(ascii: "a")
        else { return false }
        let name = name.lowercased()
        return name.hasPrefix("x-ratelimit-") || name.hasPrefix("anthropic-ratelimit-")
    }

    var isEmpty: Bool { Kind.allCases.allSatisfy { self[$0] == nil } }

    /// The longest time until an allowance that is used up is full again.
    var emptyReset: Span? {
        Kind.allCases.compactMap { kind in self[kind].flatMap { $0.remaining == 0 ? $0.reset : nil } }.max()
    }

    private static func count(_ text: String) -> Int64? {
        let text = text.utf8.filter { $0 != 0x20 }
        guard !text.isEmpty, text.count <= 16, text.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return min(largest, text.reduce(0) { $0 * 10 + Int64($1 - 48) })
    }
}
