import Foundation
import Kernel

extension Evaluation {
    /// - Parameter remembered: What is known of the call as long as its expression is.
    func call(
        _ function: PromQLFunction, _ arguments: [PromQLNode], _ grid: QueryGrid, _ remembered: PromQLRemembered?
    ) throws -> QueryValue {
        if let change = ValueFunctions.byName[function.name] {
            return .vector(try mapped(arguments[0], grid) { value, _ in change(value) })
        }
        if let part = ValueFunctions.ofTime[function.name] { return try parts(part, arguments, grid) }
        if function.parameters.contains(.range) { return .vector(try overRange(function.name, arguments, grid)) }
        switch function.name {
        case "time": return .scalar(grid.times.map { Double($0) / 1_000 })
        case "vector": return .vector([QueryColumn(labels: .none, values: try scalar(arguments[0], grid))])
        case "scalar": return .scalar(try onlyValues(try vector(arguments[0], grid), grid))
        case "timestamp": return .vector(try timestamps(arguments[0], grid))
        case "absent": return .vector(absence(of: try vector(arguments[0], grid), arguments[0], grid))
        case "sort", "sort_desc": return .vector(try sorted(arguments[0], grid, isFalling: function.name != "sort"))
        case "round", "clamp", "clamp_min", "clamp_max": return .vector(try bounded(function.name, arguments, grid))
        case "histogram_quantile": return .vector(try histogramQuantile(arguments, grid))
        case "label_replace": return .vector(try labelReplace(arguments, grid, remembered))
        case "label_join": return .vector(try labelJoin(arguments, grid))
        default: throw QueryFault.execution("function \"\(function.name)\" is not evaluated here")
        }
    }

    // MARK: Value by value

    private func mapped(
        _ node: PromQLNode, _ grid: QueryGrid, _ change: (Double, Int) -> Double
    ) throws -> [QueryColumn] {
        let columns = try vector(node, grid).map { column in
            QueryColumn(
                labels: column.labels.withoutName,
                values: column.values.enumerated().map { $1.isStale ? $1 : change($1, $0) })
        }
        return try unique(columns)
    }

    /// Of the moments themselves where nothing is given.
    private func parts(
        _ part: @escaping (Double) -> Double, _ arguments: [PromQLNode], _ grid: QueryGrid
    ) throws -> QueryValue {
        guard let node = arguments.first else {
            return .vector([QueryColumn(labels: .none, values: grid.times.map { part(Double($0) / 1_000) })])
        }
        return .vector(try mapped(node, grid) { value, _ in part(value) })
    }

    private func bounded(_ name: String, _ arguments: [PromQLNode], _ grid: QueryGrid) throws -> [QueryColumn] {
        let others = try arguments.dropFirst().map { try scalar($0, grid) }
        var columns = try mapped(arguments[0], grid) { value, index in
            switch name {
            case "round": ValueFunctions.round(value, to: others.first?[index] ?? 1)
            case "clamp_min": ValueFunctions.largest(value, others[0][index])
            case "clamp_max": ValueFunctions.smallest(value, others[0][index])
            default: ValueFunctions.largest(others[0][index], ValueFunctions.smallest(others[1][index], value))
            }
        }
        if name == "clamp" {
            // Between bounds that are swapped there is nothing.
            for index in 0..<grid.count where others[1][index] < others[0][index] {
                for column in columns.indices { columns[column].values[index] = Sample.stale }
            }
        }
        return columns.filter { !$0.isEmpty }
    }

    private func timestamps(_ node: PromQLNode, _ grid: QueryGrid) throws -> [QueryColumn] {
        guard case .selector(let selector) = node.bare.kind else {
            return try mapped(node, grid) { _, index in Double(grid.time(index)) / 1_000 }
        }
        let columns = try columns(selector, grid) { Double($0.time) / 1_000 }
        return try unique(columns.map { QueryColumn(labels: $0.labels.withoutName, values: $0.values) })
    }

    private func onlyValues(_ columns: [QueryColumn], _ grid: QueryGrid) throws -> [Double] {
        var values = [Double](repeating: .nan, count: grid.count)
        for index in 0..<grid.count {
            try tick(columns.count)
            var found = columns.lazy.map(\.values[index]).filter { !$0.isStale }.makeIterator()
            if let only = found.next(), found.next() == nil { values[index] = only }
        }
        return values
    }

