import Kernel
import Testing

@testable import Gateway

/// Exact decimals, prices by date, costs with one rounding.
@Suite struct PriceTableTests {
    private func table(_ yaml: String) throws -> PriceTable { try PriceTable(YAMLDocument.parse(yaml), path: "price") }

    private func at(_ text: String) throws -> Timestamp { try #require(Timestamp(rfc3339: text)) }

    private let epoch = Timestamp(microseconds: 0)

    @Test(
        arguments: [
            ("0", 0), ("1", 1_000_000_000), ("0.15", 150_000_000), ("0.1", 100_000_000), ("0.3", 300_000_000),
            ("0.075", 75_000_000), ("0.000000001", 1), ("1e-9", 1), ("2.5E0", 2_500_000_000),
            ("1e+3", 1_000_000_000_000),
            ("100000", 100_000_000_000_000), ("99999.999999999", 99_999_999_999_999),
            ("1.10000000000000", 1_100_000_000),
            ("-0.5", -500_000_000), ("00.50", 500_000_000), ("9223372036.854775807", .max), ("0e99", 0),
            ("1000e-12", 1),
        ] as [(String, Int64)])
    func decimalsAreReadExactly(text: String, nano: Int64) throws {
        #expect(try ScaledDecimal.scaled(text, digits: 9) == nano)
    }

    @Test(
        arguments: [
            ("", .notANumber), (".5", .notANumber), ("5.", .notANumber), ("+5", .notANumber), ("1,5", .notANumber),
            (" 1", .notANumber), ("1 ", .notANumber), ("0x10", .notANumber), ("1e", .notANumber),
            ("1e99999", .notANumber),
            ("nan", .notANumber), ("٣", .notANumber), ("--1", .notANumber), ("1_000", .notANumber),
            ("0.0000000001", .tooPrecise), ("1e-10", .tooPrecise), ("0.1234567891", .tooPrecise),
            ("9223372036.854775808", .outOfRange), ("1e10", .outOfRange), ("1e9999", .outOfRange),
        ] as [(String, ScaledDecimal.Failure)])
    func otherTextsAreNoDecimals(text: String, failure: ScaledDecimal.Failure) {
        #expect(throws: failure) { try ScaledDecimal.scaled(text, digits: 9) }
    }

    @Test func aTextOfManyDigitsIsNotRead() throws {
        #expect(try ScaledDecimal.scaled(String(repeating: "0", count: 59) + "1", digits: 0) == 1)
        #expect(throws: ScaledDecimal.Failure.notANumber) {
            try ScaledDecimal.scaled(String(repeating: "0", count: 60) + "1", digits: 0)
        }
    }

    /// The same numbers through JSON, whose reader keeps fractions as `Double`.
    @Test(
        arguments: [
            ("0.15", 150_000_000), ("0.1", 100_000_000), ("0.7", 700_000_000), ("1.1", 1_100_000_000),
            ("3", 3_000_000_000),
            ("3.0", 3_000_000_000), ("1e-7", 100), ("0.000000001", 1), ("99999.999999999", 99_999_999_999_999),
            (#""0.15""#, 150_000_000), (#""99999.999999999""#, 99_999_999_999_999),
            ("123456.789012345", 123_456_789_012_345),
        ] as [(String, Int64)])
    func numbersOfJSONAreExactToo(json: String, nano: Int64) throws {
        #expect(try ScaledDecimal.scaled(JSONParser.parse(json), digits: 9) == nano)
    }

    @Test func aNumberWithMoreDigitsThanJSONKeepsIsRefused() throws {
        #expect(throws: ScaledDecimal.Failure.notExact) {
            try ScaledDecimal.scaled(JSONParser.parse("1234567.123456789"), digits: 9)
        }
        #expect(try ScaledDecimal.scaled("1234567.123456789", digits: 9) == 1_234_567_123_456_789)
        #expect(throws: ScaledDecimal.Failure.notANumber) { try ScaledDecimal.scaled(true, digits: 9) }
    }

    @Test func moneyIsExactAndSaturates() throws {
        #expect(try NanoDollars(dollars: 2.5, path: "usd") == NanoDollars(2_500_000_000))
        #expect(NanoDollars(.max) + NanoDollars(1) == .max)
        #expect(NanoDollars(.min) - NanoDollars(1) == NanoDollars(.min))
        #expect(NanoDollars(1_500_000_042).dollars == "1.500000042")
        #expect(NanoDollars(-5).dollars == "-0.000000005")
        for bad in [-0.1, "x", "0.0000000001", true] as [JSONValue] {
            let problem = #expect(throws: Problem.self) { try NanoDollars(dollars: bad, path: "limit/usd") }
            #expect(problem?.field == "limit/usd")
        }
    }

