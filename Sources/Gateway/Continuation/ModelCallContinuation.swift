import Kernel
import NIOCore

/// Streams that go on at another target where one breaks off (`continuation: true`).
extension ModelCall {
    /// Prepares for it, where the model's settings ask for it and the request can be continued.
    func prepareContinuation() {
        guard let model, model.settings.continuesStreams, record.isStreamed, request.door != .embeddings else { return }
        var context = replyContext
        // What a provider of the caller's dialect says of itself goes on as it came.
        if targets.first.map({ request.door.isNative(to: $0.provider.kind) }) == true { context.model = nil }
        delivered = DeliveredAnswer(dialect, context)
    }

    /// The relay of an attempt whose stream may have to be continued, or continues one.
    func continuableRelay(_ delivered: DeliveredAnswer, _ passage: CallAttempt.Passage) -> any StreamRelay {
        let cursor = hasBegun ? cursor(delivered) : nil
        switch passage {
        case .translated(let provider):
            return ContinuableRelay(delivered, from: provider, passesOn: nil, behind: cursor)
        case .native(let hidesUsage):
            let plain = PlainRelay(dialect, hidesUsage: hidesUsage)
            return ContinuableRelay(delivered, from: dialect, passesOn: plain, behind: cursor)
        }
    }

    private func cursor(_ delivered: DeliveredAnswer) -> ReplayCursor {
        guard attempt?.state.target.canPrefill == true, let parts = Self.prefill(delivered) else {
            return ReplayCursor(delivered)
        }
        return ReplayCursor(behind: parts.spaces)
    }

    /// A stream broke off in the client's sight. Whether another target may go on with it.
    func mayContinue(_ attempt: CallAttempt, _ failure: FailureClass) -> Bool {
        guard let delivered, delivered.canGoOn, answer != nil, failure.course != .caller else { return false }
        if attempt.relay?.progress.hasBegun == true, let usage = record.usage {
            delivered.spent = .init(usage: usage, cost: record.cost)
        }
        return true
    }

    /// The other target answers something else: the client is told, and no further one is asked.
    func diverged() {
        guard let attempt else { return }
        attempt.exchange?.withdraw()
        let now = gateway.world.now
        note(attempt, Self.divergence, at: now)
        // That two models differ is no fault of either.
        attempt.state.record(attempt.permit, .abandoned, at: now)
        self.attempt = nil
        record.target = attempt.state.target.label
        book(attempt)
        let error = DialectError(
            .badGateway, code: "stream_interrupted",
            "The provider's stream broke, and what another one answered differs from what had been sent.")
        _ = endInSight(error, Self.divergence)
    }

    private static let divergence = "stream_diverged"

    /// Ends an answer whose beginning the client has seen with an error event; `false` where none has begun.
    ///
    /// - Parameter relay: the one that writes the stream, where an attempt was under way.
    func endInSight(_ error: DialectError, _ failure: String, _ relay: (any StreamRelay)? = nil) -> Bool {
        guard hasBegun else { return false }
        var relay = relay
        if let answer {
            sendHeldBack()
            answer.write(
                relay?.breakOff(error) ?? ByteBuffer(bytes: delivered?.breakOff(error) ?? error.event(for: dialect)))
            answer.flush()
            answer.finish()
        }
        answer = nil
        record.failure = failure
        end(.failed)
        return true
    }

    // MARK: Prefill

    /// What a target is given to go on with, and the spaces at its end, which are not.
    private static func prefill(_ delivered: DeliveredAnswer) -> (text: String, spaces: String)? {
        guard let text = delivered.textAlone else { return nil }
        let end = text.lastIndex { !$0.isWhitespace }.map(text.index(after:)) ?? text.startIndex
        return end == text.startIndex ? nil : (String(text[..<end]), String(text[end...]))
    }

    /// The request with what was delivered as the beginning of the answer, for targets that go on with such a one
    /// (`prefill: true`); `nil` for others, which get the request as it came.
    func prefilled(for target: ModelTarget) -> JSONValue? {
        guard target.canPrefill, hasBegun, let delivered, let text = Self.prefill(delivered)?.text,
            var document = (try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax))?.object
        else { return nil }
        let begun: JSONValue = ["role": "assistant", "content": .string(text)]
        let name = dialect == .responses ? "input" : "messages"
        switch document[name] {
        case .string(let question)?: document[name] = [["role": "user", "content": .string(question)], begun]
        case .array(let messages)?: document[name] = .array(messages + [begun])
        default: return nil
        }
        return .object(document)
    }
}

extension TokenBuckets {
    /// Both together.
    static func + (left: TokenBuckets, right: TokenBuckets) -> TokenBuckets {
        var sum = right
        for kind in TokenKind.allCases { sum[kind] = left[kind] + right[kind] }
        for (use, count) in left.toolUses { sum.toolUses[use, default: 0] += count }
        return sum
    }
}

extension CallRecord {
    /// Adds what earlier attempts used whose words were delivered.
    mutating func add(_ spent: DeliveredAnswer.Spending?) {
        guard let spent else { return }
        cost = cost.flatMap { cost in spent.cost.map { cost + $0 } }
        guard var usage else { return }
        usage.buckets = spent.usage.buckets + usage.buckets
        usage.isEstimated = usage.isEstimated || spent.usage.isEstimated
        self.usage = usage
    }
}
