/// How hard a budget's limit is.
public enum BudgetMode: Sendable, Hashable {
    /// Not a unit more.
    case strict
    /// So many percent more, and not a unit beyond that.
    case elastic(percent: Int64)
    /// Counts and never refuses.
    case observe

    public static let percents: ClosedRange<Int64> = 1...1_000

    /// Reads `strict`, `observe`, `elastic(20%)`, or `{"elastic": 20}`; errors name `path`.
    public init(_ value: JSONValue, path: String) throws {
        switch value {
        case .string("strict"): self = .strict
        case .string("observe"): self = .observe
        case .string(let text):
            guard text.utf8.count <= 20, text.hasPrefix("elastic("), text.hasSuffix(")") else {
                throw Self.unknown(path)
            }
            let inner = text.dropFirst(8).dropLast()
            self = try Self.elastic(Int64(inner.hasSuffix("%") ? inner.dropLast() : inner), path: path)
        case .object(let object):
            guard object.members.count == 1, let percent = object["elastic"] else { throw Self.unknown(path) }
            self = try Self.elastic(percent.int, path: "\(path)/elastic")
        default: throw Self.unknown(path)
        }
    }

    private static func elastic(_ percent: Int64?, path: String) throws -> BudgetMode {
        guard let percent, percents.contains(percent) else {
            throw Problem.invalid(path, "a whole number of percent from 1 to 1000 is expected")
        }
        return .elastic(percent: percent)
    }

    private static func unknown(_ path: String) -> Problem {
        .invalid(path, "this is no mode of a budget", hint: "Write strict, observe, or elastic(10%).")
    }

    /// The form in documents.
    public var text: String {
        switch self {
        case .strict: "strict"
        case .elastic(let percent): "elastic(\(percent)%)"
        case .observe: "observe"
        }
    }
}

/// What a budget allows in one window; absent units are counted and not limited.
public struct BudgetLimit: Sendable, Hashable {
    public var nanoUSD: Int64?
    public var tokens: Int64?
    public var calls: Int64?
    public var steps: Int64?

    /// Of tokens, calls or steps.
    public static let countMax: Int64 = 1_000_000_000_000_000

    public init(nanoUSD: Int64? = nil, tokens: Int64? = nil, calls: Int64? = nil, steps: Int64? = nil) {
        self.nanoUSD = nanoUSD
        self.tokens = tokens
        self.calls = calls
        self.steps = steps
    }

    /// Reads `{usd, tokens, calls, steps}`, of which one at least must be there; dollars are exact to nine decimals.
    public init(_ fields: Fields) throws {
        try fields.refuseOthers(than: BudgetUnit.allCases.map(\.rawValue))
        let path = fields.path("usd")
        nanoUSD = try fields.value("usd").map { try NanoDollars(dollars: $0, path: path).value }
        tokens = try fields.optionalInt("tokens", in: 0...Self.countMax)
        calls = try fields.optionalInt("calls", in: 0...Self.countMax)
        steps = try fields.optionalInt("steps", in: 0...Self.countMax)
        guard nanoUSD != nil || tokens != nil || calls != nil || steps != nil else {
            throw Problem.invalid(
                "limit", "it limits nothing", hint: "Give usd, tokens, calls or steps, or several of them.")
        }
        guard nanoUSD != .max else { throw Problem.invalid(path, "the number is too large") }
    }

    public var amounts: BudgetAmounts {
        let none = BudgetAmounts.noLimit
        return BudgetAmounts(
            nanoUSD: nanoUSD ?? none, tokens: tokens ?? none, calls: calls ?? none, steps: steps ?? none)
    }

    /// What may be spent in all: with the mode's percents, and unlimited where the budget only observes.
    public func cap(_ mode: BudgetMode) -> BudgetAmounts {
        switch mode {
        case .strict: return amounts
        case .observe: return .unlimited
        case .elastic(let percent):
            var cap = amounts
            for unit in BudgetUnit.allCases where cap[unit] != BudgetAmounts.noLimit {
                let stretched = Int128(cap[unit]) * Int128(100 + percent) / 100
                cap[unit] = Int64(clamping: min(stretched, Int128(BudgetAmounts.noLimit - 1)))
            }
            return cap
        }
    }

    /// The largest share of a limit that is used, 1 for all of it; a limit of nothing is used up.
    public func fraction(_ used: BudgetAmounts) -> Double {
        let limits = amounts
        return BudgetUnit.allCases.reduce(0) { largest, unit in
            guard limits[unit] != BudgetAmounts.noLimit else { return largest }
            return max(largest, limits[unit] == 0 ? 1 : Double(used[unit]) / Double(limits[unit]))
        }
    }

    /// Whether so many percent of a limit are reached in any unit, reckoned exactly.
    public func isReached(_ percent: Int64, by used: BudgetAmounts) -> Bool {
        let limits = amounts
        return BudgetUnit.allCases.contains { unit in
            limits[unit] != BudgetAmounts.noLimit
                && Int128(used[unit]) * 100 >= Int128(limits[unit]) * Int128(percent)
        }
    }
}

extension BudgetLimit: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        if let nanoUSD { object["usd"] = Self.dollars(nanoUSD) }
        if let tokens { object["tokens"] = .int(tokens) }
        if let calls { object["calls"] = .int(calls) }
        if let steps { object["steps"] = .int(steps) }
        return .object(object)
    }

    /// A number where one keeps every digit, and else a text, which is read as well.
    public static func dollars(_ nano: Int64) -> JSONValue {
        let (whole, rest) = nano.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest == 0 { return .int(whole) }
        let text = NanoDollars(nano).dollars
        guard let number = Double(text), (try? ScaledDecimal.scaled(.double(number), digits: 9)) == nano else {
            return .string(text)
        }
        return .double(number)
    }
}

/// A budget as everybody who counts knows it.
public struct BudgetTerms: Sendable, Equatable {
    public let id: String
    public let scope: BudgetScope
    public let limit: BudgetLimit
    public let period: BudgetPeriod
    public let mode: BudgetMode
    /// The percent of the limit at which those who spend are told.
    public let softPercent: Int64
    /// Rises with every change of any budget.
    public let revision: Int64
    /// ``BudgetLimit/cap(_:)``.
    public let cap: BudgetAmounts

    public static let softPercentDefault: Int64 = 80
    public static let softPercents: ClosedRange<Int64> = 1...100

    public init(
        id: String, scope: BudgetScope, limit: BudgetLimit, period: BudgetPeriod, mode: BudgetMode,
        softPercent: Int64 = BudgetTerms.softPercentDefault, revision: Int64
    ) {
        self.id = id
        self.scope = scope
        self.limit = limit
        self.period = period
        self.mode = mode
        self.softPercent = softPercent
        self.revision = revision
        cap = limit.cap(mode)
    }

    public func key(at time: Timestamp) -> BudgetWindowKey {
        BudgetWindowKey(budgetID: id, period: period, start: period.window(at: time).start)
    }
}
