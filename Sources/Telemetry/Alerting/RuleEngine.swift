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
        let entry: RuleBook.Entry
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

    /// Takes other rules. Rules that are there before and after go on where they were.
    ///
    /// - Parameter states: Alerts that rules have from before, by what tells a rule apart.
    /// - Returns: Alerts of rules that are gone.
    @discardableResult
    public func load(
        _ book: RuleBook, states: [String: [AlertInstance]] = [:]
    ) -> [(rule: String, instances: [AlertInstance])] {
        var known = states
        for group in groups {
            for (rule, alerts) in group.runner.states {
                known[group.keys[rule]] = Array(alerts.instances.values)
            }
        }
        groups = book.entries.map { entry in
            let keys = entry.ruleKeys
            var alerts: [Int: AlertStates] = [:]
            for (rule, key) in keys.enumerated() {
                guard let instances = known.removeValue(forKey: key), entry.group.rules[rule].alert != nil else {
                    continue
                }
                alerts[rule] = AlertStates(
                    Dictionary(instances.map { ($0.labels, $0) }, uniquingKeysWith: { first, _ in first }))
            }
            return Group(
                entry: entry, keys: keys, runner: RuleRunner(alerts),
                alerts: alerts.mapValues { Array($0.instances.values) })
        }
        schedule = RuleSchedule(book.entries.map { ($0.key, $0.interval) }, from: now)
        tellMeters()
        return known.map { ($0.key, $0.value) }
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
        groups[number].runner = work.runner
        let states = work.runner.states
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

    /// Alerts whose condition holds, but not for long enough yet.
    public var pending: [AlertInstance] {
        groups.flatMap { $0.alerts.values.joined() }.filter { $0.state == .pending }
            .sorted { ($0.activeAt, $0.labels) < ($1.activeAt, $1.labels) }
    }
}
