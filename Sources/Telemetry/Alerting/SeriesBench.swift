import Synchronization

/// Series in memory alone, for rules to be tried on: each answer is made from all of them.
final class SeriesBench: SeriesReader {
    private let series = Mutex<[LabelSet: SeriesSamples]>([:])

    /// - Parameter time: Milliseconds; later than that of the series' last sample.
    func add(_ labels: LabelSet, _ time: Int64, _ value: Double) {
        series.withLock { series in
            series[labels, default: SeriesSamples(labels)].times.append(time)
            series[labels, default: SeriesSamples(labels)].values.append(value)
        }
    }

    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] {
        let known = series.withLock { Array($0.values) }
        var found: [SeriesSamples] = []
        var left = samplesMax
        for one in known where matchers.match(one.labels) {
            if isOver() { throw QueryFault.timeout }
            let first = one.times.partitioned { $0 >= times.lowerBound }
            let inside = first..<max(first, one.times.partitioned { $0 > times.upperBound })
            guard !inside.isEmpty else { continue }
            left -= inside.count
            guard left >= 0 else { throw TooManySamples() }
            found.append(
                SeriesSamples(one.labels, times: Array(one.times[inside]), values: Array(one.values[inside])))
        }
        return found
    }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> {
        Set(try series(matchers, in: times, samplesMax: .max, isOver: isOver).map(\.labels))
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
