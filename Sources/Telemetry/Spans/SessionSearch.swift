import Kernel

/// Which sessions somebody asks for.
public struct SessionQuery: Sendable {
    /// Sessions of one answer.
    public static let limitMax = 100
    public static let limitDefault = 50
    /// Traces of a session that are looked into, the latest ones.
    public static let tracesMax = 500

    /// The session's own, or the id of the trace that is one.
    public var id: String?
    public var agent: String?
    /// Nanoseconds since 1970; a session counts that has a span within.
    public var times: Range<Int64> = 0..<Int64.max
    public var limit = SessionQuery.limitDefault

    public init() {}
}

/// The traces of a session: of a conversation, by the id that its spans name; or one alone, where it begins with an
/// agent's span and no span of it names a conversation.
public struct SessionTraces: Sendable, Equatable {
    public let id: String
    /// Whether the session is a trace.
    public let isTrace: Bool
    public fileprivate(set) var traces: [TraceID]
    /// Whether these are all that are known.
    public fileprivate(set) var isWhole = true
    fileprivate var startedAt: Int64
    fileprivate var heardAt: Int64

    /// A trace by itself.
    public init(trace: TraceID) {
        self.init(id: trace.description, isTrace: true, traces: [trace], startedAt: 0, heardAt: 0)
    }

    public init(id: String, isTrace: Bool, traces: [TraceID], startedAt: Int64 = 0, heardAt: Int64 = 0) {
        (self.id, self.isTrace, self.traces) = (id, isTrace, traces)
        (self.startedAt, self.heardAt) = (startedAt, heardAt)
    }
}

/// What a search for sessions found, the latest first.
public struct SessionFindings: Sendable {
    public var sessions: [SessionTraces] = []
    /// Whether all of the time that was asked for was looked at, or as many found as were asked for.
    public var isComplete = true
}

/// Puts spans together to sessions, as a search comes upon them.
struct SessionGathering {
    private let query: SessionQuery
    private var found: [String: SessionTraces] = [:]
    private var known: [String: Set<TraceID>] = [:]
    /// Traces of conversations: no sessions themselves.
    private var spoken: Set<TraceID> = []

    init(_ query: SessionQuery) { self.query = query }

    var isEnough: Bool { found.count >= query.limit * 2 }

    /// Where the first of the sessions began, as far as is known.
    var startedAt: Int64 { found.values.map(\.startedAt).min() ?? 0 }

    var findings: SessionFindings {
        var findings = SessionFindings()
        findings.sessions = found.values.filter { !$0.isTrace || !spoken.contains($0.traces[0]) }
            .sorted { ($0.heardAt, $0.id) > ($1.heardAt, $1.id) }
        findings.sessions.removeLast(max(0, findings.sessions.count - query.limit))
        return findings
    }

    mutating func note(_ head: SpanHead) {
        guard head.startedAt < query.times.upperBound, head.endedAt >= query.times.lowerBound else { return }
        if head.session != nil, spoken.count < AgentSessions.openMax { spoken.insert(head.traceID) }
        let isRoot = head.operation == .agent && head.parentID == nil
        guard let id = head.session ?? (isRoot ? head.traceID.description : nil) else { return }
        if let asked = query.id, asked != id { return }
        if let agent = query.agent, head.agent != agent { return }
        var session =
            found[id]
            ?? SessionTraces(
                id: id, isTrace: head.session == nil, traces: [], startedAt: head.startedAt, heardAt: head.endedAt)
        // Twice as many as are asked for: some are parts of others.
        if found[id] == nil, found.count >= query.limit * 2 { return }
        session.startedAt = min(session.startedAt, head.startedAt)
        session.heardAt = max(session.heardAt, head.endedAt)
        if known[id, default: []].count >= SessionQuery.tracesMax {
            session.isWhole = session.isWhole && known[id]?.contains(head.traceID) == true
        } else if known[id, default: []].insert(head.traceID).inserted {
            session.traces.append(head.traceID)
        }
        found[id] = session
    }
}

/// Looks for sessions, block by block backwards in time: one that is named, in the blocks that have spans of it alone.
/// Once there are enough others, it goes on for as long as one of them may have begun earlier.
struct SessionSearch {
    /// A session that says nothing for so long is looked for no further back, in nanoseconds.
    static let pauseMax: Int64 = 24 * 3_600 * 1_000_000_000

    let archive: Archive
    let live: LiveSpans
    let query: SessionQuery
    let isOver: () -> Bool

    func run() -> SessionFindings {
        var gathering = SessionGathering(query)
        var isComplete = true
        for trace in live.traces(max: TraceQuery.limitMax) {
            for head in live.heads(of: trace) { gathering.note(head) }
        }
        let key = query.id.map(archive.key.id)
        var cursor = BlockCursor(archive: archive, kind: .spans, times: query.times, key: key, isNewestFirst: true)
        while let (part, extent) = cursor.next() {
            guard !isOver() else {
                isComplete = false
                break
            }
            let heads: [SpanHead]? = archive.read(part) { file in
                try file.head(of: extent.id).map { try SpanColumns.read($0).map(\.head) } ?? []
            }
            for head in heads ?? [] { gathering.note(head) }
            guard key == nil, let ahead = cursor.ahead, gathering.isEnough else { continue }
            if ahead.upperBound < gathering.startedAt - Self.pauseMax { break }
        }
        var findings = gathering.findings
        findings.isComplete = isComplete
        return findings
    }
}
