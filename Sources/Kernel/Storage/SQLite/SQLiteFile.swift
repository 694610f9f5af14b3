import Foundation
import GRDB

/// A SQLite file of its own beside the store, for data that comes and goes with its file.
///
/// What is written is not synced: for whoever can write it again. Calls come one after the other, each on its caller's
/// thread.
public final class SQLiteFile: Sendable {
    public let path: String
    private let queue: DatabaseQueue
    private let connection: Confined

    /// `@unchecked Sendable`: its connection is used inside of `queue` alone, which runs one body at a time.
    private final class Confined: @unchecked Sendable {
        let connection: SQLiteConnection

        init(_ connection: SQLiteConnection) { self.connection = connection }
    }

    /// Opens the file, and makes it where it is absent.
    ///
    /// - Parameters:
    ///   - schema: Statements for a new file.
    ///   - later: What came to the schema since, version by version: run on a new file and on those that lack it.
    ///   - shrinks: Whether a new file can give room back; see ``shrink()``.
    ///   - isErasing: Whether what is deleted is overwritten with zeros (sqlite.org/pragma.html, "secure_delete").
    public init(
        path: String, schema: [String], later: [[String]] = [], shrinks: Bool = false, isErasing: Bool = false
    ) throws {
        self.path = path
        var configuration = GRDB.Configuration()
        configuration.label = "reeve.file"
        configuration.busyMode = .timeout(5)
        configuration.journalMode = .wal
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA trusted_schema = OFF;
                    PRAGMA cell_size_check = ON;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -\(Self.cacheKiB);
                    PRAGMA wal_autocheckpoint = 2000;
                    PRAGMA journal_size_limit = 16777216;
                    PRAGMA secure_delete = \(isErasing ? "ON" : "OFF");
                    """)
            // Counts only before the first table (sqlite.org/pragma.html, "auto_vacuum").
            if shrinks { try database.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL") }
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            connection = try queue.inDatabase { database in
                let versions = [schema] + later
                if try Self.version(of: database) < versions.count {
                    try database.inTransaction(.immediate) {
                        // Another connection may have been first.
                        let known = try Self.version(of: database)
                        guard known < versions.count else { return .commit }
                        for statement in versions[known...].joined() { try database.execute(sql: statement) }
                        try database.execute(sql: "PRAGMA user_version = \(versions.count)")
                        return .commit
                    }
                }
                return Confined(SQLiteConnection(database))
            }
        } catch { throw SQLiteConnection.fault(error) }
    }

    private static func version(of database: Database) throws -> Int {
        max(0, try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0)
    }

    static let cacheKiB = 8_192
    /// Pages that ``shrink()`` moves at a time.
    static let shrinkPages = 1_024

    /// Gives room that nothing uses any more back to the disk, some megabytes of it, and says whether there is more.
    public func shrink() throws -> Bool {
        try queue.inDatabase { database in
            guard try Int.fetchOne(database, sql: "PRAGMA auto_vacuum") == 2 else { return false }
            // Each step of the statement frees a page.
            _ = try Row.fetchAll(database, sql: "PRAGMA incremental_vacuum(\(Self.shrinkPages))")
            return try Int.fetchOne(database, sql: "PRAGMA freelist_count") ?? 0 > 0
        }
    }

    /// Runs a change as one transaction; a body that throws leaves no trace.
    public func write<Value>(_ body: (Transaction) throws -> Value) throws -> Value {
        try run("BEGIN IMMEDIATE", body)
    }

    /// Runs a query on one state of the file.
    public func read<Value>(_ body: (Transaction) throws -> Value) throws -> Value { try run("BEGIN DEFERRED", body) }

    private func run<Value>(_ begin: String, _ body: (Transaction) throws -> Value) throws -> Value {
        try queue.inDatabase { _ in
            let connection = connection.connection
            try connection.execute(begin)
            do {
                let transaction = Transaction(connection)
                let value = try body(transaction)
                try transaction.addWaiting()
                try connection.execute("COMMIT")
                return value
            } catch {
                if connection.isInTransaction { try? connection.execute("ROLLBACK") }
                throw SQLiteConnection.fault(error)
            }
        }
    }

    /// Makes sure that all that was written survives the machine's end.
    public func sync() throws {
        // What was committed stands in the log; what of it is in the file was synced on its way there. A checkpoint
        // would sync the log only where no reader keeps it from going on (sqlite.org/wal.html, "Checkpointing").
        let log = open(path + "-wal", O_RDONLY | O_CLOEXEC)
        if log >= 0 {
            defer { Foundation.close(log) }
            guard fdatasync(log) == 0 else { throw StorageFault.failed("fdatasync \(path)-wal: \(errno)") }
        } else if errno != ENOENT {
            throw StorageFault.failed("open \(path)-wal: \(errno)")
        }
        try DurableFile.syncFolder(of: path)
    }

    /// Puts all that was written into the file itself and empties its log, so that neither has what was deleted.
    ///
    /// - Throws: ``StorageFault`` where a reader keeps the log from being emptied; come again.
    public func settle() throws {
        do {
            let isBusy = try queue.inDatabase { database in
                try Int.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)") != 0
            }
            if isBusy { throw StorageFault.retriable("the log of \(path) is being read") }
        } catch { throw SQLiteConnection.fault(error) }
    }

    public func close() throws {
        queue.inDatabase { _ in connection.connection.close() }
        try queue.close()
    }
}
