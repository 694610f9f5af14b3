import Kernel
import Testing

@testable import Runner

@Suite struct RestartPolicyTests {
    private let now = Timestamp(microseconds: 1_000_000_000_000)

    @Test(arguments: [
        (RestartPolicy.Mode.always, ExitVerdict.done, true), (.always, .failed, true), (.always, .killed, true),
        (.always, .temporary, true), (.always, .permanent, false),
        (.onFailure, .done, false), (.onFailure, .failed, true), (.onFailure, .killed, true),
        (.onFailure, .temporary, true), (.onFailure, .permanent, false),
        (.never, .done, false), (.never, .failed, false), (.never, .killed, false), (.never, .temporary, false),
        (.never, .permanent, false),
    ])
    func whatFollowsAnEnd(mode: RestartPolicy.Mode, verdict: ExitVerdict, restarts: Bool) {
        var policy = RestartPolicy(mode: mode)
        let decision = policy.ended(verdict, ran: .seconds(1), at: now, fraction: 0.5)
        #expect(decision == (restarts ? .restart(after: .milliseconds(500)) : .stop(verdict)))
    }

    @Test func theDelayDoublesUpToTheCap() {
        var policy = RestartPolicy(mode: .always)
        policy.crashLoopDeaths = .max
        let delays = (0..<12).map { _ -> Double in
            guard case .restart(let delay) = policy.ended(.failed, ran: .zero, at: now, fraction: 0.999_999) else {
                return -1
            }
            return delay.seconds.rounded()
        }
        #expect(delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
    }

    @Test func jitterCoversTheWholeRange() {
        for fraction in [0, 0.25, 0.5, 0.999] {
            var policy = RestartPolicy(mode: .always)
            let decision = policy.ended(.failed, ran: .zero, at: now, fraction: fraction)
            #expect(decision == .restart(after: .seconds(fraction)))
        }
    }

    @Test func fiveDeathsInTenMinutesAreACrashLoop() {
        var policy = RestartPolicy(mode: .always)
        for death in 0..<4 {
            let decision = policy.ended(.failed, ran: .seconds(1), at: now + .minutes(Int64(death * 2)), fraction: 0)
            #expect(decision == .restart(after: .zero))
        }
        let last = policy.ended(.killed, ran: .seconds(1), at: now + .minutes(8), fraction: 0)
        #expect(last == .crashLoop(deaths: 5))
    }

    @Test func deathsOutsideTheWindowAreForgotten() {
        var policy = RestartPolicy(mode: .always)
        for death in 0..<20 {
            let decision = policy.ended(.failed, ran: .minutes(3), at: now + .minutes(Int64(death * 3)), fraction: 0)
            #expect(decision == .restart(after: .zero), "death \(death)")
        }
    }

    @Test func healthyTimeResetsTheBackoffAndTheCount() {
        var policy = RestartPolicy(mode: .always)
        for _ in 0..<4 { _ = policy.ended(.failed, ran: .seconds(1), at: now, fraction: 0) }
        #expect(policy.endsInRow == 4)
        let decision = policy.ended(.failed, ran: .minutes(10), at: now + .minutes(1), fraction: 0.5)
        #expect(decision == .restart(after: .milliseconds(500)))
    }

    @Test func endsThatAreNoDeathsMakeNoCrashLoop() {
        var policy = RestartPolicy(mode: .always)
        for index in 0..<50 {
            let verdict: ExitVerdict = index.isMultiple(of: 2) ? .done : .temporary
            guard case .restart = policy.ended(verdict, ran: .zero, at: now, fraction: 0.1) else {
                Issue.record("end \(index) did not restart")
                return
            }
        }
    }

