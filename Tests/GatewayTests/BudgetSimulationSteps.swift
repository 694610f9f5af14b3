import Control
import Kernel
import TestSupport

@testable import Gateway

extension BudgetSimulation {
    // MARK: Refusals

    /// A refusal must be true: beside what is spent there was no room, or beside what was held a moment ago.
    mutating func refused(
        _ index: Int, _ refusal: BudgetRefusal, _ keys: [BudgetWindowKey], _ want: BudgetAmounts,
        growing: Int? = nil
    ) {
        refusals[refusal.code, default: 0] += 1
        note("\(replicas[index].name) refused \(refusal) want \(want.nanoUSD)")
        let silent = replicas.map(\.silentUntil).max() ?? time.now
        guard time.now - troubleAt > .seconds(3), time.now - silent > .seconds(3) else { return }
        judged += 1
        let moments = usage.filter { time.now - $0.at <= .milliseconds(500) }.map(\.used) + [used()]
        let own = growing.flatMap { replicas[index].calls[$0]?.held } ?? .zero
        func isShort(_ amounts: (BudgetWindowKey) -> BudgetAmounts) -> Bool {
            keys.contains { key in
                guard let budget = budgets.values.first(where: { $0.id.text == key.budgetID }) else { return true }
                return !(amounts(key) + want).fits(budget.terms.cap)
            }
        }
        let isHonest: Bool
        switch refusal {
        case .exceeded: isHonest = isShort { key in spent(key) + own }
        case .inFlight: isHonest = moments.contains { used in isShort { used[$0] ?? .zero } }
        // The call that was to grow has ended meanwhile.
        case .unavailable(let reason): isHonest = reason == "the call has ended"
        }
        if !isHonest { lies.append("\(replicas[index].name) \(refusal) want \(want), used \(used())") }
    }

    /// What calls cost in a window, as far as anybody knows.
    func spent(_ key: BudgetWindowKey) -> BudgetAmounts {
        replicas.reduce(.zero) { $0 + ($1.cost[key] ?? .zero).upper($1.booked[key] ?? .zero) }
    }

    func used() -> [BudgetWindowKey: BudgetAmounts] {
        var used: [BudgetWindowKey: BudgetAmounts] = [:]
        for replica in replicas {
            var own = replica.cost
            for call in replica.calls.values {
                for key in call.keys { own[key, default: .zero] += call.held }
            }
            // What was written off covers what its calls still cost and hold.
            for (key, booked) in replica.booked { own[key] = (own[key] ?? .zero).upper(booked) }
            for (key, amounts) in own { used[key, default: .zero] += amounts }
        }
        return used
    }

    // MARK: Replicas

    mutating func start(_ index: Int) async throws {
        let replica = replicas[index]
        note("\(replica.name) start")
        let journal = try HoldJournal(folder: replica.folder, boot: "boot", segmentBytes: 500)
        let book = BudgetBook(journal: journal)
        replicas[index].book = book
        try await open(index)
        // Killed before it could tell what its journal held.
        if !isCalm, happens(15) { try await kill(index) }
    }

    mutating func open(_ index: Int) async throws {
        guard let book = replicas[index].book, let journal = book.journal else { return }
        let opening = try await vault.open(replicas[index].name, at: time.now)
        var replay = journal.read(opening)
        replay.finish()
        guard replay.isWhole else { throw fail("a whole journal looks damaged: \(replay.warnings)") }
        let report = replay.report()
        try journal.begin(opening.replica)
        if report == nil { journal.dropOld() }
        book.open(opening, replay: report, at: time.now)
        replicas[index].isWrittenOff = false
        replicas[index].isLost = false
    }

