import Kernel

/// Says how often an alert would have fired in the past: what ``RuleRunner`` would have come to, step by step, worked
/// out for many steps at a time.
///
/// Series that the rules record are recorded anew, so that a rule that was changed is tried as it is now. What other
/// alerts were (`ALERTS`) is taken as it was.
public struct RuleBacktest: Sendable {
    /// Evaluations of one rule.
    public static let stepsMax = 100_000
    /// Steps that are worked out at a time.
    static let chunk = 500
    /// Moments at which it is looked whether there are samples.
    static let looksMax = 500
    /// Episodes that a report lists.
    public static let episodesMax = 1_000
    /// How long one may take.
    public static let time = Span.minutes(5)

    let alert: RuleProgram.Rule
    let states: RuleProgram.Alert
    /// What it depends on, in the order of evaluation, each with its group's limit.
    let recordings: [(rule: RuleProgram.Rule, limit: Int)]
    let limit: Int
    /// Its group's interval, where there is one.
    public let interval: Int64?

    /// - Parameters:
    ///   - name: The alert's; the first of that name counts.
    ///   - programs: Where it is, and what it may depend on.
    /// - Returns: `nil` where there is no such alert.
    public init?(_ name: String, in programs: [RuleProgram]) {
        let groups = programs.flatMap(\.groups)
        let found = groups.lazy.compactMap { group in
            group.rules.first { $0.name == name && $0.alert != nil }.map { (group, $0) }
        }.first
        guard let (group, rule) = found, let states = rule.alert else { return nil }
        (alert, self.states, limit, interval) = (rule, states, group.limit, group.interval)
        recordings = Self.needed(
            by: rule,
            among: groups.flatMap { group in group.rules.map { ($0, group.limit) } }.filter { $0.0.alert == nil })
    }

    /// The names of all alerts, each once, in their order.
    public static func names(in programs: [RuleProgram]) -> [String] {
        var seen: Set<String> = []
        return programs.flatMap(\.rules).filter { $0.alert != nil && seen.insert($0.name).inserted }.map(\.name)
    }

    /// The recordings that a rule asks for, and those that they ask for.
    private static func needed(
        by rule: RuleProgram.Rule, among all: [(RuleProgram.Rule, Int)]
    ) -> [(rule: RuleProgram.Rule, limit: Int)] {
        var wanted: Set<Int> = []
        var open = [rule]
        while let next = open.popLast() {
            for (place, one) in all.enumerated() where next.asks(for: one.0.name) && wanted.insert(place).inserted {
                open.append(one.0)
            }
        }
        return wanted.sorted().map { (all[$0].0, all[$0].1) }
    }

    /// How long before the period it begins, so that what the rule looks back to is recorded, and what pends is known.
    var lead: Int64 {
        var leads: [String: Int64] = [:]
        func lead(_ rule: RuleProgram.Rule) -> Int64 {
            let deepest = recordings.filter { rule.asks(for: $0.rule.name) }.map { leads[$0.rule.name] ?? 0 }.max()
            return deepest.map { $0 + (rule.query.expression.reach ?? 0) } ?? 0
        }
        for (rule, _) in recordings { leads[rule.name] = max(leads[rule.name] ?? 0, lead(rule)) }
        return lead(alert) + states.holdsFor + states.keepsFiringFor
    }

    /// How long what was recorded is asked for; `nil` where that is not known.
    var keeps: Int64? {
        (recordings.map(\.rule) + [alert]).contains { $0.query.expression.reach == nil } ? nil : lead
    }

    /// - Parameters:
    ///   - from: The first moment that counts, in milliseconds, as the others.
    ///   - through: The last one.
    ///   - step: Above zero.
    ///   - isOver: Whether its time has run out; asked now and then.
    /// - Throws: ``QueryFault``, also where it is too much work, or what the reader throws.
    public func run(
        over reader: any SeriesReader, from: Int64, through: Int64, step: Int64,
        isOver: @escaping () -> Bool = { false }
    ) throws -> BacktestReport {
        guard step > 0, from <= through else { throw QueryFault.execution("the period has no steps") }
        let before = (lead + step - 1) / step
        let count = (through - from) / step + 1
        guard before + count <= Self.stepsMax else {
            throw QueryFault.execution(
                "that takes \(before + count) evaluations, \(before) of them for what the rule looks back to; "
                    + "at most \(Self.stepsMax) are made. Take a longer step, or a shorter period")
        }
        var run = BacktestRun(self, over: reader, from: from, through: through, step: step, isOver: isOver)
        let size = (recordings.map(\.rule) + [alert]).isStepwise(withAlerts: false) ? 1 : Self.chunk
        var first = from - before * step
        while first <= through {
            let steps = min(size, Int((through - first) / step) + 1)
            try run.advance(QueryGrid(start: first, step: step, count: steps))
            first += Int64(steps) * step
        }
        try run.lookForSamples(of: sources)
        return run.finished()
    }

    /// What is asked for and not recorded.
    private var sources: [PromQLSelector] {
        let names = Set(recordings.map(\.rule.name))
        return (recordings.map(\.rule) + [alert]).flatMap(\.query.expression.selectors)
            .filter { selector in selector.matchers.metricName.map { !names.contains($0) } ?? true }
    }
}
