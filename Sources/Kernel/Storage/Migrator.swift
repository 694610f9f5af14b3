/// One step of the schema, owned by the feature whose tables it makes. Never edited once released: add another.
public struct Migration: Sendable {
    /// Orders all steps of all features, such as `0003_tasks`.
    public let id: String
    /// Statements with SQLite's type names; ``SQLDialect/schema(_:)`` turns them into the engine's.
    public let statements: [String]

    public init(_ id: String, _ statements: [String]) {
        self.id = id
        self.statements = statements
    }

    /// Tells whether a step was edited after it was applied.
    public var checksum: String { Digest.sha256(statements.joined(separator: ";\n")) }
}

/// Brings a database to this program's schema, in one transaction under the writer's lock.
struct Migrator {
    let migrations: [Migration]

    func migrate(_ connection: any SQLConnection, engine: any StorageEngine, now: Timestamp) throws {
        try connection.execute(engine.beginMigration)
        do {
            try apply(Transaction(connection), now: now)
            try connection.execute("COMMIT")
        } catch {
            if connection.isInTransaction { try? connection.execute("ROLLBACK") }
            throw error
        }
    }

    private func apply(_ transaction: Transaction, now: Timestamp) throws {
        try transaction.define(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
              id TEXT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT
            """)
        let rows = try transaction.rows("SELECT id, checksum FROM schema_migrations")
        let applied = Dictionary(uniqueKeysWithValues: rows.map { ($0.text("id"), $0.text("checksum")) })
        let known = Set(migrations.map(\.id))
        if let newer = applied.keys.filter({ !known.contains($0) }).min() {
            throw Problem(
                .conflict, "The store was written by a newer Reeve: it has the schema step \"\(newer)\".",
                hint: "Start the newer Reeve, or restore a snapshot from before the upgrade.")
        }
        for migration in migrations.sorted(by: { $0.id < $1.id }) {
            if let checksum = applied[migration.id] {
                guard checksum == migration.checksum else {
                    throw Problem(
                        .conflict, "The schema step \"\(migration.id)\" differs from the one that made this store.",
                        hint: "Run the Reeve that made it; steps are never edited once released.")
                }
                continue
            }
            for statement in migration.statements { try transaction.define(statement) }
            try transaction.run(
                """
                INSERT INTO schema_migrations (id, checksum, applied_at)
                VALUES (\(migration.id), \(migration.checksum), \(now))
                """)
        }
    }
}
