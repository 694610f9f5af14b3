import Kernel
import Telemetry

/// A session of an agent, told from its spans and from the records of the calls that went through Reeve. Pure.
public struct Session: Sendable {
    /// One thing that was done: a model was asked, a tool called, something looked up or remembered.
    public struct Step: Sendable {
        public let span: SpanHead
        /// How many models had been asked by then, this one among them; at least 1.
        public fileprivate(set) var turn = 1
        /// The spans that tell of the same call, as Reeve saw it.
        fileprivate var same: [SpanID] = []
        public fileprivate(set) var cost: Cost?
        /// How full the model's context was; 1 is full.
        public fileprivate(set) var contextUtilization: Double?
    }

    public struct Cost: Sendable, Equatable {
        public enum Source: String, Sendable {
            /// The call's own record.
            case calls
            /// The tokens by the prices of their day.
            case prices
        }

        public let nanoUSD: Int64
        public let source: Source
    }

    /// What is known of calls and models.
    public struct Prices: Sendable {
        /// Nano-dollars of calls, by the span that Reeve tells of each.
        public var calls: [SpanID: Int64] = [:]
        public var price: @Sendable (_ model: String, SpanUsage, Timestamp) -> Int64?
        /// Tokens that a model's context holds.
        public var window: @Sendable (_ model: String) -> Int64?

        public init(
            price: @escaping @Sendable (String, SpanUsage, Timestamp) -> Int64? = { _, _, _ in nil },
            window: @escaping @Sendable (String) -> Int64? = { _ in nil }
        ) {
            (self.price, self.window) = (price, window)
        }
    }

    /// Steps of one session that are told.
    public static let stepsMax = 5_000
    /// How far the clocks of an agent and of Reeve may be apart, in nanoseconds.
    static let skewMax: Int64 = 5_000_000_000

    public let id: String
    public let isTrace: Bool
    public let traces: [TraceID]
    public private(set) var agents: [String] = []
    public private(set) var steps: [Step] = []
    /// Whether all that is known stands in ``steps``.
    public private(set) var isWhole: Bool
    public private(set) var startedAt: Int64 = 0
    public private(set) var endedAt: Int64 = 0
    public private(set) var state = SpanHead.State.ended
    /// Spans that failed where nothing beneath them did: one failure is told by all that it passes through.
    public private(set) var errors = 0

    /// - Parameters:
    ///   - heads: Of each of its traces, by their start.
    ///   - isWhole: Whether these are all of its traces.
    public init(_ found: SessionTraces, _ heads: [[SpanHead]], _ prices: Prices, isWhole: Bool = true) {
        (id, isTrace, traces, self.isWhole) = (found.id, found.isTrace, found.traces, found.isWhole && isWhole)
        // A trace may have spans of several conversations.
        let own = heads.map { spans in
            found.isTrace ? spans : spans.filter { [nil, found.id].contains($0.session) }
        }
        let all = own.flatMap(\.self)
        guard let first = all.first else { return }
        startedAt = all.reduce(first.startedAt) { min($0, $1.startedAt) }
        endedAt = all.reduce(first.endedAt) { max($0, $1.endedAt) }
        state = TraceHeads.state(of: all)
        for head in all {
            if let agent = head.agent, !agents.contains(agent), agents.count < 20 { agents.append(agent) }
        }
        steps = Self.merged(own.flatMap { add($0) })
        if steps.count > Self.stepsMax {
            steps.removeLast(steps.count - Self.stepsMax)
            self.isWhole = false
        }
        var turn = 0
        for index in steps.indices {
            if steps[index].span.operation == .model { turn += 1 }
            steps[index].turn = max(1, turn)
            steps[index].count(by: prices)
        }
    }

