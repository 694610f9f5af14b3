import Foundation

/// How much speaks for it that a new version fails more often than the old one, while both run side by side.
///
/// It may be looked at after each failure and as often as one likes: the chance that it ever reaches 1/α, were the
/// new version no worse, is at most α (Ville's inequality). That is what a test repeated each minute does not give:
/// it raises a false alarm in a quarter to a third of such roll-outs. Nothing is asked of the number of trials, and
/// what succeeded need not be counted.
///
/// Given that one failed, it is the new version's with the chance w, the share of units that it was given when that
/// one began; were it r times worse, with r·w / (r·w + 1 − w). The evidence is the likelihood of what was seen under
/// the second over that under the first, averaged over some r.
public struct FailureEvidence: Sendable, Equatable {
    /// How much worse it might be.
    public static let ratios: [Double] = [1.5, 2, 3, 5, 10]

    /// The logarithm of the evidence for each ratio.
    public private(set) var logs: [Double] = Array(repeating: 0, count: Self.ratios.count)

    public init() {}

    /// Evidence as it was kept. `nil` where it is not of this form.
    public init?(logs: [Double]) {
        guard logs.count == Self.ratios.count, logs.allSatisfy(\.isFinite) else { return nil }
        self.logs = logs
    }

    /// One unit failed; count it once, whatever else fails in it.
    ///
    /// - Parameters:
    ///   - isNew: It ran with the new version.
    ///   - share: Of the units, what the new version was given at the time when this one was assigned, not now. Where
    ///     all or none were, a failure says nothing.
    public mutating func failed(isNew: Bool, share: Double) {
        guard share > 0, share < 1 else { return }
        for (index, ratio) in Self.ratios.enumerated() {
            let whole = ratio * share + 1 - share
            logs[index] += log(isNew ? ratio / whole : 1 / whole)
        }
    }

    /// The evidence itself; 1 where nothing speaks for it or against it.
    public var value: Double {
        let most = logs.max() ?? 0
        return exp(most) * logs.reduce(0) { $0 + exp($1 - most) } / Double(logs.count)
    }

    /// Whether it is enough, where a false alarm may come with this chance.
    public func isEnough(alpha: Double) -> Bool { value >= 1 / alpha }
}
