/// Where a store is.
public enum StorageLocation: Sendable, Equatable {
    /// A file that is made where it is absent.
    case sqlite(path: String)
    /// A `postgres://` address, as libpq reads it.
    case postgres(url: String)

    fileprivate var hint: String {
        switch self {
        case .sqlite: "Check that the data directory exists, has room, and may be written by this user."
        case .postgres: "Check the address of the database, its user and password, and that the server is up."
        }
    }
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
            try engine.withConnection(.migrator) { connection in
                try Migrator(migrations: migrations).migrate(connection, engine: engine, now: world.now)
            }
        } catch let fault as StorageFault {
            throw Problem(
                .storageUnavailable, "The store cannot be opened: \(fault.reason)", hint: location.hint, cause: fault)
        }
        return try EngineStorage(engine, limits: limits)
    }
}
