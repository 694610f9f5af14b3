import Foundation
import Kernel

/// Evaluates all groups of rules over the series that are kept, each in its time, and keeps what they record.
public actor RuleEngine {
    /// A group may take so long, or as long as its interval where that is more.
    static let timeMin = Span.seconds(30)

    /// A group whose time has come.
    public struct Due: Sendable {
        let due: RuleSchedule.Due
    }

    /// What came of one evaluation of a group.
    public struct Round: Sendable {
        /// The file and the group.
        public let group: String
        /// The moment that it was evaluated for, in milliseconds.
        public let time: Int64
        /// Milliseconds.
        public let interval: Int64
        /// All alerts of each rule that has any, or had one before, by what tells the rule apart.
        public let alerts: [(rule: String, instances: [AlertInstance])]
        /// Rules that could not be evaluated, or whose series could not be kept.
        public let faults: [(rule: String, reason: String)]
    }

    struct Group {
        var entry: RuleBook.Entry
        let keys: [String]
        var runner: RuleRunner
        /// What is shown, also while the next evaluation is under way.
        var alerts: [Int: [AlertInstance]] = [:]
        var faults: [Int: String] = [:]
        var took: [Duration] = []
        var evaluatedAt: Int64?
        var evaluations: Int64 = 0
        var failures: Int64 = 0
        var missed: Int64 = 0
    }

    private(set) var groups: [Group] = []
    private var schedule: RuleSchedule
    private let store: SeriesStore
    private let externalURL: @Sendable () -> String
    private let world: World
    private let thread = DispatchQueue(label: "reeve.telemetry.rules")
    /// What is shown to scrapes, which do not wait.
    public nonisolated let meters = RuleMeters()

    /// - Parameter externalURL: Where this server is to be reached; without a slash at its end.
    public init(store: SeriesStore, externalURL: @escaping @Sendable () -> String, world: World) {
        self.store = store
        self.externalURL = externalURL
        self.world = world
        schedule = RuleSchedule([], from: 0)
    }

    private var now: Int64 { world.now.microseconds / 1_000 }

    /// Takes other rules. Groups that are the same before and after go on as if nothing had happened; of others, rules
    /// that keep their place keep their alerts and know the series that they made. What rules made that are gone gets a
    /// stale mark (Prometheus, `rules.Manager.Update`).
    ///
    /// - Parameter states: Alerts that rules have from before, by what tells a rule apart.
    /// - Returns: Alerts of rules that are gone.
    @discardableResult
    public func load(
        _ book: RuleBook, states: [String: [AlertInstance]] = [:]
    ) async -> [(rule: String, instances: [AlertInstance])] {
        var left = RuleLeftovers(groups, states)
        groups = book.entries.map { left.group($0) }
        schedule = RuleSchedule(book.entries.map { ($0.key, $0.interval) }, from: now, goingOnFrom: schedule)
        tellMeters()
        var batch = SampleBatch()
        let present = groups.reduce(into: Set<LabelSet>()) { $0.formUnion($1.runner.series) }
        for labels in left.series where !present.contains(labels) { batch.append(labels, Sample(now, Sample.stale)) }
        // Where they cannot be kept, the series end by themselves some minutes later.
        if !left.series.isEmpty { _ = try? await store.keep(batch) }
        return left.alerts
    }

    public func due() -> [Due] { schedule.due(at: now).map(Due.init) }

    /// Evaluates a group; one at a time.
    public func evaluate(_ due: Due) async -> Round {
        let (number, time) = (due.due.number, due.due.time)
        var runner = RuleRunner()
        swap(&runner, &groups[number].runner)
        let entry = groups[number].entry
        let (taken, address, kept) = (runner, externalURL(), store)
        let before = Set(taken.states.keys)
        let work = await onThread { Self.run(entry, taken, over: kept, at: time, address) }
        var faults = work.outcome.faults.map { (rule: $0.rule, reason: $0.reason) }
        do { _ = try await store.keep(work.batch) } catch {
            faults.append((entry.group.name, "what it recorded could not be kept: \(error)"))
        }
        let states = work.runner.states
        guard groups.indices.contains(number), groups[number].entry.key == entry.key else {
            return Round(group: entry.key, time: time, interval: entry.interval, alerts: [], faults: faults)
        }
        groups[number].runner = work.runner
        note(work.outcome, states, of: number, at: time, missed: due.due.missed)
        let keys = groups[number].keys
        let alerts = before.union(states.keys).sorted().map { rule in
            (rule: keys[rule], instances: states[rule].map { Array($0.instances.values) } ?? [])
        }
        return Round(group: entry.key, time: time, interval: entry.interval, alerts: alerts, faults: faults)
    }

    private func note(
        _ outcome: RuleRunner.Outcome, _ states: [Int: AlertStates], of number: Int, at time: Int64, missed: Int64
    ) {
        groups[number].alerts = states.compactMapValues { states in
            let shown = states.instances.values.filter { $0.state != .inactive }
            return shown.isEmpty ? nil : shown.sorted { $0.labels < $1.labels }
        }
        groups[number].faults = Dictionary(
            outcome.faults.map { ($0.index, $0.reason) }, uniquingKeysWith: { first, _ in first })
        groups[number].took = outcome.took
        groups[number].evaluatedAt = time
        groups[number].evaluations += Int64(outcome.took.count)
        groups[number].failures += Int64(outcome.faults.count)
        groups[number].missed += missed
        tellMeters()
    }

    private func tellMeters() { meters.set(groups) }

    /// What an evaluation makes, beside the runner that made it.
    private struct Work: Sendable {
        var runner: RuleRunner
        var outcome: RuleRunner.Outcome
        var batch: SampleBatch
    }

    private static func run(
        _ entry: RuleBook.Entry, _ taken: RuleRunner, over store: SeriesStore, at time: Int64, _ externalURL: String
    ) -> Work {
        var work = Work(runner: taken, outcome: RuleRunner.Outcome(), batch: SampleBatch())
        let fresh = FreshSeries(over: store, at: time)
        var evaluation = RuleEvaluation(reader: fresh)
        evaluation.externalURL = externalURL
        evaluation.leavesOutDrills = !entry.isOfDrill
        // The machine's own clock: an evaluation's time is real also where the world's is not.
        let end = ContinuousClock.now + max(.milliseconds(entry.interval), timeMin.duration)
        evaluation.isOver = { ContinuousClock.now >= end }
        work.outcome = work.runner.evaluate(entry.group, number: 0, by: evaluation, at: time) { labels, value in
            fresh.add(labels, value)
            work.batch.append(labels, Sample(time, value))
        }
        return work
    }

    private func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            thread.async { continuation.resume(returning: body()) }
        }
    }

    // MARK: Looking

    /// The expressions of alerting rules by the alert's name, those of drills included.
    public var alertExpressions: [String: [String]] {
        var expressions: [String: [String]] = [:]
        for rule in groups.flatMap(\.entry.group.rules) where rule.alert != nil {
            expressions[rule.name, default: []].append(rule.query.text)
        }
        return expressions
    }

    /// The rules as they are at this moment, without those of drills.
    public var programs: [RuleProgram] {
        groups.filter { !$0.entry.isOfDrill }.map { RuleProgram(groups: [$0.entry.group]) }
    }
}
