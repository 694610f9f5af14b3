import Kernel
import Testing

@testable import Gateway

/// One real shape of `usage` with what it must come to. The counts and costs are worked out by hand from the source's
/// own numbers: nano-dollars a token are dollars a million tokens times 1000.
struct UsageGolden: Sendable, CustomTestStringConvertible {
    let name: String
    /// The public page whose shape, and mostly whose numbers, this is.
    let source: String
    let dialect: UsageDialect
    /// The answer, or the events of its stream that tell usage, in their order.
    let events: [String]
    var serviceTier: String?
    /// Dollars per million tokens.
    let price: String
    let buckets: KeyValuePairs<TokenKind, Int64>
    var toolUses: [ToolUse: Int64] = [:]
    let nanoDollars: Int64
    var suspicions: [UsageSuspicion.Reason] = []

    var testDescription: String { name }

    static let all = openAI + anthropic + compatible

    // Prices as their pages showed them when the sources were written.
    static let gpt4o = #"{"input":2.5,"cacheRead":1.25,"output":10,"serviceTiers":{"batch":{"input":1.25,"output":5}}}"#
    static let gpt56 = """
        {"input":5,"cacheRead":0.5,"cacheWrite":6.25,"output":30,"longContext":
        {"aboveInputTokens":272000,"input":10,"cacheRead":1,"cacheWrite":12.5,"output":45}}
        """
    static let realtime = #"{"input":5,"cacheRead":2.5,"audioInput":40,"output":20,"audioOutput":80}"#
    static let sonnet = """
        {"input":3,"cacheRead":0.3,"cacheWrite5m":3.75,"cacheWrite1h":6,"output":15,
        "longContext":{"aboveInputTokens":200000,"input":6,"cacheRead":0.6,"cacheWrite":7.5,"output":22.5},
        "serviceTiers":{"batch":{"input":1.5,"output":7.5}}}
        """
    static let opus = #"{"input":5,"cacheRead":0.5,"cacheWrite5m":6.25,"cacheWrite1h":10,"output":25}"#
    static let gemini25Flash = #"{"input":0.3,"cacheRead":0.03,"output":2.5}"#
    static let kimi = #"{"input":0.6,"cacheRead":0.15,"output":2.5}"#
}
