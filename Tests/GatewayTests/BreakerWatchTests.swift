import Kernel
import Testing

@testable import Gateway

/// When it is told that a breaker opened or closed.
@Suite struct BreakerWatchTests {
    static let start = Timestamp(microseconds: 1_000_000_000)
    static let ill = Breaker.Outcome.failed(.serverError(retryAfter: nil))
    static let well = Breaker.Outcome.succeeded(latency: .milliseconds(5), firstToken: nil)

    static func at(_ seconds: Int64) -> Timestamp { start + .seconds(seconds) }

    static func send(_ outcome: Breaker.Outcome, to breaker: inout Breaker, at now: Timestamp) {
        if let permit = breaker.admit(at: now) { breaker.record(permit, outcome, at: now) }
    }

    static func look(_ watch: inout BreakerWatch, _ breaker: Breaker, at now: Timestamp) -> [BreakerChange] {
        watch.changes([("m", "main/x", breaker.snapshot(at: now))], at: now)
    }

    @Test func openingAndClosingAreToldOnce() throws {
        var watch = BreakerWatch()
        var breaker = Breaker(.init(failuresInRow: 1))
        #expect(Self.look(&watch, breaker, at: Self.start).isEmpty)
        Self.send(Self.ill, to: &breaker, at: Self.start)
        let opened = try #require(Self.look(&watch, breaker, at: Self.at(1)).first)
        #expect(opened.isOpen && opened.model == "m" && opened.target == "main/x" && opened.openings == 1)
        #expect(opened.cause == "failures_in_row" && opened.lastFailure == "server_error")
        #expect(opened.openUntil == Self.at(30) && opened.at == Self.start)
        #expect(Self.look(&watch, breaker, at: Self.at(10)).isEmpty)
        // Half open is not closed.
        #expect(Self.look(&watch, breaker, at: Self.at(31)).isEmpty)
        Self.send(Self.well, to: &breaker, at: Self.at(32))
        let closed = try #require(Self.look(&watch, breaker, at: Self.at(33)).first)
        #expect(!closed.isOpen && closed.at == Self.at(32) && closed.cause == nil)
        #expect(Self.look(&watch, breaker, at: Self.at(60)).isEmpty)
    }

    @Test func aProbeThatFailsIsAnotherOpening() throws {
        var watch = BreakerWatch()
        var breaker = Breaker(.init(failuresInRow: 1))
        Self.send(Self.ill, to: &breaker, at: Self.start)
        #expect(Self.look(&watch, breaker, at: Self.start).count == 1)
        Self.send(Self.ill, to: &breaker, at: Self.at(30))
        #expect(Self.look(&watch, breaker, at: Self.at(31)).first?.cause == "probe_failed")
    }

    @Test func whatWasMissedIsToldInTwoSteps() {
        var watch = BreakerWatch()
        var breaker = Breaker(.init(failuresInRow: 1, open: .seconds(1)))
        for second in 0..<5 {
            Self.send(Self.ill, to: &breaker, at: Self.at(Int64(second) * 10))
            Self.send(Self.well, to: &breaker, at: Self.at(Int64(second) * 10 + 5))
        }
        let first = Self.look(&watch, breaker, at: Self.at(60))
        #expect(first.map(\.isOpen) == [true] && first.first?.openings == 5)
        #expect(Self.look(&watch, breaker, at: Self.at(61)).map(\.isOpen) == [false])
        #expect(Self.look(&watch, breaker, at: Self.at(62)).isEmpty)
    }

    @Test("A breaker that flaps is spoken of at most once in five seconds")
    func flapping() {
        var watch = BreakerWatch()
        var breaker = Breaker(.init(failuresInRow: 1, open: .milliseconds(1), openMax: .milliseconds(1)))
        var told = 0
        for tick in 0..<600 {
            let now = Self.start + .milliseconds(Int64(tick) * 100)
            Self.send(Self.ill, to: &breaker, at: now)
            told += Self.look(&watch, breaker, at: now).count
        }
        #expect(told == 12)
    }

    @Test("A round is bounded, and the rest comes with the next")
    func manyAtOnce() {
        var watch = BreakerWatch()
        var breaker = Breaker(.init(failuresInRow: 1))
        Self.send(Self.ill, to: &breaker, at: Self.start)
        let snapshot = breaker.snapshot(at: Self.start)
        let all = (0..<250).map { ("m", "main/\($0)", snapshot) }
        #expect(watch.changes(all, at: Self.start).count == 100)
        #expect(watch.changes(all, at: Self.at(1)).count == 100)
        #expect(watch.changes(all, at: Self.at(2)).count == 50)
        #expect(watch.changes(all, at: Self.at(3)).isEmpty)
    }

    @Test func anOperatorClosesIt() {
        var breaker = Breaker(.init(failuresInRow: 1))
        Self.send(Self.ill, to: &breaker, at: Self.start)
        let running = breaker.admit(at: Self.at(31))
        breaker.reset(at: Self.at(32))
        let snapshot = breaker.snapshot(at: Self.at(32))
        #expect(snapshot.state == .closed && snapshot.changedAt == Self.at(32) && snapshot.openings == 1)
        // What began before says nothing any more.
        if let running { breaker.record(running, Self.ill, at: Self.at(33)) }
        #expect(breaker.snapshot(at: Self.at(33)).state == .closed)
    }

    @Test func whenItChanged() {
        var breaker = Breaker(.init(failuresInRow: 1))
        #expect(breaker.snapshot(at: Self.start).changedAt == nil)
        Self.send(Self.ill, to: &breaker, at: Self.start)
        #expect(breaker.snapshot(at: Self.at(29)).changedAt == Self.start)
        // It is half open from the moment on when its pause ends, whether anybody asks or not.
        #expect(breaker.snapshot(at: Self.at(90)).changedAt == Self.at(30))
        _ = breaker.admit(at: Self.at(40))
        #expect(breaker.snapshot(at: Self.at(41)).changedAt == Self.at(30))
    }
}
