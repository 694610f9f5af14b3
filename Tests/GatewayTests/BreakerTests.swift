import Kernel
import Testing

@testable import Gateway

/// When a target is left alone, and how it comes back.
@Suite struct BreakerTests {
    static let start = Timestamp(microseconds: 1_000_000_000)
    static let well = Breaker.Outcome.succeeded(latency: .milliseconds(500), firstToken: .milliseconds(50))
    static let ill = Breaker.Outcome.failed(.serverError(retryAfter: nil))

    static func at(_ seconds: Int64) -> Timestamp { start + .seconds(seconds) }

    /// Lets calls in one after the other until one is refused; how many there were.
    static func run(_ breaker: inout Breaker, _ outcomes: [Breaker.Outcome], at now: Timestamp) -> Int {
        for (count, outcome) in outcomes.enumerated() {
            guard let permit = breaker.admit(at: now) else { return count }
            breaker.record(permit, outcome, at: now)
        }
        return breaker.admit(at: now) == nil ? outcomes.count : .max
    }

    static func admitted(_ breaker: inout Breaker, at now: Timestamp) throws -> Breaker.Permit {
        let permit = breaker.admit(at: now)
        return try #require(permit)
    }

    @Test(arguments: [(10, 10), (3, 3), (1, 1), (0, 1), (50, 10)])
    func failuresInARowOpenIt(setting: Int, expected: Int) {
        var breaker = Breaker(.init(failuresInRow: setting))
        let failures = [Breaker.Outcome](repeating: Self.ill, count: 20)
        #expect(Self.run(&breaker, failures, at: Self.start) == expected)
        let snapshot = breaker.snapshot(at: Self.start)
        #expect(snapshot.state == .open)
        #expect(snapshot.cause == .failuresInRow)
        #expect(snapshot.openUntil == Self.at(30))
        #expect(snapshot.lastFailure == .serverError(retryAfter: nil))
        #expect(snapshot.openings == 1)
    }

    @Test func aSuccessBeginsTheRowAnew() {
        var breaker = Breaker(.init(callsMin: 1_000))
        let nine = [Breaker.Outcome](repeating: Self.ill, count: 9)
        #expect(Self.run(&breaker, nine + [Self.well] + nine, at: Self.start) == .max)
        #expect(breaker.snapshot(at: Self.start).failuresInRow == 9)
    }

    @Test(
        "What says nothing about the target does not count",
        arguments: [
            FailureClass.rateLimited(retryAfter: nil), .quotaExhausted, .contextLength, .tooLarge, .contentFilter,
            .invalidRequest, .notFound, .forbidden,
        ])
    func notCounted(failure: FailureClass) {
        var breaker = Breaker()
        #expect(Self.run(&breaker, .init(repeating: .failed(failure), count: 100), at: Self.start) == .max)
        #expect(Self.run(&breaker, .init(repeating: .abandoned, count: 100), at: Self.start) == .max)
        #expect(breaker.snapshot(at: Self.start).calls == 0)
    }

    @Test func theErrorRateOpensIt() {
        var breaker = Breaker(.init(callsMin: 20, errorRate: 0.5))
        // Nineteen calls are too few to say anything, whatever their rate.
        let pairs = (0..<19).map { $0 % 2 == 0 ? Self.ill : Self.well }
        #expect(Self.run(&breaker, pairs, at: Self.start) == .max)
        #expect(Self.run(&breaker, [Self.well], at: Self.start) == 1)
        #expect(breaker.snapshot(at: Self.start).cause == .errorRate)
    }

    @Test func theWindowSlides() {
        var breaker = Breaker(.init(callsMin: 20, errorRate: 0.5))
        let pairs = (0..<18).map { $0 % 2 == 0 ? Self.ill : Self.well }
        #expect(Self.run(&breaker, pairs, at: Self.start) == .max)
        #expect(breaker.snapshot(at: Self.at(26)).calls == 18)
        #expect(breaker.snapshot(at: Self.at(31)).calls == 0)
        #expect(Self.run(&breaker, [Self.ill, Self.well, Self.well], at: Self.at(31)) == .max)
        #expect(breaker.snapshot(at: Self.at(31)).calls == 3)
    }

    /// Of 20 answers so many are slow; 95 of 100 must be quick, so one may be slow and two may not.
    @Test(arguments: [(0, false), (1, false), (2, true), (20, true)])
    func slownessOpensIt(slow: Int, opens: Bool) {
        let slowOne = Breaker.Outcome.succeeded(latency: .seconds(11), firstToken: .seconds(3))
        let outcomes = (0..<20).map { $0 < slow ? slowOne : Self.well }
        var latency = Breaker(.init(callsMin: 20, latencyMax: .seconds(10)))
        #expect((Self.run(&latency, outcomes, at: Self.start) == 20) == opens)
        #expect(latency.snapshot(at: Self.start).cause == (opens ? .latency : nil))
        var first = Breaker(.init(callsMin: 20, firstTokenMax: .seconds(2)))
        #expect((Self.run(&first, outcomes, at: Self.start) == 20) == opens)
        #expect(first.snapshot(at: Self.start).cause == (opens ? .firstToken : nil))
        var unwatched = Breaker()
        #expect(Self.run(&unwatched, outcomes, at: Self.start) == .max)
    }

