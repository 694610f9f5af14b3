import Kernel

/// The vault of budgets in the store. Changes run one after the other on all replicas, so a transaction that looks
/// before it lends needs no locks of its own.
public struct StoredBudgetVault: BudgetVault {
    /// How long a replica may be silent before what it borrowed counts as spent.
    public static let lease = Span.seconds(30)

    private let storage: any Storage
    private let store = BudgetStore()
    private let windows = BudgetWindowStore()
    private let events: Events

    public init(storage: any Storage, events: Events) {
        self.storage = storage
        self.events = events
    }

    // MARK: The way in

    public func open(_ id: String, at now: Timestamp) async throws -> BudgetOpening {
        try await storage.write { transaction in
            var row =
                try windows.replica(id, in: transaction)
                ?? BudgetReplicaRow(id: id, incarnation: 0, synced: 0, replayed: 0, leaseUntil: now)
            let isWrittenOff = row.incarnation > 0 && row.replayed >= row.incarnation
            row.incarnation += 1
            row.leaseUntil = now + Self.lease
            try windows.save(row, in: transaction)
            let terms = try store.all(in: transaction).map(\.terms)
            let starts = Set(BudgetPeriod.allCases.map { $0.window(at: now).start })
            let own = try windows.grants(replica: id, in: transaction).map(\.windowID)
            var rows = try windows.windows(startingAt: Array(starts), in: transaction)
            let known = Set(rows.map(\.key.text))
            rows += try windows.windows(ids: own.filter { !known.contains($0) }, in: transaction)
            return BudgetOpening(
                replica: BudgetReplica(id: id, incarnation: row.incarnation), synced: row.synced,
                replayed: row.replayed, isWrittenOff: isWrittenOff, counter: try store.counter(in: transaction),
                terms: terms, windows: try states(rows, for: id, at: now, in: transaction))
        }
    }

    // MARK: Looking

    public func look(_ replica: BudgetReplica, since seen: Int64, at now: Timestamp) async throws -> BudgetAnswer {
        try await storage.read { transaction in
            let counter = try store.counter(in: transaction)
            guard counter > seen else { return BudgetAnswer(counter: counter) }
            return try answer(replica, since: seen, counter: counter, at: now, in: transaction)
        }
    }

    /// What changed behind a number of the counter.
    private func answer(
        _ replica: BudgetReplica, since seen: Int64, counter: Int64, at now: Timestamp, in transaction: Transaction
    ) throws -> BudgetAnswer {
        var answer = BudgetAnswer(counter: counter)
        answer.isVoid = !isValid(try windows.replica(replica.id, in: transaction), replica)
        let (changed, removed) = try store.changes(since: seen, in: transaction)
        answer.terms = changed.map(\.terms)
        answer.removed = removed
        let rows = try windows.windows(touchedAfter: seen, in: transaction)
        answer.windows = try states(rows, for: replica.id, at: now, in: transaction)
        return answer
    }

    private func isValid(_ row: BudgetReplicaRow?, _ replica: BudgetReplica) -> Bool {
        guard let row else { return false }
        return row.incarnation == replica.incarnation && row.replayed < row.incarnation
    }

    private func states(
        _ rows: [BudgetWindowRow], for replica: String, at now: Timestamp, in transaction: Transaction
    ) throws -> [BudgetWindowState] {
        let grants = Dictionary(
            grouping: try windows.grants(windowIDs: rows.map(\.key.text), in: transaction), by: \.windowID)
        return rows.map { row in
            var state = BudgetWindowState(key: row.key)
            state.settled = row.settled
            state.isWanted = row.wantedUntil > now
            for grant in grants[row.key.text] ?? [] {
                if grant.replicaID == replica {
                    state.granted = grant.granted
                } else {
                    state.heldElsewhere += grant.held
                }
            }
            return state
        }
    }

    // MARK: Booking and lending

