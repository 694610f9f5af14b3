import Kernel

/// The price of a call as it would be today; `nil` where none is known, and the call keeps what it has.
public typealias CallPricing = @Sendable (Call) -> CallCost?

/// What pricing calls anew has changed.
public struct CallRepricing: Sendable, Equatable {
    /// Calls that were looked at.
    public var calls: Int64 = 0
    /// Calls that have another cost or another price since.
    public var changed: Int64 = 0
    /// Calls that used tokens, and that the prices still do not know.
    public var unpriced: Int64 = 0
    /// What they cost before and cost now.
    public var nanoUSDBefore: Int64 = 0
    public var nanoUSDAfter: Int64 = 0
}

extension CallRepricing: JSONConvertible {
    public var json: JSONValue {
        [
            "calls": .int(calls), "changed": .int(changed), "unpriced": .int(unpriced),
            "nanoUSDBefore": .int(nanoUSDBefore), "nanoUSDAfter": .int(nanoUSDAfter),
        ]
    }
}

extension CallService {
    /// Calls of one commit.
    static let repriceMax = 200

    /// Prices the calls of some days anew, a bounded number in each commit, and moves the sums along. What was booked
    /// first stays beside the new cost; budgets keep what they were charged. Calls that are forgotten keep their price
    /// in the sums. It may be run again, also where it broke off.
    public func reprice(
        since: CostDay, until: CostDay, by principal: Principal, storage: any Storage, pricing: @escaping CallPricing
    ) async throws -> CallRepricing {
        var report = CallRepricing()
        var after: String? = CallStore.firstID(at: since.start)
        while let cursor = after {
            let (part, next) = try await storage.write(.soon) { transaction in
                try repriceBatch(after: cursor, before: until.next.start, pricing, in: transaction)
            }
            report.add(part)
            after = next
        }
        let (result, days) = (report, "\(since.text)..\(until.text)")
        try await storage.write { transaction in
            try audit.record("call.repriced", by: principal, target: days, detail: result.json, in: transaction)
            try events.append(
                EventDraft("call.repriced", actor: principal.actor, data: result.json), in: transaction)
        }
        return report
    }

    private func repriceBatch(
        after: String, before: Timestamp, _ pricing: CallPricing, in transaction: Transaction
    ) throws -> (CallRepricing, next: String?) {
        let calls = try store.batch(after: after, before: before, limit: Self.repriceMax, in: transaction)
        var report = CallRepricing()
        var tally = CostTally()
        for call in calls {
            report.calls += 1
            guard let cost = pricing(call) else {
                report.unpriced += call.usage.tokens.total > 0 ? 1 : 0
                report.add(before: call.cost, after: call.cost)
                continue
            }
            let priced = call.repriced(cost, at: world.now)
            report.add(before: call.cost, after: priced.cost)
            guard priced.cost != call.cost else { continue }
            report.changed += 1
            try store.setCost(priced, in: transaction)
            tally.add(CostSums(priced) - CostSums(call), under: call)
        }
        try costs.add(tally, in: transaction)
        return (report, calls.count == Self.repriceMax ? calls.last?.id.text : nil)
    }
}

extension CallRepricing {
    fileprivate mutating func add(before: CallCost?, after: CallCost?) {
        nanoUSDBefore += before?.nanoUSD ?? 0
        nanoUSDAfter += after?.nanoUSD ?? 0
    }

    fileprivate mutating func add(_ part: CallRepricing) {
        calls += part.calls
        changed += part.changed
        unpriced += part.unpriced
        nanoUSDBefore += part.nanoUSDBefore
        nanoUSDAfter += part.nanoUSDAfter
    }
}

extension Call {
    /// The same call at another price. What its attempts cost changes in the same proportion.
    func repriced(_ cost: CallCost, at now: Timestamp) -> Call {
        var call = self
        let cost = CallCost(nanoUSD: Self.money(cost.nanoUSD), priceFrom: cost.priceFrom.map(Self.name))
        if repricedAt == nil { call.bookedCost = self.cost }
        call.cost = cost
        call.repricedAt = now
        guard let old = self.cost?.nanoUSD, old > 0 else { return call }
        call.attempts = attempts.map { attempt in
            var attempt = attempt
            attempt.costNanoUSD = attempt.costNanoUSD.map { part in
                let product = min(part, old).multipliedFullWidth(by: cost.nanoUSD)
                return old.dividingFullWidth(product).quotient
            }
            return attempt
        }
        // What rounding down left over goes to the last that cost anything, so that they still add up.
        let parts = attempts.reduce(Int64(0)) { $0 &+ ($1.costNanoUSD ?? 0) }
        let rest = cost.nanoUSD - call.attempts.reduce(Int64(0)) { $0 &+ ($1.costNanoUSD ?? 0) }
        if parts == old, rest > 0, let last = attempts.lastIndex(where: { ($0.costNanoUSD ?? 0) > 0 }) {
            call.attempts[last].costNanoUSD? += rest
        }
        return call
    }
}
