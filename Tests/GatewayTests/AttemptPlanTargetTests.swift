import Kernel
import Testing

@testable import Gateway

/// How the state of targets leads a call, and what is recorded of it.
@Suite struct AttemptPlanTargetTests {
    typealias Target = AttemptPlan.Target
    static let start = AttemptPlanTests.start

    static func at(_ milliseconds: Int64) -> Timestamp { start + .milliseconds(milliseconds) }

    /// The first decision for targets that are open, limited and paced so many milliseconds from the start.
    @Test(
        arguments: [
            ([(nil, nil, nil), (nil, nil, nil)], "a0"), ([(5_000, nil, nil), (nil, nil, nil)], "a1"),
            ([(nil, 2_000, nil), (nil, nil, nil)], "a1"), ([(nil, 2_000, nil)], "w2000"),
            ([(nil, 2_000, nil), (nil, 1_000, nil)], "w1000"), ([(nil, 3_001, nil)], "end:all_limited:-:-1"),
            ([(nil, -1, -1)], "a0"), ([(0, 0, 0)], "a0"),
            // The pace of a target is a moment's matter: it is waited out rather than gone around.
            ([(nil, nil, 400), (nil, nil, nil)], "a0+400"), ([(nil, nil, 3_500), (nil, nil, nil)], "a1"),
            ([(nil, nil, 20_000)], "a0+20000"), ([(nil, nil, 31_000)], "end:all_limited:-:-1"),
            ([(nil, 500, 400)], "w500"), ([(60_000, nil, nil), (9_000, nil, nil)], "end:all_open:-:-1"),
            ([(60_000, nil, nil), (nil, 9_000, nil)], "end:all_limited:-:-1"),
        ] as [([(Int64?, Int64?, Int64?)], String)])
    func choice(states: [(Int64?, Int64?, Int64?)], expected: String) {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let targets = states.enumerated().map { index, state in
            Target(
                provider: index, openUntil: state.0.map(Self.at), limitedUntil: state.1.map(Self.at),
                pacedUntil: state.2.map(Self.at))
        }
        #expect(AttemptPlanTests.show(plan.next(targets, at: Self.start, fraction: 0)) == expected)
    }