    /// By their values at the only moment; over more of them there is no order. What is no number comes last.
    private func sorted(_ node: PromQLNode, _ grid: QueryGrid, isFalling: Bool) throws -> [QueryColumn] {
        let columns = try vector(node, grid)
        guard grid.count == 1 else { return columns }
        return columns.sorted { left, right in
            let (left, right) = (left.values[0], right.values[0])
            if left.isNaN || right.isNaN { return !left.isNaN }
            return isFalling ? left > right : left < right
        }
    }

    // MARK: Ranges

    private func overRange(_ name: String, _ arguments: [PromQLNode], _ grid: QueryGrid) throws -> [QueryColumn] {
        let others = try arguments.filter { $0.type == .scalar }.map { try scalar($0, grid) }
        guard let node = arguments.first(where: { $0.type == .range }) else {
            throw QueryFault.execution("\"\(name)\" needs a range vector")
        }
        let source = try rangeSource(node, grid)
        switch name {
        case "quantile_over_time":
            return try overRanges(source, grid) { RangeFunctions.quantile(others[0][$1], $0.values) }
        case "predict_linear":
            return try overRanges(source, grid) { window, index in
                guard window.count > 1 else { return nil }
                let line = RangeFunctions.line(window, from: window.now)
                return line.slope * others[0][index] + line.value
            }
        case "absent_over_time":
            let found = try overRanges(source, grid, keepsName: true) { _, _ in 1 }
            return absence(of: found, node, grid)
        default:
            guard let function = RangeFunctions.byName[name] else {
                throw QueryFault.execution("function \"\(name)\" is not evaluated here")
            }
            return try overRanges(
                source, grid, keepsName: name == "last_over_time", ofCounters: name == "rate" || name == "increase"
            ) { window, _ in function(window) }
        }
    }

    /// 1 for the moments without any value, with the labels that the selector asks for.
    private func absence(of columns: [QueryColumn], _ node: PromQLNode, _ grid: QueryGrid) -> [QueryColumn] {
        var values = [Double](repeating: 1, count: grid.count)
        for column in columns {
            for (index, value) in column.values.enumerated() where !value.isStale { values[index] = Sample.stale }
        }
        var matchers: [LabelMatcher] = []
        switch node.bare.kind {
        case .selector(let selector), .range(let selector, _): matchers = selector.matchers
        default: break
        }
        var labels: [String: String] = [:]
        var seen: Set<String> = []
        for matcher in matchers where matcher.name != LabelSet.metricName {
            let isFirst = matcher.kind == .equal && seen.insert(matcher.name).inserted
            labels[matcher.name] = isFirst ? matcher.value : nil
        }
        let column = QueryColumn(labels: LabelSet(labels.map { ($0.key, $0.value) }), values: values)
        return column.isEmpty ? [] : [column]
    }

    // MARK: Histograms

    private func histogramQuantile(_ arguments: [PromQLNode], _ grid: QueryGrid) throws -> [QueryColumn] {
        let shares = try scalar(arguments[0], grid)
        let bound = LabelNames(["le"])
        var places: [LabelSet: Int] = [:]
        var groups: [(labels: LabelSet, buckets: [(bound: Double, column: QueryColumn)])] = []
        for column in try vector(arguments[1], grid) {
            guard let upper = HistogramQuantile.bound(column.labels["le"]) else { continue }
            let labels = column.labels.dropping(bound)
            let place = places[labels] ?? groups.count
            if place == groups.count {
                places[labels] = place
                groups.append((labels.withoutName, []))
            }
            groups[place].buckets.append((upper, column))
        }
        let columns = try groups.map { group in
            var values = [Double](repeating: Sample.stale, count: grid.count)
            for index in 0..<grid.count {
                try tick(group.buckets.count)
                let buckets = group.buckets.compactMap { bucket in
                    let count = bucket.column.values[index]
                    return count.isStale ? nil : HistogramQuantile.Bucket(bound: bucket.bound, count: count)
                }
                if !buckets.isEmpty { values[index] = HistogramQuantile.value(shares[index], buckets) }
            }
            return QueryColumn(labels: group.labels, values: values)
        }
        return try unique(columns)
    }

    // MARK: Labels