    /// Over random histories: a delay is never negative nor beyond the cap, and a crash loop comes exactly when five
    /// deaths lie within the window.
    @Test func randomHistoriesKeepTheRules() {
        var generator = SplitMix(state: 7)
        for _ in 0..<500 {
            var policy = RestartPolicy(mode: .always)
            var deaths: [Timestamp] = []
            var at = now
            for _ in 0..<30 {
                let ran = Span.seconds(Double(generator.next() % 900))
                at = at + ran
                let verdict: ExitVerdict = [.done, .failed, .killed, .temporary][Int(generator.next() % 4)]
                if ran >= policy.healthyAfter { deaths = [] }
                if verdict == .failed || verdict == .killed { deaths.append(at) }
                deaths = deaths.filter { at - $0 < policy.crashLoopWindow }
                let fraction = Double(generator.next() % 1_000) / 1_000
                let decision = policy.ended(verdict, ran: ran, at: at, fraction: fraction)
                let isDeath = verdict == .failed || verdict == .killed
                switch decision {
                case .restart(let delay):
                    #expect(delay >= .zero && delay <= policy.backoffCap)
                    #expect(!(isDeath && deaths.count >= 5))
                case .crashLoop(let count):
                    #expect(isDeath && deaths.count == count && count >= 5)
                case .stop: Issue.record("always never stops for \(verdict)")
                }
                if case .crashLoop = decision { break }
                if case .restart(let delay) = decision { at = at + delay }
            }
        }
    }
}

/// A small seeded generator (Steele, Lea & Flood 2014), so that a failing history can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

@Suite struct ExitVerdictTests {
    @Test func everyExitStatusHasItsVerdict() {
        for status in Int32(0)...255 {
            let expected: ExitVerdict =
                switch status {
                case 0: .done
                case 75: .temporary
                case 64...78: .permanent
                case 137: .killed
                default: .failed
                }
            #expect(ExitVerdict(.exited(status)) == expected, "\(status)")
        }
        #expect(ExitVerdict(.signaled(9)) == .killed)
        #expect(ExitVerdict(.signaled(15)) == .failed)
        #expect(ProcessEnd.signaled(9).shellStatus == 137)
    }

    @Test(arguments: [
        (ProcessEnd.exited(0), nil as TaskStop?, TaskOutcome.finish),
        (.exited(75), nil, .snooze),
        (.exited(64), nil, .fail(class: "permanent", message: "exit 64: boom")),
        (.exited(78), nil, .fail(class: "permanent", message: "exit 78: boom")),
        (.exited(1), nil, .fail(class: "retryable", message: "exit 1: boom")),
        (.exited(127), nil, .fail(class: "retryable", message: "exit 127: boom")),
        (.signaled(11), nil, .fail(class: "retryable", message: "signal 11: boom")),
        (.exited(0), .canceled, .release),
        (.signaled(15), .canceled, .release),
        (.exited(0), .lost(code: "stale_fence"), .abandon),
        (.exited(0), .shutdown, .finish),
        (.signaled(15), .shutdown, .release),
        (.signaled(15), .timedOut(.seconds(60)), .fail(class: "retryable", message: "it ran longer than its 60 s")),
    ])
    func theOutcomeOfATask(end: ProcessEnd, stop: TaskStop?, outcome: TaskOutcome) {
        #expect(TaskOutcome.of(end, stop: stop, lastWords: "boom") == outcome)
    }
}

@Suite struct SnoozeTests {
    @Test func aSnoozeGrowsUpToFiveMinutes() {
        let seconds = (1...12).map { TaskOutcome.snoozeSeconds(attempt: $0, fraction: 0) }
        #expect(seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
        #expect(TaskOutcome.snoozeSeconds(attempt: 1, fraction: 0.5) == 1.25)
        #expect(TaskOutcome.snoozeSeconds(attempt: .max, fraction: 0) == 300)
    }
}

@Suite struct ProgressWatchTests {
    private let start = Timestamp(microseconds: 0)

    private func readings(_ values: [(output: Int64, cpu: Double, second: Double)]) -> [Bool] {
        var watch = ProgressWatch(timeout: .seconds(10), startedAt: start)
        return values.map { watch.isHung(outputBytes: $0.output, cpuSeconds: $0.cpu, at: start + .seconds($0.second)) }
    }

    @Test func outputAndCPUAreProgress() {
        let hung = readings([(0, 0, 9), (1, 0, 12), (1, 0.5, 21), (1, 0.5, 30), (1, 0.5, 31)])
        #expect(hung == [false, false, false, false, true])
    }

    @Test func theTickingOfTimersIsNoProgress() {
        let hung = readings((1...10).map { (0, Double($0) * 0.005, Double($0)) })
        #expect(hung == [Bool](repeating: false, count: 9) + [true])
    }
}
