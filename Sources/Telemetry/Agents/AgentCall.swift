import Kernel

/// A model call that went through Reeve, as far as its agent's metrics go.
public struct AgentCall: Sendable {
    public var agent: String?
    /// As its series are named.
    public var model: String
    public var session: String?
    public var trace: TraceID?
    public var startedAt: Timestamp
    public var endedAt: Timestamp
    /// By type, each token once; empty where nothing was used.
    public var tokens: [(type: String, tokens: Int64)] = []
    public var inputTokens: Int64 = 0
    public var outputTokens: Int64 = 0
    /// Tokens that the model's context holds; `nil` where that is not known.
    public var contextTokens: Int64?
    /// `nil` where no price is known.
    public var nanoUSD: Int64?
    /// Whether a model answered a conversation: embeddings and refusals are no turns.
    public var isTurn = false
    /// Whether the guard of the model's input refused what the session said.
    public var isInputRefused = false

    public init(agent: String?, model: String, startedAt: Timestamp, endedAt: Timestamp) {
        (self.agent, self.model, self.startedAt, self.endedAt) = (agent, model, startedAt, endedAt)
    }
}

/// The last calls that went through Reeve, so that what their callers tell of them is not counted once more.
///
/// Each call answers for one span: the nearest in its trace, where the caller passed the trace on; else one of the same
/// agent with the same tokens, that ran within ``skewMax`` of the call. What instrumentations tell differs too much for
/// anything closer, and many pass no trace on.
struct AgentCallMemory: Sendable {
    static let callsMax = 20_000
    /// Spans come with their batch, a few seconds later, and again after an outage of the network.
    static let span = Span.minutes(15)
    static let skewMax = Span.seconds(5)

    fileprivate struct Usage: Hashable {
        let agent: String
        let input: Int64
        let output: Int64
    }

    /// What remains of a call.
    struct Known: Sendable {
        let session: String?
        let trace: TraceID?
        fileprivate let usage: Usage?
        fileprivate let startedAt: Timestamp
        fileprivate let endedAt: Timestamp
        fileprivate let heardAt: Timestamp
    }

    private var calls: [Int: Known] = [:]
    private var byTrace: [TraceID: [Int]] = [:]
    private var byUsage: [Usage: [Int]] = [:]
    private var first = 0
    private var next = 0

    var count: Int { calls.count }

    mutating func insert(_ call: AgentCall, at now: Timestamp) {
        while next - first >= Self.callsMax || (calls[first].map { now - $0.heardAt > Self.span } ?? (first < next)) {
            remove(first)
            first += 1
        }
        let isTold = call.inputTokens > 0 || call.outputTokens > 0
        let usage =
            isTold ? Usage(agent: call.agent ?? "", input: call.inputTokens, output: call.outputTokens) : nil
        calls[next] = Known(
            session: call.session, trace: call.trace, usage: usage, startedAt: call.startedAt, endedAt: call.endedAt,
            heardAt: now)
        if let trace = call.trace { byTrace[trace, default: []].append(next) }
        if let usage { byUsage[usage, default: []].append(next) }
        next += 1
    }

    /// The call that a span tells of, which is then forgotten; `nil` where there is none.
    mutating func take(_ span: SpanHead) -> Known? {
        let start = Timestamp(microseconds: span.startedAt / 1_000)
        let end = Timestamp(microseconds: span.endedAt / 1_000)
        func distance(_ number: Int) -> Span {
            calls[number].map { max($0.startedAt - end, start - $0.endedAt, .zero) } ?? Self.span
        }
        if let number = byTrace[span.traceID]?.min(by: { distance($0) < distance($1) }) { return remove(number) }
        guard let used = span.usage else { return nil }
        let usage = Usage(
            agent: span.agent ?? "", input: used.input + used.cacheRead + used.cacheWrite,
            output: used.output + used.reasoning)
        guard let number = byUsage[usage]?.min(by: { distance($0) < distance($1) }), distance(number) <= Self.skewMax
        else { return nil }
        return remove(number)
    }

    /// Forgets calls by the names of agents and sessions; says how many.
    mutating func erase(where isMeant: (String) -> Bool) -> Int {
        let found = calls.filter { call in
            [call.value.session, call.value.usage?.agent].contains { $0.map(isMeant) ?? false }
        }.map(\.key)
        for number in found { remove(number) }
        return found.count
    }

    @discardableResult
    private mutating func remove(_ number: Int) -> Known? {
        guard let call = calls.removeValue(forKey: number) else { return nil }
        if let trace = call.trace {
            byTrace[trace]?.removeAll { $0 == number }
            if byTrace[trace]?.isEmpty == true { byTrace[trace] = nil }
        }
        if let usage = call.usage {
            byUsage[usage]?.removeAll { $0 == number }
            if byUsage[usage]?.isEmpty == true { byUsage[usage] = nil }
        }
        return call
    }
}
