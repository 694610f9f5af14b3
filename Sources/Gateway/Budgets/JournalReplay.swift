import Kernel

/// A call that a journal knows of, and whose record may be missing.
public struct ReplayedCall: Sendable, Equatable {
    public let call: String
    public let note: String
    public let amounts: BudgetAmounts
    /// Whether it was in flight, so that nobody knows its cost: it is booked at what it held.
    public let isEstimated: Bool
}

/// Finds out from journals what a process that was killed may have spent beyond what it had reported.
struct JournalReplay {
    private let boot: String
    private let opening: BudgetOpening
    private var names: [Int: BudgetWindowKey] = [:]
    private var open: [Int64: (amounts: BudgetAmounts, windows: [BudgetWindowKey], call: String, note: String)] = [:]
    /// Ends of an incarnation's holds; a hold's line may stand behind its end, as files overlap.
    private var ended: Set<Int64> = []
    private var isSkipping = false
    private var hasBegun = false
    private var incarnation: Int64 = 0

    private(set) var spent: [BudgetWindowKey: BudgetAmounts] = [:]
    private(set) var calls: [ReplayedCall] = []
    /// The highest report that a line names.
    private(set) var sequenceMax: Int64 = 0
    /// Whether lines may be missing that were written: then nobody knows what was spent of the loans.
    private(set) var isWhole = true
    private(set) var warnings: [String] = []
    private(set) var hasFiles = false

    init(boot: String, opening: BudgetOpening) {
        self.boot = boot
        self.opening = opening
    }

    mutating func damage(_ what: String) {
        isWhole = false
        warnings.append(what)
    }

    /// Reads one file. Its end may be torn: a call whose line is not whole was never sent.
    mutating func read(_ bytes: [UInt8], from path: String) {
        names = [:]
        hasBegun = false
        isSkipping = false
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[..<end]
            rest = rest[(end + 1)...]
            guard let fields = Self.checked(line), take(fields) else {
                if isSkipping { return }
                return damage("\(path): a line is damaged, at byte \(line.startIndex)")
            }
        }
        if !rest.isEmpty { warnings.append("\(path): the last line is torn, and its call was never sent") }
    }

    /// The fields of a line with a right checksum.
    static func checked(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
        let content = line.dropFirst(HoldLines.checksumBytes)
        guard content.count > 2, let stated = UInt32(String(decoding: line.prefix(8), as: UTF8.self), radix: 16),
            stated == HoldLines.checksum(content)
        else { return nil }
        return content.dropFirst().split(
            separator: UInt8(ascii: " "), maxSplits: 9, omittingEmptySubsequences: false)
    }

    private mutating func take(_ fields: [ArraySlice<UInt8>]) -> Bool {
        let words = fields.map { String(decoding: $0, as: UTF8.self) }
        guard hasBegun || words[0] == "R" else { return false }
        switch words[0] {
        case "R": return begin(words)
        case "W":
            guard words.count == 3, let number = Int(words[1]), let key = BudgetWindowKey(words[2]) else {
                return false
            }
            names[number] = key
            return true
        case "H": return hold(words)
        case "S": return settle(words)
        default: return false
        }
    }

    private mutating func begin(_ words: [String]) -> Bool {
        guard words.count == 4, let number = Int64(words[2]) else { return false }
        hasBegun = true
        if number != incarnation {
            finish()
            incarnation = number
        }
        isSkipping = words[1] != opening.replica.id || number <= opening.replayed
        hasFiles = hasFiles || !isSkipping
        if !isSkipping, words[3] != (boot.isEmpty ? "-" : boot) {
            damage("the machine was started anew since, so that the journal's end may be missing")
        }
        return true
    }

    private mutating func hold(_ words: [String]) -> Bool {
        guard words.count >= 9, let serial = Int64(words[1]), let amounts = Self.amounts(words[2...5]),
            let windows = windows(words[6])
        else { return false }
        guard !isSkipping, !ended.contains(serial) else { return true }
        let before = open[serial]?.amounts ?? .zero
        // The note has spaces of its own.
        open[serial] = (amounts.upper(before), windows, words[7], words[8...].joined(separator: " "))
        return true
    }

    private mutating func settle(_ words: [String]) -> Bool {
        guard words.count >= 9, let serial = Int64(words[1]), let sequence = Int64(words[2]),
            let amounts = Self.amounts(words[3...6]), let windows = windows(words[7])
        else { return false }
        guard !isSkipping else { return true }
        sequenceMax = max(sequenceMax, sequence)
        open[serial] = nil
        guard ended.insert(serial).inserted else { return true }
        let call = ReplayedCall(
            call: words[8], note: words[9...].joined(separator: " "), amounts: amounts, isEstimated: false)
        // Its money may be booked already and its record not: the two go to the store on ways of their own.
        if sequence > opening.synced { book(call, windows) } else { calls.append(call) }
        return true
    }

    private static func amounts(_ words: ArraySlice<String>) -> BudgetAmounts? {
        let numbers = words.compactMap { Int64($0) }
        guard numbers.count == 4, numbers.allSatisfy({ $0 >= 0 }) else { return nil }
        return BudgetAmounts(nanoUSD: numbers[0], tokens: numbers[1], calls: numbers[2], steps: numbers[3])
    }

    private func windows(_ word: String) -> [BudgetWindowKey]? {
        if word == "-" || isSkipping { return [] }
        let keys = word.split(separator: ",").map { Int($0).flatMap { names[$0] } }
        return keys.contains { $0 == nil } ? nil : keys.compactMap(\.self)
    }

    private mutating func book(_ call: ReplayedCall, _ windows: [BudgetWindowKey]) {
        for window in windows { spent[window, default: .zero] += call.amounts }
        calls.append(call)
    }

    /// Books what was in flight when an incarnation ended. To be called once behind the last file.
    mutating func finish() {
        for serial in open.keys.sorted() {
            guard let hold = open[serial] else { continue }
            book(.init(call: hold.call, note: hold.note, amounts: hold.amounts, isEstimated: true), hold.windows)
        }
        open = [:]
        ended = []
    }

    /// The first report of the new incarnation: all that was spent, and the rest of the loans given back.
    func report() -> BudgetReport? {
        let loans = opening.windows.filter { !$0.granted.isZero }
        var lines: [BudgetWindowKey: BudgetReport.Line] = [:]
        for (key, amounts) in spent {
            lines[key] = .init(key: key, spent: amounts, returned: .zero)
        }
        for loan in loans {
            var line = lines[loan.key] ?? .init(key: loan.key, spent: .zero, returned: .zero)
            // Without a whole journal nobody knows, and what is booked is never below the truth.
            if !isWhole || !hasFiles { line.spent = line.spent.upper(loan.granted) }
            line.returned = (loan.granted - line.spent).clamped
            lines[loan.key] = line
        }
        // Also where nothing was spent: what calls of the old incarnation held is to be taken down.
        guard !lines.isEmpty || hasFiles || opening.replayed + 1 < opening.replica.incarnation else { return nil }
        let sorted = lines.values.sorted { $0.key.text < $1.key.text }
        return BudgetReport(
            sequence: max(opening.synced, sequenceMax) + 1, lines: sorted,
            replayed: opening.replica.incarnation - 1)
    }
}
