/// Evaluates rules one after the other and keeps what comes of them: the alerts of each, and the series that each made
/// at last.
public struct RuleRunner: Sendable {
    /// A rule by its place: that of its group among all, and its own.
    struct Place: Hashable, Sendable {
        let group: Int
        let rule: Int
    }

    /// What came of one evaluation of a group.
    public struct Outcome: Sendable {
        /// With the name of the rule.
        public var changes: [(rule: String, change: AlertStates.Change)] = []
        /// Of rules that could not be evaluated.
        public var faults: [(rule: String, index: Int, reason: String)] = []
        /// How long each rule took, in their order.
        public var took: [Duration] = []
    }

    private(set) var alerts: [Place: AlertStates] = [:]
    private var made: [Place: Set<LabelSet>] = [:]

    public init() {}

    /// A single group that goes on where it was: its alerts, and the series that it made, by the places of its rules.
    init(_ alerts: [Int: AlertStates], _ series: [Int: Set<LabelSet>] = [:]) {
        for (rule, states) in alerts { self.alerts[Place(group: 0, rule: rule)] = states }
        for (rule, series) in series { made[Place(group: 0, rule: rule)] = series }
    }

    /// The series that each rule of a single group made at last.
    var seriesByRule: [Int: Set<LabelSet>] {
        Dictionary(made.map { ($0.key.rule, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// All of them.
    var series: Set<LabelSet> { made.values.reduce(into: []) { $0.formUnion($1) } }

    /// The alerts of each rule of a single group.
    var states: [Int: AlertStates] {
        Dictionary(alerts.map { ($0.key.rule, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// - Parameters:
    ///   - number: The group's place among all.
    ///   - time: Milliseconds since 1970.
    ///   - store: Takes a sample of this moment; later rules see what earlier ones stored.
    public mutating func evaluate(
        _ group: RuleProgram.Group, number: Int, by evaluation: RuleEvaluation, at time: Int64,
        store: (LabelSet, Double) -> Void
    ) -> Outcome {
        var outcome = Outcome()
        let memo = EvaluationMemo(at: time)
        var evaluation = evaluation
        evaluation.memo = memo
        for (index, rule) in group.rules.enumerated() {
            let start = ContinuousClock.now
            defer { outcome.took.append(ContinuousClock.now - start) }
            let worth = Result { try evaluation.vector(rule.query, at: time) }
            let names = follow(
                group, Place(group: number, rule: index), worth, by: evaluation, at: time, &outcome, store: store)
            // What asked for these series is worth something else to the rules that follow.
            names.forEach(memo.forget)
        }
        return outcome
    }

    /// What an evaluation of a rule comes to.
    ///
    /// - Parameter worth: What the rule's expression gave.
    /// - Returns: The names of the series that it made, or that ended with it.
    mutating func follow(
        _ group: RuleProgram.Group, _ place: Place, _ worth: Result<[(labels: LabelSet, value: Double)], any Error>,
        by evaluation: RuleEvaluation, at time: Int64, _ outcome: inout Outcome, store: (LabelSet, Double) -> Void
    ) -> [String] {
        let rule = group.rules[place.rule]
        var samples: [(labels: LabelSet, value: Double)] = []
        do {
            if let alert = rule.alert {
                let found = try evaluation.found(rule, alert, in: try worth.get(), at: time)
                samples = advance(place, found, alert, group.limit, at: time) {
                    outcome.changes.append((rule.name, $0))
                }
                if group.limit > 0, found.count > group.limit {
                    let count = found.count
                    outcome.faults.append(
                        (rule.name, place.rule, "exceeded limit of \(group.limit) with \(count) alerts"))
                }
            } else {
                samples = try evaluation.recorded(rule, try worth.get(), limit: group.limit)
            }
        } catch {
            outcome.faults.append((rule.name, place.rule, "\(error)"))
            // The series go on from here once it can be evaluated again.
            return []
        }
        let before = made[place] ?? []
        // Most rules find nothing, and found nothing before.
        guard !samples.isEmpty || !before.isEmpty else { return [] }
        for (labels, value) in samples { store(labels, value) }
        let now = Set(samples.map(\.labels))
        for labels in before.subtracting(now) { store(labels, Sample.stale) }
        made[place] = now
        return rule.madeNames
    }

    /// - Returns: The series that tell of the rule's alerts.
    private mutating func advance(
        _ place: Place, _ found: [AlertStates.Finding], _ alert: RuleProgram.Alert, _ limit: Int, at time: Int64,
        tell: (AlertStates.Change) -> Void
    ) -> [(labels: LabelSet, value: Double)] {
        var states = alerts[place] ?? AlertStates()
        guard !found.isEmpty || !states.instances.isEmpty else {
            alerts[place] = states
            return []
        }
        states.evaluate(found, alert, at: time).forEach(tell)
        if limit > 0, found.count > limit { states.clear() }
        alerts[place] = states
        return states.instances.values.flatMap { instance -> [(labels: LabelSet, value: Double)] in
            guard instance.state != .inactive else { return [] }
            let series = instance.labels.setting(LabelSet.metricName, "ALERTS")
                .setting("alertstate", instance.state.rawValue)
            let since = instance.labels.setting(LabelSet.metricName, "ALERTS_FOR_STATE")
            return [(series, 1), (since, Double(instance.activeAt / 1_000))]
        }
    }

    /// The alerts of all rules that fire.
    public var firing: [AlertInstance] {
        alerts.values.flatMap(\.instances.values).filter { $0.state == .firing }
    }
}
