import Kernel

/// What one call does next: which target is tried, after how long, and when it is given up. A pure state machine.
///
/// The proxy asks ``next(_:at:fraction:)`` with the targets as they stand, does what it is told, reports with
/// ``failed(_:at:hasDelivered:)``, and asks again. Where the target's breaker lets nobody in after all, it says
/// ``withdrawn()`` and asks again. Every answer leaves a ``Step``, which `explain` shows.
struct AttemptPlan: Sendable {
    /// What a model's settings say.
    struct Rules: Sendable, Equatable {
        /// Further tries at the same target after a server's error, where none follows; with another one to follow,
        /// at most one of them.
        var retries = 2
        /// Bounds the call with all its tries.
        var total = Span.minutes(10)
        /// A stream that broke after its first byte goes on at the next target.
        var continuation = false

        static let retriesMax = 10
    }

    /// A target as it stands when it is asked about.
    struct Target: Sendable, Equatable {
        /// Targets of one provider have one number: a provider that is silent is silent for all of them.
        var provider: Int
        /// Whether its breaker lets nobody in, and until when at least.
        var openUntil: Timestamp?
        /// The provider asked to be left alone so long.
        var limitedUntil: Timestamp?
        /// The mirror of its limits says that a call sent earlier would be refused.
        var pacedUntil: Timestamp?

        init(
            provider: Int, openUntil: Timestamp? = nil, limitedUntil: Timestamp? = nil, pacedUntil: Timestamp? = nil
        ) {
            self.provider = provider
            self.openUntil = openUntil
            self.limitedUntil = limitedUntil
            self.pacedUntil = pacedUntil
        }
    }

    enum Decision: Sendable, Equatable {
        /// Ask the target of this index, after a wait.
        case attempt(Int, after: Span)
        /// Nothing is free yet: come back with the targets as they stand then.
        case wait(Span)
        case giveUp(End)
    }

    /// How a call ends without an answer.
    struct End: Sendable, Equatable {
        /// The failure to tell, and whose answer holds its words; `nil` where no target was asked.
        var failure: FailureClass?
        var target: Int?
        var reason: Reason
        /// When it is worth coming back.
        var retryAfter: Span?
    }

    /// Why a step was taken.
    enum Reason: String, Sendable, CaseIterable {
        case firstChoice = "first_choice"
        case nextTarget = "next_target"
        case otherKey = "other_key"
        case sameTargetRetry = "same_target_retry"
        case retryAfterWaited = "retry_after_waited"
        case continued = "continued"
        case breakerOpen = "breaker_open"
        case limited = "limited"
        case paced = "paced"
        case failedForGood = "failed_for_good"
        case providerSilent = "provider_silent"
        case withdrawn = "withdrawn"
        case callersFault = "callers_fault"
        case streamBroken = "stream_broken"
        case noTargetLeft = "no_target_left"
        case allOpen = "all_open"
        case allLimited = "all_limited"
        case deadline = "deadline"
        case tooManySteps = "too_many_steps"
    }

    /// One entry of the decision record.
    struct Step: Sendable, Equatable {
        enum Kind: String, Sendable {
            case attempt, wait, skip, giveUp = "give_up", failure
        }

        var at: Timestamp
        var kind: Kind
        var reason: Reason?
        var target: Int?
        var failure: FailureClass?
        var wait: Span = .zero
    }

    /// A Retry-After, or a limit, up to here is waited for rather than gone around.
    static let waitMax = Span.seconds(3)
    /// A target's pace is waited for up to here although another one is free.
    static let pacedMomentMax = Span.milliseconds(500)
    /// A target's own pace is waited for up to here where no other target is free.
    static let pacedWaitMax = Span.seconds(30)
    /// Waits for a Retry-After of the same target, where no other follows.
    static let limitedWaitsMax = 5
    /// The back-off's first ceiling, which doubles with each try, and its last one.
    static let backoffBase = Span.milliseconds(250)
    static let backoffCap = Span.seconds(8)
    /// Attempts of one call; no settings lead further.
    static let attemptsMax = 64
    /// Targets of a model; further ones are not tried.
    static let targetsMax = 32
    static let stepsMax = 128

    /// What this call knows of a target.
    private struct Memory: Sendable {
        var tries = 0
        /// Waits for its Retry-After.
        var limitedWaits = 0
        /// Nothing can come of it in this call any more, for this reason.
        var isOut: Reason?
    }

    private let rules: Rules
    private let deadline: Timestamp
    private var memories: [Memory] = []
    private var silentProviders: [Int] = []
    private var current: Int?
    private var last: FailureClass?
    private var hasDelivered = false
    private var isRekeyed = false
    /// The failure that is told if nothing better comes.
    private var told: (failure: FailureClass, target: Int)?
    private var decisions = 0
    private(set) var attempts = 0
    private(set) var steps: [Step] = []

    init(_ rules: Rules, startedAt: Timestamp) {
        self.rules = rules
        deadline = startedAt + max(.zero, rules.total)
    }

