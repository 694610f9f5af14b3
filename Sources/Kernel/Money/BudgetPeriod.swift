/// For how long a budget lasts before it begins anew. Days and months are those of UTC.
public enum BudgetPeriod: String, Sendable, CaseIterable {
    case day, month, total

    static let dayMicroseconds: Int64 = 86_400_000_000

    /// The window that a moment lies in: from `start` up to, but without, `end`.
    public func window(at time: Timestamp) -> (start: Timestamp, end: Timestamp) {
        // Beyond the years 1–9999 nobody's clock is right, and sums of days could overflow.
        let bounded = min(max(time.microseconds, -62_135_596_800_000_000), 253_402_300_799_000_000)
        let days =
            (bounded - (bounded % Self.dayMicroseconds + Self.dayMicroseconds) % Self.dayMicroseconds)
            / Self.dayMicroseconds
        switch self {
        case .total: return (Timestamp(microseconds: 0), .distantFuture)
        case .day: return (Self.midnight(days), Self.midnight(days + 1))
        case .month:
            let date = Timestamp.civil(fromDays: days)
            let next = date.month == 12 ? (date.year + 1, 1) : (date.year, date.month + 1)
            return (
                Self.midnight(Timestamp.days(year: date.year, month: date.month, day: 1)),
                Self.midnight(Timestamp.days(year: next.0, month: next.1, day: 1))
            )
        }
    }

    private static func midnight(_ days: Int64) -> Timestamp { Timestamp(microseconds: days * dayMicroseconds) }
}

/// One turn of one budget. A hold belongs to the window in which it began, however late it is settled.
public struct BudgetWindowKey: Sendable, Hashable {
    public let budgetID: String
    public let period: BudgetPeriod
    public let start: Timestamp

    public init(budgetID: String, period: BudgetPeriod, start: Timestamp) {
        self.budgetID = budgetID
        self.period = period
        self.start = start
    }

    /// The form in tables and in the journal: `budget_…:day:1795132800000000`.
    public var text: String { "\(budgetID):\(period.rawValue):\(start.microseconds)" }

    /// Reads ``text``.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let period = BudgetPeriod(rawValue: String(parts[1])),
            let start = Int64(parts[2])
        else { return nil }
        self.init(budgetID: String(parts[0]), period: period, start: Timestamp(microseconds: start))
    }
}
