import Kernel

/// What a session may use altogether: each call holds its part before it is sent, and counts with what it used.
extension ModelCall {
    /// Whose tokens the call counts among; `nil` where it names no session.
    var callerSession: CallerSession? {
        guard !isInner, onEnd == nil, request.door != .countTokens else { return nil }
        return record.session.map { CallerSession(agent: record.agent, keyID: record.keyID, session: $0) }
    }

    /// Finds out first what the session used so far, where a limit is set for it; `false` where that is known.
    func learnsSession(_ orders: CallOrders, then body: @escaping @Sendable (ModelCall) -> Void) -> Bool {
        guard orders.session != nil, let session = callerSession, !gateway.sessions.isKnown(session) else {
            return false
        }
        let gateway = gateway
        later({ await gateway.sessions.read(session) { gateway.tokensWaiting(of: session) } }) { call, isKnown in
            guard !call.hasEnded else { return }
            guard isKnown else { return call.refuse(Self.sessionUnknown(session)) }
            body(call)
        }
        return true
    }

    /// Holds the call's part of what its session may use.
    ///
    /// - Parameters:
    ///   - input: Tokens of what is sent.
    ///   - output: Tokens of one answer at most.
    /// - Returns: Tokens of one answer at most that are left.
    func holdSession(_ limit: CallOrders.Limit, input: Int64, output: Int64) throws -> Int64 {
        guard let session = callerSession else { return output }
        let wish = SessionBook.Wish(
            input: input, output: request.door == .embeddings ? 0 : output, answers: max(1, number("n") ?? 1))
        switch gateway.sessions.reserve(session, call: record.id, wish, limit: limit.tokens) {
        case .held(let left): return left
        case .unknown: throw Self.sessionUnknown(session)
        case .exceeded(let used):
            throw DialectError(
                .permission, code: "session_token_limit",
                "\(limit.by.key) is \(limit.tokens) tokens: \(limit.by.words). The session `\(session.session)` has "
                    + "used \(used), and this call needs about \(input) for what it sends. Nothing was sent. "
                    + "Go on in a new session, send less, or have the limit raised.")
        case .inFlight(let used, let held):
            let seconds = SessionBook.retryAfterSeconds
            moreHeaders.append(("retry-after", String(seconds)))
            throw DialectError(
                .rateLimit, code: "session_tokens_in_flight",
                "\(limit.by.key) is \(limit.tokens) tokens: \(limit.by.words). The session `\(session.session)` has "
                    + "used \(used), and its calls under way hold \(held). Nothing was sent. "
                    + "Send the same call again in \(seconds) s, when they have ended.")
        }
    }

    /// The call is over, and its record handed on.
    func settleSession() {
        guard let session = callerSession else { return }
        gateway.sessions.settle(session, call: record.id, tokens: record.inputTokens + record.outputTokens)
    }

    private static func sessionUnknown(_ session: CallerSession) -> DialectError {
        DialectError(
            .unavailable, code: "session_tokens_unknown",
            "What the session `\(session.session)` used so far cannot be read at this moment, and a limit is set for "
                + "it. Nothing was sent. Send the call again in a second.")
    }
}

extension ModelGateway {
    /// A session's calls that ended and are not kept yet, with their tokens.
    func tokensWaiting(of session: CallerSession) -> [String: Int64] {
        endedCalls { record in
            guard let name = record.session else { return false }
            return CallerSession(agent: record.agent, keyID: record.keyID, session: name) == session
        }.reduce(into: [:]) { $0[$1.id] = $1.inputTokens + $1.outputTokens }
    }
}
