import Kernel

/// A window as its row keeps it.
struct BudgetWindowRow: Sendable {
    let key: BudgetWindowKey
    let settled: BudgetAmounts
    let breaches: Int64
    let wantedUntil: Timestamp
    let softAt: Timestamp?
    let exhaustedAt: Timestamp?
}

/// What one replica has borrowed of a window, and how much of that its calls hold.
struct BudgetGrantRow: Sendable {
    let replicaID: String
    let windowID: String
    let granted: BudgetAmounts
    let held: BudgetAmounts
}

/// A replica's own row.
struct BudgetReplicaRow: Sendable {
    let id: String
    var incarnation: Int64
    var synced: Int64
    var replayed: Int64
    var leaseUntil: Timestamp
}

/// The only SQL on windows, loans and replicas.
struct BudgetWindowStore: Sendable {
    func windows(ids: [String], in transaction: Transaction) throws -> [BudgetWindowRow] {
        try chunks(ids) { ids in
            try transaction.rows("SELECT * FROM budget_windows WHERE id IN \(list: ids)").compactMap(window)
        }
    }

    /// Those that changed behind a number of the counter.
    func windows(touchedAfter counter: Int64, in transaction: Transaction) throws -> [BudgetWindowRow] {
        try transaction.rows("SELECT * FROM budget_windows WHERE touched > \(counter)").compactMap(window)
    }

    /// Those that began at one of these moments: the ones of now.
    func windows(startingAt times: [Timestamp], in transaction: Transaction) throws -> [BudgetWindowRow] {
        let times = times.map(\.microseconds)
        return try transaction.rows("SELECT * FROM budget_windows WHERE start_at IN \(list: times)").compactMap(window)
    }

    /// What was settled in a budget's windows of one period that began in a span of time.
    func settled(
        _ budgetID: String, _ period: BudgetPeriod, from start: Timestamp, to end: Timestamp,
        in transaction: Transaction
    ) throws -> BudgetAmounts {
        try transaction.rows(
            """
            SELECT * FROM budget_windows WHERE budget_id = \(budgetID) AND period = \(period.rawValue)
              AND start_at >= \(start) AND start_at < \(end)
            """
        ).compactMap(window).reduce(.zero) { $0 + $1.settled }
    }

    func save(_ entry: BudgetLedger.Entry, touched: Int64, in transaction: Transaction) throws {
        let settled = entry.settled
        try transaction.run(
            """
            INSERT INTO budget_windows (id, budget_id, period, start_at, settled_usd, settled_tokens, settled_calls,
              settled_steps, breaches, wanted_until, soft_at, exhausted_at, touched)
            VALUES (\(entry.key.text), \(entry.key.budgetID), \(entry.key.period.rawValue), \(entry.key.start),
              \(settled.nanoUSD), \(settled.tokens), \(settled.calls), \(settled.steps), \(entry.breaches),
              \(entry.wantedUntil), \(entry.softAt), \(entry.exhaustedAt), \(touched))
            ON CONFLICT (id) DO UPDATE SET settled_usd = excluded.settled_usd,
              settled_tokens = excluded.settled_tokens, settled_calls = excluded.settled_calls,
              settled_steps = excluded.settled_steps, breaches = excluded.breaches,
              wanted_until = excluded.wanted_until, soft_at = excluded.soft_at, exhausted_at = excluded.exhausted_at,
              touched = excluded.touched
            """)
    }

