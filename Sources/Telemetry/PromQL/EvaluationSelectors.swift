/// A function's view of one series: the samples of a range that ends at a moment.
struct RangeWindow {
    let times: ArraySlice<Int64>
    let values: ArraySlice<Double>
    /// The sum of what a counter had each time before it began anew.
    let lostByResets: Double
    /// Both ends of the range itself.
    let start: Int64
    let end: Int64
    /// The moment that is asked for, whatever the offset.
    let now: Int64

    var count: Int { times.count }
}

/// What a range holds, with where its moments lie.
struct RangeSource {
    let series: [SeriesSamples]
    /// Milliseconds.
    let range: Int64
    let time: PromQLOffset
    let bounds: (start: Int64, end: Int64)

    func reference(_ now: Int64) -> Int64 { time.reference(now, bounds) }
}

extension PromQLOffset {
    /// The moment that is looked at from `now`.
    func reference(_ now: Int64, _ bounds: (start: Int64, end: Int64)) -> Int64 {
        switch anchor {
        case .time(let time): time - offset
        case .start: bounds.start - offset
        case .end: bounds.end - offset
        case nil: now - offset
        }
    }
}

extension Evaluation {
    /// Samples of the selector's series between two moments.
    private func fetch(_ matchers: [LabelMatcher], from: Int64, through: Int64) throws -> [SeriesSamples] {
        guard from <= through else { return [] }
        try tick()
        let found: [SeriesSamples]
        do {
            found = try reader.series(matchers, in: from...through, samplesMax: samplesLeft, isOver: isOver)
        } catch is TooManySamples { throw QueryFault.tooManySamples }
        try hold(found.reduce(0) { $0 + $1.times.count })
        return found
    }

    /// The last sample of each series before each moment, unless it is too old or the series has ended.
    ///
    /// - Parameter show: What becomes of it.
    func columns(
        _ selector: PromQLSelector, _ grid: QueryGrid, _ show: (Sample) -> Double
    ) throws -> [QueryColumn] {
        let first = selector.time.reference(grid.start, bounds)
        let last = selector.time.reference(grid.end, bounds)
        if grid.count == 1 { return try lasts(selector, at: first, show) }
        let series = try fetch(selector.matchers, from: first - QueryLimits.lookback, through: last)
        var columns: [QueryColumn] = []
        columns.reserveCapacity(series.count)
        for one in series {
            try tick(grid.count)
            try hold(grid.count)
            var values = [Double](repeating: Sample.stale, count: grid.count)
            var next = 0
            var isEmpty = true
            for index in 0..<grid.count {
                let moment = selector.time.reference(grid.time(index), bounds)
                while next < one.times.count, one.times[next] <= moment { next += 1 }
                guard next > 0, one.times[next - 1] >= moment - QueryLimits.lookback,
                    !one.values[next - 1].isStale
                else { continue }
                values[index] = show(Sample(one.times[next - 1], one.values[next - 1]))
                isEmpty = false
            }
            if !isEmpty { columns.append(QueryColumn(labels: one.labels, values: values)) }
        }
        return columns
    }

    private func lasts(
        _ selector: PromQLSelector, at moment: Int64, _ show: (Sample) -> Double
    ) throws -> [QueryColumn] {
        try tick()
        let found: [(labels: LabelSet, sample: Sample)]
        do {
            found = try reader.lasts(
                selector.matchers, in: moment - QueryLimits.lookback...moment, samplesMax: samplesLeft, isOver: isOver)
        } catch is TooManySamples { throw QueryFault.tooManySamples }
        try hold(found.count)
        return found.compactMap { labels, sample in
            sample.value.isStale ? nil : QueryColumn(labels: labels, values: [show(sample)])
        }
    }

