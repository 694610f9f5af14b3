import Kernel
import TestSupport
import Testing

@testable import Control

/// What is written down of outages.
@Suite("Outages of models are kept")
struct ModelOutageTests {
    private static let began = Timestamp(microseconds: 1_795_161_600_000_000)

    private func on(
        _ engine: TestEngine, _ body: (any Storage, ModelOutageService, ModelOutageService) async throws -> Void
    ) async throws {
        try await withStorage(engine, migrations: EventSchema.migrations + ModelOutageSchema.migrations) { storage in
            let events = Events(world: .test())
            try await body(
                storage, ModelOutageService(events: events, replica: "one"),
                ModelOutageService(events: events, replica: "two"))
        }
    }

    @Test("What began and has not ended is found again, by its replica alone", arguments: TestEngine.available)
    func open(_ engine: TestEngine) async throws {
        try await on(engine) { storage, one, two in
            let small = ModelOutageChange(model: "small", began: true, at: Self.began, targets: ["main/x"])
            let large = ModelOutageChange(model: "large", began: true, at: Self.began + .seconds(5))
            try await storage.write { try one.keep([small, large], in: $0) }
            // Told twice, as after a commit whose outcome was not known.
            try await storage.write { try one.keep([small], in: $0) }
            let found = try await storage.read { try one.open(in: $0) }
            #expect(found.map(\.model) == ["large", "small"])
            #expect(found.map(\.since) == [Self.began + .seconds(5), Self.began])
            #expect(try await storage.read { try two.open(in: $0) }.isEmpty)

            let ended = ModelOutageChange(
                model: "small", began: false, at: Self.began + .milliseconds(1_500), since: Self.began)
            try await storage.write { try two.keep([ended], in: $0) }
            #expect(try await storage.read { try one.open(in: $0) }.count == 2)
            try await storage.write { try one.keep([ended], in: $0) }
            #expect(try await storage.read { try one.open(in: $0) }.map(\.model) == ["large"])
        }
    }

    @Test("Both ends are events", arguments: TestEngine.available)
    func events(_ engine: TestEngine) async throws {
        try await on(engine) { storage, one, _ in
            let changes = [
                ModelOutageChange(model: "small", began: true, at: Self.began, targets: ["main/x", "backup/y"]),
                ModelOutageChange(
                    model: "small", began: false, at: Self.began + .milliseconds(1_500), since: Self.began),
            ]
            try await storage.write { try one.keep(changes, in: $0) }
            let events = try await storage.read { try EventStore().list(after: 0, limit: 10, in: $0) }
            #expect(events.map(\.type) == ["model.outage.began", "model.outage.ended"])
            let since = Self.began.json
            #expect(
                events.map(\.data) == [
                    ["model": "small", "since": since, "targets": ["main/x", "backup/y"]],
                    ["model": "small", "since": since, "seconds": 1.5],
                ])
        }
    }
}
