import Kernel
import Synchronization

/// The spans that run: they said that they had begun and did not end yet. An end takes them out, whenever it comes, and
/// whoever is silent for too long is told of as lost by ``lost(where:)``.
public final class LiveSpans: Sendable {
    /// Spans that run at one time; beyond it the trace goes that was silent for longest.
    static let spansMax = 20_000
    /// What is kept of them in bytes, likewise.
    static let bytesMax = 32 << 20
    /// Spans that ended of late, whose beginning may still be on its way.
    static let endedMax = 50_000
    /// Levels of a tree that a step is told upwards.
    static let depthMax = 64

    private struct Key: Hashable {
        let trace: TraceID
        let span: SpanID
    }

    private struct Run {
        var spans: [SpanID: LiveSpan] = [:]
        /// When something was last heard of the trace, and of the agents in it.
        var heardAt: Timestamp
        var agentHeardAt: Timestamp?
    }

    private struct State {
        var runs: [TraceID: Run] = [:]
        var count = 0
        var bytes = 0
        var ended: Set<Key> = []
        var endedOrder: [Key] = []
        var isChanged = false
        var evicted = 0
    }

    private let spansMax: Int
    private let bytesMax: Int
    private let endedMax: Int
    private let world: World
    /// Whoever was silent before could not be heard.
    private let startedAt: Timestamp
    private let state = Mutex(State())

    public init(world: World) {
        self.world = world
        startedAt = world.now
        (spansMax, bytesMax, endedMax) = (Self.spansMax, Self.bytesMax, Self.endedMax)
    }

    init(
        world: World, spansMax: Int, bytesMax: Int = LiveSpans.bytesMax, endedMax: Int = LiveSpans.endedMax
    ) {
        self.world = world
        startedAt = world.now
        (self.spansMax, self.bytesMax, self.endedMax) = (spansMax, bytesMax, endedMax)
    }

    // MARK: What is heard

    /// Takes a span that came in. `true` where it only says that it began: then there is nothing to keep of it.
    ///
    /// - Parameter arrivedAt: Perhaps in an earlier process: nobody could be heard of since.
    func take(_ item: ReceivedSpans.Item, of body: UnsafeRawBufferPointer, arrivedAt: Timestamp) -> Bool {
        let now = max(arrivedAt, startedAt)
        let head = item.head
        let key = Key(trace: head.traceID, span: head.spanID)
        return state.withLock { state in
            guard head.state == .running else {
                // The end of what was lost may follow; the end of what ended may not.
                end(key, head, at: now, &state)
                return false
            }
            guard !state.ended.contains(key) else { return true }
            if state.runs[key.trace]?.spans[key.span]?.isInferred == false {
                hear(key.trace, at: now, &state)
            } else {
                insert(LiveSpan(item, of: body, beganAt: arrivedAt), key, at: now, &state)
            }
            step(head, &state)
            return true
        }
    }

    /// A log line named a span: it runs, unless it ended before.
    ///
    /// - Parameter at: Nanoseconds since 1970, by the sender's clock.
    public func saw(_ traceID: TraceID, _ spanID: SpanID, _ name: String, at time: Int64, agent: String? = nil) {
        let now = world.now
        let key = Key(trace: traceID, span: spanID)
        state.withLock { state in
            guard !state.ended.contains(key) else { return }
            if state.runs[traceID]?.spans[spanID] != nil {
                hear(traceID, at: now, &state)
            } else {
                var head = SpanHead(traceID, spanID)
                head.name = SpanReader.cut(name)
                head.startedAt = time
                head.agent = agent
                head.state = .running
                insert(LiveSpan(head, beganAt: now), key, at: now, &state)
            }
            guard let span = state.runs[traceID]?.spans[spanID], time >= span.lastStepAt else { return }
            state.runs[traceID]?.spans[spanID]?.lastStep = SpanReader.cut(name)
            state.runs[traceID]?.spans[spanID]?.lastStepAt = time
        }
    }

    /// When agents were last heard of: what they do runs on.
    public func heard(_ agents: [String: Timestamp]) {
        state.withLock { state in
            for (trace, run) in state.runs {
                let times = run.spans.values.compactMap { $0.head.agent.flatMap { agents[$0] } }
                guard let last = times.max(), last > run.agentHeardAt ?? Timestamp(microseconds: .min) else { continue }
                state.runs[trace]?.agentHeardAt = last
            }
        }
    }

    private func hear(_ trace: TraceID, at now: Timestamp, _ state: inout State) {
        if let run = state.runs[trace], run.heardAt < now { state.runs[trace]?.heardAt = now }
    }

