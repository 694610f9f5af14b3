import Kernel

/// How a book comes to its loans and loses them.
extension BudgetBook {
    /// Begins to count, with what the vault says and with what journals held of an earlier life.
    func open(_ opening: BudgetOpening, replay: BudgetReport?, at now: Timestamp) {
        serving { state in
            state.open(opening, replay: replay, at: now)
            return []
        }
    }

    /// Everything idle goes back with the next exchange: the process is about to end.
    func tighten() {
        withState { state in
            state.isClosing = true
            for window in state.windows.values {
                window.isTightened = true
                state.activate(window)
            }
        }
    }

    /// Whether the vault knows of all that was spent, and nothing is borrowed but for calls in flight.
    var hasReturnedAll: Bool {
        withState { state in
            !state.isExchanging && state.pending == nil
                && state.windows.values.allSatisfy { $0.isGone || $0.spent.isZero && $0.granted.fits($0.held) }
        }
    }

    /// The open holds, for a new file of the journal, and the report that the next settled call will be in.
    func snapshot() -> (holds: [HoldLine], sequence: Int64) {
        withState { state in (state.holds.compactMap { $0?.line }, state.nextSequence) }
    }

    /// The highest report that is known to be booked.
    var booked: Int64 {
        withState { state in (state.pending?.sequence ?? state.nextSequence) - 1 }
    }
}

extension BudgetState {
    mutating func open(_ opening: BudgetOpening, replay: BudgetReport?, at now: Timestamp) {
        self.now = now
        replica = opening.replica
        isOpen = true
        seen = opening.counter
        renewedAt = now
        let known = Set(opening.terms.map(\.id))
        for id in scopes.keys where !known.contains(id) { forget(id, revision: 0) }
        for terms in opening.terms { adopt(terms) }
        for news in opening.windows { learn(news) }
        // Riders of a report that was booked are written; the others still have to be.
        if let orphans, orphans.sequence > opening.synced { riders = orphans.riders + riders }
        orphans = nil
        nextSequence = max(nextSequence, opening.synced + 1, replay?.sequence ?? 1)
        guard var replay else { return }
        replay.sequence = nextSequence
        nextSequence += 1
        // Until that is booked nothing is idle here: all of the old loans is spoken for.
        for line in replay.lines {
            guard let window = windows[line.key] else { continue }
            window.reported = line.spent
            window.returning = line.returned
            reporting.append(window)
            activate(window)
        }
        pending = replay
    }

    /// Counts nothing any more until it is opened anew: what was borrowed is booked as spent already, and with it
    /// whatever open holds will cost.
    mutating func close() {
        isOpen = false
        for window in windows.values {
            window.isGone = true
            window.isActive = false
        }
        windows = [:]
        active = []
        reporting = []
        publishing = []
        for account in accounts.values { account.current = nil }
        if let pending { orphans = (pending.sequence, (orphans?.riders ?? []) + pending.riders) }
        pending = nil
    }
}
