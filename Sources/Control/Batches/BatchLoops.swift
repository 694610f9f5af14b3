import Kernel

/// What batches do by themselves. Every replica runs these.
public struct BatchLoops: Sendable {
    /// Commits of one round of the retention.
    static let commitsMax = 1_000

    let runner: BatchRunner
    /// The other owner of contents.
    let otherContents: any BlobUse

    public init(runner: BatchRunner, otherContents: any BlobUse) {
        self.runner = runner
        self.otherContents = otherContents
    }

    public var loops: [Loop] {
        [
            Loop("batches.run", every: .seconds(1)) { try await runner.run() },
            Loop("batches.lines", every: .seconds(10)) {
                let service = runner.service
                guard try await runner.storage.read({ try service.hasLinesLeft(in: $0) }) else { return }
                try await rounds { try service.purgeLines(in: $0) }
            },
            Loop("batches.retention", every: .minutes(10)) { try await forget() },
        ]
    }

    func forget() async throws {
        let (service, blobs, others) = (runner.service, runner.blobs, otherContents)
        try await rounds { try service.purge(in: $0) }
        try await rounds { try service.removeContents(blobs, others: others, in: $0) }
    }

    /// Commits one after the other, while there may be more to do.
    private func rounds(_ body: @escaping @Sendable (Transaction) throws -> Bool) async throws {
        for _ in 0..<Self.commitsMax {
            guard try await runner.storage.write(.soon, body) else { return }
        }
    }
}