    public func exchange(_ message: BudgetMessage) async throws -> BudgetAnswer {
        try await storage.write { transaction in
            guard var row = try windows.replica(message.replica.id, in: transaction), isValid(row, message.replica)
            else {
                var answer = BudgetAnswer(counter: message.seen)
                answer.isVoid = true
                return answer
            }
            let report = message.report.flatMap { $0.sequence > row.synced ? $0 : nil }
            var message = message
            if report?.replayed != nil {
                // Calls of the incarnation that is over hold nothing any more.
                let old = try windows.grants(replica: row.id, in: transaction)
                message.held = old.compactMap { BudgetWindowKey($0.windowID) }.map { ($0, .zero) } + message.held
            }
            let before = try entries(message, report, in: transaction)
            var ledger = BudgetLedger(now: message.now, entries: before)
            for line in report?.lines ?? [] { ledger.book(line) }
            for (key, amounts) in message.held { ledger.publish(amounts, of: key) }
            for key in message.exhausted { ledger.entries[key]?.isRefused = true }
            for (key, amounts) in message.apart { ledger.setApart(amounts, of: key) }
            let outcomes = message.wishes.map { ledger.lend($0) }
            for line in message.ahead { ledger.lendAhead(line) }
            for (mark, entry) in ledger.passMarks() { try tell(mark, entry, in: transaction) }
            row.synced = report?.sequence ?? row.synced
            row.replayed = report?.replayed ?? row.replayed
            row.leaseUntil = message.now + Self.lease
            try windows.save(row, in: transaction)
            try save(ledger, before, for: message.replica.id, in: transaction)
            try ride(report?.riders ?? [], in: transaction)
            let counter = try store.counter(in: transaction)
            var answer = try answer(
                message.replica, since: message.seen, counter: counter, at: message.now, in: transaction)
            answer.outcomes = outcomes
            return answer
        }
    }

    /// The windows that a message is about, as they stand. Those of budgets that are gone are left out, and with them
    /// what was spent there: nobody counts it any more.
    private func entries(
        _ message: BudgetMessage, _ report: BudgetReport?, in transaction: Transaction
    ) throws -> [BudgetWindowKey: BudgetLedger.Entry] {
        var keys = Set((report?.lines ?? []).map(\.key))
        keys.formUnion(message.held.map(\.key))
        keys.formUnion(message.exhausted)
        keys.formUnion(message.ahead.map(\.key))
        for wish in message.wishes { keys.formUnion(wish.lines.map(\.key)) }
        let terms = Dictionary(
            try store.budgets(ids: Array(Set(keys.map(\.budgetID))).sorted(), in: transaction)
                .map { ($0.id.text, $0.terms) }, uniquingKeysWith: { first, _ in first })
        for line in report?.lines ?? [] {
            guard let terms = terms[line.key.budgetID] else { continue }
            if let other = BudgetLedger.counterpart(of: line.key, terms) { keys.insert(other) }
        }
        var entries: [BudgetWindowKey: BudgetLedger.Entry] = [:]
        for key in keys {
            guard let terms = terms[key.budgetID] else { continue }
            entries[key] = BudgetLedger.Entry(key: key, terms: terms)
        }
        try fill(&entries, for: message.replica.id, in: transaction)
        return entries
    }

    private func fill(
        _ entries: inout [BudgetWindowKey: BudgetLedger.Entry], for replica: String, in transaction: Transaction
    ) throws {
        let ids = entries.keys.map(\.text).sorted()
        for row in try windows.windows(ids: ids, in: transaction) {
            entries[row.key]?.settled = row.settled
            entries[row.key]?.breaches = row.breaches
            entries[row.key]?.wantedUntil = row.wantedUntil
            entries[row.key]?.softAt = row.softAt
            entries[row.key]?.exhaustedAt = row.exhaustedAt
        }
        for grant in try windows.grants(windowIDs: ids, in: transaction) {
            guard let key = BudgetWindowKey(grant.windowID) else { continue }
            if grant.replicaID == replica {
                entries[key]?.granted = grant.granted
                entries[key]?.held = grant.held
            } else {
                entries[key]?.lentElsewhere += grant.granted
                entries[key]?.heldElsewhere += grant.held
            }
        }
    }

