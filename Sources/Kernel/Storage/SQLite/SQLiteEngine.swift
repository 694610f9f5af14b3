import CSQLite
import Foundation
import GRDB

/// SQLite through GRDB: a WAL database whose one writer connection makes all commits and all checkpoints.
///
/// The single writer also steps around the WAL-reset bug of SQLite before 3.51.3, which needs two connections that
/// write or checkpoint at the same moment.
struct SQLiteEngine: StorageEngine {
    let path: String

    var dialect: SQLDialect { .sqlite }
    var beginWrite: String { "BEGIN IMMEDIATE" }
    var beginRead: String { "BEGIN DEFERRED" }

    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws {
        let queue = try open(role)
        try queue.inDatabase { database in
            // GRDB sets NORMAL when it turns WAL on, after any preparation of ours; only FULL survives a power cut.
            if role.writes {
                try database.execute(sql: "PRAGMA synchronous = FULL")
                let level = try Int.fetchOne(database, sql: "PRAGMA synchronous")
                guard level == 2 else { throw StorageFault.failed("synchronous is \(level ?? -1), not FULL (2)") }
            }
            let connection = SQLiteConnection(database)
            defer { connection.close() }
            try body(connection)
        }
        try queue.close()
    }

    /// Turning WAL on needs the file alone, and SQLite does not ask its busy handler then
    /// (sqlite.org/c3ref/busy_handler.html): of several who open a new file at one moment, all but one are refused at
    /// once, and come again here.
    private func open(_ role: ConnectionRole) throws -> DatabaseQueue {
        _ = Self.memoryIsNotCounted
        var attempt = 1
        while true {
            do {
                return try DatabaseQueue(path: path, configuration: configuration(role))
            } catch {
                let fault = SQLiteConnection.fault(error)
                guard case .retriable = fault, attempt < Self.openAttemptsMax else { throw fault }
                attempt += 1
                Thread.sleep(forTimeInterval: Self.openPause)
            }
        }
    }

    /// Once, before the library's first use. Somebody else's earlier use costs speed, nothing else.
    private static let memoryIsNotCounted: Bool = reeve_sqlite_stop_counting_memory() == SQLITE_OK

    /// Together about the busy timeout.
    static let openAttemptsMax = 100
    /// Seconds between two attempts; the thread is the connection's own, or that of the start.
    static let openPause = 0.05

    /// Pages that a connection keeps at hand. What readers miss, the operating system's cache has.
    static let writerCacheKiB = 16_384
    static let readerCacheKiB = 4_096

    /// SQLite's own pool of small allocations (sqlite.org/malloc.html §3); with the default of about a hundred, the
    /// writer's statements went past it to the heap.
    static let lookasideBytes: CInt = 1_200
    static let lookasideCount: CInt = 500

    private func configuration(_ role: ConnectionRole) -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.label = role.writes ? "reeve.writer" : "reeve.reader"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 1
        configuration.readonly = role == .reader
        if role.writes { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            // First: with a statement under way it would be refused, which costs speed, nothing else.
            if let handle = database.sqliteConnection, role.writes {
                _ = reeve_sqlite_set_lookaside(handle, Self.lookasideBytes, Self.lookasideCount)
            }
            try database.execute(
                sql: """
                    PRAGMA foreign_keys = ON;
                    PRAGMA trusted_schema = OFF;
                    PRAGMA cell_size_check = ON;
                    PRAGMA mmap_size = 0;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = \(role.writes ? -Self.writerCacheKiB : -Self.readerCacheKiB);
                    """)
            if role.writes {
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864")
            }
        }
        return configuration
    }
}

/// One SQLite connection, confined to the thread that is inside `DatabaseQueue.inDatabase`.
final class SQLiteConnection: SQLConnection {
    /// Prepared statements that are kept; where there are more, all are prepared anew.
    private static let statementsMax = 512

    private let database: Database
    private let values = SQLiteValues()
    private var statements: [String: SQLiteStatement] = [:]

    init(_ database: Database) {
        self.database = database
    }

    let dialect = SQLDialect.sqlite
    let isUsable = true
    var isInTransaction: Bool { database.isInsideTransaction }

    func rows(_ sql: SQLText) throws -> [StoredRow] {
        try faults { try prepared(sql.text).rows(sql.values) }
    }

    func run(_ sql: SQLText) throws -> Int {
        try faults { try prepared(sql.text).run(sql.values) }
    }

    func execute(_ script: String) throws {
        // Transaction control runs for every group: keep it prepared.
        if script.utf8.count < 40, !script.utf8.contains(UInt8(ascii: ";")) {
            _ = try faults { try prepared(script).run([]) }
        } else {
            try faults { try database.execute(sql: script) }
        }
    }

    func close() { statements = [:] }

    private func prepared(_ text: String) throws -> SQLiteStatement {
        if let known = statements[text] { return known }
        guard let handle = database.sqliteConnection else { throw StorageFault.connectionLost("it is closed") }
        if statements.count >= Self.statementsMax { statements = [:] }
        let statement = try SQLiteStatement(text, on: handle, values: values)
        statements[text] = statement
        return statement
    }

    private func faults<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch { throw Self.fault(error) }
    }

    /// SQLite's result codes (sqlite.org/rescode.html) in the terms of ``StorageFault``.
    static func fault(_ error: any Error) -> StorageFault {
        guard let error = error as? DatabaseError else { return error as? StorageFault ?? .failed("\(error)") }
        let text = error.message ?? "\(error.resultCode)"
        return switch error.resultCode {
        case .SQLITE_CONSTRAINT: .constraint(text)
        case .SQLITE_BUSY, .SQLITE_LOCKED: .retriable(text)
        case .SQLITE_FULL: .full(text)
        case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_WRITE: .full(text)
        case .SQLITE_INTERRUPT: .timeout(text)
        default: .failed("\(error.extendedResultCode): \(text)")
        }
    }
}