    /// The steps of a trace. What lies beneath a call to a model is the same call, told by another layer.
    private mutating func add(_ spans: [SpanHead]) -> [Step] {
        let tree = TraceTree(spans)
        var steps: [Step] = []
        var others: [Step] = []
        /// The step of the call that the next rows lie beneath.
        var call: (step: Int, end: Int)?
        for (index, row) in tree.rows.enumerated() where row.members == 0 {
            let span = spans[row.span]
            if let open = call, index > open.end { call = nil }
            if span.status == .error, row.errors == 1 { errors += 1 }
            if let open = call, span.operation == .model || span.operation == .embeddings {
                steps[open.step].same.append(span.spanID)
                continue
            }
            switch span.operation {
            case .model, .embeddings:
                steps.append(Step(span: span))
                call = (steps.count - 1, index + row.size)
            case .tool, .retrieval, .memory, .guardrail, .evaluation: steps.append(Step(span: span))
            default: others.append(Step(span: span))
            }
        }
        // Where nobody says what spans are, every one is a step.
        return steps.isEmpty ? others : steps
    }

    /// All steps by their start. A call whose trace was not passed on is told twice, in two traces: by the agent and by
    /// Reeve; the agent's stays, as it has the messages.
    private static func merged(_ steps: [Step]) -> [Step] {
        var theirs = steps.filter { $0.span.service != OwnNames.service || !$0.same.isEmpty }
        for own in steps where own.span.service == OwnNames.service && own.same.isEmpty {
            let twin = theirs.firstIndex { other in
                other.same.isEmpty && other.span.service != OwnNames.service && other.span.traceID != own.span.traceID
                    && other.span.operation == own.span.operation && other.span.agent == own.span.agent
                    && other.span.usage.map { ($0.allInput, $0.allOutput) } ?? (-1, -1)
                        == own.span.usage.map { ($0.allInput, $0.allOutput) } ?? (-2, -2)
                    && own.span.startedAt < other.span.endedAt + skewMax
                    && own.span.endedAt > other.span.startedAt - skewMax
            }
            if let twin { theirs[twin].same.append(own.span.spanID) } else { theirs.append(own) }
        }
        return theirs.sorted {
            ($0.span.startedAt, $0.span.spanID.description) < ($1.span.startedAt, $1.span.spanID.description)
        }
    }

    /// Models that were asked.
    public var turns: Int { steps.count { $0.span.operation == .model } }
    public var tools: Int { steps.count { $0.span.operation == .tool } }

    public var usage: SpanUsage {
        steps.reduce(into: SpanUsage()) {
            if let used = $1.span.usage { $0.add(used) }
        }
    }

    /// What all steps together cost, as far as it is known, in nano-dollars; `nil` where of none.
    public var nanoUSD: Int64? {
        let costs = steps.compactMap(\.cost?.nanoUSD)
        return costs.isEmpty ? nil : costs.reduce(0) { $0.addingReportingOverflow($1).partialValue }
    }

    /// Calls to models whose cost nobody knows.
    public var unpriced: Int { steps.count { $0.span.usage != nil && $0.cost == nil } }
}

extension Session.Step {
    fileprivate mutating func count(by prices: Session.Prices) {
        guard let used = span.usage else { return }
        let model = span.model ?? ""
        // More than one where the agent's client tried again.
        let calls = ([span.spanID] + same).compactMap { prices.calls[$0] }
        if !calls.isEmpty {
            let sum = calls.reduce(Int64(0)) { $0.addingReportingOverflow($1).partialValue }
            self.cost = Session.Cost(nanoUSD: sum, source: .calls)
        } else if let cost = prices.price(model, used, Timestamp(microseconds: span.startedAt / 1_000)) {
            self.cost = Session.Cost(nanoUSD: cost, source: .prices)
        }
        if let window = prices.window(model), window > 0, span.operation == .model {
            contextUtilization = Double(used.allInput) / Double(window)
        }
    }
}

extension SpanUsage {
    fileprivate var allInput: Int64 { input + cacheRead + cacheWrite }
    fileprivate var allOutput: Int64 { output + reasoning }

    fileprivate mutating func add(_ other: SpanUsage) {
        input += other.input
        cacheRead += other.cacheRead
        cacheWrite += other.cacheWrite
        output += other.output
        reasoning += other.reasoning
    }
}
