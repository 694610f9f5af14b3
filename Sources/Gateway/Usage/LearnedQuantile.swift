/// What calls of one kind really came to, such as nano-dollars or output tokens: the last few hundred of them, sorted.
///
/// Deterministic; adding is a search and a move within a small array, asking is one look.
struct LearnedQuantile: Sendable, Equatable {
    /// Values before it says anything.
    static let samplesMin = 40
    /// Values kept; older ones leave.
    static let samplesMax = 256

    private var sorted: [Int64] = []
    /// In the order they came, as a ring.
    private var arrived: [Int64] = []
    private var oldest = 0

    init() {}

    var count: Int { sorted.count }

    mutating func record(_ value: Int64) {
        if arrived.count < Self.samplesMax {
            arrived.append(value)
        } else {
            sorted.remove(at: place(of: arrived[oldest]))
            arrived[oldest] = value
            oldest = (oldest + 1) % Self.samplesMax
        }
        sorted.insert(value, at: place(of: value))
    }

    /// The smallest kept value that at least this share of them does not exceed (the nearest rank); `nil` before
    /// ``samplesMin`` values. A share is between 0 and 1; what lies outside is moved to the nearer end.
    func quantile(_ share: Double) -> Int64? {
        guard sorted.count >= Self.samplesMin else { return nil }
        // What is no number asks for the safe answer, the largest.
        guard !(share <= 0) else { return sorted.first }
        guard share < 1 else { return sorted.last }
        let rank = (share * Double(sorted.count)).rounded(.up)
        return sorted[min(max(Int(rank), 1), sorted.count) - 1]
    }

    /// The first place whose value is not smaller.
    private func place(of value: Int64) -> Int {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// Quantiles by key, with a bound on the keys: those that were not used for longest are forgotten first.
struct LearnedQuantiles<Key: Hashable & Sendable>: Sendable {
    /// Keys of one generation; up to twice as many are kept.
    let keysMax: Int

    private var young: [Key: LearnedQuantile] = [:]
    private var old: [Key: LearnedQuantile] = [:]

    init(keysMax: Int = 2_048) {
        self.keysMax = max(1, keysMax)
    }

    var count: Int { young.count + old.count }

    mutating func record(_ value: Int64, for key: Key) {
        // Taken out, so that the arrays inside have one owner and are changed in place.
        var learned = young.removeValue(forKey: key) ?? old.removeValue(forKey: key) ?? LearnedQuantile()
        learned.record(value)
        if young.count >= keysMax {
            old = young
            young = [:]
        }
        young[key] = learned
    }

    /// `nil` while too little is known of the key.
    func quantile(_ share: Double, for key: Key) -> Int64? { (young[key] ?? old[key])?.quantile(share) }
}
