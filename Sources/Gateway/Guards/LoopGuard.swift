import Kernel

/// Notices when a run goes in circles: the same call again and again, calls that bring nothing new, tokens that pour
/// out, or more turns than a run may take. Only runs that have a name are watched. Pure; memory is bounded by
/// ``Rules/runsMax`` runs of ``samplesMax`` samples.
struct LoopGuard: Sendable {
    struct Rules: Sendable, Equatable {
        /// The same call so often within ``window`` is a loop; `nil` for never, as with all of these.
        var sameCalls: Int? = 8
        /// So many answers in a row that say the same.
        var sameReplies: Int? = 12
        var tokensPerMinute: Int?
        var turns: Int?
        var window = Span.minutes(10)
        /// How long a run is held, unless an operator lets it go sooner. Turns do not become fewer: they hold for good.
        var hold = Span.minutes(5)
        /// Runs that are remembered; the one that was quiet longest is forgotten first.
        var runsMax = LoopGuard.runsMax
    }

    enum Cause: String, Sendable, CaseIterable {
        case sameCalls = "same_calls"
        case sameReplies = "same_replies"
        case tokenVelocity = "token_velocity"
        case turns
    }

    /// What a hold rests on.
    struct Evidence: Sendable, Equatable {
        var cause: Cause
        /// Calls, answers, tokens of the last minute or turns, and the bound that they met.
        var count: Int
        var limit: Int
        /// Of the call or answer that repeats.
        var hash: UInt64?
        /// The first and last time of what is counted.
        var firstAt: Timestamp
        var lastAt: Timestamp
        var turns: Int
        var heldUntil: Timestamp
    }

    enum Verdict: Sendable, Equatable {
        case pass
        case hold(Evidence)
    }

    static let runsMax = 4_096
    /// Calls of a run that are remembered. ``Rules/sameCalls`` beyond it is taken for this.
    static let samplesMax = 64
    /// Longer names of runs are kept as their digest.
    static let nameBytesMax = 128

    /// No answer, and no slice of time, counts for more.
    private static let tokensMax = 1 << 40
    private static let slices: Int64 = 6

    private struct Sample: Sendable {
        var hash: UInt64
        var at: Timestamp
    }

    private struct Run: Sendable {
        var turns = 0
        var firstAt: Timestamp
        var samples: [Sample] = []
        var next = 0
        var replyHash: UInt64?
        var sameReplies = 0
        var repliesSince: Timestamp
        /// Tokens of slices of ten seconds, by the slice's number.
        var tokens: [(slice: Int64, count: Int)] = []
        var held: Evidence?

        /// Forgets what led to a hold, so that the run has a fresh start. Turns stay.
        mutating func restart(at now: Timestamp) {
            samples.removeAll(keepingCapacity: true)
            next = 0
            replyHash = nil
            sameReplies = 0
            repliesSince = now
            tokens.removeAll(keepingCapacity: true)
            held = nil
        }
    }

    let rules: Rules
    private var runs: RecentTable<Run>

    init(_ rules: Rules = Rules()) {
        self.rules = rules
        runs = RecentTable(capacity: min(max(1, rules.runsMax), Self.runsMax))
    }

    var count: Int { runs.count }

    // MARK: Verbs

    /// A run makes a call; `hash` is of all that would make another call of it. A call that is held is not counted.
    mutating func call(run: String, hash: UInt64, at now: Timestamp) -> Verdict {
        let rules = rules
        return change(run, at: now) { run in
            if let held = Self.held(&run, at: now) { return .hold(held) }
            let turns = run.turns + 1
            if let limit = rules.turns, turns > max(0, limit) {
                return Self.hold(&run, .turns, turns, max(0, limit), from: run.firstAt, to: now, until: .distantFuture)
            }
            run.turns = turns
            Self.remember(Sample(hash: hash, at: now), in: &run)
            guard let bound = rules.sameCalls else { return .pass }
            let limit = min(max(2, bound), Self.samplesMax)
            let alike = run.samples.lazy.filter { $0.hash == hash && $0.at <= now && now - $0.at <= rules.window }
            let count = alike.count
            guard count >= limit, let first = alike.map(\.at).min() else { return .pass }
            return Self.hold(&run, .sameCalls, count, limit, hash, from: first, to: now, until: now + rules.hold)
        }
    }

