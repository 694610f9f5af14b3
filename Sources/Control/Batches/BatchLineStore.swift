import Kernel

/// The only SQL on the requests of batches, and on what a batch counts of them.
struct BatchLineStore: Sendable {
    /// Adds requests. One that is there already is the same: whoever reads a file again finds what it found before.
    func insert(_ lines: [BatchLine], of id: String, in transaction: Transaction) throws {
        for line in lines {
            try transaction.run(
                """
                INSERT INTO batch_lines (batch_id, number, custom_id, state, tries, body, flaw)
                VALUES (\(id), \(line.number), \(line.customID), \(line.state.rawValue), 0,
                  \(line.body.map(SQLValue.blob) ?? .null), \(line.flaw?.json))
                ON CONFLICT (batch_id, number) DO NOTHING
                """)
        }
    }

    /// The next request to be asked: of those with the fewest tries the first, but for those in flight.
    func next(of id: String, except numbers: [Int64], in transaction: Transaction) throws -> BatchLine? {
        var sql: SQLText =
            """
            SELECT number, custom_id, state, tries, body, NULL AS result, flaw FROM batch_lines
            WHERE batch_id = \(id) AND state = 'waiting'
            """
        if !numbers.isEmpty { sql += "AND number NOT IN \(list: numbers)" }
        return try transaction.first(sql + "ORDER BY tries, number LIMIT 1").map(BatchLine.init(row:))
    }

    /// Bytes of what a batch's requests brought so far.
    func resultBytes(of id: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT result_bytes FROM batches WHERE id = \(id)")?.int("result_bytes") ?? 0
    }

    /// Keeps the result of a request, once, and counts it; whether it was still waited for.
    @discardableResult
    func settle(
        _ number: Int64, of id: String, _ state: BatchLine.State, _ result: [UInt8], in transaction: Transaction
    ) throws -> Bool {
        let changed = try transaction.run(
            """
            UPDATE batch_lines SET state = \(state.rawValue), body = NULL, result = \(SQLValue.blob(result))
            WHERE batch_id = \(id) AND number = \(number) AND state = 'waiting'
            """)
        guard changed > 0 else { return false }
        let isSuccess = state == .succeeded
        try transaction.run(
            """
            UPDATE batches SET succeeded = succeeded + \(isSuccess ? 1 : 0), errored = errored + \(isSuccess ? 0 : 1),
              result_bytes = result_bytes + \(result.count) WHERE id = \(id)
            """)
        return true
    }

    /// Counts a try that its provider failed at.
    func noteTry(_ number: Int64, of id: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE batch_lines SET tries = tries + 1 WHERE batch_id = \(id) AND number = \(number) AND state = 'waiting'
            """)
    }

    /// Ends all requests that still wait; returns how many there were.
    func endWaiting(
        of id: String, as state: BatchLine.State, _ flaw: BatchLine.Flaw? = nil, in transaction: Transaction
    ) throws -> Int64 {
        Int64(
            try transaction.run(
                """
                UPDATE batch_lines SET state = \(state.rawValue), body = NULL, flaw = \(flaw?.json)
                WHERE batch_id = \(id) AND state = 'waiting'
                """))
    }

    /// Requests with what came of them, in their order.
    func results(of id: String, after number: Int64, limit: Int, in transaction: Transaction) throws -> [BatchLine] {
        try transaction.rows(
            """
            SELECT number, custom_id, state, tries, NULL AS body, result, flaw FROM batch_lines
            WHERE batch_id = \(id) AND number > \(number) ORDER BY number LIMIT \(limit)
            """
        ).map(BatchLine.init(row:))
    }

    // MARK: retention

    /// Batches that ended and whose requests are still there.
    func endedWithLines(limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            "SELECT id FROM batches WHERE ended_at IS NOT NULL AND has_lines = 1 ORDER BY id LIMIT \(limit)"
        ).map { $0.text("id") }
    }

    /// Forgets some requests of a batch that ended; whether they were the last.
    func forget(of id: String, limit: Int, in transaction: Transaction) throws -> Bool {
        let rows = try transaction.rows(
            "SELECT number FROM batch_lines WHERE batch_id = \(id) ORDER BY number LIMIT \(limit)")
        if let last = rows.last {
            try transaction.run(
                "DELETE FROM batch_lines WHERE batch_id = \(id) AND number <= \(last.int("number"))")
        }
        guard rows.count < limit else { return false }
        try transaction.run("UPDATE batches SET has_lines = 0 WHERE id = \(id)")
        return true
    }
}

extension BatchLine {
    init(row: StoredRow) {
        self.init(number: row.int("number"), customID: row.optionalText("custom_id"))
        state = State(rawValue: row.text("state")) ?? .errored
        tries = row.int("tries")
        if case .blob(let bytes) = row["body"] { body = bytes }
        if case .blob(let bytes) = row["result"] { result = bytes }
        if row.optionalText("flaw") != nil { flaw = Flaw(row.json("flaw")) }
    }
}