    func deleteWindows(of budgetID: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM budget_grants WHERE window_id IN (
              SELECT id FROM budget_windows WHERE budget_id = \(budgetID))
            """)
        try transaction.run("DELETE FROM budget_windows WHERE budget_id = \(budgetID)")
    }

    /// Forgets days and months of long ago; returns how many.
    func purgeWindows(before time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        try transaction.run(
            """
            DELETE FROM budget_windows WHERE id IN (
              SELECT id FROM budget_windows WHERE start_at < \(time) AND period <> 'total'
                AND NOT EXISTS (SELECT 1 FROM budget_grants WHERE window_id = budget_windows.id)
              ORDER BY start_at, id LIMIT \(limit))
            """)
    }

    private func window(_ row: StoredRow) -> BudgetWindowRow? {
        guard let key = BudgetWindowKey(row.text("id")) else { return nil }
        return BudgetWindowRow(
            key: key, settled: amounts(row, "settled"), breaches: row.int("breaches"),
            wantedUntil: row.time("wanted_until"), softAt: row.optionalTime("soft_at"),
            exhaustedAt: row.optionalTime("exhausted_at"))
    }

    private func amounts(_ row: StoredRow, _ name: String) -> BudgetAmounts {
        BudgetAmounts(
            nanoUSD: row.int("\(name)_usd"), tokens: row.int("\(name)_tokens"), calls: row.int("\(name)_calls"),
            steps: row.int("\(name)_steps"))
    }

    // MARK: Loans

    func grants(windowIDs: [String], in transaction: Transaction) throws -> [BudgetGrantRow] {
        try chunks(windowIDs) { ids in
            try transaction.rows("SELECT * FROM budget_grants WHERE window_id IN \(list: ids)").map(grant)
        }
    }

    func grants(replica: String, in transaction: Transaction) throws -> [BudgetGrantRow] {
        try transaction.rows("SELECT * FROM budget_grants WHERE replica_id = \(replica) ORDER BY window_id").map(grant)
    }

    /// Keeps a loan, or forgets it where nothing is left of it.
    func save(
        replica: String, _ entry: BudgetLedger.Entry, in transaction: Transaction
    ) throws {
        let (granted, held, window) = (entry.granted, entry.held, entry.key.text)
        guard !granted.isZero || !held.isZero else {
            try transaction.run(
                "DELETE FROM budget_grants WHERE replica_id = \(replica) AND window_id = \(window)")
            return
        }
        try transaction.run(
            """
            INSERT INTO budget_grants (replica_id, window_id, granted_usd, granted_tokens, granted_calls,
              granted_steps, held_usd, held_tokens, held_calls, held_steps)
            VALUES (\(replica), \(window), \(granted.nanoUSD), \(granted.tokens), \(granted.calls), \(granted.steps),
              \(held.nanoUSD), \(held.tokens), \(held.calls), \(held.steps))
            ON CONFLICT (replica_id, window_id) DO UPDATE SET granted_usd = excluded.granted_usd,
              granted_tokens = excluded.granted_tokens, granted_calls = excluded.granted_calls,
              granted_steps = excluded.granted_steps, held_usd = excluded.held_usd, held_tokens = excluded.held_tokens,
              held_calls = excluded.held_calls, held_steps = excluded.held_steps
            """)
    }

    private func grant(_ row: StoredRow) -> BudgetGrantRow {
        BudgetGrantRow(
            replicaID: row.text("replica_id"), windowID: row.text("window_id"), granted: amounts(row, "granted"),
            held: amounts(row, "held"))
    }

    // MARK: Replicas

    func replica(_ id: String, in transaction: Transaction) throws -> BudgetReplicaRow? {
        try transaction.first("SELECT * FROM budget_replicas WHERE id = \(id)").map(replica)
    }

    /// Those whose lease ran out while they had something borrowed.
    func replicas(lostBefore time: Timestamp, limit: Int, in transaction: Transaction) throws -> [BudgetReplicaRow] {
        try transaction.rows(
            """
            SELECT * FROM budget_replicas WHERE lease_until < \(time)
              AND EXISTS (SELECT 1 FROM budget_grants WHERE replica_id = budget_replicas.id)
            ORDER BY lease_until, id LIMIT \(limit)
            """
        ).map(replica)
    }

    func save(_ row: BudgetReplicaRow, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO budget_replicas (id, incarnation, synced, replayed, lease_until)
            VALUES (\(row.id), \(row.incarnation), \(row.synced), \(row.replayed), \(row.leaseUntil))
            ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, synced = excluded.synced,
              replayed = excluded.replayed, lease_until = excluded.lease_until
            """)
    }

    private func replica(_ row: StoredRow) -> BudgetReplicaRow {
        BudgetReplicaRow(
            id: row.text("id"), incarnation: row.int("incarnation"), synced: row.int("synced"),
            replayed: row.int("replayed"), leaseUntil: row.time("lease_until"))
    }
}
