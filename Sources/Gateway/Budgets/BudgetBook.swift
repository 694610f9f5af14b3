import Kernel
import Synchronization

/// What the way of a call asks: may it spend so much, and what did it cost. In memory, without waiting, under one lock;
/// the time it takes depends on the scopes of the call and on nothing else.
///
/// It spends only what this replica has borrowed of the ``BudgetVault``. ``BudgetClerk`` goes there; the two together
/// keep settled and held below every cap on all replicas.
public final class BudgetBook: Sendable {
    private let state = Mutex(BudgetState())
    /// Where holds are written before their calls are sent; `nil` in tests that need no file.
    let journal: HoldJournal?

    public init(journal: HoldJournal?) {
        self.journal = journal
    }

    func withState<Value>(_ body: (inout sending BudgetState) -> sending Value) -> sending Value {
        state.withLock { body(&$0) }
    }

    /// Changes the state and wakes whom that serves, outside the lock.
    func serving(_ body: (inout BudgetState) -> [BudgetWakeup]) {
        let woken = state.withLock { state in
            var woken = body(&state)
            woken += state.serve()
            return woken
        }
        for wake in woken { wake() }
    }

    // MARK: A call's way

    /// Holds so much in the budgets of all these scopes, or in none.
    ///
    /// - Parameters:
    ///   - call: The call's id, for the journal: at most ``HoldJournal/callBytesMax`` bytes of it are kept.
    ///   - note: What a record of the call is made from where it does not come to its end; no line breaks.
    public func reserve(
        _ scopes: [BudgetScope], _ want: BudgetAmounts, call: String = "", note: String = "", at now: Timestamp
    ) -> BudgetReservation {
        let want = want.clamped
        let grant: BudgetGrant? = state.withLock { state in
            guard scopes.count <= BudgetBounds.scopesPerCall else {
                return .refused(.unavailable("it has more than \(BudgetBounds.scopesPerCall) scopes"))
            }
            guard state.riders.count < BudgetBounds.riders else {
                return .refused(.unavailable("too many records wait for the store"))
            }
            guard state.isOpen else { return nil }
            state.now = now
            let windows = state.windows(of: scopes, at: now)
            if windows.isEmpty { return .held(.none, nil) }
            var isShort = false
            for window in windows {
                if window.isExceeded(by: want) { return .refused(state.refusal(window, want)) }
                if window.blockedIn == state.pass || !want.fits(window.spare) { isShort = true }
            }
            if isShort { return nil }
            let hold = state.open(windows, want, call: call, note: note)
            return .held(hold, journal == nil ? nil : state.hold(hold)?.line)
        }
        switch grant {
        case .refused(let refusal): return .refused(refusal)
        case .held(let hold, let line):
            if let refusal = record(hold, line) { return .refused(refusal) }
            return .held(hold)
        case nil: return .mustWait
        }
    }

    /// Holds so much more for a call that is under way.
    public func topUp(_ hold: BudgetHold, by more: BudgetAmounts) -> BudgetReservation {
        guard hold.isCounted else { return .held(hold) }
        let more = more.clamped
        let grant: BudgetGrant? = state.withLock { state in
            guard let open = state.hold(hold) else { return .refused(.unavailable("the call has ended")) }
            var isShort = !state.isOpen
            let whole = open.amounts + more
            for window in open.windows where !window.isGone {
                if window.isExceeded(by: whole) { return .refused(state.refusal(window, whole)) }
                if window.blockedIn == state.pass || !more.fits(window.spare) { isShort = true }
            }
            if isShort { return nil }
            state.grow(hold, by: more)
            return .held(hold, journal == nil ? nil : state.hold(hold)?.line)
        }
        switch grant {
        case .refused(let refusal): return .refused(refusal)
        case .held(_, let line):
            if let refusal = record(hold, line, growing: more) { return .refused(refusal) }
            return .held(hold)
        case nil: return .mustWait
        }
    }

    /// Ends a hold with what the call really cost, which may be more than it held only where that could not be
    /// stopped. Never fails and never waits.
    ///
    /// - Parameters:
    ///   - record: Written into the transaction in which the cost is booked.
    ///   - note: Replaces the hold's note in the journal.
    public func settle(
        _ hold: BudgetHold, _ cost: BudgetAmounts, note: String? = nil, record: BudgetRider? = nil
    ) {
        let cost = cost.clamped
        serving { state in
            if let record { state.riders.append(record) }
            guard let open = state.end(hold, costing: cost), let journal else { return [] }
            // Under the lock, so that the report that tells of it is made up behind its line.
            journal.add(
                SettleLine(
                    serial: open.serial, sequence: state.nextSequence, amounts: cost, windows: open.line.windows,
                    call: open.call, note: note ?? open.note))
            return []
        }
    }

