import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("The audit log")
struct AuditServiceTests {
    private static let ada = Principal(keyID: "key_ada", name: "ada", role: .admin)

    private static func with(
        _ engine: TestEngine, rows: Int, _ body: (AuditService, any Storage) async throws -> Void
    ) async throws {
        let audit = AuditService(world: .test())
        try await withStorage(engine, migrations: AuditSchema.migrations) { storage in
            try await storage.write { transaction in
                for index in 0..<rows {
                    try audit.record(
                        "key.created", by: ada, target: "key_\(index)",
                        detail: ["role": "viewer", "n": .int(Int64(index))],
                        in: transaction)
                }
            }
            try await body(audit, storage)
        }
    }

    @Test("an empty chain is whole", arguments: TestEngine.available)
    func empty(_ engine: TestEngine) async throws {
        try await Self.with(engine, rows: 0) { audit, storage in
            let report = try await audit.verify(storage)
            #expect(report == AuditReport(isValid: true, rows: 0, brokenAt: nil, head: AuditEntry.genesis))
        }
    }

    @Test("rows are numbered without a gap, each naming the one before", arguments: TestEngine.available)
    func chain(_ engine: TestEngine) async throws {
        // More rows than one step of the walk takes.
        try await Self.with(engine, rows: 1_050) { audit, storage in
            let entries = try await storage.read { try audit.list(after: 0, limit: 2_000, in: $0) }
            #expect(entries.map(\.number) == Array(1...1_050))
            #expect(zip(entries, entries.dropFirst()).allSatisfy { $0.hash == $1.previous })
            #expect(entries.first?.previous == AuditEntry.genesis)
            #expect(entries.first?.actor == "admin:ada")
            let report = try await audit.verify(storage)
            #expect(report == AuditReport(isValid: true, rows: 1_050, brokenAt: nil, head: entries.last?.hash ?? ""))
            let latest = try await storage.read { try audit.latest(before: 1_050, limit: 2, in: $0) }
            #expect(latest.map(\.number) == [1_049, 1_048])
        }
    }

    @Test(
        "a row that was changed, removed or put in shows", arguments: TestEngine.available,
        [
            "UPDATE audit SET actor = 'admin:eve' WHERE number = 3", "UPDATE audit SET detail = '{}' WHERE number = 3",
            "UPDATE audit SET at = at + 1 WHERE number = 3", "DELETE FROM audit WHERE number = 3",
            "UPDATE audit SET hash = previous WHERE number = 3",
            "UPDATE audit SET number = number + 1 WHERE number = 5 AND 1 = 1",
        ])
    func tampering(_ engine: TestEngine, _ statement: String) async throws {
        try await Self.with(engine, rows: 5) { audit, storage in
            try await storage.write { _ = try $0.run(SQLText(stringLiteral: statement)) }
            let report = try await audit.verify(storage)
            #expect(!report.isValid)
            #expect(report.brokenAt == (statement.contains("number = 3") ? 3 : 5))
            #expect(report.rows == (report.brokenAt ?? 0) - 1)
            #expect(report.json["valid"] == false)
        }
    }

    @Test("a row made to fit breaks the next one")
    func forgery() async throws {
        try await Self.with(.sqlite, rows: 5) { audit, storage in
            try await storage.write { transaction in
                let entries = try audit.list(after: 0, limit: 5, in: transaction)
                let old = entries[2]
                let forged = AuditEntry(
                    number: old.number, at: old.at, action: old.action, actor: "admin:eve", keyID: old.keyID,
                    target: old.target, detail: old.detail, previous: old.previous)
                try transaction.run(
                    "UPDATE audit SET actor = \(forged.actor), hash = \(forged.hash) WHERE number = \(forged.number)")
            }
            #expect(try await audit.verify(storage).brokenAt == 4)
        }
    }

    @Test("an act that is not kept leaves no row", arguments: TestEngine.available)
    func undone(_ engine: TestEngine) async throws {
        try await Self.with(engine, rows: 1) { audit, storage in
            await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try audit.record("key.created", by: Self.ada, target: "key_x", in: transaction)
                    throw Problem(.conflict, "undone")
                }
            }
            let report = try await audit.verify(storage)
            #expect(report.rows == 1)
        }
    }
}
