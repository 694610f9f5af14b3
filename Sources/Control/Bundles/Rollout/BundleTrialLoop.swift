import Kernel

/// Looks at roll-outs: counts the attempts that began and ended, and does what follows.
///
/// Completions write nothing for it. What a claim gave out stands in a row; this asks the tasks which of those attempts
/// have ended, and counts them in the transaction that keeps the roll-out: each once, whenever it is killed.
public struct BundleTrialLoop: Sendable {
    static let interval = Span.seconds(2)
    /// Units of one commit.
    static let batchMax = 500
    /// How long units of a roll-out are kept that is over.
    static let unitsKept = Span.hours(24 * 7)

    let service: BundleTrialService
    let storage: any Storage

    public init(service: BundleTrialService, storage: any Storage) {
        (self.service, self.storage) = (service, storage)
    }

    public var loops: [Loop] {
        [
            Loop("bundles.rollouts", every: Self.interval) { try await look() },
            Loop("bundles.rollouts.retention", every: .minutes(10)) {
                while try await storage.write({
                    try service.store.sweep(
                        endedBefore: service.world.now - Self.unitsKept, limit: Self.batchMax, in: $0)
                }) > 0 {}
            },
        ]
    }

    /// One round over all roll-outs that are not over.
    func look() async throws {
        let open = try await storage.read { try service.store.open(limit: BundleTrialService.openMax, in: $0) }
        for id in open {
            var after: String? = ""
            while let from = after {
                // Looks before it writes, so that a quiet roll-out costs no commit.
                let seen = try await storage.read { try service.look(at: id, after: from, writes: false, in: $0) }
                guard seen.isNews else {
                    after = seen.next
                    continue
                }
                after = try await storage.write { try service.look(at: id, after: from, writes: true, in: $0) }.next
            }
        }
    }
}

extension BundleTrialService {
    /// What a look found: whether something is to be kept, and where to go on.
    struct Seen: Sendable {
        var isNews = false
        var next: String?
    }

    /// Counts a batch of units, and does what follows from all that is known then: one change at most.
    func look(at id: String, after: String, writes: Bool, in transaction: Transaction) throws -> Seen {
        guard var trial = try store.trial(id, in: transaction), !trial.record.state.isOver else { return Seen() }
        let units = try store.openUnits(
            of: trial.id, after: after, limit: BundleTrialLoop.batchMax, in: transaction)
        let attempts = try tasks.attempts(units.map { ($0.task, $0.fence) }, in: transaction)
        var seen = Seen()
        if units.count == BundleTrialLoop.batchMax { seen.next = units.last?.task.text }
        var counts: [Int: (new: Int, all: Int)] = [:]
        for unit in units {
            let attempt = attempts[unit.task.text]
            let hasEnded = attempt.map { $0.endedAt != nil } ?? true
            guard hasEnded || !unit.isBegun else { continue }
            seen.isNews = true
            guard writes else { return seen }
            try count(
                unit, hasEnded ? .some(attempt) : nil, into: &trial,
                share: trial.unit == .tasks ? unit.share : realShare(unit, trial, &counts, in: transaction),
                in: transaction)
        }
        let before = trial.record
        let change = trial.record.look(at: world.now)
        // A try that did not pass is used up all the same.
        seen.isNews = seen.isNews || trial.record != before
        if let change {
            guard writes else { return seen }
            if seen.next == nil { seen.next = "" }
            try apply(change, to: &trial, by: .system, in: transaction)
            return trial.record.state.isOver ? Seen(isNews: true) : seen
        }
        if seen.isNews, writes {
            trial.updatedAt = world.now
            try store.save(trial, in: transaction)
        }
        return seen
    }

    /// - Parameter ended: `nil` while it runs; within, `nil` where nothing is known of the attempt any more.
    private func count(
        _ unit: BundleTrialStore.Given, _ ended: TaskAttempt??, into trial: inout BundleTrial, share: Double,
        in transaction: Transaction
    ) throws {
        if !unit.isBegun {
            // Which agents are given tasks is not Reeve's doing, so nothing follows from how many.
            trial.record.began(isNew: unit.isNew, share: trial.unit == .tasks ? unit.share : unit.isNew ? 1 : 0)
        }
        var state = BundleTrialStore.Given.State.open
        if let ended {
            let failed = ended.flatMap { trial.failed($0) }
            if let failed { trial.record.ended(.init(isNew: unit.isNew, share: share, failed: failed)) }
            state = failed == nil ? .void : .counted
        }
        try store.keep(
            .init(
                task: unit.task, fence: unit.fence, step: unit.step, isNew: unit.isNew, share: unit.share,
                isBegun: true, state: state),
            of: trial.id, in: transaction)
    }

    /// What the new version really had of a step's units: agents work at paces of their own.
    private func realShare(
        _ unit: BundleTrialStore.Given, _ trial: BundleTrial, _ known: inout [Int: (new: Int, all: Int)],
        in transaction: Transaction
    ) throws -> Double {
        let counts = try known[unit.step] ?? store.counts(step: unit.step, of: trial.id, in: transaction)
        known[unit.step] = counts
        return counts.all == 0 ? 0 : Double(counts.new) / Double(counts.all)
    }
}

extension BundleTrial {
    /// What an attempt that ended says of its version; `nil` where it says nothing: it was given back, canceled,
    /// parked, taken away by somebody, or a provider failed it.
    func failed(_ attempt: TaskAttempt) -> [BundleRollout.Measure: Bool]? {
        let hasFailed: Bool
        switch attempt.state {
        case .succeeded, .lateSucceeded: hasFailed = false
        case .failed:
            guard attempt.failureClass != FailureClass.provider.rawValue else { return nil }
            hasFailed = true
        case .timedOut, .lost: hasFailed = true
        case .preempted:
            guard attempt.message?.hasPrefix("\(HoldReason.budget):") ?? false else { return nil }
            hasFailed = true
        case .claimed, .running, .released, .canceled, .parked: return nil
        }
        var said: [BundleRollout.Measure: Bool] = [.failures: hasFailed]
        if let costLimit { said[.costs] = attempt.usage.nanoUSD > costLimit }
        return said
    }
}
