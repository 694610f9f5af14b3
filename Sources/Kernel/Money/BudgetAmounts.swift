/// What a budget counts.
public enum BudgetUnit: String, Sendable, CaseIterable {
    case usd, tokens, calls, steps
}

/// So much of each unit; money in billionths of a dollar. Sums saturate and never trap.
public struct BudgetAmounts: Sendable, Hashable {
    public var nanoUSD: Int64
    public var tokens: Int64
    public var calls: Int64
    public var steps: Int64

    public init(nanoUSD: Int64 = 0, tokens: Int64 = 0, calls: Int64 = 0, steps: Int64 = 0) {
        self.nanoUSD = nanoUSD
        self.tokens = tokens
        self.calls = calls
        self.steps = steps
    }

    public static let zero = BudgetAmounts()
    /// What a cap has for a unit without limit.
    public static let noLimit = Int64.max
    public static let unlimited = BudgetAmounts(nanoUSD: noLimit, tokens: noLimit, calls: noLimit, steps: noLimit)

    public subscript(unit: BudgetUnit) -> Int64 {
        get {
            switch unit {
            case .usd: nanoUSD
            case .tokens: tokens
            case .calls: calls
            case .steps: steps
            }
        }
        set {
            switch unit {
            case .usd: nanoUSD = newValue
            case .tokens: tokens = newValue
            case .calls: calls = newValue
            case .steps: steps = newValue
            }
        }
    }

    public var isZero: Bool { self == .zero }

    @inlinable public static func + (left: Self, right: Self) -> Self { left.with(right, saturatedSum) }
    @inlinable public static func - (left: Self, right: Self) -> Self { left.with(right, saturatedDifference) }
    @inlinable public static func += (left: inout Self, right: Self) { left = left + right }
    @inlinable public static func -= (left: inout Self, right: Self) { left = left - right }

    /// The smaller of each.
    public func lower(_ other: Self) -> Self { with(other, Swift.min) }
    /// The larger of each.
    public func upper(_ other: Self) -> Self { with(other, Swift.max) }
    /// Nothing below zero.
    public var clamped: Self { upper(.zero) }
    public var half: Self { with(.zero) { value, _ in value / 2 } }
    public var quarter: Self { with(.zero) { value, _ in value / 4 } }

    /// Whether each is at most as large.
    @inlinable public func fits(_ other: Self) -> Bool {
        nanoUSD <= other.nanoUSD && tokens <= other.tokens && calls <= other.calls && steps <= other.steps
    }

    /// These where the cap has a limit, and zero elsewhere.
    @inlinable public func limited(by cap: Self) -> Self {
        with(cap) { value, cap in cap == Self.noLimit ? 0 : value }
    }

    /// What a cap leaves beside what is used, negative where that is more; unlimited units stay so.
    @inlinable public func left(of cap: Self) -> Self {
        cap.with(self) { cap, used in cap == Self.noLimit ? Self.noLimit : Self.saturatedDifference(cap, used) }
    }

    /// The first unit in which this is more than the other.
    public func unit(above other: Self) -> BudgetUnit? { BudgetUnit.allCases.first { self[$0] > other[$0] } }

    @inlinable
    func with(_ other: Self, _ body: (Int64, Int64) -> Int64) -> Self {
        Self(
            nanoUSD: body(nanoUSD, other.nanoUSD), tokens: body(tokens, other.tokens), calls: body(calls, other.calls),
            steps: body(steps, other.steps))
    }

    @usableFromInline static func saturatedSum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, isOver) = left.addingReportingOverflow(right)
        return isOver ? (right > 0 ? .max : .min) : sum
    }

    @usableFromInline static func saturatedDifference(_ left: Int64, _ right: Int64) -> Int64 {
        let (difference, isOver) = left.subtractingReportingOverflow(right)
        return isOver ? (right < 0 ? .max : .min) : difference
    }
}

extension BudgetAmounts: JSONConvertible {
    public var json: JSONValue {
        ["nanoUSD": .int(nanoUSD), "tokens": .int(tokens), "calls": .int(calls), "steps": .int(steps)]
    }

    /// The same with `null` for units that the cap does not limit.
    public func json(limitedBy cap: Self) -> JSONValue {
        func value(_ unit: BudgetUnit) -> JSONValue { cap[unit] == Self.noLimit ? .null : .int(self[unit]) }
        return [
            "nanoUSD": value(.usd), "tokens": value(.tokens), "calls": value(.calls), "steps": value(.steps),
        ]
    }
}
