/// Series as they are, with some that are recorded anew in the place of those that were recorded then.
///
/// Used by one evaluation at a time.
final class RecordedSeries: SeriesReader {
    private let base: any SeriesReader
    private let recorded: [String: SeriesBench]

    /// - Parameter names: The metrics that are recorded anew.
    init(over base: any SeriesReader, names: Set<String>) {
        self.base = base
        recorded = Dictionary(uniqueKeysWithValues: names.map { ($0, SeriesBench()) })
    }

    func add(_ labels: LabelSet, of name: String, _ time: Int64, _ value: Double) {
        recorded[name]?.add(labels, time, value)
    }

    /// Lets go of what no later evaluation asks for.
    func forget(before time: Int64) {
        for bench in recorded.values { bench.forget(before: time) }
    }

    /// Samples that were recorded and are still in memory.
    var samples: Int { recorded.values.reduce(0) { $0 + $1.samples } }

    private func benches(_ matchers: [LabelMatcher]) -> [SeriesBench] {
        if let name = matchers.metricName { return recorded[name].map { [$0] } ?? [] }
        return Array(recorded.values)
    }

    private func isOfBase(_ matchers: [LabelMatcher]) -> Bool {
        matchers.metricName.map { recorded[$0] == nil } ?? true
    }

    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        var found: [SeriesSamples] = []
        if isOfBase(matchers) {
            found = try base.series(matchers, in: times, samplesMax: samplesMax, isOver: isOver)
                .filter { recorded[$0.labels[LabelSet.metricName]] == nil }
        }
        var left = samplesMax - found.reduce(0) { $0 + $1.times.count }
        for bench in benches(matchers) {
            let more = try bench.series(matchers, in: times, samplesMax: left, isOver: isOver)
            left -= more.reduce(0) { $0 + $1.times.count }
            found += more
        }
        return found
    }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        Set(try series(matchers, in: times, samplesMax: .max, isOver: isOver).map(\.labels))
    }
}
