import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Kernel

/// Many writers at once: what is kept, in which order, in how many commits, and what is refused.
struct StorageConcurrencyTests {
    private static let migrations = EventSchema.migrations

    @Test(arguments: TestEngine.available)
    func numbersHaveNoGapUnderManyWritersOfWhomSomeFail(_ engine: TestEngine) async throws {
        let world = World.test()
        try await withStorage(engine, migrations: Self.migrations, world: world) { storage in
            let events = Events(world: world)
            let acknowledged = try await withThrowingTaskGroup(of: Int64?.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        do {
                            return try await storage.write { transaction in
                                let event = try events.append(
                                    EventDraft("test.\(index)", actor: "test"), in: transaction)
                                if index % 7 == 0 { throw Problem(.conflict, "No.") }
                                if index % 11 == 0 { try Self.violate(event, in: transaction) }
                                return event.seq
                            }
                        } catch is Problem {
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: [Int64]()) { if let seq = $1 { $0.append(seq) } }
            }
            let kept = try await storage.read { try events.store.list(after: 0, limit: 1_000, in: $0) }
            #expect(acknowledged.count == (0..<200).count { $0 % 7 != 0 && $0 % 11 != 0 })
            #expect(kept.map(\.seq) == Array(1...Int64(acknowledged.count)))
            #expect(acknowledged.sorted() == kept.map(\.seq))
            #expect(events.bus.recent(after: 0, limit: 1_000) == kept)
        }
    }

    /// A second row with the same number: the statement itself fails, not only the body.
    private static func violate(_ event: Event, in transaction: Transaction) throws {
        try transaction.run(
            "INSERT INTO events (seq, at, type, actor, data) VALUES (\(event.seq), 0, 'twice', 'test', '{}')")
    }

    /// Two programs on one PostgreSQL database; SQLite has one program by its nature.
    @Test(.enabled(if: TestPostgres.url != nil))
    func numbersHaveNoGapAcrossReplicas() async throws {
        let world = World.test()
        try await TestStorage.withLocation(.postgres) { location in
            let events = Events(world: world)
            let replicas = try (0..<3).map { _ in
                try StorageOpener.open(
                    location, migrations: Self.migrations, world: world, limits: TestStorage.limits)
            }
            let seqs = try await withThrowingTaskGroup(of: Int64.self) { group in
                for index in 0..<150 {
                    let storage = replicas[index % replicas.count]
                    group.addTask {
                        try await storage.write { transaction in
                            try events.append(EventDraft("test.\(index)", actor: "test"), in: transaction).seq
                        }
                    }
                }
                return try await group.reduce(into: [Int64]()) { $0.append($1) }
            }
            for storage in replicas { await storage.close() }
            #expect(seqs.sorted() == Array(1...150))
        }
    }

