import Kernel
import Telemetry
import Testing

@testable import Gateway

/// What is counted of what happened to calls on their way.
@Suite struct GatewayMetersTests {
    private func lines(_ records: [CallRecord], model: String? = "mini") -> [String] {
        var meters = GatewayMeters()
        for record in records { meters.observe(record, model: model ?? record.model) }
        var page = MetricPage()
        meters.collect(into: &page)
        return String(decoding: MetricText.bytes(of: page), as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { !$0.hasPrefix("#") }
    }

    private func record(_ change: (inout CallRecord) -> Void) -> CallRecord {
        CallMetersTests.record { record in
            record.candidates = ["main/gpt-4o-mini-2024-07-18", "backup/haiku"]
            change(&record)
        }
    }

    private func attempt(_ target: String, _ failure: String? = nil) -> CallRecord.Attempt {
        .init(
            target: target, startedAt: CallMetersTests.start, duration: .milliseconds(5), status: nil, failure: failure,
            reason: "")
    }

    @Test("A call that went straight to its first target counts nowhere here")
    func plain() {
        #expect(lines([record { _ in }]).isEmpty)
    }

    @Test("Answers from memory, with what they saved to the nano-dollar")
    func memory() {
        func cached(_ verdict: String, _ saved: Int64) -> CallRecord {
            record { record in
                record.cache = verdict
                record.saved = NanoDollars(saved)
                record.attempts = []
            }
        }
        let found = lines([
            cached("hit", 1_500), cached("hit", 2), cached("miss", 0), cached("shared", 7), cached("semantic", 11),
        ])
        #expect(
            found == [
                #"reeve_gateway_cache_hits_total{model="mini",kind="exact"} 2"#,
                #"reeve_gateway_cache_hits_total{model="mini",kind="semantic"} 1"#,
                #"reeve_gateway_cache_misses_total{model="mini"} 1"#,
                #"reeve_gateway_single_flight_joins_total{model="mini"} 1"#,
                #"reeve_gateway_saved_dollars_total{model="mini",by="cache"} 0.000001502"#,
                #"reeve_gateway_saved_dollars_total{model="mini",by="single_flight"} 0.000000007"#,
                #"reeve_gateway_saved_dollars_total{model="mini",by="semantic"} 0.000000011"#,
            ])
    }

    @Test("Time in line, and who was sent away")
    func line() {
        let waited = record { $0.line = (.milliseconds(300), false) }
        let refused = record { $0.line = (.zero, true) }
        let found = lines([waited, refused])
        #expect(found.contains(#"reeve_gateway_queue_wait_seconds_bucket{model="mini",le="0.25"} 1"#))
        #expect(found.contains(#"reeve_gateway_queue_wait_seconds_bucket{model="mini",le="0.5"} 2"#))
        #expect(found.contains(#"reeve_gateway_queue_wait_seconds_sum{model="mini"} 0.3"#))
        #expect(found.contains(#"reeve_gateway_queue_refusals_total{model="mini"} 1"#))
    }

    @Test("Budgets' refusals by their codes, and no other word becomes a series")
    func refusals() {
        func failed(_ code: String, _ scope: String?) -> CallRecord {
            record { record in
                record.status = .failed
                record.attempts = []
                record.failure = code
                if let scope { record.refusal = (scope, code, "") }
            }
        }
        let found = lines([
            failed("budget_exceeded", "org"), failed("budget_exceeded", "org"), failed("budget_in_flight", "key:a"),
            failed("budget_unavailable", nil), failed("budget_of_a_provider", nil), failed("server_error", nil),
        ])
        #expect(
            found == [
                #"reeve_gateway_budget_refusals_total{code="budget_exceeded"} 2"#,
                #"reeve_gateway_budget_refusals_total{code="budget_in_flight"} 1"#,
                #"reeve_gateway_budget_refusals_total{code="budget_unavailable"} 1"#,
                #"reeve_gateway_budget_refusals_total{code="__other__"} 1"#,
            ])
    }

    @Test("A retry is at the same target, a fallback at another one; both by what had failed")
    func tries() {
        let call = record { record in
            record.attempts = [
                attempt("main/gpt-4o-mini-2024-07-18", "server_error"),
                attempt("main/gpt-4o-mini-2024-07-18", "silent"), attempt("backup/haiku"),
            ]
        }
        let passed = record { record in
            record.attempts = [attempt("backup/haiku")]
            record.steps = [
                .init(at: CallMetersTests.start, kind: .skip, reason: .breakerOpen, target: 0),
                .init(at: CallMetersTests.start, kind: .attempt, reason: .nextTarget, target: 1),
            ]
        }
        #expect(
            lines([call, passed]) == [
                #"reeve_gateway_retries_total{model="mini",reason="server_error"} 1"#,
                #"reeve_gateway_fallbacks_total{model="mini",reason="silent"} 1"#,
                #"reeve_gateway_fallbacks_total{model="mini",reason="breaker_open"} 1"#,
            ])
    }

    @Test("Thousands of models stay within the bound of each metric, and no count is lost")
    func bounds() {
        let calls = (0..<6_000).map { number in
            record { record in
                record.model = "model-\(number)"
                record.cache = "miss"
                record.line = (.zero, true)
                record.attempts = [attempt("a", "server_error"), attempt("a", "reset"), attempt("b")]
            }
        }
        let found = lines(calls, model: nil)
        for (name, most) in [
            ("reeve_gateway_cache_misses_total{", 5_000), ("reeve_gateway_queue_refusals_total{", 5_000),
            ("reeve_gateway_retries_total{", 1_000), ("reeve_gateway_fallbacks_total{", 1_000),
            ("reeve_gateway_queue_wait_seconds_count{", 200),
        ] {
            let series = found.filter { $0.hasPrefix(name) }
            #expect(series.count <= most)
            #expect(series.contains { $0.contains(#"model="__other__""#) })
            let sum = series.reduce(0) { $0 + (Int($1.split(separator: " ").last ?? "") ?? 0) }
            #expect(sum == (name.contains("fallbacks") ? 12_000 : 6_000))
        }
    }
}
