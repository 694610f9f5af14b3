import Foundation

/// Tails and quantiles of the distributions that tests need. All are exact up to the rounding of `Double`s.
public enum Distributions {
    /// Terms of a continued fraction or a sum; far more than any argument of ours takes.
    static let termsMax = 10_000
    private static let tiny = 1e-300

    /// P(Z ≥ z) of the standard normal distribution.
    public static func normalTail(_ z: Double) -> Double { erfc(z / 2.0.squareRoot()) / 2 }

    /// The z that is exceeded with this chance, which is between 0 and 1.
    public static func normalQuantile(tail: Double) -> Double { quantile(tail: tail, of: normalTail) }

    /// P(T ≥ t) of Student's distribution with so many degrees of freedom, a fraction among them (Welch's).
    public static func studentTail(_ t: Double, freedom: Double) -> Double {
        precondition(freedom > 0, "Student's distribution has at least one degree of freedom")
        let beyond = betaFraction(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
        return t >= 0 ? beyond : 1 - beyond
    }

    /// The t that is exceeded with this chance, which is between 0 and 1.
    public static func studentQuantile(tail: Double, freedom: Double) -> Double {
        quantile(tail: tail) { studentTail($0, freedom: freedom) }
    }

    /// P(X ≥ count) of so many trials that each succeed with this chance.
    public static func binomialTail(_ count: Int, of trials: Int, chance: Double) -> Double {
        guard count > 0 else { return 1 }
        guard count <= trials else { return 0 }
        return betaFraction(chance, Double(count), Double(trials - count + 1))
    }

    /// P(X ≥ count) where `drawn` are drawn without putting back from `population`, of which `marked` are marked.
    public static func hypergeometricTail(_ count: Int, drawn: Int, marked: Int, population: Int) -> Double {
        let most = min(drawn, marked)
        let least = max(0, drawn + marked - population)
        guard count > least else { return 1 }
        guard count <= most else { return 0 }
        var term = exp(
            logChoose(marked, count) + logChoose(population - marked, drawn - count) - logChoose(population, drawn))
        var sum = term
        var at = count
        // Terms fall beyond the mean, and rise at most up to it: what is negligible behind it stays so.
        let mean = Double(drawn) * Double(marked) / Double(population)
        while at < most, Double(at) <= mean || term > sum * 1e-17 {
            term *= Double(marked - at) * Double(drawn - at)
            term /= Double(at + 1) * Double(population - marked - drawn + at + 1)
            at += 1
            sum += term
        }
        return min(1, sum)
    }

    private static func logChoose(_ n: Int, _ k: Int) -> Double {
        lgamma(Double(n) + 1) - lgamma(Double(k) + 1) - lgamma(Double(n - k) + 1)
    }

    /// The regularised incomplete beta function I_x(a, b), by its continued fraction (NIST's Digital Library of
    /// Mathematical Functions, 8.17.22), evaluated from the front (Lentz 1976).
    static func betaFraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
        guard x > 0 else { return 0 }
        guard x < 1 else { return 1 }
        // It converges fast on this side of about the mean; the other is its complement.
        let turn = (a + 1) / (a + b + 2)
        guard x <= turn else { return 1 - lowerFraction(1 - x, b, a) }
        return lowerFraction(x, a, b)
    }

    private static func lowerFraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
        let front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
        var c = 1.0
        var d = 1 / away(1 - (a + b) * x / (a + 1))
        var value = d
        for step in 1...termsMax {
            let m = Double(step)
            let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            d = 1 / away(1 + even * d)
            c = away(1 + even / c)
            value *= d * c
            let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            d = 1 / away(1 + odd * d)
            c = away(1 + odd / c)
            value *= d * c
            if abs(d * c - 1) < 1e-15 { break }
        }
        return min(1, front * value)
    }

    private static func away(_ value: Double) -> Double { abs(value) < tiny ? tiny : value }

    /// Halves an interval until it is as narrow as a `Double` can tell.
    private static func quantile(tail: Double, of survival: (Double) -> Double) -> Double {
        precondition(tail > 0 && tail < 1, "a chance is between 0 and 1")
        var (low, high) = (-1.0, 1.0)
        while survival(low) < tail, low > -1e300 { low *= 2 }
        while survival(high) > tail, high < 1e300 { high *= 2 }
        for _ in 0..<200 {
            let middle = low + (high - low) / 2
            guard middle > low, middle < high else { break }
            if survival(middle) > tail { low = middle } else { high = middle }
        }
        return low + (high - low) / 2
    }
}
