import Kernel

/// A call's hold while it is open.
struct OpenHold {
    let serial: Int64
    let at: Timestamp
    var amounts: BudgetAmounts
    let windows: [BudgetWindow]
    let call: String
    let note: String

    var line: HoldLine {
        HoldLine(
            serial: serial, amounts: amounts,
            windows: windows.filter { !$0.isGone }.map { .init(number: $0.number, text: $0.text) }, call: call,
            note: note)
    }
}

/// A call that waits for a loan.
final class BudgetWaiter {
    let id: Int
    let scopes: [BudgetScope]
    let want: BudgetAmounts
    let call: String
    let note: String
    /// The hold that is to grow; `nil` where one is to begin.
    let hold: BudgetHold?
    let deadline: Timestamp
    let resume: @Sendable (BudgetGrant) -> Void

    /// While an exchange asks for it.
    var asked: [BudgetWindow]?
    /// Those of them that had too little.
    var short: [BudgetWindow] = []
    var isLast = false
    var isTried = false

    init(
        id: Int, scopes: [BudgetScope], want: BudgetAmounts, call: String, note: String, hold: BudgetHold?,
        deadline: Timestamp, resume: @escaping @Sendable (BudgetGrant) -> Void
    ) {
        self.id = id
        self.scopes = scopes
        self.want = want
        self.call = call
        self.note = note
        self.hold = hold
        self.deadline = deadline
        self.resume = resume
    }
}

/// How waiting ends.
enum BudgetGrant: Sendable {
    /// With the line that the journal must have before the call is sent.
    case held(BudgetHold, HoldLine?)
    case refused(BudgetRefusal)
}

/// All that the book keeps under its lock.
struct BudgetState {
    var accounts: [BudgetScope: BudgetAccount] = [:]
    var scopes: [String: BudgetScope] = [:]
    /// The newest change of each budget that is gone, so that an older word of it does not bring it back.
    var removed: [String: Int64] = [:]
    var windows: [BudgetWindowKey: BudgetWindow] = [:]
    /// Those with anything to tell.
    var active: [BudgetWindow] = []
    var windowCount = 0

    private(set) var holds: [OpenHold?] = []
    private var freeSlots: [Int] = []
    private(set) var holdCount = 0
    private var serial: Int64 = 0

    var queue: [BudgetWaiter] = []
    var waiterCount = 0
    var pass = 1
    /// Nothing more is borrowed; the process ends.
    var isClosing = false

    var replica: BudgetReplica?
    var isOpen = false
    /// The last moment that anybody named.
    var now = Timestamp(microseconds: 0)
    var seen: Int64 = 0
    var renewedAt = Timestamp(microseconds: 0)
    var nextSequence: Int64 = 1
    /// The report on its way, until it is known to be booked.
    var pending: BudgetReport?
    /// The windows that it reports of.
    var reporting: [BudgetWindow] = []
    var riders: [BudgetRider] = []
    /// Riders of a report that may or may not be booked, of an incarnation that is over.
    var orphans: (sequence: Int64, riders: [BudgetRider])?
    /// Whether an exchange is on its way.
    var isExchanging = false
    /// The windows whose held amounts that exchange tells.
    var publishing: [(window: BudgetWindow, amounts: BudgetAmounts)] = []
    var asking: [BudgetWaiter] = []
    /// Calls that cost more than they held, since the start.
    var breaches: Int64 = 0

    // MARK: Windows

    /// The windows of a call's scopes at a moment; a scope that is named twice counts once.
    mutating func windows(of scopes: [BudgetScope], at now: Timestamp) -> [BudgetWindow] {
        var found: [BudgetWindow] = []
        for scope in scopes {
            guard let account = accounts[scope] else { continue }
            let window = window(of: account, at: now)
            if !found.contains(where: { $0 === window }) {
                if found.isEmpty { found.reserveCapacity(scopes.count) }
                found.append(window)
            }
        }
        return found
    }

    mutating func window(of account: BudgetAccount, at now: Timestamp) -> BudgetWindow {
        if let current = account.current {
            if current.contains(now) { return current }
            if !current.isActive { windows[current.key] = nil }
        }
        let key = account.terms.key(at: now)
        let window = window(key, account, at: now)
        account.current = window
        return window
    }

    mutating func window(_ key: BudgetWindowKey, _ account: BudgetAccount, at now: Timestamp) -> BudgetWindow {
        if let known = windows[key] { return known }
        windowCount += 1
        let window = BudgetWindow(
            key: key, end: key.period.window(at: key.start).end, number: windowCount, cap: account.terms.cap, now: now)
        windows[key] = window
        return window
    }

    @inline(__always)
    mutating func activate(_ window: BudgetWindow) {
        guard !window.isActive, !window.isGone else { return }
        window.isActive = true
        active.append(window)
    }

    // MARK: Holds

