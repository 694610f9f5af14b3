import Kernel

/// Whether an agent is there and what it does, derived from facts alone: nobody can claim it.
///
/// One word has to say several things at once, so the first that applies of this list is it:
/// 1. `quarantined`: set apart by an operator or a guard; stays so whatever else happens.
/// 2. `unreachable`: not heard of for its interval and the grace, while a lease of its tasks is alive. It may still be
///    at work, so nobody else is given that work yet. `offline`: the same with no lease left.
/// 3. `paused`, then `draining`: told by an operator. Both come behind silence, as a paused agent that died must not
///    look well; and before `never_seen`, so that an agent can be paused before it comes.
/// 4. `never_seen`: registered, and not heard of yet.
/// 5. `busy` with a leased task, `waiting` with parked ones only, `idle` with none.
///
/// After Reeve starts, silence is no proof, as agents could not reach it: who was last heard of before the start is
/// given up on only when the failover grace is over. Who was given up on before stays so until it comes back.
public struct AgentPresence: Sendable, Equatable {
    public let status: AgentStatus
    /// When the passing of time alone may change the status; `nil` where it cannot.
    public let wakesAt: Timestamp?

    /// What is known of one agent.
    public struct Facts: Sendable, Equatable {
        public var current: AgentStatus
        public var lastContactAt: Timestamp?
        /// The span that the agent was told to be heard of within.
        public var interval: Span
        public var isPaused = false
        public var isDraining = false
        public var isQuarantined = false
        public var leased = 0
        public var waiting = 0

        public init(current: AgentStatus, lastContactAt: Timestamp?, interval: Span) {
            self.current = current
            self.lastContactAt = lastContactAt
            self.interval = interval
        }

        /// Why the agent may not be handed work: `quarantined`, `paused` or `draining`; `nil` if it may.
        public var refusal: String? {
            if isQuarantined { return AgentStatus.quarantined.rawValue }
            if isPaused { return AgentStatus.paused.rawValue }
            return isDraining ? AgentStatus.draining.rawValue : nil
        }
    }

    /// The moment at which presence is judged, and how patient Reeve is.
    public struct Clock: Sendable, Equatable {
        public let now: Timestamp
        public let startedAt: Timestamp
        public let grace: Span
        public let failoverGrace: Span

        public init(now: Timestamp, startedAt: Timestamp, grace: Span, failoverGrace: Span) {
            self.now = now
            self.startedAt = startedAt
            self.grace = grace
            self.failoverGrace = failoverGrace
        }
    }

    /// The status of an agent, and when to look again. Pure.
    public static func derive(_ facts: Facts, _ clock: Clock) -> AgentPresence {
        if facts.isQuarantined { return AgentPresence(status: .quarantined, wakesAt: nil) }
        var wakesAt: Timestamp?
        if let lastContactAt = facts.lastContactAt {
            let deadline = silenceDeadline(facts, lastContactAt, clock)
            guard clock.now < deadline else {
                // A lease's end is told by the Tasks feature, so time alone changes nothing here.
                return AgentPresence(status: facts.leased > 0 ? .unreachable : .offline, wakesAt: nil)
            }
            wakesAt = deadline
        }
        return AgentPresence(status: liveStatus(facts), wakesAt: wakesAt)
    }

    private static func liveStatus(_ facts: Facts) -> AgentStatus {
        if facts.isPaused { return .paused }
        if facts.isDraining { return .draining }
        if facts.lastContactAt == nil { return .neverSeen }
        if facts.leased > 0 { return .busy }
        return facts.waiting > 0 ? .waiting : .idle
    }

    private static func silenceDeadline(_ facts: Facts, _ lastContactAt: Timestamp, _ clock: Clock) -> Timestamp {
        let deadline = lastContactAt + facts.interval + clock.grace
        guard lastContactAt < clock.startedAt, !facts.current.isSilent else { return deadline }
        return max(deadline, clock.startedAt + clock.failoverGrace)
    }
}
