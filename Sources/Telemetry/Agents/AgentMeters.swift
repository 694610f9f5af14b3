import Kernel
import Synchronization

/// Counts what agents do, from two sides: model calls that went through Reeve, and spans that agents' own
/// instrumentation sent. A call that both tell of is counted once, see ``AgentCallMemory``.
public final class AgentMeters: Sendable {
    private struct State {
        var tokens = CounterFamily(AgentMetrics.tokens)
        var tools = CounterFamily(AgentMetrics.tools)
        var repeats = CounterFamily(AgentMetrics.repeats)
        var contexts = HistogramFamily(AgentMetrics.contexts, bounds: AgentMetrics.ratioBounds)
        var memory = CounterFamily(AgentMetrics.memory)
        var memoryTime = HistogramFamily(AgentMetrics.memoryTime, bounds: AgentMetrics.memoryBounds)
        var sessionTime = HistogramFamily(AgentMetrics.sessionTime, bounds: AgentMetrics.sessionBounds)
        var turns = HistogramFamily(AgentMetrics.turns, bounds: AgentMetrics.turnBounds)
        /// By agent and model; its type is asked for when it is shown, as that may come later.
        var cost = SeriesTable<Int64>(AgentMetrics.cost, first: 0, seriesMax: SeriesNames.seriesMax)
        var sessions = AgentSessions()
        var signs = SessionSigns()
        var calls = AgentCallMemory()
        var argumentsSeen = RecentSet<Int>(capacity: AgentMeters.argumentsMax)
        /// The spans above those that used tokens: what two instrumentations tell, one inside the other, is the same.
        var countedBelow = RecentSet<SpanKey>(capacity: AgentMeters.parentsMax)
    }

    private struct SpanKey: Hashable {
        let trace: TraceID
        let span: SpanID
    }

    /// Arguments of tools that are remembered, to know those that come again.
    static let argumentsMax = 100_000
    static let parentsMax = 20_000

    private let state = Mutex(State())
    private let world: World
    private let windows: @Sendable (String) -> Int64?
    private let types: @Sendable (String) -> String

    /// What the metrics are called.
    public static var metrics: [Metric] { AgentMetrics.all }

    /// - Parameters:
    ///   - windows: Tokens that the context of a model holds, by its name or its provider's.
    ///   - types: What kind of agent it is; empty where nobody said.
    public init(
        world: World, windows: @escaping @Sendable (String) -> Int64? = { _ in nil },
        types: @escaping @Sendable (String) -> String = { _ in "" }
    ) {
        (self.world, self.windows) = (world, windows)
        // Those of drills are of their type before and after they are registered.
        self.types = { DrillNames.isOfDrill($0) ? DrillNames.agentType : types($0) }
    }

    // MARK: in

    /// Counts calls that went through Reeve.
    public func observe(_ calls: [AgentCall]) {
        let now = world.now
        state.withLock { state in
            for call in calls { Self.count(call, in: &state, at: now) }
        }
    }

    /// Counts spans, each of which comes once; Reeve's own tell of what is counted by its records.
    public func observe(_ spans: [StoredSpan]) {
        let now = world.now
        let spans = spans.filter { $0.head.service != OwnNames.service }
        state.withLock { state in
            for span in spans where span.head.usage != nil {
                guard let parent = span.head.parentID else { continue }
                state.countedBelow.insert(SpanKey(trace: span.head.traceID, span: parent))
            }
            for span in spans { count(span, in: &state, at: now) }
        }
    }

