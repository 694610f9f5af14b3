import Kernel

/// A series of a metric query's answer: a value for each moment, which is no number where there is none.
struct LogSeries: Sendable {
    var labels: LogLabels
    var values: [Double]
}

extension LogMetric {
    /// What must be counted for it; `nil` for a constant, for which nothing is.
    func tally(_ grid: LogGrid) -> LogTallyQuery? {
        guard let source else { return nil }
        let grid = LogGrid(start: grid.start - source.offset, step: grid.step, count: grid.count)
        return LogTallyQuery(
            conditions: source.query.conditions, grid: grid, range: source.range, grouping: source.grouping,
            showsAttributes: source.query.showsAttributes, dropped: source.query.dropped,
            bytes: source.measure.isOfBytes ? .exact : .none)
    }

    /// Works it out.
    ///
    /// - Parameters:
    ///   - tally: What ``tally(_:)`` asked for.
    ///   - count: Moments.
    func series(of tally: LogTally?, count: Int) -> [LogSeries] {
        switch self {
        case .constant(let value):
            return [LogSeries(labels: LogLabels(), values: [Double](repeating: value, count: count))]
        case .range(let measure, _, let range, _):
            let seconds = measure.isRate ? Double(range) / 1e9 : 1
            return (tally?.series ?? []).map { one in
                LogSeries(
                    labels: one.labels,
                    values: one.sums.map { sum in
                        sum.count == 0 ? .nan : Double(measure.isOfBytes ? sum.bytes : sum.count) / seconds
                    })
            }
        case .aggregate(let operation, let grouping, let number, let inner):
            return operation.groups(inner.series(of: tally, count: count), grouping, number: number, count: count)
        case .compare(let inner, let comparison, let bound, let isBool):
            return inner.series(of: tally, count: count).map { one in
                LogSeries(
                    labels: one.labels,
                    values: one.values.map { value in
                        guard !value.isNaN else { return value }
                        let holds = comparison.holds(value, bound)
                        return isBool ? (holds ? 1 : 0) : holds ? value : .nan
                    })
            }
        }
    }
}

extension LogMetric.Operator {
    fileprivate func groups(
        _ series: [LogSeries], _ grouping: LogGrouping, number: Int, count: Int
    ) -> [LogSeries] {
        var order: [LogLabels] = []
        var members: [LogLabels: [LogSeries]] = [:]
        for one in series {
            let labels = grouping.labels(of: one.labels)
            if members[labels] == nil { order.append(labels) }
            members[labels, default: []].append(one)
        }
        return order.flatMap { labels -> [LogSeries] in
            let group = members[labels] ?? []
            guard self == .topk else { return [LogSeries(labels: labels, values: folded(group, count))] }
            return Self.top(number, of: group, count)
        }
    }

    private func folded(_ group: [LogSeries], _ count: Int) -> [Double] {
        (0..<count).map { index in
            var (value, members) = (Double.nan, 0)
            for one in group where !one.values[index].isNaN {
                let next = one.values[index]
                members += 1
                switch self {
                case _ where members == 1: value = next
                case .min: value = Swift.min(value, next)
                case .max: value = Swift.max(value, next)
                default: value += next
                }
            }
            guard members > 0 else { return .nan }
            return self == .count ? Double(members) : self == .avg ? value / Double(members) : value
        }
    }

    /// The series with the largest values, at each moment others.
    private static func top(_ number: Int, of group: [LogSeries], _ count: Int) -> [LogSeries] {
        var chosen = group.map { LogSeries(labels: $0.labels, values: [Double](repeating: .nan, count: count)) }
        for index in 0..<count {
            let ranks = group.indices.filter { !group[$0].values[index].isNaN }
                .sorted { group[$0].values[index] > group[$1].values[index] }
            for place in ranks.prefix(number) { chosen[place].values[index] = group[place].values[index] }
        }
        return chosen
    }
}
