import CPostgres

struct PostgresEngine: StorageEngine {
    let url: String
    var dialect: SQLDialect { .postgres }
    var beginWrite: String { "BEGIN" }
    var beginRead: String { "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" }
    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws {
        throw StorageFault.connectionLost("not connected")
    }
}
