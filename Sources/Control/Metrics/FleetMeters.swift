import Kernel
import Synchronization
import Telemetry

/// Counts what becomes of tasks, by following the event log from where it stood when this process began.
///
/// Every replica follows the same log, so each counts all that happens while it runs.
public final class FleetMeters: Sendable {
    public static let interval = Span.seconds(2)
    static let eventsMax = 500
    /// Claims that are looked at to begin with; of those beyond, working time counts from their next change.
    static let claimsMax = 100_000
    private static let leased: Set<String> = [TaskState.claimed.rawValue, TaskState.running.rawValue]

    private struct State {
        /// The last event that was counted; `nil` before the first look.
        var seen: Int64?
        var finished = CounterFamily(FleetMetrics.finished)
        var downstream = CounterFamily(FleetMetrics.downstream)
        var duration = HistogramFamily(FleetMetrics.duration, bounds: FleetMetrics.durationBounds)
        var toDone = HistogramFamily(FleetMetrics.toDone, bounds: FleetMetrics.durationBounds)
        var attempts = CounterFamily(FleetMetrics.attempts)
        var deliverables = CounterFamily(FleetMetrics.deliverables)
        var submissions = CounterFamily(FleetMetrics.submissions)
        var reviews = CounterFamily(FleetMetrics.reviews)
        var working = CounterFamily(FleetMetrics.working, digits: 6)
        /// Who has a task, and since when each agent's time is not counted yet.
        var owners: [String: String] = [:]
        var busy: [String: (tasks: Int, since: Timestamp)] = [:]
        var types: [String: String] = [:]
    }

    private let state = Mutex(State())
    private let tasks: TaskService
    private let events: Events
    private let storage: any Storage
    private let world: World

    public init(tasks: TaskService, events: Events, storage: any Storage, world: World) {
        (self.tasks, self.events, self.storage, self.world) = (tasks, events, storage, world)
    }

    public var loops: [Loop] { [Loop("metrics.fleet", every: Self.interval) { try await self.look() }] }

    /// What kind of agent it was when metrics were last shown; empty where nobody said.
    public func type(of agent: String) -> String { state.withLock { $0.types[agent] ?? "" } }

    func learn(_ roster: [RosterEntry]) {
        let types = Dictionary(roster.filter { !$0.type.isEmpty }.map { ($0.name, $0.type) }) { first, _ in first }
        state.withLock { $0.types = types }
    }

    /// Counts what happened since the last look.
    public func look() async throws {
        guard state.withLock({ $0.seen }) != nil else { return try await begin() }
        while let seen = state.withLock({ $0.seen }), events.bus.head > seen {
            let (batch, ended, roots) = try await storage.read { [events, tasks] in
                let recent = events.bus.recent(after: seen, limit: Self.eventsMax) ?? []
                let batch =
                    recent.isEmpty ? try events.store.list(after: seen, limit: Self.eventsMax, in: $0) : recent
                let ids = batch.filter { $0.taskSeq != nil && Self.isEnd($0) }.compactMap(\.taskID)
                let ended = try tasks.finished(ids, in: $0)
                let spoilt = ended.filter { $0.state == .failed || $0.state == .skipped }
                return (batch, ended, try tasks.roots(of: spoilt, in: $0))
            }
            guard !batch.isEmpty else { return }
            // A scrape may have looked meanwhile, and counted the same.
            state.withLock { state in
                guard state.seen == seen else { return }
                Self.count(batch, ended, in: &state)
                for root in roots { state.downstream.add(1, [root.agent, root.type]) }
            }
        }
    }

    private func begin() async throws {
        let (last, held) = try await storage.read { [events, tasks] in
            (try events.store.lastSeq(in: $0), try tasks.leased(limit: Self.claimsMax, in: $0))
        }
        let now = world.now
        state.withLock { state in
            guard state.seen == nil else { return }
            for one in held { Self.move(one.task, to: one.agent, at: now, in: &state) }
            state.seen = last
        }
    }

    private static func isEnd(_ event: Event) -> Bool {
        event.data["to"]?.string.flatMap(TaskState.init(rawValue:))?.isTerminal ?? false
    }

    private static func count(_ batch: [Event], _ ended: [FinishedTask], in state: inout State) {
        for event in batch {
            state.seen = event.seq
            // Events that agents send are about their own matters.
            guard let task = event.taskID, event.taskSeq != nil else { continue }
            let agent = event.agent ?? ""
            if let to = event.data["to"]?.string {
                move(task, to: leased.contains(to) ? event.agent : nil, at: event.at, in: &state)
            }
            if let result = FleetMetrics.results[event.type] {
                state.attempts.add(1, [agent, event.data["queue"]?.string ?? "", result])
            }
            switch event.type {
            case "task.deliverable_sealed": state.deliverables.add(1, [agent])
            case "task.submitted": state.submissions.add(1, [agent])
            case "task.reviewed":
                let verdict = event.data["verdict"]?.string.flatMap(ReviewVerdict.init(rawValue:))
                state.reviews.add(1, [agent, verdict?.rawValue ?? SeriesNames.other])
            default: break
            }
        }
        for task in ended {
            state.finished.add(1, [task.agent, task.type, task.state.rawValue])
            if let start = task.startedAt {
                state.duration.observe(max(0, (task.finishedAt - start).seconds), [task.type, task.state.rawValue])
            }
            if task.state == .done {
                state.toDone.observe(max(0, (task.finishedAt - task.createdAt).seconds), [task.type])
            }
        }
    }

    /// Follows who has a task, and counts the time of whoever has at least one.
    private static func move(_ task: String, to agent: String?, at now: Timestamp, in state: inout State) {
        let owner = state.owners[task]
        guard owner != agent else { return }
        if let owner, let busy = state.busy[owner] {
            state.working.add(max(0, (now - busy.since).microseconds), [owner])
            state.busy[owner] = busy.tasks > 1 ? (busy.tasks - 1, max(busy.since, now)) : nil
        }
        state.owners[task] = nil
        guard let agent, state.owners.count < claimsMax else { return }
        state.owners[task] = agent
        state.busy[agent] = ((state.busy[agent]?.tasks ?? 0) + 1, state.busy[agent]?.since ?? now)
    }

    func collect(into page: inout MetricPage) {
        let now = world.now
        let (counters, histograms) = state.withLock { state in
            for (agent, busy) in state.busy where now > busy.since {
                state.working.add((now - busy.since).microseconds, [agent])
                state.busy[agent] = (busy.tasks, now)
            }
            return (
                [
                    state.finished, state.downstream, state.attempts, state.deliverables, state.submissions,
                    state.reviews, state.working,
                ],
                [state.duration, state.toDone]
            )
        }
        for family in counters { page.add(family) }
        for family in histograms { page.add(family) }
    }
}
