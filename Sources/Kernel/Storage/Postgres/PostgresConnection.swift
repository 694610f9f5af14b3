import CPostgres
import Foundation

/// One PostgreSQL connection, confined to the thread that opened it.
final class PostgresConnection: SQLConnection {
    private let handle: OpaquePointer
    private let role: ConnectionRole
    /// How long the server may take for an answer; `nil` for as long as it likes.
    private let answer: Span?
    private var statements: [PostgresStatement.Key: PostgresStatement] = [:]
    private var statementsMade = 0
    private var isBroken = false
    private var isClosed = false
    /// The server's prepared statements are not what they were: another replica changed a table, or a pooler took us
    /// to another server.
    private var mustForget = false

    /// Statements that stay prepared; past it all are dropped, as lists of many lengths would else pile up.
    static let statementsMax = 500

    /// Takes over an open connection.
    init(_ handle: OpaquePointer, role: ConnectionRole, answer: Span?) {
        self.handle = handle
        self.role = role
        self.answer = answer
        PQsetnonblocking(handle, 1)
    }

    deinit { close() }

    let dialect = SQLDialect.postgres

    var isUsable: Bool { !isClosed && !isBroken && PQstatus(handle) == CONNECTION_OK }

    var isInTransaction: Bool {
        guard isUsable else { return false }
        let status = PQtransactionStatus(handle)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR || status == PQTRANS_ACTIVE
    }

    /// How many statements are prepared at this moment.
    var statementCount: Int { statements.count }

    func rows(_ sql: SQLText) throws -> [StoredRow] {
        let statement = try prepared(sql)
        let result = try run(statement, sql.values)
        let columns = statement.columns ?? result.columnNames
        statement.columns = columns
        return try result.rows(columns)
    }

    func run(_ sql: SQLText) throws -> Int {
        try run(prepared(sql), sql.values).changedCount
    }

    func execute(_ script: String) throws {
        if mustForget, PQtransactionStatus(handle) == PQTRANS_IDLE { try forget() }
        let result = try answered(PQsendQuery(handle, script))
        // The server answers COMMIT of a failed transaction with a rollback, and calls that a success.
        if script == "COMMIT", result.command == "ROLLBACK" {
            throw StorageFault.failed("a statement of the transaction had failed, and nothing of it was kept")
        }
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        PQfinish(handle)
    }

    private func run(_ statement: PostgresStatement, _ values: [SQLValue]) throws -> PostgresResult {
        guard isUsable else { throw StorageFault.connectionLost("the connection is closed") }
        let isSent = PostgresParameters(values).withPointers { pointers, lengths, formats in
            PQsendQueryPrepared(handle, statement.name, Int32(pointers.count), pointers, lengths, formats, 1)
        }
        return try answered(isSent)
    }

    private func prepared(_ sql: SQLText) throws -> PostgresStatement {
        guard isUsable else { throw StorageFault.connectionLost("the connection is closed") }
        let key = PostgresStatement.Key(sql)
        if let known = statements[key] { return known }
        if statements.count >= Self.statementsMax { try forget() }
        statementsMade += 1
        let statement = PostgresStatement(name: "s\(statementsMade)")
        let types = PostgresParameters.types(of: sql.values)
        let text = try PostgresStatement.numbered(sql)
        _ = try answered(PQsendPrepare(handle, statement.name, text, Int32(types.count), types))
        statements[key] = statement
        return statement
    }

    private func forget() throws {
        _ = try answered(PQsendQuery(handle, "DEALLOCATE ALL"))
        statements = [:]
        mustForget = false
    }

    /// Waits for the last result of what was sent, as `PQexec` would, but not for ever: a server that stands still
    /// keeps its connections, and nothing in libpq gives them up (postgresql.org/docs/15/libpq-async.html).
    private func answered(_ isSent: Int32) throws -> PostgresResult {
        guard isSent == 1 else { return try checked(nil) }
        let deadline = answer.map { ContinuousClock.now + .microseconds($0.microseconds) }
        var last: PostgresResult?
        while true {
            try awaitAnswer(until: deadline)
            guard let raw = PQgetResult(handle) else { return try checked(last) }
            last = PostgresResult(raw)
        }
    }

    private func awaitAnswer(until deadline: ContinuousClock.Instant?) throws {
        while true {
            let unsent = PQflush(handle)
            // What went wrong stands in the result.
            if unsent < 0 || (unsent == 0 && PQisBusy(handle) == 0) { return }
            let left = deadline.map { ContinuousClock.now.duration(to: $0) / .milliseconds(1) } ?? -1
            let events = Int16(unsent > 0 ? POLLIN | POLLOUT : POLLIN)
            var descriptor = pollfd(fd: PQsocket(handle), events: events, revents: 0)
            let ready = poll(&descriptor, 1, deadline == nil ? -1 : Int32(max(0, left.rounded(.up))))
            if ready == 0 || (ready < 0 && errno != EINTR) {
                isBroken = true
                throw StorageFault.connectionLost("the server gave no answer in \(answer?.seconds ?? 0) s")
            }
            guard PQconsumeInput(handle) == 1 else { return }
        }
    }

    /// Throws what the server or libpq said of a failed call, in the terms of ``StorageFault``.
    private func checked(_ result: PostgresResult?) throws -> PostgresResult {
        if let result, result.isSuccess { return result }
        let state = result?.field("C")
        let words =
            result?.field("M") ?? PQerrorMessage(handle).map { String(cString: $0) } ?? "no answer from the server"
        let failure = PostgresFailure(state: state, words: words)
        if failure.isStalePlan { mustForget = true }
        let fault = failure.fault(isConnected: PQstatus(handle) == CONNECTION_OK, role: role)
        if case .connectionLost = fault { isBroken = true }
        throw fault
    }
}

/// What a call of libpq brought; frees it in the end.
final class PostgresResult {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) {
        self.handle = handle
    }

    deinit { PQclear(handle) }

    var isSuccess: Bool {
        let status = PQresultStatus(handle)
        return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY
    }

    /// The command's name and count, such as `UPDATE 3`.
    var command: String { PQcmdStatus(handle).map { String(cString: $0) } ?? "" }

    var changedCount: Int { PQcmdTuples(handle).flatMap { Int(String(cString: $0)) } ?? 0 }

    /// A field of an error, by its letter in the protocol (postgresql.org/docs/15/protocol-error-fields.html).
    func field(_ letter: Unicode.Scalar) -> String? {
        PQresultErrorField(handle, Int32(letter.value)).map { String(cString: $0) }
    }

    var columnNames: ColumnNames {
        ColumnNames((0..<PQnfields(handle)).map { PQfname(handle, $0).map { String(cString: $0) } ?? "" })
    }

    func rows(_ columns: ColumnNames) throws -> [StoredRow] {
        let types = (0..<PQnfields(handle)).map { PQftype(handle, $0) }
        return try (0..<PQntuples(handle)).map { row in
            let values = try types.enumerated().map { try value(row, Int32($0.offset), $0.element) }
            return StoredRow(columns: columns, values: values)
        }
    }

    private func value(_ row: Int32, _ column: Int32, _ type: Oid) throws -> SQLValue {
        if PQgetisnull(handle, row, column) != 0 { return .null }
        let bytes = UnsafeRawBufferPointer(
            start: PQgetvalue(handle, row, column), count: Int(PQgetlength(handle, row, column)))
        guard let value = PostgresValue.decode(bytes, type: type) else {
            let name = PQfname(handle, column).map { String(cString: $0) } ?? ""
            throw StorageFault.failed("the column \"\(name)\" has the type \(type), which Reeve does not read: cast it")
        }
        return value
    }
}