    // MARK: Reports

    /// The attempt that was last decided on ended badly.
    ///
    /// - Parameter hasDelivered: Whether the caller has seen a part of an answer, so that nothing can be undone.
    mutating func failed(_ failure: FailureClass, at now: Timestamp, hasDelivered: Bool = false) {
        guard let target = current, memories.indices.contains(target) else { return }
        last = failure
        self.hasDelivered = self.hasDelivered || hasDelivered
        if told == nil || !failure.isOperators || (told?.failure.isOperators ?? true) { told = (failure, target) }
        switch failure.course {
        case .sameTarget: break
        case .nextTarget: memories[target].isOut = failure == .silent ? .providerSilent : .failedForGood
        case .caller: memories[target].isOut = .callersFault
        }
        // What was begun in the caller's sight goes on elsewhere or not at all.
        if hasDelivered { memories[target].isOut = .streamBroken }
        note(Step(at: now, kind: .failure, reason: nil, target: target, failure: failure))
    }

    /// The attempt that was last decided on did not take place.
    mutating func withdrawn(at now: Timestamp) {
        guard let target = current, memories.indices.contains(target) else { return }
        attempts -= 1
        memories[target].tries -= 1
        current = nil
        note(Step(at: now, kind: .skip, reason: .withdrawn, target: target))
    }

    /// The attempt that was last decided on failed by its key alone: the same target can be asked with another one.
    mutating func rekeyed(_ failure: FailureClass, at now: Timestamp) {
        guard let target = current, memories.indices.contains(target) else { return }
        memories[target].tries = 0
        (current, last, isRekeyed) = (nil, nil, true)
        note(Step(at: now, kind: .failure, reason: nil, target: target, failure: failure))
    }

    // MARK: Decisions

    /// Decides. `fraction` is a fresh random number in 0..<1.
    mutating func next(_ targets: [Target], at now: Timestamp, fraction: Double) -> Decision {
        decisions += 1
        let targets = targets.prefix(Self.targetsMax)
        while memories.count < targets.count { memories.append(Memory()) }
        rememberSilence(targets)
        guard now < deadline else { return giveUp(.deadline, targets, now) }
        guard attempts < Self.attemptsMax, decisions <= Self.stepsMax else {
            return giveUp(.tooManySteps, targets, now)
        }
        if last?.course == .caller { return giveUp(.callersFault, targets, now) }
        if hasDelivered, !rules.continuation { return giveUp(.streamBroken, targets, now) }
        let survey = survey(targets, at: now)
        let hasOther = survey.loud.isReachable || survey.silent.isReachable
        if let again = sameTarget(targets, hasOther: hasOther, at: now, fraction: fraction) { return again }
        // A provider that is silent is asked again only where no other target can be tried.
        if let decision = choose(survey.loud, at: now) ?? choose(survey.silent, at: now) { return decision }
        let isAnyLeft = survey.loud.soonest != nil || survey.silent.soonest != nil
        guard attempts == 0, !targets.isEmpty else { return giveUp(.noTargetLeft, targets, now) }
        return giveUp(isAnyLeft ? .allLimited : .allOpen, targets, now)
    }

    private mutating func rememberSilence(_ targets: ArraySlice<Target>) {
        guard last == .silent, let current, targets.indices.contains(current) else { return }
        let provider = targets[current].provider
        if !silentProviders.contains(provider) { silentProviders.append(provider) }
    }

    /// A target that this call has not tried yet, and when it may be.
    private struct Candidate {
        let index: Int
        let freeAt: Timestamp
        let isPaced: Bool
    }

    /// What there is to choose from, among targets of one kind.
    private struct Choice {
        /// The first in order that is free, or will be in a moment for its pace's sake.
        var first: Candidate?
        /// The one that is free soonest.
        var soonest: Candidate?
        /// Whether one of them can be tried soon enough to count as following.
        var isReachable = false
    }

    /// Looks at the targets that were not tried yet, apart for providers that were silent in this call.
    private mutating func survey(_ targets: ArraySlice<Target>, at now: Timestamp) -> (loud: Choice, silent: Choice) {
        var loud = Choice()
        var silent = Choice()
        for (index, target) in targets.enumerated() where memories[index].tries == 0 && memories[index].isOut == nil {
            if let until = target.openUntil, until > now {
                skip(index, .breakerOpen, at: now)
                continue
            }
            let candidate = Self.candidate(index, target, at: now)
            if silentProviders.contains(target.provider) {
                consider(candidate, in: &silent, at: now)
            } else {
                consider(candidate, in: &loud, at: now)
            }
        }
        return (loud, silent)
    }

    private static func candidate(_ index: Int, _ target: Target, at now: Timestamp) -> Candidate {
        let limited = max(now, target.limitedUntil ?? now)
        let paced = max(now, target.pacedUntil ?? now)
        return Candidate(index: index, freeAt: max(limited, paced), isPaced: paced > limited)
    }

