import Kernel

/// What flags need done by the clock. Every replica runs these.
public struct FlagLoops: Sendable {
    /// How often a replica looks for what others changed, and for schedules that begin or end.
    static let lookInterval = Span.milliseconds(250)
    /// Rows of one commit.
    static let roundMax = 100

    let service: FlagService

    public init(service: FlagService) {
        self.service = service
    }

    public var loops: [Loop] {
        let (service, storage) = (service, service.storage)
        return [
            Loop("flags.follow", every: Self.lookInterval) {
                // On SQLite this process is the only one that changes anything, and it reads behind each change.
                if storage.dialect == .postgres { try await service.book.refresh() }
                service.book.look()
            },
            Loop("flags.pins", every: .minutes(1)) { try await service.pins.keepUp() },
            Loop("flags.retention", every: .hours(1)) {
                while try await storage.write({ try service.purge(limit: Self.roundMax, in: $0) }) {}
            },
        ]
    }
}
