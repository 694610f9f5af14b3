import Kernel
import NIOCore
import Telemetry

/// The money of a call: held before it is sent, held for more while it streams, booked when it ends.
extension ModelCall {
    // MARK: before

    /// Holds what the call may come to, then goes on; or tells the caller why not.
    func hold() {
        guard let clerk = gateway.clerk, request.door != .countTokens, clerk.book.isConcerned else { return decide() }
        if let agent = record.agent, record.project == nil {
            guard let projects = gateway.projects else { return reserve(clerk) }
            if let project = projects.known(agent) {
                record.project = project
            } else {
                return later({ await projects.find(agent) }) { call, project in
                    call.record.project = project
                    call.reserve(clerk)
                }
            }
        }
        reserve(clerk)
    }

    private func reserve(_ clerk: BudgetClerk) {
        guard !hasEnded else { return }
        var purse = CallPurse(bound: bound(), outputTokens: 0)
        purse.scopes = scopes
        purse.outputTokens = purse.bound.outputTokensMax
        if record.isStreamed, let learned = gateway.sizes.withLock({ $0.output(of: record) }) {
            purse.outputTokens = min(purse.bound.outputTokensMax, learned + CallPurse.tokensAhead)
        }
        ask(clerk, purse, isLast: false)
    }

    private func ask(_ clerk: BudgetClerk, _ wanted: CallPurse, isLast: Bool) {
        var purse = wanted
        purse.amounts = purse.amounts(purse.outputTokens, prices, at: record.startedAt)
        let note = CallNote(record).text
        switch clerk.book.reserve(purse.scopes, purse.amounts, call: record.id, note: note, at: gateway.world.now) {
        case .held(let hold): held(hold, purse)
        case .refused(let refusal): refused(refusal, clerk, purse, isLast: isLast)
        case .mustWait:
            let (asked, id) = (purse, record.id)
            later({ () async -> Result<BudgetHold, BudgetRefusal> in
                do throws(BudgetRefusal) {
                    return .success(try await clerk.reserve(asked.scopes, asked.amounts, call: id, note: note))
                } catch {
                    return .failure(error)
                }
            }) { call, result in
                switch result {
                case .success(let hold):
                    if call.hasEnded { clerk.book.release(hold) } else { call.held(hold, asked) }
                case .failure(let refusal): call.refused(refusal, clerk, asked, isLast: isLast)
                }
            }
        }
    }

    private func held(_ hold: BudgetHold, _ purse: CallPurse) {
        guard hold.isCounted else { return decide() }
        var purse = purse
        purse.hold = hold
        purse.counting = gateway.clerk?.book.counted(purse.scopes) ?? []
        self.purse = purse
        decide()
    }

    /// Less may still fit: a stream can be stopped, and a provider be asked for a shorter answer.
    private func refused(_ refusal: BudgetRefusal, _ clerk: BudgetClerk, _ purse: CallPurse, isLast: Bool) {
        guard !hasEnded else { return }
        guard !isLast, case .exceeded(_, let unit) = refusal, unit == .usd || unit == .tokens else {
            return fail(refusal)
        }
        var purse = purse
        purse.bound = tightBound(purse.bound)
        let left = clerk.book.standing(purse.scopes, at: gateway.world.now)
            .filter { $0.mode != .observe }.reduce(BudgetAmounts.unlimited) { $0.lower($1.remaining) }
        let fitting = purse.outputFitting(left, prices, at: record.startedAt) ?? CallPurse.outputTokensLeast
        purse.outputTokens = min(purse.bound.outputTokensMax, fitting)
        if record.isStreamed {
            purse.outputTokens = min(purse.outputTokens, CallPurse.tokensAhead)
        } else if request.door != .embeddings {
            purse.outputTokensAllowed = purse.outputTokens
        }
        ask(clerk, purse, isLast: true)
    }

    private func fail(_ refusal: BudgetRefusal) {
        note(refusal)
        fail(DialectError(refusal), refusal.retryAfterSeconds.map { Span.seconds(Int64($0)) })
    }

    private var prices: [PriceTable?] { targets.map(\.price) }

    /// Whose budgets count the call.
    private var scopes: [BudgetScope] {
        if let model, model.settings.name == gateway.settings.drill?.name { return drillScopes }
        var scopes = [BudgetScope.org, BudgetScope(.project, record.project ?? "default")]
        if let agent = record.agent { scopes.append(BudgetScope(.agent, agent)) }
        if let task = record.task { scopes.append(BudgetScope(.task, task)) }
        if let session = record.session { scopes.append(BudgetScope(.session, session)) }
        scopes.append(BudgetScope(.key, record.keyID))
        for tag in record.tags { scopes.append(BudgetScope(.tag, tag)) }
        return scopes
    }

    /// What a drill's calls cost is the drill's alone: not the organisation's, and nobody's tag's.
    private var drillScopes: [BudgetScope] {
        guard let agent = record.agent, let project = DrillNames.project(of: agent) else { return [] }
        return [BudgetScope(.project, project), BudgetScope(.agent, agent)]
            + (record.task.map { [BudgetScope(.task, $0)] } ?? [])
    }

    // MARK: how large

