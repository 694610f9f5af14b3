/// How the values of one series are spread, in buckets that are as wide as their values are large: each doubling of a
/// value has 64 of equal width, as in an HdrHistogram of two digits (Gil Tene, hdrhistogram.org).
///
/// A quantile is the middle of a bucket, so it is off by at most half a bucket's width: 1/128 of the value, which is
/// below 0.8 %. That holds from 2^-20 (about a millionth) to 2^40 (about 10^12); what is smaller or larger counts at
/// these ends. Buckets are cut at the bounds of their family too, so counts by bounds are exact. Only buckets that
/// have something take room, eight bytes each.
public struct Spread: Sendable, Equatable {
    /// In rising order: a bucket's key in the upper 13 bits, what it counts below.
    private(set) var cells: [UInt64] = []
    public private(set) var count: UInt64 = 0
    public private(set) var sum = 0.0

    private static let countBits: UInt64 = 51
    private static let countMask: UInt64 = 1 << countBits - 1

    public init() {}

    mutating func add(_ value: Double, _ key: Int) {
        count += 1
        sum += value
        let first = UInt64(key) << Self.countBits
        var (low, high) = (0, cells.count)
        while low < high {
            let middle = (low + high) >> 1
            if cells[middle] < first { low = middle + 1 } else { high = middle }
        }
        if low < cells.count, cells[low] >> Self.countBits == UInt64(key) {
            cells[low] += 1
        } else {
            cells.insert(first + 1, at: low)
        }
    }

    /// Of its cells in memory.
    var bytes: Int { cells.count * MemoryLayout<UInt64>.stride }

    func eachCell(_ body: (_ key: Int, _ count: UInt64) -> Void) {
        for cell in cells { body(Int(cell >> Self.countBits), cell & Self.countMask) }
    }
}

/// Where a value's bucket is.
///
/// A bucket's key is the number of the value's cell on the scale that all families share, plus the number of bounds
/// below the value. Both only rise with the value, so two values have one key only where both are the same.
struct SpreadGrid: Sendable {
    /// In rising order.
    let bounds: [Double]
    /// The largest key of a value that is at most as large as each bound.
    private let lastKeys: [Int]

    /// Of a cell's number: 64 cells to a doubling.
    private static let stepBits: UInt64 = 6
    private static let smallest = 0x1p-20
    private static let largest = 0x1p40
    private static let origin = Int(smallest.bitPattern >> (52 - stepBits))

    init(bounds: [Double]) {
        self.bounds = bounds
        lastKeys = bounds.enumerated().map { Self.cell(of: $1) + $0 }
    }

    /// 0 for all that is too small. The upper bits of a positive number's pattern are its exponent and the first of
    /// its digits (IEEE 754), which together count the cells.
    private static func cell(of value: Double) -> Int {
        guard value >= smallest else { return 0 }
        return Int(min(value, largest).bitPattern >> (52 - stepBits)) - origin + 1
    }

    /// Where a cell begins.
    private static func start(of cell: Int) -> Double {
        cell <= 0 ? 0 : Double(bitPattern: UInt64(cell - 1 + origin) << (52 - stepBits))
    }

    /// The number of bounds below the value.
    func bucket(of value: Double) -> Int {
        var number = 0
        while number < bounds.count, bounds[number] < value { number += 1 }
        return number
    }

    func key(of value: Double) -> Int { Self.cell(of: value) + bucket(of: value) }

    func buckets(of spread: Spread) -> [(bound: Double, count: UInt64)] {
        var parts = [UInt64](repeating: 0, count: bounds.count + 1)
        var bucket = 0
        spread.eachCell { key, count in
            while bucket < lastKeys.count, lastKeys[bucket] < key { bucket += 1 }
            parts[bucket] += count
        }
        var count: UInt64 = 0
        return zip(bounds + [.infinity], parts).map { bound, part in
            count += part
            return (bound, count)
        }
    }

    func quantile(_ share: Double, of spread: Spread) -> Double? {
        guard spread.count > 0, share.isFinite else { return nil }
        // The nearest rank.
        let rank = UInt64((min(max(0, share), 1) * Double(spread.count)).rounded(.up))
        var passed: UInt64 = 0
        var found: Int?
        spread.eachCell { key, count in
            passed += count
            if found == nil, passed >= max(1, rank) { found = key }
        }
        return found.map(middle)
    }

    /// Of what may lie in a bucket.
    private func middle(of key: Int) -> Double {
        let bucket = lastKeys.firstIndex { key <= $0 } ?? lastKeys.count
        let cell = key - bucket
        var (low, high) = (Self.start(of: cell), Self.start(of: cell + 1))
        if bucket > 0 { low = max(low, bounds[bucket - 1]) }
        if bucket < bounds.count { high = min(high, bounds[bucket]) }
        if low >= Self.largest { return low }
        return (low + high) / 2
    }
}
