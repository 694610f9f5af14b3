import Foundation
import Testing

@testable import Kernel

@Suite("Statistics")
struct StatisticsTests {
    private static func near(_ one: Double, _ other: Double, _ tolerance: Double) -> Bool {
        abs(one - other) <= tolerance
    }

    @Test(
        "tails of Student's distribution are those of the printed tables",
        arguments: [
            (1.0, 6.313_751_5, 0.05), (2, 2.919_985_6, 0.05), (5, 2.570_581_8, 0.025), (10, 2.763_769_5, 0.01),
            (30, 2.749_995_7, 0.005), (120, 1.979_930_4, 0.025), (4.7, 0, 0.5),
        ])
    func student(freedom: Double, t: Double, tail: Double) {
        #expect(Self.near(Distributions.studentTail(t, freedom: freedom), tail, 1e-8))
        #expect(Self.near(Distributions.studentQuantile(tail: tail, freedom: freedom), t, 1e-6))
        #expect(Self.near(Distributions.studentTail(-t, freedom: freedom), 1 - tail, 1e-8))
    }

    @Test("tails of the normal distribution are those of the printed tables")
    func normal() {
        #expect(Self.near(Distributions.normalTail(2), 0.022_750_131_9, 1e-10))
        #expect(Self.near(Distributions.normalTail(-1.96), 0.975_002_1, 1e-7))
        #expect(Self.near(Distributions.normalQuantile(tail: 0.025), 1.959_963_985, 1e-8))
        #expect(Self.near(Distributions.normalQuantile(tail: 0.0076), 2.428, 1e-3))
    }

    @Test("a tail of binomial trials is the sum of its terms")
    func binomial() {
        for (trials, chance) in [(1, 0.5), (7, 0.3), (20, 0.05), (60, 0.9)] {
            var terms: [Double] = []
            for count in 0...trials {
                let ways = exp(
                    lgamma(Double(trials) + 1) - lgamma(Double(count) + 1) - lgamma(Double(trials - count) + 1))
                terms.append(ways * pow(chance, Double(count)) * pow(1 - chance, Double(trials - count)))
            }
            for count in 0...trials {
                let tail = Distributions.binomialTail(count, of: trials, chance: chance)
                #expect(Self.near(tail, terms[count...].reduce(0, +), 1e-12))
            }
            #expect(Distributions.binomialTail(trials + 1, of: trials, chance: chance) == 0)
        }
    }

    @Test("drawing without putting back: the tea taster's table, and tails that are certain or impossible")
    func hypergeometric() {
        // Fisher, "The Design of Experiments", 1935: all four of eight cups right by chance is 1 in 70.
        #expect(Self.near(Distributions.hypergeometricTail(4, drawn: 4, marked: 4, population: 8), 1.0 / 70, 1e-14))
        #expect(Self.near(Distributions.hypergeometricTail(3, drawn: 4, marked: 4, population: 8), 17.0 / 70, 1e-14))
        #expect(Distributions.hypergeometricTail(2, drawn: 6, marked: 4, population: 8) == 1)
        #expect(Distributions.hypergeometricTail(5, drawn: 6, marked: 4, population: 8) == 0)
        let large = Distributions.hypergeometricTail(600, drawn: 10_000, marked: 10_000, population: 200_000)
        #expect(large > 0 && large < 1e-3)
    }

    @Test("intervals of a rate stay within 0 and 1, and contain what was seen")
    func wilson() {
        // Newcombe 1998, table I: 81 of 263 and 15 of 148, 95 %.
        let one = Proportion(81, of: 263).interval(z: 1.959_964)
        #expect(Self.near(one.lowerBound, 0.2553, 1e-4) && Self.near(one.upperBound, 0.3662, 1e-4))
        for (failures, trials) in [(0, 0), (0, 1), (1, 1), (0, 36), (36, 36), (3, 7)] {
            let interval = Proportion(failures, of: trials).interval(z: 2)
            #expect(interval.lowerBound >= 0 && interval.upperBound <= 1)
            #expect(interval.contains(Proportion(failures, of: trials).rate))
        }
    }

    @Test("a difference of rates has Newcombe's tenth interval")
    func newcombe() {
        // Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10 and 10/10 - 0/10, 95 %.
        for (one, other, low, high) in [
            (Proportion(56, of: 70), Proportion(48, of: 80), 0.0524, 0.3339),
            (Proportion(9, of: 10), Proportion(3, of: 10), 0.1705, 0.8090),
            (Proportion(10, of: 10), Proportion(0, of: 10), 0.6075, 1.0000),
        ] {
            let bounds = one.difference(from: other, z: 1.959_964)
            #expect(Self.near(bounds.lowerBound, low, 1e-4) && Self.near(bounds.upperBound, high, 1e-4))
        }
    }

