import Foundation

extension Evaluation {
    func binary(_ binary: PromQLBinary, _ grid: QueryGrid) throws -> QueryValue {
        let left = try value(binary.left, grid)
        let right = try value(binary.right, grid)
        switch (left, right) {
        case (.scalar(let left), .scalar(let right)):
            return .scalar(zip(left, right).map { Self.number(binary.operator, $0, $1) })
        case (.vector(let columns), .scalar(let scalars)):
            return .vector(try withScalars(binary, columns, scalars, isSwapped: false))
        case (.scalar(let scalars), .vector(let columns)):
            return .vector(try withScalars(binary, columns, scalars, isSwapped: true))
        case (.vector(let left), .vector(let right)):
            return .vector(
                binary.operator.isSet
                    ? try set(binary, left, right, grid) : try matched(binary, left, right, grid))
        }
    }

    /// Of a comparison 1 where it holds, and 0 where it does not.
    private static func number(_ operation: PromQLBinary.Operator, _ left: Double, _ right: Double) -> Double {
        switch operation {
        case .add: left + right
        case .subtract: left - right
        case .multiply: left * right
        case .divide: left / right
        case .modulo: fmod(left, right)
        case .power: pow(left, right)
        case .atan2: Foundation.atan2(left, right)
        case .equal: left == right ? 1 : 0
        case .notEqual: left != right ? 1 : 0
        case .greater: left > right ? 1 : 0
        case .less: left < right ? 1 : 0
        case .greaterOrEqual: left >= right ? 1 : 0
        case .lessOrEqual: left <= right ? 1 : 0
        case .and, .or, .unless: .nan
        }
    }

    /// What a pair becomes: a comparison without `bool` keeps the left one where it holds.
    private static func element(_ binary: PromQLBinary, _ left: Double, _ right: Double) -> Double {
        let value = number(binary.operator, left, right)
        guard binary.operator.isComparison, !binary.isBool else { return value }
        return value == 1 ? left : Sample.stale
    }

    /// Whether the result is something else than what the metric was. (Prometheus forgets `atan2`.)
    private static func dropsName(_ binary: PromQLBinary) -> Bool {
        binary.operator.isComparison ? binary.isBool : binary.operator != .atan2
    }

    private func withScalars(
        _ binary: PromQLBinary, _ columns: [QueryColumn], _ scalars: [Double], isSwapped: Bool
    ) throws -> [QueryColumn] {
        let dropsName = Self.dropsName(binary)
        var result: [QueryColumn] = []
        result.reserveCapacity(columns.count)
        for column in columns {
            try tick(scalars.count)
            var values = column.values
            for index in values.indices where !values[index].isStale {
                let (value, scalar) = (values[index], scalars[index])
                let element =
                    isSwapped
                    ? Self.element(binary, scalar, value) : Self.element(binary, value, scalar)
                // It is always the series' value that is kept.
                let isKept = isSwapped && binary.operator.isComparison && !binary.isBool && !element.isStale
                values[index] = isKept ? value : element
            }
            result.append(QueryColumn(labels: dropsName ? column.labels.withoutName : column.labels, values: values))
        }
        return try unique(result.filter { !$0.isEmpty })
    }

    // MARK: Matching

    /// The labels by which series of both sides are matched.
    private static func signature(_ binary: PromQLBinary) -> (LabelSet) -> LabelSet {
        if binary.isOn {
            let names = LabelNames(binary.labels)
            return { $0.keeping(names) }
        }
        let names = LabelNames(binary.labels + [LabelSet.metricName])
        return { $0.dropping(names) }
    }

    private func set(
        _ binary: PromQLBinary, _ left: [QueryColumn], _ right: [QueryColumn], _ grid: QueryGrid
    ) throws -> [QueryColumn] {
        let signature = Self.signature(binary)
        let isOr = binary.operator == .or
        /// At which moments the other side has a series of these labels.
        var presence: [LabelSet: [Bool]] = [:]
        for column in isOr ? left : right {
            try tick(grid.count)
            let key = signature(column.labels)
            var found = presence[key] ?? [Bool](repeating: false, count: grid.count)
            for (index, value) in column.values.enumerated() where !value.isStale { found[index] = true }
            presence[key] = found
        }
        let wanted = binary.operator == .and
        let kept = try (isOr ? right : left).compactMap { column -> QueryColumn? in
            try tick(grid.count)
            guard let found = presence[signature(column.labels)] else { return wanted ? nil : column }
            var values = column.values
            for index in values.indices where found[index] != wanted { values[index] = Sample.stale }
            let masked = QueryColumn(labels: column.labels, values: values)
            return masked.isEmpty ? nil : masked
        }
        return try unique(isOr ? left + kept : kept)
    }

