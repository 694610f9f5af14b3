import Foundation

/// What a comparison of a new version with the old one says. There is no silent pass: what is not known is said to be
/// so.
public enum Verdict: String, Sendable, CaseIterable, Comparable {
    /// The comparison itself is broken: nothing follows from it.
    case invalid
    /// It is worse.
    case regressed
    /// Neither can be excluded: that it is worse by more than the margin, and that it is not.
    case inconclusive
    /// Too few have run.
    case insufficient
    /// It is worse, by less than the margin.
    case degradedWithinMargin = "degraded_within_margin"
    /// It is at most worse by the margin.
    case nonInferior = "non_inferior"

    /// The worst one comes first: the verdict on several measures is the least of theirs.
    public static func < (one: Verdict, other: Verdict) -> Bool { one.rank < other.rank }

    private var rank: Int {
        switch self {
        case .invalid: 0
        case .regressed: 1
        case .inconclusive: 2
        case .insufficient: 3
        case .degradedWithinMargin: 4
        case .nonInferior: 5
        }
    }
}

/// By how much a new version may be worse, and how sure one is to be of either word on it.
public struct Gate: Sendable, Equatable {
    /// Two standard deviations, on one side.
    public static let alpha = 0.0228
    /// Of each arm, for measures that are no rates.
    public static let measuredMin = 8

    /// Units of the new version before anything is said of it.
    public let unitsMin: Int
    /// For rates: the difference that is accepted, as a share of all units.
    public let margin: Double
    /// The difference that is accepted as a share of the old version's own figure; the larger of both holds.
    public let relativeMargin: Double
    /// The chance of taking back at this gate what is no worse. A version may be taken back at any of the gates, so
    /// their chances add up, and they share one.
    public let tail: Double
    /// The chance that this gate lets pass what is worse by more than the margin. A version has to pass all of them,
    /// so each may have the whole: it is let through by none of several gates more easily than by one.
    public let passTail: Double
    /// The chance of ever taking back a version that is no worse.
    public let alpha: Double

    public init(
        unitsMin: Int, margin: Double, relativeMargin: Double = 0, tail: Double = Gate.alpha / 3,
        passTail: Double = Gate.alpha, alpha: Double = Gate.alpha
    ) {
        (self.unitsMin, self.margin, self.relativeMargin) = (unitsMin, margin, relativeMargin)
        (self.tail, self.passTail, self.alpha) = (tail, passTail, alpha)
    }

    /// What the rates of both versions say at the end of a gate.
    public func verdict(new: Proportion, old: Proportion, evidence: FailureEvidence) -> Verdict {
        guard !evidence.isEnough(alpha: alpha) else { return .regressed }
        let accepted = max(margin, relativeMargin * old.rate)
        let least = new.difference(from: old, z: Distributions.normalQuantile(tail: tail)).lowerBound
        let most = new.difference(from: old, z: Distributions.normalQuantile(tail: passTail)).upperBound
        // Of a few units the interval promises more than it holds: two failures of five may well be chance.
        let isByChance = new.chanceOfMore(than: old) >= tail
        return verdict(
            (least, most), accepted: accepted, units: old.trials == 0 ? 0 : new.trials, isByChance: isByChance)
    }

    /// What measures of both versions say, none of which is below 0, such as latencies and costs: by their
    /// logarithms, as they are skewed. `new` and `old` are of the logarithms.
    public func verdict(newLogs: Measurements, oldLogs: Measurements) -> Verdict {
        guard min(newLogs.count, oldLogs.count) >= Self.measuredMin else { return .insufficient }
        let accepted = log1p(max(relativeMargin, 0))
        guard let least = newLogs.difference(from: oldLogs, tail: tail)?.lowerBound,
            let most = newLogs.difference(from: oldLogs, tail: passTail)?.upperBound
        else {
            // Nothing varies: the means are what they are.
            let between = newLogs.mean - oldLogs.mean
            return between > accepted ? .regressed : between > 0 ? .degradedWithinMargin : .nonInferior
        }
        return verdict((least, most), accepted: accepted, units: newLogs.count)
    }

    /// - Parameter worse: By how much it is worse at least, and at most.
    private func verdict(
        _ worse: (least: Double, most: Double), accepted: Double, units: Int, isByChance: Bool = false
    ) -> Verdict {
        guard units > 0 else { return .insufficient }
        if worse.least > accepted, !isByChance { return .regressed }
        guard units >= unitsMin else { return .insufficient }
        guard worse.most <= accepted else { return .inconclusive }
        return worse.least > 0 ? .degradedWithinMargin : .nonInferior
    }
}