    @Test func theClientLearnsWhenToComeBack() {
        func end(_ targets: [Target], _ failures: [FailureClass]) -> AttemptPlan.End? {
            var plan = AttemptPlan(.init(), startedAt: Self.start)
            for failure in failures {
                _ = plan.next(targets.map { Target(provider: $0.provider) }, at: Self.start, fraction: 0)
                plan.failed(failure, at: Self.start)
            }
            guard case .giveUp(let end) = plan.next(targets, at: Self.start, fraction: 0) else { return nil }
            return end
        }
        let open = Target(provider: 0, openUntil: Self.at(60_000))
        let other = Target(provider: 1, openUntil: Self.at(9_000))
        #expect(end([open, other], [])?.retryAfter == .seconds(9))
        #expect(end([Target(provider: 0)], [AttemptPlanTests.limited(30_000)])?.retryAfter == .seconds(30))
        // The first target's limit is told although the second one failed last.
        let limited = Target(provider: 0, limitedUntil: Self.at(30_000))
        let silent = end([limited, Target(provider: 1)], [AttemptPlanTests.limited(30_000), .silent])
        #expect(silent?.failure == .silent)
        #expect(silent?.retryAfter == .seconds(30))
        // Nothing that time mends.
        #expect(
            end([limited, Target(provider: 1)], [AttemptPlanTests.limited(30_000), .contextLength])?.retryAfter == nil)
        #expect(end([open], [.unauthorized])?.retryAfter == nil)
    }

    @Test func aSilentProviderIsAskedLast() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let targets = [Target(provider: 7), Target(provider: 7), Target(provider: 8)]
        var shown: [String] = []
        for failure in [FailureClass.silent, .connectionRefused, .silent] {
            shown.append(AttemptPlanTests.show(plan.next(targets, at: Self.start, fraction: 0)))
            plan.failed(failure, at: Self.start)
        }
        shown.append(AttemptPlanTests.show(plan.next(targets, at: Self.start, fraction: 0)))
        #expect(shown == ["a0", "a2", "a1", "end:no_target_left:silent:1"])
    }

    @Test func aSilentProviderIsNotAskedWhileAnotherIsFreeSoon() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let targets = [Target(provider: 7), Target(provider: 7), Target(provider: 8, limitedUntil: Self.at(1_000))]
        _ = plan.next(targets, at: Self.start, fraction: 0)
        plan.failed(.silent, at: Self.start)
        #expect(plan.next(targets, at: Self.start, fraction: 0) == .wait(.seconds(1)))
        #expect(plan.next(targets, at: Self.at(1_000), fraction: 0) == .attempt(2, after: .zero))
    }

    @Test func aBreakerThatOpensDuringTheCallEndsTheRetries() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        _ = plan.next([Target(provider: 0)], at: Self.start, fraction: 0)
        plan.failed(AttemptPlanTests.server, at: Self.start)
        let open = [Target(provider: 0, openUntil: Self.at(30_000))]
        guard case .giveUp(let end) = plan.next(open, at: Self.start, fraction: 0) else {
            Issue.record("it goes on")
            return
        }
        #expect(end.failure == AttemptPlanTests.server)
        #expect(end.retryAfter == .seconds(30))
    }

    @Test(arguments: [(false, "end:stream_broken:cut:0"), (true, "a1")])
    func aStreamThatBrokeGoesOnOnlyWhereItMay(continuation: Bool, expected: String) {
        let shown = AttemptPlanTests.play([.cut], targets: 2, .init(continuation: continuation), delivered: true)
        #expect(shown == ["a0", expected])
    }

    @Test func aContinuationGoesToTheNextTargetOnly() {
        let rules = AttemptPlan.Rules(continuation: true)
        #expect(
            AttemptPlanTests.play([.cut], targets: 1, rules, delivered: true) == ["a0", "end:no_target_left:cut:0"])
        // An error within a stream is no error of a server that may be asked again.
        #expect(AttemptPlanTests.play([AttemptPlanTests.server], targets: 2, rules, delivered: true) == ["a0", "a1"])
        var plan = AttemptPlan(rules, startedAt: Self.start)
        let targets = [Target(provider: 0), Target(provider: 1)]
        _ = plan.next(targets, at: Self.start, fraction: 0)
        plan.failed(.stalled, at: Self.start, hasDelivered: true)
        _ = plan.next(targets, at: Self.start, fraction: 0)
        plan.failed(AttemptPlanTests.server, at: Self.start)
        #expect(plan.next(targets, at: Self.start, fraction: 0) == .attempt(1, after: .zero))
    }

    @Test func anAttemptThatDidNotTakePlaceDoesNotCount() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let well = [Target(provider: 0), Target(provider: 1)]
        #expect(plan.next(well, at: Self.start, fraction: 0) == .attempt(0, after: .zero))
        plan.withdrawn(at: Self.start)
        #expect(plan.attempts == 0)
        let open = [Target(provider: 0, openUntil: Self.at(9_000)), Target(provider: 1)]
        #expect(plan.next(open, at: Self.start, fraction: 0) == .attempt(1, after: .zero))
        // However often that happens, it has an end.
        var endless = AttemptPlan(.init(), startedAt: Self.start)
        var last = AttemptPlan.Decision.wait(.zero)
        for _ in 0...AttemptPlan.stepsMax {
            last = endless.next(well, at: Self.start, fraction: 0)
            endless.withdrawn(at: Self.start)
        }
        #expect(AttemptPlanTests.show(last) == "end:too_many_steps:-:-1")
        #expect(endless.steps.count == AttemptPlan.stepsMax)
    }

    @Test func everyDecisionIsRecorded() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let targets = [
            Target(provider: 0, openUntil: Self.at(9_000)), Target(provider: 1), Target(provider: 2),
        ]
        _ = plan.next(targets, at: Self.start, fraction: 0)
        plan.failed(AttemptPlanTests.server, at: Self.at(5))
        _ = plan.next(targets, at: Self.at(5), fraction: 0.5)
        plan.failed(.silent, at: Self.at(500))
        _ = plan.next(targets, at: Self.at(500), fraction: 0)
        plan.failed(.invalidRequest, at: Self.at(600))
        _ = plan.next(targets, at: Self.at(600), fraction: 0)
        let shown = plan.steps.map { step in
            [step.kind.rawValue, step.reason?.rawValue, step.target.map(String.init), step.failure?.name]
                .compactMap { $0 }.joined(separator: " ")
        }
        #expect(
            shown == [
                "skip breaker_open 0", "attempt first_choice 1", "failure 1 server_error",
                "attempt same_target_retry 1", "failure 1 silent", "attempt next_target 2",
                "failure 2 invalid_request", "give_up callers_fault 2 invalid_request",
            ])
        #expect(plan.attempts == 3)
        #expect(plan.steps[3].wait == .milliseconds(125))
    }

    @Test func onlySoManyTargetsAreTried() {
        let count = AttemptPlan.targetsMax + 5
        let shown = AttemptPlanTests.play([FailureClass](repeating: .silent, count: count), targets: count)
        #expect(shown.count == AttemptPlan.targetsMax + 1)
        #expect(shown.last == "end:no_target_left:silent:\(AttemptPlan.targetsMax - 1)")
        let servers = [FailureClass](repeating: AttemptPlanTests.server, count: 200)
        #expect(AttemptPlanTests.play(servers, targets: count).count == AttemptPlan.attemptsMax + 1)
    }

    @Test func reportsWithoutAnAttemptAreHarmless() {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        plan.failed(.silent, at: Self.start)
        plan.withdrawn(at: Self.start)
        #expect(plan.attempts == 0)
        #expect(plan.next([Target(provider: 0)], at: Self.start, fraction: 0) == .attempt(0, after: .zero))
        plan.failed(.silent, at: Self.start)
        // Fewer targets than before, as after a change of the settings.
        #expect(AttemptPlanTests.show(plan.next([], at: Self.start, fraction: 0)) == "end:no_target_left:silent:0")
    }
}
