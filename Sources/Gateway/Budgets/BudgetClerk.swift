import Kernel
import Synchronization

/// Goes to the vault for the book: for calls that have to wait, and again and again with what was spent.
public final class BudgetClerk: Sendable {
    /// How often ``keepUp()`` is to be called.
    public static let interval = Span.milliseconds(100)
    /// Exchanges that a round makes at most while calls wait.
    static let exchangesMax = 20
    /// How often, and how long in between, ``close()`` tries to give everything back.
    static let closingRoundsMax = 100
    static let closingPause = Span.milliseconds(20)
    static let warningInterval = Span.seconds(10)

    public let book: BudgetBook
    private let vault: any BudgetVault
    private let replicaID: String
    private let world: World
    /// Makes the records of calls that a killed process left, and whatever else is to be written with their costs.
    private let onReplay: @Sendable ([ReplayedCall]) -> [BudgetRider]
    private let onWarning: @Sendable (String) -> Void
    private let isOpening = Mutex(false)
    private let warnedAt = Mutex(Timestamp(microseconds: 0))

    public init(
        book: BudgetBook, vault: any BudgetVault, replicaID: String, world: World,
        onReplay: @escaping @Sendable ([ReplayedCall]) -> [BudgetRider] = { _ in [] },
        onWarning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.book = book
        self.vault = vault
        self.replicaID = replicaID
        self.world = world
        self.onReplay = onReplay
        self.onWarning = onWarning
    }

    // MARK: Calls

    /// Holds so much, at once or after a wait of about a second at most.
    public func reserve(
        _ scopes: [BudgetScope], _ want: BudgetAmounts, call: String = "", note: String = ""
    ) async throws(BudgetRefusal) -> BudgetHold {
        switch book.reserve(scopes, want, call: call, note: note, at: world.now) {
        case .held(let hold): return hold
        case .refused(let refusal): throw refusal
        case .mustWait: return try await waited(scopes, want, call: call, note: note, hold: nil)
        }
    }

    /// Holds so much more, likewise.
    public func topUp(_ hold: BudgetHold, by more: BudgetAmounts) async throws(BudgetRefusal) {
        switch book.topUp(hold, by: more) {
        case .held: return
        case .refused(let refusal): throw refusal
        case .mustWait: _ = try await waited([], more, call: "", note: "", hold: hold)
        }
    }

    private func waited(
        _ scopes: [BudgetScope], _ want: BudgetAmounts, call: String, note: String, hold: BudgetHold?
    ) async throws(BudgetRefusal) -> BudgetHold {
        let ticket = Mutex<Int?>(nil)
        let grant = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<BudgetGrant, Never>) in
                let id = book.wait(scopes, want, call: call, note: note, hold: hold, at: world.now) { grant in
                    continuation.resume(returning: grant)
                }
                ticket.withLock { $0 = id }
                if Task.isCancelled { book.withdraw(id) }
                Task { await self.exchange() }
            }
        } onCancel: {
            if let id = ticket.withLock({ $0 }) { book.withdraw(id) }
        }
        switch grant {
        case .refused(let refusal): throw refusal
        case .held(let made, let line):
            if let refusal = book.record(made, line, growing: hold == nil ? nil : want) { throw refusal }
            return made
        }
    }

    // MARK: The vault

    /// One round, for a loop that comes every ``interval``: opens the book where it is closed, reports, borrows, and
    /// hears what others did.
    public func keepUp() async {
        do {
            if !book.isOpen {
                defer { book.refuseLate(at: world.now) }
                try await open()
            }
            guard await exchange() == 0, let (replica, seen) = book.lookout else { return }
            book.learn(try await vault.look(replica, since: seen, at: world.now))
        } catch {
            warn("the store does not tell of budgets: \(error)")
        }
    }

    /// Says what is wrong, not ten times a second.
    private func warn(_ text: String) {
        let now = world.now
        let isDue = warnedAt.withLock { last in
            guard now < last || now - last >= Self.warningInterval else { return false }
            last = now
            return true
        }
        if isDue { onWarning(text) }
    }

    private func open() async throws {
        guard
            isOpening.withLock({ isOpening in
                defer { isOpening = true }
                return !isOpening
            })
        else { return }
        defer { isOpening.withLock { $0 = false } }
        let opening = try await vault.open(replicaID, at: world.now)
        var report: BudgetReport?
        if let journal = book.journal {
            var replay = journal.read(opening)
            replay.finish()
            for warning in replay.warnings { onWarning(warning) }
            report = replay.report()
            report?.riders = onReplay(replay.calls)
            try journal.begin(opening.replica)
            if report == nil { journal.dropOld() }
        } else {
            report = JournalReplay(boot: "", opening: opening).report()
        }
        book.open(opening, replay: report, at: world.now)
    }

    /// Exchanges until nobody waits who was not asked for; returns how often. One at a time: where one is on its way,
    /// that one goes on for all.
    @discardableResult
    private func exchange() async -> Int {
        var count = 0
        while count < Self.exchangesMax, let message = book.beginExchange(at: world.now) {
            count += 1
            book.journal?.flush()
            do {
                let answer = try await vault.exchange(message)
                if book.finishExchange(message, answer) { book.journal?.dropOld() }
                book.journal?.tidy(booked: book.booked, snapshot: book.snapshot)
            } catch {
                book.failExchange(message)
                warn("the store did not book what was spent: \(error)")
                break
            }
            guard book.hasUnasked else { break }
        }
        return count
    }

    /// Reports what is left and gives all loans back. Calls that are still in flight keep what they hold, and their
    /// end is found in the journal.
    public func close() async {
        guard book.isOpen else { return }
        for _ in 0..<Self.closingRoundsMax {
            book.tighten()
            await exchange()
            // Another exchange may still be on its way, and calls may have ended meanwhile.
            if book.hasReturnedAll { return }
            do { try await world.time.sleep(for: Self.closingPause) } catch { return }
        }
    }
}
