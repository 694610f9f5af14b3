import Synchronization

@testable import Kernel

/// Faults that a simulation plants in the next transactions of a store.
///
/// The statements of a request are the same on both engines, so a fault falls on the same place of each.
final class FaultPlan: Sendable {
    enum Fault: Sendable, Equatable {
        /// The connection breaks at the statement with this number, counted from 1, before it runs.
        case statement(Int)
        /// The connection breaks before the commit: nothing is kept.
        case beforeCommit
        /// The connection breaks behind the commit: all is kept, and the client does not hear of it.
        case afterCommit
    }

    private let state = Mutex<(fault: Fault?, statements: Int)>((nil, 0))

    func arm(_ fault: Fault) { state.withLock { $0 = (fault, 0) } }

    /// Takes an armed fault back; returns whether it had not happened yet.
    @discardableResult
    func disarm() -> Bool {
        state.withLock { state in
            defer { state.fault = nil }
            return state.fault != nil
        }
    }

    func strikesStatement() -> Bool {
        state.withLock { state in
            guard case .statement(let number)? = state.fault else { return false }
            state.statements += 1
            guard state.statements == number else { return false }
            state.fault = nil
            return true
        }
    }

    func strikes(_ fault: Fault) -> Bool {
        state.withLock { state in
            guard state.fault == fault else { return false }
            state.fault = nil
            return true
        }
    }
}

/// An engine whose writer connection breaks where the plan says, and is made anew by the storage.
struct FaultyEngine: StorageEngine {
    let engine: any StorageEngine
    let plan: FaultPlan

    var dialect: SQLDialect { engine.dialect }
    var beginWrite: String { engine.beginWrite }
    var beginRead: String { engine.beginRead }
    var beginMigration: String { engine.beginMigration }

    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws {
        try engine.withConnection(role) { connection in
            guard role == .writer else { return try body(connection) }
            try body(FaultyConnection(connection, plan))
        }
    }
}

private final class FaultyConnection: SQLConnection {
    private let connection: any SQLConnection
    private let plan: FaultPlan
    private var isBroken = false

    init(_ connection: any SQLConnection, _ plan: FaultPlan) {
        self.connection = connection
        self.plan = plan
    }

    var dialect: SQLDialect { connection.dialect }
    var isInTransaction: Bool { !isBroken && connection.isInTransaction }
    var isUsable: Bool { !isBroken && connection.isUsable }

    func rows(_ sql: SQLText) throws -> [StoredRow] {
        if plan.strikesStatement() { throw breakDown() }
        return try connection.rows(sql)
    }

    func run(_ sql: SQLText) throws -> Int {
        if plan.strikesStatement() { throw breakDown() }
        return try connection.run(sql)
    }

    func execute(_ script: String) throws {
        if script == "COMMIT", plan.strikes(.beforeCommit) { throw breakDown() }
        try connection.execute(script)
        if script == "COMMIT", plan.strikes(.afterCommit) { throw breakDown() }
    }

    func close() { connection.close() }

    /// What a server that dies leaves: whatever was not committed is undone.
    private func breakDown() -> StorageFault {
        if connection.isInTransaction { try? connection.execute("ROLLBACK") }
        isBroken = true
        return .connectionLost("planted by the simulation")
    }
}
