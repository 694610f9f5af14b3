import Kernel
import Testing

@testable import Gateway

/// What a call does next, rule by rule. Steps are written as text: `a1+250` is an attempt at target 1 after 250 ms,
/// `w500` a wait of 500 ms, `end:…` the end.
@Suite struct AttemptPlanTests {
    static let start = Timestamp(microseconds: 1_000_000_000)
    static let server = FailureClass.serverError(retryAfter: nil)

    static func limited(_ milliseconds: Int64) -> FailureClass { .rateLimited(retryAfter: .milliseconds(milliseconds)) }

    /// Plays failures against targets of one provider each that are all well, the random number always one half.
    static func play(
        _ failures: [FailureClass], targets count: Int, _ rules: AttemptPlan.Rules = .init(), delivered: Bool = false
    ) -> [String] {
        var plan = AttemptPlan(rules, startedAt: start)
        let targets = (0..<count).map { AttemptPlan.Target(provider: $0) }
        var now = start
        var shown: [String] = []
        for failure in failures {
            let decision = plan.next(targets, at: now, fraction: 0.5)
            shown.append(show(decision))
            guard case .attempt(_, let wait) = decision else { return shown }
            now = now + wait + .milliseconds(10)
            plan.failed(failure, at: now, hasDelivered: delivered)
        }
        shown.append(show(plan.next(targets, at: now, fraction: 0.5)))
        return shown
    }

    static func show(_ decision: AttemptPlan.Decision) -> String {
        switch decision {
        case .attempt(let target, let wait):
            "a\(target)" + (wait == .zero ? "" : "+\(wait.microseconds / 1_000)")
        case .wait(let wait): "w\(wait.microseconds / 1_000)"
        case .giveUp(let end): "end:\(end.reason.rawValue):\(end.failure?.name ?? "-"):\(end.target ?? -1)"
        }
    }

    @Test(
        "The rules for each class of failure",
        arguments: [
            // A server's fault: one more try where another target follows, two where none does.
            ([server, server, server], 1, ["a0", "a0+125", "a0+250", "end:no_target_left:server_error:0"]),
            ([server, server], 2, ["a0", "a0+125", "a1"]),
            (
                [server, server, server, server, server], 2,
                ["a0", "a0+125", "a1", "a1+125", "a1+250", "end:no_target_left:server_error:1"]
            ),
            ([.reset, .reset, .reset], 1, ["a0", "a0+125", "a0+250", "end:no_target_left:reset:0"]),
            ([.overloaded(retryAfter: nil), .reset], 2, ["a0", "a0+125", "a1"]),
            // Silence and refusal of the connection: the next at once.
            ([.silent, .connectionRefused], 3, ["a0", "a1", "a2"]),
            ([.silent], 1, ["a0", "end:no_target_left:silent:0"]),
            ([.connectionRefused], 1, ["a0", "end:no_target_left:connection_refused:0"]),
            ([.malformed], 2, ["a0", "a1"]),
            // Retry-After: waited for up to three seconds, then the next target.
            ([limited(2_000)], 2, ["a0", "a0+2125"]), ([limited(3_000)], 2, ["a0", "a0+3125"]),
            ([limited(3_001)], 2, ["a0", "a1"]), ([limited(2_000), limited(2_000)], 2, ["a0", "a0+2125", "a1"]),
            ([limited(2_000), limited(1_000)], 1, ["a0", "a0+2125", "a0+1125"]),
            ([limited(30_000)], 1, ["a0", "end:no_target_left:rate_limited:0"]),
            ([.serverError(retryAfter: .seconds(2))], 2, ["a0", "a0+2125"]),
            ([.serverError(retryAfter: .seconds(20))], 2, ["a0", "a1"]),
            // A limit without a wish: the next target, or back-off where there is none.
            ([.rateLimited(retryAfter: nil)], 2, ["a0", "a1"]),
            ([.rateLimited(retryAfter: nil)], 1, ["a0", "a0+125"]),
            // What only another target can mend.
            ([.unauthorized], 2, ["a0", "a1"]), ([.unauthorized], 1, ["a0", "end:no_target_left:unauthorized:0"]),
            ([.contextLength, .contextLength], 2, ["a0", "a1", "end:no_target_left:context_length:1"]),
            ([.quotaExhausted, .notFound, .forbidden, .tooLarge], 5, ["a0", "a1", "a2", "a3", "a4"]),
            // What nobody else is asked about.
            ([.invalidRequest], 2, ["a0", "end:callers_fault:invalid_request:0"]),
            ([.contentFilter], 2, ["a0", "end:callers_fault:content_filter:0"]),
            ([server, .contentFilter], 2, ["a0", "a0+125", "end:callers_fault:content_filter:0"]),
            // An operator's fault is told only where there is nothing better to tell.
            ([limited(9_000), .unauthorized], 2, ["a0", "a1", "end:no_target_left:rate_limited:0"]),
            ([.unauthorized, .notFound], 2, ["a0", "a1", "end:no_target_left:not_found:1"]),
            ([], 0, ["end:no_target_left:-:-1"]),
        ] as [([FailureClass], Int, [String])])
    func rules(failures: [FailureClass], targets: Int, expected: [String]) {
        #expect(Self.play(failures, targets: targets) == expected)
    }

