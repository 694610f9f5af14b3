import Kernel

/// What tasks need done by the clock.
public struct TaskLoops: Sendable {
    let service: TaskService
    let storage: any Storage
    let blobs: any Blobs
    /// The other owner of contents.
    let otherContents: any BlobUse
    let sweepEvery: Span

    public init(
        service: TaskService, storage: any Storage, blobs: any Blobs, otherContents: any BlobUse, sweepEvery: Span
    ) {
        self.service = service
        self.storage = storage
        self.blobs = blobs
        self.otherContents = otherContents
        self.sweepEvery = sweepEvery
    }

    public var loops: [Loop] {
        [
            Loop("tasks.sweep", every: sweepEvery) {
                // While a whole portion was due there may be more; every portion is a commit of its own.
                while try await sweepOnce() == TaskService.sweepMax {}
            },
            Loop("tasks.retention", every: .minutes(10)) {
                while try await storage.write({ try service.purge(in: $0) }) == TaskService.sweepMax {}
                while try await storage.write({ try service.removeContents(blobs, others: otherContents, in: $0) })
                    == TaskService.sweepMax
                {}
            },
        ]
    }

    /// Looks before it writes, so that an idle fleet costs no commits.
    private func sweepOnce() async throws -> Int {
        if !service.hasRevisedLeases.isSet {
            try await storage.write { try service.reviseLeases(in: $0) }
            service.hasRevisedLeases.set()
        }
        guard try await storage.read({ try service.hasDue(in: $0) }) else { return 0 }
        return try await storage.write { try service.sweep(in: $0) }
    }
}

extension TaskService {
    /// The grace counts from this start alone: an earlier one, by a clock that was ahead, may have put a lease's end
    /// off for longer.
    func reviseLeases(in transaction: Transaction) throws { try store.wakePostponed(in: transaction) }

    func hasDue(in transaction: Transaction) throws -> Bool { try store.hasDue(at: world.now, in: transaction) }
}