    /// A call of a run was answered; `hash` is of what the model said, where that is to be compared. The verdict is for
    /// the run's next call.
    mutating func reply(run: String, hash: UInt64?, tokens: Int, at now: Timestamp) -> Verdict {
        let rules = rules
        return change(run, at: now) { run in
            if let held = Self.held(&run, at: now) { return .hold(held) }
            if let hash, run.replyHash == hash {
                run.sameReplies += 1
            } else if let hash {
                run.replyHash = hash
                run.sameReplies = 1
                run.repliesSince = now
            }
            let perMinute = Self.count(min(max(0, tokens), Self.tokensMax), in: &run, at: now)
            if let hash, let bound = rules.sameReplies, run.sameReplies >= max(2, bound) {
                return Self.hold(
                    &run, .sameReplies, run.sameReplies, max(2, bound), hash, from: run.repliesSince, to: now,
                    until: now + rules.hold)
            }
            if let limit = rules.tokensPerMinute, perMinute > max(0, limit) {
                return Self.hold(
                    &run, .tokenVelocity, perMinute, max(0, limit), from: max(run.firstAt, now - .minutes(1)), to: now,
                    until: now + rules.hold)
            }
            return .pass
        }
    }

    /// An operator lets a run go on.
    mutating func release(run: String, at now: Timestamp) {
        let name = Self.name(run)
        guard runs.peek(name) != nil else { return }
        change(run, at: now) { run in
            if run.held?.cause == .turns { run.turns = 0 }
            run.restart(at: now)
        }
    }

    /// What a run is held for, if it is.
    func evidence(run: String, at now: Timestamp) -> Evidence? {
        runs.peek(Self.name(run))?.held.flatMap { $0.heldUntil > now ? $0 : nil }
    }

    // MARK: Parts

    private mutating func change<Result>(_ run: String, at now: Timestamp, _ change: (inout Run) -> Result) -> Result {
        runs.update(Self.name(run), orMake: { Run(firstAt: now, repliesSince: now) }, change)
    }

    private static func name(_ run: String) -> String {
        run.utf8.count <= nameBytesMax ? run : Digest.sha256(run)
    }

    private static func held(_ run: inout Run, at now: Timestamp) -> Evidence? {
        guard let held = run.held else { return nil }
        if held.heldUntil > now { return held }
        run.restart(at: now)
        return nil
    }

    private static func hold(
        _ run: inout Run, _ cause: Cause, _ count: Int, _ limit: Int, _ hash: UInt64? = nil, from: Timestamp,
        to now: Timestamp, until: Timestamp
    ) -> Verdict {
        let evidence = Evidence(
            cause: cause, count: count, limit: limit, hash: hash, firstAt: from, lastAt: now, turns: run.turns,
            heldUntil: until)
        run.held = evidence
        return .hold(evidence)
    }

    private static func remember(_ sample: Sample, in run: inout Run) {
        if run.samples.count < samplesMax {
            run.samples.append(sample)
        } else {
            run.samples[run.next] = sample
        }
        run.next = (run.next + 1) % samplesMax
    }

    /// Counts tokens and returns those of the last minute.
    private static func count(_ tokens: Int, in run: inout Run, at now: Timestamp) -> Int {
        let slice = now.microseconds / 10_000_000
        run.tokens.removeAll { $0.slice <= slice - slices || $0.slice > slice }
        if let last = run.tokens.indices.last, run.tokens[last].slice == slice {
            run.tokens[last].count = min(tokensMax, run.tokens[last].count + tokens)
        } else {
            run.tokens.append((slice, tokens))
        }
        return run.tokens.reduce(0) { $0 + $1.count }
    }
}
