import Kernel
import Testing

@testable import Gateway

/// Buckets, and guesses where nobody counted.
@Suite struct TokenUsageTests {
    @Test(arguments: [(-1, 0), (0, 0), (1, 1), (4, 1), (5, 2), (400, 100), (.max, 1_099_511_627_776)])
    func bytesAreAboutFourATokenRoundedUp(bytes: Int64, tokens: Int64) {
        #expect(TokenUsage.tokens(bytes: bytes) == tokens)
    }

    @Test func withoutUsageAllIsGuessed() {
        let usage = TokenUsage.estimated(inputBytes: 41, outputBytes: 8, dialect: .anthropic)
        #expect(usage.buckets == TokenBuckets([.input: 11, .output: 2], defaultLifetime: .fiveMinutes))
        #expect(usage.isEstimated)
    }

    /// What was told, the bytes of both sides, and what is then known.
    @Test(
        arguments: [
            (#"{"prompt_tokens":10}"#, 400, 8, [.input: 10, .output: 2], true),
            (#"{"completion_tokens":10}"#, 400, 8, [.input: 100, .output: 10], true),
            (#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#, 4, 4, [.input: 1, .output: 1], true),
            // Embeddings have no output, and no bytes of it are counted.
            (#"{"prompt_tokens":8,"total_tokens":8}"#, 30, 0, [.input: 8], false),
            (#"{"prompt_tokens":8,"completion_tokens":1}"#, 4_000, 4_000, [.input: 8, .output: 1], false),
            (
                #"{"prompt_tokens":8,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}"#, 40, 4,
                [.cacheRead: 8, .output: 3], false
            ),
        ] as [(String, Int64, Int64, KeyValuePairs<TokenKind, Int64>, Bool)])
    func onlyWhatIsMissingIsGuessed(
        json: String, input: Int64, output: Int64, buckets: KeyValuePairs<TokenKind, Int64>, isEstimated: Bool
    ) throws {
        let told = try #require(UsageReader.read(try JSONParser.parse(json), dialect: .openAI))
        let usage = told.filled(inputBytes: input, outputBytes: output)
        #expect(usage.buckets == TokenBuckets(buckets))
        #expect(usage.isEstimated == isEstimated)
    }

    @Test func aStreamThatBrokeOffHasAtLeastWhatCame() {
        let told = TokenUsage(buckets: TokenBuckets([.input: 9, .output: 1]))
        let cut = told.cutShort(outputBytes: 40)
        #expect(cut.buckets == TokenBuckets([.input: 9, .output: 10]))
        #expect(cut.isEstimated)
        #expect(told.cutShort(outputBytes: 4) == told)
    }

    @Test func totalsAndTypesCountEachTokenOnce() {
        let buckets = TokenBuckets([
            .input: 1, .cacheRead: 2, .cacheWrite: 4, .cacheWrite5m: 8, .cacheWrite30m: 16, .cacheWrite1h: 32,
            .cacheWrite12h: 64, .audioInput: 128, .imageInput: 256, .output: 512, .reasoning: 1_024,
            .audioOutput: 2_048, .imageOutput: 4_096,
        ])
        #expect(buckets.inputTotal == 511)
        #expect(buckets.outputTotal == 7_680)
        #expect(buckets.total == 8_191)
        #expect(buckets.cacheWriteTotal == 124)
        let types = buckets.byType
        #expect(
            types.map(\.type) == [
                "input", "cache_read", "cache_write", "audio_input", "image_input", "output", "reasoning",
                "audio_output", "image_output",
            ])
        #expect(types.map(\.tokens) == [1, 2, 124, 128, 256, 512, 1_024, 2_048, 4_096])
        #expect(TokenBuckets().byType.isEmpty)
        #expect(TokenBuckets().isEmpty)
    }

    @Test func countsStayWithinBounds() {
        let buckets = TokenBuckets([.input: -7, .output: .max])
        #expect(buckets[.input] == 0)
        #expect(buckets[.output] == 1_099_511_627_776)
    }

    @Test func bucketsAreKeptAsJSON() {
        var buckets = TokenBuckets([.input: 5, .cacheWrite1h: 2], defaultLifetime: .fiveMinutes)
        buckets.toolUses = [.webSearch: 3]
        buckets.serviceTier = .batch
        #expect(
            buckets.json.text == """
                {"input":5,"cacheRead":0,"cacheWrite":0,"cacheWrite1h":2,"output":0,"reasoning":0,\
                "toolUses":{"webSearch":3},"serviceTier":"batch","defaultLifetime":"5m"}
                """)
        #expect(TokenBuckets(json: buckets.json) == buckets)
        #expect(TokenBuckets(json: ["input": -4, "output": "x", "toolUses": 3]) == TokenBuckets())
        #expect(TokenBuckets(json: .null) == TokenBuckets())
    }

    @Test func usageIsShownWithItsSource() {
        let usage = TokenUsage(
            buckets: TokenBuckets([.input: 1]), suspicions: [UsageSuspicion(reason: .negative, field: "total_tokens")])
        #expect(
            usage.json(raw: ["prompt_tokens": 1]).text == """
                {"raw":{"prompt_tokens":1},"buckets":{"input":1,"cacheRead":0,"cacheWrite":0,"output":0,"reasoning":0},\
                "estimated":false,"suspicions":["total_tokens: negative"]}
                """)
        #expect(TokenUsage(buckets: TokenBuckets()).json(raw: nil).object?["suspicions"] == nil)
    }
}
