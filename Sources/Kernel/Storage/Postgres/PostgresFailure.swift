/// An error of PostgreSQL or libpq by its SQLSTATE (postgresql.org/docs/15/errcodes-appendix.html).
struct PostgresFailure {
    /// Five characters; absent where libpq itself failed, mostly for want of a connection.
    let state: String?
    let words: String

    /// Whether the server's prepared statements do not fit any more: `cached plan must not change result type` after
    /// another replica changed a table, or an unknown statement behind a pooler.
    var isStalePlan: Bool { state == "26000" || (state == "0A000" && words.contains("cached plan")) }

    /// The same in the terms that callers act on.
    func fault(isConnected: Bool, role: ConnectionRole) -> StorageFault {
        let words = words.split(whereSeparator: \.isNewline).joined(separator: " ")
        guard let state else { return isConnected ? .failed(words) : .connectionLost(words) }
        let text = "\(state): \(words)"
        if isStalePlan { return .retriable(text) }
        switch (state.prefix(2), state) {
        // A value of another type than its column's: SQLite calls that a constraint of its STRICT tables.
        case ("23", _), (_, "42804"): return .constraint(text)
        case (_, "40001"), (_, "40P01"), (_, "55P03"): return .retriable(text)
        case (_, "53100"): return .full(text)
        case ("08", _), ("53", _), (_, "25P03"): return .connectionLost(text)
        case (_, "57014"): return .timeout(text)
        // Shut down, crashed, starting up, dropped, or idle for too long.
        case ("57", _): return .connectionLost(text)
        // The server we write to has become a standby: another one is the primary now.
        case (_, "25006") where role.writes: return .connectionLost(text)
        default: return isConnected ? .failed(text) : .connectionLost(text)
        }
    }
}
