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

/// By how much a new version may be worse, and how sure one is to be.
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
    /// The chance of a false verdict at this gate, on one side.
    public let tail: Double
    /// The chance of ever taking back a version that is no worse.
    public let alpha: Double

    public init(
        unitsMin: Int, margin: Double, relativeMargin: Double = 0, tail: Double = Gate.alpha / 3,
        alpha: Double = Gate.alpha
    ) {
        (self.unitsMin, self.margin, self.relativeMargin) = (unitsMin, margin, relativeMargin)
        (self.tail, self.alpha) = (tail, alpha)
    }

    /// What the rates of both versions say at the end of a gate.
    public func verdict(new: Proportion, old: Proportion, evidence: FailureEvidence) -> Verdict {
        guard !evidence.isEnough(alpha: alpha) else { return .regressed }
        let accepted = max(margin, relativeMargin * old.rate)
        let bounds = new.difference(from: old, z: Distributions.normalQuantile(tail: tail))
        // Of a few units the interval promises more than it holds: two failures of five may well be chance.
        let isByChance = new.chanceOfMore(than: old) >= tail
        return verdict(bounds, accepted: accepted, units: old.trials == 0 ? 0 : new.trials, isByChance: isByChance)
    }

    /// What measures of both versions say, none of which is below 0, such as latencies and costs: by their
    /// logarithms, as they are skewed. `new` and `old` are of the logarithms.
    public func verdict(newLogs: Measurements, oldLogs: Measurements) -> Verdict {
        guard min(newLogs.count, oldLogs.count) >= Self.measuredMin else { return .insufficient }
        let accepted = log1p(max(relativeMargin, 0))
        guard let bounds = newLogs.difference(from: oldLogs, tail: tail) else {
            // Nothing varies: the means are what they are.
            let between = newLogs.mean - oldLogs.mean
            return between > accepted ? .regressed : between > 0 ? .degradedWithinMargin : .nonInferior
        }
        return verdict(bounds, accepted: accepted, units: newLogs.count)
    }

    private func verdict(
        _ bounds: ClosedRange<Double>, accepted: Double, units: Int, isByChance: Bool = false
    ) -> Verdict {
        guard units > 0 else { return .insufficient }
        if bounds.lowerBound > accepted, !isByChance { return .regressed }
        guard units >= unitsMin else { return .insufficient }
        guard bounds.upperBound <= accepted else { return .inconclusive }
        return bounds.lowerBound > 0 ? .degradedWithinMargin : .nonInferior
    }
}
