import Kernel

/// What is kept for longer in the archive's files, and what is erased from them.
extension ArchiveStore {
    func forget(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, now: Timestamp,
        settle: @Sendable () async throws -> Void
    ) async throws -> Int {
        let over = try await Self.on(keeper) { try self.carry(settings, marks, now: now) }
        guard !over.isEmpty else { return 0 }
        // What the spool has of them would come again.
        try await settle()
        return try await Self.on(keeper) {
            var held: [DayFileStore] = []
            try self.change { archive in
                let begun = ContinuousClock.now
                defer { self.dropped.withLock { $0 = ContinuousClock.now - begun } }
                held = self.reading.letGo(of: over) + archive.letGo(of: over)
                archive.drop(over)
            }
            try self.retention.withLock { try $0.forget(over) }
            // To close is what takes long, and to give room back: nobody waits for it any more.
            for file in held { try file.close() }
            return over.count
        }
    }

    /// Carries over what is kept for longer, and says which parts may be dropped. Called on ``keeper``.
    func carry(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, now: Timestamp,
        blocksMax: Int = RetentionKeeper.blocksMax
    ) throws -> [ArchivePart] {
        try retention.withLock { keeper in
            try keeper.work(settings, marks, today: ArchivePart.day(of: now), blocksMax: blocksMax) { body in
                try change(body)
            }
        }
    }

    var lastDrop: Duration? { dropped.withLock { $0 } }

    var unkeptTraces: Int { retention.withLock { $0.unkept.count } }

    func digest(_ text: String) -> String { archive.key.digest(text) }

    func erase(
        _ order: ErasureOrder, tell: @escaping @Sendable (ErasureReport) -> Bool
    ) async throws -> ErasureReport {
        try await Self.on(keeper) {
            // Nothing is put together meanwhile: a block must be where it was when it is come to.
            try self.retention.withLock { keeper in
                var erasure = SubjectErasure(
                    order, reading: self.reading, change: { try self.change($0) }, tell: tell)
                try erasure.run()
                let report = erasure.report
                guard !order.isDryRun else { return report }
                let names = Set(report.files.map(\.name))
                for part in self.reading.allParts() where names.contains(part.fileName) {
                    try keeper.evidence.unsee(part)
                }
                try keeper.evidence.forgetIDs { order.subject.isMet(by: $0) }
                return report
            }
        }
    }

    /// Changes the archive in a step that holds ingest up. Whoever reads goes first: between finding a block and
    /// reading it the blocks stay as they are. Searches take longest: they are waited for
    /// while nobody else is held up.
    private func change(_ body: (Archive) throws -> Void) throws {
        try unread.searcher.withLock { _ in
            try unread.reader.withLock { _ in try worker.sync { try body(archive) } }
        }
    }
}
