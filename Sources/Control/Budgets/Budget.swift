import Kernel

/// What one scope may spend in a day, a month or in all, and how hard that is meant.
public struct Budget: Sendable, Equatable, Identified {
    public static let idPrefix = "budget"

    public let id: Identifier<Budget>
    public let scope: BudgetScope
    public var limit: BudgetLimit
    public var period: BudgetPeriod
    public var mode: BudgetMode
    public var softPercent: Int64
    public let createdAt: Timestamp
    public let createdBy: String
    public var updatedAt: Timestamp
    /// Counts changes of this budget; the `ETag`.
    public var version: Int64
    /// The ledger's counter at its last change.
    public var revision: Int64

    public var etag: String { "\"\(version)\"" }

    public var terms: BudgetTerms {
        BudgetTerms(
            id: id.text, scope: scope, limit: limit, period: period, mode: mode, softPercent: softPercent,
            revision: revision)
    }
}

/// What somebody wants a budget to be; the whole of it, as it replaces what was there.
public struct BudgetDraft: Sendable, Equatable {
    public let limit: BudgetLimit
    public let period: BudgetPeriod
    public let mode: BudgetMode
    public let softPercent: Int64

    public init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["limit", "period", "mode", "softPercent"])
        guard let limit = try fields.optionalFields("limit") else {
            throw Problem.invalid("limit", "it is missing", hint: "Write {\"limit\":{\"usd\":5}}.")
        }
        self.limit = try BudgetLimit(limit)
        period = try fields.optionalChoice("period", BudgetPeriod.self) ?? .total
        mode = try fields.value("mode").map { try BudgetMode($0, path: fields.path("mode")) } ?? .strict
        softPercent =
            try fields.optionalInt("softPercent", in: BudgetTerms.softPercents) ?? BudgetTerms.softPercentDefault
    }

    init(limit: BudgetLimit, period: BudgetPeriod, mode: BudgetMode, softPercent: Int64) {
        (self.limit, self.period, self.mode, self.softPercent) = (limit, period, mode, softPercent)
    }

    /// A strict cap for good.
    init(_ limit: BudgetLimit) {
        self.limit = limit
        period = .total
        mode = .strict
        softPercent = BudgetTerms.softPercentDefault
    }

    func matches(_ budget: Budget) -> Bool {
        limit == budget.limit && period == budget.period && mode == budget.mode && softPercent == budget.softPercent
    }
}

/// A budget with how its window stands, for whoever looks.
public struct BudgetView: Sendable {
    public let budget: Budget
    public let window: (start: Timestamp, end: Timestamp)
    public let settled: BudgetAmounts
    /// What calls in flight hold, on all replicas.
    public let held: BudgetAmounts
    public let breaches: Int64

    /// What is neither settled nor held; nothing below zero, and units without limit stay so.
    public var remaining: BudgetAmounts { (settled + held).left(of: cap).clamped }

    /// What may be spent; of a budget that only observes, what it is measured by.
    public var cap: BudgetAmounts { budget.mode == .observe ? budget.limit.amounts : budget.terms.cap }
    public var fraction: Double { budget.limit.fraction(settled) }
    public var isSoftLimitReached: Bool { budget.limit.isReached(budget.softPercent, by: settled) }
}

extension BudgetView: JSONConvertible {
    public var json: JSONValue {
        let isEndless = budget.period == .total
        return [
            "id": budget.id.json, "scope": budget.scope.json, "limit": budget.limit.json,
            "period": .string(budget.period.rawValue), "mode": .string(budget.mode.text),
            "softPercent": .int(budget.softPercent), "settled": settled.json, "held": held.json,
            "remaining": remaining.json(limitedBy: cap), "usedFraction": .double(fraction),
            "softLimitReached": .bool(isSoftLimitReached), "breaches": .int(breaches),
            "window": [
                "start": isEndless ? .null : window.start.json, "end": isEndless ? .null : window.end.json,
            ], "createdAt": budget.createdAt.json, "createdBy": .string(budget.createdBy),
            "updatedAt": budget.updatedAt.json,
        ]
    }
}
