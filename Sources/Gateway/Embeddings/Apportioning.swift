/// Shares out whole numbers so that nothing is lost or made (largest remainder).
enum Apportioning {
    /// The parts of a whole by weights. Their sum is the whole; what rounding down leaves goes to those with the
    /// largest remainders, the first of equals first. Where no weight counts, all count the same.
    static func shares(of whole: Int64, by weights: [Int64]) -> [Int64] {
        guard !weights.isEmpty, whole > 0 else { return weights.map { _ in 0 } }
        var weights = weights.map { min(max(0, $0), weightMax) }
        var sum = weights.reduce(0, +)
        if sum == 0 {
            weights = weights.map { _ in 1 }
            sum = Int64(weights.count)
        }
        var shares: [Int64] = []
        var remainders: [(remainder: Int64, index: Int)] = []
        for (index, weight) in weights.enumerated() {
            // A weight is no more than the sum, so the quotient is no more than the whole.
            let (share, remainder) = sum.dividingFullWidth(whole.multipliedFullWidth(by: weight))
            shares.append(share)
            remainders.append((remainder, index))
        }
        let left = Int(clamping: whole - shares.reduce(0, +))
        remainders.sort { ($1.remainder, $0.index) < ($0.remainder, $1.index) }
        for (_, index) in remainders.prefix(left) { shares[index] += 1 }
        return shares
    }

    /// No weight counts for more, so that their sum stays a number.
    static let weightMax: Int64 = 1 << 40
}

extension TokenBuckets {
    /// The same tokens in parts, each kind shared out by itself.
    func shares(by weights: [Int64]) -> [TokenBuckets] {
        var empty = self
        for kind in TokenKind.allCases { empty[kind] = 0 }
        empty.toolUses = [:]
        var parts = weights.map { _ in empty }
        for kind in TokenKind.allCases where self[kind] > 0 {
            for (index, share) in Apportioning.shares(of: self[kind], by: weights).enumerated() {
                parts[index][kind] = share
            }
        }
        return parts
    }
}
