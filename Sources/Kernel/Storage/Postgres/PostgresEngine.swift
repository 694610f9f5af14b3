import CPostgres

/// PostgreSQL through libpq, blocking: each storage thread owns one connection.
///
/// Writers of all replicas run one after the other under one advisory lock. That costs nothing that a commit in groups
/// would not cost, keeps the event log's numbers without a gap, and leaves no deadlock and no serialization failure.
struct PostgresEngine: StorageEngine {
    let url: String
    var timeouts = PostgresTimeouts()

    /// The lock that a writing transaction holds until its end: "reeve" in ASCII.
    static let writerLock: Int64 = 0x72_65_65_76_65

    var dialect: SQLDialect { .postgres }

    /// READ COMMITTED: what the lock's last holder committed is seen by every statement behind the lock.
    var beginWrite: String {
        "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SELECT pg_advisory_xact_lock(\(Self.writerLock))"
    }

    var beginRead: String { "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" }

    var beginMigration: String {
        """
        BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL statement_timeout = 0; \
        SET LOCAL lock_timeout = '10min'; SELECT pg_advisory_xact_lock(\(Self.writerLock))
        """
    }

    func withConnection(_ role: ConnectionRole, _ body: (any SQLConnection) throws -> Void) throws {
        let connection = PostgresConnection(
            try connect(), role: role, answer: role == .migrator ? nil : timeouts.answer)
        defer { connection.close() }
        try connection.execute(sessionSettings)
        try body(connection)
    }

    /// What holds for every session, whatever the server's defaults are. An acknowledged change is on the disk, so a
    /// server that commits without waiting is told to wait.
    private var sessionSettings: String {
        """
        SET client_min_messages = warning;
        SET standard_conforming_strings = on;
        SET statement_timeout = \(timeouts.statement.microseconds / 1_000);
        SET lock_timeout = \(timeouts.lock.microseconds / 1_000);
        SET idle_in_transaction_session_timeout = \(timeouts.idleInTransaction.microseconds / 1_000);
        SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
        """
    }

    private func connect() throws -> OpaquePointer {
        // libpq reads the list in order: the address may change what stands before it, and not what stands behind.
        let options: [(name: String, value: String)] = [
            ("application_name", "reeve"), ("connect_timeout", "\(Int(timeouts.connect.seconds.rounded(.up)))"),
            ("keepalives", "1"), ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "30000"),
            ("dbname", url),
            // Readers too: a standby may lag behind what was acknowledged.
            ("target_session_attrs", "read-write"), ("client_encoding", "UTF8"),
        ]
        let handle = CStrings.with(options.map(\.name)) { names in
            CStrings.with(options.map(\.value)) { values in PQconnectStartParams(names, values, 1) }
        }
        guard let handle else { throw StorageFault.connectionLost("libpq has no memory left") }
        // Started and reset, not connected at once: only so is the processor in place before the server's first notice,
        // and the reset keeps libpq's own timeout and failover between several hosts.
        PQsetNoticeProcessor(handle, { _, _ in }, nil)
        if PQstatus(handle) != CONNECTION_BAD { PQreset(handle) }
        do {
            try check(handle)
        } catch {
            PQfinish(handle)
            throw error
        }
        return handle
    }

    private func check(_ handle: OpaquePointer) throws {
        guard PQstatus(handle) == CONNECTION_OK else {
            let message = PQerrorMessage(handle).map { String(cString: $0) } ?? "no connection"
            throw StorageFault.connectionLost(PostgresAddress(url: url).redacted(message))
        }
        guard PQserverVersion(handle) >= 150_000 else {
            throw StorageFault.failed("PostgreSQL 15 or newer is needed, not \(PQserverVersion(handle) / 10_000)")
        }
        let encoding = PQparameterStatus(handle, "server_encoding").map { String(cString: $0) }
        guard encoding == "UTF8" else {
            throw StorageFault.failed("a database in UTF8 is needed, not \(encoding ?? "another encoding")")
        }
    }
}

/// How long PostgreSQL may take over each thing before it gives up.
struct PostgresTimeouts: Sendable {
    /// One statement.
    var statement = Span.seconds(30)
    /// One answer of the server. Longer than a statement may take: past this the server itself stands still.
    var answer = Span.seconds(35)
    /// The wait for a lock: mostly for the writers of other replicas.
    var lock = Span.seconds(10)
    /// A transaction that nothing happens in. Ours never pause: this ends those of a process that hangs.
    var idleInTransaction = Span.seconds(60)
    /// One host of the address; at least two seconds, as libpq rounds up to that.
    var connect = Span.seconds(5)
}

/// A `postgres://` address, and how to speak of it without its password.
struct PostgresAddress {
    let url: String

    /// A message of libpq with every secret of the address taken out. Where the address is so broken that nobody can
    /// tell what its password is, nothing of the message is passed on.
    func redacted(_ message: String) -> String {
        guard let secrets else {
            return "The address cannot be read. Percent-encode special characters in its user and password."
        }
        let text = secrets.reduce(message) { $0.replacing($1, with: "(hidden)") }
        return text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    /// `nil` where libpq does not find the user where the address's reader would.
    private var secrets: [String]? {
        guard let options = PQconninfoParse(url, nil) else { return nil }
        defer { PQconninfoFree(options) }
        var secrets: [String] = []
        var hasUser = false
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                switch String(cString: keyword) {
                case "password", "sslpassword": secrets.append(String(cString: value))
                case "user": hasUser = true
                default: break
                }
            }
            option += 1
        }
        let signs = url.count { $0 == "@" }
        guard signs == 0 || (signs == 1 && hasUser) else { return nil }
        return secrets.filter { !$0.isEmpty }
    }
}

/// Lists of C strings, ended by a null pointer, for the length of a call.
private enum CStrings {
    static func with<Value>(_ strings: [String], _ body: ([UnsafePointer<CChar>?]) -> Value) -> Value {
        let copies = strings.map { Array($0.utf8CString) }
        let buffers = copies.map { copy in
            let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: copy.count)
            _ = buffer.initialize(from: copy)
            return buffer
        }
        defer { for buffer in buffers { buffer.deallocate() } }
        return body(buffers.map { UnsafePointer($0.baseAddress) } + [nil])
    }
}