    private func insert(_ span: LiveSpan, _ key: Key, at now: Timestamp, _ state: inout State) {
        while state.count >= spansMax || state.bytes + span.bytes > bytesMax, !state.runs.isEmpty { evict(&state) }
        let old = state.runs[key.trace, default: Run(heardAt: now)].spans.updateValue(span, forKey: key.span)
        if old == nil { state.count += 1 }
        state.bytes += span.bytes - (old?.bytes ?? 0)
        hear(key.trace, at: now, &state)
        state.isChanged = true
    }

    private func end(_ key: Key, _ head: SpanHead, at now: Timestamp, _ state: inout State) {
        if state.runs[key.trace] != nil {
            remove(key, &state)
            hear(key.trace, at: now, &state)
            step(head, &state)
        }
        guard head.state == .ended, state.ended.insert(key).inserted else { return }
        state.endedOrder.append(key)
        guard state.endedOrder.count > endedMax else { return }
        let gone = state.endedOrder.prefix(state.endedOrder.count / 2)
        for key in gone { state.ended.remove(key) }
        state.endedOrder.removeFirst(gone.count)
    }

    private func remove(_ key: Key, _ state: inout State) {
        guard let span = state.runs[key.trace]?.spans.removeValue(forKey: key.span) else { return }
        state.count -= 1
        state.bytes -= span.bytes
        state.isChanged = true
        if state.runs[key.trace]?.spans.isEmpty == true { state.runs[key.trace] = nil }
    }

    /// Something began or ended: it is the newest step of all that it is a part of.
    private func step(_ head: SpanHead, _ state: inout State) {
        var parent = head.parentID
        for _ in 0..<Self.depthMax {
            guard let id = parent, let above = state.runs[head.traceID]?.spans[id] else { return }
            if head.startedAt >= above.lastStepAt {
                state.runs[head.traceID]?.spans[id]?.lastStep = head.name
                state.runs[head.traceID]?.spans[id]?.lastStepAt = head.startedAt
                state.isChanged = true
            }
            parent = above.head.parentID
        }
    }

    /// Makes room for a twentieth: the traces that were silent for longest go.
    private func evict(_ state: inout State) {
        let wanted = max(1, spansMax / 20)
        var gone = 0
        for (trace, run) in state.runs.sorted(by: { $0.value.heardAt < $1.value.heardAt }) where gone < wanted {
            gone += run.spans.count
            state.evicted += run.spans.count
            for id in run.spans.keys { remove(Key(trace: trace, span: id), &state) }
        }
    }

    // MARK: What is asked

    /// Spans that run, and those that had to go for want of room.
    public var counts: (running: Int, evicted: Int) { state.withLock { ($0.count, $0.evicted) } }

    /// Traces in which something runs, those that were heard of last first.
    func traces(max: Int) -> [TraceID] {
        state.withLock { state in
            state.runs.sorted { ($0.value.heardAt, $0.key) > ($1.value.heardAt, $1.key) }.prefix(max).map(\.key)
        }
    }

    /// The spans of a trace that run, as they stand now.
    public func heads(of trace: TraceID) -> [SpanHead] {
        let now = world.now
        return state.withLock { $0.runs[trace]?.spans.values.map { $0.head(at: now) } ?? [] }
    }

    func detail(_ span: SpanID, of trace: TraceID) throws -> SpanDetail? {
        let now = world.now
        return try state.withLock { $0.runs[trace]?.spans[span] }?.detail(at: now)
    }

    /// The agents of which something runs.
    public var agents: Set<String> {
        state.withLock { state in Set(state.runs.values.flatMap { $0.spans.values.compactMap(\.head.agent) }) }
    }

    /// Since when something of each agent runs: its oldest span that has not ended, by the sender's clock.
    public var startsByAgent: [String: Timestamp] {
        state.withLock { state in
            state.runs.values.reduce(into: [:]) { starts, run in
                for span in run.spans.values {
                    guard let agent = span.head.agent else { continue }
                    let start = Timestamp(microseconds: span.head.startedAt / 1_000)
                    starts[agent] = min(starts[agent] ?? start, start)
                }
            }
        }
    }

    // MARK: What is erased

    /// Forgets spans that are as said, unless they are only looked for, and says how many they are.
    func erase(isDryRun: Bool, where isMeant: (WholeSpan) -> Bool) -> Int {
        let now = world.now
        return state.withLock { state in
            var found: [Key] = []
            for (trace, run) in state.runs {
                for span in run.spans.values {
                    let kept = WholeSpan(
                        head: span.head(at: now), resource: Array(span.resource), scope: Array(span.scope),
                        bytes: Array(span.span))
                    guard isMeant(kept) else { continue }
                    found.append(Key(trace: trace, span: span.head.spanID))
                }
            }
            if !isDryRun { for key in found { remove(key, &state) } }
            return found.count
        }
    }