    private func matched(
        _ binary: PromQLBinary, _ left: [QueryColumn], _ right: [QueryColumn], _ grid: QueryGrid
    ) throws -> [QueryColumn] {
        let signature = Self.signature(binary)
        let isSwapped = binary.grouping == .right
        let (many, one) = isSwapped ? (right, left) : (left, right)
        guard !many.isEmpty, !one.isEmpty else { return [] }
        var groups: [LabelSet: [QueryColumn]] = [:]
        for column in one { groups[signature(column.labels), default: []].append(column) }
        try checkOneSide(groups, many, grid, side: isSwapped ? "left" : "right")
        var matches: [LabelSet: MatchedGroup] = [:]
        var result: [QueryColumn] = []
        for column in many {
            let key = signature(column.labels)
            guard let partners = groups[key] else { continue }
            for partner in partners {
                try tick(grid.count)
                var values = [Double](repeating: Sample.stale, count: grid.count)
                for index in 0..<grid.count {
                    let (value, other) = (column.values[index], partner.values[index])
                    guard !value.isStale, !other.isStale else { continue }
                    values[index] =
                        isSwapped
                        ? Self.element(binary, other, value) : Self.element(binary, value, other)
                }
                let labels = Self.labels(column.labels, partner.labels, binary)
                let product = QueryColumn(labels: labels, values: values)
                guard !product.isEmpty else { continue }
                try hold(grid.count)
                try matches[key, default: MatchedGroup()].add(product, isGrouped: binary.grouping != nil)
                result.append(product)
            }
        }
        return try unique(result)
    }

    /// Two series of the one side that match alike must not be there at the same moment.
    private func checkOneSide(
        _ groups: [LabelSet: [QueryColumn]], _ many: [QueryColumn], _ grid: QueryGrid, side: String
    ) throws {
        let shared = groups.filter { $0.value.count > 1 }.sorted { $0.key < $1.key }
        guard !shared.isEmpty else { return }
        for index in 0..<grid.count {
            try tick(many.count)
            guard many.contains(where: { !$0.values[index].isStale }) else { continue }
            for (key, columns) in shared {
                try tick(columns.count)
                let present = columns.filter { !$0.values[index].isStale }
                guard present.count > 1 else { continue }
                throw QueryFault.execution(
                    "found duplicate series for the match group \(key.isEmpty ? "{}" : key.description) on the \(side) "
                        + "hand-side of the operation: [\(present[1].labels), \(present[0].labels)];many-to-many "
                        + "matching not allowed: matching labels must be unique on one side")
            }
        }
    }

    private static func labels(_ many: LabelSet, _ one: LabelSet, _ binary: PromQLBinary) -> LabelSet {
        var labels = dropsName(binary) ? many.withoutName : many
        if binary.grouping == nil {
            let names = LabelNames(binary.labels)
            labels = binary.isOn ? labels.keeping(names) : labels.dropping(names)
        }
        for name in binary.include { labels = labels.setting(name, one[name]) }
        return labels
    }
}

/// What came of the series of one match group so far: no two at the same moment, or of the same labels where a side is
/// grouped.
private struct MatchedGroup {
    private var seen: [LabelSet: [Bool]] = [:]

    mutating func add(_ column: QueryColumn, isGrouped: Bool) throws {
        let key = isGrouped ? column.labels : .none
        guard var moments = seen[key] else {
            seen[key] = column.values.map { !$0.isStale }
            return
        }
        for (index, value) in column.values.enumerated() where !value.isStale {
            guard !moments[index] else {
                throw QueryFault.execution(
                    isGrouped
                        ? "multiple matches for labels: grouping labels must ensure unique matches"
                        : "multiple matches for labels: many-to-one matching must be explicit "
                            + "(group_left/group_right)")
            }
            moments[index] = true
        }
        seen[key] = moments
    }
}