    /// Ends a process without warning: its memory is gone, its journal is not.
    mutating func kill(_ index: Int) async throws {
        guard replicas[index].book != nil else { return }
        let calls = replicas[index].calls.count
        note("\(replicas[index].name) killed, \(calls) calls, written off \(replicas[index].isWrittenOff)")
        troubleAt = time.now
        replicas[index].book = nil
        replicas[index].waiting = []
        if !replicas[index].isWrittenOff {
            for (keys, held, cost) in replicas[index].unwritten {
                for key in keys { replicas[index].cost[key, default: .zero] += held - cost }
            }
            for call in replicas[index].calls.values {
                for key in call.keys { replicas[index].cost[key, default: .zero] += call.held }
            }
        } else {
            for (key, booked) in replicas[index].booked { replicas[index].cost[key] = booked }
        }
        replicas[index].calls = [:]
        replicas[index].unwritten = []
        // Comes back at once, soon, or after it was written off.
        switch chance.int(in: 0...3) {
        case 0: replicas[index].silentUntil = time.now
        case 1: replicas[index].silentUntil = time.now + .seconds(10)
        default: replicas[index].silentUntil = time.now + .seconds(Int64(chance.int(in: 20...90)))
        }
    }

    /// One round of a replica, with an exchange that may fail before or after it is booked.
    mutating func round(_ index: Int, withFaults: Bool) async throws {
        guard replicas[index].silentUntil <= time.now else { return }
        guard let book = replicas[index].book else { return try await start(index) }
        guard book.isOpen else { return try await open(index) }
        var count = 0
        while count < 20, let message = book.beginExchange(at: time.now) {
            count += 1
            book.journal?.flush()
            replicas[index].unwritten = []
            collect(index)
            let fault = withFaults ? chance.int(in: 0...19) : 99
            if fault == 0 { return failed(index, message) }
            if fault == 1 { return try await kill(index) }
            let answer = try await vault.exchange(message)
            try took(index, message, answer)
            if fault == 2 { return failed(index, message) }
            if fault == 3 { return try await kill(index) }
            if book.finishExchange(message, answer) { book.journal?.dropOld() }
            if answer.isVoid { try lostLoans(index) }
            book.journal?.tidy(booked: book.booked, snapshot: book.snapshot)
            collect(index)
            guard book.hasUnasked else { break }
        }
        guard count == 0, let (who, seen) = book.lookout else { return }
        let answer = try await vault.look(who, since: seen, at: time.now)
        book.learn(answer)
        if answer.isVoid { try lostLoans(index) }
        collect(index)
    }

    private mutating func failed(_ index: Int, _ message: BudgetMessage) {
        note("\(replicas[index].name) exchange failed")
        troubleAt = time.now
        replicas[index].book?.failExchange(message)
        collect(index)
    }

    /// Takes what the vault booked into the model.
    private mutating func took(_ index: Int, _ message: BudgetMessage, _ answer: BudgetAnswer) throws {
        guard !answer.isVoid, let report = message.report, report.sequence > replicas[index].bookedSequence else {
            return
        }
        replicas[index].bookedSequence = report.sequence
        for line in report.lines where ceilings[line.key] != nil {
            replicas[index].booked[line.key, default: .zero] += line.spent
        }
    }

    /// The replica has noticed that its loans were written off: what its calls cost from there is in them.
    private mutating func lostLoans(_ index: Int) throws {
        note("\(replicas[index].name) noticed")
        guard replicas[index].isWrittenOff else { throw fail("\(replicas[index].name) lost its loans for nothing") }
        for (id, call) in replicas[index].calls {
            replicas[index].calls[id] = Call(hold: call.hold, keys: [], held: call.held)
        }
        replicas[index].unwritten = []
        for (key, booked) in replicas[index].booked { replicas[index].cost[key] = booked }
    }

