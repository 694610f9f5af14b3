/// Where budgets are kept for all replicas: who spends from memory borrows there first.
///
/// A replica's calls come one after the other, never two at once. A call that throws may have been carried out all the
/// same; the next one then carries the same ``BudgetReport`` again, which counts once.
public protocol BudgetVault: Sendable {
    /// Signs a replica in, anew with each start: what another process of the same identity does from now on counts
    /// nothing.
    func open(_ replica: String, at now: Timestamp) async throws -> BudgetOpening
    /// Books what was spent, takes back what is idle, and lends: one transaction.
    func exchange(_ message: BudgetMessage) async throws -> BudgetAnswer
    /// What others changed since, without changing anything.
    func look(_ replica: BudgetReplica, since seen: Int64, at now: Timestamp) async throws -> BudgetAnswer
}

/// Who borrows: one data directory, and how often it was opened.
public struct BudgetReplica: Sendable, Equatable {
    public let id: String
    public let incarnation: Int64

    public init(id: String, incarnation: Int64) {
        self.id = id
        self.incarnation = incarnation
    }
}

/// What a replica finds when it comes (back).
public struct BudgetOpening: Sendable {
    public var replica: BudgetReplica
    /// The number of the last report that was booked.
    public var synced: Int64
    /// Journals of this incarnation and of those before it are booked.
    public var replayed: Int64
    /// Whether its loans were written off while it was away: then its journal is as good as booked.
    public var isWrittenOff: Bool
    public var counter: Int64
    public var terms: [BudgetTerms]
    /// The windows of now, and all that this replica has loans of.
    public var windows: [BudgetWindowState]

    public init(
        replica: BudgetReplica, synced: Int64, replayed: Int64, isWrittenOff: Bool, counter: Int64,
        terms: [BudgetTerms], windows: [BudgetWindowState]
    ) {
        self.replica = replica
        self.synced = synced
        self.replayed = replayed
        self.isWrittenOff = isWrittenOff
        self.counter = counter
        self.terms = terms
        self.windows = windows
    }
}

/// How a window stands in the vault.
public struct BudgetWindowState: Sendable, Equatable {
    public var key: BudgetWindowKey
    public var settled = BudgetAmounts.zero
    /// What this replica has borrowed and not yet reported as spent.
    public var granted = BudgetAmounts.zero
    /// What calls of the other replicas hold, as they last said.
    public var heldElsewhere = BudgetAmounts.zero
    /// Whether somebody waits for what others have borrowed and do not use.
    public var isWanted = false

    public init(key: BudgetWindowKey) {
        self.key = key
    }
}

/// Writes more into the transaction in which a call's cost is booked: the call's record. It may run again after a
/// fault of the store, and its own refusal is not the budget's.
public typealias BudgetRider = @Sendable (Transaction) throws -> Void

/// What was spent and is given back, counted once for each ``sequence`` however often it is sent.
public struct BudgetReport: Sendable {
    public struct Line: Sendable, Equatable {
        public var key: BudgetWindowKey
        public var spent: BudgetAmounts
        public var returned: BudgetAmounts
        /// Calls that cost more than they held.
        public var breaches: Int64

        public init(key: BudgetWindowKey, spent: BudgetAmounts, returned: BudgetAmounts, breaches: Int64 = 0) {
            self.key = key
            self.spent = spent
            self.returned = returned
            self.breaches = breaches
        }
    }

    public var sequence: Int64
    public var lines: [Line]
    public var riders: [BudgetRider]
    /// Present where this is what the journals of that incarnation and those before it held.
    public var replayed: Int64?

    public init(sequence: Int64, lines: [Line], riders: [BudgetRider] = [], replayed: Int64? = nil) {
        self.sequence = sequence
        self.lines = lines
        self.riders = riders
        self.replayed = replayed
    }
}

/// What one call needs in all its windows, or a part of one in none.
public struct BudgetWish: Sendable {
    public struct Line: Sendable {
        public var key: BudgetWindowKey
        /// What would be of use soon; lent where plenty is left.
        public var block: BudgetAmounts

        public init(key: BudgetWindowKey, block: BudgetAmounts) {
            self.key = key
            self.block = block
        }
    }

