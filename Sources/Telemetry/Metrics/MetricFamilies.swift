/// A number that only rises while the process lives, by label values. Sums are exact and saturate.
public struct CounterFamily: Sendable {
    public private(set) var table: SeriesTable<Int64>
    /// Digits behind the point: 9 where billionths are counted and whole ones shown.
    let digits: Int

    public init(_ metric: Metric, digits: Int = 0, seriesMax: Int = SeriesNames.seriesMax) {
        table = SeriesTable(metric, first: 0, seriesMax: seriesMax)
        self.digits = digits
    }

    /// Adds nothing where `amount` is negative.
    public mutating func add(_ amount: Int64 = 1, _ labels: [String]) { add(amount, at: place(of: labels)) }

    /// See ``SeriesTable/place(of:)``.
    public mutating func place(of labels: [String]) -> Int { table.place(of: labels) }

    public mutating func add(_ amount: Int64, at place: Int) {
        table.update(at: place) { value in
            let (sum, isOver) = value.addingReportingOverflow(max(0, amount))
            value = isOver ? .max : sum
        }
    }
}

/// A number that rises and falls, by label values.
public struct GaugeFamily: Sendable {
    public private(set) var table: SeriesTable<Double>

    /// - Parameter first: What a series begins with.
    public init(_ metric: Metric, first: Double = 0, seriesMax: Int = SeriesNames.seriesMax) {
        table = SeriesTable(metric, first: first, seriesMax: seriesMax)
    }

    public mutating func set(_ value: Double, _ labels: [String] = []) { table.update(labels) { $0 = value } }

    /// Keeps the larger one, for the same reason as ``add(_:_:)``.
    public mutating func raise(_ value: Double, _ labels: [String]) { table.update(labels) { $0 = max($0, value) } }

    /// Keeps the smaller one, of a series that begins with the largest.
    public mutating func lower(_ value: Double, _ labels: [String]) { table.update(labels) { $0 = min($0, value) } }

    /// For numbers of which several may share the series `other`.
    public mutating func add(_ value: Double, _ labels: [String]) { table.update(labels) { $0 += value } }
}

/// How values are spread, by label values: how many were at most as large as each of a few bounds, and their sum.
public struct HistogramFamily: Sendable {
    public struct Spread: Sendable, Equatable {
        /// Values above the bound before and up to this one; the last place is for those above all bounds.
        public var counts: [UInt64]
        public var sum = 0.0

        public var count: UInt64 { counts.reduce(0, +) }
    }

    public private(set) var table: SeriesTable<Spread>
    /// In rising order.
    public let bounds: [Double]

    public init(_ metric: Metric, bounds: [Double], seriesMax: Int = SeriesNames.histogramSeriesMax) {
        self.bounds = bounds
        let first = Spread(counts: [UInt64](repeating: 0, count: bounds.count + 1))
        table = SeriesTable(metric, first: first, seriesMax: seriesMax)
    }

    /// What is no number is passed over.
    public mutating func observe(_ value: Double, _ labels: [String]) { observe(value, at: place(of: labels)) }

    /// See ``SeriesTable/place(of:)``.
    public mutating func place(of labels: [String]) -> Int { table.place(of: labels) }

    public mutating func observe(_ value: Double, at place: Int) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        table.update(at: place) { spread in
            spread.counts[bucket] += 1
            spread.sum += value
        }
    }

    /// How many values were at most as large as each bound; the last is infinite and counts all.
    public func buckets(of spread: Spread) -> [(bound: Double, count: UInt64)] {
        var count: UInt64 = 0
        return zip(bounds + [.infinity], spread.counts).map { bound, part in
            count += part
            return (bound, count)
        }
    }
}
