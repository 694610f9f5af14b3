import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Chains of escalation")
struct EscalationTests {
    private static let start = OnCallFixture.time("2026-11-20T08:00:00Z")

    private static func escalation(
        _ steps: [OnCallPlan.Step], repeats: Int = 0, world: World = .test()
    ) -> Escalation {
        let place = OnCallPlan.Place(line: 1, column: 1)
        return Escalation(
            id: Identifier(world), incident: "inc_1", title: "t", severity: "critical", path: .infrastructure,
            chain: OnCallPlan.Chain(name: "c", steps: steps, repeats: repeats, place: place), at: start)
    }

    /// Everybody is reached, but those whose name begins with `no`.
    private static func recipients(_ target: OnCallPlan.Target) -> [(person: String?, channel: OnCallChannel)] {
        target.name.hasPrefix("no") ? [] : [(target.name, .receiver("\(target.name)-phone"))]
    }

    /// What is told when, in minutes behind the start, if the clock looks at these minutes.
    private static func run(_ escalation: inout Escalation, at minutes: [Int64]) -> [String] {
        minutes.flatMap { minute -> [String] in
            let found = escalation.due(at: start + .minutes(minute), recipients)
            return found.map { "\(minute) \($0.person ?? "nobody") \($0.round).\($0.step)" }
        }
    }

    private static let chain: [OnCallPlan.Step] = [
        .notify(.person("ada")), .wait(.minutes(5)), .notify(.person("grace")), .notify(.receiver("ops")),
        .wait(.minutes(10)),
    ]

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var steps = EscalationTests.chain
        var repeats = 0
        let minutes: [Int64]
        let told: [String]
        let state: Escalation.State
        /// Minutes behind the start.
        let next: Int64?
    }

    static let rows: [Row] = [
        Row(
            testDescription: "minute by minute", repeats: 1, minutes: Array(0...40),
            told: [
                "0 ada 0.0", "5 grace 0.2", "5 ops 0.3", "15 ada 1.0", "20 grace 1.2", "20 ops 1.3",
            ], state: .exhausted, next: nil),
        Row(
            testDescription: "the first step is due at once, and once", minutes: [0, 0, 0, 4], told: ["0 ada 0.0"],
            state: .open, next: 5),
        Row(
            testDescription: "a late start leaves no step out, and each wait is kept",
            minutes: [0, 600, 600, 609, 610],
            told: ["0 ada 0.0", "600 grace 0.2", "600 ops 0.3"], state: .exhausted, next: nil),
        Row(
            testDescription: "never looked at before", minutes: [600, 604, 605],
            told: ["600 ada 0.0", "605 grace 0.2", "605 ops 0.3"], state: .open, next: 615),
        Row(
            testDescription: "a chain that ends with people leaves them some time", steps: [.notify(.person("ada"))],
            minutes: [0, 4], told: ["0 ada 0.0"], state: .open, next: 5),
        Row(
            testDescription: "and is exhausted then", steps: [.notify(.person("ada"))], minutes: [0, 5],
            told: ["0 ada 0.0"], state: .exhausted, next: nil),
        Row(
            testDescription: "nobody waits for nobody",
            steps: [
                .notify(.schedule("none")), .wait(.minutes(15)), .notify(.person("grace")), .wait(.minutes(1)),
            ], minutes: [0], told: ["0 nobody 0.0", "0 grace 0.2"], state: .open, next: 1),
        Row(
            testDescription: "but the last wait of a round is kept, so that nobody is asked for in a circle",
            steps: [
                .notify(.schedule("none")), .wait(.minutes(5)), .notify(.schedule("none")), .wait(.minutes(10)),
            ], repeats: 5, minutes: Array(0...100),
            told: (0...5).flatMap { ["\($0 * 10) nobody \($0).0", "\($0 * 10) nobody \($0).2"] }, state: .exhausted,
            next: nil),
    ]

    @Test("tells people as the table says", arguments: rows)
    func due(_ row: Row) {
        var escalation = Self.escalation(row.steps, repeats: row.repeats)
        let told = Self.run(&escalation, at: row.minutes)
        #expect(told == row.told)
        #expect(escalation.state == row.state)
        #expect(escalation.nextAt == row.next.map { Self.start + .minutes($0) })
    }

    @Test("an acknowledgement stops it, and comes once")
    func acknowledged() {
        var escalation = Self.escalation(Self.chain, repeats: 5)
        let first = Self.run(&escalation, at: [0])
        let answers = ["ada", "grace"].map { escalation.acknowledge(by: $0, at: Self.start + .minutes(1)) }
        let later = Self.run(&escalation, at: Array(0...200))
        let ends = (0..<2).map { _ in escalation.end(at: Self.start + .minutes(300)) }
        #expect(first == ["0 ada 0.0"])
        #expect(answers == [true, false])
        #expect(escalation.acknowledgedBy == "ada")
        #expect(later.isEmpty)
        #expect(ends == [true, false])
    }

    @Test("an end ends it, also before the first step, and cannot be acknowledged")
    func ended() {
        var escalation = Self.escalation(Self.chain)
        _ = escalation.end(at: Self.start)
        let told = Self.run(&escalation, at: Array(0...200))
        let answer = escalation.acknowledge(by: "ada", at: Self.start)
        #expect(told.isEmpty)
        #expect(!answer)
        #expect(escalation.state == .ended)
    }

    @Test("one that nobody answered may still be acknowledged")
    func late() {
        var escalation = Self.escalation(Self.chain)
        _ = Self.run(&escalation, at: Array(0...200))
        #expect(escalation.state == .exhausted)
        _ = escalation.acknowledge(by: "ada", at: Self.start + .hours(9))
        #expect(escalation.state == .acknowledged)
    }

    @Test("whenever it is looked at, each step of each round is told once and in order", arguments: 1...20)
    func random(_ number: Int) {
        let seed = SeededEntropy(seed: UInt64(number))
        let steps: [OnCallPlan.Step] = (0..<seed.int(in: 1...8)).map { index in
            seed.int(in: 0...2) == 0
                ? .wait(.minutes(Int64(seed.int(in: 1...30)))) : .notify(.person(seed.pick(["ada", "no-\(index)"])))
        }
        let repeats = seed.int(in: 0...OnCallReader.repeatsMax)
        var escalation = Self.escalation(steps + [.wait(.minutes(1))], repeats: repeats)
        var (minute, keys): (Int64, [String]) = (0, [])
        for _ in 0..<10_000 where escalation.state == .open {
            let found = escalation.due(at: Self.start + .minutes(minute), Self.recipients)
            keys += found.map { "\($0.round).\($0.step)" }
            minute += Int64(seed.int(in: 0...60))
        }
        let notifies = steps.indices.filter { if case .notify = steps[$0] { true } else { false } }
        #expect(keys == (0...repeats).flatMap { round in notifies.map { "\(round).\($0)" } })
        #expect(escalation.state == .exhausted)
    }
}
