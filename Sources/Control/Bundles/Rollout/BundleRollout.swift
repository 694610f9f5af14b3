import Kernel

/// A bundle that is given to a part of an agent's tasks first, then to more, and to all once it is proven; and that is
/// taken back where it fails more often, or costs more, than what it is to replace.
///
/// ```
/// running ─ gate passed ─► running (next step) … ─► finished
///    │ │ └─ evidence against it ─► takenBack            ▲
///    │ └─── shares are not as planned ─► frozen ─ resume │ promote: finished, unproven
///    └───── undecided four times as long as meant ─► held┘
/// ```
///
/// Pure: outcomes and the time go in, the share that the new version gets comes out. All that is known of both stands
/// in it, so that a verdict can be worked out again.
public struct BundleRollout: Sendable, Equatable {
    public enum State: String, Sendable, CaseIterable {
        case running
        /// The new version got far more or fewer units than its share: nothing follows from what was seen.
        case frozen
        /// Time and units are used up, and it is still not known: a person decides.
        case held
        case finished
        case takenBack = "taken_back"
        case canceled

        public var isOver: Bool { [.finished, .takenBack, .canceled].contains(self) }
    }

    /// What is looked at. The chance of a false return is divided among them.
    public enum Measure: String, Sendable, CaseIterable {
        /// Attempts that fail.
        case failures
        /// Attempts that cost more than nine tenths of the old version's did before.
        case costs
    }

    public struct Step: Sendable, Equatable {
        /// Of the units, above 0 and at most 1.
        public let share: Double
        /// At least so long.
        public let lasts: Span
        /// At least so many units of the new version.
        public let unitsMin: Int
        /// By how much more of the units may fail, or be dear.
        public let margin: Double

        public init(share: Double, lasts: Span, unitsMin: Int, margin: Double) {
            (self.share, self.lasts, self.unitsMin, self.margin) = (share, lasts, unitsMin, margin)
        }
    }

    /// One attempt that ended.
    public struct Outcome: Sendable, Equatable {
        public let isNew: Bool
        /// What the new version was given when the attempt began.
        public let share: Double
        /// By measure; what is not known of it is absent.
        public let failed: [Measure: Bool]

        public init(isNew: Bool, share: Double, failed: [Measure: Bool]) {
            (self.isNew, self.share, self.failed) = (isNew, share, failed)
        }
    }

    /// What is known of one measure.
    public struct Tally: Sendable, Equatable {
        public var evidence = FailureEvidence()
        public var new = Proportion(0, of: 0)
        public var old = Proportion(0, of: 0)

        public init() {}
    }

    /// What became of it at a look.
    public enum Change: Sendable, Equatable {
        case advanced(to: Int)
        /// The first step proved nothing, and nothing speaks against it: the next one asks more.
        case advancedUnproven(to: Int)
        case finished
        case takenBack(Measure)
        case frozen
        case held(Verdict)
    }

    /// 5 % for half an hour, a quarter for two hours, half for four.
    public static let ladder: [Step] = [
        // Of fewer than 36 even none that fails would bound the rate by the margin.
        Step(share: 0.05, lasts: .minutes(30), unitsMin: 36, margin: 0.1),
        Step(share: 0.25, lasts: .hours(2), unitsMin: 36, margin: 0.1),
        Step(share: 0.5, lasts: .hours(4), unitsMin: 74, margin: 0.05),
    ]
    public static let stepsMax = 20
    /// When a version may pass a gate, in lengths of its step, and which part of the chance of a false pass that try
    /// has. Whoever asked each minute would spend it many times over: of versions that are worse by just the margin a
    /// test at 2.28 % then lets 6 % through. These three add up to the whole, whatever is seen before them.
    static let tries: [(after: Double, part: Double)] = [(1, 1.0 / 8), (2, 1.0 / 8), (patience, 3.0 / 4)]
    /// A step may take so many times as long as it was meant to before a person is asked.
    public static let patience: Double = 4

