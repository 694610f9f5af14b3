import Kernel

/// The windows that one transaction deals with, and the rules by which it books and lends. No clock, no store.
///
/// What is settled and what is lent never exceed a cap together: that is checked here and nowhere else.
struct BudgetLedger {
    /// How long a window stays wanted after somebody asked in vain.
    static let wantedFor = Span.seconds(1)

    struct Entry: Equatable {
        let key: BudgetWindowKey
        let terms: BudgetTerms
        var settled = BudgetAmounts.zero
        var breaches: Int64 = 0
        var wantedUntil = Timestamp(microseconds: 0)
        var softAt: Timestamp?
        var exhaustedAt: Timestamp?
        /// Of the replica that asks.
        var granted = BudgetAmounts.zero
        var held = BudgetAmounts.zero
        /// Of all others together.
        var lentElsewhere = BudgetAmounts.zero
        var heldElsewhere = BudgetAmounts.zero
        /// Whether a call was refused because the window is used up.
        var isRefused = false

        init(key: BudgetWindowKey, terms: BudgetTerms) {
            self.key = key
            self.terms = terms
        }

        /// What may still be lent; negative where a cap was lowered or a call cost more than it held.
        var room: BudgetAmounts { (settled + granted + lentElsewhere).left(of: terms.cap) }

        func state(at now: Timestamp) -> BudgetWindowState {
            var state = BudgetWindowState(key: key)
            state.settled = settled
            state.granted = granted
            state.heldElsewhere = heldElsewhere
            state.isWanted = wantedUntil > now
            return state
        }
    }

    let now: Timestamp
    var entries: [BudgetWindowKey: Entry]
    /// Windows that an earlier wish of this transaction waits for.
    private var waitedFor: Set<BudgetWindowKey> = []
    /// What the replica has set apart for its wishes, and none of them has taken.
    private var apart: [BudgetWindowKey: BudgetAmounts] = [:]

    init(now: Timestamp, entries: [BudgetWindowKey: Entry]) {
        self.now = now
        self.entries = entries
    }

    /// Books what was spent and takes back what is idle. What cost more than it held is booked in full.
    mutating func book(_ line: BudgetReport.Line) {
        guard let terms = entries[line.key]?.terms else { return }
        change(line.key) { entry in
            entry.settled += line.spent
            entry.granted = (entry.granted - line.spent - line.returned).clamped
            entry.breaches += line.breaches
        }
        // The budget's period was changed while the call ran: it counts in the period of today as well.
        if let other = Self.counterpart(of: line.key, terms) { change(other) { $0.settled += line.spent } }
    }

    /// The window of the budget's present period that an older one's beginning lies in.
    static func counterpart(of key: BudgetWindowKey, _ terms: BudgetTerms) -> BudgetWindowKey? {
        key.period == terms.period ? nil : terms.key(at: key.start)
    }

    /// Takes down what the calls in flight hold. Where a call cost more than it held, the others' holds are covered
    /// again as far as there is room.
    mutating func publish(_ held: BudgetAmounts, of key: BudgetWindowKey) {
        change(key) { entry in
            entry.held = held
            let bare = (held - entry.granted).clamped.limited(by: entry.terms.cap)
            entry.granted += bare.lower(entry.room.clamped)
        }
    }

    mutating func setApart(_ amounts: BudgetAmounts, of key: BudgetWindowKey) { apart[key] = amounts }

    /// Lends what a wish lacks in all its windows, or nothing in any.
    mutating func lend(_ wish: BudgetWish) -> BudgetOutcome {
        let lines = wish.lines.compactMap { line in
            entries[line.key].map { entry in
                let own = (apart[line.key] ?? .zero).lower(wish.want)
                return (line: line, entry: entry, lack: (wish.want - own).limited(by: entry.terms.cap))
            }
        }
        for (line, entry, _) in lines {
            // What the call holds itself is not given back by waiting.
            let whole = wish.holding + wish.want
            guard let unit = (entry.settled + whole).unit(above: entry.terms.cap) else { continue }
            if whole.fits(entry.terms.cap) { change(line.key) { $0.isRefused = true } }
            return .exceeded(line.key, unit)
        }
        // Also behind another one it says where it finds too little, so that its own turn does not begin with waiting.
        let short = lines.filter { !$0.lack.fits($0.entry.room.clamped) }
        let until = now + Self.wantedFor
        for (line, _, _) in short { change(line.key) { $0.wantedUntil = until } }
        if !wish.isLast, let line = wish.lines.first(where: { waitedFor.contains($0.key) }) {
            return .inFlight(line.key)
        }
        guard short.isEmpty else {
            waitedFor.formUnion(short.map(\.line.key))
            return .inFlight(short[0].line.key)
        }
        for (line, entry, lack) in lines {
            apart[line.key, default: .zero] -= wish.want - lack
            take(lack, of: entry, block: line.block)
        }
        return .granted
    }

    /// Lends what will be of use soon, where plenty is left and nobody waits for it.
    mutating func lendAhead(_ line: BudgetWish.Line) {
        guard let entry = entries[line.key] else { return }
        take(.zero, of: entry, block: line.block)
    }

    private mutating func take(_ lack: BudgetAmounts, of entry: Entry, block: BudgetAmounts) {
        var amount = lack
        if entry.wantedUntil <= now {
            amount = amount.upper((lack + block).lower(entry.room.quarter))
        }
        amount = amount.limited(by: entry.terms.cap).clamped
        guard !amount.isZero else { return }
        change(entry.key) { $0.granted += amount }
    }

    private mutating func change(_ key: BudgetWindowKey, _ body: (inout Entry) -> Void) {
        guard var entry = entries[key] else { return }
        body(&entry)
        entries[key] = entry
    }

    /// Notes which limits were passed for the first time in their window.
    mutating func passMarks() -> [(mark: Mark, entry: Entry)] {
        var marks: [(mark: Mark, entry: Entry)] = []
        for key in entries.keys.sorted(by: { $0.text < $1.text }) {
            guard var entry = entries[key] else { continue }
            if entry.softAt == nil, entry.terms.limit.isReached(entry.terms.softPercent, by: entry.settled) {
                entry.softAt = now
                marks.append((.softLimit, entry))
            }
            if entry.exhaustedAt == nil, entry.isRefused || entry.isUsedUp {
                entry.exhaustedAt = now
                marks.append((.exhausted, entry))
            }
            entries[key] = entry
        }
        return marks
    }

    enum Mark: String {
        case softLimit = "budget.soft_limit"
        case exhausted = "budget.exhausted"
    }
}

extension BudgetLedger.Entry {
    /// Whether a unit is used up to the last; of a budget that only observes, whether its limit is reached.
    var isUsedUp: Bool {
        let cap = terms.mode == .observe ? terms.limit.amounts : terms.cap
        return BudgetUnit.allCases.contains { cap[$0] != BudgetAmounts.noLimit && settled[$0] >= cap[$0] }
    }
}
