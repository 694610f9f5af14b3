import Kernel

/// Which traces somebody asks for.
public struct TraceQuery: Sendable {
    /// Traces of one answer.
    public static let limitMax = 200
    public static let limitDefault = 50
    /// Traces with a label among which is looked: those that got it last.
    public static let labelledMax = 1_000

    /// A correlation id, or the trace's own.
    public var id: String?
    public var service: String?
    public var agent: String?
    public var session: String?
    /// Only those with this label: see ``naming(_:)``.
    public var label: String?
    /// Those among which is looked; `nil` for all.
    var traces: [TraceID]?
    /// Only those with an error somewhere.
    public var isFailed = false
    /// Nanoseconds since 1970; a trace counts that has a span within.
    public var times: Range<Int64> = 0..<Int64.max
    public var limit = TraceQuery.limitDefault

    public init() {}
}

/// What a list says of a trace.
public struct TraceSummary: Sendable, Equatable {
    public let id: TraceID
    /// The span without a parent, or with one that is not there; of several the first.
    public let root: SpanHead
    public let startedAt: Int64
    public let endedAt: Int64
    public let spans: Int
    public let errors: Int
    public let tokens: Int64
    public let correlationID: String
    public let state: SpanHead.State

    /// - Parameter heads: Of one trace, by their start; `nil` for none.
    init?(_ heads: [SpanHead]) {
        guard let first = heads.first else { return nil }
        let ids = Set(heads.map(\.spanID))
        root = heads.first { $0.parentID.map { !ids.contains($0) } ?? true } ?? first
        id = first.traceID
        startedAt = first.startedAt
        endedAt = heads.map(\.endedAt).max() ?? first.endedAt
        spans = heads.count
        errors = heads.count { $0.status == .error }
        tokens = heads.reduce(0) { $0 + ($1.usage?.total ?? 0) }
        state = TraceHeads.state(of: heads)
        correlationID = heads.lazy.compactMap(\.correlationID).first ?? first.traceID.description
    }
}

extension SpanUsage {
    /// All tokens, in and out.
    public var total: Int64 { input + cacheRead + cacheWrite + output + reasoning }
}

/// What a search for traces found.
public struct TraceFindings: Sendable {
    public var traces: [TraceSummary] = []
    /// Whether all of the time that was asked for was looked at, or as many found as were asked for.
    public var isComplete = true
}

/// Looks for the traces with the latest spans, block by block backwards in time.
struct TraceSearch {
    private let archive: Archive
    private let live: LiveSpans
    private let query: TraceQuery
    private let filter: TraceSpanFilter
    private let isOver: () -> Bool

    /// - Parameter isOver: Asked between blocks: whether there was enough time.
    init(archive: Archive, live: LiveSpans, query: TraceQuery, isOver: @escaping () -> Bool) {
        self.archive = archive
        self.live = live
        self.query = query
        filter = TraceSpanFilter(query)
        self.isOver = isOver
    }

    func run() -> TraceFindings {
        var findings = TraceFindings()
        var seen: Set<TraceID> = []
        if let traces = query.traces {
            look(among: traces, &findings, &seen)
            return findings
        }
        for trace in live.traces(max: TraceQuery.limitMax) where live.heads(of: trace).contains(where: filter.isMeant) {
            add(trace, &findings, &seen)
        }
        let key = (query.id ?? query.session).map(archive.key.id)
        var cursor = BlockCursor(archive: archive, kind: .spans, times: query.times, key: key, isNewestFirst: true)
        while findings.traces.count < query.limit, let (part, extent) = cursor.next() {
            guard !isOver() else {
                findings.isComplete = false
                break
            }
            for head in meant(part, extent) { add(head.traceID, &findings, &seen) }
        }
        findings.traces.sort { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
        return findings
    }

    private func look(among traces: [TraceID], _ findings: inout TraceFindings, _ seen: inout Set<TraceID>) {
        for trace in traces {
            guard findings.traces.count < query.limit, !isOver() else {
                findings.isComplete = findings.traces.count >= query.limit
                break
            }
            let heads = archive.spans(of: trace).map(\.head) + live.heads(of: trace)
            if heads.contains(where: filter.isMeant) { add(trace, &findings, &seen) }
        }
        findings.traces.sort { ($0.startedAt, $0.id) > ($1.startedAt, $1.id) }
    }

    private func add(_ trace: TraceID, _ findings: inout TraceFindings, _ seen: inout Set<TraceID>) {
        guard findings.traces.count < query.limit, seen.insert(trace).inserted else { return }
        let heads = TraceHeads.merged(archive.spans(of: trace).map(\.head), live.heads(of: trace))
        guard let summary = TraceSummary(heads) else { return }
        if !query.isFailed || summary.errors > 0 { findings.traces.append(summary) }
    }

    /// The spans of a block that are as asked, the latest first.
    private func meant(_ part: ArchivePart, _ extent: BlockExtent) -> [SpanHead] {
        let heads: [SpanHead]? = archive.read(part) { file in
            try file.head(of: extent.id).map { try SpanColumns.read($0).map(\.head) } ?? []
        }
        return (heads ?? []).filter(filter.isMeant).sorted { ($0.endedAt, $0.traceID) > ($1.endedAt, $1.traceID) }
    }
}

/// Which spans make a trace one that is asked for.
struct TraceSpanFilter {
    private let query: TraceQuery
    /// What is asked for, where it is a trace's id.
    private let traceID: TraceID?

    init(_ query: TraceQuery) {
        self.query = query
        traceID = query.id.flatMap { TraceID($0.lowercased()) }
    }

    func isMeant(_ head: SpanHead) -> Bool {
        guard head.startedAt < query.times.upperBound, head.endedAt >= query.times.lowerBound else { return false }
        if let id = query.id, head.correlationID != id, traceID == nil || head.traceID != traceID { return false }
        if let service = query.service, head.service != service { return false }
        if let agent = query.agent, head.agent != agent { return false }
        if let session = query.session, head.session != session { return false }
        return true
    }
}