    /// Ends a hold whose call cost nothing.
    public func release(_ hold: BudgetHold, note: String? = nil, record: BudgetRider? = nil) {
        settle(hold, .zero, note: note, record: record)
    }

    /// Writes a hold's line; where that fails the call may not be sent, and what it held is free again.
    func record(_ hold: BudgetHold, _ line: HoldLine?, growing more: BudgetAmounts? = nil) -> BudgetRefusal? {
        guard let journal, let line else { return nil }
        do {
            try journal.write(line)
            return nil
        } catch {
            if let more {
                serving { state in
                    state.grow(hold, by: .zero - more)
                    return []
                }
            } else {
                release(hold)
            }
            return .unavailable("the journal of holds cannot be written")
        }
    }

    // MARK: Looking

    /// Whether any budget could count a call; before the budgets are known, each could.
    var isConcerned: Bool { state.withLock { !$0.isOpen || !$0.accounts.isEmpty } }

    /// Those of these scopes that have a budget.
    func counted(_ scopes: [BudgetScope]) -> [BudgetScope] {
        state.withLock { state in scopes.filter { state.accounts[$0] != nil } }
    }

    /// How the budgets of these scopes stand; those without one are left out.
    public func standing(_ scopes: [BudgetScope], at now: Timestamp) -> [BudgetStanding] {
        state.withLock { state in
            scopes.prefix(BudgetBounds.scopesPerCall).compactMap { scope in
                guard let account = state.accounts[scope] else { return nil }
                let terms = account.terms
                let window = state.windows[terms.key(at: now)]
                let settled = window.map { $0.settledSeen + $0.reported + $0.spent } ?? .zero
                let held = window.map { $0.held + $0.heldElsewhere } ?? .zero
                let cap = terms.mode == .observe ? terms.limit.amounts : terms.cap
                return BudgetStanding(
                    scope: scope, limit: terms.limit, period: terms.period, mode: terms.mode, settled: settled,
                    held: held, remaining: (settled + held).left(of: cap).clamped,
                    fraction: terms.limit.fraction(settled),
                    isSoftLimitReached: terms.limit.isReached(terms.softPercent, by: settled),
                    windowEnd: terms.period.window(at: now).end)
            }
        }
    }

    /// Calls that cost more than they held, since the start: each is one that could not be stopped in time.
    public var breaches: Int64 { state.withLock { $0.breaches } }

    /// What the calls in flight hold, each hold once. Takes as long as there are calls.
    var held: BudgetAmounts {
        state.withLock { state in
            state.holds.reduce(.zero) { sum, hold in hold.map { sum + $0.amounts } ?? sum }
        }
    }

    /// Calls in flight and calls that wait for a loan.
    public var counts: (holds: Int, waiting: Int) { state.withLock { ($0.holdCount, $0.queue.count) } }
}

extension BudgetBook: BudgetMemory {
    public func overlay(_ keys: [BudgetWindowKey]) -> BudgetOverlay {
        withState { state in
            var overlay = BudgetOverlay(
                replica: state.replica?.id ?? "", reported: state.pending?.sequence ?? 0, next: state.nextSequence,
                windows: [:])
            for key in keys {
                guard let window = state.windows[key] else { continue }
                overlay.windows[key] = .init(reported: window.reported, spent: window.spent, held: window.held)
            }
            return overlay
        }
    }

    public func adopt(_ terms: BudgetTerms) {
        serving { state in
            state.adopt(terms)
            return []
        }
    }

    public func forget(_ id: String, revision: Int64) {
        serving { state in
            state.forget(id, revision: revision)
            return []
        }
    }
}

extension BudgetState {
    /// Learns of a budget as it is from now on. A narrower cap gives everything idle back first, so that the vault
    /// decides what still fits.
    mutating func adopt(_ terms: BudgetTerms) {
        guard (removed[terms.id] ?? 0) < terms.revision else { return }
        if let account = accounts[terms.scope], account.terms.id == terms.id {
            guard account.terms.revision < terms.revision else { return }
            account.terms = terms
            account.current = nil
            for window in windows.values where window.key.budgetID == terms.id {
                window.cap = terms.cap
                window.isTightened = true
                activate(window)
            }
            return
        }
        if let account = accounts[terms.scope] {
            guard account.terms.revision < terms.revision else { return }
            forget(account.terms.id, revision: terms.revision)
        }
        accounts[terms.scope] = BudgetAccount(terms: terms)
        scopes[terms.id] = terms.scope
    }

    mutating func forget(_ id: String, revision: Int64) {
        removed[id] = max(removed[id] ?? 0, revision)
        for window in windows.values where window.key.budgetID == id {
            window.isGone = true
            windows[window.key] = nil
        }
        if let scope = scopes.removeValue(forKey: id), accounts[scope]?.terms.id == id { accounts[scope] = nil }
    }
}