    @Test(
        arguments: [
            (0, 1, ["a0", "end:no_target_left:server_error:0"]),
            (0, 2, ["a0", "a1", "end:no_target_left:server_error:1"]),
            (1, 1, ["a0", "a0+125", "end:no_target_left:server_error:0"]),
            (4, 1, ["a0", "a0+125", "a0+250", "a0+500", "a0+1000", "end:no_target_left:server_error:0"]),
            (-5, 1, ["a0", "end:no_target_left:server_error:0"]),
        ])
    func retriesAreASetting(retries: Int, targets: Int, expected: [String]) {
        let failures = [FailureClass](repeating: Self.server, count: expected.count - 1)
        #expect(Self.play(failures, targets: targets, .init(retries: retries)) == expected)
    }

    @Test func retriesAndBackOffHaveAnEnd() {
        let many = [FailureClass](repeating: Self.server, count: 20)
        let shown = Self.play(many, targets: 1, .init(retries: 1_000))
        #expect(shown.count == 1 + AttemptPlan.Rules.retriesMax + 1)
        #expect(shown[9] == "a0+4000")
        #expect(shown[10] == "a0+4000")
        let limits = [FailureClass](repeating: Self.limited(100), count: 20)
        #expect(Self.play(limits, targets: 1).count == 1 + AttemptPlan.limitedWaitsMax + 1)
    }

    @Test func aRetryAfterIsNotWaitedForWithoutRetries() {
        #expect(
            Self.play([Self.limited(1_000)], targets: 1, .init(retries: 0))
                == ["a0", "end:no_target_left:rate_limited:0"])
    }

    @Test func theDeadlineBoundsEverything() {
        let brief = AttemptPlan.Rules(total: .seconds(2))
        #expect(Self.play([Self.limited(1_950)], targets: 1, brief) == ["a0", "end:no_target_left:rate_limited:0"])
        #expect(Self.play([Self.limited(1_950)], targets: 2, brief) == ["a0", "a1"])
        var plan = AttemptPlan(brief, startedAt: Self.start)
        let targets = [AttemptPlan.Target(provider: 0), AttemptPlan.Target(provider: 1)]
        _ = plan.next(targets, at: Self.start, fraction: 0)
        plan.failed(.silent, at: Self.start + .seconds(2))
        let end = plan.next(targets, at: Self.start + .seconds(2), fraction: 0)
        #expect(Self.show(end) == "end:deadline:silent:0")
        var none = AttemptPlan(.init(total: .seconds(-1)), startedAt: Self.start)
        #expect(Self.show(none.next(targets, at: Self.start, fraction: 0)) == "end:deadline:-:-1")
    }

    @Test(
        arguments: [
            (Double.nan, "a0"), (-1, "a0"), (0, "a0"), (0.999, "a0+249"), (7, "a0+250"), (.infinity, "a0+250"),
        ])
    func jitterIsFull(fraction: Double, expected: String) {
        var plan = AttemptPlan(.init(), startedAt: Self.start)
        let targets = [AttemptPlan.Target(provider: 0)]
        _ = plan.next(targets, at: Self.start, fraction: fraction)
        plan.failed(Self.server, at: Self.start)
        #expect(Self.show(plan.next(targets, at: Self.start, fraction: fraction)) == expected)
    }
}
