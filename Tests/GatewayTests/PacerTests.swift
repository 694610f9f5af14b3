import Kernel
import Testing

@testable import Gateway

/// How a provider's limits are mirrored, and how work comes back after an outage.
@Suite struct PacerTests {
    static let start = Timestamp(microseconds: 1_000_000_000)

    static func at(_ milliseconds: Int64) -> Timestamp { start + .milliseconds(milliseconds) }

    static func headers(_ kind: String, limit: Int, remaining: Int, reset: String) -> RateLimitHeaders {
        let values = [
            "x-ratelimit-limit-\(kind)": "\(limit)", "x-ratelimit-remaining-\(kind)": "\(remaining)",
            "x-ratelimit-reset-\(kind)": reset,
        ]
        return RateLimitHeaders(at: start) { values[$0] }
    }

    @Test func nothingIsKnownAtFirst() {
        let pacer = Pacer()
        #expect(pacer.wait(tokens: 1_000_000, at: Self.start) == .zero)
        #expect(pacer.pacedUntil(tokens: 1, at: Self.start) == nil)
        #expect(pacer.limitedUntil(at: Self.start) == nil)
    }

    @Test func requestsRefillAtTheRateThatTheResetTells() {
        var pacer = Pacer()
        let receipt = pacer.sent(tokens: 10, at: Self.start)
        // Sixty a minute, none left, full again in a minute: one a second.
        pacer.observed(Self.headers("requests", limit: 60, remaining: 0, reset: "1m0s"), receipt, at: Self.start)
        #expect(pacer.wait(tokens: 10, at: Self.start) == .seconds(1))
        #expect(pacer.wait(tokens: 10, at: Self.at(400)) == .milliseconds(600))
        #expect(pacer.wait(tokens: 10, at: Self.at(1_000)) == .zero)
        #expect(pacer.pacedUntil(tokens: 10, at: Self.start) == Self.at(1_000))
        // Each call that goes takes its part.
        _ = pacer.sent(tokens: 10, at: Self.at(1_000))
        #expect(pacer.wait(tokens: 10, at: Self.at(1_000)) == .seconds(1))
    }

    @Test func tokensAreCountedToo() {
        var pacer = Pacer()
        let receipt = pacer.sent(tokens: 500, at: Self.start)
        pacer.observed(Self.headers("tokens", limit: 6_000, remaining: 3_000, reset: "30s"), receipt, at: Self.start)
        #expect(pacer.wait(tokens: 3_000, at: Self.start) == .zero)
        #expect(pacer.wait(tokens: 3_500, at: Self.start) == .seconds(5))
        // More than there ever is goes when the bucket is full; the provider judges it.
        #expect(pacer.wait(tokens: 1_000_000, at: Self.start) == .seconds(30))
        #expect(pacer.wait(tokens: -5, at: Self.start) == .zero)
    }

    @Test func whatWasSentSinceTheAnswerBeganIsTakenOff() {
        var pacer = Pacer()
        let first = pacer.sent(tokens: 0, at: Self.start)
        let second = pacer.sent(tokens: 0, at: Self.start)
        _ = pacer.sent(tokens: 0, at: Self.start)
        // After the first call two were left; two have gone since.
        pacer.observed(Self.headers("requests", limit: 60, remaining: 2, reset: "58s"), first, at: Self.start)
        #expect(pacer.wait(tokens: 0, at: Self.start) == .seconds(1))
        pacer.observed(Self.headers("requests", limit: 60, remaining: 20, reset: "40s"), second, at: Self.start)
        #expect(pacer.wait(tokens: 0, at: Self.start) == .zero)
        // An answer that was overtaken says nothing new.
        pacer.observed(Self.headers("requests", limit: 60, remaining: 0, reset: "60s"), first, at: Self.start)
        #expect(pacer.wait(tokens: 0, at: Self.start) == .zero)
    }

