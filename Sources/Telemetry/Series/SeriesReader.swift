/// A value at a time, in milliseconds since 1970.
public struct Sample: Sendable, Equatable {
    public let time: Int64
    public let value: Double

    public init(_ time: Int64, _ value: Double) {
        self.time = time
        self.value = value
    }

    /// The value that says that a series has ended (Prometheus, `model/value`: `StaleNaN`).
    public static let stale = Double(bitPattern: 0x7FF0_0000_0000_0002)

    public static func == (left: Sample, right: Sample) -> Bool {
        left.time == right.time && left.value.bitPattern == right.value.bitPattern
    }
}

extension Double {
    /// Whether it is the mark of a series' end, which is told apart from other NaN by its bits alone.
    var isStale: Bool { bitPattern == Sample.stale.bitPattern }
}

/// A series with its samples in rising order of time.
public struct SeriesSamples: Sendable {
    public let labels: LabelSet
    public var times: [Int64]
    public var values: [Double]

    public init(_ labels: LabelSet, times: [Int64] = [], values: [Double] = []) {
        self.labels = labels
        self.times = times
        self.values = values
    }
}

/// Where a query finds its samples.
public protocol SeriesReader: Sendable {
    /// The series that all matchers accept, each with its samples of these times, both ends included; series without
    /// any are left out.
    ///
    /// - Parameters:
    ///   - samplesMax: Beyond it ``TooManySamples`` is thrown, before memory runs out.
    ///   - isOver: Whether the time for it has run out; asked now and then, and then ``QueryFault/timeout`` is thrown.
    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples]

    /// The last sample of each of these series in these times, in whatever order.
    func lasts(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [(labels: LabelSet, sample: Sample)]

    /// The labels of the series that have samples about these times: a series whose block of samples touches them
    /// counts.
    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet>
}

/// A query asks for more samples than it may.
public struct TooManySamples: Error, Sendable {
    public init() {}
}

extension SeriesReader {
    public func lasts(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [(labels: LabelSet, sample: Sample)] {
        try series(matchers, in: times, samplesMax: samplesMax, isOver: isOver).compactMap { one in
            guard let time = one.times.last, let value = one.values.last else { return nil }
            return (one.labels, Sample(time, value))
        }
    }
}
