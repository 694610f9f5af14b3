import Kernel
import Telemetry

/// What is summed up over calls, each in a column of its own.
public enum CostField: Int, Sendable, CaseIterable {
    case calls, done, failed, canceled
    /// Calls that a budget refused; they count as failed too.
    case refused
    case input, cacheRead, cacheWrite, output, reasoning
    case nanoUSD
    /// Calls that used tokens whose price is not known: their cost is missing in `nanoUSD`.
    case unpriced
    /// Calls whose usage is a guess.
    case estimated
    /// Money for attempts that failed, of calls that were answered in the end.
    case retryNanoUSD
    /// Money for calls that failed or were canceled.
    case abortedNanoUSD
    /// What cached and shared answers would have cost.
    case savedNanoUSD

    var column: String {
        switch self {
        case .cacheRead: "cache_read"
        case .cacheWrite: "cache_write"
        case .nanoUSD: "nano_usd"
        case .retryNanoUSD: "retry_nano_usd"
        case .abortedNanoUSD: "aborted_nano_usd"
        case .savedNanoUSD: "saved_nano_usd"
        default: "\(self)"
        }
    }
}

/// Sums over calls.
public struct CostSums: Sendable, Equatable {
    private var values = [Int64](repeating: 0, count: CostField.allCases.count)

    /// More than any sum of one day and name: a hundred million dollars. It keeps a sum over many of them from
    /// overflowing in an engine.
    static let valueMax: Int64 = 100_000_000_000_000_000

    public init() {}

    init(_ call: Call) {
        let tokens = call.usage.tokens
        self[.calls] = 1
        self[.done] = call.status == .done ? 1 : 0
        self[.failed] = call.status == .failed ? 1 : 0
        self[.canceled] = call.status == .canceled ? 1 : 0
        self[.refused] = call.refusal == nil ? 0 : 1
        self[.input] = tokens.input
        self[.cacheRead] = tokens.cacheRead
        self[.cacheWrite] = tokens.cacheWrite
        self[.output] = tokens.output
        self[.reasoning] = tokens.reasoning
        self[.nanoUSD] = call.cost?.nanoUSD ?? 0
        self[.unpriced] = call.cost == nil && tokens.total > 0 ? 1 : 0
        self[.estimated] = call.usage.isEstimated ? 1 : 0
        self[.retryNanoUSD] = call.retryNanoUSD
        self[.abortedNanoUSD] = call.status == .done ? 0 : call.cost?.nanoUSD ?? 0
        self[.savedNanoUSD] = call.savedNanoUSD
    }

    init(row: StoredRow) {
        for field in CostField.allCases { self[field] = row.optionalInt(field.column) ?? 0 }
    }

    public subscript(field: CostField) -> Int64 {
        get { values[field.rawValue] }
        set { values[field.rawValue] = min(max(-Self.valueMax, newValue), Self.valueMax) }
    }

    public var isZero: Bool { values.allSatisfy { $0 == 0 } }
    public var tokens: Int64 { self[.input] + self[.cacheRead] + self[.cacheWrite] + self[.output] + self[.reasoning] }
    /// Money that nothing came of.
    public var lostNanoUSD: Int64 { self[.retryNanoUSD] + self[.abortedNanoUSD] }

    static func += (left: inout CostSums, right: CostSums) {
        for field in CostField.allCases where right[field] != 0 { left[field] += right[field] }
    }

    public static func + (left: CostSums, right: CostSums) -> CostSums {
        var sum = left
        sum += right
        return sum
    }

    public static func - (left: CostSums, right: CostSums) -> CostSums {
        var difference = left
        for field in CostField.allCases { difference[field] -= right[field] }
        return difference
    }
}

/// A UTC day, as sums are kept by.
public struct CostDay: Sendable, Hashable, Comparable {
    /// Whole days since 1970-01-01.
    public var number: Int64

    public init(number: Int64) {
        self.number = number
    }

    public init(_ time: Timestamp) {
        let (day, inDay) = time.microseconds.quotientAndRemainder(dividingBy: Self.microseconds)
        number = inDay < 0 ? day - 1 : day
    }

    /// `2026-11-20`, or a time, whose UTC day it is.
    public init?(_ text: String) {
        guard let time = Timestamp(rfc3339: text.utf8.count == 10 ? "\(text)T00:00:00Z" : text) else { return nil }
        self.init(time)
    }

    private static let microseconds: Int64 = 86_400_000_000

    public var start: Timestamp {
        Timestamp(microseconds: number.multipliedReportingOverflow(by: Self.microseconds).partialValue)
    }
    public var next: CostDay { CostDay(number: number == .max ? .max : number + 1) }
    public var text: String { String(start.rfc3339.prefix(10)) }

    public static func < (left: CostDay, right: CostDay) -> Bool { left.number < right.number }
}

/// What sums are kept by: a day, who asked, and one of the call's names.
struct CostKey: Sendable, Hashable {
    enum Kind: String, Sendable, CaseIterable {
        /// Each call once.
        case model
        /// Each call of a task once.
        case task
        /// A call once for each of its tags.
        case tag
    }

    let kind: Kind
    let name: String
    let day: CostDay
    /// Empty where a call has none; so is `project`.
    let agent: String
    let project: String

    /// Every key that a call is summed up under.
    static func all(_ call: Call) -> [CostKey] {
        func key(_ kind: Kind, _ name: String) -> CostKey {
            CostKey(
                kind: kind, name: name, day: CostDay(call.startedAt), agent: call.agent ?? "",
                project: call.project ?? "")
        }
        return [key(.model, call.model)] + (call.taskID.map { [key(.task, $0)] } ?? [])
            + call.tags.map { key(.tag, $0) }
    }
}

/// What a batch of calls adds to the sums.
struct CostTally: Sendable {
    private(set) var sums: [CostKey: CostSums] = [:]

    init() {}

    mutating func add(_ call: Call) { add(CostSums(call), under: call) }

    mutating func add(_ sums: CostSums, under call: Call) {
        // A drill's money is nobody's: its calls tell of it, and its own budget does.
        guard !DrillNames.isOfDrill(model: call.model, agent: call.agent) else { return }
        // In place: the sums of a batch are few, and each call adds to them.
        for key in CostKey.all(call) { self.sums[key, default: CostSums()] += sums }
    }
}
