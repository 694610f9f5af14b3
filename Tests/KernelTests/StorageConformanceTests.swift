import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Kernel

/// What every engine keeps to, run on each.
struct StorageConformanceTests {
    static let migrations = [
        Migration(
            "0001_items",
            [
                """
                CREATE TABLE items (
                  name TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL CHECK (count >= 0), note TEXT, size REAL,
                  bytes BLOB, at INTEGER) STRICT
                """,
                "CREATE INDEX items_note ON items (note) WHERE note IS NOT NULL",
            ])
    ]

    @Test(arguments: TestEngine.available)
    func keepsEveryValueAsItIs(_ engine: TestEngine) async throws {
        let values: [SQLValue] = [
            .null, .integer(0), .integer(-1), .integer(.max), .integer(.min), .real(0.1), .real(-1e300),
            .real(.leastNonzeroMagnitude),
            .real(.infinity), .text(""), .text("plain"), .text("a ? ' \" \\ $1 %s ; -- \n\t"),
            .text("Ünï¢ödé 🦉 \u{10FFFF} e\u{301}"), .blob([]), .blob(Array(0...255)),
        ]
        try await withStorage(engine, migrations: Self.migrations) { storage in
            for (index, value) in values.enumerated() {
                let isInteger = if case .integer = value { true } else { false }
                let isReal = if case .real = value { true } else { false }
                let isText = if case .text = value { true } else { false }
                let isBlob = if case .blob = value { true } else { false }
                try await storage.write { transaction in
                    try transaction.run(
                        """
                        INSERT INTO items (name, count, at, size, note, bytes)
                        VALUES (\("item \(index)"), 1, \(isInteger ? value : .null), \(isReal ? value : .null),
                          \(isText ? value : .null), \(isBlob ? value : .null))
                        """)
                }
                let row = try await storage.read { transaction in
                    try transaction.first("SELECT at, size, note, bytes FROM items WHERE name = \("item \(index)")")
                }
                let found = try #require(row)
                #expect(found["at"] == (isInteger ? value : .null))
                #expect(found["size"] == (isReal ? value : .null))
                #expect(found["bytes"] == (isBlob ? value : .null))
                // Byte for byte: equal strings of Swift may differ in their composition.
                #expect(found.optionalText("note").map { Array($0.utf8) } == text(value).map { Array($0.utf8) })
            }
        }
    }

    private func text(_ value: SQLValue) -> String? { if case .text(let text) = value { text } else { nil } }

