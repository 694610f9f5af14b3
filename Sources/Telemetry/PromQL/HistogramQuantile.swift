/// A quantile of what a histogram's buckets counted (Prometheus 2.42, `promql/quantile.go`).
enum HistogramQuantile {
    struct Bucket {
        let bound: Double
        var count: Double
    }

    /// `le` as Go reads numbers.
    static func bound(_ text: String) -> Double? {
        switch text.lowercased() {
        case "+inf", "inf", "infinity", "+infinity": .infinity
        case "-inf", "-infinity": -.infinity
        default:
            text.utf8.allSatisfy { (48...57).contains($0) || [43, 45, 46, 69, 101].contains($0) }
                ? Double(text) : nil
        }
    }

    static func value(_ share: Double, _ found: [Bucket]) -> Double {
        guard !share.isNaN else { return .nan }
        if share < 0 { return -.infinity }
        if share > 1 { return .infinity }
        var buckets: [Bucket] = []
        for bucket in found.sorted(by: { $0.bound < $1.bound }) {
            if let last = buckets.last, last.bound == bucket.bound {
                buckets[buckets.count - 1].count += bucket.count
            } else {
                buckets.append(bucket)
            }
        }
        guard let last = buckets.last, last.bound == .infinity else { return .nan }
        // Scraped one after the other, counts may fall where they cannot.
        var most = buckets[0].count
        for index in buckets.indices {
            if buckets[index].count > most { most = buckets[index].count }
            if buckets[index].count < most { buckets[index].count = most }
        }
        guard buckets.count >= 2 else { return .nan }
        let all = buckets[buckets.count - 1].count
        guard all != 0 else { return .nan }
        var rank = share * all
        let place = buckets.dropLast().firstIndex { $0.count >= rank } ?? buckets.count - 1
        if place == buckets.count - 1 { return buckets[buckets.count - 2].bound }
        if place == 0, buckets[0].bound <= 0 { return buckets[0].bound }
        var start = 0.0
        var count = buckets[place].count
        if place > 0 {
            start = buckets[place - 1].bound
            count -= buckets[place - 1].count
            rank -= buckets[place - 1].count
        }
        return start + (buckets[place].bound - start) * (rank / count)
    }
}
