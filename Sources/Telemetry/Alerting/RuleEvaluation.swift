/// What one rule comes to at one moment.
public struct RuleEvaluation {
    /// Why an evaluation came to nothing.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    public let reader: any SeriesReader
    public var externalLabels = LabelSet.none
    public var externalURL = ""
    /// Whether drills run beside the fleet that it is about: it leaves out what they do, and what it finds is no
    /// drill's. A label that says so is renamed, as Prometheus renames labels that it gives itself.
    public var leavesOutDrills = false
    /// Whether the time for it has run out.
    public var isOver: () -> Bool = { false }
    /// What rules share of the moment.
    var memo: EvaluationMemo?

    public init(reader: any SeriesReader) { self.reader = reader }

    func vector(_ query: PromQLQuery, at time: Int64) throws -> [(labels: LabelSet, value: Double)] {
        switch try query.answer(at: time, from: reader, isOver: isOver, memo: memo) {
        case .vector(let series): return series.map { ($0.labels, $0.samples[0].value) }
        case .scalar(let sample): return [(.none, sample.value)]
        case .string, .matrix: throw Fault(description: "rule result is not a vector or scalar")
        }
    }

    /// The series that a recording rule makes.
    ///
    /// - Parameter samples: What the rule's expression gives.
    /// - Throws: ``Fault``.
    func recorded(
        _ rule: RuleProgram.Rule, _ samples: [(labels: LabelSet, value: Double)], limit: Int
    ) throws -> [(labels: LabelSet, value: Double)] {
        var seen: Set<LabelSet> = []
        let found = try samples.map { labels, value in
            var labels = labels.setting(LabelSet.metricName, rule.name)
            let data = Template.Data(labels: labels, value: value)
            for (name, text) in rule.labels { labels = labels.setting(name, filled(text, data)) }
            guard seen.insert(labels).inserted else {
                throw Fault(description: "vector contains metrics with the same labelset after applying rule labels")
            }
            return (labels: labels, value: value)
        }
        guard limit == 0 || found.count <= limit else {
            throw Fault(description: "exceeded limit of \(limit) with \(found.count) series")
        }
        return found
    }

    /// What holds of an alert's condition, with its labels and annotations filled in.
    ///
    /// - Parameters:
    ///   - samples: What the rule's expression gives.
    ///   - isAnnotated: Whether annotations are filled in; they are nobody's business in the past.
    /// - Throws: ``Fault``.
    func found(
        _ rule: RuleProgram.Rule, _ alert: RuleProgram.Alert, in samples: [(labels: LabelSet, value: Double)],
        at time: Int64, isAnnotated: Bool = true
    ) throws -> [AlertStates.Finding] {
        var seen: Set<LabelSet> = []
        return try samples.filter { !leavesOutDrills || !DrillNames.isOfDrill($0.labels) }.map { sample in
            var data = Template.Data(labels: sample.labels, value: sample.value)
            data.externalLabels = externalLabels
            data.externalURL = externalURL
            data.query = { try vector(try PromQLQuery($0), at: time) }
            var labels = sample.labels.withoutName
            for (name, text) in rule.labels { labels = labels.setting(name, filled(text, data)) }
            if leavesOutDrills { labels = labels.renaming(DrillNames.label, to: "exported_\(DrillNames.label)") }
            labels = labels.setting("alertname", rule.name)
            guard seen.insert(labels).inserted else {
                throw Fault(description: "vector contains metrics with the same labelset after applying alert labels")
            }
            var annotations: [String: String] = [:]
            if isAnnotated { for (name, text) in alert.annotations { annotations[name] = filled(text, data) } }
            return AlertStates.Finding(labels: labels, annotations: annotations, value: sample.value)
        }
    }

    /// A template that cannot be filled in must not keep an alert from firing.
    func filled(_ template: Template, _ data: Template.Data) -> String {
        do { return try template.text(data) } catch { return "<error expanding template: \(error)>" }
    }
}
