import Kernel
import Testing

@testable import Gateway

/// How providers' usage becomes buckets.
@Suite struct UsageReaderTests {
    private func read(_ json: String, _ dialect: UsageDialect = .openAI) throws -> TokenUsage? {
        UsageReader.read(try JSONParser.parse(json), dialect: dialect)
    }

    @Test(arguments: UsageGolden.all)
    func realShapesComeToTheirBucketsAndCost(golden: UsageGolden) throws {
        var raw: JSONValue?
        for event in golden.events {
            raw = UsageReader.merge(
                raw, UsageReader.locate(in: try JSONParser.parse(event)), dialect: golden.dialect)
        }
        let usage = try #require(
            UsageReader.read(raw, dialect: golden.dialect, serviceTier: golden.serviceTier))
        var expected = TokenBuckets(golden.buckets, defaultLifetime: golden.dialect.defaultLifetime)
        expected.toolUses = golden.toolUses
        expected.serviceTier = usage.buckets.serviceTier
        #expect(usage.buckets == expected)
        #expect(usage.suspicions.map(\.reason) == golden.suspicions)
        #expect(!usage.isEstimated)
        let price = try PriceTable(JSONParser.parse(golden.price), path: "price")
        #expect(price.cost(of: usage.buckets, at: Timestamp(microseconds: 0)) == NanoDollars(golden.nanoDollars))
    }

    @Test func theGoldenSetIsLargeAndItsNamesDiffer() {
        #expect(UsageGolden.all.count >= 70)
        #expect(Set(UsageGolden.all.map(\.name)).count == UsageGolden.all.count)
        #expect(UsageGolden.all.allSatisfy { $0.source.hasPrefix("https://") })
    }

    @Test(arguments: ["null", "[]", "5", "{}", #"{"type":"duration","seconds":3}"#, #"{"prompt_tokens":null}"#])
    func whatSaysNothingIsNothing(json: String) throws {
        #expect(try read(json) == nil)
        #expect(try read(json, .anthropic) == nil)
        #expect(UsageReader.read(nil, dialect: .openAI) == nil)
    }

    /// Odd numbers: what they become, and what is said of them.
    @Test(
        arguments: [
            (#"{"prompt_tokens":-5,"completion_tokens":2}"#, [.output: 2], ["prompt_tokens: negative"]),
            (
                #"{"prompt_tokens":9223372036854775807,"completion_tokens":2}"#,
                [.input: 1_099_511_627_776, .output: 2], ["prompt_tokens: huge"]
            ),
            (
                #"{"prompt_tokens":1e300,"completion_tokens":-1e300}"#, [.input: 1_099_511_627_776],
                ["prompt_tokens: huge", "completion_tokens: negative"]
            ),
            (#"{"prompt_tokens":2.5,"completion_tokens":4.0}"#, [.input: 3, .output: 4], ["prompt_tokens: notWhole"]),
            (#"{"prompt_tokens":"12","completion_tokens":1}"#, [.input: 12, .output: 1], ["prompt_tokens: notWhole"]),
            (
                #"{"prompt_tokens":"many","completion_tokens":true,"total_tokens":[]}"#, nil,
                []
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":50}}"#,
                [.cacheRead: 10, .output: 5], ["cached_tokens: partLargerThanWhole"]
            ),
            (
                """
                {"prompt_tokens":10,"completion_tokens":5,
                "prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":8}}
                """, [.cacheRead: 8, .cacheWrite: 2, .output: 5], ["cache_write_tokens: partLargerThanWhole"]
            ),
            // The total says that reasoning lies inside, so it cannot be more than the whole.
            (
                """
                {"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
                "completion_tokens_details":{"reasoning_tokens":50}}
                """, [.input: 10, .reasoning: 5], ["reasoning_tokens: partLargerThanWhole"]
            ),
            // Nothing says so here.
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":50}}"#,
                [.input: 10, .output: 5, .reasoning: 50], ["reasoning_tokens: partLargerThanWhole"]
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":4}"#, [.input: 10, .output: 5],
                ["total_tokens: totalContradicts"]
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1000016}"#, [.input: 10, .output: 5],
                ["total_tokens: totalContradicts"]
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1000015}"#,
                [.input: 10, .output: 5, .reasoning: 1_000_000], ["total_tokens: unnamedTokens"]
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1e18}"#, [.input: 10, .output: 5],
                ["total_tokens: huge"]
            ),
            // Cached tokens beside the input, by the total's word.
            (
                """
                {"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,
                "prompt_tokens_details":{"cached_tokens":100}}
                """, [.input: 10, .cacheRead: 100, .output: 5], []
            ),
            (#"{"completion_tokens":5,"total_tokens":15}"#, [.input: 10, .output: 5], []),
            (#"{"prompt_tokens":10,"total_tokens":15}"#, [.input: 10, .output: 5], []),
            (
                #"{"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3,"completion_tokens":1}"#,
                [.input: 3, .cacheRead: 7, .output: 1], []
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":30}}"#,
                [.audioInput: 10, .output: 5], ["audio_tokens: partLargerThanWhole"]
            ),
            (
                #"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":7}"#,
                [.input: 10, .output: 5], []
            ),
            (
                #"{"input_tokens":30,"cache_read_input_tokens":700,"output_tokens":5}"#,
                [.input: 30, .cacheRead: 700, .output: 5], []
            ),
        ] as [(String, KeyValuePairs<TokenKind, Int64>?, [String])])
    func oddNumbersAreBoundedAndNoted(
        json: String, buckets: KeyValuePairs<TokenKind, Int64>?, suspicions: [String]
    ) throws {
        let usage = try read(json)
        #expect(usage?.buckets == buckets.map { TokenBuckets($0) })
        #expect((usage?.suspicions ?? []).map(\.json.string) == suspicions)
    }

    @Test(
        arguments: [
            (
                #"{"input_tokens":-1,"output_tokens":"x","cache_read_input_tokens":1.5}"#, [.cacheRead: 2],
                ["input_tokens: negative", "output_tokens: wrongType", "cache_read_input_tokens: notWhole"]
            ),
            (
                #"{"input_tokens":1,"output_tokens":5,"output_tokens_details":{"thinking_tokens":9}}"#,
                [.input: 1, .reasoning: 5], ["thinking_tokens: partLargerThanWhole"]
            ),
            (
                #"{"input_tokens":1,"output_tokens":2,"cache_creation":{"ephemeral_1h_input_tokens":4}}"#,
                [.input: 1, .cacheWrite1h: 4, .output: 2], []
            ),
            (
                """
                {"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":10,
                "cache_creation":{"ephemeral_5m_input_tokens":4}}
                """, [.input: 1, .cacheWrite: 6, .cacheWrite5m: 4, .output: 2], []
            ),
            (
                """
                {"input_tokens":1,"output_tokens":2,"iterations":[
                {"type":"advisor_message","model":"other","input_tokens":900,"output_tokens":90}]}
                """, [.input: 1, .output: 2], ["iterations: otherModel"]
            ),
            (
                """
                {"prompt_tokens":500,"completion_tokens":9,"total_tokens":509,
                "prompt_tokens_details":{"cached_tokens":400}}
                """, [.input: 100, .cacheRead: 400, .output: 9], []
            ),
        ] as [(String, KeyValuePairs<TokenKind, Int64>, [String])])
    func oddNumbersOfAnthropicToo(
        json: String, buckets: KeyValuePairs<TokenKind, Int64>, suspicions: [String]
    ) throws {
        let usage = try #require(try read(json, .anthropic))
        #expect(usage.buckets == TokenBuckets(buckets, defaultLifetime: .fiveMinutes))
        #expect(usage.suspicions.map(\.json.string) == suspicions)
    }

    @Test func listsOfStepsHaveAnEnd() throws {
        let step: JSONValue = ["type": "compaction", "input_tokens": 1, "output_tokens": 0]
        func usage(_ count: Int) -> JSONValue {
            ["input_tokens": 0, "output_tokens": 0, "iterations": .array(Array(repeating: step, count: count))]
        }
        #expect(UsageReader.read(usage(100), dialect: .anthropic)?.buckets[.input] == 100)
        #expect(UsageReader.read(usage(101), dialect: .anthropic)?.buckets[.input] == 100)
    }

    @Test func suspicionsHaveAnEnd() {
        var counts = UsageCounts()
        for number in 0..<40 { counts.suspect(.negative, "field\(number)") }
        counts.suspect(.negative, "field0")
        #expect(counts.suspicions.count == 16)
    }

    @Test func toolUsesHaveABound() throws {
        let json = #"{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_search_requests":99999999999}}"#
        let usage = try #require(try read(json, .anthropic))
        #expect(usage.buckets.toolUses == [.webSearch: 1_000_000])
        #expect(usage.suspicions.map(\.reason) == [.huge])
    }

    /// Anthropic's stream: what was told, what is told now, what is then known.
    @Test(
        arguments: [
            (
                #"{"input_tokens":5,"output_tokens":1}"#, #"{"output_tokens":9}"#,
                #"{"input_tokens":5,"output_tokens":9}"#
            ),
            // The output is cumulative and does not shrink.
            (
                #"{"input_tokens":5,"output_tokens":7}"#, #"{"output_tokens":0}"#,
                #"{"input_tokens":5,"output_tokens":7}"#
            ),
            (
                #"{"input_tokens":5,"output_tokens":1}"#, #"{"input_tokens":null,"output_tokens":2}"#,
                #"{"input_tokens":5,"output_tokens":2}"#
            ),
            // A new sum of writes leaves nothing of the old split.
            (
                """
                {"input_tokens":5,"cache_creation_input_tokens":8,"cache_creation":
                {"ephemeral_5m_input_tokens":8},"output_tokens":1}
                """, #"{"input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":2}"#,
                #"{"input_tokens":5,"cache_creation_input_tokens":3,"output_tokens":2}"#
            ),
            (
                #"{"input_tokens":5,"output_tokens":1}"#, #"{"output_tokens":2,"service_tier":"batch"}"#,
                #"{"input_tokens":5,"output_tokens":2,"service_tier":"batch"}"#
            ),
        ] as [(String, String, String)])
    func aStreamsUsageIsReplacedNotAdded(earlier: String, later: String, merged: String) throws {
        let result = UsageReader.merge(
            try JSONParser.parse(earlier), try JSONParser.parse(later), dialect: .anthropic)
        #expect(result == (try JSONParser.parse(merged)))
    }

    @Test func theLastChunkOfAChatCounts() {
        let first: JSONValue = ["prompt_tokens": 1, "completion_tokens": 1]
        let last: JSONValue = ["prompt_tokens": 1, "completion_tokens": 7]
        #expect(UsageReader.merge(first, last, dialect: .openAI) == last)
        #expect(UsageReader.merge(first, nil, dialect: .openAI) == first)
        #expect(UsageReader.merge(first, .null, dialect: .openAI) == first)
        #expect(UsageReader.merge(first, [:], dialect: .anthropic) == first)
        #expect(UsageReader.merge(nil, last, dialect: .anthropic) == last)
    }

    /// A line of a batch's results (OpenAI API reference, Batch; Anthropic API reference, Message Batches).
    @Test(arguments: [
        #"{"custom_id":"a","response":{"status_code":200,"body":{"usage":{"prompt_tokens":3}}}}"#,
        #"{"custom_id":"a","result":{"type":"succeeded","message":{"usage":{"prompt_tokens":3}}}}"#,
    ])
    func linesOfBatchesTellTheirUsage(line: String) throws {
        #expect(UsageReader.locate(in: try JSONParser.parse(line)) == ["prompt_tokens": 3])
    }

    @Test(arguments: ["5", "{}", #"{"usage":null}"#, #"{"usage":{}}"#, #"{"choices":[]}"#, #"{"timings":{}}"#])
    func eventsWithoutUsageHaveNone(event: String) throws {
        #expect(UsageReader.locate(in: try JSONParser.parse(event)) == nil)
    }

    @Test(arguments: [
        ("batch", ServiceTier.batch), ("flex", .flex), ("priority", .priority), ("default", nil), ("standard", nil),
        ("auto", nil), ("scale", nil), ("", nil), ("Batch", nil),
    ])
    func onlyTiersWithPricesOfTheirOwnAreKept(word: String, tier: ServiceTier?) {
        let usage: JSONValue = ["prompt_tokens": 1, "completion_tokens": 1]
        #expect(UsageReader.read(usage, dialect: .openAI, serviceTier: word)?.buckets.serviceTier == tier)
    }
}
