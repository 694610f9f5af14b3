import Kernel
import NIOCore
import NIOHTTP1

/// A call in a target's line.
struct PacedCall: Sendable {
    let tokens: Int64
    let loop: any EventLoop
    /// It is its turn; called on any thread. What it sends is counted already.
    let wake: @Sendable (Pacer.Receipt) -> Void
}

/// Calls that wait until their target's limits have room for them: one after the other, and only the first has a timer.
extension TargetState {
    enum Entrance {
        case now(Pacer.Receipt)
        case waiting(PaceLine<PacedCall>.Ticket)
        /// The line is full, or longer than anybody should wait.
        case refused(retryAfter: Span)
    }

    /// - Parameter patience: how long the call may wait at most.
    func enter(_ call: PacedCall, patience: Span) -> Entrance {
        let now = world.now
        let entrance = standing.withLock { standing -> Entrance in
            switch standing.pacer.enqueue(tokens: call.tokens, within: patience, at: now) {
            case .now: .now(standing.pacer.sent(tokens: call.tokens, at: now))
            case .wait: .waiting(standing.line.enter(call))
            case .refuse(let retryAfter): .refused(retryAfter: retryAfter)
            }
        }
        if case .waiting = entrance { serve() }
        return entrance
    }

    /// A call that waits goes away.
    func leave(_ ticket: PaceLine<PacedCall>.Ticket) {
        let hasLeft = standing.withLock { standing in
            guard let call = standing.line.leave(ticket) else { return false }
            standing.pacer.dequeue(tokens: call.tokens)
            return true
        }
        if hasLeft { serve() }
    }

    /// Lets those go for whom there is room, and looks again when there is for the next.
    func serve() {
        let now = world.now
        var woken: [(PacedCall, Pacer.Receipt)] = []
        let next = standing.withLock { standing -> (any EventLoop, Span)? in
            while let (_, call) = standing.line.head() {
                let wait = standing.pacer.waitAtHead(tokens: call.tokens, at: now)
                guard wait == .zero else {
                    let due = now + wait
                    // A timer that is set for no later looks again by itself.
                    if let set = standing.lookAt, set > now, set <= due { return nil }
                    standing.lookAt = due
                    return (call.loop, wait)
                }
                _ = standing.line.leaveHead()
                standing.pacer.dequeue(tokens: call.tokens)
                woken.append((call, standing.pacer.sent(tokens: call.tokens, at: now)))
            }
            standing.lookAt = nil
            return nil
        }
        for (call, receipt) in woken { call.wake(receipt) }
        guard let (loop, wait) = next else { return }
        loop.scheduleTask(in: .microseconds(wait.microseconds + 1)) { self.serve() }
    }

    /// The head of an answer came: what it says of the provider's limits is believed.
    func observe(_ headers: HTTPHeaders, _ receipt: Pacer.Receipt, at now: Timestamp) {
        let limits = RateLimitHeaders(at: now) { headers.first(name: $0) }
        guard !limits.isEmpty else { return }
        let isLineEmpty = standing.withLock { standing in
            standing.pacer.observed(limits, receipt, at: now)
            return standing.line.count == 0
        }
        if !isLineEmpty { serve() }
    }
}

/// A call's place in a line.
struct PlaceInLine {
    let state: TargetState
    let ticket: PaceLine<PacedCall>.Ticket
    let since: Timestamp
}

extension ModelCall {
    /// Tokens that the call counts for at its provider, roughly; what the provider says corrects it.
    var pacedTokens: Int64 { TokenUsage.tokens(bytes: Int64(record.requestBytes)) }

    /// Waits until the target's limits have room.
    func waitInLine(for index: Int) {
        guard targets.indices.contains(index) else { return }
        let state = targets[index]
        let now = gateway.world.now
        let me = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        let call = PacedCall(tokens: pacedTokens, loop: loop) { receipt in
            // It may be woken while it stands itself in line.
            loop.execute { me.value.wake(receipt, for: index) }
        }
        switch state.enter(call, patience: patience(at: now)) {
        case .now(let receipt):
            self.receipt = receipt
            begin(index)
        case .waiting(let ticket):
            place = PlaceInLine(state: state, ticket: ticket, since: now)
            let due = min(NIODeadline.now() + .microseconds(state.queueWait.microseconds), totalDue)
            timer = loop.scheduleTask(deadline: due) { me.value.stoodTooLong() }
        case .refused(let retryAfter): refuseLine(retryAfter)
        }
    }

    private func patience(at now: Timestamp) -> Span {
        guard let model else { return .zero }
        let left = (record.startedAt + model.settings.deadlines.total) - now
        return max(.zero, left)
    }

    private func wake(_ receipt: Pacer.Receipt, for index: Int) {
        guard place != nil, !hasEnded else { return }
        leaveLine()
        self.receipt = receipt
        begin(index)
    }

    private func stoodTooLong() {
        guard place != nil, !hasEnded else { return }
        leaveLine()
        refuseLine(.seconds(1))
    }

    /// Gives the place up, where there is one.
    func leaveLine() {
        guard let place else { return }
        self.place = nil
        timer?.cancel()
        timer = nil
        let span = gateway.world.now - place.since
        waited = waited + span
        record.line = ((record.line?.span ?? .zero) + span, false)
        place.state.leave(place.ticket)
    }

    private func refuseLine(_ retryAfter: Span) {
        record.line = (record.line?.span ?? .zero, true)
        fail(
            DialectError(
                .rateLimit,
                "The provider's limits for `\(record.model)` are used up, and too many calls wait for them already. "
                    + "Come back when Retry-After has passed."), retryAfter)
    }
}
