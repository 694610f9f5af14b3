import Foundation

/// Count, mean and spread of measurements, kept without the measurements (Welford 1962).
public struct Measurements: Sendable, Equatable {
    public private(set) var count: Int
    public private(set) var mean: Double
    /// The sum of squares about the mean.
    public private(set) var squares: Double

    public init() { (count, mean, squares) = (0, 0, 0) }

    public init(_ values: some Sequence<Double>) {
        self.init()
        for value in values { add(value) }
    }

    /// As they were kept. `nil` where no measurements could be so.
    public init?(count: Int, mean: Double, squares: Double) {
        guard count >= 0, mean.isFinite, squares.isFinite, squares >= 0 else { return nil }
        (self.count, self.mean, self.squares) = (count, mean, squares)
    }

    /// What is no finite number is not counted.
    public mutating func add(_ value: Double) {
        guard value.isFinite else { return }
        count += 1
        let before = value - mean
        mean += before / Double(count)
        squares += before * (value - mean)
    }

    /// 0 for fewer than two.
    public var variance: Double { count < 2 ? 0 : squares / Double(count - 1) }

    /// The interval of this mean minus another's, with unequal variances (Welch 1947); each side is missed with the
    /// chance `tail`. `nil` below two on either side, or where nothing varies at all.
    public func difference(from other: Measurements, tail: Double) -> ClosedRange<Double>? {
        guard count >= 2, other.count >= 2 else { return nil }
        let (own, others) = (variance / Double(count), other.variance / Double(other.count))
        let error = own + others
        guard error > 0 else { return nil }
        // Welch's and Satterthwaite's degrees of freedom.
        let freedom = error * error / (own * own / Double(count - 1) + others * others / Double(other.count - 1))
        let half = Distributions.studentQuantile(tail: tail, freedom: freedom) * error.squareRoot()
        return (mean - other.mean - half)...(mean - other.mean + half)
    }

    /// The value below which a share of sorted values lies, between the two nearest.
    public static func quantile(_ share: Double, ofSorted values: [Double]) -> Double? {
        guard let last = values.last else { return nil }
        let place = share * Double(values.count - 1)
        let index = Int(place)
        guard index + 1 < values.count else { return last }
        return values[index] + (place - Double(index)) * (values[index + 1] - values[index])
    }
}

/// What one more window may measure, where nothing runs beside it to compare it with.
///
/// Two standard deviations above the mean of a few windows are exceeded far more often than their name says (11 % of
/// looks with three windows, 3.3 % with twenty): mean and deviation are themselves estimates. The limit is a
/// prediction interval's, t·√(1+1/K).
public enum ControlChart {
    /// Windows before a limit is given.
    public static let windowsMin = 10
    /// The chance that a look exceeds it: two standard deviations of a normal distribution.
    public static let tail = 0.02275
    /// The least standard deviation, as a share of the mean: what never varied may still vary.
    public static let spreadMin = 0.05

    /// By how many standard deviations one window may exceed the mean of `windows` others.
    public static func deviations(windows: Int) -> Double {
        Distributions.studentQuantile(tail: tail, freedom: Double(windows - 1)) * (1 + 1 / Double(windows)).squareRoot()
    }

    /// The limit for one more window. `nil` with too few of them.
    ///
    /// - Parameter trials: For windows of rates, the trials of the window that is judged: it varies at least as
    ///   chance does.
    public static func limit(_ windows: Measurements, trials: Int? = nil) -> Double? {
        guard windows.count >= windowsMin else { return nil }
        var spread = max(windows.variance.squareRoot(), spreadMin * abs(windows.mean))
        if let trials, trials > 0 {
            let rate = min(1, max(0, windows.mean))
            spread = max(spread, (rate * (1 - rate) / Double(trials)).squareRoot())
        }
        return windows.mean + deviations(windows: windows.count) * spread
    }
}