    /// Forgets last steps that are as said, unless they are only looked for, and says how many they are.
    func eraseSteps(isDryRun: Bool, where isMeant: (String) -> Bool) -> Int {
        state.withLock { state in
            var found: [Key] = []
            for (trace, run) in state.runs {
                for (id, span) in run.spans where span.lastStep.map(isMeant) == true {
                    found.append(Key(trace: trace, span: id))
                }
            }
            guard !isDryRun, !found.isEmpty else { return found.count }
            for key in found { state.runs[key.trace]?.spans[key.span]?.lastStep = nil }
            state.isChanged = true
            return found.count
        }
    }

    // MARK: What is lost

    /// What is asked of a span that runs, to know whether it is lost.
    public struct Standing: Sendable {
        public let traceID: TraceID
        public let agent: String?
        /// When it was first heard of; when something last was of its trace, and of that or its agents. By Reeve's
        /// clock.
        public let beganAt: Timestamp
        public let heardAt: Timestamp
        public let lifeAt: Timestamp
        /// Whether Reeve made it.
        public let isOwn: Bool
    }

    /// A span that is lost, as a request to be taken in.
    public struct Loss: Sendable {
        let traceID: TraceID
        let spanID: SpanID
        public let agent: String?
        /// `nil` where there is nothing to keep: a log line alone had named it.
        public let request: [UInt8]?
    }

    /// The spans that are lost, by the reason that `reason` gives; `nil` for those that run on. They stay until
    /// ``settled(_:)``.
    ///
    /// - Parameter reason: A sentence without its full stop, and whether its agent's end is certain.
    public func lost(max: Int, reason: (Standing) -> (text: String, isCertain: Bool)?) -> [Loss] {
        state.withLock { state in
            var found: [Loss] = []
            for (trace, run) in state.runs {
                for span in run.spans.values {
                    guard found.count < max else { return found }
                    let standing = Standing(
                        traceID: trace, agent: span.head.agent, beganAt: span.beganAt, heardAt: run.heardAt,
                        lifeAt: Swift.max(run.heardAt, run.agentHeardAt ?? run.heardAt), isOwn: span.isOwn)
                    guard let (text, isCertain) = reason(standing) else { continue }
                    let isKept = isCertain || !span.isInferred
                    found.append(
                        Loss(
                            traceID: trace, spanID: span.head.spanID, agent: span.isOwn ? nil : span.head.agent,
                            request: isKept ? span.lostRequest(text, heardAt: run.heardAt) : nil))
                }
            }
            return found
        }
    }

    /// What was lost is kept, or need not be.
    public func settled(_ loss: Loss) {
        state.withLock { remove(Key(trace: loss.traceID, span: loss.spanID), &$0) }
    }
}

// MARK: - Across a restart

extension LiveSpans {
    /// All that runs as bytes, where something changed since this was last asked.
    func changed() -> [UInt8]? {
        let spans: [LiveSpan]? = state.withLock { state in
            guard state.isChanged else { return nil }
            state.isChanged = false
            return state.runs.values.flatMap { $0.spans.values.filter { !$0.isInferred } }
        }
        guard let spans else { return nil }
        var writer = ColumnWriter()
        writer.append(spans.count)
        for span in spans {
            writer.append(span.head.agent ?? "")
            writer.append(span.lastStep ?? "")
            writer.append(signed: span.lastStepAt)
            writer.append(signed: span.beganAt.microseconds)
            span.pendingRequest.withUnsafeBytes { writer.append($0) }
        }
        return writer.bytes
    }

    /// Writing what ``changed()`` said failed: it is to be said again.
    func keepAgain() { state.withLock { $0.isChanged = true } }

    /// Takes up what ``changed()`` said in an earlier process. Everybody was silent meanwhile, so patience begins anew.
    func restore(_ bytes: [UInt8]) throws {
        let now = world.now
        var reader = ColumnReader(bytes)
        for _ in 0..<(try reader.length()) {
            let agent = try reader.text()
            let step = try reader.text()
            let stepAt = try reader.signed()
            let beganAt = Timestamp(microseconds: try reader.signed())
            let request = Array(try reader.slice())
            guard let item = try? ReceivedSpans(request).items.first else { continue }
            var span = request.withUnsafeBytes { LiveSpan(item, of: $0, beganAt: beganAt) }
            if !agent.isEmpty { span.head.agent = agent }
            if !step.isEmpty { span.lastStep = step }
            span.lastStepAt = stepAt
            let key = Key(trace: item.head.traceID, span: item.head.spanID)
            state.withLock { insert(span, key, at: now, &$0) }
        }
    }
}