    private static func count(_ call: AgentCall, in state: inout State, at now: Timestamp) {
        let agent = call.agent ?? ""
        for (type, tokens) in call.tokens { state.tokens.add(tokens, [call.model, type, agent]) }
        if let cost = call.nanoUSD {
            state.cost.update([agent, "", call.model]) { $0 = $0.addingReportingOverflow(max(0, cost)).partialValue }
        }
        let key = AgentSessions.Key(agent: agent, session: call.session)
        state.sessions.hear(
            key, from: call.startedAt.microseconds, until: call.endedAt.microseconds, isTurn: call.isTurn, at: now)
        if call.isInputRefused { state.signs.note(key, at: now) }
        if call.session == nil, call.isTurn, let trace = call.trace { state.sessions.turn(of: trace, at: now) }
        if let window = call.contextTokens {
            fill(call.model, key, call.inputTokens, of: window, call.endedAt.microseconds, &state, at: now)
        }
        state.calls.insert(call, at: now)
    }

    private static func fill(
        _ model: String, _ key: AgentSessions.Key, _ input: Int64, of window: Int64, _ moment: Int64,
        _ state: inout State, at now: Timestamp
    ) {
        guard input > 0, window > 0 else { return }
        let ratio = Double(input) / Double(window)
        state.contexts.observe(ratio, [model, key.agent])
        state.sessions.fill(key, model, ratio, moment, at: now)
    }

    private func count(_ span: StoredSpan, in state: inout State, at now: Timestamp) {
        let head = span.head
        let agent = head.agent ?? ""
        let seconds = Double(head.endedAt - head.startedAt) / 1e9
        var isTurn = false
        switch head.operation {
        case .model, .embeddings: isTurn = countModel(head, in: &state, at: now)
        case .tool:
            let tool = head.tool ?? head.name
            state.tools.add(1, [agent, tool, span.clues.outcome(head.status).rawValue])
            if span.clues.givesOrders {
                state.signs.note(AgentSessions.Key(agent: agent, session: head.session), at: now)
            }
            if let arguments = span.clues.arguments {
                var hasher = Hasher()
                hasher.combine(agent)
                hasher.combine(tool)
                hasher.combine(arguments)
                if let session = head.session { hasher.combine(session) } else { hasher.combine(head.traceID) }
                if !state.argumentsSeen.insert(hasher.finalize()) { state.repeats.add(1, [agent, tool]) }
            }
        case .memory:
            let operation = Self.memoryOperation(span.clues.operation)
            state.memory.add(1, [agent, operation, span.clues.outcome(head.status).rawValue])
            state.memoryTime.observe(seconds, [agent, operation])
        case .agent where head.parentID == nil && head.session == nil:
            state.sessions.root(of: head.traceID, agent: agent, seconds: seconds, at: now)
        default: break
        }
        state.sessions.hear(
            AgentSessions.Key(agent: agent, session: head.session), from: head.startedAt / 1_000,
            until: head.endedAt / 1_000, isTurn: isTurn, at: now)
    }

    /// - Returns: Whether it is a turn of its conversation that nobody counted so far.
    private func countModel(_ head: SpanHead, in state: inout State, at now: Timestamp) -> Bool {
        if state.countedBelow.contains(SpanKey(trace: head.traceID, span: head.spanID)) { return false }
        let call = state.calls.take(head)
        let agent = head.agent ?? ""
        let model = head.model ?? ""
        if call == nil, let used = head.usage {
            for (type, tokens) in used.byType { state.tokens.add(tokens, [model, type, agent]) }
            if let window = windows(model) {
                Self.fill(
                    model, AgentSessions.Key(agent: agent, session: head.session),
                    used.input + used.cacheRead + used.cacheWrite, of: window, head.endedAt / 1_000, &state, at: now)
            }
        }
        guard head.operation == .model else { return false }
        if head.session != nil { return call?.session == nil }
        if call?.trace != head.traceID { state.sessions.turn(of: head.traceID, at: now) }
        return false
    }

    /// `search_memory` searches; what makes, changes or deletes memories writes (OpenTelemetry, "Memory operations").
    static func memoryOperation(_ name: String) -> String {
        let verb = name.split(separator: "_").first.map(String.init) ?? ""
        switch verb {
        case "search": return "search"
        case "create", "update", "upsert", "delete", "add", "write", "store": return "write"
        default: return "read"
        }
    }
}

