import Kernel

/// One window as this process counts it: what it has borrowed, and what has become of that.
///
/// An object, as holds refer to theirs; it never leaves the book's lock.
final class BudgetWindow {
    let key: BudgetWindowKey
    let end: Timestamp
    /// Its name in the journal, unique in this process.
    let number: Int
    let text: String
    var cap: BudgetAmounts

    /// As the vault has it: borrowed, and not yet booked there as spent.
    var granted = BudgetAmounts.zero
    /// Spent and idle amounts of the report on its way.
    var reported = BudgetAmounts.zero
    var returning = BudgetAmounts.zero
    /// Spent since that report was made up.
    var spent = BudgetAmounts.zero
    var held = BudgetAmounts.zero
    /// Kept back for calls that wait for the rest.
    var earmarked = BudgetAmounts.zero
    var breaches: Int64 = 0
    /// How many holds refer to it.
    var holds = 0

    /// As the vault last said.
    var settledSeen = BudgetAmounts.zero
    var heldElsewhere = BudgetAmounts.zero
    /// Until when somebody waits for what is idle here.
    var wantedUntil = Timestamp(microseconds: 0)
    /// What the vault was told to be held; `nil` where that is uncertain.
    var published: BudgetAmounts? = .zero

    /// Whether everything idle goes back: the budget changed.
    var isTightened = false
    /// A call was refused as it is used up, and the vault was not told.
    var isRefused = false
    /// Whether the vault has written it off, or the budget is gone: nothing counts here any more.
    var isGone = false
    /// The pass in which a waiting call found too little here.
    var blockedIn = 0
    /// Whether it is in the book's list of those to look at.
    var isActive = false

    /// The least that was idle since ``lowSince``.
    var low = BudgetAmounts.zero
    var lowSince: Timestamp
    /// What was spent in about the last two seconds.
    var recent = BudgetAmounts.zero
    var sampledAt: Timestamp

    init(key: BudgetWindowKey, end: Timestamp, number: Int, cap: BudgetAmounts, now: Timestamp) {
        self.key = key
        self.end = end
        self.number = number
        self.cap = cap
        text = key.text
        lowSince = now
        sampledAt = now
    }

    func contains(_ time: Timestamp) -> Bool { key.start <= time && time < end }

    /// What is borrowed and idle; unlimited where the cap is, and negative where a call cost more than it held.
    @inline(__always) var spare: BudgetAmounts {
        (reported + returning + spent + held + earmarked).spare(of: granted, cap)
    }

    /// Whether the vault would refuse so much whatever is given back: only what is spent counts.
    @inline(__always) func isExceeded(by want: BudgetAmounts) -> Bool {
        !(settledSeen + reported + spent + want).fits(cap)
    }

    func hold(_ amounts: BudgetAmounts) {
        held += amounts
        low = low.lower(spare)
    }

    func settle(_ amounts: BudgetAmounts, held before: BudgetAmounts) {
        held -= before
        spent += amounts
        if !amounts.fits(before) { breaches += 1 }
    }

    /// Whether nothing is left to tell the vault.
    var isQuiet: Bool {
        granted.isZero && reported.isZero && returning.isZero && spent.isZero && held.isZero && earmarked.isZero
            && holds == 0 && breaches == 0 && published == .zero && !isRefused && recent.isZero
    }

    /// Takes what was spent into the figure of recent spending, from which the old fades within ``BudgetBounds/idle``.
    func sample(at now: Timestamp) {
        let passed = min(max(0, (now - sampledAt).microseconds), BudgetBounds.idle.microseconds)
        sampledAt = now
        let kept = 1 - Double(passed) / Double(BudgetBounds.idle.microseconds)
        var faded = BudgetAmounts.zero
        for unit in BudgetUnit.allCases where recent[unit] > 0 {
            // A double of so large a number may round up to 2^63, which is no Int64.
            faded[unit] = Int64(exactly: (Double(recent[unit]) * kept).rounded(.down)) ?? recent[unit]
        }
        recent = (faded + spent).limited(by: cap)
    }

    /// What goes back to the vault now.
    func idle(at now: Timestamp) -> BudgetAmounts {
        let left = (granted - (reported + returning + spent + held + earmarked)).clamped
        let spare = left.limited(by: cap)
        // What was borrowed while a unit had a limit that is gone.
        let needless = left - spare
        if now < wantedUntil || isTightened || !contains(now) {
            isTightened = false
            return left
        }
        guard now < lowSince || now - lowSince >= BudgetBounds.idle else { return needless }
        let unused = (low.lower(spare) - recent).clamped.limited(by: cap)
        low = spare - unused
        lowSince = now
        return unused + needless
    }
}

extension BudgetAmounts {
    /// What these leave of a loan, with units that the cap does not limit unlimited.
    @inline(__always) func spare(of granted: BudgetAmounts, _ cap: BudgetAmounts) -> BudgetAmounts {
        let left = granted - self
        let none = BudgetAmounts.noLimit
        return BudgetAmounts(
            nanoUSD: cap.nanoUSD == none ? none : left.nanoUSD, tokens: cap.tokens == none ? none : left.tokens,
            calls: cap.calls == none ? none : left.calls, steps: cap.steps == none ? none : left.steps)
    }
}

/// One budget as this process counts it.
final class BudgetAccount {
    var terms: BudgetTerms
    var current: BudgetWindow?

    init(terms: BudgetTerms) {
        self.terms = terms
    }
}
