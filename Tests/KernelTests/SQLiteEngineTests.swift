import Foundation
import TestSupport
import Testing

@testable import Kernel

/// What only SQLite does: its pragmas, its one file.
struct SQLiteEngineTests {
    @Test func theWriterIsFullyDurable() async throws {
        try await TestStorage.withLocation(.sqlite) { location in
            try location.engine.withConnection(.writer) { connection in
                let expected: [String: SQLValue] = [
                    "synchronous": .integer(2), "journal_mode": .text("wal"), "foreign_keys": .integer(1),
                    "trusted_schema": .integer(0), "cell_size_check": .integer(1), "mmap_size": .integer(0),
                ]
                for (name, value) in expected {
                    let row = try connection.rows(SQLText(stringLiteral: "PRAGMA \(name)")).first
                    #expect(row?.values.first == value, "\(name)")
                }
            }
        }
    }

    @Test func theStoreItselfIsFullyDurable() async throws {
        try await withStorage(.sqlite, migrations: []) { storage in
            let level = try await storage.write { try $0.first("PRAGMA synchronous")?.values.first }
            #expect(level == .integer(2))
        }
    }

    @Test func whatWasAcknowledgedIsThereAfterOpeningAgain() async throws {
        try await TestStorage.withLocation(.sqlite) { location in
            for round in 1...3 {
                let storage = try StorageOpener.open(
                    location, migrations: StorageConformanceTests.migrations, world: .test())
                try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES (\("\(round)"), 1)") }
                #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == round)
                await storage.close()
            }
        }
    }

    @Test func aFolderThatIsNotThereIsSaidInWords() {
        let problem = #expect(throws: Problem.self) {
            _ = try StorageOpener.open(.sqlite(path: "/nonexistent/folder/reeve.db"), migrations: [], world: .test())
        }
        #expect(problem?.code == .storageUnavailable)
        #expect(problem?.hint.contains("data directory") == true)
    }

    @Test func aFileThatIsNoDatabaseIsRefused() async throws {
        try await TestStorage.withFolder { folder in
            let path = "\(folder)/reeve.db"
            try Data(repeating: 7, count: 8_192).write(to: URL(fileURLWithPath: path))
            #expect(throws: Problem.self) {
                _ = try StorageOpener.open(.sqlite(path: path), migrations: [], world: .test())
            }
        }
    }
}