    /// The same in every window.
    public var want: BudgetAmounts
    /// What the call holds already, where it is to hold more.
    public var holding: BudgetAmounts
    public var lines: [Line]
    /// Whether it is tried even where an earlier one waits for the same window: its time is up.
    public var isLast: Bool

    public init(want: BudgetAmounts, holding: BudgetAmounts = .zero, lines: [Line], isLast: Bool) {
        self.want = want
        self.holding = holding
        self.lines = lines
        self.isLast = isLast
    }
}

/// One way there and back.
public struct BudgetMessage: Sendable {
    public var replica: BudgetReplica
    public var now: Timestamp
    /// The counter of the last answer.
    public var seen: Int64
    public var report: BudgetReport?
    /// What calls in flight hold, where that has changed.
    public var held: [(key: BudgetWindowKey, amounts: BudgetAmounts)] = []
    /// Windows in which a call was refused because they are used up.
    public var exhausted: [BudgetWindowKey] = []
    /// What the replica has borrowed before and sets apart for its wishes; they lack the rest.
    public var apart: [(key: BudgetWindowKey, amounts: BudgetAmounts)] = []
    /// What would be of use soon, without anybody waiting for it.
    public var ahead: [BudgetWish.Line] = []
    /// In the order in which they came.
    public var wishes: [BudgetWish] = []

    public init(replica: BudgetReplica, now: Timestamp, seen: Int64) {
        self.replica = replica
        self.now = now
        self.seen = seen
    }
}

/// What became of a wish.
public enum BudgetOutcome: Sendable, Equatable {
    case granted
    /// It does not fit beside what is settled, whoever gives back what.
    case exceeded(BudgetWindowKey, BudgetUnit)
    /// It would fit, were it not for what is held or lent.
    case inFlight(BudgetWindowKey)
}

/// What the vault did with a message, and what changed meanwhile.
public struct BudgetAnswer: Sendable {
    /// Of each wish, in their order.
    public var outcomes: [BudgetOutcome] = []
    /// Budgets that changed since, and ids of those that are gone.
    public var terms: [BudgetTerms] = []
    public var removed: [String] = []
    /// Windows that changed since.
    public var windows: [BudgetWindowState] = []
    public var counter: Int64
    /// The vault does not know this incarnation, or has written it off: nothing was done, and it has to open anew.
    public var isVoid = false

    public init(counter: Int64) {
        self.counter = counter
    }
}

/// What a process knows of its budgets beyond the store's rows; laid over them, what is shown is exact at once.
public struct BudgetOverlay: Sendable, Equatable {
    public struct Window: Sendable, Equatable {
        /// On its way under ``BudgetOverlay/reported``.
        public var reported: BudgetAmounts
        /// To go under ``BudgetOverlay/next``.
        public var spent: BudgetAmounts
        public var held: BudgetAmounts

        public init(reported: BudgetAmounts, spent: BudgetAmounts, held: BudgetAmounts) {
            self.reported = reported
            self.spent = spent
            self.held = held
        }
    }

    public var replica: String
    /// The report on its way; 0 where there is none.
    public var reported: Int64
    public var next: Int64
    public var windows: [BudgetWindowKey: Window]

    public init(replica: String, reported: Int64, next: Int64, windows: [BudgetWindowKey: Window]) {
        self.replica = replica
        self.reported = reported
        self.next = next
        self.windows = windows
    }

    public static let empty = BudgetOverlay(replica: "", reported: 0, next: 0, windows: [:])
}

/// The process's own count of its budgets, as what shows and changes them needs it.
public protocol BudgetMemory: Sendable {
    func overlay(_ keys: [BudgetWindowKey]) -> BudgetOverlay
    /// A budget was set by this process; it counts at once.
    func adopt(_ terms: BudgetTerms)
    /// A budget was removed by this process.
    func forget(_ id: String, revision: Int64)
}

/// Of a process that spends nothing.
public struct NoBudgetMemory: BudgetMemory {
    public init() {}
    public func overlay(_ keys: [BudgetWindowKey]) -> BudgetOverlay { .empty }
    public func adopt(_ terms: BudgetTerms) {}
    public func forget(_ id: String, revision: Int64) {}
}
