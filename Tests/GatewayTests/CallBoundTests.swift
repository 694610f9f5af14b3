import Kernel
import Testing

@testable import Gateway

/// What a call can cost at most, and what such calls really come to.
@Suite struct CallBoundTests {
    private let epoch = Timestamp(microseconds: 0)

    private func bound(_ yaml: String, _ call: CallBound) throws -> Int64? {
        try PriceTable(YAMLDocument.parse(yaml), path: "price").upperBound(of: call, at: epoch)?.value
    }

    /// Tokens in and out, answers, what the call may hold, and nano-dollars.
    @Test(
        arguments: [
            ("{input: 2.5, output: 10}", 1_000, 500, 1, [], 7_500_000),
            ("{input: 2.5, output: 10}", 1_000, 500, 3, [], 17_500_000),
            ("{input: 2.5, cacheWrite: 4, output: 10}", 1_000, 0, 1, [], 2_500_000),
            ("{input: 2.5, cacheWrite: 4, output: 10}", 1_000, 0, 1, .cacheWrites, 4_000_000),
            ("{input: 3, cacheWrite1h: 6, output: 15}", 1_000, 0, 1, .all, 6_000_000),
            ("{input: 2.5, audioInput: 40, output: 10, audioOutput: 80}", 10, 10, 1, [], 125_000),
            ("{input: 2.5, audioInput: 40, output: 10, audioOutput: 80}", 10, 10, 1, .all, 1_200_000),
            ("{input: 2.5, output: 10, reasoning: 60}", 0, 10, 1, [], 600_000),
            (
                "{input: 1, output: 2, longContext: {aboveInputTokens: 100, input: 3, output: 4}}", 100, 10, 1, [],
                120_000
            ),
            (
                "{input: 1, output: 2, longContext: {aboveInputTokens: 100, input: 3, output: 4}}", 101, 10, 1, [],
                343_000
            ),
            ("{input: 0.0001, output: 0.0001}", 1, 1, 1, [], 1), ("{input: 0, output: 0}", 9, 9, 1, [], 0),
            ("{input: 1}", 7, 0, 1, [], 7_000), ("{input: 1, output: 1}", -5, -5, -5, [], 0),
            ("{input: 100000, output: 100000}", .max, .max, .max, .all, .max),
        ] as [(String, Int64, Int64, Int64, CallBound.Traits, Int64)])
    func theBoundTakesTheDearestPrice(
        yaml: String, input: Int64, output: Int64, answers: Int64, traits: CallBound.Traits, nano: Int64
    ) throws {
        let call = CallBound(inputTokensMax: input, outputTokensMax: output, answers: answers, traits: traits)
        #expect(try bound(yaml, call) == nano)
    }

    @Test func anUnknownPriceHasNoBound() throws {
        #expect(try bound("{input: 1}", CallBound(inputTokensMax: 1, outputTokensMax: 1)) == nil)
        #expect(try bound("{input: 1, from: 2026-01-01}", CallBound(inputTokensMax: 1, outputTokensMax: 0)) == nil)
    }

    @Test func searchesAndTiersAreWithinTheBound() throws {
        var call = CallBound(inputTokensMax: 1_000, outputTokensMax: 0, webSearchesMax: 3)
        call.serviceTier = .priority
        let yaml = "{input: 1, output: 1, webSearchPerThousand: 10, serviceTiers: {priority: {input: 2, output: 2}}}"
        #expect(try bound(yaml, call) == 32_000_000)
    }

    /// No usage of a call within its bound may cost more than the bound said.
    @Test(arguments: TokenKind.allCases)
    func noTokenCostsMoreThanTheBound(kind: TokenKind) throws {
        let yaml = """
            {input: 3, cacheRead: 0.3, cacheWrite5m: 3.75, cacheWrite30m: 4, cacheWrite1h: 6, audioInput: 40,
            output: 15, reasoning: 20, audioOutput: 80, image: 50}
            """
        let price = try PriceTable(YAMLDocument.parse(yaml), path: "price")
        let call = CallBound(inputTokensMax: 777, outputTokensMax: 777)
        for lifetime in CacheLifetime.allCases {
            let cost = try #require(price.cost(of: TokenBuckets([kind: 777], defaultLifetime: lifetime), at: epoch))
            let most = try #require(price.upperBound(of: call, at: epoch))
            #expect(cost <= most)
        }
    }

    @Test(arguments: [(-1, 0), (0, 0), (100, 100), (.max, 1_099_511_627_776)] as [(Int64, Int64)])
    func aTextHasNoMoreTokensThanBytes(bytes: Int64, tokens: Int64) {
        #expect(CallBound.inputTokensMax(bytes: bytes) == tokens)
    }

    @Test func nothingIsLearnedFromFewCalls() {
        var learned = LearnedQuantile()
        for value in 1...39 { learned.record(Int64(value)) }
        #expect(learned.quantile(0.5) == nil)
        learned.record(40)
        #expect(learned.quantile(0.5) == 20)
        #expect(learned.quantile(0.95) == 38)
        #expect(learned.quantile(0.951) == 39)
        #expect(learned.quantile(0) == 1)
        #expect(learned.quantile(1) == 40)
        #expect(learned.quantile(7) == 40)
        #expect(learned.quantile(-1) == 1)
        #expect(learned.quantile(.nan) == 40)
    }

    @Test func oldCallsAreForgotten() {
        var learned = LearnedQuantile()
        for _ in 0..<300 { learned.record(1_000) }
        #expect(learned.count == 256)
        for value in 0..<256 { learned.record(Int64(255 - value)) }
        #expect(learned.count == 256)
        #expect(learned.quantile(1) == 255)
        #expect(learned.quantile(0.5) == 127)
        learned.record(.max)
        learned.record(.min)
        #expect(learned.quantile(1) == .max)
        #expect(learned.quantile(0) == .min)
        // The values 255 and 254 came first, and left first.
        #expect(learned.quantile(0.996) == 253)
    }

    @Test func keysHaveABoundAndTheUnusedGoFirst() {
        var learned = LearnedQuantiles<String>(keysMax: 4)
        for _ in 0..<40 { learned.record(7, for: "kept") }
        for number in 0..<100 {
            learned.record(1, for: "other \(number)")
            learned.record(7, for: "kept")
            #expect(learned.count <= 8)
        }
        #expect(learned.quantile(0.9, for: "kept") == 7)
        #expect(learned.quantile(0.9, for: "other 0") == nil)
        for number in 0..<9 { learned.record(1, for: "newer \(number)") }
        #expect(learned.quantile(0.9, for: "kept") == nil)
    }
}
