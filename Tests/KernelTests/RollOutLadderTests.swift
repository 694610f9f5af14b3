import Foundation
import Testing

@testable import Kernel

/// A release that goes out to 5 % for half an hour, 25 % for two hours and half for four, and what becomes of it.
///
/// Sessions come by chance, are given to an arm by chance, and end an hour later on average; 5 % of the old version's
/// fail.
struct RollOutLadder {
    static let steps: [(share: Double, minutes: Double)] = [(0.05, 30), (0.25, 120), (0.5, 240)]
    static let baseline = 0.05
    static let minutesOfSession = 60.0

    let sessionsPerHour: Double
    /// How many times as often the new version's sessions fail.
    let ratio: Double

    /// Whether it is taken back, and the sessions of the new version that had ended by then.
    func run(_ dice: inout SplitMix) -> (isTakenBack: Bool, exposed: Int) {
        var failures: [(at: Double, isNew: Bool, share: Double)] = []
        var ends: [Double] = []
        var (now, from) = (0.0, 0.0)
        for step in Self.steps {
            now = from
            from += step.minutes
            while true {
                now += -log(1 - dice.unit()) * 60 / sessionsPerHour
                guard now < from else { break }
                let isNew = dice.unit() < step.share
                let end = now - log(1 - dice.unit()) * Self.minutesOfSession
                if isNew { ends.append(end) }
                let isFailure = dice.unit() < (isNew ? min(1, Self.baseline * ratio) : Self.baseline)
                if isFailure { failures.append((end, isNew, step.share)) }
            }
        }
        var evidence = FailureEvidence()
        for failure in failures.sorted(by: { $0.at < $1.at }) where failure.at < from {
            evidence.failed(isNew: failure.isNew, share: failure.share)
            if evidence.isEnough(alpha: Gate.alpha) { return (true, ends.count { $0 <= failure.at }) }
        }
        return (false, ends.count)
    }

    /// The share of ladders that are taken back.
    func takenBack(runs: Int, seed: UInt64) -> (share: Double, medianExposed: Int) {
        var dice = SplitMix(seed: seed)
        var exposed: [Int] = []
        for _ in 0..<runs {
            let (isTakenBack, count) = run(&dice)
            if isTakenBack { exposed.append(count) }
        }
        return (Double(exposed.count) / Double(runs), exposed.isEmpty ? 0 : exposed.sorted()[exposed.count / 2])
    }
}

/// Numbers that a seed determines (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// At least 0, below 1.
    mutating func unit() -> Double { Double(next() >> 11) / Double(1 << 53) }
}

@Suite("A roll-out's evidence over its whole ladder")
struct RollOutLadderTests {
    @Test(
        "a version that is no worse is taken back less often than two standard deviations allow",
        arguments: [(60.0, 1000), (600, 200)])
    func harmless(sessionsPerHour: Double, runs: Int) {
        let result = RollOutLadder(sessionsPerHour: sessionsPerHour, ratio: 1).takenBack(runs: runs, seed: 11)
        #expect(result.share <= Gate.alpha)
    }

    @Test(
        "a version that is far worse is taken back soon",
        arguments: [(60.0, 5.0, 0.95, 45), (600, 5, 0.99, 45), (600, 3, 0.99, 150)])
    func harmful(sessionsPerHour: Double, ratio: Double, least: Double, exposed: Int) {
        let result = RollOutLadder(sessionsPerHour: sessionsPerHour, ratio: ratio).takenBack(runs: 100, seed: 12)
        #expect(result.share >= least)
        #expect(result.medianExposed <= exposed, "\(result)")
    }
}
