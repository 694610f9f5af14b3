import Foundation
import Kernel
import Testing

@testable import Gateway

/// Whatever a provider writes, nothing traps, and no token is lost or counted twice.
@Suite struct UsageFuzzTests {
    /// SplitMix64 (Steele, Lea, Flood 2014): the same numbers at each run.
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    private static let names = [
        "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens",
        "cache_write_tokens", "reasoning_tokens", "audio_tokens", "image_tokens", "prompt_cache_hit_tokens",
        "prompt_cache_miss_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "thinking_tokens",
        "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "web_search_requests", "num_search_queries",
        "service_tier", "prompt_n", "cache_n", "predicted_n",
    ]
    private static let groups = [
        "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
        "cached_tokens_details", "cache_creation", "server_tool_use", "iterations", "usage", "message", "timings",
    ]

    private func odd(_ dice: inout Dice) -> JSONValue {
        let values: [JSONValue] = [
            0, 1, 7, 1_000, -1, .int(.max), .int(.min), 0.5, .double(1e300), .double(-1e300), "5", "x", true, .null, [],
            [:], "batch", .int(1 << 40), .int((1 << 40) + 1),
        ]
        return values[Int.random(in: 0..<values.count, using: &dice)]
    }

    private func document(_ dice: inout Dice, depth: Int) -> JSONValue {
        var object = JSONObject()
        for name in Self.names where Int.random(in: 0..<3, using: &dice) == 0 { object.append(name, odd(&dice)) }
        for name in Self.groups where Int.random(in: 0..<3, using: &dice) == 0 {
            let inner = depth > 0 ? document(&dice, depth: depth - 1) : odd(&dice)
            object.append(name, name == "iterations" ? [inner, inner] : inner)
        }
        return .object(object)
    }

    @Test(arguments: 0..<8)
    func nothingTraps(seed: Int) throws {
        var dice = Dice(state: UInt64(seed))
        let price = try PriceTable(
            YAMLDocument.parse("{input: 100000, output: 100000, webSearchPerThousand: 100000}"), path: "price")
        var read = 0
        for _ in 0..<100 {
            let earlier = document(&dice, depth: 2)
            let later = document(&dice, depth: 2)
            for dialect in [UsageDialect.openAI, .anthropic] {
                let raw = UsageReader.locate(in: later) ?? UsageReader.merge(earlier, later, dialect: dialect)
                guard let usage = UsageReader.read(raw, dialect: dialect) else { continue }
                read += 1
                let counts = TokenKind.allCases.map { usage.buckets[$0] }
                #expect(counts.allSatisfy { (0...UsageCounts.tokensMax).contains($0) })
                #expect(usage.suspicions.count <= UsageCounts.suspicionsMax)
                #expect(usage.buckets.byType.reduce(0) { $0 + $1.tokens } == usage.buckets.total)
                let cost = try #require(price.cost(of: usage.buckets, at: Timestamp(microseconds: 0)))
                #expect(cost >= .zero)
                #expect(TokenBuckets(json: usage.buckets.json) == usage.buckets)
                #expect(usage.filled(inputBytes: .max, outputBytes: .max).cutShort(outputBytes: .max).buckets.total > 0)
            }
        }
        #expect(read > 100)
    }

    /// An honest usage, with parts that overlap as they like within their wholes: input and output come out whole.
    @Test(arguments: 0..<4)
    func noTokenIsLostOrCountedTwice(seed: Int) throws {
        var dice = Dice(state: UInt64(100 + seed))
        for _ in 0..<500 {
            let input = Int64.random(in: 0...5_000, using: &dice)
            let output = Int64.random(in: 0...5_000, using: &dice)
            func part(_ whole: Int64) -> JSONValue { .int(Int64.random(in: 0...whole, using: &dice)) }
            let usage: JSONValue = [
                "prompt_tokens": .int(input), "completion_tokens": .int(output), "total_tokens": .int(input + output),
                "prompt_tokens_details": [
                    "cached_tokens": part(input), "cache_write_tokens": part(input), "audio_tokens": part(input),
                    "image_tokens": part(input), "cached_tokens_details": ["audio_tokens": part(input)],
                ],
                "completion_tokens_details": [
                    "reasoning_tokens": part(output), "audio_tokens": part(output), "image_tokens": part(output),
                ],
            ]
            let buckets = try #require(UsageReader.read(usage, dialect: .openAI)).buckets
            #expect(buckets.inputTotal == input)
            #expect(buckets.outputTotal == output)
        }
    }

    /// The example of the guide is one that Reeve takes.
    @Test func theGuidesExamplesAreRead() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let guide = try String(contentsOf: root.appendingPathComponent("docs/guide/models.md"), encoding: .utf8)
        let examples = guide.components(separatedBy: "```yaml\n").dropFirst().map {
            $0.components(separatedBy: "```")[0]
        }
        #expect(examples.count == 10)
        let settings = try examples.map { try GatewaySettings(YAMLDocument.parse($0)) }
        #expect(settings.first?.models.map(\.name) == ["gpt-4o-mini", "llama"])
        #expect(settings.first?.resolve("standard")?.name == "llama")
        #expect(settings[1].provider("local")?.kind == .scripted)
        #expect(settings[2].provider("main")?.keys.users == ["ann": .file("keys/ann")])
        #expect(settings[3].taskTypes == ["letter.write": "tier:cheap", "contract.review": "gpt-4o"])
        #expect(settings[7].loops?.turns == 500)
    }
}
