import Kernel

/// What becomes of a call whose client has gone (`disconnect`).
extension ModelCall {
    func clientLeft() {
        guard !hasEnded else { return }
        answer = nil
        // Who has the whole answer hangs up before its provider does: the little that is left tells the usage.
        if attempt?.relay?.progress.isComplete == true { return }
        hasLeft = true
        if staysInBatch() { return }
        if let attempt, isWorthDraining(attempt) { return }
        leave()
    }

    /// More came of an answer that nobody waits for; `false` where the call ends because of what it costs.
    func drainsOn() -> Bool {
        guard hasLeft, let attempt, attempt.relay != nil, !isWorthDraining(attempt) else { return true }
        leave()
        return false
    }

    /// Stops the call, and books what was used until now.
    func leave() {
        if let attempt {
            let now = gateway.world.now
            attempt.exchange?.withdraw()
            note(attempt, nil, at: now)
            attempt.state.record(attempt.permit, .abandoned, at: now)
            record.target = attempt.state.target.label
            book(attempt)
        }
        end(.canceled)
    }

    private func isWorthDraining(_ attempt: CallAttempt) -> Bool {
        switch model?.settings.disconnect ?? .cancel {
        case .cancel: false
        case .drain: true
        // Without a price nobody knows whether it stays below the amount.
        case .drainUpTo(let amount): (expectedCost(attempt) ?? .max) <= amount
        }
    }

    /// What the call has cost until now, as far as can be told; of an answer that comes whole, what it may cost at
    /// most. `nil` where nobody knows.
    private func expectedCost(_ attempt: CallAttempt) -> NanoDollars? {
        let family: UsageDialect = attempt.state.provider.kind == .anthropic ? .anthropic : .openAI
        let input = Int64(record.requestBytes)
        var usage: TokenUsage
        if let progress = attempt.relay?.progress {
            let output = Int64(progress.textBytes)
            usage =
                UsageReader.read(progress.usage, dialect: family)?.cutShort(outputBytes: output)
                ?? .estimated(inputBytes: input, outputBytes: output, dialect: family)
        } else {
            guard let bound = outputLimit else { return nil }
            usage = .estimated(inputBytes: input, outputBytes: 0, dialect: family)
            usage.buckets[.output] = bound
        }
        return attempt.state.price?.cost(of: usage.buckets, at: record.startedAt)
    }
}
