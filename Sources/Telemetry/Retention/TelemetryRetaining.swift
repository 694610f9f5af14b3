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

    /// Traces that were not kept for their error since the start, as kept traces had as much room as they may have.
    public var unkeptTraces: Int { store.unkeptTraces }

    /// Names a subject in what is kept about its erasure.
    public func digest(_ subject: String) -> String { store.digest(subject) }

    /// Finds a subject's records, and removes them where the order says so: from all files, from what waits for them,
    /// and from the spans that run. Ingest is held up for a block at a time.
    ///
    /// - Parameter tell: Hears how far it is; where it answers `false` the work ends, and what is done is done.
    public func erase(
        _ order: ErasureOrder, tell: @escaping @Sendable (ErasureReport) -> Bool = { _ in true }
    ) async throws -> ErasureReport {
        // What waits may say that a span runs.
        try await settle()
        var running = eraseLive(order)
        try await settle()
        var report = try await store.erase(order, tell: tell)
        if !order.isDryRun {
            let left = eraseLive(ErasureOrder(order.subject, isDryRun: true, holds: []))
            running.remaining = left.found - running.held
        }
        if running.found > 0 { report.files.append(running) }
        return report
    }

    private func eraseLive(_ order: ErasureOrder) -> ErasureReport.File {
        var file = ErasureReport.File(name: "live")
        let removed = live.erase(isDryRun: order.isDryRun) { span in
            guard let places = try? order.subject.places(in: .span(span)), !places.isEmpty else { return false }
            file.found += 1
            let isHeld = order.holds.contains { (try? $0.holds(.span(span))) != false }
            file.held += isHeld ? 1 : 0
            return !isHeld
        }
        file.removed = order.isDryRun ? 0 : removed
        return file
    }
}
