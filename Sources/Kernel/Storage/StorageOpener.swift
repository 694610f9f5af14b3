/// Where a store is.
public enum StorageLocation: Sendable, Equatable {
    /// A file that is made where it is absent.
    case sqlite(path: String)
    /// A `postgres://` address, as libpq reads it.
    case postgres(url: String)
}

/// Opens a store: connects, migrates under the lock, then starts the threads.
public enum StorageOpener {
    public static func open(
        _ location: StorageLocation, migrations: [Migration], world: World, limits: StorageLimits = StorageLimits()
    ) throws -> any Storage {
        let engine: any StorageEngine =
            switch location {
            case .sqlite(let path): SQLiteEngine(path: path)
            case .postgres(let url): PostgresEngine(url: url)
            }
        do {
            try engine.withConnection(.writer) { connection in
                try Migrator(migrations: migrations).migrate(connection, engine: engine, now: world.now)
            }
        } catch let fault as StorageFault {
            throw fault.problem
        }
        return EngineStorage(engine, limits: limits)
    }
}
