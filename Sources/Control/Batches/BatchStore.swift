import Kernel

/// The only SQL on batches.
struct BatchStore: Sendable {
    func insert(_ batch: Batch, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO batches (id, dialect, owner, agent, key_id, key_name, key_role, endpoint, input_file, headers,
              metadata, output_span, correlation_id, state, flaws, total, succeeded, errored, canceled, expired,
              result_bytes, created_at, expires_at, runner_until, has_lines)
            VALUES (\(batch.id), \(batch.dialect.rawValue), \(batch.owner), \(batch.principal.agent),
              \(batch.principal.keyID), \(batch.principal.name), \(batch.principal.role.rawValue), \(batch.endpoint),
              \(batch.inputFile), \(batch.headers), \(batch.metadata), \(batch.outputSpan), \(batch.correlationID),
              \(batch.state.rawValue), \(batch.flaws), \(batch.counts.total), 0, 0, 0, 0, 0, \(batch.createdAt),
              \(batch.expiresAt), 0, 1)
            """)
    }

    func batch(_ id: String, in transaction: Transaction) throws -> Batch? {
        try transaction.first("SELECT * FROM batches WHERE id = \(id)").map(Batch.init(row:))
    }

    /// An owner's batches, the newest first; towards newer ones where `before` is given, and then in reverse.
    func list(
        of owner: String, _ dialect: Batch.Dialect, after: String?, before: String?, limit: Int,
        in transaction: Transaction
    ) throws -> [Batch] {
        var sql: SQLText = "SELECT * FROM batches WHERE owner = \(owner) AND dialect = \(dialect.rawValue)"
        if let before {
            sql += "AND id > \(before) ORDER BY id LIMIT \(limit)"
        } else {
            if let after { sql += "AND id < \(after)" }
            sql += "ORDER BY id DESC LIMIT \(limit)"
        }
        return try transaction.rows(sql).map(Batch.init(row:))
    }

    func openCount(of owner: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT COUNT(*) AS count FROM batches WHERE owner = \(owner) AND ended_at IS NULL")?
            .int("count") ?? 0
    }

    /// Keeps what changed.
    func update(_ batch: Batch, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE batches SET state = \(batch.state.rawValue), model = \(batch.model), flaws = \(batch.flaws),
              total = \(batch.counts.total), succeeded = \(batch.counts.succeeded), errored = \(batch.counts.errored),
              canceled = \(batch.counts.canceled), expired = \(batch.counts.expired),
              output_file = \(batch.outputFile), error_file = \(batch.errorFile),
              in_progress_at = \(batch.inProgressAt), finalizing_at = \(batch.finalizingAt),
              cancelling_at = \(batch.cancellingAt), ended_at = \(batch.endedAt)
            WHERE id = \(batch.id)
            """)
    }

    // MARK: who runs it

    /// Batches that nobody runs and that have not ended, the oldest first.
    func claimable(at now: Timestamp, limit: Int, in transaction: Transaction) throws -> [(id: String, owner: String)] {
        try transaction.rows(
            """
            SELECT id, owner FROM batches WHERE ended_at IS NULL AND runner_until <= \(now) ORDER BY id LIMIT \(limit)
            """
        ).map { ($0.text("id"), $0.text("owner")) }
    }

    /// Takes a batch, or keeps it for longer; whether it is the runner's now.
    func claim(_ id: String, runner: String, until: Timestamp, at now: Timestamp, in transaction: Transaction) throws
        -> Bool
    {
        try transaction.run(
            """
            UPDATE batches SET runner = \(runner), runner_until = \(until)
            WHERE id = \(id) AND ended_at IS NULL AND (runner = \(runner) OR runner_until <= \(now))
            """) > 0
    }

    func release(_ id: String, runner: String, in transaction: Transaction) throws {
        try transaction.run("UPDATE batches SET runner_until = 0 WHERE id = \(id) AND runner = \(runner)")
    }

    /// Frees all batches: for the start of the only process there is.
    func releaseAll(in transaction: Transaction) throws {
        try transaction.run("UPDATE batches SET runner_until = 0 WHERE ended_at IS NULL")
    }

    // MARK: retention

    func ended(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> [Batch] {
        try transaction.rows(
            "SELECT * FROM batches WHERE ended_at IS NOT NULL AND ended_at < \(time) ORDER BY ended_at LIMIT \(limit)"
        ).map(Batch.init(row:))
    }

    func delete(_ id: String, in transaction: Transaction) throws {
        try transaction.run("DELETE FROM batches WHERE id = \(id)")
    }
}

extension Batch {
    init(row: StoredRow) {
        self.init(
            id: row.text("id"), dialect: Dialect(rawValue: row.text("dialect")) ?? .openAI, owner: row.text("owner"),
            principal: Principal(
                keyID: row.text("key_id"), name: row.text("key_name"),
                role: Role(rawValue: row.text("key_role")) ?? .agent,
                agent: row.optionalText("agent")),
            endpoint: row.text("endpoint"), inputFile: row.text("input_file"), headers: row.json("headers"),
            metadata: row.json("metadata"), outputSpan: Span(microseconds: row.int("output_span")),
            correlationID: row.text("correlation_id"), createdAt: row.time("created_at"),
            expiresAt: row.time("expires_at"))
        state = State(rawValue: row.text("state")) ?? .failed
        model = row.optionalText("model")
        flaws = row.json("flaws")
        counts = Counts(
            total: row.int("total"), succeeded: row.int("succeeded"), errored: row.int("errored"),
            canceled: row.int("canceled"), expired: row.int("expired"))
        outputFile = row.optionalText("output_file")
        errorFile = row.optionalText("error_file")
        inProgressAt = row.optionalTime("in_progress_at")
        finalizingAt = row.optionalTime("finalizing_at")
        cancellingAt = row.optionalTime("cancelling_at")
        endedAt = row.optionalTime("ended_at")
    }
}