    @Test("few failures are compared exactly, many by the score test, none at all with no chance")
    func more() {
        #expect(Self.near(Proportion(3, of: 4).chanceOfMore(than: Proportion(1, of: 4)), 17.0 / 70, 1e-12))
        #expect(Self.near(Proportion(60, of: 100).chanceOfMore(than: Proportion(40, of: 100)), 0.002_339, 1e-5))
        #expect(Proportion(0, of: 0).chanceOfMore(than: Proportion(1, of: 4)) == 1)
        // Six pairs that are all worse are the first that two standard deviations exclude.
        #expect(DiscordantPairs(worse: 5, better: 0).chance > Gate.alpha)
        #expect(DiscordantPairs(worse: 6, better: 0).chance < Gate.alpha)
    }

    @Test("an arm that was given far more or fewer than its share is found out")
    func shares() {
        #expect(!ShareCheck.isBroken(0, among: 0, share: 0.05))
        #expect(!ShareCheck.isBroken(50, among: 1000, share: 0.05))
        #expect(!ShareCheck.isBroken(70, among: 1000, share: 0.05))
        #expect(ShareCheck.isBroken(80, among: 1000, share: 0.05))
        #expect(ShareCheck.isBroken(20, among: 1000, share: 0.05))
    }

    @Test("means of two samples differ by Welch's interval, whatever order they came in")
    func welch() throws {
        let one = Measurements([
            27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4,
        ])
        let other = Measurements(
            [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 30.5, 31.3].reversed())
        #expect(Self.near(one.mean, 20.8200, 1e-4) && Self.near(other.mean, 24.1133, 1e-4))
        // t = -2.949237 with 27.3116 degrees of freedom: by Simpson's rule over the density, 0.00323020 lie beyond.
        let bounds = try #require(one.difference(from: other, tail: 0.003_230_204))
        #expect(Self.near(bounds.upperBound, 0, 1e-6) && Self.near(bounds.lowerBound, -6.586_667, 1e-5))
        #expect(Measurements([1, 1]).difference(from: Measurements([1, 1]), tail: 0.02) == nil)
        #expect(Measurements([1]).difference(from: Measurements([1, 2]), tail: 0.02) == nil)
        #expect(Measurements([.nan, .infinity, 2]).count == 1)
        #expect(Measurements.quantile(0.5, ofSorted: [1, 2, 4, 8]) == 3)
        #expect(Measurements.quantile(1, ofSorted: [1, 2]) == 2)
        #expect(Measurements.quantile(0.9, ofSorted: []) == nil)
    }

    @Test(
        "a limit from few windows is wider than two standard deviations",
        arguments: [(3, 5.22), (5, 3.14), (10, 2.43), (20, 2.19), (30, 2.12), (60, 2.06)])
    func control(windows: Int, deviations: Double) {
        #expect(Self.near(ControlChart.deviations(windows: windows), deviations, 0.015))
    }

    @Test("no limit without ten windows, and none that what never varied would exceed at once")
    func controlFloors() throws {
        #expect(ControlChart.limit(Measurements(Array(repeating: 100, count: 9))) == nil)
        let still = try #require(ControlChart.limit(Measurements(Array(repeating: 100, count: 10))))
        #expect(Self.near(still, 112.15, 0.1))
        let rate = try #require(ControlChart.limit(Measurements(Array(repeating: 0.05, count: 10)), trials: 20))
        #expect(rate > 0.16)
    }
}

@Suite("Evidence of failures, and verdicts")
struct FailureEvidenceTests {
    @Test(
        "failures of the new version in a row are enough from a certain one on",
        arguments: [(0.05, 3, 86.0), (0.25, 5, 84), (0.5, 9, 74.7)])
    func worked(share: Double, enough: Int, value: Double) {
        var evidence = FailureEvidence()
        #expect(evidence.value == 1)
        for count in 1...enough {
            evidence.failed(isNew: true, share: share)
            #expect(evidence.isEnough(alpha: Gate.alpha) == (count == enough), "\(count): \(evidence.value)")
        }
        #expect(abs(evidence.value - value) < 0.01 * value, "\(evidence.value)")
    }

    @Test("one failure more is expected to leave it as it is, where the new version is no worse")
    func fair() {
        for share in [0.01, 0.05, 0.3, 0.5, 0.9] {
            var (new, old) = (FailureEvidence(), FailureEvidence())
            new.failed(isNew: true, share: share)
            old.failed(isNew: false, share: share)
            #expect(abs(share * new.value + (1 - share) * old.value - 1) < 1e-12)
        }
    }

