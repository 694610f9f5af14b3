import TestSupport
import Testing

@testable import Kernel

/// The same random requests on every engine: each must give the same replies, and leave the same rows.
struct StorageDifferentialTests {
    private struct Refusal: Error {}

    /// One request of several statements; drawn once, run on each engine.
    private struct Step: Sendable {
        enum Verb: CaseIterable { case insert, insertTwice, upsert, add, rename, delete, count, list, fail }
        let verb: Verb
        let name: String
        let other: String
        let number: Int64
        let note: String?
    }

    @Test(.enabled(if: TestPostgres.url != nil), arguments: [1, 2, 3, 4] as [UInt64])
    func enginesAgree(_ seed: UInt64) async throws {
        let entropy = SeededEntropy(seed: seed)
        let names = ["a", "b", "B", "ä", "z", "_", "", "🦉"]
        let steps = (0..<150).map { _ in
            Step(
                verb: entropy.pick(Step.Verb.allCases), name: entropy.pick(names), other: entropy.pick(names),
                number: entropy.pick([-1, 0, 1, 7, .max, .min, 1 << 40]), note: entropy.pick([nil, "", "n", "N", "é"]))
        }
        var outcomes: [[String]] = []
        for engine in TestEngine.available {
            outcomes.append(try await Self.run(steps, on: engine))
        }
        for index in outcomes[0].indices {
            #expect(
                outcomes.allSatisfy { $0[index] == outcomes[0][index] },
                "step \(index) of seed \(seed): \(outcomes.map { $0[index] })")
        }
    }

    private static func run(_ steps: [Step], on engine: TestEngine) async throws -> [String] {
        try await withStorage(engine, migrations: StorageConformanceTests.migrations) { storage in
            var outcomes: [String] = []
            for step in steps {
                do {
                    outcomes.append(try await storage.write { try apply(step, in: $0) })
                } catch is Refusal {
                    outcomes.append("refused")
                } catch let problem as Problem {
                    outcomes.append(problem.code.name)
                }
            }
            let rows = try await storage.read { try $0.rows("SELECT name, count, note FROM items ORDER BY name") }
            return outcomes + [describe(rows)]
        }
    }

    private static func apply(_ step: Step, in transaction: Transaction) throws -> String {
        let insert: SQLText =
            "INSERT INTO items (name, count, note) VALUES (\(step.name), \(step.number), \(step.note))"
        switch step.verb {
        case .insert: return "\(try transaction.run(insert))"
        case .insertTwice:
            try transaction.run(insert + "ON CONFLICT (name) DO NOTHING")
            return "\(try transaction.run(insert))"
        case .upsert:
            let rows = try transaction.rows(
                insert + "ON CONFLICT (name) DO UPDATE SET count = excluded.count RETURNING name, count, note")
            return describe(rows)
        case .add:
            let added = step.number % 10
            return "\(try transaction.run("UPDATE items SET count = count / 2 + \(added) WHERE name >= \(step.name)"))"
        case .rename: return "\(try transaction.run("UPDATE items SET name = \(step.other) WHERE name = \(step.name)"))"
        case .delete:
            let condition: SQLText = "note IS NOT DISTINCT FROM \(step.note) AND count > \(step.number)"
            return "\(try transaction.run("DELETE FROM items WHERE \(sql: condition)"))"
        case .count:
            return describe(
                try transaction.rows(
                    """
                    SELECT note, COUNT(*) AS count, MIN(name) AS name FROM items
                    GROUP BY note ORDER BY note IS NULL, note
                    """))
        case .list:
            return describe(
                try transaction.rows(
                    "SELECT name, count, note FROM items WHERE name > \(step.name) ORDER BY count DESC, name LIMIT 3"))
        case .fail:
            try transaction.run("DELETE FROM items")
            throw Refusal()
        }
    }

    private static func describe(_ rows: [StoredRow]) -> String {
        rows.map { "\($0.text("name"))=\($0.int("count"))/\($0.optionalText("note") ?? "-")" }.joined(separator: " ")
    }
}
