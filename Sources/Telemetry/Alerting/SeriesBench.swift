import Synchronization

/// Series in memory alone, for rules to be tried on: each answer is made from all of them.
final class SeriesBench: SeriesReader {
    private let series = Mutex<[LabelSet: SeriesSamples]>([:])

    /// - Parameter time: Milliseconds; later than that of the series' last sample.
    func add(_ labels: LabelSet, _ time: Int64, _ value: Double) {
        series.withLock { $0[labels, default: SeriesSamples(labels)].append(time, value) }
    }

    /// - Parameter times: In rising order, later than that of the series' last sample.
    func add(_ labels: LabelSet, _ times: [Int64], _ values: [Double]) {
        series.withLock { series in
            series[labels, default: SeriesSamples(labels)].times += times
            series[labels, default: SeriesSamples(labels)].values += values
        }
    }

    var samples: Int { series.withLock { $0.values.reduce(0) { $0 + $1.times.count } } }

    /// Lets go of the samples before this moment.
    func forget(before time: Int64) {
        series.withLock { series in
            for (labels, one) in series {
                let count = one.times.partitioned { $0 >= time }
                guard count > 0 else { continue }
                guard count < one.times.count else {
                    series[labels] = nil
                    continue
                }
                series[labels]?.times.removeFirst(count)
                series[labels]?.values.removeFirst(count)
            }
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

extension SeriesSamples {
    fileprivate mutating func append(_ time: Int64, _ value: Double) {
        times.append(time)
        values.append(value)
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