    @Test("nothing follows from failures where only one version ran, and what was kept is read again")
    func edges() throws {
        var evidence = FailureEvidence()
        for share in [0.0, 1, -1, 2, .nan] { evidence.failed(isNew: true, share: share) }
        #expect(evidence == FailureEvidence())
        for _ in 0..<100_000 { evidence.failed(isNew: false, share: 0.5) }
        #expect(evidence.value >= 0 && evidence.value < 1e-6)
        for _ in 0..<1000 { evidence.failed(isNew: true, share: 0.01) }
        #expect(try #require(FailureEvidence(logs: evidence.logs)) == evidence)
        #expect(FailureEvidence(logs: [1]) == nil)
        #expect(FailureEvidence(logs: [.nan, 0, 0, 0, 0]) == nil)
    }

    private static func verdict(_ new: (Int, Int), _ old: (Int, Int), margin: Double = 0.1) -> Verdict {
        Gate(unitsMin: 36, margin: margin).verdict(
            new: Proportion(new.0, of: new.1), old: Proportion(old.0, of: old.1), evidence: FailureEvidence())
    }

    @Test("verdicts on rates")
    func rates() {
        #expect(Self.verdict((0, 0), (0, 0)) == .insufficient)
        #expect(Self.verdict((0, 35), (0, 700)) == .insufficient)
        #expect(Self.verdict((1, 200), (10, 2000)) == .nonInferior)
        #expect(Self.verdict((4, 40), (10, 800)) == .inconclusive)
        #expect(Self.verdict((20, 40), (10, 800)) == .regressed)
        #expect(Self.verdict((120, 2000), (60, 2000)) == .degradedWithinMargin)
        #expect(Self.verdict((5, 5), (0, 800)) == .regressed)
        // Nothing to compare with is no pass.
        #expect(Self.verdict((0, 100), (0, 0)) == .insufficient)
        var evidence = FailureEvidence()
        for _ in 0..<3 { evidence.failed(isNew: true, share: 0.05) }
        let gate = Gate(unitsMin: 36, margin: 0.1)
        #expect(
            gate.verdict(new: Proportion(3, of: 3), old: Proportion(0, of: 60), evidence: evidence) == .regressed)
    }

    @Test(
        "a gate takes back by the one tail and lets pass by the other",
        arguments: [
            // Of 60, 3 failed, as of the old version's: whether that is proof depends on the tail to pass alone.
            ((3, 60), (57, 1140), 3.0, 1.0, Verdict.nonInferior), ((3, 60), (57, 1140), 1, 1, .nonInferior),
            ((3, 60), (57, 1140), 1, 3, .inconclusive), ((3, 60), (57, 1140), 30, 3, .inconclusive),
            // Of 40, 9: whether that is enough to take back depends on the other alone.
            ((9, 40), (10, 800), 1, 1, .regressed), ((9, 40), (10, 800), 1, 30, .regressed),
            ((9, 40), (10, 800), 3, 1, .inconclusive), ((9, 40), (10, 800), 3, 30, .inconclusive),
        ])
    func tails(new: (Int, Int), old: (Int, Int), backPart: Double, passPart: Double, expected: Verdict) {
        let gate = Gate(unitsMin: 36, margin: 0.1, tail: Gate.alpha / backPart, passTail: Gate.alpha / passPart)
        let verdict = gate.verdict(
            new: Proportion(new.0, of: new.1), old: Proportion(old.0, of: old.1), evidence: FailureEvidence())
        #expect(verdict == expected)
    }

    @Test("verdicts on what is measured")
    func measured() {
        let gate = Gate(unitsMin: 8, margin: 0, relativeMargin: 0.1)
        func logs(_ factor: Double, _ count: Int) -> Measurements {
            Measurements((0..<count).map { log(factor * (1 + Double($0 % 7) / 10)) })
        }
        #expect(gate.verdict(newLogs: logs(1, 7), oldLogs: logs(1, 100)) == .insufficient)
        #expect(gate.verdict(newLogs: logs(1, 700), oldLogs: logs(1, 700)) == .nonInferior)
        #expect(gate.verdict(newLogs: logs(1.05, 700), oldLogs: logs(1, 700)) == .degradedWithinMargin)
        #expect(gate.verdict(newLogs: logs(2, 10), oldLogs: logs(1, 700)) == .regressed)
        #expect(gate.verdict(newLogs: logs(1.1, 10), oldLogs: logs(1, 700)) == .inconclusive)
        let same = Measurements(Array(repeating: 1, count: 10))
        #expect(gate.verdict(newLogs: same, oldLogs: same) == .nonInferior)
    }

    @Test("the worst verdict comes first")
    func order() {
        #expect([Verdict.nonInferior, .insufficient, .regressed, .inconclusive].min() == .regressed)
        #expect(Verdict.allCases.min() == .invalid)
        #expect(Verdict.allCases.sorted() == Verdict.allCases)
    }
}