    @Test func badAnswersOpenIt() {
        var breaker = Breaker(.init(qualityMin: 0.6))
        for _ in 0..<9 { breaker.record(quality: 0.1, at: Self.start) }
        breaker.record(quality: .nan, at: Self.start)
        #expect(breaker.admit(at: Self.start) != nil)
        breaker.record(quality: 0.1, at: Self.start)
        #expect(breaker.admit(at: Self.start) == nil)
        #expect(breaker.snapshot(at: Self.start).cause == .quality)
        var good = Breaker(.init(qualityMin: 0.5))
        for score in [Double](repeating: 0.5, count: 9) + [Double](repeating: 7, count: 20) {
            good.record(quality: score, at: Self.start)
        }
        #expect(good.snapshot(at: Self.start).quality == 1)
        #expect(good.admit(at: Self.start) != nil)
    }

    @Test func oneProbeAtATimeClosesIt() throws {
        var breaker = Breaker(.init(failuresInRow: 1))
        #expect(Self.run(&breaker, [Self.ill], at: Self.start) == 1)
        #expect(breaker.admit(at: Self.at(29)) == nil)
        #expect(breaker.openUntil(at: Self.at(29)) == Self.at(30))
        #expect(breaker.openUntil(at: Self.at(30)) == nil)
        #expect(breaker.snapshot(at: Self.at(30)).state == .halfOpen)
        let probe = try Self.admitted(&breaker, at: Self.at(30))
        #expect(probe.isProbe)
        #expect(breaker.admit(at: Self.at(31)) == nil)
        #expect(breaker.openUntil(at: Self.at(31)) == Self.at(150))
        breaker.record(probe, Self.well, at: Self.at(32))
        #expect(breaker.snapshot(at: Self.at(32)).state == .closed)
        let next = breaker.admit(at: Self.at(32))
        #expect(next?.isProbe == false)
        // The permit was given back: a second report is nothing.
        breaker.record(probe, Self.ill, at: Self.at(33))
        #expect(breaker.snapshot(at: Self.at(33)).state == .closed)
    }

    @Test func failedProbesKeepItOpenForLonger() throws {
        var breaker = Breaker(.init(failuresInRow: 1, open: .seconds(10), openMax: .seconds(60)))
        var now = Self.start
        #expect(Self.run(&breaker, [Self.ill], at: now) == 1)
        for seconds: Int64 in [10, 20, 40, 60, 60, 60] {
            #expect(breaker.snapshot(at: now).openUntil == now + .seconds(seconds))
            now = now + .seconds(seconds)
            breaker.record(try Self.admitted(&breaker, at: now), Self.ill, at: now)
        }
        #expect(breaker.snapshot(at: now).cause == .probeFailed)
        now = now + .seconds(60)
        breaker.record(try Self.admitted(&breaker, at: now), Self.well, at: now)
        // Once well, it begins with the short time again.
        #expect(Self.run(&breaker, [Self.ill], at: now) == 1)
        #expect(breaker.snapshot(at: now).openUntil == now + .seconds(10))
    }

    @Test(
        arguments: [
            (Breaker.Outcome.failed(.contextLength), Breaker.State.closed), (.failed(.invalidRequest), .closed),
            (.failed(.rateLimited(retryAfter: nil)), .halfOpen), (.abandoned, .halfOpen), (.failed(.silent), .open),
            (.failed(.unauthorized), .open),
        ])
    func whatAProbeSays(outcome: Breaker.Outcome, state: Breaker.State) throws {
        var breaker = Breaker(.init(failuresInRow: 1))
        #expect(Self.run(&breaker, [Self.ill], at: Self.start) == 1)
        breaker.record(try Self.admitted(&breaker, at: Self.at(30)), outcome, at: Self.at(31))
        #expect(breaker.snapshot(at: Self.at(31)).state == state)
        let next = breaker.admit(at: Self.at(31))
        #expect((next != nil) == (state != .open))
    }

    @Test func aProbeThatNeverAnswersFreesItsPlace() throws {
        var breaker = Breaker(.init(failuresInRow: 1, probeMax: .seconds(20)))
        #expect(Self.run(&breaker, [Self.ill], at: Self.start) == 1)
        let lost = try Self.admitted(&breaker, at: Self.at(30))
        #expect(breaker.admit(at: Self.at(49)) == nil)
        let second = try Self.admitted(&breaker, at: Self.at(50))
        // The lost one's late answer is not the second one's.
        breaker.record(lost, Self.well, at: Self.at(51))
        #expect(breaker.snapshot(at: Self.at(51)).state == .halfOpen)
        breaker.record(second, Self.well, at: Self.at(52))
        #expect(breaker.snapshot(at: Self.at(52)).state == .closed)
    }

    @Test func answersToCallsFromBeforeSayNothing() throws {
        var breaker = Breaker(.init(failuresInRow: 2))
        let old = try Self.admitted(&breaker, at: Self.start)
        #expect(Self.run(&breaker, [Self.ill, Self.ill], at: Self.start) == 2)
        breaker.record(old, Self.well, at: Self.at(1))
        #expect(breaker.snapshot(at: Self.at(1)).state == .open)
        breaker.record(try Self.admitted(&breaker, at: Self.at(30)), Self.well, at: Self.at(30))
        breaker.record(old, Self.ill, at: Self.at(31))
        #expect(breaker.snapshot(at: Self.at(31)).failuresInRow == 0)
    }

    @Test func aClockThatIsSetBackDoesNotLockIt() throws {
        var breaker = Breaker(.init(failuresInRow: 1))
        #expect(Self.run(&breaker, [Self.ill], at: Self.at(100_000)) == 1)
        #expect(breaker.openUntil(at: Self.start) == Self.at(30))
        _ = breaker.admit(at: Self.at(100_030))
        #expect(breaker.admit(at: Self.start) != nil)
        var closed = Breaker()
        for moment in [Timestamp(microseconds: .min), Timestamp(microseconds: .max), Self.start] {
            #expect(Self.run(&closed, [Self.ill, Self.well], at: moment) == .max)
        }
    }
}