    private func save(
        _ ledger: BudgetLedger, _ before: [BudgetWindowKey: BudgetLedger.Entry], for replica: String,
        in transaction: Transaction
    ) throws {
        let changed = ledger.entries.values.filter { $0 != before[$0.key] }.sorted { $0.key.text < $1.key.text }
        guard !changed.isEmpty else { return }
        let touched = try store.tick(in: transaction)
        for entry in changed {
            try windows.save(entry, touched: touched, in: transaction)
            let old = before[entry.key]
            if entry.granted != old?.granted || entry.held != old?.held {
                try windows.save(replica: replica, entry, in: transaction)
            }
        }
    }

    /// Runs what goes with the report. What one of them may not write is left out, and what the store cannot write
    /// fails the whole: a single bad record would else keep every budget from being booked.
    private func ride(_ riders: [BudgetRider], in transaction: Transaction) throws {
        for rider in riders {
            do {
                try transaction.part { try rider(transaction) }
            } catch StorageFault.constraint, is Problem {
                continue
            }
        }
    }

    private func tell(_ mark: BudgetLedger.Mark, _ entry: BudgetLedger.Entry, in transaction: Transaction) throws {
        let terms = entry.terms
        let data: JSONValue = [
            "scope": terms.scope.json, "limit": terms.limit.json, "period": .string(terms.period.rawValue),
            "mode": .string(terms.mode.text), "windowStart": entry.key.start.json, "settled": entry.settled.json,
            "softPercent": .int(terms.softPercent),
        ]
        try events.append(EventDraft(terms.scope, mark.rawValue, actor: Principal.system.actor, data), in: transaction)
    }

    // MARK: Those who do not come back

    /// Books what replicas had borrowed that have been silent for too long: nobody knows what they spent of it, so all
    /// of it counts as spent. Returns how many there were.
    public func writeOff(at now: Timestamp, limit: Int) async throws -> Int {
        guard try await storage.read({ try !windows.replicas(lostBefore: now, limit: 1, in: $0).isEmpty }) else {
            return 0
        }
        return try await storage.write { transaction in
            let lost = try windows.replicas(lostBefore: now, limit: limit, in: transaction)
            for row in lost { try writeOff(row, at: now, in: transaction) }
            return lost.count
        }
    }

    private func writeOff(_ replica: BudgetReplicaRow, at now: Timestamp, in transaction: Transaction) throws {
        let loans = try windows.grants(replica: replica.id, in: transaction).compactMap { grant in
            BudgetWindowKey(grant.windowID).map { (key: $0, amounts: grant.granted.upper(grant.held)) }
        }
        var message = BudgetMessage(
            replica: BudgetReplica(id: replica.id, incarnation: replica.incarnation), now: now, seen: 0)
        message.report = BudgetReport(
            sequence: replica.synced + 1,
            lines: loans.map { BudgetReport.Line(key: $0.key, spent: $0.amounts, returned: .zero) })
        let before = try entries(message, message.report, in: transaction)
        var ledger = BudgetLedger(now: now, entries: before)
        for line in message.report?.lines ?? [] { ledger.book(line) }
        for loan in loans { ledger.publish(.zero, of: loan.key) }
        for (mark, entry) in ledger.passMarks() { try tell(mark, entry, in: transaction) }
        try save(ledger, before, for: replica.id, in: transaction)
        var row = replica
        row.replayed = replica.incarnation
        try windows.save(row, in: transaction)
        let sum = (message.report?.lines ?? []).map { line -> JSONValue in
            ["scope": .of(before[line.key]?.terms.scope), "amounts": line.spent.json]
        }
        let data: JSONValue = ["replica": .string(replica.id), "budgets": .array(sum)]
        try events.append(
            EventDraft("budget.written_off", actor: Principal.system.actor, data: data), in: transaction)
    }
}

extension EventDraft {
    /// An event about a budget, told to whom it concerns.
    init(_ scope: BudgetScope, _ type: String, actor: String, _ data: JSONValue) {
        self.init(
            type, actor: actor, project: scope.kind == .project ? scope.name : nil,
            agent: scope.kind == .agent ? scope.name : nil, data: data)
    }
}