    /// A price, a kind of token, and what a million of it costs.
    @Test(
        arguments: [
            ("{input: 3, output: 15}", TokenKind.cacheRead, 3), ("{input: 3, cacheRead: 0.5}", .cacheRead, 0.5),
            ("{input: 3}", .cacheWrite, 3), ("{input: 3}", .cacheWrite1h, 3),
            ("{input: 3, cacheWrite: 4}", .cacheWrite5m, 4),
            ("{input: 3, cacheWrite: 4, cacheWrite5m: 5}", .cacheWrite5m, 5),
            ("{input: 3, cacheWrite: 4, cacheWrite5m: 5}", .cacheWrite12h, 4),
            // Without a stated lifetime: `cacheWrite`, else the provider's default (here 30 minutes), else input.
            ("{input: 3, cacheWrite: 4, cacheWrite30m: 5}", .cacheWrite, 4),
            ("{input: 3, cacheWrite30m: 5, cacheWrite5m: 6}", .cacheWrite, 5),
            ("{input: 3, cacheWrite5m: 6}", .cacheWrite, 3),
            ("{input: 3}", .audioInput, 3), ("{input: 3, audioInput: 40}", .audioInput, 40),
            ("{input: 3, output: 15}", .audioOutput, 15), ("{input: 3, output: 15}", .reasoning, 15),
            ("{input: 3, output: 15, reasoning: 60}", .reasoning, 60), ("{input: 3}", .imageInput, 3),
            ("{input: 3, image: 7}", .imageInput, 7), ("{input: 3, image: 7, imageInput: 8}", .imageInput, 8),
            ("{input: 3, output: 15}", .imageOutput, 15), ("{input: 3, output: 15, image: 7}", .imageOutput, 7),
        ] as [(String, TokenKind, Double)])
    func aKindWithoutAPriceTakesItsParents(yaml: String, kind: TokenKind, dollars: Double) throws {
        let cost = try table(yaml).cost(of: TokenBuckets([kind: 1_000_000]), at: epoch)
        #expect(cost == NanoDollars(Int64(dollars * 1_000_000_000)))
    }