    public let steps: [Step]
    public let startedAt: Timestamp
    public private(set) var state = State.running
    public private(set) var step = 0
    public private(set) var stepStartedAt: Timestamp
    /// How many of the step's ``tries`` are used up, or came to nothing.
    public private(set) var tried = 0
    public private(set) var tallies: [Measure: Tally]
    /// Units that were begun, and those of them with the new version.
    public private(set) var begun = 0
    public private(set) var begunNew = 0
    /// What speaks for it that the new version is given more than its share, or less. It is looked at again and again,
    /// as the evidence on failures is, so it is of the same kind.
    private(set) var over = FailureEvidence()
    private(set) var under = FailureEvidence()
    /// Whether it went on somewhere without proof.
    public private(set) var isUnproven = false

    /// - Precondition: 1 to ``stepsMax`` steps, at least one measure.
    public init(steps: [Step] = Self.ladder, measures: Set<Measure> = Set(Measure.allCases), at now: Timestamp) {
        precondition(
            (1...Self.stepsMax).contains(steps.count) && !measures.isEmpty, "a roll-out has steps and measures")
        (self.steps, startedAt, stepStartedAt) = (steps, now, now)
        tallies = Dictionary(uniqueKeysWithValues: measures.map { ($0, Tally()) })
    }

    /// As it was kept.
    mutating func restore(
        state: State, step: (now: Int, since: Timestamp, tried: Int), isUnproven: Bool, tallies: [Measure: Tally],
        begun: (all: Int, new: Int), shares: (over: FailureEvidence, under: FailureEvidence)
    ) {
        (self.state, self.step, stepStartedAt, tried) = (state, step.now, step.since, step.tried)
        (self.isUnproven, self.tallies, self.begun, begunNew) = (isUnproven, tallies, begun.all, begun.new)
        (over, under) = shares
    }

    /// What the new version is given of the units that begin now.
    public var share: Double {
        switch state {
        case .running, .held: steps[step].share
        // What is running with it goes on; nothing new begins with it until somebody has looked.
        case .frozen, .takenBack, .canceled: 0
        case .finished: 1
        }
    }

    /// The chance of ever taking back a version that is no worse, for each measure.
    var alpha: Double { Gate.alpha / Double(tallies.count) }

    // MARK: What is seen

    /// A unit began.
    public mutating func began(isNew: Bool, share: Double) {
        begun += 1
        begunNew += isNew ? 1 : 0
        over.failed(isNew: isNew, share: share)
        under.failed(isNew: !isNew, share: 1 - share)
    }

    /// A unit ended. Each counts once.
    public mutating func ended(_ outcome: Outcome) {
        for (measure, hasFailed) in outcome.failed {
            guard var tally = tallies[measure] else { continue }
            if hasFailed { tally.evidence.failed(isNew: outcome.isNew, share: outcome.share) }
            if outcome.isNew {
                tally.new = tally.new.with(hasFailed)
            } else {
                tally.old = tally.old.with(hasFailed)
            }
            tallies[measure] = tally
        }
    }

    // MARK: Verdicts

    /// The verdict on one measure at the step that runs, as the next try has it.
    public func verdict(_ measure: Measure) -> Verdict? { verdict(measure, at: tried) }

    private func verdict(_ measure: Measure, at number: Int) -> Verdict? {
        guard let tally = tallies[measure] else { return nil }
        let step = steps[step]
        let gate = Gate(
            unitsMin: step.unitsMin, margin: step.margin, tail: Gate.alpha / Double(steps.count * tallies.count),
            passTail: Gate.alpha * Self.tries[min(number, Self.tries.count - 1)].part, alpha: alpha)
        return gate.verdict(new: tally.new, old: tally.old, evidence: tally.evidence)
    }

    /// The worst of all measures.
    public var verdict: Verdict { verdict(at: tried) }

    private func verdict(at number: Int) -> Verdict {
        isOffShare ? .invalid : tallies.keys.compactMap { verdict($0, at: number) }.min() ?? .insufficient
    }

    /// When it may pass the gate the next time; `nil` where every try is used up.
    public var triedNextAt: Timestamp? {
        tried < Self.tries.count ? stepStartedAt + steps[step].lasts * Self.tries[tried].after : nil
    }

    /// Whether units were given otherwise than planned.
    var isOffShare: Bool {
        let alpha = ShareCheck.significance / 2
        return over.isEnough(alpha: alpha) || under.isEnough(alpha: alpha)
    }

