import TestSupport
import Testing

@testable import Kernel

/// The steps of the schema: each applied once, never edited, never older than the store.
struct MigratorTests {
    private static let first = Migration("0001_a", ["CREATE TABLE a (x INTEGER NOT NULL) STRICT"])
    private static let second = Migration(
        "0002_b", ["CREATE TABLE b (x TEXT NOT NULL) STRICT", "INSERT INTO a (x) VALUES (1)"])

    private static func open(
        _ location: StorageLocation, _ migrations: [Migration], world: World = .test()
    ) async throws -> [String] {
        let storage = try StorageOpener.open(location, migrations: migrations, world: world, limits: TestStorage.limits)
        let steps = try await storage.read { transaction in
            try transaction.rows("SELECT id FROM schema_migrations ORDER BY id").map { $0.text("id") }
        }
        await storage.close()
        return steps
    }

    @Test(arguments: TestEngine.available)
    func appliesEachStepOnceAndInOrder(_ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            #expect(try await Self.open(location, [Self.first]) == ["0001_a"])
            #expect(try await Self.open(location, [Self.second, Self.first]) == ["0001_a", "0002_b"])
            #expect(try await Self.open(location, [Self.first, Self.second]) == ["0001_a", "0002_b"])
            let storage = try StorageOpener.open(
                location, migrations: [Self.first, Self.second], world: .test(), limits: TestStorage.limits)
            #expect(try await storage.read { try $0.rows("SELECT x FROM a").count } == 1)
            await storage.close()
        }
    }

    @Test(arguments: TestEngine.available)
    func refusesAStepThatWasEdited(_ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            _ = try await Self.open(location, [Self.first])
            let edited = Migration("0001_a", ["CREATE TABLE a (x INTEGER NOT NULL, y INTEGER) STRICT"])
            let problem = await #expect(throws: Problem.self) {
                _ = try await Self.open(location, [edited, Self.second])
            }
            #expect(problem?.code == .conflict)
            #expect(problem?.detail.contains("0001_a") == true)
            #expect(try await Self.open(location, [Self.first]) == ["0001_a"])
        }
    }

    @Test(arguments: TestEngine.available)
    func refusesAStoreOfANewerProgram(_ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            _ = try await Self.open(location, [Self.first, Self.second])
            let problem = await #expect(throws: Problem.self) { _ = try await Self.open(location, [Self.first]) }
            #expect(problem?.code == .conflict)
            #expect(problem?.detail.contains("0002_b") == true)
        }
    }

    @Test(arguments: TestEngine.available)
    func aStepThatFailsLeavesNothingOfItself(_ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            let broken = Migration(
                "0002_b", ["CREATE TABLE b (x TEXT NOT NULL) STRICT", "INSERT INTO nowhere (x) VALUES (1)"])
            await #expect(throws: Problem.self) { _ = try await Self.open(location, [Self.first, broken]) }
            let steps = try await Self.open(location, [Self.first, Self.second])
            #expect(steps == ["0001_a", "0002_b"])
        }
    }

    @Test(arguments: TestEngine.available)
    func openersAtOneMomentApplyOnce(_ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 { group.addTask { try await Self.open(location, [Self.first, Self.second]) } }
                for try await steps in group { #expect(steps == ["0001_a", "0002_b"]) }
            }
            let storage = try StorageOpener.open(
                location, migrations: [Self.first, Self.second], world: .test(), limits: TestStorage.limits)
            #expect(try await storage.read { try $0.rows("SELECT x FROM a").count } == 1)
            await storage.close()
        }
    }

    @Test func aChecksumTellsStepsApart() {
        #expect(Self.first.checksum.count == 64)
        #expect(Self.first.checksum == Migration("another", Self.first.statements).checksum)
        #expect(Self.first.checksum != Self.second.checksum)
    }
}
