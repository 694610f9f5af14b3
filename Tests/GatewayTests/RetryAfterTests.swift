import Kernel
import Testing

@testable import Gateway

/// How long providers want to be left alone, in all their spellings.
@Suite struct RetryAfterTests {
    /// 2026-11-20T08:00:00Z.
    static let now = Timestamp(microseconds: 1_795_161_600_000_000)

    @Test func theClockOfTheseTests() { #expect(Self.now.rfc3339 == "2026-11-20T08:00:00.000000Z") }

    @Test(
        arguments: [
            ("0", 0), ("3", 3_000), (" 3 ", 3_000), ("2.5", 2_500), ("86400", 86_400_000), ("86401", 86_400_000),
            ("99999999999999999999999999", 86_400_000), ("Fri, 20 Nov 2026 08:00:07 GMT", 7_000),
            ("Friday, 20-Nov-26 08:00:07 GMT", 7_000), ("Fri Nov 20 08:00:07 2026", 7_000),
            ("Fri, 20 Nov 2026 07:59:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Thu, 31 Dec 9999 23:59:59 GMT", 86_400_000),
        ] as [(String, Int64)])
    func secondsAndDates(text: String, milliseconds: Int64) {
        #expect(RetryAfter.parse(text, at: Self.now) == .milliseconds(milliseconds))
    }

    @Test(arguments: [
        "", " ", "-1", "+1", "1e3", "soon", "NaN", "inf", "0x10", "1.2.3", ".5", "1 2", "١",
        "Fri, 31 Feb 2026 08:00:07 GMT",
        "Fri, 20 Nov 2026 24:00:00 GMT", "Fri, 20 Nov 2026 08:00 GMT", "Fri, 20 Foo 2026 08:00:07 GMT",
        "Fri, 20 Nov 2026 08:00:07 CET", "Fri, 0 Nov 2026 08:00:07 GMT", "Fri, 20 Nov 99999 08:00:07 GMT",
        String(repeating: "1", count: 65),
    ])
    func whatIsNoTime(text: String) { #expect(RetryAfter.parse(text, at: Self.now) == nil) }

    @Test(
        arguments: [
            ("1s", 1_000_000), ("6m0s", 360_000_000), ("20ms", 20_000), ("1h2m3.5s", 3_723_500_000),
            ("7.66s", 7_660_000),
            ("150us", 150), ("150µs", 150), ("900ns", 1), ("1d", 86_400_000_000), ("99d", 86_400_000_000),
            ("12", 12_000_000), ("0", 0), ("0s", 0), ("2026-11-20T08:00:30Z", 30_000_000),
            ("2026-11-20T09:00:30+01:00", 30_000_000), ("2026-11-20T07:00:00Z", 0), ("1795161610", 10_000_000),
            ("1795161610500", 10_500_000), ("1700000000", 0),
        ] as [(String, Int64)])
    func resets(text: String, microseconds: Int64) {
        #expect(RetryAfter.reset(text, at: Self.now) == Span(microseconds: microseconds))
    }

    @Test(arguments: ["", "s", "1x", "1s2", "-1s", "1m-2s", "6m 0s", "2026-13-01T00:00:00Z", "1..2s"])
    func whatIsNoReset(text: String) { #expect(RetryAfter.reset(text, at: Self.now) == nil) }

    @Test(
        arguments: [
            (["retry-after-ms": "1500", "retry-after": "9"], 429, 1_500), (["retry-after": "9"], 503, 9_000),
            (["retry-after-ms": "x", "retry-after": "9"], 429, 9_000), ([:], 429, nil),
            (
                [
                    "x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "0",
                    "x-ratelimit-reset-tokens": "4s",
                ],
                429, 4_000
            ),
            (
                [
                    "x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "3",
                    "x-ratelimit-reset-tokens": "4s",
                ],
                429, nil
            ),
            (
                [
                    "x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "0",
                    "x-ratelimit-reset-tokens": "4s",
                ],
                500, nil
            ),
        ] as [([String: String], Int, Int64?)])
    func headers(headers: [String: String], status: Int, milliseconds: Int64?) {
        let span = RetryAfter.read(status: status, at: Self.now) { headers[$0] }
        #expect(span == milliseconds.map { .milliseconds($0) })
    }

    @Test func limitsOfBothDialects() {
        let openAI = [
            "x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms", "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-tokens": "40000",
        ]
        let limits = RateLimitHeaders(at: Self.now) { openAI[$0] }
        #expect(limits.requests == .init(limit: 500, remaining: 499, reset: .milliseconds(120)))
        #expect(limits.tokens == .init(limit: 30_000, remaining: 30_000, reset: nil))
        #expect(limits.inputTokens == nil)
        let anthropic = [
            "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-11-20T08:00:09Z",
            "anthropic-ratelimit-input-tokens-limit": "20000", "anthropic-ratelimit-input-tokens-remaining": "19000",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-20T08:00:03Z",
        ]
        let others = RateLimitHeaders(at: Self.now) { anthropic[$0] }
        #expect(others.requests == .init(limit: 50, remaining: 0, reset: .seconds(9)))
        #expect(others.inputTokens == .init(limit: 20_000, remaining: 19_000, reset: .seconds(3)))
        #expect(others.emptyReset == .seconds(9))
    }

    @Test(arguments: [("-1", "-1"), ("0", "0"), ("x", "1"), ("5", ""), ("12345678901234567", "1"), ("5", "-1")])
    func limitsThatCannotBe(limit: String, remaining: String) {
        let headers = ["x-ratelimit-limit-tokens": limit, "x-ratelimit-remaining-tokens": remaining]
        #expect(RateLimitHeaders(at: Self.now) { headers[$0] }.isEmpty)
    }
}
