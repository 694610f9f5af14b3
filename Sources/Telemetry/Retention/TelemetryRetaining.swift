import Kernel

extension TelemetryIngest {
    /// Deletes the records that are older than they are kept, and says how many parts of the store those were. What
    /// `marks` names is kept for longer; see ``RetentionKeeper``.
    @discardableResult
    public func forget(
        _ retention: TelemetryRetention, _ marks: RetentionEvidence = RetentionEvidence()
    ) async throws -> Int {
        try await store.forget(retention, marks, now: now) { try await self.settle() }
    }

    /// Traces that were not kept for their error since the start, as kept traces had as much room as they may have; see
    /// ``UnkeptTraces``.
    public var unkeptTraces: Int { store.unkeptTraces }

    /// How long the last drop of a day held up whoever sends and looks; `nil` where there was none since the start.
    var lastDrop: Duration? { store.lastDrop }

    /// Names a subject in what is kept about its erasure.
    public func digest(_ subject: String) -> String { store.digest(subject) }

    /// Finds a subject's records, and removes them where the order says so: from all files, from what waits for them,
    /// from what goes on to Kafka, and from what is known in memory. Ingest is held up for a block at a time.
    ///
    /// - Parameters:
    ///   - others: Places that this knows nothing of.
    ///   - tell: Hears how far it is; where it answers `false` the work ends, and what is done is done.
    public func erase(
        _ order: ErasureOrder, also others: [any SubjectKeeper] = [],
        tell: @escaping @Sendable (ErasureReport) -> Bool = { _ in true }
    ) async throws -> ErasureReport {
        let keepers: [any SubjectKeeper] = [live, bindings, streams] + (kafka.map { [$0] } ?? []) + others
        // What waits goes to the store, and may say that a span runs.
        try await settleWhole()
        var counts: [SubjectCount] = []
        for keeper in keepers { counts.append(try await keeper.erase(order)) }
        // The files of what runs, and of bindings.
        try await settleWhole()
        var report = try await store.erase(order, tell: tell)
        for (keeper, count) in zip(keepers, counts) {
            var file = ErasureReport.File(name: keeper.keeperName, found: count.found, held: count.held)
            report.holds.formUnion(count.holds)
            if !order.isDryRun {
                file.removed = count.left
                try await prove(keeper, order, &file)
            }
            report.placesSearched.append(file.name)
            if file.found > 0 { report.files.append(file) }
        }
        if !order.isDryRun { try await settle() }
        return report
    }

    /// A second search, which finds nothing but what is held; what came in since goes as well.
    private func prove(
        _ keeper: any SubjectKeeper, _ order: ErasureOrder, _ file: inout ErasureReport.File
    ) async throws {
        let look = ErasureOrder(order.subject, isDryRun: true, holds: order.holds)
        for round in 1...SubjectErasure.roundsMax {
            let left = try await keeper.erase(look).left
            file.remaining = left
            if left == 0 || round == SubjectErasure.roundsMax { return }
            let again = try await keeper.erase(order)
            file.found += again.left
            file.removed += again.left
        }
    }
}