    @Test(arguments: TestEngine.available)
    func takesParametersWhereverTheyStand(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            try await storage.write { transaction in
                let absent: Int64? = nil
                let row = try transaction.first(
                    """
                    SELECT \(7) AS integer_value, \("text") AS text_value, \(2.5) AS real_value,
                      \(absent) AS null_value, \(true) AS bool_value,
                      CASE WHEN \(absent) IS NULL THEN 1 ELSE 0 END AS absent_is_null,
                      COALESCE(\(absent), \(Int64.max)) AS big, '?' AS question, CAST(NULL AS INTEGER) AS nothing_cast
                    """)
                let found = try #require(row)
                #expect(found.int("integer_value") == 7)
                #expect(found.text("text_value") == "text")
                #expect(found.real("real_value") == 2.5)
                #expect(found["null_value"] == .null)
                #expect(found.bool("bool_value"))
                #expect(found.bool("absent_is_null"))
                #expect(found.int("big") == .max)
                #expect(found.text("question") == "?")
                #expect(found.optionalInt("nothing_cast") == nil)
                // The same text with other types of values, as the driver keeps a statement for each.
                for note in ["a", nil, "b"] as [String?] {
                    try transaction.run(
                        """
                        INSERT INTO items (name, count, note) VALUES ('one', \(1), \(note))
                        ON CONFLICT (name) DO UPDATE SET note = excluded.note
                        """)
                    let kept = try transaction.first("SELECT note FROM items WHERE name = \("one")")
                    #expect(kept?.optionalText("note") == note)
                }
                #expect(try transaction.rows("SELECT name FROM items WHERE name IN \(list: ["one", "two"])").count == 1)
                #expect(try transaction.rows("SELECT name FROM items WHERE name IN \(list: [String]())").isEmpty)
                #expect(try transaction.rows("SELECT name FROM items LIMIT \(0)").isEmpty)
            }
        }
    }

    @Test(arguments: TestEngine.available)
    func countsAndSumsReadAsIntegers(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let row = try await storage.write { transaction in
                for (name, count) in [("a", 1), ("b", 2), ("c", 40_000)] {
                    try transaction.run("INSERT INTO items (name, count) VALUES (\(name), \(count))")
                }
                return try transaction.first(
                    """
                    SELECT COUNT(*) AS rows, CAST(SUM(count) AS BIGINT) AS total, SUM(count) AS plain,
                      MAX(count) AS largest, AVG(count) AS mean, COUNT(*) FILTER (WHERE count > 1) AS some FROM items
                    """)
            }
            let found = try #require(row)
            #expect(found.int("rows") == 3)
            #expect(found.int("total") == 40_003)
            #expect(found.int("plain") == 40_003)
            #expect(found.int("largest") == 40_000)
            #expect(abs(found.real("mean") - 40_003.0 / 3) < 1e-9)
            #expect(found.int("some") == 2)
        }
    }

    @Test(arguments: TestEngine.available)
    func tellsHowManyRowsChangedAndReturnsThem(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            try await storage.write { transaction in
                let none = try transaction.run("UPDATE items SET count = 1")
                #expect(none == 0)
                let added = try transaction.run("INSERT INTO items (name, count) VALUES ('a', 1), ('b', 2), ('c', 3)")
                #expect(added == 3)
                let again = try transaction.run(
                    "INSERT INTO items (name, count) VALUES ('a', 9) ON CONFLICT (name) DO NOTHING")
                #expect(again == 0)
                let rows = try transaction.rows(
                    "UPDATE items SET count = count + \(10) WHERE count >= \(2) RETURNING name, count")
                #expect(Set(rows.map { "\($0.text("name"))\($0.int("count"))" }) == ["b12", "c13"])
                let deleted = try transaction.run("DELETE FROM items WHERE name > \("a")")
                #expect(deleted == 2)
            }
        }
    }

    @Test(arguments: TestEngine.available)
    func sortsByCodePoint(_ engine: TestEngine) async throws {
        let names = ["b", "B", "a", "Z", "_", "ä", "10", "9", "a b", "ab", "\u{FF5E}", "🦉", ""]
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let sorted = try await storage.write { transaction in
                for name in names { try transaction.run("INSERT INTO items (name, count) VALUES (\(name), 0)") }
                return try transaction.rows("SELECT name FROM items ORDER BY name").map { $0.text("name") }
            }
            #expect(sorted == names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) })
            let range = try await storage.read { transaction in
                try transaction.rows("SELECT name FROM items WHERE name >= \("a") AND name < \("b") ORDER BY name DESC")
                    .map { $0.text("name") }
            }
            #expect(range == ["ab", "a b", "a"])
        }
    }

    @Test(
        arguments: TestEngine.available,
        [
            "INSERT INTO items (name, count) VALUES ('x', -1)", "INSERT INTO items (name, count) VALUES ('there', 1)",
            "INSERT INTO items (name) VALUES ('x')", "INSERT INTO items (name, count) VALUES ('x', \("many"))",
        ] as [SQLText])
    func aRefusedChangeIsAConstraintFault(_ engine: TestEngine, _ sql: SQLText) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES ('there', 1)") }
            let problem = await #expect(throws: Problem.self) { try await storage.write { try $0.run(sql) } }
            #expect(problem?.code == .internalError)
            #expect(problem?.code.status == 500)
            guard case .constraint? = problem?.cause as? StorageFault else {
                Issue.record("\(String(describing: problem?.cause)) is no constraint fault")
                return
            }
            #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == 1)
        }
    }

    @Test(arguments: TestEngine.available)
    func aBodyThatThrowsLeavesNoTrace(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let problem = await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES ('a', 1)")
                    throw Problem(.conflict, "No.")
                }
            }
            #expect(problem?.code == .conflict)
            let count = try await storage.read { try $0.rows("SELECT name FROM items").count }
            #expect(count == 0)
        }
    }

    /// PostgreSQL gives up a transaction in which a statement failed; SQLite would go on. Here both give it up.
    @Test(arguments: TestEngine.available)
    func aCaughtFaultFailsTheChangeAllTheSame(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let problem = await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES ('a', 1)")
                    _ = try? transaction.run("INSERT INTO items (name, count) VALUES ('a', 2)")
                }
            }
            #expect(problem?.code == .internalError)
            let count = try await storage.read { try $0.rows("SELECT name FROM items").count }
            #expect(count == 0)
        }
    }

    @Test(arguments: TestEngine.available)
    func aReaderCannotWrite(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            await #expect(throws: Problem.self) {
                try await storage.read { try $0.run("INSERT INTO items (name, count) VALUES ('a', 1)") }
            }
            let count = try await storage.read { try $0.rows("SELECT name FROM items").count }
            #expect(count == 0)
        }
    }

    @Test(arguments: TestEngine.available)
    func aReadSeesEveryAcknowledgedWrite(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            for count in 1...50 {
                try await storage.write { transaction in
                    try transaction.run(
                        """
                        INSERT INTO items (name, count) VALUES ('a', \(count))
                        ON CONFLICT (name) DO UPDATE SET count = excluded.count
                        """)
                }
                let seen = try await storage.read { try $0.first("SELECT count FROM items")?.int("count") }
                #expect(seen == Int64(count))
            }
        }
    }

    @Test(arguments: TestEngine.available)
    func aReadStaysOnItsSnapshot(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Self.migrations) { storage in
            let (isReading, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            async let counts = storage.read { transaction in
                let before = try transaction.rows("SELECT name FROM items").count
                isReading.signal()
                mayGoOn.wait()
                return (before, try transaction.rows("SELECT name FROM items").count)
            }
            // The writer waits on its own thread, so no thread of the test is held.
            try await storage.write { _ in isReading.wait() }
            try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES ('a', 1)") }
            mayGoOn.signal()
            #expect(try await counts == (0, 0))
            #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == 1)
        }
    }

    @Test(arguments: TestEngine.available)
    func actionsRunOnlyForWhatIsKept(_ engine: TestEngine) async throws {
        let ran = Journal<Int>()
        try await withStorage(engine, migrations: Self.migrations) { storage in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<60 {
                    group.addTask {
                        try? await storage.write { transaction in
                            transaction.afterCommit { ran.add(index) }
                            try transaction.run("INSERT INTO items (name, count) VALUES (\("\(index)"), 1)")
                            if index % 3 == 0 { throw Problem(.conflict, "No.") }
                        }
                    }
                }
                try await group.waitForAll()
            }
            // Whoever has the reply finds the action done.
            #expect(Set(ran.entries) == Set((0..<60).filter { $0 % 3 != 0 }))
            #expect(ran.entries.count == 40)
        }
    }

    @Test(arguments: TestEngine.available)
    func aPartIsUndoneAlone(_ engine: TestEngine) async throws {
        let ran = Journal<String>()
        try await withStorage(engine, migrations: Self.migrations) { storage in
            try await storage.write { transaction in
                for name in ["a", "b", "a", "c", "refused"] {
                    try? transaction.part {
                        transaction.afterCommit { ran.add(name) }
                        try transaction.run("INSERT INTO items (name, count) VALUES (\(name), 1)")
                        if name == "refused" { throw Problem(.conflict, "No.") }
                    }
                }
                // A part whose body swallows its fault fails all the same.
                let swallowed: Void? = try? transaction.part {
                    try transaction.run("INSERT INTO items (name, count) VALUES ('d', 1)")
                    _ = try? transaction.run("INSERT INTO items (name, count) VALUES ('a', 1)")
                }
                #expect(swallowed == nil)
            }
            #expect(ran.entries == ["a", "b", "c"])
            let names = try await storage.read { try $0.rows("SELECT name FROM items ORDER BY name") }
            #expect(names.map { $0.text("name") } == ["a", "b", "c"])
        }
    }
}

/// What happened, in the order it did.
final class Journal<Entry: Sendable>: Sendable {
    private let state = Mutex<[Entry]>([])

    var entries: [Entry] { state.withLock { $0 } }
    func add(_ entry: Entry) { state.withLock { $0.append(entry) } }
}