    /// What the call cannot exceed, by its bytes and its limits.
    private func bound() -> CallBound {
        var bound = CallBound(
            inputTokensMax: CallBound.inputTokensMax(bytes: Int64(request.body.count)),
            outputTokensMax: request.door == .embeddings ? 0 : outputLimit ?? CallPurse.outputTokensAssumed)
        bound.answers = max(1, number("n") ?? 1)
        let isSearching = request.body.withUnsafeBufferPointer { Self.searchMarker.index(in: $0) != nil }
        if isSearching { bound.webSearchesMax = CallPurse.searchesAssumed }
        return bound
    }

    private static let searchMarker = ByteMarker("web_search")

    /// Tokens of one answer at most: as the request has it, else as the model's settings have it.
    var outputLimit: Int64? {
        request.door.limitNames.lazy.compactMap { self.number($0) }.first ?? model?.settings.outputTokensMax
    }

    /// A positive number at the top of the request.
    func number(_ name: String) -> Int64? {
        guard let count = scan?.value(of: name, in: request.door.wanted, request.body)?.int, count > 0 else {
            return nil
        }
        return min(count, UsageCounts.tokensMax)
    }

    /// The same by the bytes of what the model reads, without what only JSON needs.
    private func tightBound(_ bound: CallBound) -> CallBound {
        var bound = bound
        guard request.door != .embeddings,
            let document = try? JSONParser.parse(request.body, depthMax: TopLevelScan.depthMax),
            let asked = try? dialect.readRequest(document)
        else { return bound }
        bound.inputTokensMax = min(bound.inputTokensMax, Int64(TokenEstimate.count(asked, bytesPerToken: 1)))
        return bound
    }

    // MARK: meanwhile

    /// Sees to it that what has streamed is held for, with something ahead. Says `false` where the stream was stopped.
    func coverStream() -> Bool {
        guard var purse, let clerk = gateway.clerk, let attempt, let progress = attempt.relay?.progress else {
            return true
        }
        let seen = progress.outputTokensMost
        guard !purse.isGrowing, seen + CallPurse.tokensAhead / 2 > purse.outputTokens,
            purse.outputTokens < purse.bound.outputTokensMax
        else { return true }
        let target = min(
            purse.bound.outputTokensMax, max(seen, purse.outputTokens) + max(CallPurse.tokensAhead, seen / 4))
        let wanted = purse.amounts(target, prices, at: record.startedAt)
        let more = (wanted - purse.amounts).clamped
        purse.amounts = purse.amounts.upper(wanted)
        purse.outputTokens = target
        switch clerk.book.topUp(purse.hold, by: more) {
        case .held:
            self.purse = purse
        case .refused(let refusal):
            return stopUnlessCovered(refusal)
        case .mustWait:
            self.purse?.isGrowing = true
            attempt.exchange?.pause()
            let (hold, grown) = (purse.hold, purse)
            later({ () async -> BudgetRefusal? in
                do throws(BudgetRefusal) {
                    try await clerk.topUp(hold, by: more)
                    return nil
                } catch {
                    return error
                }
            }) { call, refusal in
                guard !call.hasEnded else { return }
                call.purse?.isGrowing = false
                if let refusal {
                    guard call.stopUnlessCovered(refusal) else { return }
                } else {
                    call.purse = grown
                }
                call.attempt?.exchange?.resume()
            }
        }
        return true
    }

    /// What is held may still suffice for what came; beyond that the stream ends.
    private func stopUnlessCovered(_ refusal: BudgetRefusal) -> Bool {
        guard let attempt, let purse, let progress = attempt.relay?.progress else { return true }
        if progress.outputTokensMost < purse.outputTokens { return true }
        note(refusal)
        stop(attempt, DialectError(refusal), refusal.code)
        return false
    }

    private func note(_ refusal: BudgetRefusal) {
        guard let scope = refusal.scope else { return }
        record.refusal = (scope.description, refusal.code, refusal.message)
    }

    // MARK: afterwards

    /// Books what the call came to. What nobody counted is booked as no more than was held for it.
    func settle() {
        guard let purse, let clerk = gateway.clerk else { return }
        self.purse = nil
        guard let usage = record.usage else { return clerk.book.release(purse.hold) }
        // A share of what the provider told is no guess.
        let isGuess = usage.isEstimated && record.joint?.isTold != true
        if isGuess, let cost = record.cost, cost.value > purse.amounts.nanoUSD {
            record.cost = NanoDollars(purse.amounts.nanoUSD)
        }
        let tokens = usage.buckets.inputTotal + usage.buckets.outputTotal
        let amounts = BudgetAmounts(
            nanoUSD: record.cost?.value ?? 0,
            tokens: isGuess ? min(tokens, purse.amounts.tokens) : tokens, calls: 1, steps: 1)
        clerk.book.settle(purse.hold, amounts, note: CallNote(record).text)
    }

    /// Does something beside the event loop, and goes on here.
    func later<Value: Sendable>(
        _ work: @escaping @Sendable () async -> Value, then body: @escaping @Sendable (ModelCall, Value) -> Void
    ) {
        let me = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        Task {
            let value = await work()
            loop.execute { body(me.value, value) }
        }
    }
}
