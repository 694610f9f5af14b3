import Foundation

/// What an aggregation knows of one group at one moment.
private struct Fold {
    var count = 0
    var value = 0.0
    var mean = 0.0

    mutating func add(_ element: Double, _ operation: PromQLAggregation.Operator) {
        count += 1
        switch operation {
        case .sum: value += element
        case .min: if count == 1 || element < value || value.isNaN { value = element }
        case .max: if count == 1 || element > value || value.isNaN { value = element }
        case .avg:
            if mean.isInfinite {
                if element.isInfinite, (mean > 0) == (element > 0) { return }
                if !element.isInfinite, !element.isNaN { return }
            }
            mean += element / Double(count) - mean / Double(count)
        case .stddev, .stdvar:
            guard count > 1 else {
                mean = element
                return
            }
            let delta = element - mean
            mean += delta / Double(count)
            value += delta * (element - mean)
        default: break
        }
    }

    func result(_ operation: PromQLAggregation.Operator) -> Double {
        switch operation {
        case .avg: mean
        case .count: Double(count)
        case .group: 1
        case .stdvar: value / Double(count)
        case .stddev: (value / Double(count)).squareRoot()
        default: value
        }
    }
}

extension Evaluation {
    func aggregate(_ aggregation: PromQLAggregation, _ grid: QueryGrid) throws -> [QueryColumn] {
        let columns = try vector(aggregation.inner, grid)
        let grouping: (LabelSet) -> LabelSet
        if aggregation.isWithout {
            let names = LabelNames(aggregation.labels + [LabelSet.metricName])
            grouping = { $0.dropping(names) }
        } else {
            let names = LabelNames(aggregation.labels)
            grouping = aggregation.labels.isEmpty ? { _ in .none } : { $0.keeping(names) }
        }
        var places: [LabelSet: Int] = [:]
        var groups: [(labels: LabelSet, members: [Int])] = []
        for (index, column) in columns.enumerated() {
            try tick()
            let labels = grouping(column.labels)
            let place = places[labels] ?? groups.count
            if place == groups.count {
                places[labels] = place
                groups.append((labels, []))
            }
            groups[place].members.append(index)
        }
        switch aggregation.operator {
        case .topk, .bottomk:
            let counts = try parameter(aggregation, grid).map(Self.count)
            return try groups.flatMap { group in
                try ranked(
                    group.members.map { columns[$0] }, counts, isTop: aggregation.operator == .topk, grid)
            }
        case .quantile:
            let shares = try parameter(aggregation, grid)
            return try groups.map { group in
                QueryColumn(
                    labels: group.labels,
                    values: try values(group.members, columns, grid) { values, index in
                        RangeFunctions.quantile(shares[index], values)
                    })
            }
        case .countValues:
            guard let name = try aggregation.parameter.map(string) else { return [] }
            return try counted(name, groups, columns, grid)
        default:
            return try groups.map {
                QueryColumn(
                    labels: $0.labels, values: try folded(aggregation.operator, $0.members, columns, grid))
            }
        }
    }

    private func parameter(_ aggregation: PromQLAggregation, _ grid: QueryGrid) throws -> [Double] {
        guard let node = aggregation.parameter else { return [] }
        return try scalar(node, grid)
    }

    private static func count(_ value: Double) throws -> Int {
        guard value > -9.2e18, value < 9.2e18 else {
            throw QueryFault.execution("Scalar value \(QueryText.number(value)) overflows int64")
        }
        return max(0, Int(value))
    }

    private func folded(
        _ operation: PromQLAggregation.Operator, _ members: [Int], _ columns: [QueryColumn], _ grid: QueryGrid
    ) throws -> [Double] {
        var folds = [Fold](repeating: Fold(), count: grid.count)
        for member in members {
            try tick(grid.count)
            let values = columns[member].values
            for index in 0..<grid.count where !values[index].isStale { folds[index].add(values[index], operation) }
        }
        return folds.map { $0.count == 0 ? Sample.stale : $0.result(operation) }
    }

    /// What `body` makes of all values of a group at each moment.
    private func values(
        _ members: [Int], _ columns: [QueryColumn], _ grid: QueryGrid, _ body: ([Double], Int) -> Double
    ) throws -> [Double] {
        try (0..<grid.count).map { index in
            try tick(members.count)
            let present = members.map { columns[$0].values[index] }.filter { !$0.isStale }
            return present.isEmpty ? Sample.stale : body(present, index)
        }
    }

    /// The series with the largest or smallest values at each moment; what is no number comes last.
    private func ranked(
        _ members: [QueryColumn], _ counts: [Int], isTop: Bool, _ grid: QueryGrid
    ) throws -> [QueryColumn] {
        var chosen = members.map {
            QueryColumn(
                labels: $0.labels, values: [Double](repeating: Sample.stale, count: grid.count))
        }
        var order = Array(members.indices)
        for index in 0..<grid.count where counts[index] > 0 {
            try tick(members.count * 4)
            let ranks = members.indices.filter { !members[$0].values[index].isStale }.sorted { left, right in
                let (one, other) = (members[left].values[index], members[right].values[index])
                if one.isNaN || other.isNaN { return one.isNaN == other.isNaN ? left < right : !one.isNaN }
                return one == other ? left < right : (one > other) == isTop
            }
            for place in ranks.prefix(counts[index]) { chosen[place].values[index] = members[place].values[index] }
            if grid.count == 1 { order = ranks }
        }
        return order.map { chosen[$0] }.filter { !$0.isEmpty }
    }

    private func counted(
        _ name: String, _ groups: [(labels: LabelSet, members: [Int])], _ columns: [QueryColumn], _ grid: QueryGrid
    ) throws -> [QueryColumn] {
        guard Self.isLabelName(name) else { throw QueryFault.execution("invalid label name \(QueryText.quoted(name))") }
        var places: [LabelSet: Int] = [:]
        var result: [QueryColumn] = []
        for group in groups {
            for member in group.members {
                for (index, value) in columns[member].values.enumerated() where !value.isStale {
                    try tick()
                    let labels = group.labels.setting(name, QueryText.number(value, isPlain: true))
                    let place = places[labels] ?? result.count
                    if place == result.count {
                        places[labels] = place
                        try hold(grid.count)
                        result.append(
                            QueryColumn(
                                labels: labels, values: [Double](repeating: Sample.stale, count: grid.count)))
                    }
                    let before = result[place].values[index]
                    result[place].values[index] = before.isStale ? 1 : before + 1
                }
            }
        }
        return result
    }
}
