import Synchronization

/// Series in memory alone, for rules to be tried on: each answer is made from those of the metric that is asked for.
final class SeriesBench: SeriesReader {
    /// By the metric's name.
    private let series = Mutex<[String: [LabelSet: SeriesSamples]]>([:])

    /// - Parameter time: Milliseconds; later than that of the series' last sample.
    func add(_ labels: LabelSet, _ time: Int64, _ value: Double) {
        series.withLock {
            $0[labels[LabelSet.metricName], default: [:]][labels, default: SeriesSamples(labels)].append(time, value)
        }
    }

    /// - Parameter times: In rising order, later than that of the series' last sample.
    func add(_ labels: LabelSet, _ times: [Int64], _ values: [Double]) {
        series.withLock {
            $0[labels[LabelSet.metricName], default: [:]][labels, default: SeriesSamples(labels)]
                .append(contentsOf: times, values)
        }
    }

    var samples: Int { all.reduce(0) { $0 + $1.times.count } }

    /// All of them, in no order.
    var all: [SeriesSamples] { series.withLock { $0.values.flatMap(\.values) } }

    /// Lets go of the samples before this moment.
    func forget(before time: Int64) {
        series.withLock { series in
            for (name, ones) in series {
                for (labels, one) in ones {
                    let count = one.times.partitioned { $0 >= time }
                    guard count > 0 else { continue }
                    guard count < one.times.count else {
                        series[name]?[labels] = nil
                        continue
                    }
                    series[name]?[labels]?.times.removeFirst(count)
                    series[name]?[labels]?.values.removeFirst(count)
                }
            }
        }
    }

    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        var found: [SeriesSamples] = []
        var left = samplesMax
        for one in candidates(matchers) where matchers.match(one.labels) {
            if isOver() { throw QueryFault.timeout }
            let first = one.times.partitioned { $0 >= times.lowerBound }
            let inside = first..<max(first, one.times.partitioned { $0 > times.upperBound })
            guard !inside.isEmpty else { continue }
            left -= inside.count
            guard left >= 0 else { throw TooManySamples() }
            found.append(
                SeriesSamples(one.labels, times: Array(one.times[inside]), values: Array(one.values[inside])))
        }
        return found.sorted { $0.labels < $1.labels }
    }

    private func candidates(_ matchers: [LabelMatcher]) -> [SeriesSamples] {
        guard let name = matchers.metricName else { return all }
        return series.withLock { $0[name].map { Array($0.values) } ?? [] }
    }

    func lasts(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [(labels: LabelSet, sample: Sample)] {
        let found = candidates(matchers).compactMap { one -> (labels: LabelSet, sample: Sample)? in
            guard matchers.match(one.labels) else { return nil }
            let end = one.times.partitioned { $0 > times.upperBound }
            guard end > 0, one.times[end - 1] >= times.lowerBound else { return nil }
            return (one.labels, Sample(one.times[end - 1], one.values[end - 1]))
        }
        guard found.count <= samplesMax else { throw TooManySamples() }
        return found.sorted { $0.labels < $1.labels }
    }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        Set(try series(matchers, in: times, samplesMax: .max, isOver: isOver).map(\.labels))
    }
}

extension SeriesSamples {
    fileprivate mutating func append(_ time: Int64, _ value: Double) {
        times.append(time)
        values.append(value)
    }

    fileprivate mutating func append(contentsOf times: [Int64], _ values: [Double]) {
        self.times += times
        self.values += values
    }
}

extension [Int64] {
    /// Where those begin that are as said, which are the last ones.
    fileprivate func partitioned(_ isBehind: (Int64) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
