import Kernel

/// What calls need done by the clock. Every replica runs it; what one forgets is gone for the others.
public struct CallLoops: Sendable {
    /// Commits of one round: half a million calls, and the next round goes on.
    static let commitsMax = 1_000

    let service: CallService
    let storage: any Storage

    public init(service: CallService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public var loops: [Loop] { [Loop("calls.retention", every: .minutes(10)) { try await forget() }] }

    /// Forgets what is old, in commits that share with others.
    func forget() async throws {
        for _ in 0..<Self.commitsMax {
            guard try await storage.write(.soon, { try service.purge(in: $0) }) == CallService.purgeMax else { break }
        }
        for _ in 0..<Self.commitsMax {
            guard try await storage.write(.soon, { try service.purgeCallers(in: $0) }) == CallService.purgeMax else {
                return
            }
        }
    }
}
