import Kernel

/// Why a provider's numbers are not to be believed as they stand.
struct UsageSuspicion: Sendable, Equatable, JSONConvertible {
    enum Reason: String, Sendable {
        /// Below zero: counted as none.
        case negative
        /// Above ``UsageCounts/tokensMax``: counted as that.
        case huge
        /// A fraction (counted as the next whole number), or a text of digits (counted as the number).
        case notWhole
        /// No number at all: as if it were not there.
        case wrongType
        /// A part is larger than its whole: counted as the whole.
        case partLargerThanWhole
        /// The total is not the sum of its parts, and no known way of counting explains it.
        case totalContradicts
        /// The total has tokens that no field names: counted as reasoning.
        case unnamedTokens
        /// Tokens of another model, which this model's prices do not fit: not counted.
        case otherModel
    }

    let reason: Reason
    /// The provider's name of the field.
    let field: String

    var json: JSONValue { .string("\(field): \(reason.rawValue)") }
}

/// Reads counts out of a provider's `usage`, which may hold anything, and remembers what was odd.
struct UsageCounts {
    /// Tokens of one count: far more than any model takes, few enough that sums cannot overflow.
    static let tokensMax: Int64 = 1 << 40
    /// Uses of one tool in one call.
    static let usesMax: Int64 = 1_000_000
    static let suspicionsMax = 16

    private(set) var suspicions: [UsageSuspicion] = []

    mutating func suspect(_ reason: UsageSuspicion.Reason, _ field: String) {
        let suspicion = UsageSuspicion(reason: reason, field: field)
        guard suspicions.count < Self.suspicionsMax, !suspicions.contains(suspicion) else { return }
        suspicions.append(suspicion)
    }

    func isSuspect(_ field: String) -> Bool { suspicions.contains { $0.field == field } }

    /// The count under a name, between nothing and `max`; `nil` where there is none.
    mutating func count(_ name: String, in object: JSONObject?, max: Int64 = tokensMax) -> Int64? {
        guard let value = object?[name], !value.isNull else { return nil }
        let number: Double
        switch value {
        case .int(let whole): return bounded(whole, name, max)
        case .double(let real): number = real
        case .string(let text):
            guard text.utf8.count <= 18, let whole = Int64(text) else {
                suspect(.wrongType, name)
                return nil
            }
            suspect(.notWhole, name)
            return bounded(whole, name, max)
        default:
            suspect(.wrongType, name)
            return nil
        }
        if number.rounded() != number { suspect(.notWhole, name) }
        // What does not fit, infinities included, is only told by its sign.
        return bounded(Int64(exactly: number.rounded(.up)) ?? (number > 0 ? .max : .min), name, max)
    }

    private mutating func bounded(_ count: Int64, _ name: String, _ max: Int64) -> Int64 {
        if count < 0 {
            suspect(.negative, name)
            return 0
        }
        if count > max {
            suspect(.huge, name)
            return max
        }
        return count
    }

    /// The first of several names for one thing that says more than nothing.
    mutating func first(_ names: [(name: String, object: JSONObject?)]) -> Int64 {
        for (name, object) in names {
            if let count = count(name, in: object), count > 0 { return count }
        }
        return 0
    }

    /// A part cut to what is left of its whole.
    mutating func part(_ count: Int64, of whole: Int64, _ field: String) -> Int64 {
        if count > whole { suspect(.partLargerThanWhole, field) }
        return min(count, whole)
    }
}
