import Kernel

/// The only SQL on budgets themselves and the ledger's counter.
struct BudgetStore: Sendable {
    func insert(_ budget: Budget, in transaction: Transaction) throws {
        transaction.keep(try count(in: transaction) + 1, as: Self.countName)
        try transaction.run(
            """
            INSERT INTO budgets (id, scope, limit_usd, limit_tokens, limit_calls, limit_steps, period, mode,
              soft_percent, created_at, created_by, updated_at, version, revision)
            VALUES (\(budget.id.text), \(budget.scope), \(budget.limit.nanoUSD), \(budget.limit.tokens),
              \(budget.limit.calls), \(budget.limit.steps), \(budget.period.rawValue), \(budget.mode.text),
              \(budget.softPercent), \(budget.createdAt), \(budget.createdBy), \(budget.updatedAt), \(budget.version),
              \(budget.revision))
            """)
    }

    func save(_ budget: Budget, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE budgets SET limit_usd = \(budget.limit.nanoUSD), limit_tokens = \(budget.limit.tokens),
              limit_calls = \(budget.limit.calls), limit_steps = \(budget.limit.steps),
              period = \(budget.period.rawValue), mode = \(budget.mode.text), soft_percent = \(budget.softPercent),
              updated_at = \(budget.updatedAt), version = \(budget.version), revision = \(budget.revision)
            WHERE id = \(budget.id.text)
            """)
    }

    /// The row stays for a while, so that every replica hears of it.
    func remove(_ id: Identifier<Budget>, at now: Timestamp, revision: Int64, in transaction: Transaction) throws {
        transaction.forget(Self.countName)
        try transaction.run(
            "UPDATE budgets SET removed_at = \(now), revision = \(revision) WHERE id = \(id.text)")
    }

    func purge(removedBefore time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM budgets WHERE id IN (
              SELECT id FROM budgets WHERE removed_at < \(time) ORDER BY id LIMIT \(limit))
            """)
    }

    /// What the budget was for is over.
    func end(_ scope: BudgetScope, at now: Timestamp, in transaction: Transaction) throws {
        try transaction.run(
            "UPDATE budgets SET ended_at = \(now) WHERE scope = \(scope) AND removed_at IS NULL AND ended_at IS NULL")
    }

    /// Those that are over, the first first.
    func ended(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> [Budget] {
        try transaction.rows(
            """
            SELECT * FROM budgets WHERE ended_at IS NOT NULL AND removed_at IS NULL AND ended_at < \(time)
            ORDER BY ended_at LIMIT \(limit)
            """
        ).map(budget)
    }

    func budget(_ scope: BudgetScope, in transaction: Transaction) throws -> Budget? {
        try transaction.first("SELECT * FROM budgets WHERE scope = \(scope) AND removed_at IS NULL").map(budget)
    }

    func budgets(of kind: BudgetScope.Kind?, page: Page, in transaction: Transaction) throws -> [Budget] {
        // Scopes of a kind stand together, as ";" follows ":" in every encoding.
        let (first, end) = kind.map { ("\($0.rawValue)", "\($0.rawValue);") } ?? ("", "~")
        return try transaction.rows(
            """
            SELECT * FROM budgets WHERE removed_at IS NULL AND scope >= \(first) AND scope < \(end)
              AND scope > \(page.after ?? "") ORDER BY scope LIMIT \(page.limit + 1)
            """
        ).map(budget)
    }

    func count(in transaction: Transaction) throws -> Int64 {
        try transaction.remembered(Self.countName) {
            try transaction.first("SELECT COUNT(*) AS count FROM budgets WHERE removed_at IS NULL")?.int("count") ?? 0
        }
    }

    private static let countName = "budgets.count"

    func all(in transaction: Transaction) throws -> [Budget] {
        try transaction.rows("SELECT * FROM budgets WHERE removed_at IS NULL ORDER BY scope").map(budget)
    }

    func budgets(ids: [String], in transaction: Transaction) throws -> [Budget] {
        try chunks(ids) { ids in
            try transaction.rows("SELECT * FROM budgets WHERE removed_at IS NULL AND id IN \(list: ids)").map(budget)
        }
    }

    /// What changed behind a revision, and the ids of what was removed.
    func changes(since revision: Int64, in transaction: Transaction) throws -> (changed: [Budget], removed: [String]) {
        let rows = try transaction.rows("SELECT * FROM budgets WHERE revision > \(revision) ORDER BY revision")
        let removed = rows.filter { $0.optionalTime("removed_at") != nil }.map { $0.text("id") }
        return (rows.filter { $0.optionalTime("removed_at") == nil }.map(budget), removed)
    }

    private func budget(_ row: StoredRow) -> Budget {
        let limit = BudgetLimit(
            nanoUSD: row.optionalInt("limit_usd"), tokens: row.optionalInt("limit_tokens"),
            calls: row.optionalInt("limit_calls"), steps: row.optionalInt("limit_steps"))
        // Words that an older or newer release wrote read as what is strictest.
        return Budget(
            id: row.id("id"), scope: BudgetScope(stored: row.text("scope")), limit: limit,
            period: BudgetPeriod(rawValue: row.text("period")) ?? .total,
            mode: (try? BudgetMode(.string(row.text("mode")), path: "mode")) ?? .strict,
            softPercent: row.int("soft_percent"), createdAt: row.time("created_at"), createdBy: row.text("created_by"),
            updatedAt: row.time("updated_at"), version: row.int("version"), revision: row.int("revision"))
    }

    // MARK: The counter

    func counter(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT counter FROM budget_clock WHERE id = 1")?.int("counter") ?? 0
    }

    /// Moves the counter on: whatever changes with this transaction has its number.
    func tick(in transaction: Transaction) throws -> Int64 {
        try transaction.run(
            """
            INSERT INTO budget_clock (id, counter) VALUES (1, 1)
            ON CONFLICT (id) DO UPDATE SET counter = budget_clock.counter + 1
            """)
        return try counter(in: transaction)
    }
}

/// Runs a query over many keys in portions that every engine takes.
func chunks<Row>(_ keys: [String], _ query: ([String]) throws -> [Row]) throws -> [Row] {
    var rows: [Row] = []
    var rest = keys[...]
    while !rest.isEmpty {
        rows += try query(Array(rest.prefix(500)))
        rest = rest.dropFirst(500)
    }
    return rows
}
