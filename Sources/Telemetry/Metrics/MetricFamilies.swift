/// A number that only rises while the process lives, by label values. Sums are exact and saturate.
public struct CounterFamily: Sendable {
    public private(set) var table: SeriesTable<Int64>
    /// Digits behind the point: 9 where billionths are counted and whole ones shown.
    let digits: Int
    /// The last that was counted with a trace, by the place of its series.
    private(set) var exemplars: [Int: Exemplar] = [:]

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

    /// See ``SeriesTable/remove(labelled:)``.
    mutating func remove(labelled isMeant: ([String]) -> Bool) -> Int {
        let count = table.remove(labelled: isMeant)
        // Places are others now.
        if count > 0 { exemplars = [:] }
        return count
    }

    /// Shows `exemplar` with the series from now on.
    public mutating func point(at place: Int, to exemplar: Exemplar?) {
        if let exemplar { exemplars[place] = exemplar }
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

    /// For numbers of which several may share the series ``SeriesNames/other``.
    public mutating func add(_ value: Double, _ labels: [String]) { table.update(labels) { $0 += value } }
}

/// How values are spread, by label values: how many were at most as large as each of a few bounds, their sum, and
/// quantiles. See ``Spread`` for how exact they are.
public struct HistogramFamily: Sendable {
    public private(set) var table: SeriesTable<Spread>
    /// In rising order.
    public var bounds: [Double] { grid.bounds }
    let grid: SpreadGrid
    /// The last of a bucket that was seen with a trace, by the place of its series and the number of the bucket.
    private(set) var exemplars: [ExemplarPlace: Exemplar] = [:]

    struct ExemplarPlace: Hashable {
        let series: Int
        let bucket: Int
    }

    public init(_ metric: Metric, bounds: [Double], seriesMax: Int = SeriesNames.histogramSeriesMax) {
        grid = SpreadGrid(bounds: bounds)
        table = SeriesTable(metric, first: Spread(), seriesMax: seriesMax)
    }

    /// What is no number is passed over.
    public mutating func observe(_ value: Double, _ labels: [String]) { observe(value, at: place(of: labels)) }

    /// See ``SeriesTable/place(of:)``.
    public mutating func place(of labels: [String]) -> Int { table.place(of: labels) }

    public mutating func observe(_ value: Double, at place: Int) {
        guard value.isFinite else { return }
        let key = grid.key(of: value)
        table.update(at: place) { $0.add(value, key) }
    }

    /// See ``SeriesTable/remove(labelled:)``.
    mutating func remove(labelled isMeant: ([String]) -> Bool) -> Int {
        let count = table.remove(labelled: isMeant)
        if count > 0 { exemplars = [:] }
        return count
    }

    /// Shows `exemplar` with the bucket that its value belongs to.
    public mutating func point(at place: Int, to exemplar: Exemplar?) {
        guard let exemplar, exemplar.value.isFinite else { return }
        exemplars[ExemplarPlace(series: place, bucket: grid.bucket(of: exemplar.value))] = exemplar
    }

    /// How many values were at most as large as each bound, exactly; the last is infinite and counts all.
    public func buckets(of spread: Spread) -> [(bound: Double, count: UInt64)] { grid.buckets(of: spread) }

    /// The value below which a share of all lies; `nil` where there are none. See ``Spread`` for its error.
    ///
    /// - Parameter share: From 0 to 1.
    public func quantile(_ share: Double, of spread: Spread) -> Double? { grid.quantile(share, of: spread) }
}

/// A trace in which what a series counts can be looked at (OpenMetrics specification, "Exemplars").
public struct Exemplar: Sendable, Equatable {
    /// 32 hexadecimal digits.
    public let trace: String
    public let value: Double
    /// Seconds since 1970.
    public let at: Double

    public init(trace: String, value: Double, at: Double) {
        (self.trace, self.value, self.at) = (trace, value, at)
    }
}
