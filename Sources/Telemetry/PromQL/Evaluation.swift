import Kernel

/// The moments for which an expression is worth something.
struct QueryGrid: Sendable {
    let start: Int64
    /// Milliseconds; of no meaning for a single moment.
    let step: Int64
    let count: Int

    func time(_ index: Int) -> Int64 { start + Int64(index) * step }
    var end: Int64 { time(count - 1) }
    var times: some Sequence<Int64> { (0..<count).lazy.map(time) }
}

/// One series of a result: a value for each moment, ``Sample/stale`` where there is none.
struct QueryColumn {
    var labels: LabelSet
    var values: [Double]

    var isEmpty: Bool {
        // As of one moment most of them are.
        values.withUnsafeBufferPointer { values in
            var index = 0
            while index < values.count, values[index].isStale { index += 1 }
            return index == values.count
        }
    }
}

/// What a part of an expression is worth.
enum QueryValue {
    case scalar([Double])
    case vector([QueryColumn])

    /// The points that it has in memory.
    var points: Int {
        switch self {
        case .scalar(let values): values.count
        case .vector(let columns): columns.reduce(0) { $0 + $1.values.count }
        }
    }
}

/// Works an expression out over a grid of moments, series by series: what is done to labels is done once, however many
/// moments there are (semantics of Prometheus 2.42, `promql/engine.go` and `functions.go`).
final class Evaluation {
    let reader: any SeriesReader
    /// What `start()` and `end()` stand for.
    let bounds: (start: Int64, end: Int64)
    private let samplesMax: Int
    let isOver: () -> Bool
    private let memo: EvaluationMemo?
    private var live = 0
    private var ticks = 0

    /// - Parameters:
    ///   - isOver: Whether the time for the query has run out; asked now and then.
    ///   - memo: What is known of its moment already.
    init(
        reader: any SeriesReader, bounds: (start: Int64, end: Int64), samplesMax: Int,
        isOver: @escaping () -> Bool, memo: EvaluationMemo? = nil
    ) {
        self.memo = memo
        self.reader = reader
        self.bounds = bounds
        self.samplesMax = samplesMax
        self.isOver = isOver
    }

    // MARK: Bounds

    /// Counts work, and ends it where the time has run out.
    func tick(_ work: Int = 1) throws {
        ticks += work
        guard ticks >= 10_000 else { return }
        ticks = 0
        if isOver() { throw QueryFault.timeout }
    }

    /// Counts samples that are in memory from now on.
    func hold(_ samples: Int) throws {
        live += samples
        guard live <= samplesMax else { throw QueryFault.tooManySamples }
    }

    var samplesLeft: Int { samplesMax - live }

    // MARK: Nodes

    func value(_ node: PromQLNode, _ grid: QueryGrid) throws -> QueryValue {
        try tick(grid.count)
        let before = live
        let value = try remembered(node, grid)
        // What it was made of is let go of with it.
        live = before
        try hold(value.points)
        return value
    }

    /// A part that is known from another rule, or is from now on.
    private func remembered(_ node: PromQLNode, _ grid: QueryGrid) throws -> QueryValue {
        guard let memo, grid.count == 1, grid.start == memo.time, let known = node.remembered?.known(of: node) else {
            return try bareValue(node, grid)
        }
        if let columns = memo.columns(known.shape) { return .vector(columns) }
        let value = try bareValue(node, grid)
        if case .vector(let columns) = value { memo.keep(columns, known) }
        return value
    }

    private func bareValue(_ node: PromQLNode, _ grid: QueryGrid) throws -> QueryValue {
        switch node.kind {
        case .number(let value): return .scalar([Double](repeating: value, count: grid.count))
        case .parentheses(let inner): return try value(inner, grid)
        case .selector(let selector): return .vector(try columns(selector, grid) { $0.value })
        case .call(let function, let arguments): return try call(function, arguments, grid, node.remembered)
        case .aggregation(let aggregation): return .vector(try aggregate(aggregation, grid))
        case .binary(let binary): return try self.binary(binary, grid)
        case .negation(let inner):
            switch try value(inner, grid) {
            case .scalar(let values): return .scalar(values.map { -$0 })
            case .vector(let columns):
                return .vector(
                    try unique(columns.map { $0.mapped(to: $0.labels.withoutName) { -$0 } }, isStrict: true))
            }
        case .string, .range, .subquery:
            throw QueryFault.execution("a \(node.type.rawValue) stands where a value is expected")
        }
    }

    func vector(_ node: PromQLNode, _ grid: QueryGrid) throws -> [QueryColumn] {
        switch try value(node, grid) {
        case .vector(let columns): return columns
        case .scalar: throw QueryFault.execution("expected an instant vector, got a scalar")
        }
    }

    func scalar(_ node: PromQLNode, _ grid: QueryGrid) throws -> [Double] {
        switch try value(node, grid) {
        case .scalar(let values): return values
        case .vector: throw QueryFault.execution("expected a scalar, got an instant vector")
        }
    }

    func string(_ node: PromQLNode) throws -> String {
        guard case .string(let text) = node.bare.kind else {
            throw QueryFault.execution("expected a string, got \(node.type.rawValue)")
        }
        return text
    }

    // MARK: Columns of the same labels

    /// Series of the same labels become one, where no two of them are worth something at the same moment.
    ///
    /// - Parameter isStrict: They must not be of the same labels at all, as with functions over ranges.
    func unique(_ columns: [QueryColumn], isStrict: Bool = false) throws -> [QueryColumn] {
        guard columns.count > 1 else { return columns }
        var places: [LabelSet: Int] = [:]
        places.reserveCapacity(columns.count)
        var result: [QueryColumn] = []
        result.reserveCapacity(columns.count)
        for column in columns {
            try tick()
            guard let place = places[column.labels] else {
                places[column.labels] = result.count
                result.append(column)
                continue
            }
            if isStrict { throw Self.sameLabels }
            for (index, value) in column.values.enumerated() where !value.isStale {
                guard result[place].values[index].isStale else { throw Self.sameLabels }
                result[place].values[index] = value
            }
        }
        return result
    }

    static let sameLabels = QueryFault.execution("vector cannot contain metrics with the same labelset")
}

extension QueryColumn {
    /// Each value that there is, changed.
    func mapped(to labels: LabelSet, _ change: (Double) -> Double) -> QueryColumn {
        QueryColumn(labels: labels, values: values.map { $0.isStale ? $0 : change($0) })
    }
}
