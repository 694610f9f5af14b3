import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Labels, holds and erasures in the store")
struct RetentionServiceTests {
    private static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)

    private static func trace(_ number: Int) throws -> TraceID {
        try #require(TraceID(String(repeating: "0", count: 30) + String(number + 16, radix: 16)))
    }

    private static func with(
        _ engine: TestEngine, _ body: (RetentionService, any Storage) async throws -> Void
    ) async throws {
        let world = World.test()
        let service = RetentionService(
            events: Events(world: world), audit: AuditService(world: world), world: world
        ) { "digest of \($0.count)" }
        let migrations = RetentionSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { try await body(service, $0) }
    }

    @Test("labels are set once, found by trace and by label, and removed", arguments: TestEngine.available)
    func labels(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage in
            let (one, two) = (try Self.trace(1), try Self.trace(2))
            try await storage.write { transaction in
                for _ in 0..<2 {
                    try service.label(one, "good", correlationID: "order-1", by: Self.ada, in: transaction)
                }
                try service.label(two, "good", correlationID: nil, by: Self.ada, in: transaction)
                try service.label(two, incident: "inc_1", correlationID: nil, in: transaction)
            }
            try await storage.read { transaction in
                #expect(try service.labels(of: [one, two], in: transaction)[one] == ["good"])
                #expect(try service.labels(of: two, in: transaction).map(\.label) == ["good", "incident:inc_1"])
                #expect(try service.labels(of: two, in: transaction).map(\.createdBy) == ["operator:ada", "reeve"])
                #expect(Set(try service.traces(labelled: "good", max: 10, in: transaction)) == [one, two])
                #expect(try service.traces(labelled: "good", max: 1, in: transaction).count == 1)
                let evidence = try service.evidence(in: transaction)
                #expect(evidence.traces == [one, two])
                #expect(evidence.correlations == ["order-1"])
            }
            try await storage.write { transaction in
                for _ in 0..<2 { try service.unlabel(one, "good", by: Self.ada, in: transaction) }
            }
            let rows = try await storage.read { transaction in
                try AuditService(world: .test()).list(after: 0, limit: 10, in: transaction).map(\.action)
            }
            #expect(rows == ["trace.labelled", "trace.labelled", "trace.labelled", "trace.unlabelled"])
            #expect(try await storage.read { try service.evidence(in: $0) }.traces == [two])
        }
    }

    @Test("a trace has so many labels and no more", arguments: TestEngine.available)
    func tooMany(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage in
            let trace = try Self.trace(1)
            try await storage.write { transaction in
                for number in 1...Int(TraceLabel.ofTraceMax) {
                    try service.label(trace, "l\(number)", correlationID: nil, by: Self.ada, in: transaction)
                }
            }
            await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try service.label(trace, "one-more", correlationID: nil, by: Self.ada, in: transaction)
                }
            }
        }
    }

    @Test(
        "what is no label is refused, and the incidents' are Reeve's own",
        arguments: ["", "two words", "a/b", "ä", "incident:7", String(repeating: "x", count: 65)])
    func wrong(_ text: String) async throws {
        try await Self.with(.sqlite) { service, storage in
            let trace = try Self.trace(1)
            await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try service.label(trace, text, correlationID: nil, by: Self.ada, in: transaction)
                }
            }
        }
    }

    @Test("a hold is in force until it is lifted, and stays to be read", arguments: TestEngine.available)
    func holds(_ engine: TestEngine) async throws {
        let targets: [TelemetryHold.Target] = [
            .correlation("order-1"), .trace(try Self.trace(1)), .agent("scribe"), .subject("ada@example.org"),
            .times(5_000..<9_000_000),
        ]
        try await Self.with(engine) { service, storage in
            let placed = try await storage.write { transaction in
                try targets.map { try service.hold($0, reason: "a suit", by: Self.ada, in: transaction) }
            }
            let active = try await storage.read { try service.evidence(in: $0).holds }
            #expect(Set(active.map(\.id)) == Set(placed.map(\.id.text)))
            #expect(targets.allSatisfy { target in active.contains { $0.target == target } })
            for _ in 0..<2 {
                _ = try await storage.write { try service.lift(placed[3].id, by: Self.ada, in: $0) }
            }
            let listed = try await storage.read { try service.holds.list(page: Page(limit: 10), in: $0) }
            #expect(listed.count == 5)
            #expect(listed.first { $0.id == placed[3].id }?.liftedBy == "operator:ada")
            #expect(try await storage.read { try service.evidence(in: $0).holds.count } == 4)
            // Who audits does not learn whom it was on.
            let audit = try await storage.read { transaction in
                try AuditService(world: .test()).list(after: 0, limit: 20, in: transaction)
            }
            #expect(audit.count == 6)
            #expect(!audit.contains { $0.detail.contains("ada@example.org") })
            #expect(audit.contains { $0.detail.contains("digest of 15") })
        }
    }

    @Test("no more holds than there may be are in force", arguments: TestEngine.available)
    func tooManyHolds(_ engine: TestEngine) async throws {
        try await Self.with(engine) { service, storage in
            try await storage.write { transaction in
                for number in 0..<LegalHold.activeMax {
                    _ = try service.hold(.agent("a\(number)"), reason: "", by: Self.ada, in: transaction)
                }
            }
            await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    _ = try service.hold(.agent("one-more"), reason: "", by: Self.ada, in: transaction)
                }
            }
        }
    }

    @Test("an erasure that a start finds running was interrupted", arguments: TestEngine.available)
    func interrupted(_ engine: TestEngine) async throws {
        let (store, world) = (ErasureStore(), World.test())
        try await Self.with(engine) { _, storage in
            let erasures = ["mine", "another's", "mine"].map { replica in
                Erasure(
                    id: Identifier(world), replica: replica, digest: "d", reason: nil, isDryRun: false,
                    isAnywhere: true, createdAt: world.now, createdBy: "admin:ada")
            }
            try await storage.write { transaction in
                for erasure in erasures { try store.insert(erasure, in: transaction) }
                try store.interrupt(replica: "mine", but: erasures[2].id.text, at: world.now, in: transaction)
            }
            let found = try await storage.read { transaction in
                try erasures.map { try store.erasure($0.id, in: transaction)?.state }
            }
            #expect(found == [.interrupted, .running, .running])
            #expect(try await storage.read { try store.list(page: Page(limit: 1), in: $0) }.count == 2)
        }
    }
}