    @Test(arguments: TestEngine.available)
    func writesThatWaitShareOneCommit(_ engine: TestEngine) async throws {
        try await Self.withCounting(engine) { storage, counts in
            let isHeld = DispatchSemaphore(value: 0)
            async let first: Void = storage.write { _ in isHeld.wait() }
            try await Self.until { counts.begun == 1 }
            async let others = withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<100 {
                    group.addTask {
                        _ = try await storage.write { transaction in
                            try transaction.run("INSERT INTO items (name, count) VALUES (\("\(index)"), 1)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await Self.until { storage.waitingCount.writes == 100 }
            isHeld.signal()
            _ = try await (first, others)
            #expect(counts.committed == 2)
            #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == 100)
        }
    }

    /// One after the other, each write has a commit of its own: sharing never means waiting for somebody.
    @Test(arguments: TestEngine.available)
    func aLoneWriteCommitsAtOnce(_ engine: TestEngine) async throws {
        try await Self.withCounting(engine) { storage, counts in
            for _ in 0..<5 { try await storage.write { _ in } }
            #expect(counts.committed == 5)
        }
    }

    @Test(arguments: TestEngine.available)
    func oneThatFailsDoesNotSinkThoseItSharesACommitWith(_ engine: TestEngine) async throws {
        try await Self.withCounting(engine) { storage, counts in
            let isHeld = DispatchSemaphore(value: 0)
            async let first: Void = storage.write { _ in isHeld.wait() }
            try await Self.until { counts.begun == 1 }
            async let outcomes = withTaskGroup(of: Bool.self) { group in
                for index in 0..<60 {
                    group.addTask {
                        let name = index % 10 == 0 ? "same" : "\(index)"
                        let kept = try? await storage.write { transaction in
                            try transaction.run("INSERT INTO items (name, count) VALUES (\(name), 1)")
                        }
                        return kept != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            try await Self.until { storage.waitingCount.writes == 60 }
            isHeld.signal()
            try await first
            #expect(await outcomes == 55)
            #expect(counts.committed == 2)
            #expect(try await storage.read { try $0.rows("SELECT name FROM items").count } == 55)
        }
    }

    @Test(arguments: TestEngine.available)
    func aFullQueueRefusesAtOnce(_ engine: TestEngine) async throws {
        var limits = TestStorage.limits
        limits.requestsWaitingMax = 2
        try await Self.withCounting(engine, limits: limits) { storage, counts in
            let isHeld = DispatchSemaphore(value: 0)
            async let first: Void = storage.write { _ in isHeld.wait() }
            try await Self.until { counts.begun == 1 }
            async let second: Void = storage.write { _ in }
            async let third: Void = storage.write { _ in }
            try await Self.until { storage.waitingCount.writes == 2 }
            let problem = await #expect(throws: Problem.self) { try await storage.write { _ in } }
            #expect(problem?.code == .overloaded)
            #expect(problem?.code.status == 503)
            #expect(problem?.retryAfterSeconds == 1)
            isHeld.signal()
            _ = try await (first, second, third)
        }
    }

    @Test(arguments: TestEngine.available)
    func closingFinishesWhatWasAccepted(_ engine: TestEngine) async throws {
        try await Self.withCounting(engine) { storage, counts in
            let isHeld = DispatchSemaphore(value: 0)
            async let first: Void = storage.write { _ in isHeld.wait() }
            try await Self.until { counts.begun == 1 }
            async let others = withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { try await storage.write { _ in } } }
                try await group.waitForAll()
            }
            try await Self.until { storage.waitingCount.writes == 20 }
            async let closing: Void = storage.close()
            try await Self.until { await Self.isRefused(storage) }
            isHeld.signal()
            _ = try await (first, others)
            await closing
            #expect(await Self.isRefused(storage))
            #expect(counts.open == 0)
        }
    }

    private static func isRefused(_ storage: EngineStorage) async -> Bool {
        do {
            _ = try await storage.read { _ in }
            return false
        } catch {
            return true
        }
    }

    /// Runs `body` on a store whose engine counts.
    private static func withCounting(
        _ engine: TestEngine, limits: StorageLimits = TestStorage.limits,
        _ body: (EngineStorage, CommitCounts) async throws -> Void
    ) async throws {
        try await TestStorage.withLocation(engine) { location in
            let opened = try StorageOpener.open(
                location, migrations: StorageConformanceTests.migrations, world: .test(), limits: limits)
            await opened.close()
            let counts = CommitCounts()
            let storage = try EngineStorage(CountingEngine(inner: location.engine, counts: counts), limits: limits)
            do {
                try await body(storage, counts)
                await storage.close()
            } catch {
                await storage.close()
                throw error
            }
        }
    }

    /// Waits for a condition that other threads bring about, and gives up after half a minute.
    static func until(_ condition: () async -> Bool) async throws {
        let end = SystemTime().now + .seconds(30)
        while await !condition() {
            try #require(SystemTime().now < end, "it did not come to pass")
            try await SystemTime().sleep(for: .milliseconds(1))
        }
    }
}

/// What a ``CountingEngine`` saw.
final class CommitCounts: Sendable {
    private let state = Mutex((begun: 0, committed: 0, open: 0))

    /// Write transactions that began.
    var begun: Int { state.withLock { $0.begun } }
    /// Write transactions that were committed.
    var committed: Int { state.withLock { $0.committed } }
    /// Connections that are open.
    var open: Int { state.withLock { $0.open } }

    func count(_ script: String, begin: String) {
        state.withLock { state in
            if script == begin { state.begun += 1 }
            if script == "COMMIT" { state.committed += 1 }
        }
    }

    func countOpen(_ delta: Int) { state.withLock { $0.open += delta } }
}

/// An engine that counts its writer's transactions, and may do something before one of their statements.
struct CountingEngine: StorageEngine {
    let inner: any StorageEngine
    let counts: CommitCounts
    var beforeExecute: (@Sendable (String, any SQLConnection) -> Void)?

    var dialect: SQLDialect { inner.dialect }
    var beginWrite: String { inner.beginWrite }
    var beginRead: String { inner.beginRead }

    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws {
        try inner.withConnection(role) { connection in
            counts.countOpen(1)
            defer { counts.countOpen(-1) }
            try body(role == .writer ? CountingConnection(inner: connection, engine: self) : connection)
        }
    }
}

private final class CountingConnection: SQLConnection {
    private let inner: any SQLConnection
    private let engine: CountingEngine

    init(inner: any SQLConnection, engine: CountingEngine) {
        self.inner = inner
        self.engine = engine
    }

    var dialect: SQLDialect { inner.dialect }
    var isInTransaction: Bool { inner.isInTransaction }
    var isUsable: Bool { inner.isUsable }
    func rows(_ sql: SQLText) throws -> [StoredRow] { try inner.rows(sql) }
    func run(_ sql: SQLText) throws -> Int { try inner.run(sql) }
    func close() { inner.close() }

    func execute(_ script: String) throws {
        engine.beforeExecute?(script, inner)
        try inner.execute(script)
        engine.counts.count(script, begin: engine.beginWrite)
    }
}

extension StorageLocation {
    /// The engine that ``StorageOpener`` takes for this place.
    var engine: any StorageEngine {
        switch self {
        case .sqlite(let path): SQLiteEngine(path: path)
        case .postgres(let url): PostgresEngine(url: url)
        }
    }
}
