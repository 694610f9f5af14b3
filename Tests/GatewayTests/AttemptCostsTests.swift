import Kernel
import Testing

@testable import Gateway

/// What each attempt of a call cost.
@Suite struct AttemptCostsTests {
    private func record(_ attempts: [(status: Int?, failure: String?, cost: Int64?)], cost: Int64?) -> [Int64?] {
        let record = CallMetersTests.record { record in
            record.attempts = attempts.map { attempt in
                .init(
                    target: "main/a", startedAt: CallMetersTests.start, duration: .zero, status: attempt.status,
                    failure: attempt.failure, reason: "", cost: attempt.cost.map { NanoDollars($0) })
            }
            record.cost = cost.map { NanoDollars($0) }
        }
        return record.attemptCosts.map { $0?.value }
    }

    @Test("Errors and refused connections cost nothing; who fell silent may bill")
    func unbooked() {
        let found = record(
            [
                (500, "server_error", nil), (429, "rate_limited", nil), (nil, "connection_refused", nil),
                (nil, "silent", nil), (200, "stalled", nil), (200, nil, 700),
            ], cost: 700)
        #expect(found == [0, 0, 0, nil, nil, 700])
    }

    @Test("What was booked for each adds up to the whole")
    func continued() {
        #expect(record([(200, "cut", 300), (200, nil, 450)], cost: 750) == [300, 450])
    }

    @Test("Where less was booked than was used, the last ones have less")
    func capped() {
        #expect(record([(200, "cut", 300), (200, nil, 450)], cost: 500) == [300, 200])
        #expect(record([(200, "cut", 300), (500, "server_error", nil), (200, nil, 450)], cost: 100) == [100, 0, 0])
        #expect(record([(200, "cut", 300)], cost: 0) == [0])
    }

    @Test("Without a price nothing is known of those that used anything")
    func unpriced() {
        #expect(record([(503, "overloaded", nil), (200, nil, nil)], cost: nil) == [0, nil])
    }

    @Test("The last attempt is the one that is noted")
    func noted() {
        var record = CallMetersTests.record()
        record.noteCost(NanoDollars(5))
        #expect(record.attemptCosts == [NanoDollars(5)])
        record.attempts = []
        record.noteCost(NanoDollars(5))
        #expect(record.attemptCosts.isEmpty)
    }
}
