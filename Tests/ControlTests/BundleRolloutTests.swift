import Foundation
import Kernel
import Testing

@testable import Control

@Suite("A bundle's roll-out")
struct BundleRolloutTests {
    static let start = Timestamp(microseconds: 1_800_000_000_000_000)

    /// Numbers that a seed determines (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    struct Dice {
        var state: UInt64

        mutating func unit() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Double((mixed ^ (mixed >> 31)) >> 11) / Double(1 << 53)
        }
    }

    /// Units of both versions that begin and end at once, as many of the new one as its share says.
    private static func run(_ rollout: inout BundleRollout, _ units: Int, newFails: Int = 0, oldFails: Int = 0) {
        let share = rollout.share
        let newUnits = Int((Double(units) * share).rounded())
        for number in 0..<units {
            let isNew = number < newUnits
            rollout.began(isNew: isNew, share: share)
            let hasFailed = isNew ? number < newFails : number - newUnits < oldFails
            rollout.ended(.init(isNew: isNew, share: share, failed: [.failures: hasFailed, .costs: false]))
        }
    }

    @Test("a version that is as good goes up the ladder, step by step, and is proven")
    func finishes() {
        var rollout = BundleRollout(at: Self.start)
        var now = Self.start
        var changes: [BundleRollout.Change] = []
        #expect(rollout.share == 0.05)
        for step in BundleRollout.ladder {
            Self.run(&rollout, 2_000)
            let early = rollout.look(at: now + step.lasts - .seconds(1))
            #expect(early == nil)
            now = now + step.lasts
            if let change = rollout.look(at: now) { changes.append(change) }
        }
        #expect(changes == [.advanced(to: 1), .advanced(to: 2), .finished])
        #expect(rollout.state == .finished && rollout.share == 1 && !rollout.isUnproven)
        let after = rollout.look(at: .distantFuture)
        #expect(after == nil)
    }

    @Test("three failures of three are enough at 5 %, at any time")
    func takenBack() {
        var rollout = BundleRollout(measures: [.failures], at: Self.start)
        Self.run(&rollout, 60, newFails: 3)
        let change = rollout.look(at: Self.start + .seconds(1))
        #expect(change == .takenBack(.failures))
        #expect(rollout.share == 0)
    }

    @Test("what costs more is taken back as well")
    func dear() {
        var rollout = BundleRollout(at: Self.start)
        for number in 0..<200 {
            let isNew = number % 20 == 0
            rollout.began(isNew: isNew, share: 0.05)
            rollout.ended(
                .init(isNew: isNew, share: 0.05, failed: [.failures: false, .costs: isNew || number % 10 == 1]))
        }
        let change = rollout.look(at: Self.start)
        #expect(change == .takenBack(.costs))
    }

    @Test("too few units are no proof: the first step goes on where nothing failed, the next ones ask")
    func few() throws {
        var rollout = BundleRollout(at: Self.start)
        Self.run(&rollout, 40)
        let first = rollout.look(at: Self.start + .minutes(30))
        #expect(first == .advancedUnproven(to: 1))
        var now = Self.start + .minutes(30) + .hours(2)
        let waits = rollout.look(at: now)
        #expect(waits == nil && rollout.state == .running)
        now = now + .hours(6)
        let held = rollout.look(at: now)
        #expect(held == .held(.insufficient))
        // It keeps its share meanwhile, and evidence still counts.
        #expect(rollout.share == 0.25)
        let promoted = try rollout.promote(at: now)
        #expect(promoted == .advanced(to: 2) && rollout.isUnproven && rollout.state == .running)
    }

    @Test("a gate is tried three times, with a part of the chance each, and at no other time")
    func tries() {
        let step = BundleRollout.Step(share: 0.5, lasts: .hours(1), unitsMin: 36, margin: 0.1)
        var rollout = BundleRollout(steps: [step], measures: [.failures], at: Self.start)
        // None of 36 failed: proof at 2.28 %, none at an eighth of it.
        Self.run(&rollout, 72)
        let first = rollout.look(at: Self.start + .hours(1))
        #expect(first == nil && rollout.tried == 1 && rollout.triedNextAt == Self.start + .hours(2))
        // Now it would be by the first try's measure, which is used up.
        Self.run(&rollout, 400)
        let between = rollout.look(at: Self.start + .hours(2) - .seconds(1))
        #expect(between == nil && rollout.tried == 1 && rollout.verdict == .nonInferior)
        let second = rollout.look(at: Self.start + .hours(2))
        #expect(second == .finished)
        #expect(BundleRollout.tries.map(\.part).reduce(0, +) == 1)
        #expect(BundleRollout.tries.last?.after == BundleRollout.patience)
    }

    @Test("a try waits for units, and the last one comes before a person is asked")
    func lastTry() {
        let step = BundleRollout.Step(share: 0.5, lasts: .hours(1), unitsMin: 36, margin: 0.1)
        var rollout = BundleRollout(steps: [step], measures: [.failures], at: Self.start)
        Self.run(&rollout, 60)
        let few = rollout.look(at: Self.start + .hours(3))
        #expect(few == nil && rollout.tried == 0)
        Self.run(&rollout, 30)
        var other = rollout
        let passed = rollout.look(at: Self.start + .hours(4))
        #expect(passed == .finished)
        // One failure leaves it open.
        Self.run(&other, 2, newFails: 1)
        let held = other.look(at: Self.start + .hours(4))
        #expect(held == .held(.inconclusive) && other.tried == 3 && other.triedNextAt == nil)
    }

    @Test("the first step goes on in the end where nothing speaks against it, and waits for a person where it does")
    func firstStep() {
        for (failures, old, expected) in [
            (3, 75, BundleRollout.Change.advancedUnproven(to: 1)), (2, 2, .held(.inconclusive)),
        ] {
            var rollout = BundleRollout(measures: [.failures], at: Self.start)
            Self.run(&rollout, 800, newFails: failures, oldFails: old)
            let early = rollout.look(at: Self.start + .hours(1))
            #expect(early == nil && rollout.tried == 2)
            let end = rollout.look(at: Self.start + .hours(2))
            #expect(end == expected, "\(rollout.tallies)")
        }
    }

    @Test("one failure at the first step is no reason to go on unproven")
    func doubt() {
        var rollout = BundleRollout(at: Self.start)
        Self.run(&rollout, 80, newFails: 1)
        let change = rollout.look(at: Self.start + .minutes(30))
        #expect(change == nil && rollout.step == 0)
    }

    @Test("where units are not given as planned nothing follows, and nothing new begins with it")
    func frozen() throws {
        var rollout = BundleRollout(at: Self.start)
        for number in 0..<400 { rollout.began(isNew: number % 4 == 0, share: 0.05) }
        let change = rollout.look(at: Self.start)
        #expect(change == .frozen && rollout.verdict == .invalid && rollout.share == 0)
        #expect(throws: Problem.self) { try rollout.promote(at: Self.start) }
        try rollout.resume(at: Self.start + .hours(1))
        #expect(rollout.state == .running && rollout.begun == 0 && rollout.verdict == .insufficient)
    }

    @Test("what is over takes no verb, and a refusal changes nothing", arguments: [true, false])
    func over(isCanceled: Bool) throws {
        var rollout = BundleRollout(at: Self.start)
        if isCanceled {
            try rollout.cancel()
        } else {
            for _ in 0..<3 { _ = try rollout.promote(at: Self.start) }
            #expect(rollout.state == .finished && rollout.isUnproven)
        }
        let before = rollout
        #expect(throws: Problem.self) { try rollout.promote(at: Self.start) }
        #expect(throws: Problem.self) { try rollout.resume(at: Self.start) }
        #expect(throws: Problem.self) { try rollout.cancel() }
        #expect(rollout == before)
    }

    @Test("what is kept is read again as it was, and what is none of it is no roll-out")
    func kept() throws {
        var rollout = BundleRollout(at: Self.start)
        Self.run(&rollout, 400, newFails: 1, oldFails: 17)
        _ = rollout.look(at: Self.start + .minutes(30))
        #expect(rollout.tried == 0 && rollout.triedNextAt == Self.start + .minutes(30))
        let text = rollout.json.text
        #expect(BundleRollout(try JSONParser.parse(Array(text.utf8))) == rollout)
        for (member, value) in [
            ("state", "x"), ("step", 7), ("steps", []), ("over", [1]), ("measures", [:]), ("startedAt", nil),
            ("tried", 4), ("tried", -1),
        ] as [(String, JSONValue?)] {
            var object = try #require(rollout.json.object)
            object[member] = value
            #expect(BundleRollout(.object(object)) == nil, "\(member)")
        }
    }

    /// Tasks come by chance, fail by chance and end at once. Returns what became of it, before anybody was asked.
    static func end(
        ratio: Double, perHour: Double, lookingEvery pause: Span = .zero, _ dice: inout Dice
    ) -> BundleRollout.State {
        var rollout = BundleRollout(measures: [.failures], at: start)
        var (now, next) = (start, start)
        while rollout.state == .running {
            now = now + .seconds(-log(1 - dice.unit()) * 3_600 / perHour)
            if now >= next {
                _ = rollout.look(at: now)
                next = now + pause
            }
            guard rollout.state == .running else { break }
            let share = rollout.share
            let isNew = dice.unit() < share
            rollout.began(isNew: isNew, share: share)
            let hasFailed = dice.unit() < 0.05 * (isNew ? ratio : 1)
            rollout.ended(.init(isNew: isNew, share: share, failed: [.failures: hasFailed]))
        }
        return rollout.state
    }

    @Test("what is no worse is hardly ever taken back, and what fails five times as often never goes out to all")
    func honesty() {
        var dice = Dice(state: 7)
        let harmless = (0..<400).map { _ in Self.end(ratio: 1, perHour: 60, &dice) }
        #expect(harmless.count { $0 == .takenBack } <= 9, "at most 2.28 %")
        #expect(harmless.count { $0 == .finished } >= 280)
        #expect(harmless.count { $0 == .frozen } <= 2)
        let harmful = (0..<400).map { _ in Self.end(ratio: 5, perHour: 60, &dice) }
        #expect(!harmful.contains(.finished))
        // Of few units at the first step a person is asked.
        #expect(harmful.count { $0 == .takenBack } >= 260)
    }

    @Test("what is worse by just the margin of a gate passes them all in 2.28 % at most")
    func falsePass() {
        var dice = Dice(state: 11)
        // 5 % and 10 %: the last step's margin, and less than those of the others.
        let ends = (0..<800).map { _ in Self.end(ratio: 2, perHour: 60, lookingEvery: .seconds(60), &dice) }
        #expect(Double(ends.count { $0 == .finished }) / 800 <= Gate.alpha)
    }
}