extension SpanUsage {
    /// Under the same words as the gateway's; each token once, types without any left out.
    var byType: [(type: String, tokens: Int64)] {
        [
            ("input", input), ("cache_read", cacheRead), ("cache_write", cacheWrite), ("output", output),
            ("reasoning", reasoning),
        ].filter { $0.1 > 0 }
    }
}

// MARK: - What is erased

extension AgentMeters: SubjectKeeper {
    public var keeperName: String { "agents" }

    /// Sessions, calls and series of which an agent, a session, a model or a tool is the subject. Arguments of tools
    /// are known by hashes of this process alone, spans by their ids: neither tells of anybody.
    public func erase(_ order: ErasureOrder) -> SubjectCount {
        let (isDryRun, subject) = (order.isDryRun, order.subject)
        let found = state.withLock { state in
            // A look beforehand is one at a copy.
            var looked = state
            defer { if !isDryRun { state = looked } }
            return Self.erase(subject, &looked)
        }
        return SubjectCount(found: found)
    }

    private static func erase(_ subject: SubjectMatch, _ state: inout State) -> Int {
        func isMeant(_ text: String) -> Bool { subject.isMet(by: text) }
        func isSeries(_ labels: [String]) -> Bool { labels.contains(where: isMeant) }
        return state.sessions.erase(where: isMeant) + state.signs.erase(where: isMeant)
            + state.calls.erase(where: isMeant)
            + state.tokens.remove(labelled: isSeries) + state.tools.remove(labelled: isSeries)
            + state.repeats.remove(labelled: isSeries) + state.contexts.remove(labelled: isSeries)
            + state.memory.remove(labelled: isSeries) + state.memoryTime.remove(labelled: isSeries)
            + state.sessionTime.remove(labelled: isSeries) + state.turns.remove(labelled: isSeries)
            + state.cost.remove(labelled: isSeries)
    }
}

// MARK: - out

extension AgentMeters: MetricSource {
    public func collect(into page: inout MetricPage) {
        let now = world.now
        var context = GaugeFamily(AgentMetrics.context)
        // Families alone are copied: what else there is would be copied anew by whoever counts next.
        var signs = GaugeFamily(AgentMetrics.signs)
        let (counters, histograms, costs, open) = state.withLock { state in
            for (key, count) in state.signs.sweep(at: now) {
                signs.raise(Double(count), [key.agent, key.session ?? ""])
            }
            for ended in state.sessions.sweep(at: now) {
                state.sessionTime.observe(ended.seconds, [ended.agent])
                state.turns.observe(Double(ended.turns), [ended.agent])
            }
            state.sessions.eachContext { agent, model, ratio in context.raise(ratio, [model, agent]) }
            return (
                [state.tokens, state.tools, state.repeats, state.memory],
                [state.contexts, state.memoryTime, state.sessionTime, state.turns], state.cost, state.sessions.count
            )
        }
        for family in counters { page.add(family) }
        for family in histograms { page.add(family) }
        page.add(context)
        page.add(signs)
        page.add(AgentMetrics.sessions, Double(open))
        var cost = CounterFamily(AgentMetrics.cost, digits: NanoDollars.digits)
        for (labels, value) in costs.series { cost.add(value, [labels[0], types(labels[0]), labels[2]]) }
        page.add(cost)
    }
}

/// The values that came last, without end and within bounds.
struct RecentSet<Element: Hashable & Sendable>: Sendable {
    private var elements: Set<Element> = []
    private var ring: [Element] = []
    private var next = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(1, capacity) }

    var count: Int { elements.count }

    func contains(_ element: Element) -> Bool { elements.contains(element) }

    /// - Returns: Whether it is new.
    @discardableResult
    mutating func insert(_ element: Element) -> Bool {
        guard elements.insert(element).inserted else { return false }
        if ring.count < capacity {
            ring.append(element)
        } else {
            elements.remove(ring[next])
            ring[next] = element
            next = (next + 1) % capacity
        }
        return true
    }
}