    /// The samples that ranges are taken from: of a selector, or of a subquery's own grid.
    func rangeSource(_ node: PromQLNode, _ grid: QueryGrid) throws -> RangeSource {
        switch node.bare.kind {
        case .range(let selector, let range):
            let first = selector.time.reference(grid.start, bounds) - range
            let last = selector.time.reference(grid.end, bounds)
            var series = try fetch(selector.matchers, from: first, through: last)
            for index in series.indices where series[index].hasStale {
                let kept = series[index].values.indices.filter { !series[index].values[$0].isStale }
                series[index].times = kept.map { series[index].times[$0] }
                series[index].values = kept.map { series[index].values[$0] }
            }
            return RangeSource(series: series, range: range, time: selector.time, bounds: bounds)
        case .subquery(let subquery):
            return RangeSource(
                series: try series(of: subquery, grid), range: subquery.range, time: subquery.time, bounds: bounds)
        default: throw QueryFault.execution("expected a range vector, got \(node.type.rawValue)")
        }
    }

    /// The inner expression at moments that are whole steps, whenever the query was asked.
    private func series(of subquery: PromQLSubquery, _ grid: QueryGrid) throws -> [SeriesSamples] {
        let step = subquery.step ?? QueryLimits.subqueryStep
        let from = subquery.time.reference(grid.start, bounds) - subquery.range
        let through = subquery.time.reference(grid.end, bounds)
        var start = step * (from / step)
        if start < from { start += step }
        guard start <= through else { return [] }
        let count = (through - start) / step + 1
        guard count <= samplesLeft else { throw QueryFault.tooManySamples }
        let inner = QueryGrid(start: start, step: step, count: Int(count))
        let times = Array(inner.times)
        func series(_ labels: LabelSet, _ values: [Double]) -> SeriesSamples {
            let kept = values.indices.filter { !values[$0].isStale }
            if kept.count == values.count { return SeriesSamples(labels, times: times, values: values) }
            return SeriesSamples(labels, times: kept.map { times[$0] }, values: kept.map { values[$0] })
        }
        switch try value(subquery.inner, inner) {
        case .scalar(let values): return [series(.none, values)]
        case .vector(let columns): return columns.map { series($0.labels, $0.values) }
        }
    }

    /// What a function makes of each range; `nil` where that is nothing.
    ///
    /// - Parameter ofCounters: Whether it asks for resets. These are rare and known by their places, so that a range of
    ///   many samples is not looked through anew at each step.
    func overRanges(
        _ source: RangeSource, _ grid: QueryGrid, keepsName: Bool = false, ofCounters: Bool = false,
        _ body: (RangeWindow, Int) -> Double?
    ) throws -> [QueryColumn] {
        var columns: [QueryColumn] = []
        columns.reserveCapacity(source.series.count)
        for series in source.series {
            try hold(grid.count)
            var values = [Double](repeating: Sample.stale, count: grid.count)
            var isEmpty = true
            let resets = ofCounters ? series.resets : []
            var low = 0
            var high = 0
            var reset = 0
            for index in 0..<grid.count {
                let now = grid.time(index)
                let end = source.reference(now)
                let start = end - source.range
                while high < series.times.count, series.times[high] <= end { high += 1 }
                while low < high, series.times[low] < start { low += 1 }
                guard low < high else { continue }
                try tick(ofCounters ? 1 : high - low)
                while reset < resets.count, resets[reset] <= low { reset += 1 }
                var lost = 0.0
                for place in resets[reset...] {
                    guard place < high else { break }
                    lost += series.values[place - 1]
                    try tick(1)
                }
                let window = RangeWindow(
                    times: series.times[low..<high], values: series.values[low..<high], lostByResets: lost,
                    start: start, end: end, now: now)
                guard let value = body(window, index) else { continue }
                values[index] = value
                isEmpty = false
            }
            guard !isEmpty else { continue }
            let labels = keepsName ? series.labels : series.labels.withoutName
            columns.append(QueryColumn(labels: labels, values: values))
        }
        return try unique(columns, isStrict: true)
    }
}

extension SeriesSamples {
    /// The places of samples that are below the one before.
    fileprivate var resets: [Int] {
        values.withUnsafeBufferPointer { values in
            var found: [Int] = []
            var index = 1
            while index < values.count {
                if values[index] < values[index - 1] { found.append(index) }
                index += 1
            }
            return found
        }
    }

    /// Whether it ended within its samples.
    fileprivate var hasStale: Bool {
        values.withUnsafeBufferPointer { values in
            var index = 0
            while index < values.count, !values[index].isStale { index += 1 }
            return index < values.count
        }
    }
}
