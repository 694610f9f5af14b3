import Kernel

/// What is kept for longer in ClickHouse, and what is erased from it.
extension ClickHouseStore {
    func forget(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, now: Timestamp,
        settle: @Sendable () async throws -> Void
    ) async throws -> Int {
        // While it is away nothing can be dropped; the flush says so.
        guard !rest.isResting else { return 0 }
        return try await turn.run {
            try await makeTables()
            var work = ClickHouseRetention(settings, marks, stores, now: now)
            do { try await work.run(settle: settle) } catch {
                note(unkept: work.unkept)
                throw error
            }
            note(unkept: work.unkept)
            return work.dropped.count
        }
    }

    func erase(
        _ order: ErasureOrder, tell: @escaping @Sendable (ErasureReport) -> Bool
    ) async throws -> ErasureReport {
        try await reading {
            try await turn.run {
                var erasure = ClickHouseErasure(order, stores, digest: digest(order.subject.text), tell: tell)
                try await erasure.run()
                return erasure.report
            }
        }
    }
}
