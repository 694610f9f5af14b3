import Kernel

/// The sessions of agents: when they began, how many model calls they had, how full the context is.
///
/// A conversation is a session and ends once it was not heard of for ``idleMax``. Where a trace begins with an agent's
/// span that names no conversation, the trace is the session, and its model calls are its turns.
struct AgentSessions: Sendable {
    static let idleMax = Span.minutes(30)
    /// How long the context of calls without a session is shown.
    static let contextMax = Span.minutes(10)
    /// How long the rest of a trace may come behind its first span, which is the last to end.
    static let lateMax = Span.seconds(15)
    /// How long a trace's model calls wait for its first span.
    static let traceMax = Span.hours(4)
    /// Sessions and traces that are known; when there are more, the ones that were silent longest end.
    static let openMax = 20_000
    /// Models of a session whose contexts are told apart.
    static let modelsMax = 4

    struct Ended: Sendable, Equatable {
        let agent: String
        let seconds: Double
        let turns: Int
    }

    struct Key: Hashable, Sendable {
        let agent: String
        /// `nil` for calls without one.
        let session: String?
    }

    private struct Session: Sendable {
        /// Microseconds since 1970, as whoever told it had it.
        var first: Int64
        var last: Int64
        var turns = 0
        var ratios: [String: Double] = [:]
        var heardAt: Timestamp
    }

    private struct Trace: Sendable {
        var turns = 0
        var heardAt: Timestamp
        /// Where its first span came.
        var root: (agent: String, seconds: Double)?
    }

    private var sessions: [Key: Session] = [:]
    private var traces: [TraceID: Trace] = [:]
    private var ended: [Ended] = []

    /// Conversations that have not ended.
    var count: Int { sessions.keys.count { $0.session != nil } }

    /// Something of a session was heard.
    mutating func hear(_ key: Key, from first: Int64, until last: Int64, isTurn: Bool, at now: Timestamp) {
        guard key.session != nil else { return }
        update(key, first, last, at: now) { if isTurn { $0.turns += 1 } }
    }

    /// A model call filled so much of the model's context.
    mutating func fill(_ key: Key, _ model: String, _ ratio: Double, _ moment: Int64, at now: Timestamp) {
        update(key, moment, moment, at: now) { session in
            if session.ratios[model] != nil || session.ratios.count < Self.modelsMax { session.ratios[model] = ratio }
        }
    }

    private mutating func update(
        _ key: Key, _ first: Int64, _ last: Int64, at now: Timestamp, _ change: (inout Session) -> Void
    ) {
        if sessions[key] == nil, sessions.count >= Self.openMax { endOldest() }
        var session = sessions[key] ?? Session(first: first, last: last, heardAt: now)
        session.first = min(session.first, first)
        session.last = max(session.last, last)
        session.heardAt = now
        change(&session)
        sessions[key] = session
    }

    /// A model call in a trace, of a session that has no name.
    mutating func turn(of trace: TraceID, at now: Timestamp) {
        if traces[trace] == nil, traces.count >= Self.openMax { endOldestTraces() }
        traces[trace, default: Trace(heardAt: now)].turns += 1
    }

    /// The first span of a trace came: an agent's, without a conversation.
    mutating func root(of trace: TraceID, agent: String, seconds: Double, at now: Timestamp) {
        if traces[trace] == nil, traces.count >= Self.openMax { endOldestTraces() }
        traces[trace, default: Trace(heardAt: now)].heardAt = now
        traces[trace]?.root = (agent, seconds)
    }

    /// The sessions that ended since this was last asked.
    mutating func sweep(at now: Timestamp) -> [Ended] {
        for (key, session) in sessions {
            let most = key.session == nil ? Self.contextMax : Self.idleMax
            if now - session.heardAt > most { end(key) }
        }
        for (id, trace) in traces {
            let most = trace.root == nil ? Self.traceMax : Self.lateMax
            if now - trace.heardAt > most { end(id) }
        }
        defer { ended = [] }
        return ended
    }

    /// Forgets sessions, and what waits for the end of traces, by the names of agents and sessions; says how many.
    mutating func erase(where isMeant: (String) -> Bool) -> Int {
        let keys = sessions.keys.filter { isMeant($0.agent) || $0.session.map(isMeant) ?? false }
        let roots = traces.filter { $0.value.root.map { isMeant($0.agent) } ?? false }.keys
        for key in keys { sessions[key] = nil }
        for trace in roots { traces[trace] = nil }
        ended.removeAll { isMeant($0.agent) }
        return keys.count + roots.count
    }

    /// The fullest context of an agent's open sessions, by agent and model.
    func eachContext(_ body: (_ agent: String, _ model: String, _ ratio: Double) -> Void) {
        for (key, session) in sessions {
            for (model, ratio) in session.ratios { body(key.agent, model, ratio) }
        }
    }

    private mutating func end(_ key: Key) {
        guard let session = sessions.removeValue(forKey: key), key.session != nil else { return }
        ended.append(
            Ended(agent: key.agent, seconds: Double(session.last - session.first) / 1e6, turns: session.turns))
    }

    private mutating func end(_ id: TraceID) {
        guard let trace = traces.removeValue(forKey: id), let root = trace.root else { return }
        ended.append(Ended(agent: root.agent, seconds: root.seconds, turns: trace.turns))
    }

    /// A tenth at a time: to look for the oldest takes a look at all.
    private mutating func endOldest() {
        let oldest = sessions.sorted { $0.value.heardAt < $1.value.heardAt }.prefix(Self.openMax / 10)
        for (key, _) in oldest { end(key) }
    }

    private mutating func endOldestTraces() {
        let oldest = traces.sorted { $0.value.heardAt < $1.value.heardAt }.prefix(Self.openMax / 10)
        for (id, _) in oldest { end(id) }
    }
}
