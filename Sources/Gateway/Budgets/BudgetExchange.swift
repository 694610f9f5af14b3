import Kernel

/// The way to the vault and back, in two halves between which the store works.
extension BudgetBook {
    /// Puts a call in the line of those that wait; `resume` is called once, maybe before this returns.
    ///
    /// - Returns: The number to ``withdraw(_:)`` it by.
    @discardableResult
    func wait(
        _ scopes: [BudgetScope], _ want: BudgetAmounts, call: String = "", note: String = "",
        hold: BudgetHold? = nil, at now: Timestamp, resume: @escaping @Sendable (BudgetGrant) -> Void
    ) -> Int {
        var id = 0
        var refusal: BudgetRefusal?
        serving { state in
            guard state.queue.count < BudgetBounds.waiters, !state.isClosing else {
                refusal = .unavailable(
                    state.isClosing ? "the server is stopping" : "too many calls wait for their budgets")
                return []
            }
            state.now = now
            state.waiterCount += 1
            id = state.waiterCount
            state.queue.append(
                BudgetWaiter(
                    id: id, scopes: scopes, want: want.clamped, call: call, note: note, hold: hold,
                    deadline: now + BudgetBounds.patience, resume: resume))
            return []
        }
        if let refusal { resume(.refused(refusal)) }
        return id
    }

    /// Takes a waiting call out of the line; what is borrowed for it meanwhile serves others.
    func withdraw(_ id: Int) {
        serving { state in
            guard let index = state.queue.firstIndex(where: { $0.id == id }) else { return [] }
            let waiter = state.queue.remove(at: index)
            return [BudgetWakeup(waiter.resume, .refused(.unavailable("the call was given up")))]
        }
    }

    /// Whether somebody waits whom no exchange has asked for yet.
    var hasUnasked: Bool { withState { state in state.isOpen && state.queue.contains { !$0.isTried } } }

    var isOpen: Bool { withState { $0.isOpen } }
    var isExchanging: Bool { withState { $0.isExchanging } }

    /// The first half: what to tell and to ask the vault. `nil` where there is nothing, or an exchange is on its way.
    func beginExchange(at now: Timestamp) -> BudgetMessage? {
        var message: BudgetMessage?
        serving { state in
            guard state.isOpen, !state.isExchanging, let replica = state.replica else { return [] }
            state.now = now
            state.tidy()
            let woken = state.serve()
            var draft = BudgetMessage(replica: replica, now: now, seen: state.seen)
            draft.wishes = state.wishes(at: now)
            let ahead = state.cut(at: now)
            draft.report = state.pending
            for window in state.active where !window.earmarked.isZero {
                draft.apart.append((window.key, window.earmarked))
            }
            draft.ahead = ahead
            state.publish(in: &draft)
            let isLeaseOld =
                now - state.renewedAt >= BudgetBounds.renewal
                && state.windows.values.contains {
                    !$0.granted.isZero
                }
            guard
                draft.report != nil || !draft.wishes.isEmpty || !draft.held.isEmpty || !draft.exhausted.isEmpty
                    || !draft.ahead.isEmpty || isLeaseOld
            else { return woken }
            state.isExchanging = true
            message = draft
            return woken
        }
        return message
    }

    /// The second half, after the vault has answered. Returns whether a report of journals was booked with it.
    @discardableResult
    func finishExchange(_ message: BudgetMessage, _ answer: BudgetAnswer) -> Bool {
        var isReplayed = false
        serving { state in
            state.isExchanging = false
            let asked = state.endAsking()
            guard !answer.isVoid else {
                state.close()
                return []
            }
            state.renewedAt = message.now
            isReplayed = state.pending?.replayed != nil
            state.confirm(message)
            state.learn(answer)
            return state.decide(asked, answer.outcomes)
        }
        return isReplayed
    }

