import Kernel
import TestSupport

@testable import Control

/// The keys over a database of their own, and the time that they see.
struct AccessFixture: Sendable {
    let storage: any Storage
    let access: AccessService
    let time: ManualTime
    let world: World

    static func with(_ engine: TestEngine, _ body: (AccessFixture) async throws -> Void) async throws {
        let time = ManualTime()
        let world = World.test(time: time)
        let migrations = AccessSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations, world: world) { storage in
            let access = AccessService(
                storage: storage, audit: AuditService(world: world), events: Events(world: world), world: world,
                limits: Limits())
            try await body(AccessFixture(storage: storage, access: access, time: time, world: world))
        }
    }

    func issue(_ role: Role, _ name: String = "somebody") async throws -> IssuedKey {
        try await storage.write { try access.issue(role: role, name: name, agent: nil, by: .system, in: $0) }
    }
}