    mutating func open(_ windows: [BudgetWindow], _ amounts: BudgetAmounts, call: String, note: String) -> BudgetHold {
        serial += 1
        holdCount += 1
        for window in windows {
            window.holds += 1
            window.hold(amounts)
            activate(window)
        }
        let hold = OpenHold(serial: serial, at: now, amounts: amounts, windows: windows, call: call, note: note)
        guard let slot = freeSlots.popLast() else {
            holds.append(hold)
            return BudgetHold(slot: holds.count - 1, serial: serial)
        }
        holds[slot] = hold
        return BudgetHold(slot: slot, serial: serial)
    }

    func hold(_ hold: BudgetHold) -> OpenHold? {
        guard hold.slot >= 0, hold.slot < holds.count, let open = holds[hold.slot], open.serial == hold.serial else {
            return nil
        }
        return open
    }

    mutating func grow(_ hold: BudgetHold, by amounts: BudgetAmounts) {
        guard let open = self.hold(hold) else { return }
        for window in open.windows where !window.isGone {
            window.hold(amounts)
            activate(window)
        }
        holds[hold.slot]?.amounts += amounts
    }

    /// Ends a hold; `nil` where it is no more.
    mutating func end(_ hold: BudgetHold, costing cost: BudgetAmounts) -> OpenHold? {
        guard let open = self.hold(hold) else { return nil }
        if !cost.fits(open.amounts) { breaches += 1 }
        for window in open.windows where !window.isGone {
            window.holds -= 1
            window.settle(cost, held: open.amounts)
            activate(window)
        }
        holds[hold.slot] = nil
        freeSlots.append(hold.slot)
        holdCount -= 1
        return open
    }

    // MARK: Those who wait

    /// Gives what is idle to those who wait, in their order: who finds too little in a window keeps it from those
    /// behind. Returns whom to wake; wake them outside the lock.
    mutating func serve() -> [BudgetWakeup] {
        pass += 1
        guard !queue.isEmpty, isOpen else { return [] }
        var woken: [BudgetWakeup] = []
        var waiting: [BudgetWaiter] = []
        swap(&waiting, &queue)
        waiting.removeAll { waiter in
            if waiter.asked != nil {
                for window in waiter.short { window.blockedIn = pass }
                return false
            }
            guard let grant = grant(waiter) else { return false }
            woken.append(BudgetWakeup(waiter.resume, grant))
            return true
        }
        queue = waiting
        return woken
    }

    private mutating func grant(_ waiter: BudgetWaiter) -> BudgetGrant? {
        let windows: [BudgetWindow]
        var whole = waiter.want
        if let hold = waiter.hold {
            guard let open = self.hold(hold) else { return .refused(.unavailable("the call has ended")) }
            windows = open.windows.filter { !$0.isGone }
            whole += open.amounts
        } else {
            windows = self.windows(of: waiter.scopes, at: now)
        }
        if let window = windows.first(where: { $0.isExceeded(by: whole) }) {
            return .refused(refusal(window, whole))
        }
        guard !windows.contains(where: { $0.blockedIn == pass }) else { return nil }
        let short = windows.filter { !waiter.want.fits($0.spare) }
        guard short.isEmpty else {
            for window in short { window.blockedIn = pass }
            return nil
        }
        return granted(waiter, windows)
    }

    mutating func granted(_ waiter: BudgetWaiter, _ windows: [BudgetWindow]) -> BudgetGrant {
        if let hold = waiter.hold {
            guard self.hold(hold) != nil else { return .refused(.unavailable("the call has ended")) }
            grow(hold, by: waiter.want)
            return .held(hold, self.hold(hold)?.line)
        }
        guard !windows.isEmpty else { return .held(.none, nil) }
        let hold = open(windows, waiter.want, call: waiter.call, note: waiter.note)
        return .held(hold, self.hold(hold)?.line)
    }

    /// The refusal by a window that is used up; noted for the vault, unless the call alone is larger than the cap.
    mutating func refusal(_ window: BudgetWindow, _ want: BudgetAmounts) -> BudgetRefusal {
        if want.fits(window.cap), !window.isRefused {
            window.isRefused = true
            activate(window)
        }
        let used = window.settledSeen + window.reported + window.spent + want
        return .exceeded(scope(of: window.key), used.unit(above: window.cap) ?? .usd)
    }

    func scope(of key: BudgetWindowKey) -> BudgetScope { scopes[key.budgetID] ?? .org }
}

/// Somebody to be woken once the lock is open.
struct BudgetWakeup: Sendable {
    private let resume: @Sendable (BudgetGrant) -> Void
    private let grant: BudgetGrant

    init(_ resume: @escaping @Sendable (BudgetGrant) -> Void, _ grant: BudgetGrant) {
        self.resume = resume
        self.grant = grant
    }

    func callAsFunction() { resume(grant) }
}
