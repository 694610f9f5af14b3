/// Rules over many moments at a time: each is worked out for all of them before the next one, and what comes of them is
/// followed moment by moment. An expression costs little more for hundreds of moments than for one.
extension RuleRunner {
    /// How many moments are worked out at a time.
    static let sweepMax = 500

    /// - Parameters:
    ///   - grid: Behind all that was evaluated before; of one moment where rules are stepwise.
    ///   - store: Takes a sample; later rules see what earlier ones stored.
    ///   - look: Sees each alert's rule behind each moment, with its group's place and its own.
    /// - Returns: What went wrong, with the moment.
    /// - Throws: What whoever keeps the samples throws.
    mutating func sweep(
        _ groups: [RuleProgram.Group], by evaluation: RuleEvaluation, over grid: QueryGrid,
        store: (LabelSet, Int64, Double) -> Void, look: (RuleProgram.Rule, Int64, [AlertInstance]) -> Void
    ) throws -> [(time: Int64, group: String, rule: String, reason: String)] {
        var faults: [(time: Int64, group: String, rule: String, reason: String)] = []
        for (number, group) in groups.enumerated() {
            for (index, rule) in group.rules.enumerated() {
                let place = Place(group: number, rule: index)
                let worth = try evaluation.worth(of: rule, over: grid)
                for (step, time) in grid.times.enumerated() {
                    var outcome = Outcome()
                    _ = follow(group, place, worth[step], by: evaluation, at: time, &outcome) { store($0, time, $1) }
                    faults += outcome.faults.map { (time, group.name, $0.rule, $0.reason) }
                    if let states = alerts[place] { look(rule, time, Array(states.instances.values)) }
                }
            }
        }
        return faults
    }
}

extension RuleEvaluation {
    typealias Worth = Result<[(labels: LabelSet, value: Double)], any Error>

    /// What a rule's expression is worth at each moment. One that fails for some of them is tried with fewer at a time,
    /// down to the one that it fails for.
    ///
    /// - Throws: `QueryFault.timeout`, and what whoever keeps the samples throws.
    func worth(of rule: RuleProgram.Rule, over grid: QueryGrid) throws -> [Worth] {
        if isOver() { throw QueryFault.timeout }
        do {
            if grid.count == 1 { return [.success(try vector(rule.query, at: grid.start))] }
            var steps = [[(labels: LabelSet, value: Double)]](repeating: [], count: grid.count)
            for column in try rule.query.columns(over: grid, from: reader, isOver: isOver) {
                for (index, value) in column.values.enumerated() where !value.isStale {
                    steps[index].append((column.labels, value))
                }
            }
            return steps.map { .success($0) }
        } catch QueryFault.timeout { throw QueryFault.timeout } catch let fault where Self.isOfRule(fault) {
            guard grid.count > 1 else { return [.failure(fault)] }
            let half = grid.count / 2
            let first = QueryGrid(start: grid.start, step: grid.step, count: half)
            let second = QueryGrid(start: grid.time(half), step: grid.step, count: grid.count - half)
            return try worth(of: rule, over: first) + worth(of: rule, over: second)
        }
    }

    /// Whether a fault is the expression's own, and not that of whoever keeps the samples.
    private static func isOfRule(_ fault: any Error) -> Bool { fault is QueryFault || fault is Fault }
}

extension [RuleProgram.Rule] {
    /// Whether each step needs what the one before came to, so that no two can be worked out together: where a rule
    /// asks for what it makes itself, or what one behind it makes; for what lies ahead; or for the ends of the query.
    /// Two rules that make series of one name are stepwise as well: samples of one series may be theirs in turn.
    ///
    /// - Parameter withAlerts: Whether the series of alerts are made as well, and not those that there are.
    func isStepwise(withAlerts: Bool) -> Bool {
        let made = map { withAlerts || $0.alert == nil ? $0.madeNames : [] }
        let all = made.flatMap { $0 }
        let recorded = filter { $0.alert == nil }.map(\.name)
        if Set(recorded).count < recorded.count { return true }
        if all.contains("ALERTS"), contains(where: { $0.asks(for: "ALERTS") || $0.asks(for: "ALERTS_FOR_STATE") }) {
            let named = compactMap { $0.alert == nil ? nil : $0.name }
            if Set(named).count < named.count { return true }
        }
        return enumerated().contains { place, rule in
            let expression = rule.query.expression
            return expression.usesBounds || withAlerts && rule.asksInTemplates
                || made[place...].joined().contains(where: rule.asks)
                || expression.looksAhead && all.contains(where: rule.asks)
        }
    }
}

extension RuleProgram.Rule {
    /// The names of the series that it makes.
    var madeNames: [String] { alert == nil ? [name] : ["ALERTS", "ALERTS_FOR_STATE"] }

    /// Whether its expression may ask for series of this name.
    func asks(for name: String) -> Bool {
        query.expression.selectors.contains { $0.mayBe(name) }
    }

    /// Whether what it shows may depend on what other rules made.
    fileprivate var asksInTemplates: Bool {
        (labels + (alert?.annotations ?? [])).contains { !$0.text.isPlain && $0.text.source.contains("query") }
    }
}
