import Kernel

/// How full the model's window is in each session, and how many turns are left at the pace of the last ones. Pure;
/// memory is bounded by ``sessionsMax`` sessions of ``samplesMax`` samples.
struct ContextGauge: Sendable {
    struct Reading: Sendable, Equatable {
        /// Input tokens by the window's tokens; 1 is full.
        var utilization: Double
        /// Tokens that a turn adds, by the line through the last turns; `nil` before the second one.
        var growthPerTurn: Double?
        /// Turns until the window is full; `nil` where it does not fill.
        var turnsLeft: Int?
    }

    static let sessionsMax = 4_096
    static let samplesMax = 8
    /// A forecast that is further away says nothing.
    static let turnsLeftMax = 100_000
    /// No window is larger, as far as arithmetic with it is concerned.
    static let tokensMax = 1 << 40

    private struct Session: Sendable {
        var samples: [Int] = []
        var reading = Reading(utilization: 0)
    }

    private var sessions: RecentTable<Session>

    init(sessionsMax: Int = ContextGauge.sessionsMax) {
        sessions = RecentTable(capacity: min(max(1, sessionsMax), Self.sessionsMax))
    }

    var count: Int { sessions.count }

    /// A call of a session was answered. `input` is all input tokens of the call, cached ones included.
    ///
    /// - Returns: `nil` where the model's window is not known.
    mutating func record(session: String, input: Int, window: Int) -> Reading? {
        guard window > 0 else { return nil }
        let input = min(max(0, input), Self.tokensMax)
        let name = session.utf8.count <= LoopGuard.nameBytesMax ? session : Digest.sha256(session)
        return sessions.update(name, orMake: { Session() }) { session in
            // A session that became shorter was compacted: what was before says nothing about what follows.
            if let last = session.samples.last, input < last { session.samples.removeAll(keepingCapacity: true) }
            if session.samples.count == Self.samplesMax { session.samples.removeFirst() }
            session.samples.append(input)
            let growth = Self.slope(session.samples)
            session.reading = Reading(
                utilization: Double(input) / Double(window), growthPerTurn: growth,
                turnsLeft: Self.turnsLeft(input: input, window: window, growth: growth))
            return session.reading
        }
    }

    func reading(session: String) -> Reading? {
        sessions.peek(session.utf8.count <= LoopGuard.nameBytesMax ? session : Digest.sha256(session))?.reading
    }

    mutating func forget(session: String) {
        sessions.remove(session.utf8.count <= LoopGuard.nameBytesMax ? session : Digest.sha256(session))
    }

    /// The slope of the line of least squares through the samples, one a turn.
    private static func slope(_ samples: [Int]) -> Double? {
        guard samples.count >= 2 else { return nil }
        let middle = Double(samples.count - 1) / 2
        var numerator = 0.0
        var denominator = 0.0
        for (turn, tokens) in samples.enumerated() {
            let distance = Double(turn) - middle
            numerator += distance * Double(tokens)
            denominator += distance * distance
        }
        return numerator / denominator
    }

    private static func turnsLeft(input: Int, window: Int, growth: Double?) -> Int? {
        guard input < window else { return 0 }
        guard let growth, growth > 1e-6 else { return nil }
        let turns = Double(window - input) / growth
        return turns < Double(turnsLeftMax) ? Int(turns) : nil
    }
}
