import Kernel

/// What each attempt of a call cost, so that money that was lost in retries can be traced. Worked out where a record is
/// kept, not on the way of its call.
extension CallRecord {
    /// In the order of ``attempts``; `nil` where nobody knows, as where a provider fell silent and may bill all the
    /// same. Where the call's cost is known, those that are known add up to it.
    public var attemptCosts: [NanoDollars?] {
        var costs = attempts.map { $0.cost ?? ($0.isFree ? .zero : nil) }
        guard let cost else { return costs }
        // The whole may have been booked as no more than was held for it.
        var excess = costs.reduce(Int64(0)) { $0 + ($1?.value ?? 0) } - cost.value
        for index in costs.indices.reversed() where excess > 0 {
            guard let known = costs[index] else { continue }
            let taken = min(excess, known.value)
            costs[index] = NanoDollars(known.value - taken)
            excess -= taken
        }
        return costs
    }

    /// Notes what the last attempt used, by its own price.
    mutating func noteCost(_ cost: NanoDollars?) {
        guard !attempts.isEmpty else { return }
        attempts[attempts.count - 1].cost = cost
    }
}

extension CallRecord.Attempt {
    /// Whether nothing can have been billed: nobody was reached, or the answer was an error.
    fileprivate var isFree: Bool {
        if let status { return !(200..<300).contains(status) }
        return failure == FailureClass.connectionRefused.name
    }
}
