import CPostgres
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Kernel

/// What only PostgreSQL does: connections that break, statements that take too long, its own types.
@Suite(.enabled(if: TestPostgres.url != nil, "REEVE_TEST_POSTGRES is not set"))
struct PostgresTests {
    private static let migrations = StorageConformanceTests.migrations

    private static func withStore(
        timeouts: PostgresTimeouts = PostgresTimeouts(),
        beforeExecute: (@Sendable (String, any SQLConnection) -> Void)? = nil,
        _ body: (EngineStorage, String) async throws -> Void
    ) async throws {
        try await TestStorage.withLocation(.postgres) { location in
            let opened = try StorageOpener.open(
                location, migrations: migrations, world: .test(), limits: TestStorage.limits)
            await opened.close()
            guard case .postgres(let url) = location else { return }
            let engine = CountingEngine(
                inner: PostgresEngine(url: url, timeouts: timeouts), counts: CommitCounts(),
                beforeExecute: beforeExecute)
            let storage = try EngineStorage(engine, limits: TestStorage.limits)
            do {
                try await body(storage, url)
                await storage.close()
            } catch {
                await storage.close()
                throw error
            }
        }
    }

    private static func killSessions(of url: String) throws {
        let name = URLComponents(string: url)?.path.dropFirst() ?? ""
        let admin = try #require(TestPostgres.url)
        try TestPostgres.run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '\(name)' AND application_name = 'reeve' AND pid <> pg_backend_pid()
            """, on: admin)
    }

    @Test func aBrokenConnectionFailsWhatRanOnItAndNothingElse() async throws {
        let isRunning = DispatchSemaphore(value: 0)
        let admits = DispatchSemaphore(value: 0)
        try await Self.withStore { storage, url in
            let inFlight = Task {
                try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES ('lost', 1)")
                    isRunning.signal()
                    admits.wait()
                    _ = try transaction.rows("SELECT pg_sleep(20)")
                }
            }
            try await storage.read { _ in isRunning.wait() }
            async let waiting: Void = storage.write { transaction in
                try transaction.run("INSERT INTO items (name, count) VALUES ('kept', 1)")
            }
            try await StorageConcurrencyTests.until { storage.waitingCount.writes == 1 }
            try Self.killSessions(of: url)
            admits.signal()
            let problem = await #expect(throws: Problem.self) { try await inFlight.value }
            #expect(problem?.code == .storageUnavailable)
            #expect(problem?.code.status == 503)
            // What waited was not on the broken connection; and idle ones are replaced without anybody's noticing.
            try await waiting
            for _ in 0..<4 {
                let names = try await storage.read { try $0.rows("SELECT name FROM items").map { $0.text("name") } }
                #expect(names == ["kept"])
            }
        }
    }

    @Test func anIdleConnectionThatBrokeIsReplacedUnnoticed() async throws {
        try await Self.withStore { storage, url in
            for round in 0..<3 {
                try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES (\("\(round)"), 1)") }
                try Self.killSessions(of: url)
            }
            #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == 3)
        }
    }

    @Test func aConnectionThatBreaksInCommitLeavesTheOutcomeUnknown() async throws {
        let isArmed = Mutex(false)
        let admin = try #require(TestPostgres.url)
        let breaker: @Sendable (String, any SQLConnection) -> Void = { script, connection in
            guard script == "COMMIT", isArmed.withLock({ $0 }) else { return }
            isArmed.withLock { $0 = false }
            let row = try? connection.rows("SELECT pg_backend_pid() AS pid").first
            _ = try? TestPostgres.run("SELECT pg_terminate_backend(\(row?.int("pid") ?? 0), 5000)", on: admin)
        }
        try await Self.withStore(beforeExecute: breaker) { storage, _ in
            isArmed.withLock { $0 = true }
            let problem = await #expect(throws: Problem.self) {
                try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES ('a', 1)") }
            }
            #expect(problem?.code == .outcomeUnknown)
            #expect(problem?.hint.contains("Idempotency-Key") == true)
            try await storage.write { try $0.run("INSERT INTO items (name, count) VALUES ('b', 1)") }
            #expect(try await storage.read { try $0.first("SELECT name FROM items")?.text("name") } == "b")
        }
    }

    @Test func aStatementThatTakesTooLongIsStopped() async throws {
        var timeouts = PostgresTimeouts()
        timeouts.statement = .milliseconds(100)
        try await Self.withStore(timeouts: timeouts) { storage, _ in
            let problem = await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES ('a', 1)")
                    _ = try transaction.rows("SELECT pg_sleep(20)")
                }
            }
            #expect(problem?.code == .storageUnavailable)
            guard case .timeout? = problem?.cause as? StorageFault else {
                Issue.record("\(String(describing: problem?.cause)) is no timeout")
                return
            }
            let count = try await storage.read { try $0.rows("SELECT name FROM items").count }
            #expect(count == 0)
        }
    }

    @Test func aServerThatStandsStillIsGivenUp() async throws {
        var timeouts = PostgresTimeouts()
        timeouts.answer = .milliseconds(300)
        try await Self.withStore(timeouts: timeouts) { storage, _ in
            let problem = await #expect(throws: Problem.self) {
                try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES ('a', 1)")
                    _ = try transaction.rows("SELECT pg_sleep(2)")
                }
            }
            #expect(problem?.code == .storageUnavailable)
            guard case .connectionLost? = problem?.cause as? StorageFault else {
                Issue.record("\(String(describing: problem?.cause)) is no lost connection")
                return
            }
            let count = try await storage.read { try $0.rows("SELECT name FROM items").count }
            #expect(count == 0)
        }
    }

    @Test func aWriterThatIsLockedOutGivesUpAndSaysSo() async throws {
        var timeouts = PostgresTimeouts()
        timeouts.lock = .milliseconds(50)
        try await Self.withStore(timeouts: timeouts) { storage, url in
            let (isHeld, mayEnd) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let other = try EngineStorage(PostgresEngine(url: url), limits: TestStorage.limits)
            async let holding: Void = other.write { _ in
                isHeld.signal()
                mayEnd.wait()
            }
            try await storage.read { _ in isHeld.wait() }
            let problem = await #expect(throws: Problem.self) { try await storage.write { _ in } }
            #expect(problem?.code == .storageUnavailable)
            mayEnd.signal()
            try await holding
            try await storage.write { _ in }
            await other.close()
        }
    }

    @Test func aServerThatIsAwayIsSaidAtOnceAndFoundAgain() async throws {
        try await TestStorage.withLocation(.postgres) { location in
            guard case .postgres(let url) = location else { return }
            let admin = try #require(TestPostgres.url)
            let name = try #require(URLComponents(string: url)?.path.dropFirst())
            try TestPostgres.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS false", on: admin)
            let storage = try EngineStorage(PostgresEngine(url: url), limits: TestStorage.limits)
            let problem = await #expect(throws: Problem.self) { try await storage.write { _ in } }
            #expect(problem?.code == .storageUnavailable)
            try TestPostgres.run("ALTER DATABASE \(name) ALLOW_CONNECTIONS true", on: admin)
            try await StorageConcurrencyTests.until { (try? await storage.write { _ in }) != nil }
            await storage.close()
        }
    }

    /// Requests that wait for a store that never comes back are answered when it closes.
    @Test func closingAnswersThoseWhoWaitForAStoreThatIsAway() async throws {
        let storage = try EngineStorage(
            PostgresEngine(url: "postgres://nobody@127.0.0.1:1/none"), limits: TestStorage.limits)
        async let outcomes = withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 { group.addTask { (try? await storage.write { _ in }) == nil } }
            return await group.reduce(true) { $0 && $1 }
        }
        await storage.close()
        #expect(await outcomes)
    }

    @Test func readsTheTypesOfPlainQueries() async throws {
        try await Self.withStore { storage, _ in
            let row = try await storage.read { transaction in
                try transaction.first(
                    """
                    SELECT 7::smallint AS small, -7::int AS medium, 7::bigint AS large, true AS yes,
                      1.5::real AS single, 12345678901234567890::numeric AS huge, -40003::numeric AS whole,
                      0.00012345::numeric AS tiny, 0.000000012::numeric AS tiniest, -1234567.5::numeric AS mixed,
                      'NaN'::numeric AS nothing, 10000.0001::numeric AS far, 0::numeric AS zero,
                      'x'::varchar AS varying, current_database() AS name, pg_sleep(0) AS void,
                      '\\x00ff'::bytea AS bytes
                    """)
            }
            let found = try #require(row)
            #expect([found.int("small"), found.int("medium"), found.int("large")] == [7, -7, 7])
            #expect(found.bool("yes"))
            #expect(found["single"] == .real(1.5))
            #expect(found["huge"] == .real(12_345_678_901_234_567_168))
            #expect(found["whole"] == .integer(-40_003))
            #expect(found["tiny"] == .real(0.00012345))
            #expect(found["tiniest"] == .real(0.000000012))
            #expect(found["mixed"] == .real(-1_234_567.5))
            #expect(found.real("nothing").isNaN)
            #expect(found["far"] == .real(10_000.0001))
            #expect(found["zero"] == .integer(0))
            #expect(found.text("varying") == "x")
            #expect(found.text("name").hasPrefix("reeve_test_"))
            #expect(found["void"] == .null)
            #expect(found.blob("bytes") == [0, 255])
            let problem = await #expect(throws: Problem.self) {
                _ = try await storage.read { try $0.rows("SELECT now() AS moment") }
            }
            let words = "\(String(describing: problem?.cause))"
            #expect(words.contains("moment"))
        }
    }

    @Test func keepsABoundedNumberOfStatements() async throws {
        try await TestStorage.withLocation(.postgres) { location in
            try location.engine.withConnection(.writer) { connection in
                let postgres = try #require(connection as? PostgresConnection)
                for index in 0..<PostgresConnection.statementsMax + 20 {
                    let sql = SQLText(stringLiteral: "SELECT \(index) AS number")
                    for _ in 0..<2 { #expect(try postgres.rows(sql).first?.int("number") == Int64(index)) }
                    #expect(postgres.statementCount <= PostgresConnection.statementsMax)
                }
                #expect(postgres.statementCount == 20)
            }
        }
    }

    /// Another replica adds a column: the statements that were prepared before do not fit any more.
    @Test func goesOnWhenATableChangesUnderItsStatements() async throws {
        try await Self.withStore { storage, url in
            for _ in 0..<2 { _ = try await storage.write { try $0.rows("SELECT * FROM items") } }
            for column in ["colour", "shape"] {
                try TestPostgres.run("ALTER TABLE items ADD COLUMN \(column) TEXT", on: url)
                let columns = try await storage.write { transaction in
                    try transaction.run("INSERT INTO items (name, count) VALUES (\(column), 1)")
                    return try transaction.first("SELECT * FROM items")?.columns.names
                }
                #expect(columns?.last == column)
            }
        }
    }

    @Test func aSessionHasTheSettingsThatReeveCountsOn() async throws {
        try await Self.withStore { storage, _ in
            for isWriter in [true, false] {
                let settings: @Sendable (Transaction) throws -> [String: String] = { transaction in
                    let rows = try transaction.rows("SELECT name, setting FROM pg_settings")
                    return Dictionary(
                        uniqueKeysWithValues: rows.map { ($0.text("name"), $0.optionalText("setting") ?? "") })
                }
                let found = isWriter ? try await storage.write(settings) : try await storage.read(settings)
                #expect(found["statement_timeout"] == "30000")
                #expect(found["lock_timeout"] == "10000")
                #expect(found["idle_in_transaction_session_timeout"] == "60000")
                #expect(found["client_min_messages"] == "warning")
                #expect(found["standard_conforming_strings"] == "on")
                #expect(found["synchronous_commit"] == "on")
                #expect(found["application_name"] == "reeve")
                #expect(found["transaction_isolation"] == (isWriter ? "read committed" : "repeatable read"))
                #expect(found["transaction_read_only"] == (isWriter ? "off" : "on"))
            }
        }
    }

    @Test func aServerThatCommitsWithoutWaitingIsToldToWait() async throws {
        try await TestStorage.withLocation(.postgres) { location in
            guard case .postgres(let url) = location else { return }
            let admin = try #require(TestPostgres.url)
            let name = try #require(URLComponents(string: url)?.path.dropFirst())
            try TestPostgres.run("ALTER DATABASE \(name) SET synchronous_commit = off", on: admin)
            try location.engine.withConnection(.writer) { connection in
                let row = try connection.rows("SELECT current_setting('synchronous_commit') AS level").first
                #expect(row?.text("level") == "on")
            }
        }
    }

    @Test func aDatabaseInAnotherEncodingIsRefused() async throws {
        let admin = try #require(TestPostgres.url)
        let name = "reeve_test_latin_" + Hexadecimal.encode(SystemEntropy().bytes(4))
        try TestPostgres.run("CREATE DATABASE \(name) TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'", on: admin)
        defer { _ = try? TestPostgres.run("DROP DATABASE \(name) WITH (FORCE)", on: admin) }
        var address = try #require(URLComponents(string: admin))
        address.path = "/" + name
        let problem = #expect(throws: Problem.self) {
            _ = try StorageOpener.open(.postgres(url: address.string ?? ""), migrations: [], world: .test())
        }
        #expect(problem?.detail.contains("UTF8") == true)
    }

    @Test func aWrongPasswordIsSaidWithoutIt() throws {
        let admin = try #require(TestPostgres.url)
        var address = try #require(URLComponents(string: admin))
        address.password = "s3cret-word"
        let problem = #expect(throws: Problem.self) {
            _ = try StorageOpener.open(.postgres(url: address.string ?? ""), migrations: [], world: .test())
        }
        let text = "\(String(describing: problem)) \(String(describing: problem?.cause))"
        #expect(text.contains("password authentication failed"))
        #expect(!text.contains("s3cret-word"))
    }
}
