import Synchronization

/// What rules of a group made at one moment, before what is kept: a later rule sees what an earlier one recorded.
final class FreshSeries: SeriesReader {
    private let kept: any SeriesReader
    private let time: Int64
    /// By the metric's name.
    private let made = Mutex<[String: [LabelSet: Double]]>([:])

    init(over kept: any SeriesReader, at time: Int64) {
        self.kept = kept
        self.time = time
    }

    func add(_ labels: LabelSet, _ value: Double) {
        made.withLock { $0[labels[LabelSet.metricName], default: [:]][labels] = value }
    }

    private func matching(_ matchers: [LabelMatcher]) -> [LabelSet: Double] {
        made.withLock { made in
            guard !made.isEmpty else { return [:] }
            let name = matchers.first { $0.name == LabelSet.metricName && $0.kind == .equal }?.value
            let candidates = name.map { made[$0].map { [$0] } ?? [] } ?? Array(made.values)
            var found: [LabelSet: Double] = [:]
            for (labels, value) in candidates.joined() where matchers.match(labels) { found[labels] = value }
            return found
        }
    }

    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        var found = try kept.series(matchers, in: times, samplesMax: samplesMax, isOver: isOver)
        guard times.contains(time) else { return found }
        var fresh = matching(matchers)
        guard !fresh.isEmpty else { return found }
        for index in found.indices {
            guard let value = fresh.removeValue(forKey: found[index].labels) else { continue }
            found[index].times.append(time)
            found[index].values.append(value)
        }
        for (labels, value) in fresh { found.append(SeriesSamples(labels, times: [time], values: [value])) }
        return found.sorted { $0.labels < $1.labels }
    }

    func lasts(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [(labels: LabelSet, sample: Sample)] {
        var found = try kept.lasts(matchers, in: times, samplesMax: samplesMax, isOver: isOver)
        guard times.contains(time) else { return found }
        var fresh = matching(matchers)
        for index in found.indices where !fresh.isEmpty {
            guard let value = fresh.removeValue(forKey: found[index].labels) else { continue }
            found[index].sample = Sample(time, value)
        }
        return found + fresh.map { ($0.key, Sample(time, $0.value)) }
    }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        let known = try kept.labelSets(matchers, in: times, isOver: isOver)
        return times.contains(time) ? known.union(matching(matchers).keys) : known
    }
}
