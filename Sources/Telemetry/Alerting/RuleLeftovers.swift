/// What groups of rules had before others were loaded, handed on to those that follow.
struct RuleLeftovers {
    private var groups: [String: RuleEngine.Group]
    /// Alerts of rules, by what tells a rule apart.
    private var known: [String: [AlertInstance]]
    /// Series that rules made.
    private var made: [String: Set<LabelSet>] = [:]

    init(_ before: [RuleEngine.Group], _ states: [String: [AlertInstance]]) {
        groups = Dictionary(before.map { ($0.entry.key, $0) }, uniquingKeysWith: { first, _ in first })
        known = states
        for group in before {
            for (rule, alerts) in group.runner.states { known[group.keys[rule]] = Array(alerts.instances.values) }
            for (rule, series) in group.runner.seriesByRule { made[group.keys[rule]] = series }
        }
    }

    /// The group of an entry, with what is left for it.
    mutating func group(_ entry: RuleBook.Entry) -> RuleEngine.Group {
        let keys = entry.ruleKeys
        if var same = groups[entry.key], same.entry.isSame(as: entry) {
            for key in keys { (known[key], made[key]) = (nil, nil) }
            // The text may stand on another line.
            same.entry = entry
            return same
        }
        var alerts: [Int: AlertStates] = [:]
        var series: [Int: Set<LabelSet>] = [:]
        for (rule, key) in keys.enumerated() {
            series[rule] = made.removeValue(forKey: key)
            guard entry.group.rules[rule].alert != nil, let instances = known.removeValue(forKey: key) else { continue }
            alerts[rule] = AlertStates(
                Dictionary(instances.map { ($0.labels, $0) }, uniquingKeysWith: { first, _ in first }))
        }
        var group = RuleEngine.Group(
            entry: entry, keys: keys, runner: RuleRunner(alerts, series),
            alerts: alerts.mapValues { Array($0.instances.values) })
        if let before = groups[entry.key] {
            (group.evaluations, group.failures, group.missed) = (before.evaluations, before.failures, before.missed)
        }
        return group
    }

    /// Alerts of rules that are gone.
    var alerts: [(rule: String, instances: [AlertInstance])] { known.map { ($0.key, $0.value) } }
    /// Series of rules that are gone.
    var series: Set<LabelSet> { made.values.reduce(into: []) { $0.formUnion($1) } }
}

extension RuleBook.Entry {
    /// Whether it asks for the same, so that nothing that was known of it changes.
    func isSame(as other: RuleBook.Entry) -> Bool {
        key == other.key && interval == other.interval && isOfDrill == other.isOfDrill
            && group.limit == other.group.limit
            && group.rules.elementsEqual(other.group.rules) { $0.isSame(as: $1) }
    }
}

extension RuleProgram.Rule {
    fileprivate func isSame(as other: RuleProgram.Rule) -> Bool {
        func isSame(_ left: [(name: String, text: Template)], _ right: [(name: String, text: Template)]) -> Bool {
            left.elementsEqual(right) { $0.name == $1.name && $0.text.source == $1.text.source }
        }
        guard name == other.name, query.text == other.query.text, isSame(labels, other.labels) else { return false }
        guard let alert, let others = other.alert else { return (alert == nil) == (other.alert == nil) }
        return alert.holdsFor == others.holdsFor && alert.keepsFiringFor == others.keepsFiringFor
            && isSame(alert.annotations, others.annotations)
    }
}