    static func isLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, PromQLLexer.isLetter(first) else { return false }
        return name.utf8.allSatisfy { PromQLLexer.isLetter($0) || PromQLLexer.isDigit($0) }
    }

    private func labelReplace(
        _ arguments: [PromQLNode], _ grid: QueryGrid, _ remembered: PromQLRemembered?
    ) throws -> [QueryColumn] {
        let words = try arguments.dropFirst().map(string)
        let (name, template, source) = (words[0], words[1], words[2])
        let pattern: LabelPattern
        do { pattern = try remembered?.pattern(words[3]) ?? LabelPattern(words[3]) } catch {
            throw QueryFault.execution("invalid regular expression in label_replace(): \(words[3])")
        }
        guard Self.isLabelName(name) else {
            throw QueryFault.execution("invalid destination label name in label_replace(): \(name)")
        }
        let columns = try vector(arguments[0], grid).map { column in
            try tick()
            guard let text = pattern.expand(template, with: column.labels[source]) else { return column }
            return try labelled(column, name, text)
        }
        return try unique(columns)
    }

    private func labelled(_ column: QueryColumn, _ name: String, _ text: String) throws -> QueryColumn {
        try tick()
        guard text.utf8.count <= QueryLimits.labelBytes else {
            throw QueryFault.execution("a label's value would have more than \(QueryLimits.labelBytes) bytes")
        }
        return QueryColumn(labels: column.labels.setting(name, text), values: column.values)
    }

    private func labelJoin(_ arguments: [PromQLNode], _ grid: QueryGrid) throws -> [QueryColumn] {
        let words = try arguments.dropFirst().map(string)
        let sources = words.dropFirst(2)
        if let wrong = sources.first(where: { !Self.isLabelName($0) }) {
            throw QueryFault.execution("invalid source label name in label_join(): \(wrong)")
        }
        guard Self.isLabelName(words[0]) else {
            throw QueryFault.execution("invalid destination label name in label_join(): \(words[0])")
        }
        let columns = try vector(arguments[0], grid).map { column in
            let text = sources.map { column.labels[$0] }.joined(separator: words[1])
            return try labelled(column, words[0], text)
        }
        return try unique(columns)
    }
}

/// What functions make of a single value.
enum ValueFunctions {
    static let byName: [String: @Sendable (Double) -> Double] = [
        "abs": { $0.magnitude }, "ceil": { $0.rounded(.up) }, "floor": { $0.rounded(.down) }, "exp": { exp($0) },
        "ln": { log($0) }, "log2": { log2($0) }, "log10": { log10($0) }, "sqrt": { $0.squareRoot() },
        "sgn": { $0 < 0 ? -1 : $0 > 0 ? 1 : $0 },
    ]

    static let ofTime: [String: @Sendable (Double) -> Double] = [
        "minute": { Double(floorRemainder(seconds($0), 3_600) / 60) },
        "hour": { Double(floorRemainder(seconds($0), 86_400) / 3_600) },
        "day_of_week": { Double(floorRemainder(days($0) + 4, 7)) },
        "day_of_month": { Double(date($0).day) },
        "month": { Double(date($0).month) },
        "year": { Double(date($0).year) },
        "days_in_month": { value in
            let date = date(value)
            return Double(Timestamp.daysIn(date.month, of: date.year))
        },
    ]

    /// Whole seconds, of the years that calendars have; what is no number is 1970.
    private static func seconds(_ value: Double) -> Int64 {
        value.isNaN ? 0 : Int64(Swift.max(-6e10, Swift.min(2.5e11, value)))
    }

    private static func days(_ value: Double) -> Int64 {
        let seconds = seconds(value)
        return (seconds - floorRemainder(seconds, 86_400)) / 86_400
    }

    private static func date(_ value: Double) -> (year: Int64, month: Int64, day: Int64) {
        Timestamp.civil(fromDays: days(value))
    }

    private static func floorRemainder(_ value: Int64, _ by: Int64) -> Int64 {
        let rest = value % by
        return rest < 0 ? rest + by : rest
    }

    static func round(_ value: Double, to nearest: Double) -> Double {
        let inverse = 1 / nearest
        return (value * inverse + 0.5).rounded(.down) / inverse
    }

    /// Not a number where one of them is none, unlike `max`.
    static func largest(_ left: Double, _ right: Double) -> Double {
        if left == .infinity || right == .infinity { return .infinity }
        return left.isNaN || right.isNaN ? .nan : Swift.max(left, right)
    }

    static func smallest(_ left: Double, _ right: Double) -> Double {
        if left == -.infinity || right == -.infinity { return -.infinity }
        return left.isNaN || right.isNaN ? .nan : Swift.min(left, right)
    }
}
