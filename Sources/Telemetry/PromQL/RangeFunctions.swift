import Foundation

/// What functions make of the samples of a range (Prometheus 2.42, `promql/functions.go`).
enum RangeFunctions {
    typealias Function = @Sendable (RangeWindow) -> Double?

    static let byName: [String: Function] = [
        "rate": { extrapolated($0, isCounter: true, isRate: true) },
        "increase": { extrapolated($0, isCounter: true, isRate: false) },
        "delta": { extrapolated($0, isCounter: false, isRate: false) },
        "irate": { lastChange($0, isRate: true) },
        "idelta": { lastChange($0, isRate: false) },
        "deriv": { window in
            guard window.count > 1, let first = window.times.first else { return nil }
            return line(window, from: first).slope
        },
        "resets": { window in
            Double(zip(window.values, window.values.dropFirst()).count { $1 < $0 })
        },
        "changes": { window in
            Double(zip(window.values, window.values.dropFirst()).count { $0 != $1 && !($0.isNaN && $1.isNaN) })
        },
        "sum_over_time": { sum($0.values) },
        "avg_over_time": { mean($0.values) },
        "min_over_time": { extreme($0.values) { $0 < $1 } },
        "max_over_time": { extreme($0.values) { $0 > $1 } },
        "count_over_time": { Double($0.count) },
        "last_over_time": { $0.values.last },
        "stddev_over_time": { variance($0.values).squareRoot() },
        "stdvar_over_time": { variance($0.values) },
        "present_over_time": { _ in 1 },
    ]

    // MARK: Change

    /// The change over the range, carried on to its ends: as far as the distance of the samples makes likely, and for a
    /// counter not below zero.
    private static func extrapolated(_ window: RangeWindow, isCounter: Bool, isRate: Bool) -> Double? {
        guard window.count > 1, let first = window.values.first, let last = window.values.last,
            let firstTime = window.times.first, let lastTime = window.times.last
        else { return nil }
        var result = last - first
        if isCounter { result += window.lostByResets }
        var toStart = Double(firstTime - window.start) / 1_000
        let toEnd = Double(window.end - lastTime) / 1_000
        let sampled = Double(lastTime - firstTime) / 1_000
        let average = sampled / Double(window.count - 1)
        if isCounter, result > 0, first >= 0 { toStart = Swift.min(toStart, sampled * (first / result)) }
        let threshold = average * 1.1
        var interval = sampled
        interval += toStart < threshold ? toStart : average / 2
        interval += toEnd < threshold ? toEnd : average / 2
        var factor = interval / sampled
        if isRate { factor /= Double(window.end - window.start) / 1_000 }
        return result * factor
    }

    private static func lastChange(_ window: RangeWindow, isRate: Bool) -> Double? {
        guard window.count > 1 else { return nil }
        let end = window.values.endIndex
        let (before, last) = (window.values[end - 2], window.values[end - 1])
        let change = isRate && last < before ? last : last - before
        guard isRate else { return change }
        return change / (Double(window.times[end - 1] - window.times[end - 2]) / 1_000)
    }

    /// The line of least squares, with its value at `time`.
    static func line(_ window: RangeWindow, from time: Int64) -> (slope: Double, value: Double) {
        guard let first = window.values.first else { return (.nan, .nan) }
        if window.values.allSatisfy({ $0 == first }) { return first.isInfinite ? (.nan, .nan) : (0, first) }
        var (x, y, xy, xx) = (KahanSum(), KahanSum(), KahanSum(), KahanSum())
        for (at, value) in zip(window.times, window.values) {
            let seconds = Double(at - time) / 1_000
            x.add(seconds)
            y.add(value)
            xy.add(seconds * value)
            xx.add(seconds * seconds)
        }
        let count = Double(window.count)
        let slope = (xy.total - x.total * y.total / count) / (xx.total - x.total * x.total / count)
        return (slope, y.total / count - slope * x.total / count)
    }

    // MARK: Sums

    static func sum(_ values: ArraySlice<Double>) -> Double {
        values.withUnsafeBufferPointer { values in
            var sum = KahanSum()
            var index = 0
            while index < values.count {
                sum.add(values[index])
                index += 1
            }
            return sum.total
        }
    }

    /// In one pass over the values themselves: rules take means of a week, at each of its minutes.
    static func mean(_ values: ArraySlice<Double>) -> Double {
        values.withUnsafeBufferPointer { values in
            var mean = KahanSum()
            var index = 0
            while index < values.count {
                let value = values[index]
                index += 1
                if mean.sum.isInfinite {
                    if value.isInfinite, (mean.sum > 0) == (value > 0) { continue }
                    if !value.isInfinite, !value.isNaN { continue }
                }
                mean.add(value / Double(index) - mean.sum / Double(index))
            }
            return mean.total
        }
    }

    private static func extreme(_ values: ArraySlice<Double>, _ isBeyond: (Double, Double) -> Bool) -> Double? {
        guard var best = values.first else { return nil }
        for value in values where isBeyond(value, best) || best.isNaN { best = value }
        return best
    }

    private static func variance(_ values: ArraySlice<Double>) -> Double {
        var count = 0.0
        var (mean, squares) = (KahanSum(), KahanSum())
        for value in values {
            count += 1
            let delta = value - (mean.sum + mean.rest)
            mean.add(delta / count)
            squares.add(delta * (value - (mean.sum + mean.rest)))
        }
        return (squares.sum + squares.rest) / count
    }

    /// The quantile of values that need no order, by a straight line between neighbours; NaN counts as the smallest.
    static func quantile(_ share: Double, _ values: some Sequence<Double>) -> Double {
        let sorted = values.sorted { $0.isNaN ? !$1.isNaN : $0 < $1 }
        guard !sorted.isEmpty, !share.isNaN else { return .nan }
        if share < 0 { return -.infinity }
        if share > 1 { return .infinity }
        let rank = share * Double(sorted.count - 1)
        let low = Swift.max(0, rank.rounded(.down))
        let high = Swift.min(Double(sorted.count - 1), low + 1)
        let weight = rank - rank.rounded(.down)
        return sorted[Int(low)] * (1 - weight) + sorted[Int(high)] * weight
    }
}

/// A sum that keeps what rounding takes away (Neumaier's form of Kahan's).
struct KahanSum {
    private(set) var sum = 0.0
    private(set) var rest = 0.0

    mutating func add(_ value: Double) {
        let next = sum + value
        if sum.magnitude >= value.magnitude { rest += (sum - next) + value } else { rest += (value - next) + sum }
        sum = next
    }

    var total: Double { sum.isInfinite ? sum : sum + rest }
}
