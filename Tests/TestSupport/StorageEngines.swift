import CPostgres
import Foundation
import Kernel
import Testing

/// An engine to run a test on: `@Test(arguments: TestEngine.available)`.
public enum TestEngine: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case sqlite
    case postgres

    /// SQLite always; PostgreSQL where `REEVE_TEST_POSTGRES` names a database of a throw-away cluster, as
    /// `script/test` sees to.
    public static var available: [TestEngine] { TestPostgres.url == nil ? [.sqlite] : [.sqlite, .postgres] }

    public var testDescription: String { rawValue }
}

/// Stores for tests, each on a place of its own that is gone afterwards.
public enum TestStorage {
    /// The engines that this run may use: ``TestEngine/available``.
    public static var engines: [TestEngine] { TestEngine.available }

    /// Runs `body` with a new, empty place: a file in a folder of its own, or a database of its own.
    ///
    /// The databases sort by English rules, so that a statement which forgets about code point order is found out. At
    /// most a dozen exist at once: do not nest calls.
    public static func withLocation<Value>(
        _ engine: TestEngine, _ body: (StorageLocation) async throws -> Value
    ) async throws -> Value {
        switch engine {
        case .sqlite:
            try await withFolder { try await body(.sqlite(path: "\($0)/reeve.db")) }
        case .postgres:
            try await TestPostgres.withDatabase { try await body(.postgres(url: $0)) }
        }
    }

    /// Runs `body` with a new folder, whose path it gets.
    public static func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        let path = NSTemporaryDirectory() + "reeve-test-" + Hexadecimal.encode(SystemEntropy().bytes(8))
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        do {
            let value = try await body(path)
            try FileManager.default.removeItem(atPath: path)
            return value
        } catch {
            try? FileManager.default.removeItem(atPath: path)
            throw error
        }
    }

    /// Bounds for tests: two readers, so that many stores fit on one machine.
    public static var limits: StorageLimits {
        var limits = StorageLimits()
        limits.readers = 2
        return limits
    }
}

/// Runs `body` with a new store that has these tables, and closes it.
///
///     @Test(arguments: TestEngine.available)
///     func keepsWhatItIsGiven(_ engine: TestEngine) async throws {
///         try await withStorage(engine, migrations: TaskSchema.migrations) { storage in … }
///     }
public func withStorage<Value>(
    _ engine: TestEngine, migrations: [Migration], world: World = .test(), limits: StorageLimits = TestStorage.limits,
    _ body: (any Storage) async throws -> Value
) async throws -> Value {
    try await TestStorage.withLocation(engine) { location in
        let storage = try StorageOpener.open(location, migrations: migrations, world: world, limits: limits)
        do {
            let value = try await body(storage)
            await storage.close()
            return value
        } catch {
            await storage.close()
            throw error
        }
    }
}

/// The throw-away cluster of this run.
public enum TestPostgres {
    /// `REEVE_TEST_POSTGRES`: a superuser's address; `nil` where the run goes without PostgreSQL.
    public static var url: String? {
        ProcessInfo.processInfo.environment["REEVE_TEST_POSTGRES"].flatMap { $0.isEmpty ? nil : $0 }
    }

    private static let databases = TestDatabases(countMax: 12)

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs `body` with the address of an empty database that is its own for so long.
    static func withDatabase<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        guard let url, let address = URLComponents(string: url) else {
            throw Failure(description: "REEVE_TEST_POSTGRES holds no postgres:// address")
        }
        let name = try await databases.take(admin: url)
        var own = address
        own.path = "/" + name
        let ownURL = own.string ?? url
        do {
            let value = try await body(ownURL)
            try empty(name, ownURL, admin: url)
            await databases.giveBack(name)
            return value
        } catch {
            // In a state that nobody knows: a new one takes its place.
            _ = try? run("DROP DATABASE IF EXISTS \(name) WITH (FORCE)", on: url)
            await databases.giveBack(nil)
            throw error
        }
    }

    /// Making a database takes ten times as long as emptying one.
    private static func empty(_ name: String, _ url: String, admin: String) throws {
        try run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)';
            ALTER DATABASE \(name) RESET ALL;
            """, on: admin)
        try run("DROP SCHEMA public CASCADE; CREATE SCHEMA public", on: url)
    }

    /// Runs statements from outside the store, on a connection of their own; returns the first column of the result.
    @discardableResult
    public static func run(_ statements: String, on url: String) throws -> [String] {
        let connection = PQconnectdb(url)
        defer { PQfinish(connection) }
        PQsetNoticeProcessor(connection, { _, _ in }, nil)
        let result = PQexec(connection, statements)
        defer { PQclear(result) }
        let status = PQresultStatus(result)
        guard status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK else {
            throw Failure(description: PQerrorMessage(connection).map { String(cString: $0) } ?? "no connection")
        }
        return (0..<PQntuples(result)).map { PQgetvalue(result, $0, 0).map { String(cString: $0) } ?? "" }
    }
}

/// The databases of this run: so many at most, the others wait their turn. They end with the throw-away cluster.
private actor TestDatabases {
    private var places: Int
    private var idle: [String] = []
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(countMax: Int) {
        places = countMax
    }

    /// An empty database of nobody's.
    func take(admin: String) async throws -> String {
        if places > 0 {
            places -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
        if let name = idle.popLast() { return name }
        let name = "reeve_test_" + Hexadecimal.encode(SystemEntropy().bytes(8))
        do {
            try TestPostgres.run(
                """
                CREATE DATABASE \(name) TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'
                LOCALE_PROVIDER icu ICU_LOCALE 'en-US'
                """, on: admin)
        } catch {
            giveBack(nil)
            throw error
        }
        return name
    }

    /// Takes an emptied database back, or only its place.
    func giveBack(_ name: String?) {
        if let name { idle.append(name) }
        if waiting.isEmpty { places += 1 } else { waiting.removeFirst().resume() }
    }
}