    @Test func oldHeadersAreForgotten() {
        var pacer = Pacer()
        let receipt = pacer.sent(tokens: 0, at: Self.start)
        // A day's allowance is used up: 1 call in 864 s.
        pacer.observed(Self.headers("requests", limit: 100, remaining: 0, reset: "24h"), receipt, at: Self.start)
        #expect(pacer.wait(tokens: 0, at: Self.start) == .seconds(864))
        #expect(pacer.wait(tokens: 0, at: Self.at(299_000)) == .seconds(565))
        #expect(pacer.wait(tokens: 0, at: Self.at(300_000)) == .zero)
        _ = pacer.sent(tokens: 0, at: Self.at(300_000))
        #expect(pacer.wait(tokens: 0, at: Self.at(300_000)) == .zero)
    }

    @Test func aWishToBeLeftAloneIsKeptAndBounded() {
        var pacer = Pacer()
        #expect(pacer.limited(retryAfter: .seconds(30), at: Self.start) == Self.at(30_000))
        // A shorter one that came from another call does not shorten it.
        #expect(pacer.limited(retryAfter: .seconds(1), at: Self.at(1_000)) == Self.at(30_000))
        #expect(pacer.limitedUntil(at: Self.at(29_999)) == Self.at(30_000))
        #expect(pacer.limitedUntil(at: Self.at(30_000)) == nil)
        #expect(pacer.limited(retryAfter: .hours(24), at: Self.start) == Self.at(3_600_000))
        #expect(pacer.limitedUntil(at: Timestamp(microseconds: 0)) == Timestamp(microseconds: 3_600_000_000))
        #expect(pacer.limited(retryAfter: .seconds(-9), at: Self.at(9_000_000)) == Self.at(9_000_000))
    }

    @Test func withoutAWishThePauseGrows() {
        var pacer = Pacer()
        var pauses: [Int64] = []
        var now = Self.start
        for _ in 0..<9 {
            let until = pacer.limited(retryAfter: nil, at: now)
            pauses.append((until - now).microseconds / 1_000_000)
            now = until
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60])
        pacer.succeeded()
        #expect(pacer.limited(retryAfter: nil, at: now) == now + .seconds(1))
    }

    @Test func theQueueHasAnEnd() {
        var pacer = Pacer()
        #expect(pacer.enqueue(tokens: 1, at: Self.start) == .now)
        let receipt = pacer.sent(tokens: 0, at: Self.start)
        pacer.observed(Self.headers("requests", limit: 600, remaining: 0, reset: "60s"), receipt, at: Self.start)
        // Ten a second; those who came before are waited for.
        #expect(pacer.enqueue(tokens: 1, at: Self.start) == .wait(.milliseconds(100)))
        #expect(pacer.enqueue(tokens: 1, at: Self.start) == .wait(.milliseconds(200)))
        #expect(pacer.queued == 2)
        for _ in 2..<300 { _ = pacer.enqueue(tokens: 1, at: Self.start) }
        #expect(pacer.enqueue(tokens: 1, at: Self.start) == .refuse(retryAfter: .milliseconds(30_100)))
        #expect(pacer.queued == 300)
        for _ in 0..<400 { pacer.dequeue(tokens: 1) }
        #expect(pacer.queued == 0)
        #expect(pacer.enqueue(tokens: 1, at: Self.start) == .wait(.milliseconds(100)))
        var quick = Pacer()
        let other = quick.sent(tokens: 0, at: Self.start)
        quick.observed(Self.headers("requests", limit: 60_000, remaining: 0, reset: "60s"), other, at: Self.start)
        for _ in 0..<Pacer.queueMax { _ = quick.enqueue(tokens: 0, at: Self.start) }
        #expect(quick.queued == Pacer.queueMax)
        #expect(quick.enqueue(tokens: 0, at: Self.start) == .refuse(retryAfter: .milliseconds(1_001)))
    }

    @Test func hugeNumbersDoNotTrap() {
        var pacer = Pacer()
        for _ in 0..<3 { _ = pacer.sent(tokens: .max, at: Self.start) }
        let receipt = pacer.sent(tokens: .min, at: Timestamp(microseconds: .max))
        let headers = ["x-ratelimit-limit-tokens": "9999999999999999", "x-ratelimit-remaining-tokens": "0"]
        pacer.observed(RateLimitHeaders(at: Self.start) { headers[$0] }, receipt, at: Timestamp(microseconds: .min))
        #expect(pacer.wait(tokens: .max, at: Timestamp(microseconds: .max)) == .zero)
        #expect(pacer.wait(tokens: .max, at: Timestamp(microseconds: .min)) > .zero)
    }
}

