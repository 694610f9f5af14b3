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
            if role == .writer {
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

    /// Together about the busy timeout.
    static let openAttemptsMax = 100
    /// Seconds between two attempts; the thread is the connection's own, or that of the start.
    static let openPause = 0.05

    private func configuration(_ role: ConnectionRole) -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.label = role == .writer ? "reeve.writer" : "reeve.reader"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 1
        configuration.readonly = role == .reader
        if role == .writer { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA foreign_keys = ON;
                    PRAGMA trusted_schema = OFF;
                    PRAGMA cell_size_check = ON;
                    PRAGMA mmap_size = 0;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -32768;
                    """)
            if role == .writer {
                try database.execute(sql: "PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864")
            }
        }
        return configuration
    }
}

/// One SQLite connection, confined to the thread that is inside `DatabaseQueue.inDatabase`.
final class SQLiteConnection: SQLConnection {
    private let database: Database
    /// By statement text: a statement object's address may be another one's later.
    private var columns: [String: ColumnNames] = [:]

    init(_ database: Database) {
        self.database = database
    }

    let dialect = SQLDialect.sqlite
    let isUsable = true
    var isInTransaction: Bool { database.isInsideTransaction }

    func rows(_ sql: SQLText) throws -> [StoredRow] {
        try faults {
            let statement = try prepare(sql)
            let names = columnNames(statement, of: sql.text)
            var rows: [StoredRow] = []
            let cursor = try Row.fetchCursor(statement)
            while let row = try cursor.next() {
                rows.append(StoredRow(columns: names, values: (0..<names.names.count).map { Self.value(row, $0) }))
            }
            return rows
        }
    }

    func run(_ sql: SQLText) throws -> Int {
        try faults {
            try prepare(sql).execute()
            return database.changesCount
        }
    }

    func execute(_ script: String) throws {
        // Transaction control runs for every group: keep it prepared.
        if !script.contains(";"), script.utf8.count < 40 {
            _ = try faults { try database.cachedStatement(sql: script).execute() }
        } else {
            try faults { try database.execute(sql: script) }
        }
    }

    func close() { columns = [:] }

    private func prepare(_ sql: SQLText) throws -> Statement {
        let statement = try database.cachedStatement(sql: sql.text)
        try statement.setArguments(StatementArguments(sql.values.map(Self.databaseValue)))
        return statement
    }

    private func columnNames(_ statement: Statement, of text: String) -> ColumnNames {
        if let known = columns[text], known.names.count == statement.columnCount { return known }
        let names = ColumnNames(statement.columnNames)
        columns[text] = names
        return names
    }

    private static func databaseValue(_ value: SQLValue) -> DatabaseValue {
        switch value {
        case .null: .null
        case .integer(let value): value.databaseValue
        case .real(let value): value.databaseValue
        case .text(let value): value.databaseValue
        case .blob(let value): Data(value).databaseValue
        }
    }

    private static func value(_ row: Row, _ index: Int) -> SQLValue {
        let value: DatabaseValue = row[index]
        switch value.storage {
        case .null: return .null
        case .int64(let value): return .integer(value)
        case .double(let value): return .real(value)
        case .string(let value): return .text(value)
        case .blob(let value): return .blob(Array(value))
        }
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