    mutating func writeOff() async throws {
        for index in replicas.indices {
            let name = replicas[index].name
            let lost = try await storage.read { [now = time.now] transaction in
                try transaction.rows(
                    """
                    SELECT g.*, r.lease_until FROM budget_grants g JOIN budget_replicas r ON r.id = g.replica_id
                    WHERE g.replica_id = \(name) AND r.lease_until < \(now)
                    """)
            }
            guard !lost.isEmpty else { continue }
            note("\(name) written off")
            troubleAt = time.now
            replicas[index].isWrittenOff = true
            for row in lost {
                guard let key = BudgetWindowKey(row.text("window_id")) else { continue }
                let granted = Self.amounts(row, "granted")
                guard let ceiling = ceilings[key] else { continue }
                let cost = replicas[index].cost[key] ?? .zero
                let held = replicas[index].calls.values.filter { $0.keys.contains(key) }
                    .reduce(BudgetAmounts.zero) { $0 + $1.held }
                let owed = (cost + held - (replicas[index].booked[key] ?? .zero)).limited(by: ceiling)
                // Beside what calls cost more than they held, what is booked is never below the truth.
                guard owed.fits(granted + (excess[key] ?? .zero)) else {
                    throw fail("\(name) is written off at \(granted) and may have spent \(owed)")
                }
                replicas[index].booked[key, default: .zero] += granted.upper(Self.amounts(row, "held"))
            }
            if replicas[index].book == nil {
                for (key, booked) in replicas[index].booked { replicas[index].cost[key] = booked }
            }
        }
        _ = try await vault.writeOff(at: time.now, limit: 100)
    }

    static func amounts(_ row: StoredRow, _ name: String) -> BudgetAmounts {
        BudgetAmounts(
            nanoUSD: row.int("\(name)_usd"), tokens: row.int("\(name)_tokens"), calls: row.int("\(name)_calls"),
            steps: row.int("\(name)_steps"))
    }

    // MARK: Time and people

    mutating func pass(_ span: Span, every step: Span) async throws {
        let end = time.now + span
        while time.now < end {
            // Who hears of the others only every few seconds cannot know what they have idle.
            if step > .seconds(1) { troubleAt = time.now + step }
            time.advance(by: step)
            raiseCeilings()
            for index in replicas.indices { try await round(index, withFaults: !isCalm && happens(3)) }
            try await writeOff()
            try await check()
        }
    }

    mutating func edit(_ scope: BudgetScope) async throws {
        var limit = BudgetLimit()
        if happens(80) { limit.nanoUSD = Int64(chance.int(in: 0...200)) }
        if happens(30) { limit.tokens = Int64(chance.int(in: 0...400)) }
        if happens(30) || (limit.nanoUSD == nil && limit.tokens == nil) { limit.calls = Int64(chance.int(in: 0...20)) }
        let period = budgets[scope]?.period ?? chance.pick(BudgetPeriod.allCases)
        let mode = chance.pick([BudgetMode.strict, .strict, .strict, .elastic(percent: 20), .observe])
        let draft = try BudgetDraft(
            Fields(
                JSONObject([
                    .init(name: "limit", value: limit.json), .init(name: "period", value: .string(period.rawValue)),
                    .init(name: "mode", value: .string(mode.text)),
                ]), limits: Limits()))
        note("edit \(scope) \(draft.limit.json.text) \(draft.mode.text) \(period.rawValue)")
        troubleAt = time.now
        let service = service
        let budget = try await storage.write { transaction in
            try service.put(scope, draft, ifMatch: nil, by: Self.admin, in: transaction)
        }
        budgets[scope] = budget
        raiseCeilings()
        replicas[chance.int(in: 0...replicas.count - 1)].book?.adopt(budget.terms)
        for index in replicas.indices { collect(index) }
    }

    mutating func remove(_ scope: BudgetScope) async throws {
        guard let budget = budgets[scope] else { return }
        note("remove \(scope)")
        troubleAt = time.now
        let service = service
        try await storage.write { transaction in
            try service.remove(scope, ifMatch: nil, by: Self.admin, in: transaction)
        }
        budgets[scope] = nil
        for key in ceilings.keys where key.budgetID == budget.id.text { ceilings[key] = nil }
        for index in replicas.indices {
            for key in Set(replicas[index].cost.keys).union(replicas[index].booked.keys)
            where key.budgetID == budget.id.text {
                replicas[index].cost[key] = nil
                replicas[index].booked[key] = nil
            }
        }
    }

    mutating func raiseCeilings() {
        for budget in budgets.values {
            let cap = budget.terms.cap
            let now = budget.terms.key(at: time.now)
            for key in Set(ceilings.keys.filter { $0.budgetID == budget.id.text } + [now]) {
                ceilings[key] = (ceilings[key] ?? .zero).upper(cap)
            }
        }
    }
}