@Suite struct RampTests {
    static let start = PacerTests.start
    static let well = Ramp.Health(closed: 1, probing: 0, total: 2)
    static let dead = Ramp.Health(closed: 0, probing: 0, total: 2)

    static func admitted(_ ramp: inout Ramp, _ count: Int, at now: Timestamp) -> Int {
        var admitted = 0
        for _ in 0..<count where ramp.admit(well, at: now) == .admit { admitted += 1 }
        return admitted
    }

    @Test func nothingIsDispatchedInAnOutage() {
        var ramp = Ramp()
        #expect(ramp.admit(Self.well, at: Self.start) == .admit)
        #expect(ramp.admit(Self.dead, at: Self.start) == .hold(Ramp.outageRetry))
        #expect(ramp.mode == .outage(since: Self.start))
        #expect(ramp.share == 0)
        #expect(ramp.admit(.init(closed: 0, probing: 1, total: 2), at: Self.start) == .probe)
        // A model without targets has none that could be out.
        var empty = Ramp()
        #expect(empty.admit(.init(closed: 0, probing: 0, total: 0), at: Self.start) == .admit)
    }

    @Test func workComesBackInSteps() {
        var ramp = Ramp()
        ramp.update(Self.dead, at: Self.start)
        #expect(Self.admitted(&ramp, 100, at: Self.start) == 10)
        #expect(ramp.mode == .ramping(step: 0, since: Self.start))
        #expect(Self.admitted(&ramp, 100, at: Self.start + .seconds(20)) == 25)
        #expect(Self.admitted(&ramp, 100, at: Self.start + .seconds(40)) == 50)
        #expect(Self.admitted(&ramp, 100, at: Self.start + .milliseconds(59_999)) == 50)
        #expect(Self.admitted(&ramp, 100, at: Self.start + .seconds(60)) == 100)
        #expect(ramp.mode == .normal)
    }

    @Test func theFirstCallGoesAndASecondOutageStops() {
        var ramp = Ramp()
        ramp.update(Self.dead, at: Self.start)
        #expect(ramp.admit(Self.well, at: Self.start) == .admit)
        #expect(ramp.admit(Self.well, at: Self.start) == .hold(Ramp.outageRetry))
        #expect(ramp.admit(Self.dead, at: Self.start + .seconds(1)) == .hold(Ramp.outageRetry))
        #expect(ramp.mode == .outage(since: Self.start + .seconds(1)))
    }

    @Test func oddRulesAreHarmless() {
        for rules in [Ramp.Rules(shares: []), Ramp.Rules(period: .zero), Ramp.Rules(shares: [0, -1, 2, .nan])] {
            var ramp = Ramp(rules)
            ramp.update(Self.dead, at: Self.start)
            #expect(ramp.admit(Self.well, at: Self.start) == .admit)
            #expect(ramp.mode == .normal)
        }
        let many = Ramp(.init(shares: [Double](repeating: 0.5, count: 100)))
        #expect(many.rules.shares.count == Ramp.sharesMax)
        var back = Ramp()
        back.update(Self.dead, at: Self.start)
        back.update(Self.well, at: Self.start + .seconds(30))
        back.update(Self.well, at: Self.start)
        #expect(back.mode == .ramping(step: 0, since: Self.start))
    }
}
