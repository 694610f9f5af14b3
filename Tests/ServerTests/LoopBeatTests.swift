import Kernel
import Testing

@testable import Server

@Suite("The beat of loops")
struct LoopBeatTests {
    private static let start = Timestamp(microseconds: 1_795_161_600_012_345)

    @Test("a loop wakes on a beat of its process, no later than its interval and no more than a beat sooner")
    func pause() {
        for interval in [Span.milliseconds(100), .milliseconds(200), .milliseconds(250), .seconds(1), .minutes(10)] {
            for late in [0, 1, 3_000, 24_999, 25_000, 49_999, 50_000, 260_001] as [Int64] {
                let now = Self.start + Span(microseconds: late)
                let pause = LoopRunner.pause(interval, at: now, since: Self.start)
                #expect(pause <= interval && pause > interval + .milliseconds(-50))
                #expect((now + pause - Self.start).microseconds % LoopRunner.beat.microseconds == 0)
            }
        }
    }

    @Test("a clock that stands still keeps the intervals, as do short ones and a clock that was set back")
    func others() {
        let (start, odd) = (Self.start, Self.start + .milliseconds(7))
        #expect(LoopRunner.pause(.seconds(1), at: start, since: start) == .seconds(1))
        #expect(LoopRunner.pause(.milliseconds(20), at: odd, since: start) == .milliseconds(20))
        #expect(LoopRunner.pause(.seconds(1), at: start + .seconds(-5), since: start) == .seconds(1))
    }
}