    @Test func anthropicsDefaultLifetimeIsFiveMinutes() throws {
        let buckets = TokenBuckets([.cacheWrite: 1_000_000], defaultLifetime: .fiveMinutes)
        #expect(
            try table("{input: 3, cacheWrite30m: 5, cacheWrite5m: 6}").cost(of: buckets, at: epoch)?.value
                == 6_000_000_000)
    }

    /// Rounded up once for the call, not once for each kind.
    @Test(
        arguments: [
            ("{input: 0.0001, output: 0.0001}", 1, 1, 1), ("{input: 0.0005, output: 0.0005}", 1, 1, 1),
            ("{input: 0.0005, output: 0.0006}", 1, 1, 2), ("{input: 0.15, output: 0.6}", 1, 0, 150),
            ("{input: 0.0001, output: 0}", 10, 5, 1), ("{input: 0.0001, output: 0}", 11, 5, 2),
            ("{input: 0, output: 0}", 1_000, 1_000, 0), ("{input: 0.000000001}", 1, 0, 1),
        ] as [(String, Int64, Int64, Int64)])
    func aCallIsRoundedUpOnce(yaml: String, input: Int64, output: Int64, nano: Int64) throws {
        let cost = try table(yaml).cost(of: TokenBuckets([.input: input, .output: output]), at: epoch)
        #expect(cost?.value == nano)
    }

    @Test func anUnknownPriceIsNotNothing() throws {
        let inputOnly = try table("{input: 3}")
        #expect(inputOnly.cost(of: TokenBuckets([.input: 1, .output: 1]), at: epoch) == nil)
        #expect(inputOnly.cost(of: TokenBuckets([.input: 1]), at: epoch)?.value == 3_000)
        #expect(inputOnly.cost(of: TokenBuckets(), at: epoch)?.value == 0)
        let later = try table("{from: 2026-02-01, input: 3}")
        #expect(later.cost(of: TokenBuckets(), at: epoch) == nil)
    }

    @Test func hugeCostsSaturate() throws {
        let most = TokenBuckets([.input: .max, .output: .max])
        #expect(try table("{input: 100000, output: 100000}").cost(of: most, at: epoch) == .max)
        // 2^40 tokens at one dollar a million.
        #expect(
            try table("{input: 1}").cost(of: TokenBuckets([.input: .max]), at: epoch)?.value == 1_099_511_627_776_000)
    }

    @Test(
        arguments: [
            ("2025-12-31T23:59:59.999999Z", 1, nil), ("2026-01-01T00:00:00Z", 2, "2026-01-01"),
            ("2026-01-01T00:30:00+01:00", 1, nil), ("2026-02-28T23:59:59Z", 2, "2026-01-01"),
            ("2026-03-01T00:00:00Z", 3, "2026-03-01"), ("2099-01-01T00:00:00Z", 3, "2026-03-01"),
        ] as [(String, Int64, String?)])
    func pricesChangeWithTheDayInUTC(time: String, dollars: Int64, from: String?) throws {
        let prices = try table("[{from: 2026-03-01, input: 3}, {input: 1}, {from: '2026-01-01', input: 2}]")
        let entry = try #require(prices.entry(at: try at(time)))
        #expect(entry.cost(of: TokenBuckets([.input: 1_000_000]))?.value == dollars * 1_000_000_000)
        #expect(entry.from == from)
    }

    @Test func timesBeforeTheEpochHaveADay() {
        #expect(Timestamp(microseconds: -1).utcDay == -1)
        #expect(Timestamp(microseconds: -86_400_000_000).utcDay == -1)
        #expect(Timestamp(microseconds: 86_400_000_000).utcDay == 1)
        #expect(Timestamp(microseconds: .min).utcDay < 0)
    }

    @Test func whatHasNoPriceOfItsOwnIsNamed() throws {
        var buckets = TokenBuckets([.input: 1_000])
        buckets.toolUses = [.webSearch: 2]
        buckets.serviceTier = .priority
        let plain = try #require(try table("{input: 3}").entry(at: epoch))
        #expect(plain.unpriced(of: buckets) == ["webSearchPerThousand", "serviceTiers/priority"])
        #expect(plain.cost(of: buckets)?.value == 3_000_000)
        let full = try #require(
            try table("{input: 3, webSearchPerThousand: 10, serviceTiers: {priority: {input: 6}}}").entry(at: epoch))
        #expect(full.unpriced(of: buckets).isEmpty)
        #expect(full.cost(of: buckets)?.value == 26_000_000)
    }

    @Test(arguments: [
        ("5", "price"), ("[]", "price"), ("[5]", "price/0"), ("{output: 1}", "price/input"), ("{}", "price/input"),
        ("{input: -1}", "price/input"), ("{input: cheap}", "price/input"), ("{input: 0.0000000001}", "price/input"),
        ("{input: 100000.1}", "price/input"), ("{input: [1]}", "price/input"),
        ("{input: 1, outptu: 2}", "price/outptu"),
        ("{input: 1, output: true}", "price/output"), ("{input: 1, from: 2026-02-30}", "price/from"),
        ("{input: 1, from: yesterday}", "price/from"), ("{input: 1, from: 2026-01-01T00:00:00Z}", "price/from"),
        ("[{input: 1}, {input: 2}]", "price/1"),
        ("[{input: 1, from: 2026-01-01}, {input: 2, from: 2026-01-01}]", "price/1"),
        ("{input: 1, longContext: {input: 2}}", "price/longContext/aboveInputTokens"),
        ("{input: 1, longContext: {aboveInputTokens: 5}}", "price/longContext/input"),
        ("{input: 1, longContext: {aboveInputTokens: 5, input: 2, longContext: {}}}", "price/longContext/longContext"),
        ("{input: 1, serviceTiers: {cheap: {input: 1}}}", "price/serviceTiers/cheap"),
        ("{input: 1, serviceTiers: {batch: {output: 1}}}", "price/serviceTiers/batch/input"),
        ("{input: 1, serviceTiers: {batch: {input: 1, from: 2026-01-01}}}", "price/serviceTiers/batch/from"),
        ("{input: 1, webSearchPerThousand: free}", "price/webSearchPerThousand"),
    ])
    func aWrongTableIsRefusedWithItsPlace(yaml: String, field: String) {
        let problem = #expect(throws: Problem.self) { try table(yaml) }
        #expect(problem?.field == field)
    }

    @Test func aListOfPricesHasAnEnd() throws {
        func prices(_ count: Int) -> JSONValue {
            .array((0..<count).map { ["from": .string("2026-01-\($0 < 9 ? "0" : "")\($0 % 28 + 1)"), "input": 1] })
        }
        #expect(try PriceTable(prices(28), path: "price").entries.count == 28)
        let tooMany: JSONValue = .array(Array(repeating: ["input": 1], count: 101))
        let problem = #expect(throws: Problem.self) { try PriceTable(tooMany, path: "price") }
        #expect(problem?.field == "price")
    }
}
