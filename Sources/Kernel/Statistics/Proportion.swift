/// How many of so many failed.
public struct Proportion: Sendable, Equatable {
    public let failures: Int
    public let trials: Int

    /// - Precondition: 0 ≤ failures ≤ trials.
    public init(_ failures: Int, of trials: Int) {
        precondition(failures >= 0 && failures <= trials, "no more can fail than there are")
        (self.failures, self.trials) = (failures, trials)
    }

    /// 0 where there are no trials.
    public var rate: Double { trials == 0 ? 0 : Double(failures) / Double(trials) }

    /// The interval of Wilson ("Probable inference, the law of succession, and statistical inference", 1927), of `z`
    /// standard errors to each side. All of 0...1 where there are no trials.
    public func interval(z: Double) -> ClosedRange<Double> {
        guard trials > 0 else { return 0...1 }
        let n = Double(trials)
        let centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)).squareRoot()
        // Without this, rounding puts a bound a little beyond what was seen.
        return max(0, min(rate, centre - half))...min(1, max(rate, centre + half))
    }

    /// The interval of this rate minus another's, of `z` standard errors to each side: Newcombe's tenth method
    /// ("Interval estimation for the difference between independent proportions", 1998).
    public func difference(from other: Proportion, z: Double) -> ClosedRange<Double> {
        let (own, others) = (interval(z: z), other.interval(z: z))
        func root(_ first: Double, _ second: Double) -> Double { (first * first + second * second).squareRoot() }
        let between = rate - other.rate
        return
            (between - root(rate - own.lowerBound, others.upperBound - other.rate))...(between
            + root(own.upperBound - rate, other.rate - others.lowerBound))
    }

    /// The chance of at least so many failures here, were both alike: Fisher's exact test where a cell has fewer than
    /// five, else the score test of pooled rates. 1 where either has no trials.
    public func chanceOfMore(than other: Proportion) -> Double {
        guard trials > 0, other.trials > 0 else { return 1 }
        let cells = [failures, trials - failures, other.failures, other.trials - other.failures]
        guard cells.allSatisfy({ $0 >= Self.fewestOfCell }) else {
            return Distributions.hypergeometricTail(
                failures, drawn: trials, marked: failures + other.failures, population: trials + other.trials)
        }
        let pooled = Double(failures + other.failures) / Double(trials + other.trials)
        let error = (pooled * (1 - pooled) * (1 / Double(trials) + 1 / Double(other.trials))).squareRoot()
        return Distributions.normalTail((rate - other.rate) / error)
    }

    /// In a cell, for a normal approximation to hold (Cochran 1954).
    static let fewestOfCell = 5
}

/// Pairs of the same task under two versions, of which one failed and the other did not.
public struct DiscordantPairs: Sendable, Equatable {
    /// The new version failed where the old one did not.
    public let worse: Int
    public let better: Int

    public init(worse: Int, better: Int) { (self.worse, self.better) = (worse, better) }

    /// The chance of so many that are worse, were both alike: McNemar's test, exactly.
    public var chance: Double { Distributions.binomialTail(worse, of: worse + better, chance: 0.5) }
}

/// Whether as many were given to an arm as were to be.
public enum ShareCheck {
    /// Below this chance the assignment is at fault, and nothing that follows from it holds.
    public static let significance = 0.001

    /// Of two sides, exact: twice the chance of what is at least as far off on the side where it is.
    public static func chance(of count: Int, among total: Int, share: Double) -> Double {
        let above = Distributions.binomialTail(count, of: total, chance: share)
        let below = 1 - Distributions.binomialTail(count + 1, of: total, chance: share)
        return min(1, 2 * min(above, below))
    }

    public static func isBroken(_ count: Int, among total: Int, share: Double) -> Bool {
        total > 0 && chance(of: count, among: total, share: share) < significance
    }
}
