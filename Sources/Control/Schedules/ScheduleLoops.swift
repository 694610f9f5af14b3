import Kernel

/// What schedules need done by the clock. Every replica runs these; a tick fires in one of them.
public struct ScheduleLoops: Sendable {
    /// Schedules of one round, and old firings of one commit.
    static let roundMax = 100

    let service: ScheduleService
    let storage: any Storage

    public init(service: ScheduleService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public var loops: [Loop] {
        [
            Loop("schedules.ticks", every: .seconds(1)) { _ = try await fireDue() },
            Loop("schedules.retention", every: .hours(1)) {
                while try await storage.write({ try service.purge(limit: Self.roundMax, in: $0) }) == Self.roundMax {}
            },
        ]
    }

    /// Fires what is due, each schedule in a transaction of its own; returns how many tasks were made. Looks before it
    /// writes, so that an idle second costs no commit.
    @discardableResult
    public func fireDue() async throws -> Int {
        var count = 0
        for id in try await storage.read({ try service.due(limit: Self.roundMax, in: $0) }) {
            do {
                count += try await storage.write { try service.fireDue(id, in: $0) }
            } catch let problem as Problem where problem.code.status < 500 {
                // The template's fault, not the store's: what the store could not do is tried again next second.
                try await storage.write { try service.fail(id, problem, in: $0) }
            }
        }
        return count
    }
}