    /// The second half where no answer came. Whether the vault did its part is not known, so the same report is sent
    /// again.
    func failExchange(_ message: BudgetMessage) {
        serving { state in
            state.isExchanging = false
            for (window, _) in state.publishing {
                window.published = nil
                state.activate(window)
            }
            state.publishing = []
            for key in message.exhausted {
                guard let window = state.windows[key] else { continue }
                window.isRefused = true
                state.activate(window)
            }
            _ = state.endAsking()
            return state.refuseLate(at: message.now)
        }
    }

    /// Those whose time is up while nothing can be asked: the vault is not open.
    func refuseLate(at now: Timestamp) {
        serving { state in state.isExchanging ? [] : state.refuseLate(at: now) }
    }

    /// What others changed, from a look that changed nothing. Not while a report's fate is unknown.
    func learn(_ answer: BudgetAnswer) {
        serving { state in
            guard !state.isExchanging, state.pending == nil else { return [] }
            guard !answer.isVoid else {
                state.close()
                return []
            }
            state.learn(answer)
            return []
        }
    }

    /// Whom and since when to look for; `nil` while an exchange is under way or due.
    var lookout: (replica: BudgetReplica, seen: Int64)? {
        withState { state in
            guard state.isOpen, !state.isExchanging, state.pending == nil, let replica = state.replica else {
                return nil
            }
            return (replica, state.seen)
        }
    }
}

extension BudgetState {
    /// What those who wait lack, in their order, with those first whose time is up. What is idle here is set apart for
    /// them meanwhile.
    mutating func wishes(at now: Timestamp) -> [BudgetWish] {
        for waiter in queue where waiter.deadline <= now { waiter.isLast = true }
        let candidates = queue.filter(\.isLast) + queue.filter { !$0.isLast }
        var wishes: [BudgetWish] = []
        for waiter in candidates.prefix(BudgetBounds.wishesTogether) {
            let windows =
                waiter.hold.map { hold in self.hold(hold)?.windows.filter { !$0.isGone } ?? [] }
                ?? self.windows(of: waiter.scopes, at: now)
            guard !windows.isEmpty else { continue }
            waiter.short = []
            let lines = windows.map { window in
                let own = window.spare.lower(waiter.want).limited(by: window.cap)
                if own != waiter.want.limited(by: window.cap) { waiter.short.append(window) }
                // Two replicas that each kept what is too little for either would wait for each other: where others
                // wait too, all that is idle goes back first, and all is asked for.
                if now >= window.wantedUntil || pending != nil { window.earmarked += own }
                activate(window)
                return BudgetWish.Line(key: window.key, block: window.recent)
            }
            waiter.asked = windows
            waiter.isTried = true
            asking.append(waiter)
            let holding = waiter.hold.flatMap { self.hold($0)?.amounts } ?? .zero
            wishes.append(BudgetWish(want: waiter.want, holding: holding, lines: lines, isLast: waiter.isLast))
        }
        return wishes
    }

    /// Makes up a report of all that was spent and is idle, unless one is on its way; returns what to borrow ahead.
    mutating func cut(at now: Timestamp) -> [BudgetWish.Line] {
        var ahead: [BudgetWish.Line] = []
        var lines: [BudgetReport.Line] = []
        for window in active {
            guard !window.isGone else { continue }
            if pending == nil {
                window.sample(at: now)
                let returned = window.idle(at: now)
                if !window.spent.isZero || !returned.isZero || window.breaches != 0 {
                    lines.append(
                        .init(key: window.key, spent: window.spent, returned: returned, breaches: window.breaches))
                    reporting.append(window)
                    window.reported = window.spent
                    window.returning = returned
                    window.spent = .zero
                    window.breaches = 0
                }
            }
            let half = window.recent.half
            if !isClosing, window.contains(now), window.wantedUntil <= now, !half.isZero, !half.fits(window.spare) {
                ahead.append(.init(key: window.key, block: window.recent))
            }
        }
        if pending == nil, !lines.isEmpty || !riders.isEmpty {
            pending = BudgetReport(sequence: nextSequence, lines: lines, riders: riders)
            nextSequence += 1
            riders = []
        }
        return ahead
    }

