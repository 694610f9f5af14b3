/// The series of one metric by the values of their labels, and never more than ``seriesMax`` of them.
///
/// Names of agents and models are hostile, or just too many: three quarters of the places go to whoever comes first,
/// then values of open labels become ``SeriesNames/other`` one label after the other, and the last place takes all the
/// rest. So no count is ever lost, and sums over all series stay right.
public struct SeriesTable<Value: Sendable>: Sendable {
    public let metric: Metric
    public let seriesMax: Int
    public private(set) var series: [(labels: [String], value: Value)] = []

    private var places: [[String]: Int] = [:]
    private let first: Value

    /// - Parameters:
    ///   - first: What a new series begins with.
    ///   - seriesMax: At least 1.
    public init(_ metric: Metric, first: Value, seriesMax: Int) {
        self.metric = metric
        self.first = first
        self.seriesMax = max(1, seriesMax)
    }

    /// - Parameter labels: A value for each of the metric's labels, in their order.
    public mutating func update(_ labels: [String], _ change: (inout Value) -> Void) {
        change(&series[place(of: labels)].value)
    }

    /// Changes a series that ``place(of:)`` found. Places hold until ``removeAll(where:)``.
    public mutating func update(at place: Int, _ change: (inout Value) -> Void) { change(&series[place].value) }

    /// Where the series of these label values stands, made if it is new: for whoever comes again and again.
    public mutating func place(of labels: [String]) -> Int {
        let isLong = labels.contains { $0.utf8.count > SeriesNames.valueBytesMax }
        return find(isLong ? labels.map(SeriesNames.clipped) : labels)
    }

    public func value(_ labels: [String]) -> Value? { places[labels].map { series[$0].value } }

    /// Lets series go that nobody needs any more, and gives their places to others.
    public mutating func removeAll(where isOver: (Value) -> Bool) {
        series.removeAll { isOver($0.value) }
        places = Dictionary(series.enumerated().map { ($0.element.labels, $0.offset) }) { earlier, _ in earlier }
    }

    /// Lets series go by the values of their labels, and says how many those are. Places hold until then.
    mutating func remove(labelled isMeant: ([String]) -> Bool) -> Int {
        let count = series.count
        series.removeAll { isMeant($0.labels) }
        if series.count < count {
            places = Dictionary(series.enumerated().map { ($0.element.labels, $0.offset) }) { earlier, _ in earlier }
        }
        return count - series.count
    }

    private mutating func find(_ labels: [String]) -> Int {
        precondition(labels.count == metric.labels.count, "\(metric.name) has other labels")
        if let place = places[labels] { return place }
        if series.count < seriesMax - seriesMax / 4 - 1 { return add(labels) }
        var folded = labels
        for label in metric.open {
            folded[label] = SeriesNames.other
            if let place = places[folded] { return place }
            if series.count < seriesMax - 1 { return add(folded) }
        }
        folded = labels.map { _ in SeriesNames.other }
        return places[folded] ?? add(folded)
    }

    private mutating func add(_ labels: [String]) -> Int {
        places[labels] = series.count
        series.append((labels, first))
        return series.count - 1
    }
}

/// Words that stand for series.
public enum SeriesNames {
    /// The value of a label that has too many values.
    public static let other = "__other__"
    /// Series of a counter or gauge.
    public static let seriesMax = 5_000
    /// Series of a histogram, each of which has up to twenty lines.
    public static let histogramSeriesMax = 200
    /// Bytes of a label's value.
    public static let valueBytesMax = 200

    /// At most ``valueBytesMax`` bytes, cut between characters.
    static func clipped(_ value: String) -> String {
        guard value.utf8.count > valueBytesMax else { return value }
        var kept = String.UnicodeScalarView()
        var count = 0
        for scalar in value.unicodeScalars {
            count += scalar.utf8.count
            guard count <= valueBytesMax else { break }
            kept.append(scalar)
        }
        return String(kept)
    }
}
