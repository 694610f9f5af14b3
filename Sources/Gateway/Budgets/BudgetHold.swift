import Kernel

/// What a call holds of its budgets, until it is settled or released. A second end of the same hold counts nothing.
public struct BudgetHold: Sendable, Equatable {
    let slot: Int
    let serial: Int64

    /// Of a call that no budget concerns.
    static let none = BudgetHold(slot: -1, serial: 0)

    /// Whether any budget counts the call.
    public var isCounted: Bool { slot >= 0 }
}

/// Why a call may not begin or go on.
public enum BudgetRefusal: Error, Sendable, Equatable {
    /// It does not fit beside what is spent already: 402.
    case exceeded(BudgetScope, BudgetUnit)
    /// It would fit beside what is spent, but not beside what calls in flight hold: 429.
    case inFlight(BudgetScope, retryAfterSeconds: Int)
    /// What a call holds could not be kept, or the store did not lend in time: 503.
    case unavailable(String)

    public var status: Int {
        switch self {
        case .exceeded: 402
        case .inFlight: 429
        case .unavailable: 503
        }
    }

    /// The budget that is in the way.
    var scope: BudgetScope? {
        switch self {
        case .exceeded(let scope, _), .inFlight(let scope, _): scope
        case .unavailable: nil
        }
    }

    /// For `error.code` of the model interfaces.
    public var code: String {
        switch self {
        case .exceeded: "budget_exceeded"
        case .inFlight: "budget_in_flight"
        case .unavailable: "budget_unavailable"
        }
    }

    public var retryAfterSeconds: Int? {
        switch self {
        case .exceeded: nil
        case .inFlight(_, let seconds): seconds
        case .unavailable: 1
        }
    }

    /// Names the budget and what to do.
    public var message: String {
        switch self {
        case .exceeded(let scope, let unit):
            "The budget of \(scope) has not enough left for this call (\(unit.rawValue)). "
                + "Ask for a smaller answer, or let an operator raise it: PUT /api/v1/budgets/\(scope)."
        case .inFlight(let scope, let seconds):
            "What is left of the budget of \(scope) is held by calls in flight. "
                + "Send the same call again in \(seconds) s, when they have ended."
        case .unavailable(let reason):
            "The budgets of this call cannot be counted at this moment: \(reason). Send it again in a second."
        }
    }
}

/// What came of asking without waiting.
public enum BudgetReservation: Sendable, Equatable {
    case held(BudgetHold)
    case refused(BudgetRefusal)
    /// More has to be borrowed first.
    case mustWait
}

/// How a scope's budget stands, as this process knows it; other replicas' part is as old as a sync.
public struct BudgetStanding: Sendable, Equatable {
    public let scope: BudgetScope
    public let limit: BudgetLimit
    public let period: BudgetPeriod
    public let mode: BudgetMode
    public let settled: BudgetAmounts
    public let held: BudgetAmounts
    /// What is neither settled nor held of the cap; a unit without limit has ``BudgetAmounts/noLimit``.
    public let remaining: BudgetAmounts
    /// The largest settled share of a limit.
    public let fraction: Double
    public let isSoftLimitReached: Bool
    public let windowEnd: Timestamp
}

extension BudgetStanding: JSONConvertible {
    /// As a heartbeat's reply has it: `{scope, limit, period, mode, settled, held, remaining, fraction,
    /// softLimitReached, windowEnd}`.
    public var json: JSONValue {
        var object = JSONObject()
        object.append("scope", scope.json)
        object.append("limit", limit.json)
        object.append("period", .string(period.rawValue))
        object.append("mode", .string(mode.text))
        object.append("settled", settled.json)
        object.append("held", held.json)
        object.append("remaining", remaining.json(limitedBy: limit.amounts))
        object.append("fraction", .double(fraction))
        object.append("softLimitReached", .bool(isSoftLimitReached))
        object.append("windowEnd", windowEnd.json)
        return .object(object)
    }
}

/// Bounds of what budgets keep in memory and on disk.
enum BudgetBounds {
    /// Scopes of one call, its tags among them.
    static let scopesPerCall = 64
    /// Calls that wait for a loan; further ones are refused at once.
    static let waiters = 10_000
    /// Wishes of one exchange.
    static let wishesTogether = 256
    /// Records that wait for the store; with more, nothing new begins.
    static let riders = 50_000
    /// Removed budgets that are remembered before old ones are forgotten.
    static let removed = 1_000
    /// How long a call waits for what others hold or have idle.
    static let patience = Span.seconds(1)
    /// What was not needed for so long goes back.
    static let idle = Span.seconds(2)
    /// A lease with loans is renewed after so long.
    static let renewal = Span.seconds(10)
    static let retryAfterSeconds = 1
}