    /// What follows from what is known now. At most one change each time, so that each is kept and told of.
    public mutating func look(at now: Timestamp) -> Change? {
        guard state == .running || state == .held else { return nil }
        // Where shares are not what they were to be, evidence is not what it seems.
        guard !isOffShare else {
            state = .frozen
            return .frozen
        }
        let against = Measure.allCases.first { tallies[$0]?.evidence.isEnough(alpha: alpha) ?? false }
        if let against {
            state = .takenBack
            return .takenBack(against)
        }
        guard state == .running, now >= stepStartedAt + steps[step].lasts else { return nil }
        if let passed = tryGate(at: now) { return passed }
        let verdict = verdict
        if verdict == .regressed {
            state = .takenBack
            return .takenBack(Measure.allCases.first { self.verdict($0) == .regressed } ?? .failures)
        }
        if mayGoOnUnproven(verdict, at: now) {
            enter(step + 1, at: now)
            return .advancedUnproven(to: step)
        }
        guard now >= stepStartedAt + steps[step].lasts * Self.patience else { return nil }
        state = .held
        return .held(verdict)
    }

    /// Passes the gate if this is the time of a try, enough have run for one, and it says so.
    private mutating func tryGate(at now: Timestamp) -> Change? {
        let (since, lasts, unitsMin) = (stepStartedAt, steps[step].lasts, steps[step].unitsMin)
        guard let due = Self.tries.lastIndex(where: { now >= since + lasts * $0.after }), tried <= due,
            tallies.values.allSatisfy({ $0.new.trials >= unitsMin && $0.old.trials > 0 })
        else { return nil }
        let verdict = verdict(at: due)
        guard verdict != .nonInferior else { return advance(at: now) }
        tried = due + 1
        return nil
    }

    /// The first step is there to see at little risk what is plainly bad; the gates behind it prove the rest, and what
    /// is harmful has to pass all of them.
    private func mayGoOnUnproven(_ verdict: Verdict, at now: Timestamp) -> Bool {
        guard step == 0, steps.count > 1, [.insufficient, .inconclusive].contains(verdict),
            tallies.values.allSatisfy({ $0.new.trials > 0 && $0.evidence.value <= 1 })
        else { return false }
        return now >= stepStartedAt + steps[0].lasts * Self.patience
            || verdict == .insufficient && tallies.values.allSatisfy { $0.new.failures == 0 }
    }

    private mutating func enter(_ next: Int, at now: Timestamp) { (step, stepStartedAt, tried) = (next, now, 0) }

    private mutating func advance(at now: Timestamp) -> Change {
        guard step + 1 < steps.count else {
            state = .finished
            return .finished
        }
        enter(step + 1, at: now)
        return .advanced(to: step)
    }

    // MARK: What people say

    /// Goes on though nothing proves it: to the next step, or to its end. It stays unproven.
    public mutating func promote(at now: Timestamp) throws -> Change {
        try take("promote", from: [.running, .held])
        isUnproven = true
        state = .running
        return advance(at: now)
    }

    /// Counts anew from here, once what gave units away wrongly is mended.
    public mutating func resume(at now: Timestamp) throws {
        try take("resume", from: [.frozen])
        (begun, begunNew, over, under) = (0, 0, FailureEvidence(), FailureEvidence())
        tallies = tallies.mapValues { _ in Tally() }
        state = .running
        enter(step, at: now)
    }

    public mutating func cancel() throws {
        try take("cancel", from: [.running, .frozen, .held])
        state = .canceled
    }

    private func take(_ verb: String, from states: [State]) throws {
        guard !states.contains(state) else { return }
        var members = JSONObject()
        members["state"] = .string(state.rawValue)
        throw Problem(
            .badTransition, "The roll-out is \(state.rawValue) and does not take \"\(verb)\".",
            hint: state.isOver ? "It is over. Begin another one." : "Read it again, and see what it waits for.",
            members: members)
    }
}

extension Proportion {
    fileprivate func with(_ hasFailed: Bool) -> Proportion {
        Proportion(failures + (hasFailed ? 1 : 0), of: trials + 1)
    }
}