    private mutating func consider(_ candidate: Candidate, in choice: inout Choice, at now: Timestamp) {
        let wait = candidate.freeAt - now
        if wait <= Self.waitMax, candidate.freeAt < deadline { choice.isReachable = true }
        // To go elsewhere for the sake of a moment would cost the prompt's cache, and money.
        if wait == .zero || (candidate.isPaced && wait <= Self.pacedMomentMax) {
            if choice.first == nil { choice.first = candidate }
        } else {
            skip(candidate.index, candidate.isPaced ? .paced : .limited, at: now)
        }
        if choice.soonest.map({ candidate.freeAt < $0.freeAt }) ?? true { choice.soonest = candidate }
    }

    private mutating func choose(_ choice: Choice, at now: Timestamp) -> Decision? {
        if let first = choice.first, first.freeAt < deadline {
            let reason = first.freeAt > now ? .paced : reasonToMove
            isRekeyed = false
            return attempt(first.index, reason: reason, after: first.freeAt - now, at: now)
        }
        guard let soonest = choice.soonest, soonest.freeAt < deadline else { return nil }
        let wait = soonest.freeAt - now
        if soonest.isPaced, wait <= Self.pacedWaitMax {
            return attempt(soonest.index, reason: .paced, after: wait, at: now)
        }
        guard wait <= Self.waitMax else { return nil }
        current = nil
        note(Step(at: now, kind: .wait, reason: .limited, target: soonest.index, wait: wait))
        return .wait(wait)
    }

    private var reasonToMove: Reason {
        if hasDelivered { return .continued }
        if isRekeyed { return .otherKey }
        return attempts == 0 ? .firstChoice : .nextTarget
    }

    /// Another try at the target that just failed, where the rules have one.
    private mutating func sameTarget(
        _ targets: ArraySlice<Target>, hasOther: Bool, at now: Timestamp, fraction: Double
    ) -> Decision? {
        guard let current, let last, targets.indices.contains(current), memories[current].isOut == nil,
            last.course == .sameTarget
        else { return nil }
        if let until = targets[current].openUntil, until > now {
            skip(current, .breakerOpen, at: now)
            return nil
        }
        let retries = min(max(0, rules.retries), Rules.retriesMax)
        // Written so that a number which is none counts as zero.
        let jitter = fraction >= 0 ? min(fraction, 1) : 0
        if let wished = last.retryAfter {
            guard wished <= Self.waitMax, retries > 0 else { return nil }
            let wait = max(.zero, wished) + Self.backoffBase * jitter
            let waitsMax = hasOther ? 1 : Self.limitedWaitsMax
            guard memories[current].limitedWaits < waitsMax, now + wait < deadline else { return nil }
            memories[current].limitedWaits += 1
            return attempt(current, reason: .retryAfterWaited, after: wait, at: now)
        }
        if case .rateLimited = last, hasOther { return nil }
        let done = memories[current].tries - 1 - memories[current].limitedWaits
        guard done < (hasOther ? min(1, retries) : retries) else { return nil }
        let wait = min(Self.backoffCap, Self.backoffBase * Double(1 << min(max(0, done), 30))) * jitter
        guard now + wait < deadline else { return nil }
        return attempt(current, reason: .sameTargetRetry, after: wait, at: now)
    }

    private mutating func attempt(_ target: Int, reason: Reason, after wait: Span, at now: Timestamp) -> Decision {
        attempts += 1
        memories[target].tries += 1
        current = target
        last = nil
        note(Step(at: now, kind: .attempt, reason: reason, target: target, wait: wait))
        return .attempt(target, after: wait)
    }

    private mutating func giveUp(_ reason: Reason, _ targets: ArraySlice<Target>, _ now: Timestamp) -> Decision {
        let end = End(
            failure: told?.failure, target: told?.target, reason: reason, retryAfter: retryAfter(targets, at: now))
        note(Step(at: now, kind: .giveUp, reason: reason, target: end.target, failure: end.failure))
        return .giveUp(end)
    }

    /// The least time until a target can be asked again, where the failure is one that time mends.
    private func retryAfter(_ targets: ArraySlice<Target>, at now: Timestamp) -> Span? {
        if let told, !told.failure.passesWithTime { return nil }
        let waits = targets.lazy.compactMap { target -> Span? in
            let until = [target.openUntil, target.limitedUntil, target.pacedUntil].compactMap { $0 }.max()
            return until.flatMap { $0 > now ? min(RetryAfter.longest, $0 - now) : nil }
        }
        return waits.min() ?? told?.failure.retryAfter
    }

    // MARK: Record

    private mutating func skip(_ target: Int, _ reason: Reason, at now: Timestamp) {
        let isKnown = steps.contains { $0.kind == .skip && $0.target == target && $0.reason == reason }
        if !isKnown { note(Step(at: now, kind: .skip, reason: reason, target: target)) }
    }

    private mutating func note(_ step: Step) {
        if steps.count < Self.stepsMax { steps.append(step) }
    }
}