    /// Tells what is held where that has changed, and which windows refused a call.
    mutating func publish(in message: inout BudgetMessage) {
        publishing = []
        for window in active where !window.isGone {
            if window.published != window.held {
                message.held.append((window.key, window.held))
                publishing.append((window, window.held))
            }
            if window.isRefused {
                message.exhausted.append(window.key)
                window.isRefused = false
            }
        }
    }

    /// Gives back what was set apart for those that an exchange asked for; returns them with their windows.
    mutating func endAsking() -> [(waiter: BudgetWaiter, windows: [BudgetWindow])] {
        defer { asking = [] }
        return asking.map { waiter in
            let windows = waiter.asked ?? []
            waiter.asked = nil
            waiter.short = []
            return (waiter, windows)
        }
    }

    mutating func confirm(_ message: BudgetMessage) {
        for window in reporting {
            window.reported = .zero
            window.returning = .zero
        }
        reporting = []
        pending = nil
        for (window, amounts) in publishing { window.published = amounts }
        publishing = []
    }

    /// Takes over what the vault says.
    mutating func learn(_ answer: BudgetAnswer) {
        // What was read before the last exchange ended is older than what is known.
        guard answer.counter >= seen else { return }
        for terms in answer.terms { adopt(terms) }
        for id in answer.removed { forget(id, revision: answer.counter) }
        for news in answer.windows { learn(news) }
        seen = answer.counter
        // Older words than that come no more.
        if removed.count > BudgetBounds.removed { removed = removed.filter { $0.value > seen } }
    }

    /// Leaves alone the windows that have nothing to tell any more, and forgets those of the past.
    mutating func tidy() {
        active.removeAll { window in
            let isOver = window.isGone || window.isQuiet
            if isOver { window.isActive = false }
            if isOver, !window.contains(now), windows[window.key] === window { windows[window.key] = nil }
            return isOver
        }
    }

    mutating func learn(_ news: BudgetWindowState) {
        guard let scope = scopes[news.key.budgetID], let account = accounts[scope] else { return }
        let isCurrent = news.key == account.terms.key(at: now)
        guard isCurrent || windows[news.key] != nil || !news.granted.isZero else { return }
        let window = window(news.key, account, at: now)
        window.granted = news.granted
        window.settledSeen = news.settled
        window.heldElsewhere = news.heldElsewhere
        window.wantedUntil = news.isWanted ? now + BudgetBounds.patience : Timestamp(microseconds: 0)
        if !window.isQuiet { activate(window) }
    }

    /// Wakes those whose wish was granted or refused for good; the others wait on.
    mutating func decide(
        _ asked: [(waiter: BudgetWaiter, windows: [BudgetWindow])], _ outcomes: [BudgetOutcome]
    ) -> [BudgetWakeup] {
        release(asked)
        var woken: [BudgetWakeup] = []
        var done: Set<Int> = []
        for ((waiter, windows), outcome) in zip(asked, outcomes) {
            guard queue.contains(where: { $0 === waiter }) else { continue }
            let grant: BudgetGrant
            switch outcome {
            case .granted: grant = granted(waiter, windows.filter { !$0.isGone })
            case .exceeded(let key, let unit): grant = .refused(.exceeded(scope(of: key), unit))
            case .inFlight(let key):
                guard waiter.isLast else { continue }
                grant = .refused(
                    .inFlight(scope(of: key), retryAfterSeconds: BudgetBounds.retryAfterSeconds))
            }
            done.insert(waiter.id)
            woken.append(BudgetWakeup(waiter.resume, grant))
        }
        queue.removeAll { done.contains($0.id) }
        return woken
    }

    private func release(_ asked: [(waiter: BudgetWaiter, windows: [BudgetWindow])]) {
        for window in asked.flatMap(\.windows) { window.earmarked = .zero }
    }

    mutating func refuseLate(at now: Timestamp) -> [BudgetWakeup] {
        for window in active { window.earmarked = .zero }
        var woken: [BudgetWakeup] = []
        queue.removeAll { waiter in
            guard waiter.deadline <= now else { return false }
            woken.append(BudgetWakeup(waiter.resume, .refused(.unavailable("the store does not answer"))))
            return true
        }
        return woken
    }
}
